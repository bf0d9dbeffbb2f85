//! What is asked of a payment that is not charged yet: to capture it, to give it up, and what its buyer has to do.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::HttpState;
use super::super::auth::Caller;
use super::super::commands::{self, Progress, Reply};
use super::super::fields::{Amount, MOST_LINES};
use super::super::idempotency::Idempotent;
use super::super::json::PathId;
use super::super::problem::Problem;
use super::super::problem_types;
use super::super::query::{NoParameters, Query};
use super::super::render::CommandRefusals;
use super::{PaymentBody, read};
use crate::events;
use crate::id::PaymentId;
use crate::payments::{self, CaptureAsked, PaymentStatus};

/// The routes.
pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(capture)).routes(routes!(cancel)).routes(routes!(client_action))
}

/// A line to capture.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCaptureLine)]
struct NewLineBody {
    /// The payment's line, from 0.
    #[schema(minimum = 0, example = 0)]
    line: i32,
    /// Net of tax; its tax is added in proportion.
    amount: Amount,
}

/// What to capture of an authorised payment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCapture, example = json!({"lines": [{"line": 0, "amount": 6000}]}))]
struct NewCaptureBody {
    /// A gross amount, spread over all lines in proportion. Give this or `lines`; neither means all that is authorised.
    amount: Option<Amount>,
    /// Net amounts of single lines; lines that are not named are let go. Give this or `amount`; neither means all.
    #[schema(min_items = 1, max_items = 200)]
    lines: Option<Vec<NewLineBody>>,
}

impl NewCaptureBody {
    fn read(&self) -> Result<CaptureAsked, Problem> {
        let of_lines = |code, detail: &str| Problem::invalid_field(&["lines"], code, detail);
        match (self.amount, self.lines.as_deref()) {
            (Some(_), Some(_)) => Err(Problem::invalid_field(
                &["amount"],
                &problem_types::NOT_ALLOWED,
                "give either amount or lines, not both",
            )),
            (Some(amount), None) => Ok(CaptureAsked::Amount(amount.minor())),
            (None, None) => Ok(CaptureAsked::Everything),
            (None, Some([])) => Err(of_lines(&problem_types::TOO_SHORT, "expected at least one line")),
            (None, Some(lines)) if lines.len() > MOST_LINES => {
                Err(of_lines(&problem_types::TOO_LONG, &format!("expected at most {MOST_LINES} lines")))
            }
            (None, Some(lines)) => {
                Ok(CaptureAsked::Lines(lines.iter().map(|line| (line.line, line.amount.minor())).collect()))
            }
        }
    }
}

/// Captures what is authorised, in part or whole, once: the buyer is charged, and what is not captured is let go.
///
/// What is not captured of a line lowers its seller's share, its tax and its commission. Without a capture the provider
/// lets the whole amount go at `capture_before`.
#[utoipa::path(
    post, path = "/v1/payments/{id}/capture", tag = "Payments", operation_id = "capture_payment",
    request_body = NewCaptureBody,
    params(
        ("id" = PaymentId, Path, description = "The payment"),
        ("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters"),
    ),
    responses(
        (status = 200, description = "The buyer was charged", body = PaymentBody),
        (status = 202, description = "The provider has not answered definitely yet", body = PaymentBody),
        CommandRefusals,
    ),
)]
async fn capture(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<PaymentId>,
    input: Idempotent<NewCaptureBody>,
) -> Result<Response, Problem> {
    caller.require("payments:write")?;
    let asked = input.body.read()?;
    let begun = payments::capture(&state.app, caller.book, caller.actor, input.claim.clone(), id, asked).await?;
    let id = match commands::drive(&state, &caller, begun, PaymentId::uuid).await? {
        Progress::Answered(response) => return Ok(response),
        Progress::Read(id) => id,
    };
    let refused = commands::was_refused(&state, &caller, id.uuid()).await?;
    let (payment, cart) = read(&state, &caller, id).await?;
    let status = payment.status;
    let body = PaymentBody::show(caller.mode, payment, cart);
    let reply = match status {
        PaymentStatus::Succeeded => Reply::Done(StatusCode::OK, body),
        PaymentStatus::Authorized if refused => {
            let detail = "The provider refused to capture the payment; it is still authorized.";
            Reply::Refused(Problem::new(&problem_types::STATE_CONFLICT).detail(detail))
        }
        PaymentStatus::Authorized | PaymentStatus::Processing | PaymentStatus::RequiresAction => Reply::Open(body),
        PaymentStatus::Canceled | PaymentStatus::Failed => {
            let detail = format!("The payment is {} and was not captured.", status.as_str());
            Reply::Refused(Problem::new(&problem_types::STATE_CONFLICT).detail(detail))
        }
    };
    commands::answer(&state, &caller, Some(&input.claim), reply).await
}

