//! `/v1/approvals`: what one person proposes and another decides.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::auth::Caller;
use super::cursor::{self, List};
use super::debts::RungBody;
use super::fields::{Currency, Text, currency_schema};
use super::json::{self, PathId};
use super::problem::Problem;
use super::query::{NoParameters, Query, known_words};
use super::render::{Refusals, Time};
use crate::approvals::{self, Approval, ApprovalState, Decision, Proposal, Resolution};
use crate::id::{ApprovalId, OperationId};
use crate::platforms::Mode;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(fetch)).routes(routes!(approve)).routes(routes!(reject))
}

/// What is done when it is approved. Which fields there are, the kind says.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = Proposal)]
struct ProposalBody {
    /// Of an `operation_resolution`. `succeeded`: the provider's object is read and booked; `failed`: what was booked when it
    /// was asked is undone. Of a `refund_resolution`: `reinstated` or `paid_from_bank`.
    #[schema(example = "succeeded")]
    outcome: Option<&'static str>,
    /// Of an `operation_resolution`: the provider's object.
    #[schema(example = "tr_1QMr0I2eZvKYlo2C")]
    provider_object: Option<String>,
    /// Of a `debt_write_off`: what was left of the debt, in minor units. It may be less when it is approved.
    left: Option<i64>,
    /// Of an `adjustment_limit`: what one key may adjust alone in a day, in minor units. Of a `refund_resolution_limit`: about
    /// how much of refunds that came back it may decide alone. Of a `payout_return_limit`: of how much it may say alone that a
    /// bank sent it back.
    alone_up_to: Option<i64>,
    /// The currency of `alone_up_to`.
    #[schema(schema_with = currency_schema)]
    currency: Option<Currency>,
    /// Of a `payout_return`: the bank's code.
    #[schema(example = "AC04")]
    code: Option<String>,
    /// Of a `recovery_policy`: the ladder, from below.
    rungs: Option<Vec<RungBody>>,
}

impl From<&Proposal> for ProposalBody {
    fn from(proposal: &Proposal) -> Self {
        let nothing = Self::default();
        match proposal {
            Proposal::Resolution { resolution: Resolution::Succeeded { provider_object }, .. } => {
                Self { outcome: Some("succeeded"), provider_object: Some(provider_object.clone()), ..nothing }
            }
            Proposal::Resolution { resolution: Resolution::Failed, .. } => Self { outcome: Some("failed"), ..nothing },
            Proposal::Adjustment { .. } => nothing,
            Proposal::WriteOff { left, .. } => Self { left: Some(*left), ..nothing },
            Proposal::RefundResolution { outcome, .. } => Self { outcome: Some(outcome.as_str()), ..nothing },
            Proposal::RecoveryPolicy { ladder } => {
                Self { rungs: Some(ladder.rungs().map(RungBody::from).collect()), ..nothing }
            }
            Proposal::PayoutReturn { code, .. } => Self { code: Some(code.clone()), ..nothing },
            Proposal::AdjustmentLimit { alone_up_to }
            | Proposal::RefundResolutionLimit { alone_up_to }
            | Proposal::PayoutReturnLimit { alone_up_to } => {
                Self { alone_up_to: Some(alone_up_to.minor), currency: Some(alone_up_to.currency), ..nothing }
            }
        }
    }
}

/// What an approval is about.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ApprovalTarget)]
struct TargetBody {
    /// The resource: `operation`, `adjustment`, `adjustment_limit`, `debt`, `refund`, `refund_resolution_limit`,
    /// `payout`, `payout_return_limit`, `recovery_policy`.
    #[schema(value_type = String, example = "adjustment")]
    object: &'static str,
    /// Its id; null where there is only one of it.
    #[schema(example = "adj_01jd9z8p3hfh7s4k2n0q5r6t7v")]
    id: Option<String>,
}

/// What one person proposes and another has to agree to.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Approval)]
pub(super) struct ApprovalBody {
    /// Always `approval`.
    #[schema(value_type = String, example = "approval")]
    object: &'static str,
    id: ApprovalId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// `operation_resolution`: what became of an operation in `needs_review`; `adjustment`: to book an adjustment above what one
    /// person may do alone; `adjustment_limit`: what that is; `debt_write_off`: to give up a seller's debt; `refund_resolution`: to
    /// decide about a refund that came back, above what one person may decide alone; `refund_resolution_limit`: what that is;
    /// `payout_return`: to take it that a bank sent a payout back, above what one person may say alone; `payout_return_limit`:
    /// what that is; `recovery_policy`: to declare a ladder that recovers less.
    #[schema(value_type = String, example = "adjustment")]
    kind: &'static str,
    /// What it is about.
    target: TargetBody,
    /// The operation that it is about, if it is about one.
    operation: Option<OperationId>,
    proposal: ProposalBody,
    /// Why, in the words of who proposed.
    reason: String,
    /// `pending`, `approved` (and done), `rejected` or `expired`.
    #[schema(value_type = String, example = "pending")]
    state: &'static str,
    /// Who proposed: a key's id. The same key cannot approve.
    #[schema(example = "key_01jd9z6x5sf1vb3vsy3p0gq6ra")]
    made_by: String,
    /// Who decided.
    decided_by: Option<String>,
    /// Why, in the words of who decided.
    decision_reason: Option<String>,
    created_at: Time,
    /// From then on it can no longer be decided.
    expires_at: Time,
    decided_at: Option<Time>,
}

