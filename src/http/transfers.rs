//! `/v1/transfers`.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use partita_db::DbError;
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
use super::render::{Failure, ProviderRef, Refusals, Time};
use crate::id::{AdjustmentId, PaymentId, ReversalId, SellerId, TransferId};
use crate::platforms::Mode;
use crate::transfers::{self, Reversal, Transfer, TransferStatus};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(fetch)).routes(routes!(list_reversals))
}

/// A seller's share of a payment, or what it was given by hand, moved to its account at the provider.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Transfer)]
struct TransferBody {
    /// Always `transfer`.
    #[schema(value_type = String, example = "transfer")]
    object: &'static str,
    id: TransferId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// The payment whose share it moves.
    payment: Option<PaymentId>,
    /// The adjustment that it moves, of the platform's own money.
    adjustment: Option<AdjustmentId>,
    seller: SellerId,
    /// `processing`: the provider has not answered definitely; `succeeded`; `failed`: nothing moved.
    #[schema(value_type = String, example = "succeeded")]
    status: &'static str,
    /// Minor units.
    #[schema(example = 5400)]
    amount: i64,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// Taken back; minor units.
    #[schema(example = 0)]
    reversed_amount: i64,
    /// Asked to be taken back, not answered yet; minor units.
    #[schema(example = 0)]
    reversing_amount: i64,
    provider: ProviderRef,
    failure: Option<Failure>,
    created_at: Time,
    updated_at: Time,
}

impl TransferBody {
    fn show(mode: Mode, transfer: Transfer) -> Self {
        Self {
            object: "transfer",
            id: transfer.id,
            mode: mode.as_str(),
            payment: transfer.of.payment(),
            adjustment: transfer.of.adjustment(),
            seller: transfer.seller,
            status: transfer.status.as_str(),
            amount: transfer.amount.minor,
            currency: transfer.amount.currency,
            reversed_amount: transfer.reversed_amount,
            reversing_amount: transfer.reversing_amount,
            provider: ProviderRef { name: transfer.provider, id: transfer.provider_transfer },
            failure: transfer.failure.map(Failure::from),
            created_at: Time(transfer.created_at),
            updated_at: Time(transfer.updated_at),
        }
    }
}

/// A transfer taken back, in part or whole.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Reversal)]
struct ReversalBody {
    /// Always `reversal`.
    #[schema(value_type = String, example = "reversal")]
    object: &'static str,
    id: ReversalId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// What is taken back.
    transfer: TransferId,
    payment: Option<PaymentId>,
    adjustment: Option<AdjustmentId>,
    seller: SellerId,
    /// `processing`: the provider has not answered definitely; `succeeded`; `failed`: nothing moved.
    #[schema(value_type = String, example = "succeeded")]
    status: &'static str,
    /// Minor units.
    #[schema(example = 2250)]
    amount: i64,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    provider: ProviderRef,
    failure: Option<Failure>,
    created_at: Time,
    updated_at: Time,
}

impl ReversalBody {
    fn show(mode: Mode, reversal: Reversal) -> Self {
        Self {
            object: "reversal",
            id: reversal.id,
            mode: mode.as_str(),
            transfer: reversal.transfer,
            payment: reversal.of.payment(),
            adjustment: reversal.of.adjustment(),
            seller: reversal.seller,
            status: reversal.status.as_str(),
            amount: reversal.amount.minor,
            currency: reversal.amount.currency,
            provider: ProviderRef { name: reversal.provider, id: reversal.provider_reversal },
            failure: reversal.failure.map(Failure::from),
            created_at: Time(reversal.created_at),
            updated_at: Time(reversal.updated_at),
        }
    }
}

/// One transfer.
#[utoipa::path(
    get, path = "/v1/transfers/{id}", tag = "Transfers", operation_id = "get_transfer",
    params(("id" = TransferId, Path, description = "The transfer")),
    responses((status = 200, description = "The transfer", body = TransferBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<TransferId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<TransferBody>, Problem> {
    caller.require("payments:read")?;
    let found = state
        .app
        .db
        .read("get transfer", caller.scope(), move |tx| Box::pin(async move { transfers::find(tx, id).await }))
        .await?;
    found.map(|transfer| Json(TransferBody::show(caller.mode, transfer))).ok_or_else(|| Problem::not_found("transfer"))
}

/// Filters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Any of these; may be repeated.
    #[serde(default)]
    #[param(example = json!(["succeeded"]))]
    status: Vec<String>,
    /// Of this payment.
    payment: Option<PaymentId>,
    /// To this seller.
    seller: Option<SellerId>,
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Transfers, newest first.
#[utoipa::path(
    get, path = "/v1/transfers", tag = "Transfers", operation_id = "list_transfers",
    params(Filters),
    responses((status = 200, description = "A page of transfers", body = List<TransferBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(filters): Query<Filters>,
) -> Result<Response, Problem> {
    caller.require("payments:read")?;
    known_words("status", &filters.status, |word| TransferStatus::parse(word).is_some())?;
    let bound = (&filters.status, &filters.payment, &filters.seller);
    let page = cursor::page::<TransferId, _>("/v1/transfers", &bound, filters.limit, filters.cursor.as_deref())?;
    let limit = page.fetch_limit();
    let Filters { status: statuses, payment, seller, .. } = filters;
    let filter = transfers::ListFilter { statuses, payment, seller, before: page.after };
    let rows = state
        .app
        .db
        .read("list transfers", caller.scope(), move |tx| {
            let filter = filter.clone();
            Box::pin(async move { transfers::list(tx, &filter, limit).await })
        })
        .await?;
    Ok(page.list(rows, |transfer| transfer.id, |transfer| TransferBody::show(caller.mode, transfer)).respond(&uri))
}

/// What was taken back of a transfer, newest first; all of it.
#[utoipa::path(
    get, path = "/v1/transfers/{id}/reversals", tag = "Transfers", operation_id = "list_transfer_reversals",
    params(("id" = TransferId, Path, description = "The transfer")),
    responses((status = 200, description = "Its reversals", body = List<ReversalBody>), Refusals),
)]
async fn list_reversals(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<TransferId>,
    OriginalUri(uri): OriginalUri,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    caller.require("payments:read")?;
    let found = state
        .app
        .db
        .read("list reversals", caller.scope(), move |tx| {
            Box::pin(async move {
                if transfers::find(tx, id).await?.is_none() {
                    return Ok(None);
                }
                Ok::<_, DbError>(Some(transfers::list_reversals_of(tx, id).await?))
            })
        })
        .await?;
    let reversals = found.ok_or_else(|| Problem::not_found("transfer"))?;
    let shown = reversals.into_iter().map(|reversal| ReversalBody::show(caller.mode, reversal)).collect();
    Ok(List::whole(shown).respond(&uri))
}
