//! SQL of webhook_deliveries and webhook_delivery_attempts: making and showing them.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_webhooks::sending::Answer;
use uuid::Uuid;

use crate::actor::Actor;
use crate::id::{DeliveryId, EventId, WebhookEndpointId};
use crate::webhook_endpoints::state::{DeliveryReason, DeliveryStatus};
use crate::webhook_endpoints::{Attempt, Delivery};

/// Longest text of an error that is kept, in characters.
const LONGEST_ERROR: i32 = 1_000;

/// A delivery to be made.
#[derive(Debug, Clone, Copy)]
pub(in crate::webhook_endpoints) struct NewDelivery {
    pub(in crate::webhook_endpoints) id: DeliveryId,
    pub(in crate::webhook_endpoints) endpoint: WebhookEndpointId,
    pub(in crate::webhook_endpoints) event: EventId,
    pub(in crate::webhook_endpoints) reason: DeliveryReason,
}

/// Makes deliveries that are due at `now`.
pub(in crate::webhook_endpoints) async fn insert(
    tx: &mut Tx,
    new: &[NewDelivery],
    actor: Actor,
    now: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    let ids: Vec<Uuid> = new.iter().map(|one| one.id.uuid()).collect();
    let endpoints: Vec<Uuid> = new.iter().map(|one| one.endpoint.uuid()).collect();
    let events: Vec<Uuid> = new.iter().map(|one| one.event.uuid()).collect();
    let reasons: Vec<String> = new.iter().map(|one| one.reason.as_str().to_owned()).collect();
    sqlx::query!(
        "insert into webhook_deliveries (book_id, id, endpoint_id, event_id, reason, status, next_attempt_at, created_by,
                                         created_at, updated_at)
         select $1, new.id, new.endpoint_id, new.event_id, new.reason, 'pending', $6, $7, $6, $6
         from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[]) as new (id, endpoint_id, event_id, reason)",
        book.get(),
        &ids,
        &endpoints,
        &events,
        &reasons,
        now.to_sqlx() as _,
        actor.to_string()
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Ends what waits for an endpoint that is deleted.
pub(in crate::webhook_endpoints) async fn cancel(
    tx: &mut Tx,
    endpoint: WebhookEndpointId,
    now: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "update webhook_deliveries set status = 'canceled', next_attempt_at = null, lease_until = null, updated_at = $3
         where book_id = $1 and endpoint_id = $2 and status in ('pending', 'sending')",
        book.get(),
        endpoint.uuid(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

struct Row {
    id: Uuid,
    endpoint_id: Uuid,
    event_id: Uuid,
    event_type: String,
    reason: String,
    status: String,
    attempt: i32,
    next_attempt_at: Option<jiff_sqlx::Timestamp>,
    response_status: Option<i16>,
    error: Option<String>,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

impl From<Row> for Delivery {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            endpoint: row.endpoint_id.into(),
            event: row.event_id.into(),
            event_type: row.event_type,
            reason: DeliveryReason::parse(&row.reason).expect("webhook_deliveries_reason_known allows no other word"),
            status: DeliveryStatus::parse(&row.status).expect("webhook_deliveries_status_known allows no other word"),
            attempt: row.attempt,
            next_attempt_at: row.next_attempt_at.map(jiff_sqlx::Timestamp::to_jiff),
            last_status: row.response_status.and_then(|status| u16::try_from(status).ok()),
            last_error: row.error,
            created_at: row.created_at.to_jiff(),
            updated_at: row.updated_at.to_jiff(),
        }
    }
}

macro_rules! select {
    ($tail:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"select d.id, d.endpoint_id, d.event_id, o.event_type, d.reason, d.status, d.attempt,
                      d.next_attempt_at as "next_attempt_at: _", a.response_status as "response_status?", a.error as "error?",
                      d.created_at as "created_at: _", d.updated_at as "updated_at: _"
               from webhook_deliveries d
               join outbox o on o.book_id = d.book_id and o.event_id = d.event_id
               left join lateral (
                   select a.response_status, a.error from webhook_delivery_attempts a
                   where a.book_id = d.book_id and a.delivery_id = d.id order by a.attempt desc limit 1) a on true "# + $tail
            $(, $argument)*
        )
    };
}

