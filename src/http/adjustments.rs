//! `/v1/adjustments`: money that people give sellers, or take from them, by hand; `/v1/adjustment_limits`: how much one may
//! alone.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::Response;
use partita_db::DbError;
use partita_provider::Money;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::alone_limits::{LimitBody, NewLimitBody};
use super::approvals::ApprovalBody;
use super::auth::Caller;
use super::commands::{self, Progress, Reply};
use super::cursor::{self, List};
use super::fields::{Amount, Currency, Metadata, Reference, Text, currency_schema};
use super::idempotency::Idempotent;
use super::json::{self, PathId};
use super::problem::Problem;
use super::query::{NoParameters, Query, known_words};
use super::render::{CommandRefusals, Refusals, Time};
use crate::adjustments::{self, Adjustment, AdjustmentStatus, Direction, NewAdjustment, Reason};
use crate::approvals::{self, Adjusting};
use crate::id::{AdjustmentId, ApprovalId, SellerId};
use crate::idempotency::{Begun, Request};
use crate::platforms::Mode;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(fetch))
        .routes(routes!(reverse))
        .routes(routes!(list_limits, propose_limit))
}

/// Who gets the money.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AdjustmentDirection)]
enum DirectionBody {
    /// The seller.
    Credit,
    /// The platform.
    Debit,
}

/// Why, as the books sort it.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AdjustmentReason)]
enum ReasonBody {
    /// The platform makes good for something: its expense.
    Goodwill,
    /// The seller pays for a breach of your terms: your fees.
    Penalty,
    /// Too much or too little commission was taken.
    FeeCorrection,
    /// Anything else: your expense, as the note says.
    Other,
}

impl From<ReasonBody> for Reason {
    fn from(body: ReasonBody) -> Self {
        match body {
            ReasonBody::Goodwill => Self::Goodwill,
            ReasonBody::Penalty => Self::Penalty,
            ReasonBody::FeeCorrection => Self::FeeCorrection,
            ReasonBody::Other => Self::Other,
        }
    }
}

/// Money to give a seller, or to take from it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAdjustment, example = json!({
    "reference": "case-77", "seller": "slr_01jd9z8p3hfh7s4k2n0q5r6t7v", "direction": "credit", "amount": 500,
    "currency": "EUR", "reason": "goodwill", "note": "parcel lost by our carrier"
}))]
struct NewAdjustmentBody {
    /// Your own id of the adjustment, unique among your adjustments.
    reference: Reference,
    seller: SellerId,
    direction: DirectionBody,
    amount: Amount,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    reason: ReasonBody,
    /// Why, for the record.
    note: Text<1, 1000>,
    #[serde(default)]
    metadata: Metadata,
}

impl From<NewAdjustmentBody> for NewAdjustment {
    fn from(body: NewAdjustmentBody) -> Self {
        Self {
            reference: body.reference.into_string(),
            seller: body.seller,
            direction: match body.direction {
                DirectionBody::Credit => Direction::Credit,
                DirectionBody::Debit => Direction::Debit,
            },
            amount: Money::new(body.amount.minor(), body.currency),
            reason: body.reason.into(),
            note: body.note.into_string(),
            reverses: None,
            metadata: body.metadata.into_json(),
        }
    }
}

/// What undoes an adjustment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAdjustmentReversal, example = json!({"reference": "case-77-undone", "note": "the parcel was found"}))]
struct NewReversalBody {
    /// Your own id of the reversal, unique among your adjustments.
    reference: Reference,
    /// Why, for the record.
    note: Text<1, 1000>,
    #[serde(default)]
    metadata: Metadata,
}

/// Money that people gave a seller, or took from it, by hand.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Adjustment)]
struct AdjustmentBody {
    /// Always `adjustment`.
    #[schema(value_type = String, example = "adjustment")]
    object: &'static str,
    id: AdjustmentId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// Your own id of the adjustment.
    reference: String,
    seller: SellerId,
    /// `credit`: the seller gets it; `debit`: the seller gives it.
    #[schema(value_type = String, example = "credit")]
    direction: &'static str,
    /// Minor units.
    #[schema(example = 500)]
    amount: i64,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// `goodwill`, `penalty`, `fee_correction` or `other`.
    #[schema(value_type = String, example = "goodwill")]
    reason: &'static str,
    /// Why, in the words of who made it.
    note: String,
    /// `pending`: a second person has to agree; `booked`; `rejected` or `expired`: nothing was booked.
    #[schema(value_type = String, example = "booked")]
    status: &'static str,
    /// The adjustment that it undoes.
    reverses: Option<AdjustmentId>,
    /// What a second person decides, or decided, about it; null where one was enough.
    approval: Option<ApprovalId>,
    /// Who made it: a key's id.
    #[schema(example = "key_01jd9z6x5sf1vb3vsy3p0gq6ra")]
    created_by: String,
    /// Who agreed.
    approved_by: Option<String>,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    metadata: serde_json::Value,
    created_at: Time,
    updated_at: Time,
}

