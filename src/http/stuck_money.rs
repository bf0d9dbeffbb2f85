//! `/v1/stuck_money`: money that does not move on, why, and what helps.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::auth::Caller;
use super::cursor::{self, List};
use super::fields::{Currency, currency_schema};
use super::json::PathId;
use super::problem::Problem;
use super::query::{NoParameters, Query, known_words};
use super::render::{Refusals, Time};
use crate::id::{SellerId, StuckId, public_id};
use crate::platforms::Mode;
use crate::stuck_money::{self, Cause, Stuck, StuckStatus};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(fetch))
}

/// Money that does not move on.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = StuckMoney)]
struct StuckBody {
    /// Always `stuck_money`.
    #[schema(value_type = String, example = "stuck_money")]
    object: &'static str,
    id: StuckId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// `not_onboarded`, `account_restricted`, `below_one_unit` or `transfers_refused`: a share is not sent; `payouts_disabled`,
    /// `payouts_parked` or `payouts_come_back`: it does not reach the seller's bank; `pending_too_long`: the provider is late with
    /// its own date; `clearing_too_long`: a command, a refund or a top-up does not end; `held_too_long`: the share of a line is held
    /// for longer than it may be; `position_open`: what was converted is not closed.
    #[schema(value_type = String, example = "not_onboarded")]
    cause: &'static str,
    /// What helps, in words.
    remedy: &'static str,
    /// Whose it is; null: the platform's, or a buyer's.
    seller: Option<SellerId>,
    /// The operation, refund, top-up, payout or line (`release.id`) that it hangs on; null where it is all of a seller's or of the platform's.
    #[schema(example = "opn_01jd9z8p3hfh7s4k2n0q5r6t7v")]
    on: Option<String>,
    /// Minor units.
    #[schema(example = 5400)]
    amount: i64,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// `open`; `cleared`: it moved on.
    #[schema(value_type = String, example = "open")]
    status: &'static str,
    /// From when on it is known to stand there.
    since: Time,
    created_at: Time,
    updated_at: Time,
}

impl StuckBody {
    fn show(mode: Mode, stuck: &Stuck) -> Self {
        let hangs = !matches!(stuck.object_type.as_str(), "seller" | "platform");
        Self {
            object: "stuck_money",
            id: stuck.id,
            mode: mode.as_str(),
            cause: stuck.cause.as_str(),
            remedy: stuck.cause.remedy(),
            seller: stuck.seller,
            on: hangs.then(|| public_id(&stuck.object_type, stuck.object_id)),
            amount: stuck.amount.minor,
            currency: stuck.amount.currency,
            status: stuck.status.as_str(),
            since: Time(stuck.since),
            created_at: Time(stuck.created_at),
            updated_at: Time(stuck.updated_at),
        }
    }
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
    #[param(example = json!(["not_onboarded"]))]
    cause: Vec<String>,
    /// Of this seller.
    seller: Option<SellerId>,
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Money that does not move on, as the look of each day finds it, and what moved on since; newest first. Each is told once as
/// `stuck_money.found`, and once as `stuck_money.cleared`.
#[utoipa::path(
    get, path = "/v1/stuck_money", tag = "Stuck money", operation_id = "list_stuck_money",
    params(Filters),
    responses((status = 200, description = "A page of stuck money", body = List<StuckBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(filters): Query<Filters>,
) -> Result<Response, Problem> {
    caller.require("sellers:read")?;
    let is_told = |word: &str| StuckStatus::parse(word).is_some_and(|status| status != StuckStatus::Watched);
    known_words("status", &filters.status, is_told)?;
    known_words("cause", &filters.cause, |word| Cause::parse(word).is_some())?;
    let bound = (&filters.status, &filters.cause, &filters.seller);
    let page = cursor::page::<StuckId, _>("/v1/stuck_money", &bound, filters.limit, filters.cursor.as_deref())?;
    let limit = page.fetch_limit();
    let filter = stuck_money::ListFilter {
        statuses: filters.status,
        causes: filters.cause,
        seller: filters.seller,
        before: page.after,
    };
    let rows = state
        .app
        .db
        .read("list stuck money", caller.scope(), move |tx| {
            let filter = filter.clone();
            Box::pin(async move { stuck_money::list(tx, &filter, limit).await })
        })
        .await?;
    Ok(page.list(rows, |stuck| stuck.id, |stuck| StuckBody::show(caller.mode, &stuck)).respond(&uri))
}

/// Money that does not move on.
#[utoipa::path(
    get, path = "/v1/stuck_money/{id}", tag = "Stuck money", operation_id = "get_stuck_money",
    params(("id" = StuckId, Path, description = "The finding")),
    responses((status = 200, description = "It", body = StuckBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<StuckId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<StuckBody>, Problem> {
    caller.require("sellers:read")?;
    let found = state
        .app
        .db
        .read("get stuck money", caller.scope(), move |tx| Box::pin(async move { stuck_money::find(tx, id).await }))
        .await?;
    let stuck = found.ok_or_else(|| Problem::not_found("stuck money"))?;
    Ok(Json(StuckBody::show(caller.mode, &stuck)))
}
