//! Changes of state: a row of history and a row of the outbox, in the transaction of the change, with a sequence per
//! object that has no gaps because the object's own row counts it under its lock.
//!
//! From there to the outside: an event of a book that has webhook endpoints is *unannounced* until its deliveries are made,
//! by whoever takes it away ([`take_unannounced`]) in the transaction of the deliveries.

mod catalogue;
mod declaration;
mod lifecycles;
mod message;
mod store;

use jiff::Timestamp;
use partita_db::{DbError, Tx};
use uuid::Uuid;

pub use catalogue::{EVENT_TYPES, EventType, is_event_type};
pub use declaration::{Declaration, lock_declaration, record_declaration};
#[cfg(test)]
pub use lifecycles::following;
pub use lifecycles::{LIFECYCLES, Lifecycle, Step, states_markdown};
pub use message::{LARGEST_MESSAGE, message};
pub use store::{
    Announcement, Event, StateChange, books_with_unannounced, find_events, list_events, list_range, take_unannounced,
    timeline,
};

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
///
/// # Panics
/// In debug builds, for an event that is not in the catalogue: nobody could subscribe to it.
pub async fn record(tx: &mut Tx, change: &Change) -> Result<(), DbError> {
    debug_assert!(is_event_type(change.event), "{} is missing in src/outbox/catalogue.rs", change.event);
    store::insert(tx, change, EventId::new(), true).await
}

/// Writes the change's history and event without announcing it: for an event that its maker delivers by itself.
///
/// # Errors
/// As [`record`].
///
/// # Panics
/// As [`record`].
pub async fn record_unannounced(tx: &mut Tx, change: &Change) -> Result<EventId, DbError> {
    debug_assert!(is_event_type(change.event), "{} is missing in src/outbox/catalogue.rs", change.event);
    let id = EventId::new();
    store::insert(tx, change, id, false).await?;
    Ok(id)
}
