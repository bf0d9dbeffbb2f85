//! Pieces that many resources show, and the refusals that every route may answer with.

use std::collections::BTreeMap;

use jiff::Timestamp;
use partita_provider::{Money, Refusal};
use serde::{Serialize, Serializer};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use super::problem::ProviderProblem;

/// A time as it is shown: RFC 3339, UTC, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.3}", self.0))
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::DateTime)))
            .description(Some("RFC 3339, UTC, milliseconds"))
            .examples(["2026-11-22T09:30:00.000Z"])
            .into()
    }
}

impl ToSchema for Time {}

/// The UTC day of a time as it is shown: `2026-11-22`.
pub fn day(time: Timestamp) -> String {
    time.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

/// What the object is at the payment provider.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProviderRef {
    /// The provider's name.
    #[schema(example = "stripe")]
    pub name: String,
    /// The object's id there; null until it is known.
    #[schema(example = "pi_3QMr0I2eZvKYlo2C1fYbUl4x")]
    pub id: Option<String>,
}

/// Why it failed, in the provider's words.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Failure {
    /// The provider's error code.
    #[schema(example = "card_declined")]
    pub code: String,
    /// The issuer's reason, for a declined payment.
    #[schema(example = "insufficient_funds")]
    pub decline_code: Option<String>,
    /// The provider's explanation, for you; do not show it to buyers.
    pub message: String,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self { code: refusal.code, decline_code: refusal.decline_code, message: refusal.message }
    }
}

/// A refusal as a problem tells it.
pub fn provider_problem(name: &str, refusal: &Refusal) -> ProviderProblem {
    ProviderProblem {
        name: name.to_owned(),
        code: refusal.code.clone(),
        decline_code: refusal.decline_code.clone(),
        request_id: refusal.request_id.clone(),
    }
}

/// An amount with its currency.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = Money)]
pub struct MoneyBody {
    /// Minor units of the currency.
    #[schema(example = 12000)]
    pub amount: i64,
    /// ISO 4217 code.
    #[schema(schema_with = super::fields::currency_schema)]
    pub currency: partita_provider::Currency,
}

impl From<Money> for MoneyBody {
    fn from(money: Money) -> Self {
        Self { amount: money.minor, currency: money.currency }
    }
}

/// A refusal that several routes share: status, name in the contract, description.
type SharedRefusal = (&'static str, &'static str, &'static str);

/// What every route under `/v1` may answer.
const OF_EVERY_ROUTE: &[SharedRefusal] = &[
    ("400", "Malformed", "Malformed: `invalid_json`, `bad_request`, `bad_cursor`, `idempotency_key_missing`."),
    (
        "401",
        "Unauthenticated",
        "No valid API key: `authentication_required`, `api_key_invalid`, `api_key_expired`, `api_key_revoked`.",
    ),
    ("403", "ScopeMissing", "The API key lacks a scope: `scope_missing`."),
    ("404", "NotFound", "Not in this book: `not_found`."),
    ("422", "Invalid", "Not valid: `validation_failed`, `card_number_refused`."),
    ("429", "TooManyRequests", "Over the rate limit: `too_many_requests`, with `Retry-After`."),
    ("500", "InternalError", "A fault of the service: `internal_error`. Say `request_id` to whoever runs it."),
    ("503", "Unavailable", "For a moment not available: `temporarily_unavailable`, with `Retry-After`."),
];

/// What a route that takes a body may answer beside or instead.
const OF_COMMANDS: &[SharedRefusal] = &[
    (
        "409",
        "Conflict",
        "`idempotency_key_in_use` (wait, then send the same again), `reference_taken`, `state_conflict`, \
         `provider_not_connected`.",
    ),
    ("413", "BodyTooLarge", "`body_too_large`: over 256 kB."),
    ("415", "UnsupportedContent", "`content_type_unsupported`, `content_encoding_unsupported`."),
    (
        "422",
        "Refused",
        "Not valid, nothing was changed: `validation_failed`, `card_number_refused`, `idempotency_key_reused`. Or \
         `provider_refused`: the provider said no, and the object that was made, shown in `object`, has failed.",
    ),
    ("502", "ProviderFailed", "The provider could not be asked: `provider_failed`, with `Retry-After`."),
    ("504", "TimedOut", "It took too long: `timed_out`. Send it again with the same `Idempotency-Key`."),
];

/// Every shared refusal under its name, for the contract's components.
pub fn shared_refusals() -> impl Iterator<Item = (String, RefOr<Response>)> {
    let all = OF_EVERY_ROUTE.iter().chain(OF_COMMANDS);
    all.map(|(_, name, description)| ((*name).to_owned(), RefOr::T(problem_response(description))))
}

fn referring<'a>(refusals: impl Iterator<Item = &'a SharedRefusal>) -> BTreeMap<String, RefOr<Response>> {
    refusals.map(|(status, name, _)| ((*status).to_owned(), RefOr::Ref(Ref::from_response_name(*name)))).collect()
}

/// The refusals of every route under `/v1`; each is a problem.
pub struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        referring(OF_EVERY_ROUTE.iter())
    }
}

/// The refusals of a route that takes a body.
pub struct CommandRefusals;

impl IntoResponses for CommandRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        // A later one of the same status replaces the earlier.
        referring(OF_EVERY_ROUTE.iter().chain(OF_COMMANDS))
    }
}

/// A response that is a problem.
pub fn problem_response(description: &str) -> Response {
    let schema = Ref::from_schema_name("Problem");
    ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", ContentBuilder::new().schema(Some(schema)).build())
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds_and_days_are_utc() {
        let time: Timestamp = "2026-11-22T23:30:00.123456+02:00".parse().expect("a time");
        assert_eq!(serde_json::json!(Time(time)), "2026-11-22T21:30:00.123Z");
        let whole: Timestamp = "2026-11-22T23:59:59Z".parse().expect("a time");
        assert_eq!(serde_json::json!(Time(whole)), "2026-11-22T23:59:59.000Z");
        assert_eq!(day(whole), "2026-11-22");
    }
}
