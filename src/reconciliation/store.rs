//! SQL of reconciliation_runs and reconciliation_breaks, and what reconciliation reads of the ledger.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_ledger::{AccountKey, LedgerError, balances};
use partita_provider::{Balance, Currency};
use uuid::Uuid;

use super::compare::{Finding, InLedger, Known, LedgerBalances};
use super::{Break, BreakKind, ReconciliationError, Run, RunStatus};
use crate::actor::Actor;
use crate::chart::{Chart, Kind, PlatformAccount, SellerAccount, SellerNumber};
use crate::id::{BreakId, RunId};
use crate::provider_movements::{self, Movement};

/// The transactions whose source is a movement.
const OF_MOVEMENTS: [Kind; 13] = [
    Kind::PaymentCharged,
    Kind::FundsAvailable,
    Kind::TransferConfirmed,
    Kind::TransferArrived,
    Kind::ReversalConfirmed,
    Kind::ReversalTaken,
    Kind::RefundConfirmed,
    Kind::PayoutSent,
    Kind::PayoutFailed,
    Kind::TopUpConfirmed,
    Kind::ReserveChanged,
    Kind::DisputeWithdrawn,
    Kind::DisputeReinstated,
];

pub(super) async fn database_now(tx: &mut Tx) -> Result<Timestamp, DbError> {
    let now =
        sqlx::query_scalar!(r#"select clock_timestamp() as "now!: jiff_sqlx::Timestamp""#).fetch_one(tx.conn()).await?;
    Ok(now.to_jiff())
}

/// A run that began so long ago died with its process.
const DEAD_AFTER_HOURS: i64 = 1;

pub(super) async fn give_up_dead_runs(tx: &mut Tx, now: Timestamp) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "update reconciliation_runs set status = 'failed', error = 'it was not finished', finished_at = $2
         where book_id = $1 and status = 'running' and created_at < $3",
        book.get(),
        now.to_sqlx() as _,
        (now - SignedDuration::from_hours(DEAD_AFTER_HOURS)).to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(super) async fn insert(tx: &mut Tx, id: RunId, actor: Actor, now: Timestamp) -> Result<(), ReconciliationError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into reconciliation_runs (book_id, id, status, created_by, created_at) values ($1, $2, 'running', $3, $4)",
        book.get(),
        id.uuid(),
        actor.to_string(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)
    .map_err(|error| match error.constraint() {
        Some("reconciliation_runs_one_at_a_time") => ReconciliationError::AlreadyRunning,
        _ => error.into(),
    })?;
    Ok(())
}

pub(super) async fn finish(tx: &mut Tx, id: RunId, error: Option<&str>, now: Timestamp) -> Result<(), DbError> {
    let book = tx.book_id();
    let status = if error.is_some() { RunStatus::Failed } else { RunStatus::Succeeded };
    sqlx::query!(
        "update reconciliation_runs set status = $3, error = $4, finished_at = $5
         where book_id = $1 and id = $2 and status = 'running'",
        book.get(),
        id.uuid(),
        status.as_str(),
        error,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(super) async fn add_tally(
    tx: &mut Tx,
    id: RunId,
    accounts: i32,
    matched: i64,
    adopted: i64,
    breaks: i32,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "update reconciliation_runs
         set accounts = accounts + $3, matched = matched + $4, adopted = adopted + $5, breaks = breaks + $6
         where book_id = $1 and id = $2 and status = 'running'",
        book.get(),
        id.uuid(),
        accounts,
        matched,
        adopted,
        breaks
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(super) async fn add_balances(tx: &mut Tx, id: RunId, rows: &serde_json::Value) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "update reconciliation_runs set balances = balances || $3 where book_id = $1 and id = $2",
        book.get(),
        id.uuid(),
        rows
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(super) async fn set_position(tx: &mut Tx, id: RunId, position: &serde_json::Value) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "update reconciliation_runs set ledger_position = $3 where book_id = $1 and id = $2",
        book.get(),
        id.uuid(),
        position
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

struct RunRow {
    id: Uuid,
    status: String,
    accounts: i32,
    matched: i64,
    adopted: i64,
    breaks: i32,
    ledger_position: Option<serde_json::Value>,
    balances: serde_json::Value,
    error: Option<String>,
    created_by: String,
    created_at: jiff_sqlx::Timestamp,
    finished_at: Option<jiff_sqlx::Timestamp>,
}

impl From<RunRow> for Run {
    fn from(row: RunRow) -> Self {
        Self {
            id: row.id.into(),
            status: RunStatus::parse(&row.status).expect("reconciliation_runs_status_known allows no other word"),
            accounts: row.accounts,
            matched: row.matched,
            adopted: row.adopted,
            breaks: row.breaks,
            ledger_position: row.ledger_position,
            balances: row.balances,
            error: row.error,
            created_by: row.created_by,
            created_at: row.created_at.to_jiff(),
            finished_at: row.finished_at.map(jiff_sqlx::Timestamp::to_jiff),
        }
    }
}

/// A run by its id.
///
/// # Errors
/// What the database says.
pub async fn find(tx: &mut Tx, id: RunId) -> Result<Option<Run>, DbError> {
    let book = tx.book_id();
    let row = sqlx::query_as!(
        RunRow,
        r#"select id, status, accounts, matched, adopted, breaks, ledger_position, balances, error, created_by,
                  created_at as "created_at: _", finished_at as "finished_at: _"
           from reconciliation_runs where book_id = $1 and id = $2"#,
        book.get(),
        id.uuid()
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Run::from))
}

/// Runs, newest first, older than `before`.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx, before: Option<RunId>, limit: i64) -> Result<Vec<Run>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query_as!(
        RunRow,
        r#"select id, status, accounts, matched, adopted, breaks, ledger_position, balances, error, created_by,
                  created_at as "created_at: _", finished_at as "finished_at: _"
           from reconciliation_runs where book_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3"#,
        book.get(),
        before.map(RunId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Run::from).collect())
}

