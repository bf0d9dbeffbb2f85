//! What an answer means. Pure.
//!
//! The rule behind the table: an outcome is definite only when async-stripe's types can read the answer and Stripe
//! documents its meaning (<https://docs.stripe.com/error-low-level>, <https://docs.stripe.com/api/errors>). Everything
//! else stays unknown, and is sent again under the same key or looked up.
//!
//! | answer | outcome |
//! |---|---|
//! | 2xx that reads as the object | done |
//! | 402 with a payment that has moved on | done: its status is obeyed |
//! | 4xx `card_error`, `invalid_request_error` | refused, with the payment it carries |
//! | 409, 429 | retry: Stripe did not look at it (key in use, lock timeout, rate limit) |
//! | 401, 403 | misconfigured |
//! | `idempotency_error` (key used with other bytes) | unknown: the key had an effect, and it was not this request's |
//! | 3xx, 5xx, anything that cannot be read | unknown |
//!
//! `Stripe-Should-Retry: true` turns a refusal into a retry, because Stripe then says that the refusal is not its last
//! word. `false` changes nothing definite; with a 5xx it says that the same key will bring the same answer, which the
//! reason of the unknown outcome repeats for whoever resolves it.

use partita_provider::{FetchError, Outcome, Payment, PaymentStatus, ProviderObject, Refusal};
use stripe_shared::{ApiErrors, ApiErrorsType};

use crate::objects::{parse, payment, refusal};
use crate::resource::Resource;
use crate::transport::Answer;

/// Sorts the answer to a command.
pub(crate) fn sort(resource: Resource, answer: &Answer) -> Outcome {
    match answer.status {
        200..=299 => resource
            .read(&answer.body)
            .map_or_else(|error| unknown(answer, &error.to_string()), |object| Outcome::Done(Box::new(object))),
        429 => Outcome::Retry { after: answer.retry_after },
        400..=499 => match error(&answer.body) {
            Ok(error) => sort_error(&error, answer),
            Err(unreadable) => unknown(answer, &unreadable.to_string()),
        },
        _ => unknown(answer, "not an answer that settles anything"),
    }
}

fn sort_error(error: &ApiErrors, answer: &Answer) -> Outcome {
    let why = refusal(error, answer.request_id.clone());
    match (answer.status, &error.type_) {
        (401 | 403, _) => Outcome::Misconfigured(why),
        (409, _) => Outcome::Retry { after: answer.retry_after },
        (_, ApiErrorsType::CardError | ApiErrorsType::InvalidRequestError) if answer.should_retry == Some(true) => {
            Outcome::Retry { after: answer.retry_after }
        }
        (status, ApiErrorsType::CardError | ApiErrorsType::InvalidRequestError) => {
            match error.payment_intent.as_ref().map(payment).transpose() {
                Ok(Some(payment)) if status == 402 && moved_on(&payment) => {
                    Outcome::Done(Box::new(ProviderObject::Payment(payment)))
                }
                Ok(payment) => {
                    let object = payment.map(|payment| Box::new(ProviderObject::Payment(payment)));
                    Outcome::Refused { refusal: why, object }
                }
                Err(unreadable) => unknown(answer, &unreadable.to_string()),
            }
        }
        (_, other) => unknown(answer, &format!("{} ({}): {}", other.as_str(), why.code, why.message)),
    }
}

/// Whether money has moved or may still move, whatever the error says.
fn moved_on(payment: &Payment) -> bool {
    !matches!(
        payment.status,
        PaymentStatus::RequiresPaymentMethod
            | PaymentStatus::RequiresConfirmation
            | PaymentStatus::RequiresAction
            | PaymentStatus::Canceled
    )
}

fn unknown(answer: &Answer, why: &str) -> Outcome {
    let hint = match answer.should_retry {
        Some(false) => ", and sending it again will bring the same",
        Some(true) | None => "",
    };
    Outcome::Unknown { reason: format!("HTTP {}: {why}{hint}", answer.status) }
}

/// The error that a body holds.
///
/// # Errors
/// [`FetchError::Unreadable`].
pub(crate) fn error(body: &[u8]) -> Result<Box<ApiErrors>, FetchError> {
    parse::<stripe_shared::Error>("error", body).map(|wrapped| wrapped.error)
}

/// Why a read gave nothing.
///
/// Only Stripe's own `resource_missing` is an absence: a 404 of a proxy or of a wrong address must not pass for one,
/// since absence lets a command be sent again under another key.
pub(crate) fn read_failure(answer: &Answer) -> FetchError {
    let status = answer.status;
    match (status, error(&answer.body)) {
        (429 | 409 | 500..=599, _) => FetchError::Unreachable(format!("HTTP {status}")),
        (400..=499, Ok(error)) => {
            let why: Refusal = refusal(&error, answer.request_id.clone());
            if status == 404 && why.code == "resource_missing" {
                FetchError::NotFound
            } else if status == 403 && why.code == "account_invalid" {
                FetchError::NoAccess
            } else {
                FetchError::Refused(why)
            }
        }
        (_, _) => FetchError::Unreadable(format!("HTTP {status} that is not Stripe's")),
    }
}
