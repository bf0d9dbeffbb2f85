//! What is decided about refunds that came back: `/v1/refunds/{id}/resolution`, `/v1/refund_resolution_limits`.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{RefundBody, read};
use crate::approvals;
use crate::http::HttpState;
use crate::http::alone_limits::{LimitBody, NewLimitBody};
use crate::http::approvals::ApprovalBody;
use crate::http::auth::Caller;
use crate::http::commands::{self, Progress, Reply};
use crate::http::cursor::List;
use crate::http::fields::Text;
use crate::http::idempotency::Idempotent;
use crate::http::json::{Json as Body, PathId};
use crate::http::problem::Problem;
use crate::http::query::{NoParameters, Query};
use crate::http::render::{CommandRefusals, Refusals, Time};
use crate::id::RefundId;
use crate::refunds::{self, Refund, RefundStatus, Resolution};

/// The routes.
pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(resolve)).routes(routes!(list_limits, propose_limit))
}

/// What was decided about a refund that came back.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = RefundResolution)]
pub(super) struct ResolutionBody {
    /// `reinstated` or `paid_from_bank`.
    #[schema(value_type = String, example = "paid_from_bank")]
    outcome: &'static str,
    /// Why, or how it was paid, in the words of who decided.
    reason: String,
    /// Who decided: a key's id.
    resolved_by: String,
    /// Who agreed; null where one person was enough.
    approved_by: Option<String>,
    resolved_at: Time,
}

impl ResolutionBody {
    pub(super) fn of(refund: &Refund) -> Option<Self> {
        let outcome = match refund.status {
            RefundStatus::Settled => Resolution::PaidFromBank,
            _ => Resolution::Reinstated,
        };
        Some(Self {
            outcome: outcome.as_str(),
            reason: refund.resolution.clone()?,
            resolved_by: refund.resolved_by.clone()?,
            approved_by: refund.resolution_approved_by.clone(),
            resolved_at: Time(refund.resolved_at?),
        })
    }
}

/// What is decided about a refund that came back.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RefundOutcome)]
enum OutcomeBody {
    /// The buyer is not owed any more: everyone has back what was taken for it, and the payment can be refunded again.
    Reinstated,
    /// You paid the buyer from your bank account.
    PaidFromBank,
}

/// A decision about a refund that came back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRefundResolution, example = json!({"outcome": "paid_from_bank", "reason": "SEPA transfer E2E-4711"}))]
struct NewResolutionBody {
    outcome: OutcomeBody,
    /// Why, or how it was paid.
    reason: Text<1, 1000>,
}

/// Decides about a refund that came back after its money had left (`returned`), once: at once where you may do that alone,
/// within what your key has left of the day's limit (`/v1/refund_resolution_limits`). Above it, somebody else has to approve
/// (`/v1/approvals`), and the refund stays `returned` until then.
///
/// Until it is decided what it took stays in clearing, because the buyer is still owed.
#[utoipa::path(
    post, path = "/v1/refunds/{id}/resolution", tag = "Refunds", operation_id = "resolve_refund",
    request_body = NewResolutionBody,
    params(
        ("id" = RefundId, Path, description = "The refund"),
        ("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters"),
    ),
    responses(
        (status = 200, description = "It is decided", body = RefundBody),
        (status = 202, description = "Waits for somebody else to approve it (`approval`)", body = RefundBody),
        CommandRefusals,
    ),
)]
async fn resolve(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<RefundId>,
    input: Idempotent<NewResolutionBody>,
) -> Result<Response, Problem> {
    caller.require("payments:write")?;
    let outcome = match input.body.outcome {
        OutcomeBody::Reinstated => Resolution::Reinstated,
        OutcomeBody::PaidFromBank => Resolution::PaidFromBank,
    };
    let (claim, reason) = (input.claim.clone(), input.body.reason.into_string());
    let begun = approvals::resolve_refund(&state.app, caller.book, caller.actor, claim, id, outcome, reason).await?;
    state.app.wake.now();
    let id = match commands::begun(begun) {
        Progress::Answered(response) => return Ok(response),
        Progress::Read(id) => id,
    };
    let shown = read(&state, &caller, id).await?;
    let waits = shown.refund.status == RefundStatus::Returned;
    let body = RefundBody::show(caller.mode, shown);
    let reply = if waits { Reply::Open(body) } else { Reply::Done(StatusCode::OK, body) };
    commands::answer(&state, &caller, Some(&input.claim), reply).await
}

/// About how much of refunds that came back one key may decide alone, by currency. A currency that is not here: nothing.
#[utoipa::path(
    get, path = "/v1/refund_resolution_limits", tag = "Refunds", operation_id = "list_refund_resolution_limits",
    responses((status = 200, description = "All limits", body = List<LimitBody>), Refusals),
)]
async fn list_limits(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    caller.require("payments:read")?;
    let limits = state
        .app
        .db
        .read("list refund resolution limits", caller.scope(), |tx| {
            Box::pin(async move { refunds::list_limits(tx).await })
        })
        .await?;
    Ok(List::whole(
        limits.into_iter().map(|limit| LimitBody::show("refund_resolution_limit", caller.mode, limit)).collect(),
    )
    .respond(&uri))
}

/// Proposes about how much of refunds that came back one key may decide alone in a day. Somebody else has to approve: what lets
/// one person act alone is decided by two.
#[utoipa::path(
    post, path = "/v1/refund_resolution_limits", tag = "Refunds", operation_id = "propose_refund_resolution_limit",
    request_body = NewLimitBody,
    responses((status = 201, description = "The proposal, to be approved by somebody else", body = ApprovalBody), CommandRefusals),
)]
async fn propose_limit(
    State(state): State<HttpState>,
    caller: Caller,
    Body(body): Body<NewLimitBody>,
) -> Result<(StatusCode, Json<ApprovalBody>), Problem> {
    caller.require("payments:write")?;
    let (limit, reason) = body.read();
    let approval = approvals::propose_resolution_limit(&state.app, caller.book, caller.actor, limit, reason).await?;
    Ok((StatusCode::CREATED, Json(ApprovalBody::show(caller.mode, approval, state.app.clock.now()))))
}
