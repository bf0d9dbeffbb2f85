//! `/v1/sellers/{id}/balance`: what a seller is owed, and why some of it is held.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use partita_db::Tx;
use partita_ledger::{LedgerError, balances};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::auth::Caller;
use super::fields::{Currency, currency_schema};
use super::held::{self, HeldBody};
use super::json::PathId;
use super::problem::Problem;
use super::query::{NoParameters, Query};
use super::render::{Refusals, Time};
use crate::chart::{Chart, SellerAccount};
use crate::id::SellerId;
use crate::sellers;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(balance))
}

/// What a seller is owed and what it has at the provider, in one currency. Amounts in minor units.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
struct SellerBalanceRow {
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// Earned; the provider does not let it be moved yet, or it waits until its line is released.
    #[schema(example = 5400)]
    pending: i64,
    /// Earned and free to be transferred. Below zero: the seller owes it, for instance after a refund.
    available: i64,
    /// Held while a dispute hangs over it.
    held: i64,
    /// Kept back against refunds and disputes.
    reserve: i64,
    /// What the seller owes beside that.
    debt: i64,
    /// At the provider, on the seller's account: not free yet.
    provider_pending: i64,
    /// At the provider, on the seller's account: free to be paid out.
    provider_available: i64,
    /// On its way to the seller's bank.
    in_transit: i64,
}

/// A seller's balance.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct SellerBalance {
    /// Always `seller_balance`.
    #[schema(value_type = String, example = "seller_balance")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    seller: SellerId,
    /// By currency.
    balances: Vec<SellerBalanceRow>,
    /// Why `held` and `reserve` are, and of `pending` what waits though it is usable: each dispute, each line that waits, and what
    /// reserves give back on each day, the next first; 100 of each at most.
    held_because: Vec<HeldBody>,
    /// When it was read.
    as_of: Time,
    /// How far the ledger had come then: lane and number.
    #[schema(example = "1:523,2:88")]
    position: String,
}

/// What a seller is owed, and what it has at the provider.
#[utoipa::path(
    get, path = "/v1/sellers/{id}/balance", tag = "Sellers", operation_id = "get_seller_balance",
    params(("id" = SellerId, Path, description = "The seller")),
    responses((status = 200, description = "The balance, exact", body = SellerBalance), Refusals),
)]
async fn balance(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<SellerId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<SellerBalance>, Problem> {
    caller.require("sellers:read")?;
    let (mode, now) = (caller.mode.as_str(), state.app.clock.now());
    let found = state
        .app
        .db
        .read("seller balance", caller.scope(), move |tx| Box::pin(async move { balance_of(tx, id, mode, now).await }))
        .await?;
    found.map(Json).ok_or_else(|| Problem::not_found("seller"))
}

async fn balance_of(
    tx: &mut Tx,
    id: SellerId,
    mode: &'static str,
    now: Timestamp,
) -> Result<Option<SellerBalance>, LedgerError> {
    let Some(seller) = sellers::find(tx, id).await? else { return Ok(None) };
    let chart = Chart { book: tx.book_id(), currency: seller.default_currency };
    let kinds = [
        SellerAccount::Pending,
        SellerAccount::Available,
        SellerAccount::Held,
        SellerAccount::Reserve,
        SellerAccount::Debt,
        SellerAccount::ConnectedPending,
        SellerAccount::ConnectedAvailable,
        SellerAccount::ConnectedInTransit,
    ];
    let found = balances(tx, &kinds.map(|kind| chart.seller(seller.number, kind))).await?;
    let amount = |at: usize| super::ledger::shown(found[at].signed());
    let row = SellerBalanceRow {
        currency: seller.default_currency,
        pending: amount(0),
        available: amount(1),
        held: amount(2),
        reserve: amount(3),
        debt: amount(4),
        provider_pending: amount(5),
        provider_available: amount(6),
        in_transit: amount(7),
    };
    let held_because = held::because(tx, id, seller.default_currency).await?;
    let position = partita_ledger::current_position(tx).await?.to_string();
    Ok(Some(SellerBalance {
        object: "seller_balance",
        mode,
        seller: id,
        balances: vec![row],
        held_because,
        as_of: Time(now),
        position,
    }))
}
