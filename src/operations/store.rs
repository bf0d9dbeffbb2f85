//! SQL of operations and provider_answers; [`conclude`] has how an attempt ends.

mod conclude;

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{BookId, DbError, Tx};
use uuid::Uuid;

pub use self::conclude::conclude;
use super::{Answer, FirstTry, LEASE_SECONDS, NewOperation, Operation, OperationState};
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
    provider: String,
    command: serde_json::Value,
    request: serde_json::Value,
    idempotency_key: String,
    generation: i32,
    state: String,
    attempt: i32,
    lease_left: Option<f64>,
    in_doubt: bool,
    server_errors: i32,
    empty_look_ups: i32,
    first_look_up_at: Option<jiff_sqlx::Timestamp>,
    review_reason: Option<String>,
    sequence: i32,
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
            provider: self.provider,
            command: serde_json::from_value(self.command).expect("written by plan"),
            request: serde_json::from_value(self.request).expect("written by plan"),
            idempotency_key: self.idempotency_key,
            generation: self.generation,
            state: OperationState::parse(&self.state).expect("operations_state_known allows no other word"),
            attempt: self.attempt,
            lease_left: self.lease_left.map(|seconds| Duration::from_secs_f64(seconds.max(0.0))),
            in_doubt: self.in_doubt,
            server_errors: self.server_errors,
            empty_look_ups: self.empty_look_ups,
            first_look_up_at: self.first_look_up_at.map(jiff_sqlx::Timestamp::to_jiff),
            review_reason: self.review_reason,
            sequence: self.sequence,
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
            r#"select id, key, kind, object_type, object_id, object_key, provider, command, request, idempotency_key, generation,
                      state, attempt, extract(epoch from lease_until - clock_timestamp())::float8 as lease_left, in_doubt, server_errors, empty_look_ups, first_look_up_at as "first_look_up_at: _",
                      review_reason, sequence, first_sent_at as "first_sent_at: _",
                      next_attempt_at as "next_attempt_at: _", provider_object, refusal, last_error, actor,
                      created_at as "created_at: _", updated_at as "updated_at: _"
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

/// An operation by its id, locked.
///
/// # Errors
/// What the database says.
pub async fn find_by_id_for_update(tx: &mut Tx, id: OperationId) -> Result<Option<Operation>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2 for no key update", book.get(), id.uuid())
        .fetch_optional(tx.conn())
        .await?;
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

/// Prolongs the lease of the attempt `operation.attempt`; false when it is not in force any more.
///
/// # Errors
/// What the database says.
pub async fn renew_lease(tx: &mut Tx, operation: &Operation) -> Result<bool, DbError> {
    let book = tx.book_id();
    let renewed = sqlx::query!(
        "update operations set lease_until = clock_timestamp() + make_interval(secs => $4)
         where book_id = $1 and id = $2 and attempt = $3 and state = 'submitting'",
        book.get(),
        operation.id.uuid(),
        operation.attempt,
        f64::from(LEASE_SECONDS)
    )
    .execute(tx.conn())
    .await?;
    Ok(renewed.rows_affected() == 1)
}

/// Which of these operations are not there.
///
/// # Errors
/// What the database says.
pub async fn unknown_of(tx: &mut Tx, ids: &[OperationId]) -> Result<Vec<OperationId>, DbError> {
    let book = tx.book_id();
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let unknown = sqlx::query_scalar!(
        r#"select asked.id as "id!" from unnest($2::uuid[]) as asked (id)
           where not exists (select from operations o where o.book_id = $1 and o.id = asked.id)"#,
        book.get(),
        &ids
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(unknown.into_iter().map(OperationId::from).collect())
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

/// Open operations of a state, for whoever runs the service.
#[derive(Debug, Clone)]
pub struct OpenCount {
    /// The state.
    pub state: String,
    /// How many.
    pub operations: i64,
    /// When the first of them was first sent, by the business clock; for those that were.
    pub oldest_sent_at: Option<Timestamp>,
}

/// Counts the operations that are not final, by state.
///
/// # Errors
/// What the database says.
pub async fn count_open(tx: &mut Tx) -> Result<Vec<OpenCount>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select state as "state!", count(*) as "operations!", min(first_sent_at) as "oldest: jiff_sqlx::Timestamp"
           from operations where book_id = $1 and state in ('planned', 'submitting', 'unknown') group by state
           union all
           select state, count(*), min(first_sent_at)
           from operations where book_id = $1 and state = 'needs_review' group by state"#,
        book.get()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| OpenCount {
            state: row.state,
            operations: row.operations,
            oldest_sent_at: row.oldest.map(jiff_sqlx::Timestamp::to_jiff),
        })
        .collect())
}

/// Counts an event of an operation, under its lock.
pub(super) async fn count_event(tx: &mut Tx, id: OperationId) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!("update operations set sequence = sequence + 1 where book_id = $1 and id = $2", book.get(), id.uuid())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// One step of an operation's life.
#[derive(Debug, Clone)]
pub struct HistoryStep {
    /// The operation.
    pub operation: OperationId,
    /// Counts its steps, from 1.
    pub step: i32,
    /// The state before; none for the first.
    pub from: Option<String>,
    /// The state after.
    pub to: String,
    /// Which attempt.
    pub attempt: i32,
    /// What happened, for a person.
    pub detail: Option<String>,
    /// When, by the business clock.
    pub at: Timestamp,
    /// When it was written, by the database's clock.
    pub recorded_at: Timestamp,
}

/// What happened to some operations, oldest first.
///
/// # Errors
/// What the database says.
pub async fn list_history(tx: &mut Tx, operations: &[OperationId]) -> Result<Vec<HistoryStep>, DbError> {
    let book = tx.book_id();
    let ids: Vec<Uuid> = operations.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"select operation_id, step, from_state, to_state, attempt, detail, at as "at: jiff_sqlx::Timestamp",
                  recorded_at as "recorded_at: jiff_sqlx::Timestamp"
           from operation_history where book_id = $1 and operation_id = any($2)
           order by recorded_at, operation_id, step"#,
        book.get(),
        &ids
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| HistoryStep {
            operation: row.operation_id.into(),
            step: row.step,
            from: row.from_state,
            to: row.to_state,
            attempt: row.attempt,
            detail: row.detail,
            at: row.at.to_jiff(),
            recorded_at: row.recorded_at.to_jiff(),
        })
        .collect())
}
