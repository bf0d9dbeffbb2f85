//! SQL of verify_runs, halted_books, halt_clearances and book_timelines.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{BookId, DbError, Tx};
use uuid::Uuid;

use super::{Depth, Report};
use crate::id::VerifyRunId;

/// Why a book is halted.
#[derive(Debug, Clone, Copy)]
pub struct Halt {
    /// The run that found it.
    pub run: VerifyRunId,
    /// Since when, by the database's clock.
    pub since: Timestamp,
}

/// The database's clock.
pub(super) async fn now(tx: &mut Tx) -> Result<Timestamp, DbError> {
    let now = sqlx::query_scalar!(r#"select clock_timestamp() as "now!: jiff_sqlx::Timestamp""#);
    Ok(now.fetch_one(tx.conn()).await?.to_jiff())
}

pub(super) async fn insert_run(
    tx: &mut Tx,
    id: VerifyRunId,
    depth: Depth,
    report: &Report,
    findings: &serde_json::Value,
) -> Result<(), DbError> {
    let book = tx.book_id().get();
    sqlx::query!(
        "insert into verify_runs (book_id, id, depth, position, decisions, postings, clean, findings, started_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        book,
        id.uuid(),
        depth.as_str(),
        report.position,
        i64::try_from(report.decisions).unwrap_or(i64::MAX),
        i64::try_from(report.postings).unwrap_or(i64::MAX),
        report.is_clean(),
        findings,
        report.started_at.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "delete from verify_runs r
         where r.book_id = $1 and r.depth = 'new' and r.clean and r.finished_at < clock_timestamp() - interval '1 day'",
        book
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The findings of the newest run before.
pub(super) async fn last_findings(tx: &mut Tx) -> Result<Option<serde_json::Value>, DbError> {
    let last = sqlx::query_scalar!(
        "select findings from verify_runs where book_id = $1 order by finished_at desc limit 1",
        tx.book_id().get()
    );
    Ok(last.fetch_optional(tx.conn()).await?)
}

/// Halts the book of the transaction; false if it was.
pub(super) async fn insert_halt(tx: &mut Tx, run: VerifyRunId) -> Result<bool, DbError> {
    let inserted = sqlx::query!(
        "insert into halted_books (book_id, run_id) values ($1, $2) on conflict do nothing",
        tx.book_id().get(),
        run.uuid()
    );
    Ok(inserted.execute(tx.conn()).await?.rows_affected() == 1)
}

/// Whether and why a book is halted.
///
/// # Errors
/// What the database says.
pub async fn find_halt(tx: &mut Tx, book: BookId) -> Result<Option<Halt>, DbError> {
    let halt = sqlx::query!(
        r#"select run_id, halted_at as "halted_at: jiff_sqlx::Timestamp" from halted_books where book_id = $1"#,
        book.get()
    );
    let halt = halt.fetch_optional(tx.conn()).await?;
    Ok(halt.map(|halt| Halt { run: halt.run_id.into(), since: halt.halted_at.to_jiff() }))
}

/// The gate of the transaction's book.
pub(super) async fn is_halted(tx: &mut Tx) -> Result<bool, DbError> {
    let halted = sqlx::query_scalar!(
        r#"select (exists (select from halted_books where book_id = $1)
               or not exists (select from book_timelines where book_id = $1
                   and timeline = substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))) as "halted!""#,
        tx.book_id().get()
    );
    Ok(halted.fetch_one(tx.conn()).await?)
}

/// In how many books nothing that moves money may be started. Asked under no book; fails on a standby.
///
/// # Errors
/// What the database says.
pub async fn count_halted(tx: &mut Tx) -> Result<i64, DbError> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from books b
           where exists (select from halted_books h where h.book_id = b.book_id)
               or not exists (select from book_timelines t where t.book_id = b.book_id
                   and t.timeline = substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))"#
    );
    Ok(count.fetch_one(tx.conn()).await?)
}

/// The books that do not know the timeline of the server. Asked under no book.
pub(super) async fn books_taken_over(tx: &mut Tx) -> Result<Vec<BookId>, DbError> {
    let books = sqlx::query_scalar!(
        r#"select b.book_id as "book: BookId" from books b
           where not exists (select from book_timelines t where t.book_id = b.book_id
               and t.timeline = substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))
           order by b.book_id"#
    );
    Ok(books.fetch_all(tx.conn()).await?)
}

/// Has the transaction's book know the timeline of the server; false if it does.
pub(super) async fn insert_timeline(tx: &mut Tx) -> Result<bool, DbError> {
    let inserted = sqlx::query!(
        "insert into book_timelines (book_id, timeline) values ($1, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))
         on conflict do nothing",
        tx.book_id().get()
    );
    Ok(inserted.execute(tx.conn()).await?.rows_affected() == 1)
}

/// When the transaction's book last changed anything.
pub(super) async fn last_written(tx: &mut Tx) -> Result<Option<Timestamp>, DbError> {
    let last = sqlx::query_scalar!(
        r#"select max(recorded_at) as "last: jiff_sqlx::Timestamp" from outbox where book_id = $1"#,
        tx.book_id().get()
    );
    Ok(last.fetch_one(tx.conn()).await?.map(jiff_sqlx::Timestamp::to_jiff))
}

/// Takes the book of the transaction out of this halt; false if it is not in it.
pub(super) async fn clear_halt(
    tx: &mut Tx,
    halt: Halt,
    clean_run: Uuid,
    actor: &str,
    reason: &str,
) -> Result<bool, DbError> {
    let book = tx.book_id().get();
    let deleted = sqlx::query!("delete from halted_books where book_id = $1 and run_id = $2", book, halt.run.uuid());
    if deleted.execute(tx.conn()).await?.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!(
        "insert into halt_clearances (book_id, halt_run, clean_run, actor, reason, halted_at)
         values ($1, $2, $3, $4, $5, $6)",
        book,
        halt.run.uuid(),
        clean_run,
        actor,
        reason,
        halt.since.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(true)
}
