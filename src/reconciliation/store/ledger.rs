//! What reconciliation reads of the ledger and of the movements that it has.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_ledger::{AccountKey, LedgerError, balances};
use partita_provider::{Balance, Currency};

use crate::chart::{Chart, Kind, PlatformAccount, SellerAccount, SellerNumber};
use crate::provider_movements::{self, Movement};
use crate::reconciliation::ReconciliationError;
use crate::reconciliation::compare::{InLedger, Known, LedgerBalances};
use crate::reconciliation::pages::Span;

/// The transactions whose source is a movement.
const OF_MOVEMENTS: [Kind; 30] = [
    Kind::PaymentCharged,
    Kind::CaptureRestReleased,
    Kind::PaymentFailed,
    Kind::FundsAvailable,
    Kind::TransferConfirmed,
    Kind::TransferArrived,
    Kind::TransferWithCharge,
    Kind::ReversalConfirmed,
    Kind::ReversalTaken,
    Kind::RefundConfirmed,
    Kind::RefundReturned,
    Kind::PayoutSent,
    Kind::PayoutFailed,
    Kind::PlatformPayoutSent,
    Kind::PlatformPayoutFailed,
    Kind::TopUpConfirmed,
    Kind::ReserveChanged,
    Kind::DisputeWithdrawn,
    Kind::DisputeReinstated,
    Kind::DirectCharged,
    Kind::DirectFailed,
    Kind::DirectRefunded,
    Kind::DirectRefundReturned,
    Kind::DirectDisputed,
    Kind::DirectDisputeReinstated,
    Kind::ApplicationFeeReceived,
    Kind::ApplicationFeeReturned,
    Kind::PayoutFeeTaken,
    Kind::PayoutFeeReturned,
    Kind::PayoutCostTaken,
];

/// Most movements that are told as missing between two pages. Whoever has lost more than that knows by these.
const MOST_MISSING: i64 = 1_000;

/// Our movements of a span of the provider's list that are not among what it showed there: perhaps it has them not.
pub(in crate::reconciliation) async fn not_shown(
    tx: &mut Tx,
    account: &str,
    span: &Span,
    recorded_before: Timestamp,
) -> Result<Vec<Movement>, DbError> {
    let book = tx.book_id();
    let ids = sqlx::query_scalar!(
        "select movement_id from provider_movements
         where book_id = $1 and account = $2 and created_on > $3 and created_on <= $4 and recorded_at < $5
             and movement_id <> all($6)
         limit $7",
        book.get(),
        account,
        span.after.to_sqlx() as _,
        span.until.to_sqlx() as _,
        recorded_before.to_sqlx() as _,
        &span.shown,
        MOST_MISSING
    )
    .fetch_all(tx.conn())
    .await?;
    provider_movements::list_of_account(tx, account, &ids).await
}

/// What the ledger has of these movements.
pub(in crate::reconciliation) async fn known(
    tx: &mut Tx,
    account: &str,
    seller: Option<SellerNumber>,
    ids: &[String],
) -> Result<Known, ReconciliationError> {
    let movements = provider_movements::list_of_account(tx, account, ids).await?;
    let keys: Vec<i64> = movements.iter().map(|movement| movement.key).collect();
    let effects = effects(tx, &keys).await?;
    let book = tx.book_id();
    let in_ledger = |movement: Movement| {
        let (pending, available) = watched(Chart { book, currency: movement.currency }, seller);
        let on = |watched: AccountKey| effects.get(&(movement.key, watched.get())).copied().unwrap_or(0);
        (movement.id.clone(), InLedger { pending: on(pending), available: on(available), movement })
    };
    Ok(movements.into_iter().map(in_ledger).collect())
}

/// The accounts that mirror a balance at the provider.
fn watched(chart: Chart, seller: Option<SellerNumber>) -> (AccountKey, AccountKey) {
    match seller {
        None => (chart.platform(PlatformAccount::ProviderPending), chart.platform(PlatformAccount::ProviderAvailable)),
        Some(number) => (
            chart.seller(number, SellerAccount::ConnectedPending),
            chart.seller(number, SellerAccount::ConnectedAvailable),
        ),
    }
}

/// What the transactions of these sources moved, by source and account, debits positive.
async fn effects(tx: &mut Tx, sources: &[i64]) -> Result<HashMap<(i64, i64), i128>, DbError> {
    let book = tx.book_id();
    let kinds: Vec<i16> = OF_MOVEMENTS.iter().map(|kind| kind.number()).collect();
    let rows = sqlx::query!(
        "select t.source, p.debit_account, p.credit_account, p.amount
         from ledger_transactions t
         join ledger_postings p on p.book_id = t.book_id and p.lane = t.lane and p.seq = t.seq
         where t.book_id = $1 and t.kind = any($2) and t.source = any($3)",
        book.get(),
        &kinds,
        sources
    )
    .fetch_all(tx.conn())
    .await?;
    let mut effects = HashMap::new();
    for row in rows {
        *effects.entry((row.source, row.debit_account)).or_insert(0) += i128::from(row.amount);
        *effects.entry((row.source, row.credit_account)).or_insert(0) -= i128::from(row.amount);
    }
    Ok(effects)
}

/// The currencies to compare: those that the book has accounts in, and those in which the provider has something.
pub(in crate::reconciliation) async fn currencies(
    tx: &mut Tx,
    seller: Option<SellerNumber>,
    said: &Balance,
) -> Result<BTreeSet<Currency>, DbError> {
    let book = tx.book_id();
    let ours = sqlx::query_scalar!(
        "select default_currency from sellers where book_id = $1 and ($2::int is null or number = $2)
         union select currency from top_ups where book_id = $1 and $2::int is null",
        book.get(),
        seller.map(|number| number.0)
    )
    .fetch_all(tx.conn())
    .await?;
    // What the provider converts into may be nobody's currency here.
    let settled = sqlx::query_scalar!(
        r#"select currency as "currency!" from ledger_accounts
           where book_id = $1 and path = 'prov.available' and $2::int is null"#,
        book.get(),
        seller.map(|number| number.0)
    )
    .fetch_all(tx.conn())
    .await?;
    let settled = settled.into_iter().filter_map(|number| Currency::from_numeric(u16::try_from(number).ok()?));
    let theirs = [&said.available, &said.pending, &said.reserved].into_iter().flatten();
    let moved = theirs.filter(|money| money.minor != 0).map(|money| money.currency);
    let known = ours.into_iter().flatten().filter_map(|code| Currency::parse(&code).ok());
    Ok(known.chain(settled).chain(moved).collect())
}

/// The ledger's balances that mirror an account at the provider; zero where no account was opened.
pub(in crate::reconciliation) async fn ledger_balances(
    tx: &mut Tx,
    chart: Chart,
    seller: Option<SellerNumber>,
) -> Result<LedgerBalances, ReconciliationError> {
    let (pending, available) = watched(chart, seller);
    let mut accounts = vec![pending, available];
    if seller.is_none() {
        accounts.push(chart.platform(PlatformAccount::ProviderReserved));
    }
    let found = match balances(tx, &accounts).await {
        Err(LedgerError::UnknownAccount { .. }) => return Ok(LedgerBalances::default()),
        other => other?,
    };
    let of = |key: AccountKey| {
        found.iter().filter(|balance| balance.account == key).map(|balance| balance.debits - balance.credits).sum()
    };
    let reserved = accounts.get(2).map_or(0, |key| of(*key));
    Ok(LedgerBalances { pending: of(pending), available: of(available), reserved })
}
