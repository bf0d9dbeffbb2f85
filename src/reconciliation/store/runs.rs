//! SQL of reconciliation_runs.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use uuid::Uuid;

use crate::actor::Actor;
use crate::id::RunId;
use crate::reconciliation::{ReconciliationError, Run, RunStatus, Scope, Standing};

/// How long a turn may go without a sign of life.
const LEASE_SECONDS: f64 = 300.0;
/// For so many accounts a run keeps the compared balances; beyond them, only those that differ.
const MOST_BALANCES: i32 = 200;

/// Gives up runs that nobody is at any more. What the schedule began is left to it, unless `all`.
pub(in crate::reconciliation) async fn give_up_dead(tx: &mut Tx, all: bool, now: Timestamp) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "update reconciliation_runs
         set status = 'failed', error = 'it was not finished', finished_at = $2, lease_until = null
         where book_id = $1 and status = 'running' and (lease_until is null or lease_until < clock_timestamp())
             and ($3 or not scheduled)",
        book.get(),
        now.to_sqlx() as _,
        all
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "delete from reconciliation_tasks t
         where t.book_id = $1 and not exists (
             select from reconciliation_runs r
             where r.book_id = t.book_id and r.id = t.run_id and r.status = 'running')",
        book.get()
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What a run begins as.
#[derive(Debug, Clone, Copy)]
pub(in crate::reconciliation) struct NewRun {
    pub(in crate::reconciliation) id: RunId,
    pub(in crate::reconciliation) scope: Scope,
    pub(in crate::reconciliation) scheduled: bool,
    pub(in crate::reconciliation) actor: Actor,
    pub(in crate::reconciliation) now: Timestamp,
}

/// Begins a run, in its first turn.
pub(in crate::reconciliation) async fn insert(tx: &mut Tx, new: NewRun) -> Result<(), ReconciliationError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into reconciliation_runs (book_id, id, status, scope, scheduled, created_by, created_at, turn, lease_until)
         values ($1, $2, 'running', $3, $4, $5, $6, 1, clock_timestamp() + make_interval(secs => $7))",
        book.get(),
        new.id.uuid(),
        new.scope.as_str(),
        new.scheduled,
        new.actor.to_string(),
        new.now.to_sqlx() as _,
        LEASE_SECONDS
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

/// Takes the next turn of the run that the schedule has under way; none when there is no such run, or somebody is at it.
pub(in crate::reconciliation) async fn resume(tx: &mut Tx) -> Result<Option<(RunId, i32)>, DbError> {
    let book = tx.book_id();
    let row = sqlx::query!(
        "update reconciliation_runs
         set turn = turn + 1, lease_until = clock_timestamp() + make_interval(secs => $2)
         where book_id = $1 and status = 'running' and scheduled
             and (lease_until is null or lease_until < clock_timestamp())
         returning id, turn",
        book.get(),
        LEASE_SECONDS
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| (row.id.into(), row.turn)))
}

