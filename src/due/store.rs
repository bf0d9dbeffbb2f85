//! SQL of due.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{BookId, DbError, Tx};

use super::{Claimed, Due};

/// Makes work due at `at`, or earlier if it already is. Work that a worker holds loses its lease, so that the worker's
/// end does not take the row away; it is then looked at once more at its old time, which changes nothing.
///
/// # Errors
/// What the database says.
pub async fn schedule(tx: &mut Tx, kind: &str, id: i64, at: Timestamp) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into due (kind, book_id, id, due_at) values ($1, $2, $3, $4)
         on conflict (kind, book_id, id) do update
             set due_at = least(due.due_at, excluded.due_at), lease_until = null
         where due.due_at > excluded.due_at or due.lease_until is not null",
        kind,
        book.get(),
        id,
        at.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// As [`schedule`], for many at once.
///
/// # Errors
/// What the database says.
pub async fn schedule_all(tx: &mut Tx, kind: &str, ids: &[i64], at: Timestamp) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into due (kind, book_id, id, due_at)
         select $1, $2, ids.id, $4 from unnest($3::bigint[]) as ids (id) order by ids.id
         on conflict (kind, book_id, id) do update
             set due_at = least(due.due_at, excluded.due_at), lease_until = null
         where due.due_at > excluded.due_at or due.lease_until is not null",
        kind,
        book.get(),
        ids,
        at.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Makes sure that every book has a row of this kind, the first time within a day from now on: each book at a moment of its
/// own.
///
/// # Errors
/// What the database says.
pub async fn schedule_books(tx: &mut Tx, kind: &str, now: Timestamp) -> Result<(), DbError> {
    sqlx::query!(
        "insert into due (kind, book_id, id, due_at)
         select $1, b.book_id, 0, $2::timestamptz + make_interval(secs => (b.book_id::bigint * 2654435761 % 86400)::float8)
         from books b
         on conflict (kind, book_id, id) do nothing",
        kind,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Makes sure that every book has a row of this kind, the first time at `at`.
///
/// # Errors
/// What the database says.
pub async fn schedule_books_at(tx: &mut Tx, kind: &str, at: Timestamp) -> Result<(), DbError> {
    sqlx::query!(
        "insert into due (kind, book_id, id, due_at) select $1, b.book_id, 0, $2::timestamptz from books b
         on conflict (kind, book_id, id) do nothing",
        kind,
        at.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Claims up to `limit` rows of a kind that are due at `now`, of other books than the busy ones.
///
/// # Errors
/// What the database says.
pub async fn claim(
    tx: &mut Tx,
    kind: &str,
    now: Timestamp,
    lease_seconds: i32,
    limit: i64,
    busy: &[BookId],
) -> Result<Vec<Claimed>, DbError> {
    let busy: Vec<i32> = busy.iter().map(|book| book.get()).collect();
    let rows = sqlx::query!(
        r#"update due set lease_until = clock_timestamp() + make_interval(secs => $3)
           where (kind, book_id, id) in (
               select kind, book_id, id from due
               where kind = $1 and due_at <= $2 and (lease_until is null or lease_until < clock_timestamp())
                   and book_id <> all($5)
               order by due_at, book_id, id limit $4 for update skip locked)
           returning kind, book_id as "book: BookId", id, due_at as "due_at: jiff_sqlx::Timestamp",
                     lease_until as "lease!: jiff_sqlx::Timestamp""#,
        kind,
        now.to_sqlx() as _,
        f64::from(lease_seconds),
        limit,
        &busy
    )
    .fetch_all(tx.conn())
    .await?;
    let mut claimed: Vec<Claimed> = rows
        .into_iter()
        .map(|row| Claimed {
            due: Due { kind: row.kind, book: row.book, id: row.id, due_at: row.due_at.to_jiff() },
            lease: row.lease.to_jiff(),
        })
        .collect();
    claimed.sort_by_key(|c| (c.due.due_at, c.due.book, c.due.id));
    Ok(claimed)
}

/// Which of these kinds have work that is due and that nobody holds.
///
/// # Errors
/// What the database says.
pub async fn kinds_due(tx: &mut Tx, kinds: &[String], now: Timestamp) -> Result<Vec<String>, DbError> {
    let kinds = sqlx::query_scalar!(
        r#"select kinds.kind as "kind!" from unnest($1::text[]) as kinds (kind)
           where exists (
               select from due
               where due.kind = kinds.kind and due_at <= $2 and (lease_until is null or lease_until < clock_timestamp()))"#,
        kinds,
        now.to_sqlx() as _
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(kinds)
}

/// Takes a claimed row away, unless it was scheduled again meanwhile.
///
/// # Errors
/// What the database says.
pub async fn finish(tx: &mut Tx, claimed: &Claimed) -> Result<(), DbError> {
    sqlx::query!(
        "delete from due where kind = $1 and book_id = $2 and id = $3 and lease_until = $4",
        claimed.due.kind,
        claimed.due.book.get(),
        claimed.due.id,
        claimed.lease.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Gives claimed rows back as they were, for anyone to claim.
///
/// # Errors
/// What the database says.
pub async fn release(tx: &mut Tx, claimed: &[Claimed]) -> Result<(), DbError> {
    let kinds: Vec<String> = claimed.iter().map(|one| one.due.kind.clone()).collect();
    let books: Vec<i32> = claimed.iter().map(|one| one.due.book.get()).collect();
    let ids: Vec<i64> = claimed.iter().map(|one| one.due.id).collect();
    let leases: Vec<jiff_sqlx::Timestamp> = claimed.iter().map(|one| one.lease.to_sqlx()).collect();
    sqlx::query!(
        "update due set lease_until = null
         from unnest($1::text[], $2::int[], $3::bigint[], $4::timestamptz[]) as held (kind, book_id, id, lease)
         where due.kind = held.kind and due.book_id = held.book_id and due.id = held.id and due.lease_until = held.lease",
        &kinds,
        &books,
        &ids,
        &leases as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Gives a claimed row back, to be claimed again from `at`, unless it was scheduled again meanwhile.
///
/// # Errors
/// What the database says.
pub async fn postpone(tx: &mut Tx, claimed: &Claimed, at: Timestamp) -> Result<(), DbError> {
    sqlx::query!(
        "update due set due_at = $5, lease_until = null
         where kind = $1 and book_id = $2 and id = $3 and lease_until = $4",
        claimed.due.kind,
        claimed.due.book.get(),
        claimed.due.id,
        claimed.lease.to_sqlx() as _,
        at.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// When the next row of any of these kinds is due; none when nothing is.
///
/// # Errors
/// What the database says.
pub async fn next(tx: &mut Tx, kinds: &[String]) -> Result<Option<Timestamp>, DbError> {
    let next = sqlx::query_scalar!(
        r#"select min(due_at) as "next: jiff_sqlx::Timestamp" from due where kind = any($1)"#,
        kinds
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(next.map(jiff_sqlx::Timestamp::to_jiff))
}