/// A delivery by its id.
///
/// # Errors
/// What the database says.
pub async fn find_delivery(tx: &mut Tx, id: DeliveryId) -> Result<Option<Delivery>, DbError> {
    let book = tx.book_id();
    let row = select!("where d.book_id = $1 and d.id = $2", book.get(), id.uuid()).fetch_optional(tx.conn()).await?;
    Ok(row.map(Delivery::from))
}

/// Which deliveries are listed.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// To this endpoint only.
    pub endpoint: Option<WebhookEndpointId>,
    /// Of this event only.
    pub event: Option<EventId>,
    /// In one of these states; empty: in any.
    pub statuses: Vec<String>,
}

/// Deliveries, newest first, older than `before`.
///
/// # Errors
/// What the database says.
pub async fn list_deliveries(
    tx: &mut Tx,
    filter: &DeliveryFilter,
    before: Option<DeliveryId>,
    limit: i64,
) -> Result<Vec<Delivery>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where d.book_id = $1 and ($2::uuid is null or d.endpoint_id = $2) and ($3::uuid is null or d.event_id = $3)
            and (cardinality($4::text[]) = 0 or d.status = any($4)) and ($5::uuid is null or d.id < $5)
         order by d.id desc limit $6",
        book.get(),
        filter.endpoint.map(WebhookEndpointId::uuid),
        filter.event.map(EventId::uuid),
        &filter.statuses,
        before.map(DeliveryId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Delivery::from).collect())
}

/// The attempts of a delivery, oldest first.
///
/// # Errors
/// What the database says.
pub async fn attempts(tx: &mut Tx, delivery: DeliveryId) -> Result<Vec<Attempt>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select attempt, at as "at: jiff_sqlx::Timestamp", duration_ms, response_status, response_body, error
           from webhook_delivery_attempts where book_id = $1 and delivery_id = $2 order by attempt"#,
        book.get(),
        delivery.uuid()
    )
    .fetch_all(tx.conn())
    .await?;
    let answer = |status: Option<i16>, body: Option<String>| {
        let status = u16::try_from(status?).ok()?;
        Some(Answer { status, body: body.unwrap_or_default(), retry_after: None })
    };
    Ok(rows
        .into_iter()
        .map(|row| Attempt {
            number: row.attempt,
            at: row.at.to_jiff(),
            duration_ms: row.duration_ms,
            answer: answer(row.response_status, row.response_body),
            error: row.error,
        })
        .collect())
}

/// Writes down an attempt. One whose delivery went on without it is written down too.
pub(in crate::webhook_endpoints) async fn insert_attempt(
    tx: &mut Tx,
    delivery: DeliveryId,
    attempt: &Attempt,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into webhook_delivery_attempts (book_id, delivery_id, attempt, at, duration_ms, response_status,
                                                response_body, error)
         values ($1, $2, $3, $4, $5, $6, $7, left($8, $9))
         on conflict do nothing",
        book.get(),
        delivery.uuid(),
        attempt.number,
        attempt.at.to_sqlx() as _,
        attempt.duration_ms,
        attempt.answer.as_ref().map(|answer| i16::try_from(answer.status).unwrap_or(i16::MAX)),
        attempt.answer.as_ref().map(|answer| answer.body.as_str()),
        attempt.error,
        LONGEST_ERROR
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Removes up to `limit` deliveries that ended before `before`, the oldest first, with their attempts; returns how many.
///
/// # Errors
/// What the database says.
pub async fn remove_ended_before(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<usize, DbError> {
    let book = tx.book_id();
    let ids = sqlx::query_scalar!(
        "select id from webhook_deliveries
         where book_id = $1 and status in ('delivered', 'failed', 'canceled') and updated_at < $2
         order by updated_at limit $3 for update skip locked",
        book.get(),
        before.to_sqlx() as _,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    sqlx::query!(
        "delete from webhook_delivery_attempts where book_id = $1 and delivery_id = any($2)",
        book.get(),
        &ids
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!("delete from webhook_deliveries where book_id = $1 and id = any($2)", book.get(), &ids)
        .execute(tx.conn())
        .await?;
    Ok(ids.len())
}
