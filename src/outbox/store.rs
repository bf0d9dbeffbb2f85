//! SQL of state_history and outbox.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{BookId, DbError, Tx};
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
    /// What the fields that changed were before; none for the first event of an object.
    pub previous: Option<serde_json::Value>,
    /// When, by the business clock.
    pub occurred_at: Timestamp,
}

/// An event that has to be told, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Its id.
    pub id: EventId,
    /// Its type.
    pub event_type: String,
}

struct EventRow {
    event_id: Uuid,
    event_type: String,
    sequence: i32,
    payload: serde_json::Value,
    before: Option<serde_json::Value>,
    occurred_at: jiff_sqlx::Timestamp,
}

impl From<EventRow> for Event {
    fn from(row: EventRow) -> Self {
        Self {
            id: row.event_id.into(),
            event_type: row.event_type,
            sequence: row.sequence,
            previous: row.before.map(|before| changed_fields(&before, &row.payload)),
            payload: row.payload,
            occurred_at: row.occurred_at.to_jiff(),
        }
    }
}

/// The fields of `before` that are something else now.
fn changed_fields(before: &serde_json::Value, now: &serde_json::Value) -> serde_json::Value {
    let fields = before.as_object().into_iter().flatten();
    let changed = fields.filter(|(name, value)| now.get(name.as_str()) != Some(value));
    changed.map(|(name, value)| (name.clone(), value.clone())).collect()
}

pub(super) async fn insert(tx: &mut Tx, change: &Change, event: EventId, announced: bool) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "with history as (
             insert into state_history (book_id, object_type, object_id, sequence, from_state, to_state, actor, detail, at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ), fanout as (
             insert into event_fanout (book_id, event_id)
             select $1, $10 where $13 and exists (select from webhook_endpoints where book_id = $1 and status = 'enabled')
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
        change.payload,
        announced
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Waits for others that hold the same name in the book, until the transaction ends.
pub(super) async fn lock(tx: &mut Tx, name: &str) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query_scalar!(
        "select pg_advisory_xact_lock(hashtextextended(format('partita declares %s %s', $1::int, $2::text), 0))::text",
        book.get(),
        name
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(())
}

/// The sequence of the next change of an object that has no row of its own to count it; who calls keeps others from changing it.
pub(super) async fn next_sequence(tx: &mut Tx, object: Uuid) -> Result<i32, DbError> {
    let book = tx.book_id();
    let next = sqlx::query_scalar!(
        r#"select coalesce(max(sequence), 0) + 1 as "next!" from state_history where book_id = $1 and object_id = $2"#,
        book.get(),
        object
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(next)
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
    let rows = sqlx::query_as!(
        EventRow,
        r#"select o.event_id, o.event_type, o.sequence, o.payload, p.payload as "before?", o.occurred_at as "occurred_at: _"
           from outbox o
           left join outbox p on p.book_id = o.book_id and p.object_id = o.object_id and p.sequence = o.sequence - 1
           where o.book_id = $1 and ($2::text is null or o.event_type = $2) and ($3::uuid is null or o.event_id < $3)
           order by o.event_id desc limit $4"#,
        book.get(),
        event_type,
        before.map(EventId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Event::from).collect())
}

/// These events, in no order.
///
/// # Errors
/// What the database says.
pub async fn find_events(tx: &mut Tx, ids: &[Uuid]) -> Result<Vec<Event>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query_as!(
        EventRow,
        r#"select o.event_id, o.event_type, o.sequence, o.payload, p.payload as "before?", o.occurred_at as "occurred_at: _"
           from outbox o
           left join outbox p on p.book_id = o.book_id and p.object_id = o.object_id and p.sequence = o.sequence - 1
           where o.book_id = $1 and o.event_id = any($2)"#,
        book.get(),
        ids
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Event::from).collect())
}

/// Events that occurred from `from` up to but without `before`, oldest first, at most `limit`.
///
/// # Errors
/// What the database says.
pub async fn list_range(
    tx: &mut Tx,
    from: Timestamp,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<Announcement>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query_as!(
        Announcement,
        r#"select event_id as "id: _", event_type from outbox
           where book_id = $1 and occurred_at >= $2 and occurred_at < $3 order by event_id limit $4"#,
        book.get(),
        from.to_sqlx() as _,
        before.to_sqlx() as _,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows)
}

/// Books after this one with events whose deliveries are not made yet, at most `limit`. Needs no book.
///
/// # Errors
/// What the database says.
pub async fn books_with_unannounced(tx: &mut Tx, after: Option<BookId>, limit: i64) -> Result<Vec<BookId>, DbError> {
    // From one book to the next along the index, however many events each has.
    let books = sqlx::query_scalar!(
        r#"with recursive found as (
               (select book_id from event_fanout where book_id > $2 order by book_id limit 1)
               union all
               select (select f.book_id from event_fanout f where f.book_id > found.book_id order by f.book_id limit 1)
               from found where found.book_id is not null)
           select book_id as "book_id!: BookId" from found where book_id is not null limit $1"#,
        limit,
        after.map_or(0, BookId::get)
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(books)
}

/// Takes up to `limit` events of the book whose deliveries are not made yet, oldest first; those that another worker holds
/// are passed over. Their deliveries belong into the same transaction.
///
/// # Errors
/// What the database says.
pub async fn take_unannounced(tx: &mut Tx, limit: i64) -> Result<Vec<Announcement>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query_as!(
        Announcement,
        r#"with taken as (
               delete from event_fanout where (book_id, event_id) in (
                   select book_id, event_id from event_fanout where book_id = $1
                   order by event_id limit $2 for update skip locked)
               returning event_id)
           select o.event_id as "id: _", o.event_type from outbox o join taken using (event_id)
           where o.book_id = $1 order by o.event_id"#,
        book.get(),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_fields_that_changed_have_a_previous_value() {
        let before =
            json!({"object": "payment", "id": "pay_1", "status": "processing", "failure_code": null, "gone": 1});
        let now = json!({"object": "payment", "id": "pay_1", "status": "failed", "failure_code": "x", "new": 2});
        let expected = json!({"status": "processing", "failure_code": null, "gone": 1});
        assert_eq!(changed_fields(&before, &now), expected);
        assert_eq!(changed_fields(&now, &now), json!({}));
    }
}
