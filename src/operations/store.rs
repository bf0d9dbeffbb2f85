//! SQL of operations and provider_answers.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{BookId, DbError, Tx};
use uuid::Uuid;

use super::{Answer, Conclusion, FirstTry, LEASE_SECONDS, NewOperation, Operation, OperationState};
use crate::id::OperationId;

pub(super) async fn insert(
    tx: &mut Tx,
    operation: &NewOperation,
    first: FirstTry,
    now: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    let now_ours = first == FirstTry::Now;
    let (state, attempt) = if now_ours { (OperationState::Submitting, 1) } else { (OperationState::Planned, 0) };
    let lease_seconds = now_ours.then_some(f64::from(LEASE_SECONDS));
    sqlx::query!(
        "insert into operations (book_id, id, key, kind, object_type, object_id, object_key, provider, command, request,
                                 idempotency_key, state, attempt, lease_until, first_sent_at, next_attempt_at, actor,
                                 created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, clock_timestamp() + make_interval(secs => $14),
                 $15, $16, $17, $16, $16)",
        book.get(),
        operation.id.uuid(),
        operation.key,
        operation.command.name(),
        operation.target.object_type,
        operation.target.object_id,
        operation.target.object_key,
        operation.provider,
        serde_json::to_value(&operation.command).expect("commands serialise"),
        serde_json::to_value(&operation.request).expect("requests serialise"),
        idempotency_key(operation.id, 1),
        state.as_str(),
        attempt,
        lease_seconds,
        now_ours.then(|| now.to_sqlx()) as _,
        now.to_sqlx() as _,
        operation.actor.to_string()
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

fn idempotency_key(operation: OperationId, generation: i32) -> String {
    format!("{operation}.{generation}")
}

struct Row {
    id: Uuid,
    key: i64,
    kind: String,
    object_type: String,
    object_id: Uuid,
    object_key: i64,
    request: serde_json::Value,
    idempotency_key: String,
    state: String,
    attempt: i32,
    in_doubt: bool,
    first_sent_at: Option<jiff_sqlx::Timestamp>,
    next_attempt_at: jiff_sqlx::Timestamp,
    provider_object: Option<String>,
    refusal: Option<serde_json::Value>,
    last_error: Option<String>,
    actor: String,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

impl Row {
    fn read(self, book: BookId) -> Operation {
        Operation {
            book,
            id: self.id.into(),
            key: self.key,
            kind: self.kind,
            object_type: self.object_type,
            object_id: self.object_id,
            object_key: self.object_key,
            request: serde_json::from_value(self.request).expect("written by plan"),
            idempotency_key: self.idempotency_key,
            state: OperationState::parse(&self.state).expect("operations_state_known allows no other word"),
            attempt: self.attempt,
            in_doubt: self.in_doubt,
            first_sent_at: self.first_sent_at.map(jiff_sqlx::Timestamp::to_jiff),
            next_attempt_at: self.next_attempt_at.to_jiff(),
            provider_object: self.provider_object,
            refusal: self.refusal.map(|value| serde_json::from_value(value).expect("written by conclude")),
            last_error: self.last_error,
            actor: self.actor,
            created_at: self.created_at.to_jiff(),
            updated_at: self.updated_at.to_jiff(),
        }
    }
}

macro_rules! select {
    ($tail:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"select id, key, kind, object_type, object_id, object_key, request, idempotency_key, state, attempt,
                      in_doubt, first_sent_at as "first_sent_at: _", next_attempt_at as "next_attempt_at: _", provider_object,
                      refusal, last_error, actor, created_at as "created_at: _", updated_at as "updated_at: _"
               from operations "# + $tail
            $(, $argument)*
        )
    };
}

/// An operation by its id.
///
/// # Errors
/// What the database says.
pub async fn find(tx: &mut Tx, id: OperationId) -> Result<Option<Operation>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2", book.get(), id.uuid()).fetch_optional(tx.conn()).await?;
    Ok(row.map(|row| row.read(book)))
}

/// An operation by its number, locked.
///
/// # Errors
/// What the database says.
pub async fn find_for_update(tx: &mut Tx, key: i64) -> Result<Option<Operation>, DbError> {
    let book = tx.book_id();
    let row =
        select!("where book_id = $1 and key = $2 for no key update", book.get(), key).fetch_optional(tx.conn()).await?;
    Ok(row.map(|row| row.read(book)))
}

