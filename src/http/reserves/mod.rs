//! `/v1/reserves`: what of sellers' money is kept back; the rules stand in [`policies`].

mod policies;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use partita_db::DbError;
use partita_provider::Money;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::auth::Caller;
use super::commands::{self, Progress, Reply};
use super::cursor::{self, List};
use super::fields::{Amount, Currency, Day, Text, currency_schema};
use super::idempotency::Idempotent;
use super::json::PathId;
use super::problem::Problem;
use super::query::{NoParameters, Query, known_words};
use super::render::{CommandRefusals, Refusals, Time};
use crate::id::{PaymentId, ReserveId, SellerId};
use crate::platforms::Mode;
use crate::reserves::{self, NewReserve, Reserve, ReserveKind, ReserveStatus, Step};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(fetch))
        .routes(routes!(list_steps))
        .routes(routes!(release))
        .merge(policies::routes())
}

/// Money to keep back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewReserve, example = json!({
    "seller": "slr_01jd9z8p3hfh7s4k2n0q5r6t7v", "amount": 20_000, "currency": "EUR", "reason": "orders are late",
    "release_on": "2026-12-24"
}))]
struct NewReserveBody {
    seller: SellerId,
    /// Up to how much.
    amount: Amount,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// Why, for the record.
    reason: Text<1, 1000>,
    /// With which day (UTC) it goes back to the seller; after today.
    release_on: Day,
}

/// Why a reserve should end.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReleaseReserve, example = json!({"reason": "the orders have arrived"}))]
struct ReleaseBody {
    /// Why, for the record.
    reason: Text<1, 1000>,
}

/// What of a seller's money is kept back. Amounts in minor units.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Reserve)]
struct ReserveBody {
    /// Always `reserve`.
    #[schema(value_type = String, example = "reserve")]
    object: &'static str,
    id: ReserveId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    seller: SellerId,
    /// `rolling`: by a rule, of one share, until a date; `fixed`: by a rule, filled by sales up to an amount; `manual`: by a
    /// person, filled by what the seller has and by sales up to an amount, until a date.
    #[schema(value_type = String, example = "rolling")]
    kind: &'static str,
    /// Of which payment's share a rolling reserve is.
    payment: Option<PaymentId>,
    /// The declaration that the rule stands in.
    policy_version: Option<i32>,
    /// `open`; `releasing`: what is left goes back to the seller; `released`: it holds nothing any more.
    #[schema(value_type = String, example = "open")]
    status: &'static str,
    /// How much is to be kept back.
    #[schema(example = 540)]
    amount: i64,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// What is kept back now.
    #[schema(example = 540)]
    held: i64,
    /// What was put in.
    #[schema(example = 540)]
    taken: i64,
    /// What refunds, disputes and late failures of the very payments used.
    #[schema(example = 0)]
    drawn: i64,
    /// What went back to the seller.
    #[schema(example = 0)]
    released: i64,
    /// Why, in the words of who made it.
    reason: Option<String>,
    /// When it goes back; null: when its rule ends.
    release_at: Option<Time>,
    /// A key's id, or `system`.
    #[schema(example = "system")]
    created_by: String,
    created_at: Time,
    updated_at: Time,
}

impl ReserveBody {
    fn show(mode: Mode, reserve: Reserve) -> Self {
        Self {
            object: "reserve",
            id: reserve.id,
            mode: mode.as_str(),
            seller: reserve.seller,
            kind: reserve.kind.as_str(),
            payment: reserve.payment,
            policy_version: reserve.policy_version,
            status: reserve.status.as_str(),
            amount: reserve.amount.minor,
            currency: reserve.amount.currency,
            held: reserve.held(),
            taken: reserve.taken,
            drawn: reserve.drawn,
            released: reserve.released,
            reason: reserve.reason,
            release_at: reserve.release_at.map(Time),
            created_by: reserve.created_by,
            created_at: Time(reserve.created_at),
            updated_at: Time(reserve.updated_at),
        }
    }
}

/// Keeps some of a seller's money back, until a day. It is filled with what the seller has and was not sent yet, and by its
/// next sales; nothing that it has at the provider already is taken. Refunds and disputes of the payments that filled it use it
/// first.
#[utoipa::path(
    post, path = "/v1/reserves", tag = "Reserves", operation_id = "create_reserve",
    request_body = NewReserveBody,
    params(("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters")),
    responses((status = 201, description = "Made; it is being filled", body = ReserveBody), CommandRefusals),
)]
async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    input: Idempotent<NewReserveBody>,
) -> Result<Response, Problem> {
    caller.require("adjustments:write")?;
    let body = input.body;
    let new = NewReserve {
        seller: body.seller,
        amount: Money::new(body.amount.minor(), body.currency),
        reason: body.reason.into_string(),
        release_at: body.release_on.begins().unwrap_or(Timestamp::MAX),
    };
    let begun = reserves::create(&state.app, caller.book, caller.actor, input.claim.clone(), new).await?;
    state.app.wake.now();
    let id = match commands::begun(begun) {
        Progress::Answered(response) => return Ok(response),
        Progress::Read(id) => id,
    };
    let body = ReserveBody::show(caller.mode, read(&state, &caller, id).await?);
    commands::answer(&state, &caller, Some(&input.claim), Reply::created(body)).await
}

