//! SQL of idempotency_keys.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use uuid::Uuid;

use super::{Claim, Request, StoredAnswer};

pub(super) async fn insert(tx: &mut Tx, request: &Request, now: Timestamp) -> Result<bool, DbError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "insert into idempotency_keys (book_id, key, fingerprint, created_at) values ($1, $2, $3, $4)
         on conflict (book_id, key) do nothing",
        book.get(),
        request.key,
        &request.fingerprint[..],
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// None: it was removed a moment ago.
pub(super) async fn find(tx: &mut Tx, request: &Request) -> Result<Option<Claim>, DbError> {
    let book = tx.book_id();
    let row = sqlx::query!(
        "select fingerprint, object_id, response_status, response_body from idempotency_keys
         where book_id = $1 and key = $2",
        book.get(),
        request.key
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.fingerprint != request.fingerprint {
        return Ok(Some(Claim::Mismatch));
    }
    if let (Some(status), Some(body)) = (row.response_status, row.response_body) {
        return Ok(Some(Claim::Answered(StoredAnswer { status: stored_status(status), body })));
    }
    let object_id = row.object_id.expect("a key is committed together with the object that it made");
    Ok(Some(Claim::Open { object_id }))
}

pub(super) async fn bind(tx: &mut Tx, key: &str, object_type: &str, object_id: Uuid) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "update idempotency_keys set object_type = $3, object_id = $4 where book_id = $1 and key = $2",
        book.get(),
        key,
        object_type,
        object_id
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Fixes the answer of a key, once. Returns what is stored: the given answer, or the one that was there first. A key that was
/// removed meanwhile, as one does after a month, keeps none.
///
/// # Errors
/// What the database says.
pub async fn finish(tx: &mut Tx, key: &str, answer: &StoredAnswer) -> Result<StoredAnswer, DbError> {
    let book = tx.book_id();
    let status = i16::try_from(answer.status).expect("an HTTP status is below 1,000");
    let row = sqlx::query!(
        r#"update idempotency_keys
           set response_status = coalesce(response_status, $3), response_body = coalesce(response_body, $4)
           where book_id = $1 and key = $2
           returning response_status as "status!", response_body as "body!""#,
        book.get(),
        key,
        status,
        answer.body
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map_or_else(|| answer.clone(), |row| StoredAnswer { status: stored_status(row.status), body: row.body }))
}

/// Removes up to `limit` keys that were made before `before`, the oldest first, whose command has ended; returns how many. The
/// trigger `idempotency_keys_open` keeps those of open commands, whoever asks.
///
/// # Errors
/// What the database says.
pub async fn remove_made_before(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<u64, DbError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "delete from idempotency_keys where (book_id, key) in (
             select k.book_id, k.key from idempotency_keys k
             where k.book_id = $1 and k.created_at < $2 and not exists (
                 select from operations o
                 where o.book_id = k.book_id and o.object_id = k.object_id and o.state not in ('succeeded', 'failed'))
             order by k.created_at limit $3 for update skip locked)",
        book.get(),
        before.to_sqlx() as _,
        limit
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected())
}

fn stored_status(status: i16) -> u16 {
    u16::try_from(status).expect("stored from a u16")
}
