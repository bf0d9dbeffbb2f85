//! How an attempt ends. Every statement names the attempt: what another one overtook changes nothing.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::Refusal;

use super::idempotency_key;
use crate::operations::{Conclusion, Evidence, Operation, OperationState};

/// Ends the attempt `operation.attempt`, if it still holds the command or the command's outcome is open. Returns
/// whether it did: false when another attempt, a webhook or reconciliation was first.
///
/// # Errors
/// What the database says.
pub async fn conclude(
    tx: &mut Tx,
    operation: &Operation,
    conclusion: &Conclusion,
    now: Timestamp,
) -> Result<bool, DbError> {
    let changed = match conclusion {
        Conclusion::Succeeded { provider_object } => succeed(tx, operation, provider_object, now).await?,
        Conclusion::Failed { refusal } => fail(tx, operation, refusal, now).await?,
        Conclusion::Again { state, at, why, evidence } => {
            put_off(tx, operation, *state, *at, why, evidence, now).await?
        }
        Conclusion::Renewed { why } => renew(tx, operation, why, now).await?,
        Conclusion::NeedsReview { why } => send_to_review(tx, operation, why, now).await?,
    };
    Ok(changed == 1)
}

/// An object that exists ends the command whoever brings the news; anything less only from the attempt in force.
async fn succeed(tx: &mut Tx, operation: &Operation, object: &str, now: Timestamp) -> Result<u64, DbError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update operations
         set state = 'succeeded', provider_object = $3, refusal = null, next_attempt_at = $4, last_error = null,
             lease_until = null, in_doubt = false, updated_at = $4
         where book_id = $1 and id = $2 and state in ('planned', 'submitting', 'unknown', 'needs_review')",
        book.get(),
        operation.id.uuid(),
        object,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected())
}

async fn fail(tx: &mut Tx, operation: &Operation, refusal: &Refusal, now: Timestamp) -> Result<u64, DbError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update operations
         set state = 'failed', refusal = $4, next_attempt_at = $5, last_error = $6, lease_until = null, in_doubt = false,
             updated_at = $5
         where book_id = $1 and id = $2 and attempt = $3 and state in ('submitting', 'unknown', 'needs_review')",
        book.get(),
        operation.id.uuid(),
        operation.attempt,
        serde_json::to_value(refusal).expect("refusals serialise"),
        now.to_sqlx() as _,
        refusal.message
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected())
}

async fn put_off(
    tx: &mut Tx,
    operation: &Operation,
    state: OperationState,
    at: Timestamp,
    why: &str,
    evidence: &Evidence,
    now: Timestamp,
) -> Result<u64, DbError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update operations
         set state = $4, next_attempt_at = $5, last_error = $6, lease_until = null, updated_at = $7, refusal = null,
             in_doubt = $4 = 'unknown',
             first_sent_at = case when $4 = 'planned' then null else first_sent_at end,
             provider_object = coalesce($8, provider_object),
             server_errors = server_errors + $9,
             empty_look_ups = empty_look_ups + $10,
             first_look_up_at = case when $10 > 0 then coalesce(first_look_up_at, $7) else first_look_up_at end
         where book_id = $1 and id = $2 and attempt = $3 and state in ('submitting', 'unknown')",
        book.get(),
        operation.id.uuid(),
        operation.attempt,
        state.as_str(),
        at.to_sqlx() as _,
        why,
        now.to_sqlx() as _,
        evidence.provider_object,
        i32::from(evidence.server_error),
        i32::from(evidence.absent)
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected())
}

async fn renew(tx: &mut Tx, operation: &Operation, why: &str, now: Timestamp) -> Result<u64, DbError> {
    let book = tx.book_id();
    let generation = operation.generation + 1;
    let done = sqlx::query!(
        "update operations
         set state = 'planned', generation = $4, idempotency_key = $5, next_attempt_at = $6, last_error = $7,
             lease_until = null, in_doubt = false, first_sent_at = null, server_errors = 0, empty_look_ups = 0,
             first_look_up_at = null, updated_at = $6
         where book_id = $1 and id = $2 and attempt = $3 and state = 'submitting'",
        book.get(),
        operation.id.uuid(),
        operation.attempt,
        generation,
        idempotency_key(operation.id, generation),
        now.to_sqlx() as _,
        why
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected())
}

async fn send_to_review(tx: &mut Tx, operation: &Operation, why: &str, now: Timestamp) -> Result<u64, DbError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update operations
         set state = 'needs_review', review_reason = $4, last_error = $4, next_attempt_at = $5, lease_until = null,
             in_doubt = true, sequence = sequence + 1, updated_at = $5
         where book_id = $1 and id = $2 and attempt = $3 and state in ('submitting', 'unknown')",
        book.get(),
        operation.id.uuid(),
        operation.attempt,
        why,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected())
}