/// Gives back what a reserve holds, before its time. The service does it payment by payment: the reserve is `releasing` until
/// it is empty.
#[utoipa::path(
    post, path = "/v1/reserves/{id}/release", tag = "Reserves", operation_id = "release_reserve",
    params(
        ("id" = ReserveId, Path, description = "The reserve"),
        ("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters"),
    ),
    request_body = ReleaseBody,
    responses((status = 200, description = "It is being released", body = ReserveBody), CommandRefusals),
)]
async fn release(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<ReserveId>,
    input: Idempotent<ReleaseBody>,
) -> Result<Response, Problem> {
    caller.require("adjustments:write")?;
    let (claim, reason) = (input.claim.clone(), input.body.reason.into_string());
    let begun = reserves::release_by_hand(&state.app, caller.book, caller.actor, claim, id, reason).await?;
    state.app.wake.now();
    let id = match commands::begun(begun) {
        Progress::Answered(response) => return Ok(response),
        Progress::Read(id) => id,
    };
    let body = ReserveBody::show(caller.mode, read(&state, &caller, id).await?);
    commands::answer(&state, &caller, Some(&input.claim), Reply::Done(StatusCode::OK, body)).await
}

async fn read(state: &HttpState, caller: &Caller, id: ReserveId) -> Result<Reserve, Problem> {
    let found = state
        .app
        .db
        .read("get reserve", caller.scope(), move |tx| Box::pin(async move { reserves::find(tx, id).await }))
        .await?;
    found.ok_or_else(|| Problem::not_found("reserve"))
}

/// One reserve.
#[utoipa::path(
    get, path = "/v1/reserves/{id}", tag = "Reserves", operation_id = "get_reserve",
    params(("id" = ReserveId, Path, description = "The reserve")),
    responses((status = 200, description = "The reserve", body = ReserveBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<ReserveId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<ReserveBody>, Problem> {
    caller.require("sellers:read")?;
    Ok(Json(ReserveBody::show(caller.mode, read(&state, &caller, id).await?)))
}

/// Filters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Any of these; may be repeated.
    #[serde(default)]
    #[param(example = json!(["open"]))]
    status: Vec<String>,
    /// Any of these; may be repeated.
    #[serde(default)]
    #[param(example = json!(["rolling"]))]
    kind: Vec<String>,
    /// Of this seller.
    seller: Option<SellerId>,
    /// Of a share of this payment.
    payment: Option<PaymentId>,
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Reserves, newest first.
#[utoipa::path(
    get, path = "/v1/reserves", tag = "Reserves", operation_id = "list_reserves",
    params(Filters),
    responses((status = 200, description = "A page of reserves", body = List<ReserveBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(filters): Query<Filters>,
) -> Result<Response, Problem> {
    caller.require("sellers:read")?;
    known_words("status", &filters.status, |word| ReserveStatus::parse(word).is_some())?;
    known_words("kind", &filters.kind, |word| ReserveKind::parse(word).is_some())?;
    let bound = (&filters.status, &filters.kind, &filters.seller, &filters.payment);
    let page = cursor::page::<ReserveId, _>("/v1/reserves", &bound, filters.limit, filters.cursor.as_deref())?;
    let limit = page.fetch_limit();
    let filter = reserves::ListFilter {
        statuses: filters.status,
        kinds: filters.kind,
        seller: filters.seller,
        payment: filters.payment,
        before: page.after,
    };
    let rows = state
        .app
        .db
        .read("list reserves", caller.scope(), move |tx| {
            let filter = filter.clone();
            Box::pin(async move { reserves::list(tx, &filter, limit).await })
        })
        .await?;
    Ok(page.list(rows, |reserve| reserve.id, |reserve| ReserveBody::show(caller.mode, reserve)).respond(&uri))
}

/// What went into a reserve, or out of it, of one payment.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ReserveStep)]
struct StepBody {
    /// Always `reserve_step`.
    #[schema(value_type = String, example = "reserve_step")]
    object: &'static str,
    reserve: ReserveId,
    /// The payment whose share it is of.
    payment: PaymentId,
    /// `take`: put in; `draw`: used for a refund, a dispute or a late failure of the payment; `restore`: put back, as that did
    /// not stay; `release`: given back to the seller.
    #[schema(value_type = String, example = "take")]
    kind: &'static str,
    /// Minor units.
    #[schema(example = 540)]
    amount: i64,
    created_at: Time,
}

impl From<Step> for StepBody {
    fn from(step: Step) -> Self {
        Self {
            object: "reserve_step",
            reserve: step.reserve,
            payment: step.payment,
            kind: step.kind.as_str(),
            amount: step.amount,
            created_at: Time(step.created_at),
        }
    }
}

/// Pages of the steps.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Pages {
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// What went into a reserve and out of it, oldest first.
#[utoipa::path(
    get, path = "/v1/reserves/{id}/steps", tag = "Reserves", operation_id = "list_reserve_steps",
    params(("id" = ReserveId, Path, description = "The reserve"), Pages),
    responses((status = 200, description = "A page of what happened to it", body = List<StepBody>), Refusals),
)]
async fn list_steps(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<ReserveId>,
    OriginalUri(uri): OriginalUri,
    Query(pages): Query<Pages>,
) -> Result<Response, Problem> {
    caller.require("sellers:read")?;
    let page = cursor::page::<i64, _>("/v1/reserves/steps", &id, pages.limit, pages.cursor.as_deref())?;
    let (after, limit) = (page.after.unwrap_or(0), page.fetch_limit());
    let found = state
        .app
        .db
        .read("list reserve steps", caller.scope(), move |tx| {
            Box::pin(async move {
                if reserves::find(tx, id).await?.is_none() {
                    return Ok(None);
                }
                Ok::<_, DbError>(Some(reserves::list_steps(tx, id, after, limit).await?))
            })
        })
        .await?;
    let rows = found.ok_or_else(|| Problem::not_found("reserve"))?;
    Ok(page.list(rows, |step| step.key, StepBody::from).respond(&uri))
}
