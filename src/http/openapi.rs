//! The contract, made from the handlers and their types: `openapi.yaml`.

use utoipa::OpenApi;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, PathItem, Paths};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{AllOfBuilder, ArrayItems, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Contract, Ref, RefOr, Required};

use super::health::API_VERSION;
use super::problem::{ErrorBody, ProblemBody, ProviderProblem};
use super::render::shared_refusals;
use crate::outbox::{EVENT_TYPES, EventType};

const DESCRIPTION: &str = "\
Partita orchestrates the money of a marketplace: a buyer pays once, several sellers, the platform, the tax office and \
the payment provider each get their part, and a double-entry ledger explains every cent.

**Authentication.** `Authorization: Bearer ptk_test_..` or `ptk_live_..`. A key opens one book: a platform in test or \
in live mode; the two never share an object.

**Money.** `amount` is an integer of minor units (12000 is 120.00 EUR) beside `currency`, an upper-case ISO 4217 code. \
Amounts are positive; the direction is that of the object.

**Idempotency.** Every POST that can move money needs an `Idempotency-Key`: 1 to 255 visible ASCII characters, one per \
action. The same request with the same key gets the first answer, byte for byte, with `Idempotency-Replayed: true`; while \
the first is under way, 409 with `Retry-After`; another request with the key, 422. Keys are kept for 30 days.

**Unknown outcomes.** When the provider has not answered definitely, the answer is 202 with the status `processing`. It is \
not an error: the result follows as an event and can be read from the object.

**Lists** are newest first. `next_cursor`, sent as `cursor` with the same filters, gets the next page; the `Link` header \
has the whole address. A filter that is repeated means \"or\".

**Time** is RFC 3339 in UTC with milliseconds (`.._at`); days are `.._on`.

**Errors** are `application/problem+json` (RFC 9457). Decide by `code`; `type` is the address of a page that explains it. \
Unknown fields and query parameters are errors. Clients must ignore fields and values of answers that they do not know.

**Limits.** `RateLimit-Policy` and `RateLimit` tell the rate limit of the key and what is left of it; 429 has `Retry-After`.

**Card data** must never be sent here: a request with a card number is refused before it is logged or stored.";

#[derive(OpenApi)]
#[openapi(
    info(title = "Partita", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    components(schemas(ProblemBody, ErrorBody, ProviderProblem)),
    tags(
        (name = "Sellers", description = "Who is paid, and what the provider still wants of them."),
        (name = "Fee policies", description = "What the platform keeps of a sale."),
        (name = "Customers", description = "Buyers who come again, and their saved payment methods."),
        (name = "Payments", description = "One cart, one buyer, any number of sellers."),
        (name = "Refunds", description = "Money back to the buyer, taken from those who got it."),
        (name = "Disputes", description = "What buyers' banks take back: held, answered, won or lost."),
        (name = "Transfers", description = "Sellers' shares, moved to their accounts at the provider and taken back."),
        (name = "Top-ups", description = "Money of the platform's bank account, added to its balance at the provider."),
        (name = "Payouts", description = "Sellers' payouts to their banks, as the provider makes them."),
        (name = "Adjustments", description = "Money that people give sellers, or take from them, by hand."),
        (name = "Debts", description = "What sellers owe, and how it is recovered."),
        (name = "Reserves", description = "What of sellers' money is kept back, why and until when."),
        (name = "Stuck money", description = "Money that does not move on, why, and what helps."),
        (name = "Operations", description = "Durable commands towards the provider."),
        (name = "Approvals", description = "What one person proposes and another has to agree to."),
        (name = "Ledger", description = "The books, at any instant."),
        (name = "Reconciliation", description = "Ledger and provider, compared one to one."),
        (name = "Events", description = "What happened."),
        (name = "Inbox", description = "What the provider told, and what became of it."),
        (name = "Webhooks out", description = "Your addresses that get events, and what became of each."),
        (name = "Webhooks in", description = "What providers tell us."),
        (name = "Health", description = "Is it alive, is it ready, which version is it.")
    )
)]
struct Frame;

/// What the contract says beside its routes.
pub(super) fn frame() -> Contract {
    let mut contract = Frame::openapi();
    API_VERSION.clone_into(&mut contract.info.version);
    contract.info.description = Some(DESCRIPTION.to_owned());
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("ptk_test_.. or ptk_live_..")
        .description(Some("An API key."))
        .build();
    let components = contract.components.get_or_insert_default();
    components.security_schemes.insert("api_key".to_owned(), RefOr::T(SecurityScheme::Http(bearer)));
    components.responses.extend(shared_refusals());
    contract.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>("api_key", [])]);
    contract.webhooks = Some(events_told());
    contract
}

/// What is sent to webhook endpoints: an event of each type.
fn events_told() -> Paths {
    let paths = Paths::builder();
    EVENT_TYPES.iter().fold(paths, |paths, event| paths.path(event.name, told(event))).build()
}

fn told(event: &EventType) -> PathItem {
    let of_type = ObjectBuilder::new()
        .property("type", ObjectBuilder::new().schema_type(Type::String).enum_values(Some([event.name])))
        .build();
    let schema = AllOfBuilder::new().item(Ref::from_schema_name("Event")).item(of_type).build();
    let body = RequestBodyBuilder::new()
        .description(Some("Signed with Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`"))
        .content("application/json", ContentBuilder::new().schema(Some(Schema::from(schema))).build())
        .required(Some(Required::True))
        .build();
    let answer = |text: &str| ResponseBuilder::new().description(text).build();
    let operation = OperationBuilder::new()
        .operation_id(Some(format!("on_{}", event.name.replace('.', "_"))))
        .tag("Events")
        .summary(Some(event.meaning))
        .request_body(Some(body))
        .response("2XX", answer("You have it"))
        .response("410", answer("You want no more, ever: the endpoint is disabled"))
        .response("default", answer("It is tried again, ten times in all within 76 hours"))
        .securities(Some(Vec::<SecurityRequirement>::new()))
        .build();
    PathItem::new(HttpMethod::Post, operation)
}

