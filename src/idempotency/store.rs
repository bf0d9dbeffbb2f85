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

pub(super) async fn find(tx: &mut Tx, request: &Request) -> Result<Claim, DbError> {
    let book = tx.book_id();
    let row = sqlx::query!(
        "select fingerprint, object_id, response_status, response_body from idempotency_keys
         where book_id = $1 and key = $2",
        book.get(),
        request.key
    )
    .fetch_one(tx.conn())
    .await?;
    if row.fingerprint != request.fingerprint {
        return Ok(Claim::Mismatch);
    }
    if let (Some(status), Some(body)) = (row.response_status, row.response_body) {
        return Ok(Claim::Answered(StoredAnswer { status: stored_status(status), body }));
    }
    let object_id = row.object_id.expect("a key is committed together with the object that it made");
    Ok(Claim::Open { object_id })
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

/// Fixes the answer of a key, once. Returns what is stored: the given answer, or the one that was there first.
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
    .fetch_one(tx.conn())
    .await?;
    Ok(StoredAnswer { status: stored_status(row.status), body: row.body })
}

fn stored_status(status: i16) -> u16 {
    u16::try_from(status).expect("stored from a u16")
}
