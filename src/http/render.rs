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

/// The refusals that every route may answer with; each is a problem.
pub struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        [
            ("400", "Malformed: `invalid_json`, `bad_cursor`, `idempotency_key_missing`."),
            ("401", "No valid API key: `authentication_required`, `api_key_invalid`, `api_key_expired`, `api_key_revoked`."),
            ("403", "The API key lacks a scope: `scope_missing`."),
            ("404", "Not in this book: `not_found`."),
            ("422", "Not valid: `validation_failed`, `card_number_refused`."),
            ("429", "Over the rate limit: `too_many_requests`, with `Retry-After`."),
            ("500", "A fault of the service: `internal_error`."),
            ("503", "For a moment not available: `temporarily_unavailable`, with `Retry-After`."),
        ]
        .into_iter()
        .map(|(status, description)| (status.to_owned(), RefOr::T(problem_response(description))))
        .collect()
    }
}

/// The refusals of a command with an `Idempotency-Key`, beside [`Refusals`].
pub struct CommandRefusals;

impl IntoResponses for CommandRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut responses = Refusals::responses();
        for (status, description) in [
            (
                "409",
                "`idempotency_key_in_use` (wait and send the same again), `reference_taken`, `state_conflict`, \
                 `provider_not_connected`.",
            ),
            ("413", "`body_too_large`: over 256 kB."),
            ("415", "`content_type_unsupported`, `content_encoding_unsupported`."),
            (
                "422",
                "Not valid, nothing was changed: `validation_failed`, `card_number_refused`, `idempotency_key_reused`. \
                 Or `provider_refused`: the provider said no, and the object that was made has failed.",
            ),
        ] {
            responses.insert(status.to_owned(), RefOr::T(problem_response(description)));
        }
        responses
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