/// A sign of life. False when the run went on without this turn: nothing that it found may be kept.
pub(in crate::reconciliation) async fn renew(tx: &mut Tx, run: RunId, turn: i32) -> Result<bool, DbError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update reconciliation_runs set lease_until = clock_timestamp() + make_interval(secs => $4)
         where book_id = $1 and id = $2 and turn = $3 and status = 'running'",
        book.get(),
        run.uuid(),
        turn,
        LEASE_SECONDS
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a turn before the run's end: the next one may begin.
pub(in crate::reconciliation) async fn pause(tx: &mut Tx, run: RunId, turn: i32) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "update reconciliation_runs set lease_until = null
         where book_id = $1 and id = $2 and turn = $3 and status = 'running'",
        book.get(),
        run.uuid(),
        turn
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Notes what one account could not be compared for; the first reason is the run's.
pub(in crate::reconciliation) async fn note_failure(tx: &mut Tx, run: RunId, why: &str) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "update reconciliation_runs set error = coalesce(error, $3) where book_id = $1 and id = $2 and status = 'running'",
        book.get(),
        run.uuid(),
        why
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Ends a run: it has succeeded if every account could be compared. With `error`, it failed for that.
pub(in crate::reconciliation) async fn finish(
    tx: &mut Tx,
    run: RunId,
    error: Option<&str>,
    now: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "update reconciliation_runs
         set status = case when coalesce(error, $3) is null then 'succeeded' else 'failed' end,
             reconciled_through = case when coalesce(error, $3) is null then created_at end,
             error = coalesce(error, $3), finished_at = $4, lease_until = null
         where book_id = $1 and id = $2 and status = 'running'",
        book.get(),
        run.uuid(),
        error,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Adds to what a run found.
pub(in crate::reconciliation) async fn add_tally(
    tx: &mut Tx,
    run: RunId,
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
        run.uuid(),
        accounts,
        matched,
        adopted,
        breaks
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Keeps the balances of an account as they were compared.
pub(in crate::reconciliation) async fn add_balances(
    tx: &mut Tx,
    run: RunId,
    rows: &serde_json::Value,
    differs: bool,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "update reconciliation_runs set balances = balances || $3
         where book_id = $1 and id = $2 and ($4 or accounts < $5)",
        book.get(),
        run.uuid(),
        rows,
        differs,
        MOST_BALANCES
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Notes the ledger's position at which balances were compared.
pub(in crate::reconciliation) async fn set_position(
    tx: &mut Tx,
    run: RunId,
    position: &serde_json::Value,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "update reconciliation_runs set ledger_position = $3 where book_id = $1 and id = $2",
        book.get(),
        run.uuid(),
        position
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// When the last runs over everything began.
#[derive(Debug, Clone, Copy)]
pub(in crate::reconciliation) struct CompleteRuns {
    /// The last that succeeded.
    pub(in crate::reconciliation) succeeded: Option<Timestamp>,
    /// The last that has ended, well or not.
    pub(in crate::reconciliation) ended: Option<Timestamp>,
}

/// The last runs of the book over everything.
pub(in crate::reconciliation) async fn complete_runs(tx: &mut Tx) -> Result<CompleteRuns, DbError> {
    let book = tx.book_id();
    let row = sqlx::query!(
        r#"select (select max(created_at) from reconciliation_runs
                   where book_id = $1 and scope = 'complete' and status = 'succeeded') as "succeeded: jiff_sqlx::Timestamp",
                  (select max(created_at) from reconciliation_runs
                   where book_id = $1 and scope = 'complete' and status <> 'running') as "ended: jiff_sqlx::Timestamp""#,
        book.get()
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(CompleteRuns {
        succeeded: row.succeeded.map(jiff_sqlx::Timestamp::to_jiff),
        ended: row.ended.map(jiff_sqlx::Timestamp::to_jiff),
    })
}

/// Removes runs of the schedule over what had moved that found nothing and began before `before`.
pub(in crate::reconciliation) async fn remove_uneventful(tx: &mut Tx, before: Timestamp) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "delete from reconciliation_runs
         where book_id = $1 and created_at < $2 and scheduled and scope = 'recent' and status = 'succeeded'
             and breaks = 0 and adopted = 0",
        book.get(),
        before.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Where reconciliation of the transaction's book stands.
///
/// # Errors
/// What the database says.
pub async fn standing(tx: &mut Tx) -> Result<Standing, DbError> {
    let book = tx.book_id();
    let row = sqlx::query!(
        r#"select (select reconciled_through from reconciliation_runs
                   where book_id = $1 and reconciled_through is not null order by created_at desc limit 1)
                      as "through: jiff_sqlx::Timestamp",
                  (select count(*) from reconciliation_open_breaks
                   where book_id = $1 and told_at is not null) as "open_breaks!""#,
        book.get()
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(Standing { reconciled_through: row.through.map(jiff_sqlx::Timestamp::to_jiff), open_breaks: row.open_breaks })
}

/// Makes every book due that has a provider and was never reconciled, not all of them at once: `within` seconds.
pub(in crate::reconciliation) async fn schedule(
    tx: &mut Tx,
    kind: &str,
    within: i32,
    now: Timestamp,
) -> Result<(), DbError> {
    sqlx::query!(
        "insert into due (kind, book_id, id, due_at)
         select $1, book_id, 0, $2::timestamptz + make_interval(secs => (book_id::bigint * 61 % $3)::float8)
         from provider_connections
         on conflict (kind, book_id, id) do nothing",
        kind,
        now.to_sqlx() as _,
        i64::from(within)
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

struct RunRow {
    id: Uuid,
    status: String,
    scope: String,
    scheduled: bool,
    accounts: i32,
    matched: i64,
    adopted: i64,
    breaks: i32,
    ledger_position: Option<serde_json::Value>,
    reconciled_through: Option<jiff_sqlx::Timestamp>,
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
            scope: Scope::parse(&row.scope).expect("reconciliation_runs_scope_known allows no other word"),
            scheduled: row.scheduled,
            accounts: row.accounts,
            matched: row.matched,
            adopted: row.adopted,
            breaks: row.breaks,
            ledger_position: row.ledger_position,
            reconciled_through: row.reconciled_through.map(jiff_sqlx::Timestamp::to_jiff),
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
        r#"select id, status, scope, scheduled, accounts, matched, adopted, breaks, ledger_position,
                  reconciled_through as "reconciled_through: _", balances, error, created_by, created_at as "created_at: _", finished_at as "finished_at: _"
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
        r#"select id, status, scope, scheduled, accounts, matched, adopted, breaks, ledger_position,
                  reconciled_through as "reconciled_through: _", balances, error, created_by, created_at as "created_at: _", finished_at as "finished_at: _"
           from reconciliation_runs where book_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3"#,
        book.get(),
        before.map(RunId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Run::from).collect())
}
