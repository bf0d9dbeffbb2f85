//! `/v1/balances`: the platform's money, by currency.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use partita_db::Tx;
use partita_ledger::{AccountFilter, Balance, LedgerError, balances, current_position, list_accounts};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::auth::Caller;
use super::fields::{Currency, currency_schema};
use super::ledger::shown;
use super::problem::Problem;
use super::query::{NoParameters, Query};
use super::render::{Refusals, Time};
use crate::chart::{Chart, PlatformAccount};

/// There are fewer currencies in the world.
const MOST_CURRENCIES: u16 = 1_000;
/// The path of an account that every currency in use has.
const IN_EVERY_CURRENCY: &str = "prov.available";

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(fetch))
}

/// The platform's money in one currency; minor units.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = PlatformBalanceRow)]
struct RowBody {
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// At the provider, not usable yet.
    #[schema(example = 11680)]
    provider_pending: i64,
    /// At the provider, usable.
    provider_available: i64,
    /// Kept by the provider against negative balances of sellers.
    provider_reserved: i64,
    /// On its way from the provider to the bank.
    provider_in_transit: i64,
    /// The bank account, as far as the books know it.
    bank: i64,
    /// Transfers asked, not confirmed.
    clearing_transfers: i64,
    /// Refunds asked, not confirmed.
    clearing_refunds: i64,
    /// Top-ups asked, not confirmed.
    clearing_top_ups: i64,
    /// Taken by the provider for disputes that are not decided.
    disputed: i64,
    /// Commission earned, less what refunds gave back.
    #[schema(example = 1000)]
    commission: i64,
    /// The platform's own sales and other fees.
    fees: i64,
    /// What the processor kept.
    #[schema(example = 320)]
    processing_costs: i64,
    /// What the provider took for disputes and did not give back.
    dispute_fees: i64,
    /// Of lost disputes, what nobody else bears.
    dispute_losses: i64,
    /// What was given to sellers by hand, less what was taken back.
    goodwill: i64,
    /// Sellers' debts that were given up.
    bad_debts: i64,
    /// Tax owed to the state.
    #[schema(example = 2000)]
    tax_payable: i64,
    /// Tax on commissions, owed to the state.
    commission_vat: i64,
    /// Of payments that were settled in another currency, what is not closed: above zero what is to come in this one, below zero
    /// what was settled in it.
    currency_positions: i64,
    /// What converting cost; below zero, what it brought.
    exchange_losses: i64,
}

/// The platform's money, by currency.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PlatformBalance)]
struct BalanceBody {
    /// Always `balance`.
    #[schema(value_type = String, example = "balance")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    balances: Vec<RowBody>,
    /// When it was read.
    as_of: Time,
    /// How far the ledger had come then.
    #[schema(example = "1:523,2:88")]
    position: String,
}

/// The platform's money: at the provider, in clearing, earned and owed.
#[utoipa::path(
    get, path = "/v1/balances", tag = "Ledger", operation_id = "get_balances",
    responses((status = 200, description = "By currency, exact", body = BalanceBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<BalanceBody>, Problem> {
    caller.require("ledger:read")?;
    let (mode, now) = (caller.mode.as_str(), state.app.clock.now());
    let body = state
        .app
        .db
        .read("platform balance", caller.scope(), move |tx| Box::pin(async move { read(tx, mode, now).await }))
        .await?;
    Ok(Json(body))
}

async fn read(tx: &mut Tx, mode: &'static str, now: Timestamp) -> Result<BalanceBody, LedgerError> {
    let in_use = AccountFilter { path: Some(IN_EVERY_CURRENCY.to_owned()), ..AccountFilter::default() };
    let mut rows = Vec::new();
    for account in list_accounts(tx, &in_use, MOST_CURRENCIES).await? {
        let chart = Chart { book: tx.book_id(), currency: account.key.currency() };
        // Keys begin with the platform's own. One that a later release brought is opened when it is first booked to.
        let of_currency = AccountFilter { currency: Some(chart.currency), ..AccountFilter::default() };
        let most = u16::try_from(PlatformAccount::ALL.len()).unwrap_or(u16::MAX);
        let open: Vec<_> = list_accounts(tx, &of_currency, most).await?.into_iter().map(|open| open.key).collect();
        let mut kinds: Vec<_> = PlatformAccount::ALL.iter().map(|kind| chart.platform(*kind)).collect();
        kinds.retain(|key| open.contains(key));
        rows.push(row(chart, &balances(tx, &kinds).await?));
    }
    let position = current_position(tx).await?.to_string();
    Ok(BalanceBody { object: "balance", mode, balances: rows, as_of: Time(now), position })
}

fn row(chart: Chart, found: &[Balance]) -> RowBody {
    let amount = |kind: PlatformAccount| {
        let key = chart.platform(kind);
        found.iter().find(|balance| balance.account == key).map_or(0, |balance| shown(balance.signed()))
    };
    RowBody {
        currency: chart.currency,
        provider_pending: amount(PlatformAccount::ProviderPending),
        provider_available: amount(PlatformAccount::ProviderAvailable),
        provider_reserved: amount(PlatformAccount::ProviderReserved),
        provider_in_transit: amount(PlatformAccount::ProviderInTransit),
        bank: amount(PlatformAccount::Bank),
        clearing_transfers: amount(PlatformAccount::ClearingTransfer),
        clearing_refunds: amount(PlatformAccount::ClearingRefund),
        clearing_top_ups: amount(PlatformAccount::ClearingTopUp),
        disputed: amount(PlatformAccount::Disputed),
        commission: amount(PlatformAccount::Commission),
        fees: amount(PlatformAccount::Fees),
        processing_costs: amount(PlatformAccount::Processing),
        dispute_fees: amount(PlatformAccount::DisputeFee),
        dispute_losses: amount(PlatformAccount::DisputeLoss),
        goodwill: amount(PlatformAccount::Goodwill),
        bad_debts: amount(PlatformAccount::BadDebt),
        tax_payable: amount(PlatformAccount::TaxPayable),
        commission_vat: amount(PlatformAccount::CommissionVat),
        currency_positions: amount(PlatformAccount::Exchange),
        exchange_losses: amount(PlatformAccount::ExchangeResult),
    }
}