/// No fields.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Gives up a payment that waits for its buyer (`requires_action`) or is `authorized`: what is held on the card is let go.
#[utoipa::path(
    post, path = "/v1/payments/{id}/cancel", tag = "Payments", operation_id = "cancel_payment",
    params(
        ("id" = PaymentId, Path, description = "The payment"),
        ("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters"),
    ),
    responses(
        (status = 200, description = "It is canceled", body = PaymentBody),
        (status = 202, description = "The provider has not answered definitely yet", body = PaymentBody),
        CommandRefusals,
    ),
)]
async fn cancel(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<PaymentId>,
    input: Idempotent<Nothing>,
) -> Result<Response, Problem> {
    caller.require("payments:write")?;
    let begun = payments::cancel(&state.app, caller.book, caller.actor, input.claim.clone(), id).await?;
    let id = match commands::drive(&state, &caller, begun, PaymentId::uuid).await? {
        Progress::Answered(response) => return Ok(response),
        Progress::Read(id) => id,
    };
    let refused = commands::was_refused(&state, &caller, id.uuid()).await?;
    let (payment, cart) = read(&state, &caller, id).await?;
    let status = payment.status;
    let body = PaymentBody::show(caller.mode, payment, cart);
    let reply = match status {
        PaymentStatus::Canceled => Reply::Done(StatusCode::OK, body),
        PaymentStatus::RequiresAction | PaymentStatus::Authorized if refused => {
            let detail = format!("The provider refused to cancel the payment; it is still {}.", status.as_str());
            Reply::Refused(Problem::new(&problem_types::STATE_CONFLICT).detail(detail))
        }
        PaymentStatus::Processing | PaymentStatus::RequiresAction | PaymentStatus::Authorized => Reply::Open(body),
        PaymentStatus::Succeeded | PaymentStatus::Failed => {
            let detail = format!("The payment is {} and was not canceled.", status.as_str());
            Reply::Refused(Problem::new(&problem_types::STATE_CONFLICT).detail(detail))
        }
    };
    commands::answer(&state, &caller, Some(&input.claim), reply).await
}

/// What the buyer has to do. Never stored; hand it to the buyer's browser and nobody else.
#[derive(Serialize, ToSchema)]
#[schema(as = ClientAction)]
struct ClientActionBody {
    /// Always `client_action`.
    #[schema(value_type = String, example = "client_action")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    payment: PaymentId,
    /// `redirect`: send the buyer to `redirect_url`, from where it comes back to the payment's `return_url`; `script`: give
    /// `client_secret` to the provider's script in the buyer's browser.
    #[schema(value_type = String, example = "redirect")]
    kind: &'static str,
    client_secret: String,
    redirect_url: Option<String>,
}

/// What the buyer of a payment in `requires_action` has to do, such as to confirm at its bank.
///
/// The provider is asked, and what it says is taken: once the buyer is back the payment is what it has become, whether or not
/// a webhook has come. Then this is a 409 that names its status.
#[utoipa::path(
    get, path = "/v1/payments/{id}/client_action", tag = "Payments", operation_id = "get_client_action",
    params(("id" = PaymentId, Path, description = "The payment")),
    responses((status = 200, description = "What the buyer has to do", body = ClientActionBody), CommandRefusals),
)]
async fn client_action(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<PaymentId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<ClientActionBody>, Problem> {
    caller.require("payments:write")?;
    let action = events::client_action(&state.app, caller.book, id).await?;
    let (payment, _) = read(&state, &caller, id).await?;
    let Some(action) = action.filter(|_| payment.status == PaymentStatus::RequiresAction) else {
        let detail = format!("The payment is {}: its buyer has nothing to do.", payment.status.as_str());
        return Err(Problem::new(&problem_types::STATE_CONFLICT).detail(detail));
    };
    Ok(Json(ClientActionBody {
        object: "client_action",
        mode: caller.mode.as_str(),
        payment: id,
        kind: if action.redirect_url.is_some() { "redirect" } else { "script" },
        client_secret: action.client_secret,
        redirect_url: action.redirect_url,
    }))
}
