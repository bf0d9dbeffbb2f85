//! SQL of state_history and outbox.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use uuid::Uuid;

use super::Change;
use crate::id::EventId;

/// A change of state as it stands in the history.
#[derive(Debug, Clone)]
pub struct StateChange {
    /// The resource: `payment`, `refund` ..
    pub object_type: String,
    /// Which one.
    pub object_id: Uuid,
    /// Its sequence.
    pub sequence: i32,
    /// The state before; none for a new object.
    pub from: Option<String>,
    /// The state after.
    pub to: String,
    /// Who did it.
    pub actor: String,
    /// Why, for a person.
    pub detail: Option<String>,
    /// When, by the business clock.
    pub at: Timestamp,
    /// When it was written, by the database's clock: what happened in one instant of business is told in this order.
    pub recorded_at: Timestamp,
}

/// An event told to the outside.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Its type: `payment.succeeded`.
    pub event_type: String,
    /// Sequence per object.
    pub sequence: i32,
    /// The object after the change.
    pub payload: serde_json::Value,
    /// When, by the business clock.
    pub occurred_at: Timestamp,
}

pub(super) async fn insert(tx: &mut Tx, change: &Change, event: EventId) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "with history as (
             insert into state_history (book_id, object_type, object_id, sequence, from_state, to_state, actor, detail, at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         )
         insert into outbox (book_id, object_type, object_id, sequence, event_id, event_type, payload, occurred_at)
         values ($1, $2, $3, $4, $10, $11, $12, $9)",
        book.get(),
        change.object_type,
        change.object_id,
        change.sequence,
        change.from,
        change.to,
        change.actor.to_string(),
        change.detail,
        change.at.to_sqlx() as _,
        event.uuid(),
        change.event,
        change.payload
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The history of a payment and of everything that hangs on it, oldest first.
///
/// # Errors
/// What the database says.
pub async fn timeline(tx: &mut Tx, objects: &[Uuid]) -> Result<Vec<StateChange>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select object_type, object_id, sequence, from_state, to_state, actor, detail, at as "at: jiff_sqlx::Timestamp",
                  recorded_at as "recorded_at: jiff_sqlx::Timestamp"
           from state_history where book_id = $1 and object_id = any($2)
           order by recorded_at, object_id, sequence"#,
        book.get(),
        objects
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| StateChange {
            object_type: row.object_type,
            object_id: row.object_id,
            sequence: row.sequence,
            from: row.from_state,
            to: row.to_state,
            actor: row.actor,
            detail: row.detail,
            at: row.at.to_jiff(),
            recorded_at: row.recorded_at.to_jiff(),
        })
        .collect())
}

/// Events, newest first, older than `before`.
///
/// # Errors
/// What the database says.
pub async fn list_events(
    tx: &mut Tx,
    event_type: Option<&str>,
    before: Option<EventId>,
    limit: i64,
) -> Result<Vec<Event>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select event_id, event_type, sequence, payload, occurred_at as "occurred_at: jiff_sqlx::Timestamp"
           from outbox
           where book_id = $1 and ($2::text is null or event_type = $2) and ($3::uuid is null or event_id < $3)
           order by event_id desc limit $4"#,
        book.get(),
        event_type,
        before.map(EventId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Event {
            id: row.event_id.into(),
            event_type: row.event_type,
            sequence: row.sequence,
            payload: row.payload,
            occurred_at: row.occurred_at.to_jiff(),
        })
        .collect())
}