/// An adjustment with what is decided about it.
type Shown = (Adjustment, Option<ApprovalId>);

impl AdjustmentBody {
    fn show(mode: Mode, (adjustment, approval): Shown) -> Self {
        Self {
            object: "adjustment",
            id: adjustment.id,
            mode: mode.as_str(),
            reference: adjustment.reference,
            seller: adjustment.seller,
            direction: adjustment.direction.as_str(),
            amount: adjustment.amount.minor,
            currency: adjustment.amount.currency,
            reason: adjustment.reason.as_str(),
            note: adjustment.note,
            status: adjustment.status.as_str(),
            reverses: adjustment.reverses,
            approval,
            created_by: adjustment.created_by,
            approved_by: adjustment.approved_by,
            metadata: adjustment.metadata,
            created_at: Time(adjustment.created_at),
            updated_at: Time(adjustment.updated_at),
        }
    }
}

/// Gives a seller money, or takes it, at once where you may do that alone: within what your key has left of the day's
/// limit (`/v1/adjustment_limits`). Above it, somebody else has to approve (`/v1/approvals`).
///
/// A credit is sent to the seller's account out of your balance at the provider. A debit is kept from what the seller gets
/// next. Nothing is edited afterwards: an adjustment is undone by another one.
#[utoipa::path(
    post, path = "/v1/adjustments", tag = "Adjustments", operation_id = "create_adjustment",
    request_body = NewAdjustmentBody,
    params(("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters")),
    responses(
        (status = 201, description = "Booked", body = AdjustmentBody),
        (status = 202, description = "Waits for somebody else to approve it", body = AdjustmentBody),
        CommandRefusals,
    ),
)]
async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    input: Idempotent<NewAdjustmentBody>,
) -> Result<Response, Problem> {
    caller.require("adjustments:write")?;
    let asked = Adjusting::New(input.body.into());
    let begun = approvals::adjust(&state.app, caller.book, caller.actor, input.claim.clone(), asked).await?;
    reply(&state, &caller, &input.claim, begun).await
}

/// Undoes a booked adjustment as a whole, by a new one of the other direction. The same limit holds.
#[utoipa::path(
    post, path = "/v1/adjustments/{id}/reverse", tag = "Adjustments", operation_id = "reverse_adjustment",
    params(
        ("id" = AdjustmentId, Path, description = "The adjustment"),
        ("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters"),
    ),
    request_body = NewReversalBody,
    responses(
        (status = 201, description = "The adjustment that undoes it, booked", body = AdjustmentBody),
        (status = 202, description = "It waits for somebody else to approve it", body = AdjustmentBody),
        CommandRefusals,
    ),
)]
async fn reverse(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<AdjustmentId>,
    input: Idempotent<NewReversalBody>,
) -> Result<Response, Problem> {
    caller.require("adjustments:write")?;
    let asked = Adjusting::Reversal {
        of: id,
        reference: input.body.reference.into_string(),
        note: input.body.note.into_string(),
        metadata: input.body.metadata.into_json(),
    };
    let begun = approvals::adjust(&state.app, caller.book, caller.actor, input.claim.clone(), asked).await?;
    reply(&state, &caller, &input.claim, begun).await
}

async fn reply(
    state: &HttpState,
    caller: &Caller,
    claim: &Request,
    begun: Begun<AdjustmentId>,
) -> Result<Response, Problem> {
    state.app.wake.now();
    let id = match commands::begun(begun) {
        Progress::Answered(response) => return Ok(response),
        Progress::Read(id) => id,
    };
    let shown = read(state, caller, id).await?;
    let waits = shown.0.status != AdjustmentStatus::Booked;
    let body = AdjustmentBody::show(caller.mode, shown);
    let reply = if waits { Reply::Open(body) } else { Reply::created(body) };
    commands::answer(state, caller, Some(claim), reply).await
}