pub(super) async fn insert_break(
    tx: &mut Tx,
    run: RunId,
    account: &str,
    finding: &Finding,
    now: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into reconciliation_breaks (book_id, id, run_id, kind, account, movement_id, currency, ledger_amount,
                                            provider_amount, detail, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        book.get(),
        BreakId::new().uuid(),
        run.uuid(),
        finding.kind.as_str(),
        account,
        finding.movement,
        finding.currency.code(),
        finding.ledger_amount,
        finding.provider_amount,
        finding.detail,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The breaks of a run, oldest first, newer than `after`.
///
/// # Errors
/// What the database says.
pub async fn list_breaks(tx: &mut Tx, run: RunId, after: Option<BreakId>, limit: i64) -> Result<Vec<Break>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select id, run_id, kind, account, movement_id, currency, ledger_amount, provider_amount, detail,
                  created_at as "created_at: jiff_sqlx::Timestamp"
           from reconciliation_breaks
           where book_id = $1 and run_id = $2 and ($3::uuid is null or id > $3) order by id limit $4"#,
        book.get(),
        run.uuid(),
        after.map(BreakId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Break {
            id: row.id.into(),
            run: row.run_id.into(),
            kind: BreakKind::parse(&row.kind).expect("reconciliation_breaks_kind_known allows no other word"),
            account: row.account,
            movement: row.movement_id,
            currency: row.currency,
            ledger_amount: row.ledger_amount,
            provider_amount: row.provider_amount,
            detail: row.detail,
            created_at: row.created_at.to_jiff(),
        })
        .collect())
}

pub(super) async fn mark_seen(tx: &mut Tx, run: RunId, account: &str, ids: &[String]) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "update provider_movements set seen_in_run = $2 where book_id = $1 and account = $3 and movement_id = any($4)",
        book.get(),
        run.uuid(),
        account,
        ids
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(super) async fn unseen(
    tx: &mut Tx,
    run: RunId,
    account: &str,
    recorded_before: Timestamp,
) -> Result<Vec<Movement>, DbError> {
    let book = tx.book_id();
    let ids = sqlx::query_scalar!(
        "select movement_id from provider_movements
         where book_id = $1 and account = $2 and seen_in_run is distinct from $3 and recorded_at < $4",
        book.get(),
        account,
        run.uuid(),
        recorded_before.to_sqlx() as _
    )
    .fetch_all(tx.conn())
    .await?;
    provider_movements::list_of_account(tx, account, &ids).await
}

/// What the ledger has of these movements.
pub(super) async fn known(
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
pub(super) async fn currencies(
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
    let theirs = [&said.available, &said.pending, &said.reserved].into_iter().flatten();
    let moved = theirs.filter(|money| money.minor != 0).map(|money| money.currency);
    let known = ours.into_iter().flatten().filter_map(|code| Currency::parse(&code).ok());
    Ok(known.chain(moved).collect())
}

/// The ledger's balances that mirror an account at the provider; zero where no account was opened.
pub(super) async fn ledger_balances(
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
