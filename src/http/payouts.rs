//! `/v1/payouts`.

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
use super::render::{Failure, ProviderRef, Refusals, Time, day};
use crate::id::{PayoutId, SellerId};
use crate::payouts::{self, Payout, PayoutStatus};
use crate::platforms::Mode;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(fetch))
}

/// A seller's payout to its bank, as the provider makes it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Payout)]
pub(super) struct PayoutBody {
    /// Always `payout`.
    #[schema(value_type = String, example = "payout")]
    object: &'static str,
    id: PayoutId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    seller: SellerId,
    /// `pending`, `in_transit`, `paid`, `failed`, `canceled`. `paid` is not final: a bank may return it.
    #[schema(value_type = String, example = "paid")]
    status: &'static str,
    /// Minor units.
    #[schema(example = 5400)]
    amount: i64,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// Whether the provider's own schedule made it.
    automatic: bool,
    /// When the bank has it, by the provider's word; a day, UTC.
    #[schema(format = Date, example = "2026-11-24")]
    arrival_on: String,
    provider: ProviderRef,
    failure: Option<Failure>,
    created_at: Time,
    updated_at: Time,
}

impl PayoutBody {
    /// The payout as it is shown.
    pub(super) fn show(mode: Mode, payout: Payout) -> Self {
        Self {
            object: "payout",
            id: payout.id,
            mode: mode.as_str(),
            seller: payout.seller,
            status: payout.status.as_str(),
            amount: payout.amount.minor,
            currency: payout.amount.currency,
            automatic: payout.automatic,
            arrival_on: day(payout.arrival_on),
            provider: ProviderRef { name: payout.provider, id: Some(payout.provider_payout) },
            failure: payout.failure.map(Failure::from),
            created_at: Time(payout.created_at),
            updated_at: Time(payout.updated_at),
        }
    }
}

/// One payout.
#[utoipa::path(
    get, path = "/v1/payouts/{id}", tag = "Payouts", operation_id = "get_payout",
    params(("id" = PayoutId, Path, description = "The payout")),
    responses((status = 200, description = "The payout", body = PayoutBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<PayoutId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<PayoutBody>, Problem> {
    caller.require("payouts:read")?;
    let found = state
        .app
        .db
        .read("get payout", caller.scope(), move |tx| Box::pin(async move { payouts::find(tx, id).await }))
        .await?;
    found.map(|payout| Json(PayoutBody::show(caller.mode, payout))).ok_or_else(|| Problem::not_found("payout"))
}

/// Filters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Any of these; may be repeated.
    #[serde(default)]
    #[param(example = json!(["paid"]))]
    status: Vec<String>,
    /// Of this seller.
    seller: Option<SellerId>,
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Payouts of sellers, newest first.
#[utoipa::path(
    get, path = "/v1/payouts", tag = "Payouts", operation_id = "list_payouts",
    params(Filters),
    responses((status = 200, description = "A page of payouts", body = List<PayoutBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(filters): Query<Filters>,
) -> Result<Response, Problem> {
    caller.require("payouts:read")?;
    known_words("status", &filters.status, |word| PayoutStatus::parse(word).is_some())?;
    let bound = (&filters.status, &filters.seller);
    let page = cursor::page::<PayoutId, _>("/v1/payouts", &bound, filters.limit, filters.cursor.as_deref())?;
    let limit = page.fetch_limit();
    let filter = payouts::ListFilter { statuses: filters.status, seller: filters.seller, before: page.after };
    let rows = state
        .app
        .db
        .read("list payouts", caller.scope(), move |tx| {
            let filter = filter.clone();
            Box::pin(async move { payouts::list(tx, &filter, limit).await })
        })
        .await?;
    Ok(page.list(rows, |payout| payout.id, |payout| PayoutBody::show(caller.mode, payout)).respond(&uri))
}
