//! Changes of state: a row of history and a row of the outbox, in the transaction of the change, with a sequence per
//! object that has no gaps because the object's own row counts it under its lock.

mod store;

use jiff::Timestamp;
use partita_db::{DbError, Tx};
use uuid::Uuid;

pub use store::{Event, StateChange, list_events, timeline};

use crate::actor::Actor;
use crate::id::EventId;

/// One change of one object.
#[derive(Debug, Clone)]
pub struct Change {
    /// The resource: `payment`, `refund` ..
    pub object_type: &'static str,
    /// Which one.
    pub object_id: Uuid,
    /// The object's sequence after the change; the first is 1.
    pub sequence: i32,
    /// The state before; none for a new object.
    pub from: Option<&'static str>,
    /// The state after.
    pub to: &'static str,
    /// The event's type: `payment.succeeded`.
    pub event: &'static str,
    /// The object after the change.
    pub payload: serde_json::Value,
    /// Who did it.
    pub actor: Actor,
    /// Why, for a person.
    pub detail: Option<String>,
    /// When, by the business clock.
    pub at: Timestamp,
}

/// Writes the change's history and event.
///
/// # Errors
/// What the database says; a sequence that is taken is a defect and violates `state_history_pkey`.
pub async fn record(tx: &mut Tx, change: &Change) -> Result<(), DbError> {
    store::insert(tx, change, EventId::new()).await
}
