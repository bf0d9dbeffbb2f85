//! SQL of verify_runs, halted_books, halt_clearances and book_timelines.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{BookId, DbError, Tx};
use partita_ledger::Verification;
use uuid::Uuid;

use super::{Depth, Kind, Report};
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

/// When the newest run began; none before the first.
pub(super) async fn last_started(tx: &mut Tx) -> Result<Option<Timestamp>, DbError> {
    let last = sqlx::query_scalar!(
        r#"select started_at as "started_at: jiff_sqlx::Timestamp" from verify_runs
           where book_id = $1 order by finished_at desc limit 1"#,
        tx.book_id().get()
    );
    Ok(last.fetch_optional(tx.conn()).await?.map(jiff_sqlx::Timestamp::to_jiff))
}

/// What was told as broken and is not known to be mended, as invariants (code and name): what the newest run found, and
/// what was found since the last complete run of what only complete runs look at again.
pub(super) async fn known_broken(tx: &mut Tx) -> Result<Vec<String>, DbError> {
    let known = sqlx::query_scalar!(
        r#"with newest as (
               select id from verify_runs where book_id = $1 order by finished_at desc limit 1)
           select distinct format('%s %s', f.found ->> 'code', f.found ->> 'invariant') as "invariant!"
           from verify_runs r cross join lateral jsonb_array_elements(r.findings) f (found)
           where r.book_id = $1 and not r.clean
             and (r.id = (select id from newest)
                  or f.found ->> 'kind' <> 'liveness'
                     and r.finished_at >= coalesce((select max(c.finished_at) from verify_runs c
                                                    where c.book_id = $1 and c.depth = 'complete'), '-infinity'))"#,
        tx.book_id().get()
    );
    Ok(known.fetch_all(tx.conn()).await?)
}

/// How much stands broken in the book, by kind: of liveness what the newest run found; of the rest what was found since the
/// last complete run, that one included, as a run of every minute finds it only while it is new.
///
/// # Errors
/// What the database says.
pub async fn count_broken(tx: &mut Tx) -> Result<Vec<(Kind, i64)>, DbError> {
    let rows = sqlx::query!(
        r#"with newest as (
               select id from verify_runs where book_id = $1 order by finished_at desc limit 1),
           broken as (
               select f.found ->> 'kind' as kind, max(jsonb_array_length(f.found -> 'offenders')) as offenders
               from verify_runs r cross join lateral jsonb_array_elements(r.findings) f (found)
               where r.book_id = $1 and not r.clean
                 and case f.found ->> 'kind'
                         when 'liveness' then r.id = (select id from newest)
                         else r.finished_at >= coalesce((select max(c.finished_at) from verify_runs c
                                                         where c.book_id = $1 and c.depth = 'complete'), '-infinity')
                     end
               group by f.found ->> 'kind', f.found ->> 'code', f.found ->> 'invariant')
           select kind as "kind!", sum(offenders)::bigint as "count!" from broken group by kind"#,
        tx.book_id().get()
    )
    .fetch_all(tx.conn())
    .await?;
    let kind = |name: &str| Kind::ALL.into_iter().find(|kind| kind.as_str() == name);
    Ok(rows.into_iter().filter_map(|row| Some((kind(&row.kind)?, row.count))).collect())
}

/// Up to `limit` objects about which something was written since a time, or booked in what the ledger verified newly, and
/// the payments that they hang on.
pub(super) async fn changed_objects(
    tx: &mut Tx,
    since: Timestamp,
    ledger: &Verification,
    limit: i64,
) -> Result<Vec<Uuid>, DbError> {
    let (mut lanes, mut after, mut until) = (Vec::new(), Vec::new(), Vec::new());
    for stretch in ledger.stretches() {
        lanes.push(stretch.lane);
        after.push(stretch.after);
        until.push(stretch.until);
    }
    let objects = sqlx::query_scalar!(
        r#"with changed as materialized (
               select x.id from (
                   select object_id as id from outbox where book_id = $1 and recorded_at >= $2
                   union
                   select object_id from state_history where book_id = $1 and recorded_at >= $2
                   union
                   select object_id from provider_movements
                   where book_id = $1 and recorded_at >= $2 and object_id is not null
                   union
                   select o.object_id from operation_history h
                   join operations o on o.book_id = $1 and o.id = h.operation_id
                   where h.book_id = $1 and h.recorded_at >= $2
                   union
                   select p.id from (
                       select distinct e.subject
                       from unnest($3::smallint[], $4::bigint[], $5::bigint[]) n (lane, after, until)
                       -- The offset keeps the planner from joining with all of the book's rows.
                       cross join lateral (
                           select e.subject from ledger_postings e
                           where e.book_id = $1 and e.lane = n.lane and e.seq > n.after and e.seq <= n.until
                           offset 0) e
                       limit $6) s
                   join lateral (
                       select id from payments where book_id = $1 and key = s.subject
                       union all
                       select id from adjustments where book_id = $1 and key = s.subject) p on true) x
               limit $6)
           select x.id as "id!" from (
               select id from changed
               union
               select r.payment_id from changed c join refunds r on r.book_id = $1 and r.id = c.id
               union
               select d.payment_id from changed c join disputes d on d.book_id = $1 and d.id = c.id
               union
               select w.payment_id from changed c join line_releases w on w.book_id = $1 and w.id = c.id
               union
               select coalesce(t.payment_id, t.adjustment_id) from changed c join transfers t on t.book_id = $1 and t.id = c.id
               union
               select coalesce(v.payment_id, v.adjustment_id) from changed c
               join transfer_reversals v on v.book_id = $1 and v.id = c.id) x
           limit $6"#,
        tx.book_id().get(),
        since.to_sqlx() as _,
        &lanes,
        &after,
        &until,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(objects)
}

/// Takes the turn of the one complete run there may be at a time, until the transaction ends; false if it is taken.
pub(super) async fn take_turn(tx: &mut Tx) -> Result<bool, DbError> {
    let turn = sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock(hashtextextended('partita complete verify', 0)) as "taken!""#
    );
    Ok(turn.fetch_one(tx.conn()).await?)
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

/// Whether the transaction's book knows the server that the database runs on.
pub(super) async fn knows_server(tx: &mut Tx) -> Result<bool, DbError> {
    let known = sqlx::query_scalar!(
        r#"select exists (select from book_timelines where book_id = $1
               and timeline = substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)) as "known!""#,
        tx.book_id().get()
    );
    Ok(known.fetch_one(tx.conn()).await?)
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

/// When the transaction's book last changed anything, by the business clock, which the provider's is compared with.
pub(super) async fn last_written(tx: &mut Tx) -> Result<Option<Timestamp>, DbError> {
    let last = sqlx::query_scalar!(
        r#"select max(occurred_at) as "last: jiff_sqlx::Timestamp"
           from (select occurred_at from outbox where book_id = $1 order by recorded_at desc limit 1000) as newest"#,
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
