//! Durable commands towards a provider.
//!
//! 1. [`plan`]: the intent, the stored key and the stored bytes, in the transaction of the decision.
//! 2. [`claim`]: one holder, fenced by the attempt number, leased by the database's clock; committed before the call.
//! 3. The call, outside any transaction (`events::submit`).
//! 4. [`record_answer`] and [`conclude`]: the raw answer and the result, if the attempt is still ours.
//! 5. What nobody can tell is `unknown`: the same bytes go out again under the same key, while the provider still
//!    remembers the key. It is never taken for a failure.

mod state;
mod store;

use jiff::Timestamp;
use partita_db::{BookId, DbError, Tx};
use partita_provider::{Command, PreparedRequest, RawAnswer, Refusal};
use uuid::Uuid;

pub use state::{Resolution, SAME_KEY_HOURS, Verdict, resolve_unknown, retry_delay_ms, verdict};
pub use store::{claim, conclude, find, find_for_update, find_newest_by_object, list, list_by_object, record_answer};

use crate::actor::Actor;
use crate::id::OperationId;

/// How long a claimed attempt is nobody else's: the provider's hard timeout and a margin; database clock.
pub const LEASE_SECONDS: i32 = 40;

/// The kind of `due` rows that name operations.
pub const DUE_KIND: &str = "operation";

/// The object that a command is about.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The resource: `payment`, `refund` ..
    pub object_type: &'static str,
    /// Which one.
    pub object_id: Uuid,
    /// Its ledger subject.
    pub object_key: i64,
}

/// An intent to be stored.
#[derive(Debug, Clone)]
pub struct NewOperation {
    /// Its id.
    pub id: OperationId,
    /// Its number: the source of its ledger transactions.
    pub key: i64,
    /// What it is about.
    pub target: Target,
    /// The provider's name.
    pub provider: &'static str,
    /// What is asked.
    pub command: Command,
    /// The bytes to send.
    pub request: PreparedRequest,
    /// Who asks.
    pub actor: Actor,
}

/// Who sends it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstTry {
    /// The process that stores it, right after the commit: attempt 1 is claimed with the insert.
    Now,
    /// The worker.
    Queued,
}

/// Where a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationState {
    /// Not sent.
    Planned,
    /// Sent, or about to be, by the holder of the lease.
    Submitting,
    /// Done: the object's id is known.
    Succeeded,
    /// Refused: nothing moved.
    Failed,
    /// Nobody can tell.
    Unknown,
}

impl OperationState {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Submitting => "submitting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Planned, Self::Submitting, Self::Succeeded, Self::Failed, Self::Unknown]
            .into_iter()
            .find(|state| state.as_str() == text)
    }

    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// A stored command.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Its book.
    pub book: BookId,
    /// Its id.
    pub id: OperationId,
    /// Its number: the source of its ledger transactions.
    pub key: i64,
    /// The command's name.
    pub kind: String,
    /// The resource it is about.
    pub object_type: String,
    /// Which one.
    pub object_id: Uuid,
    /// Its ledger subject.
    pub object_key: i64,
    /// The bytes to send.
    pub request: PreparedRequest,
    /// The key to send them under.
    pub idempotency_key: String,
    /// Where it stands.
    pub state: OperationState,
    /// How often it was claimed.
    pub attempt: i32,
    /// Whether an attempt may have had an effect that nobody has told us of.
    pub in_doubt: bool,
    /// When it was first sent, by the business clock; none again after an attempt that certainly had no effect.
    pub first_sent_at: Option<Timestamp>,
    /// When it is next looked at, by the business clock.
    pub next_attempt_at: Timestamp,
    /// The id of the object that the provider made.
    pub provider_object: Option<String>,
    /// Why the provider refused.
    pub refusal: Option<Refusal>,
    /// What happened last, for a person.
    pub last_error: Option<String>,
    /// Who asked.
    pub actor: String,
    /// When it was stored, by the business clock.
    pub created_at: Timestamp,
    /// When it last changed, by the business clock.
    pub updated_at: Timestamp,
}

/// An answer to keep, or the note that none came.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What came.
    pub raw: Option<RawAnswer>,
    /// What it was taken for.
    pub note: String,
}

/// How an attempt ends.
#[derive(Debug, Clone)]
pub enum Conclusion {
    /// The provider made the object with this id.
    Succeeded {
        /// The object's id at the provider.
        provider_object: String,
    },
    /// The provider refused.
    Failed {
        /// Why.
        refusal: Refusal,
    },
    /// To be looked at again.
    Again {
        /// `Planned` when it certainly had no effect, `Unknown` otherwise.
        state: OperationState,
        /// When, by the business clock.
        at: Timestamp,
        /// What happened, for a person.
        why: String,
    },
}

/// Stores an intent. With [`FirstTry::Now`] its first attempt is ours already.
///
/// # Errors
/// What the database says.
pub async fn plan(tx: &mut Tx, operation: &NewOperation, first: FirstTry, now: Timestamp) -> Result<(), DbError> {
    store::insert(tx, operation, first, now).await?;
    // The queue is the fallback of the first try: it looks when the lease has run out.
    let due = match first {
        FirstTry::Now => now + jiff::SignedDuration::from_secs(i64::from(LEASE_SECONDS)),
        FirstTry::Queued => now,
    };
    crate::due::schedule(tx, DUE_KIND, operation.key, due).await
}
