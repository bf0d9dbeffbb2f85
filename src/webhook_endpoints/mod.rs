//! Webhooks out: addresses of the platform that get events, and every event's way there.
//!
//! 1. An event stands in the outbox, and in `event_fanout`, in the transaction of its change ([`crate::outbox`]).
//! 2. [`fan_out`] takes it away there and makes a delivery for each endpoint that wants it, in one transaction.
//! 3. [`take_turn`] claims deliveries of one endpoint, sends them side by side outside any transaction, and records what
//!    came of each, those that ended together in one transaction; and goes on with what is due by then.
//! 4. What failed is tried again by the schedule of Standard Webhooks; 410 and 75 hours of failures disable the endpoint.
//!
//! Invariants:
//! - A delivery may repeat, it never vanishes: it is taken off the list only with the record of its outcome. Who dies with
//!   it loses the lease, and the next one sends it again under the same id.
//! - A result counts only if it is of the attempt that the row names.
//! - At most [`MOST_IN_FLIGHT`] deliveries are under way to one endpoint, in all processes together.
//! - Nothing is sent unsigned, or to an address that the operator does not allow at the moment of dialling.
//! - Secrets are shown once, when they are made, and stand in the database encrypted.

mod endpoints;
mod error;
mod filter;
mod replay;
mod state;
mod store;
mod turn;

use jiff::Timestamp;
use partita_webhooks::sending::Answer;

pub use endpoints::{create, delete, reseal, rotate_secret, send_test, update};
pub use error::WebhookError;
pub use replay::{MOST_REPLAYED, Range, fan_out, replay, resend};
pub use state::{DeliveryReason, DeliveryStatus, DisabledReason, EndpointStatus, Signing};
pub use store::deliveries::{DeliveryFilter, attempts, find_delivery, list_deliveries, remove_ended_before};
pub use store::endpoints::{find, list};
pub use turn::{MOST_IN_FLIGHT, take_turn};

use crate::id::{DeliveryId, EventId, WebhookEndpointId};

/// The kind of work in `due`; the number is the endpoint's key.
pub const DUE_KIND: &str = "webhook_endpoint";
/// Most endpoints of a book that are not deleted.
pub const MOST_ENDPOINTS: i64 = 50;
/// Most secrets that an endpoint signs with at once.
pub const MOST_SECRETS: i64 = 4;

/// An address that gets events.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its id.
    pub id: WebhookEndpointId,
    /// Its number in `due`.
    pub key: i64,
    /// Where its events are sent.
    pub url: String,
    /// The platform's own words.
    pub description: Option<String>,
    /// Which events it gets.
    pub events: Vec<String>,
    /// Whether it gets them.
    pub status: EndpointStatus,
    /// What they are signed with.
    pub signing: Signing,
    /// The newest key's public part, for Ed25519.
    pub public_key: Option<String>,
    /// Until when replaced secrets sign too; none when there is only one.
    pub rotation_ends_at: Option<Timestamp>,
    /// The dated version of the interface that its events are in.
    pub api_version: String,
    /// The platform's own data.
    pub metadata: serde_json::Value,
    /// The first failure since the last success.
    pub failing_since: Option<Timestamp>,
    /// Nothing is sent before.
    pub throttled_until: Option<Timestamp>,
    /// How often it changed.
    pub sequence: i32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What a platform asks.
#[derive(Debug, Clone)]
pub struct NewEndpoint {
    /// Where to send.
    pub url: String,
    /// The platform's own words.
    pub description: Option<String>,
    /// Which events.
    pub events: Vec<String>,
    /// What to sign with.
    pub signing: Signing,
    /// The dated version of the interface that its events are in.
    pub api_version: String,
    /// The platform's own data.
    pub metadata: serde_json::Value,
}

/// What is to be changed; none: stays.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Where to send.
    pub url: Option<String>,
    /// The platform's own words; empty: none any more.
    pub description: Option<String>,
    /// Which events.
    pub events: Option<Vec<String>>,
    /// Whether it gets them.
    pub enabled: Option<bool>,
    /// The platform's own data.
    pub metadata: Option<serde_json::Value>,
}

/// One event on its way to one endpoint.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// Where to.
    pub endpoint: WebhookEndpointId,
    /// Of what.
    pub event: EventId,
    /// The event's type.
    pub event_type: String,
    /// Why there is one.
    pub reason: DeliveryReason,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// How often it was tried.
    pub attempt: i32,
    /// When it is tried again.
    pub next_attempt_at: Option<Timestamp>,
    /// The last answer's HTTP status.
    pub last_status: Option<u16>,
    /// Why there was no answer the last time.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// An attempt whose outcome is known.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Which one, from 1.
    pub number: i32,
    /// When it was sent.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: i32,
    /// What was answered.
    pub answer: Option<Answer>,
    /// Why nothing was.
    pub error: Option<String>,
}
