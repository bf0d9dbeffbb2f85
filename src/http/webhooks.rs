//! `POST /webhooks/{provider}/{endpoint}`: what providers tell us. Answered 200 once it is durable; applied later, by
//! the worker.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use partita_webhooks::endpoint::EndpointError;
use partita_webhooks::inbox::Stored;
use partita_webhooks::receive::LARGEST_BODY;
use partita_webhooks::{Delivery, ReceiveError, Received, receive};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::body::read_bytes;
use super::problem::{Problem, ProblemBody};
use super::problem_types;
use crate::telemetry::names;

/// The header that Stripe signs in; see <https://docs.stripe.com/webhooks/signature>.
const SIGNATURE: &str = "stripe-signature";

/// The route.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(take))
}

/// Takes a provider's webhook: verified over its raw bytes, stored once, then answered.
#[utoipa::path(
    post, path = "/webhooks/{provider}/{endpoint}", tag = "Webhooks in", operation_id = "receive_webhook",
    params(
        ("provider" = String, Path, description = "The provider's name", example = "stripe"),
        ("endpoint" = String, Path, description = "The endpoint's token"),
        ("Stripe-Signature" = String, Header, description = "The provider's signature"),
    ),
    request_body(content = Object, description = "The provider's event, up to 1 MiB"),
    responses(
        (status = 200, description = "The event is durable"),
        (status = 400, description = "`webhook_refused`; the answer does not say why", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such endpoint: `not_found`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Over 1 MiB: `body_too_large`", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(()),
)]
async fn take(
    State(state): State<HttpState>,
    Path((provider, token)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let body = read_bytes(&headers, body, LARGEST_BODY).await?;
    let signature = headers.get(SIGNATURE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let delivery = Delivery { provider: &provider, token: &token, signature, body: &body };
    let received = receive(&state.app.db, &state.app.vault, delivery, state.app.clock.now()).await;
    crate::crash::point("after_delivery");
    count(&received);
    match received {
        Ok(received) => {
            if received.stored == Stored::New {
                state.app.wake.now();
            }
            Ok(StatusCode::OK)
        }
        Err(error) if error.is_expected() => Ok(StatusCode::OK),
        Err(error) => Err(refusal(error)),
    }
}

fn count(received: &Result<Received, ReceiveError>) {
    let outcome = match received {
        Ok(Received { stored: Stored::New, .. }) => "stored",
        Ok(Received { stored: Stored::Duplicate, .. }) => "duplicate",
        Err(error) if error.is_expected() => "other_mode",
        Err(ReceiveError::Endpoint(_) | ReceiveError::Inbox(_)) => "failed",
        Err(_) => "refused",
    };
    metrics::counter!(names::WEBHOOKS_RECEIVED, "outcome" => outcome).increment(1);
}

/// The sender is not told why; the log is.
fn refusal(error: ReceiveError) -> Problem {
    match error {
        ReceiveError::UnknownEndpoint => Problem::new(&problem_types::NOT_FOUND),
        ReceiveError::BadSignature(_) | ReceiveError::Unreadable(_) | ReceiveError::WrongMode { .. } => {
            Problem::new(&problem_types::WEBHOOK_REFUSED).caused_by(&error)
        }
        ReceiveError::Endpoint(EndpointError::Db(error)) => error.into(),
        ReceiveError::Inbox(error) => error.into(),
        error @ ReceiveError::Endpoint(_) => Problem::internal(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RequestId;

    #[test]
    fn a_refusal_says_nothing_of_its_reason() {
        let problem = refusal(ReceiveError::Unreadable("no id"));
        let body = problem.body(RequestId::new());
        assert_eq!((body.status, body.code.as_str(), body.detail), (400, "webhook_refused", None));
        assert!(problem.cause().is_some_and(|cause| cause.contains("no id")));
        assert_eq!(refusal(ReceiveError::WrongMode { expected: false }).status(), 400);
        assert_eq!(refusal(ReceiveError::UnknownEndpoint).status(), 404);
    }
}