/// The newest operation about an object, whatever its state.
///
/// # Errors
/// What the database says.
pub async fn find_newest_by_object(tx: &mut Tx, object: Uuid) -> Result<Option<Operation>, DbError> {
    let book = tx.book_id();
    let row =
        select!("where book_id = $1 and object_id = $2 order by created_at desc, id desc limit 1", book.get(), object)
            .fetch_optional(tx.conn())
            .await?;
    Ok(row.map(|row| row.read(book)))
}

/// Every operation about some objects, oldest first.
///
/// # Errors
/// What the database says.
pub async fn list_by_object(tx: &mut Tx, objects: &[Uuid]) -> Result<Vec<Operation>, DbError> {
    let book = tx.book_id();
    let rows = select!("where book_id = $1 and object_id = any($2) order by id", book.get(), objects)
        .fetch_all(tx.conn())
        .await?;
    Ok(rows.into_iter().map(|row| row.read(book)).collect())
}

/// Operations, newest first, older than `before`.
///
/// # Errors
/// What the database says.
pub async fn list(
    tx: &mut Tx,
    states: &[String],
    before: Option<OperationId>,
    limit: i64,
) -> Result<Vec<Operation>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where book_id = $1 and (cardinality($2::text[]) = 0 or state = any($2)) and ($3::uuid is null or id < $3)
         order by id desc limit $4",
        book.get(),
        states,
        before.map(OperationId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| row.read(book)).collect())
}

/// Takes the next attempt, if the command may be sent: planned or unknown and due, or its holder's lease ran out.
///
/// # Errors
/// What the database says.
pub async fn claim(tx: &mut Tx, key: i64, now: Timestamp) -> Result<Option<Operation>, DbError> {
    let book = tx.book_id();
    let claimed = sqlx::query_scalar!(
        r#"update operations
           set state = 'submitting', attempt = attempt + 1, in_doubt = in_doubt or state in ('submitting', 'unknown'),
               first_sent_at = coalesce(first_sent_at, $3),
               lease_until = clock_timestamp() + make_interval(secs => $4), updated_at = $3
           where book_id = $1 and key = $2
             and ((state in ('planned', 'unknown') and next_attempt_at <= $3)
                  or (state = 'submitting' and lease_until < clock_timestamp()))
           returning id"#,
        book.get(),
        key,
        now.to_sqlx() as _,
        f64::from(LEASE_SECONDS)
    )
    .fetch_optional(tx.conn())
    .await?;
    match claimed {
        Some(id) => find(tx, id.into()).await,
        None => Ok(None),
    }
}

/// Keeps what an attempt brought, as it came.
///
/// # Errors
/// What the database says.
pub async fn record_answer(tx: &mut Tx, operation: &Operation, answer: &Answer) -> Result<(), DbError> {
    let book = tx.book_id();
    let raw = answer.raw.as_ref();
    sqlx::query!(
        "insert into provider_answers (book_id, operation_id, attempt, status, body, request_id, note)
         values ($1, $2, $3, $4, $5, $6, $7) on conflict (book_id, operation_id, attempt) do nothing",
        book.get(),
        operation.id.uuid(),
        operation.attempt,
        raw.map(|raw| i32::from(raw.status)),
        raw.map(|raw| raw.body.as_slice()),
        raw.and_then(|raw| raw.request_id.as_deref()),
        answer.note
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

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
    let book = tx.book_id();
    let (state, object, refusal, next, why) = match conclusion {
        Conclusion::Succeeded { provider_object } => {
            (OperationState::Succeeded, Some(provider_object.as_str()), None, now, None)
        }
        Conclusion::Failed { refusal } => (
            OperationState::Failed,
            None,
            Some(serde_json::to_value(refusal).expect("refusals serialise")),
            now,
            Some(refusal.message.as_str()),
        ),
        Conclusion::Again { state, at, why } => (*state, None, None, *at, Some(why.as_str())),
    };
    // An object that exists ends the command whoever brings the news; anything less only from the attempt in force.
    let definite = matches!(conclusion, Conclusion::Succeeded { .. });
    let done = sqlx::query!(
        "update operations
         set state = $4, provider_object = coalesce($5, provider_object), refusal = $6, next_attempt_at = $7,
             last_error = $8, lease_until = null, updated_at = $9, in_doubt = $4 = 'unknown',
             first_sent_at = case when $4 = 'planned' then null else first_sent_at end
         where book_id = $1 and id = $2
           and ((state in ('submitting', 'unknown') and ($10 or attempt = $3)) or (state = 'planned' and $10))",
        book.get(),
        operation.id.uuid(),
        operation.attempt,
        state.as_str(),
        object,
        refusal,
        next.to_sqlx() as _,
        why,
        now.to_sqlx() as _,
        definite
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}