/// The contract with its lists in short: `utoipa` writes the whole object into each `List_..`.
pub(super) fn shortened(mut contract: Contract) -> Contract {
    let schemas = contract.components.iter_mut().flat_map(|components| components.schemas.iter_mut());
    for (name, schema) in schemas {
        let (Some(of), RefOr::T(Schema::Object(list))) = (name.strip_prefix("List_"), schema) else { continue };
        if let Some(RefOr::T(Schema::Array(data))) = list.properties.get_mut("data") {
            data.items = ArrayItems::RefOrSchema(Box::new(Ref::from_schema_name(of).into()));
        }
    }
    contract
}

/// The contract as YAML, as it stands in `openapi.yaml`.
pub fn openapi_yaml() -> String {
    let yaml = super::router::contract().to_yaml().expect("the contract is texts, numbers and maps");
    yaml.lines().map(|line| quoted(line) + "\n").collect()
}

/// The line with a date as its value in quotes: many readers of YAML take a bare one for a date, not for text.
fn quoted(line: &str) -> String {
    let Some(at) = line.find(": ").or_else(|| line.find("- ")).map(|at| at + 2) else { return line.to_owned() };
    let (head, value) = line.split_at(at);
    let is_date = value.len() >= 10
        && value
            .bytes()
            .take(10)
            .enumerate()
            .all(|(at, byte)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() });
    if is_date { format!("{head}'{value}'") } else { line.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn contract() -> Value {
        serde_json::to_value(super::super::router::contract()).expect("JSON")
    }

    /// Compares a committed file with what the code makes, or rewrites it when asked to.
    fn assert_is_generated(path: &str, made: &str) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        if crate::config::variable("UPDATE_GENERATED").is_some() {
            std::fs::write(&path, made).expect("the repository can be written to");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        let same = committed.lines().zip(made.lines()).take_while(|(one, other)| one == other).count();
        assert!(
            committed == made,
            "{} differs from the code, first at line {}. If the change is meant: UPDATE_GENERATED=1 cargo test --lib generated",
            path.display(),
            same + 1
        );
    }

    #[test]
    fn the_generated_contract_is_committed() {
        assert_is_generated("openapi.yaml", &openapi_yaml());
    }

    #[test]
    fn the_generated_list_of_problems_is_committed() {
        assert_is_generated("docs/problems.md", &super::super::docs::problems_markdown());
    }

    #[test]
    fn the_generated_drawings_of_states_are_committed() {
        assert_is_generated("docs/states.md", &crate::outbox::states_markdown());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let contract = contract();
        let mut wanted = BTreeSet::new();
        references(&contract, &mut wanted);
        assert!(wanted.len() > 20, "{wanted:?}");
        for reference in wanted {
            let pointer = reference.strip_prefix('#').expect("references stay in the document");
            assert!(contract.pointer(pointer).is_some(), "{reference}");
        }
    }

    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get("$ref") {
                    found.insert(reference.clone());
                }
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_operation_is_described_and_may_fail() {
        let contract = contract();
        let paths = contract["paths"].as_object().expect("paths");
        assert!(paths.len() >= 25, "{}", paths.len());
        let mut ids = BTreeSet::new();
        for (path, methods) in paths {
            for (method, operation) in methods.as_object().expect("methods") {
                let name = format!("{method} {path}");
                assert!(operation["summary"].is_string(), "{name} has no summary");
                assert!(operation["tags"].is_array(), "{name} has no tag");
                assert!(ids.insert(operation["operationId"].as_str().expect("an id")), "{name}: its id is taken");
                let responses = operation["responses"].as_object().expect("responses");
                assert!(responses.keys().any(|status| status.starts_with('2')), "{name} cannot succeed");
                if path.starts_with("/v1/") {
                    for status in ["401", "403", "422", "429", "500"] {
                        assert!(responses.contains_key(status), "{name} has no {status}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_type_of_event_is_told() {
        let contract = contract();
        let webhooks = contract["webhooks"].as_object().expect("webhooks");
        assert_eq!(webhooks.len(), EVENT_TYPES.len());
        let told = &webhooks["payment.succeeded"]["post"];
        let schema = &told["requestBody"]["content"]["application/json"]["schema"]["allOf"];
        assert_eq!(schema[0]["$ref"], "#/components/schemas/Event");
        assert_eq!(schema[1]["properties"]["type"]["enum"], serde_json::json!(["payment.succeeded"]));
    }

    #[test]
    fn every_object_says_what_it_is() {
        let contract = contract();
        for (name, schema) in contract["components"]["schemas"].as_object().expect("schemas") {
            let described = schema["description"].is_string() || schema["type"] != "object";
            assert!(described, "{name} has no description");
            for (field, shape) in schema["properties"].as_object().into_iter().flatten() {
                let typed = ["type", "$ref", "oneOf"].iter().any(|key| shape.get(key).is_some());
                assert!(typed, "{name}.{field} has no type: {shape}");
            }
        }
    }

    #[test]
    fn dates_are_quoted_and_nothing_else() {
        assert_eq!(quoted("  version: 2026-11-22"), "  version: '2026-11-22'");
        assert_eq!(quoted("      - 2026-11-22T09:30:00.000Z"), "      - '2026-11-22T09:30:00.000Z'");
        for line in
            ["  title: Partita", "    example: '2026-11-22'", "    example: 12000", "paths:", "  x: 2026-1-22 abc"]
        {
            assert_eq!(quoted(line), line);
        }
    }
}