async fn read(state: &HttpState, caller: &Caller, id: AdjustmentId) -> Result<Shown, Problem> {
    let found = state
        .app
        .db
        .read("get adjustment", caller.scope(), move |tx| {
            Box::pin(async move {
                let Some(adjustment) = adjustments::find(tx, id).await? else { return Ok(None) };
                let approval = approvals::newest_of(tx, &[id.uuid()]).await?.remove(&id.uuid());
                Ok::<_, DbError>(Some((adjustment, approval)))
            })
        })
        .await?;
    found.ok_or_else(|| Problem::not_found("adjustment"))
}

/// One adjustment.
#[utoipa::path(
    get, path = "/v1/adjustments/{id}", tag = "Adjustments", operation_id = "get_adjustment",
    params(("id" = AdjustmentId, Path, description = "The adjustment")),
    responses((status = 200, description = "The adjustment", body = AdjustmentBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<AdjustmentId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<AdjustmentBody>, Problem> {
    caller.require("adjustments:read")?;
    Ok(Json(AdjustmentBody::show(caller.mode, read(&state, &caller, id).await?)))
}

/// Filters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Any of these; may be repeated.
    #[serde(default)]
    #[param(example = json!(["pending"]))]
    status: Vec<String>,
    /// Of this seller.
    seller: Option<SellerId>,
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Adjustments, newest first.
#[utoipa::path(
    get, path = "/v1/adjustments", tag = "Adjustments", operation_id = "list_adjustments",
    params(Filters),
    responses((status = 200, description = "A page of adjustments", body = List<AdjustmentBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(filters): Query<Filters>,
) -> Result<Response, Problem> {
    caller.require("adjustments:read")?;
    known_words("status", &filters.status, |word| AdjustmentStatus::parse(word).is_some())?;
    let bound = (&filters.status, &filters.seller);
    let page = cursor::page::<AdjustmentId, _>("/v1/adjustments", &bound, filters.limit, filters.cursor.as_deref())?;
    let limit = page.fetch_limit();
    let filter = adjustments::ListFilter { statuses: filters.status, seller: filters.seller, before: page.after };
    let rows = state
        .app
        .db
        .read("list adjustments", caller.scope(), move |tx| {
            let filter = filter.clone();
            Box::pin(async move {
                let rows = adjustments::list(tx, &filter, limit).await?;
                let ids: Vec<_> = rows.iter().map(|row| row.id.uuid()).collect();
                let mut approvals = approvals::newest_of(tx, &ids).await?;
                let with = |row: Adjustment| {
                    let approval = approvals.remove(&row.id.uuid());
                    (row, approval)
                };
                Ok::<_, DbError>(rows.into_iter().map(with).collect::<Vec<_>>())
            })
        })
        .await?;
    Ok(page.list(rows, |(row, _)| row.id, |shown| AdjustmentBody::show(caller.mode, shown)).respond(&uri))
}

/// How much one key may adjust alone, by currency. A currency that is not here: nothing.
#[utoipa::path(
    get, path = "/v1/adjustment_limits", tag = "Adjustments", operation_id = "list_adjustment_limits",
    responses((status = 200, description = "All limits", body = List<LimitBody>), Refusals),
)]
async fn list_limits(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    caller.require("adjustments:read")?;
    let limits = state
        .app
        .db
        .read("list adjustment limits", caller.scope(), |tx| {
            Box::pin(async move { adjustments::list_limits(tx).await })
        })
        .await?;
    Ok(List::whole(limits.into_iter().map(|limit| LimitBody::show("adjustment_limit", caller.mode, limit)).collect())
        .respond(&uri))
}

/// Proposes how much one key may adjust alone in a day. Somebody else has to approve: what lets one person act alone is
/// decided by two.
#[utoipa::path(
    post, path = "/v1/adjustment_limits", tag = "Adjustments", operation_id = "propose_adjustment_limit",
    request_body = NewLimitBody,
    responses((status = 201, description = "The proposal, to be approved by somebody else", body = ApprovalBody), CommandRefusals),
)]
async fn propose_limit(
    State(state): State<HttpState>,
    caller: Caller,
    json::Json(body): json::Json<NewLimitBody>,
) -> Result<(StatusCode, Json<ApprovalBody>), Problem> {
    caller.require("adjustments:write")?;
    let (limit, reason) = body.read();
    let approval = approvals::propose_limit(&state.app, caller.book, caller.actor, limit, reason).await?;
    Ok((StatusCode::CREATED, Json(ApprovalBody::show(caller.mode, approval, state.app.clock.now()))))
}
