//! Durable commands towards a provider.
//!
//! 1. [`plan`]: the intent, the stored key and the stored bytes, in the transaction of the decision.
//! 2. [`claim`]: one holder, fenced by the attempt number, leased by the database's clock; committed before the call.
//! 3. The call, outside any transaction (`events::submit`).
//! 4. [`record_answer`] and [`conclude`]: the raw answer and the result, if the attempt is still ours.
//! 5. What nobody can tell is `unknown`, and never taken for a failure. The same bytes go out again under the same key
//!    while the provider still remembers the key; an old key, or an error that the provider keeps under it, is looked up
//!    instead ([`next_step`]). Two empty look-ups ten minutes apart prove that nothing happened: then a new *generation*
//!    goes out under a new key, or, above a limit and where facts contradict each other, two people decide
//!    ([`after_absence`], `needs_review`).

mod metadata;
mod review;
mod state;
mod store;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use partita_db::{BookId, DbError, Tx};
use partita_provider::{Command, PreparedRequest, RawAnswer, Refusal};
use uuid::Uuid;

pub use metadata::{METADATA_OBJECT, METADATA_OPERATION, metadata};
pub use review::{record_resolution, record_review};
pub use state::{Absence, Step, Verdict, after_absence, next_step, retry_delay_ms, verdict};
pub use store::{
    HistoryStep, OpenCount, claim, conclude, count_open, find, find_by_id_for_update, find_for_update,
    find_newest_by_object, list, list_by_object, list_history, record_answer, renew_lease, unknown_of,
};

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
    /// Two people have to say what became of it.
    NeedsReview,
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
            Self::NeedsReview => "needs_review",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Planned, Self::Submitting, Self::Succeeded, Self::Failed, Self::Unknown, Self::NeedsReview];

    /// Whether the worker goes on with it by itself.
    pub fn is_worked_on(self) -> bool {
        matches!(self, Self::Planned | Self::Submitting | Self::Unknown)
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
    /// The provider's name.
    pub provider: String,
    /// What is asked.
    pub command: Command,
    /// The bytes to send.
    pub request: PreparedRequest,
    /// The key to send them under.
    pub idempotency_key: String,
    /// Counts the keys it was sent under, from 1.
    pub generation: i32,
    /// Where it stands.
    pub state: OperationState,
    /// How often it was claimed.
    pub attempt: i32,
    /// For how long the attempt was still nobody else's when this was read; none when it is not being sent.
    pub lease_left: Option<Duration>,
    /// Whether an attempt may have had an effect that nobody has told us of.
    pub in_doubt: bool,
    /// How often the provider answered this generation with an error of its own.
    pub server_errors: i32,
    /// How often the provider had no object of this generation when asked.
    pub empty_look_ups: i32,
    /// When it first had none, by the business clock.
    pub first_look_up_at: Option<Timestamp>,
    /// Why people have to decide.
    pub review_reason: Option<String>,
    /// Counts its events.
    pub sequence: i32,
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

impl Operation {
    /// Whose account at the provider it acts for; empty for the platform's own.
    pub fn account(&self) -> &str {
        self.request.account.as_deref().unwrap_or_default()
    }

    /// Whether the attempt is certainly still this process's, which asked for the row at `asked`. Measured here, by time
    /// that no clock's setting changes: a process that was stopped for long must not send what others have ended
    /// meanwhile, perhaps under a newer key.
    pub fn is_held(&self, asked: Instant) -> bool {
        self.lease_left.is_some_and(|left| asked.elapsed() < left)
    }
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
        /// What the attempt taught about the doubt.
        evidence: Evidence,
    },
    /// It certainly had no effect, and goes out under a new key.
    Renewed {
        /// How that is known, for a person.
        why: String,
    },
    /// Two people have to decide.
    NeedsReview {
        /// Why, for them.
        why: String,
    },
}

/// What an attempt that settled nothing taught about the doubt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// The provider answered with an error of its own, which it may keep under the key.
    pub server_error: bool,
    /// The provider was asked for the object and has none.
    pub absent: bool,
    /// The provider made the object with this id, but it cannot be booked as it was answered.
    pub provider_object: Option<String>,
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
    crate::due::schedule(tx, DUE_KIND, operation.key, due).await?;
    crate::crash::point_of("within_intent", [operation.command.name()]);
    Ok(())
}

/// An operation as the tests of pure decisions need one.
#[cfg(test)]
fn test_operation(command: Command) -> Operation {
    Operation {
        book: BookId::try_new(1).expect("in range"),
        id: OperationId::new(),
        key: 1,
        kind: command.name().to_owned(),
        object_type: "top_up".to_owned(),
        object_id: Uuid::nil(),
        object_key: 1,
        provider: "stripe".to_owned(),
        command,
        request: PreparedRequest { method: "POST".into(), path: "/".into(), body: String::new(), account: None },
        idempotency_key: "op.1".to_owned(),
        generation: 1,
        state: OperationState::Planned,
        attempt: 1,
        lease_left: None,
        in_doubt: false,
        server_errors: 0,
        empty_look_ups: 0,
        first_look_up_at: None,
        review_reason: None,
        sequence: 0,
        first_sent_at: None,
        next_attempt_at: Timestamp::UNIX_EPOCH,
        provider_object: None,
        refusal: None,
        last_error: None,
        actor: "system".to_owned(),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    }
}