impl ApprovalBody {
    pub(super) fn show(mode: Mode, approval: Approval, now: Timestamp) -> Self {
        Self {
            object: "approval",
            id: approval.id,
            mode: mode.as_str(),
            kind: approval.proposal.kind(),
            target: TargetBody { object: approval.proposal.target().0, id: approval.proposal.target_id() },
            operation: match &approval.proposal {
                Proposal::Resolution { operation, .. } => Some(*operation),
                _ => None,
            },
            state: approval.state_at(now).as_str(),
            proposal: ProposalBody::from(&approval.proposal),
            reason: approval.reason,
            made_by: approval.made_by,
            decided_by: approval.decided_by,
            decision_reason: approval.decision_reason,
            created_at: Time(approval.created_at),
            expires_at: Time(approval.expires_at),
            decided_at: approval.decided_at.map(Time),
        }
    }
}

/// One approval.
#[utoipa::path(
    get, path = "/v1/approvals/{id}", tag = "Approvals", operation_id = "get_approval",
    params(("id" = ApprovalId, Path, description = "The approval")),
    responses((status = 200, description = "The approval", body = ApprovalBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<ApprovalId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<ApprovalBody>, Problem> {
    caller.require("approvals:read")?;
    let found = state
        .app
        .db
        .read("get approval", caller.scope(), move |tx| Box::pin(async move { approvals::find(tx, id).await }))
        .await?;
    let approval = found.ok_or_else(|| Problem::not_found("approval"))?;
    Ok(Json(ApprovalBody::show(caller.mode, approval, state.app.clock.now())))
}

/// Filters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Any of these; may be repeated.
    #[serde(default)]
    #[param(example = json!(["pending"]))]
    state: Vec<String>,
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Approvals, newest first.
#[utoipa::path(
    get, path = "/v1/approvals", tag = "Approvals", operation_id = "list_approvals",
    params(Filters),
    responses((status = 200, description = "A page of approvals", body = List<ApprovalBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(filters): Query<Filters>,
) -> Result<Response, Problem> {
    caller.require("approvals:read")?;
    known_words("state", &filters.state, |word| ApprovalState::parse(word).is_some())?;
    let page =
        cursor::page::<ApprovalId, _>("/v1/approvals", &filters.state, filters.limit, filters.cursor.as_deref())?;
    let (after, limit, states, now) = (page.after, page.fetch_limit(), filters.state, state.app.clock.now());
    let rows = state
        .app
        .db
        .read("list approvals", caller.scope(), move |tx| {
            let states = states.clone();
            Box::pin(async move { approvals::list(tx, &states, now, after, limit).await })
        })
        .await?;
    let show = |approval| ApprovalBody::show(caller.mode, approval, now);
    Ok(page.list(rows, |approval| approval.id, show).respond(&uri))
}

/// A decision's reason.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewDecision, example = json!({"reason": "checked in the dashboard"}))]
struct NewDecisionBody {
    /// Why, for the record.
    reason: Option<Text<1, 1000>>,
}

/// Approves a proposal, which is then done at once. Whoever proposed cannot.
#[utoipa::path(
    post, path = "/v1/approvals/{id}/approve", tag = "Approvals", operation_id = "approve",
    params(("id" = ApprovalId, Path, description = "The approval")),
    request_body = NewDecisionBody,
    responses((status = 200, description = "Approved and done", body = ApprovalBody), Refusals),
)]
async fn approve(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<ApprovalId>,
    body: json::Json<NewDecisionBody>,
) -> Result<Json<ApprovalBody>, Problem> {
    decide(&state, &caller, id, Decision::Approve, body.0).await
}

/// Turns a proposal down. Whoever proposed withdraws it so.
#[utoipa::path(
    post, path = "/v1/approvals/{id}/reject", tag = "Approvals", operation_id = "reject",
    params(("id" = ApprovalId, Path, description = "The approval")),
    request_body = NewDecisionBody,
    responses((status = 200, description = "Rejected; nothing is done", body = ApprovalBody), Refusals),
)]
async fn reject(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<ApprovalId>,
    body: json::Json<NewDecisionBody>,
) -> Result<Json<ApprovalBody>, Problem> {
    decide(&state, &caller, id, Decision::Reject, body.0).await
}

async fn decide(
    state: &HttpState,
    caller: &Caller,
    id: ApprovalId,
    decision: Decision,
    body: NewDecisionBody,
) -> Result<Json<ApprovalBody>, Problem> {
    caller.require("approvals:write")?;
    let reason = body.reason.map(Text::into_string);
    let approval = approvals::decide(&state.app, caller.book, caller.actor, id, decision, reason).await?;
    Ok(Json(ApprovalBody::show(caller.mode, approval, state.app.clock.now())))
}
