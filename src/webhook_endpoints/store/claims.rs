//! SQL of webhook_deliveries: taking what is due, and what became of it.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use uuid::Uuid;

use crate::id::{DeliveryId, EventId, WebhookEndpointId};
use crate::webhook_endpoints::state::{DeliveryReason, DeliveryStatus};

/// A delivery that is ours until its lease runs out.
#[derive(Debug, Clone, Copy)]
pub(in crate::webhook_endpoints) struct Claimed {
    pub(in crate::webhook_endpoints) id: DeliveryId,
    pub(in crate::webhook_endpoints) event: EventId,
    pub(in crate::webhook_endpoints) reason: DeliveryReason,
    /// Fencing: the result is taken only while the row names this attempt.
    pub(in crate::webhook_endpoints) attempt: i32,
}

/// Takes deliveries of an endpoint whose row is locked: those that are due, and those whose holder died. So many that no
/// more than `most` are under way.
pub(in crate::webhook_endpoints) async fn claim(
    tx: &mut Tx,
    endpoint: WebhookEndpointId,
    now: Timestamp,
    lease_seconds: i32,
    most: i64,
) -> Result<Vec<Claimed>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"update webhook_deliveries d
           set status = 'sending', attempt = d.attempt + 1, lease_until = clock_timestamp() + make_interval(secs => $4),
               updated_at = $3
           where d.book_id = $1 and d.id in (
               select id from webhook_deliveries
               where book_id = $1 and endpoint_id = $2
                   and (status = 'pending' and next_attempt_at <= $3
                        or status = 'sending' and lease_until < clock_timestamp())
               order by next_attempt_at, event_id
               limit greatest(0, $5 - (
                   select count(*) from webhook_deliveries
                   where book_id = $1 and endpoint_id = $2 and status = 'sending' and lease_until >= clock_timestamp()))
               for update skip locked)
           returning d.id, d.event_id, d.reason, d.attempt"#,
        book.get(),
        endpoint.uuid(),
        now.to_sqlx() as _,
        f64::from(lease_seconds),
        most
    )
    .fetch_all(tx.conn())
    .await?;
    let reason =
        |word: &str| DeliveryReason::parse(word).expect("webhook_deliveries_reason_known allows no other word");
    let claimed = |id: Uuid, event: Uuid, word: &str, attempt| Claimed {
        id: id.into(),
        event: event.into(),
        reason: reason(word),
        attempt,
    };
    Ok(rows.into_iter().map(|row| claimed(row.id, row.event_id, &row.reason, row.attempt)).collect())
}

/// What becomes of a delivery after an attempt: delivered or failed, or pending again for the given time. Returns false
/// where the attempt is not the one that the row names any more: its lease had run out and another one followed.
pub(in crate::webhook_endpoints) async fn conclude(
    tx: &mut Tx,
    claimed: &Claimed,
    status: DeliveryStatus,
    next_attempt_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool, DbError> {
    let book = tx.book_id();
    let changed = sqlx::query!(
        "update webhook_deliveries set status = $4, next_attempt_at = $5, lease_until = null, updated_at = $6
         where book_id = $1 and id = $2 and attempt = $3 and status = 'sending'",
        book.get(),
        claimed.id.uuid(),
        claimed.attempt,
        status.as_str(),
        next_attempt_at.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?
    .rows_affected();
    Ok(changed == 1)
}

/// What is left for an endpoint.
#[derive(Debug, Clone, Copy)]
pub(in crate::webhook_endpoints) struct Left {
    /// The earliest time that something is due.
    pub(in crate::webhook_endpoints) next: Option<Timestamp>,
    /// How many are under way.
    pub(in crate::webhook_endpoints) sending: i64,
}

pub(in crate::webhook_endpoints) async fn left(tx: &mut Tx, endpoint: WebhookEndpointId) -> Result<Left, DbError> {
    let book = tx.book_id();
    // Two questions that an index each answers: an endpoint that has been down for days has a mountain waiting.
    let row = sqlx::query!(
        r#"select (select next_attempt_at from webhook_deliveries
                   where book_id = $1 and endpoint_id = $2 and status = 'pending'
                   order by next_attempt_at, event_id limit 1) as "next: jiff_sqlx::Timestamp",
                  (select count(*) from webhook_deliveries
                   where book_id = $1 and endpoint_id = $2 and status = 'sending') as "sending!""#,
        book.get(),
        endpoint.uuid()
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(Left { next: row.next.map(jiff_sqlx::Timestamp::to_jiff), sending: row.sending })
}
