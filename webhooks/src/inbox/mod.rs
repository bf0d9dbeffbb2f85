//! The durable inbox: what providers told us, stored once, applied once.
//!
//! # States
//! `received` -> `applied` | `ignored` | `parked` | `quarantined`; `parked` is tried again when its time comes;
//! `ignored` and `quarantined` can be reopened. The table `inbox_event_transitions` has them all and a trigger keeps them.
//!
//! # Nothing is forgotten
//! The routing table `due` says which books have unapplied events, one row per book. Two things must not happen: that a
//! store waits for another store of the same book or for a worker that applies a batch; and that a worker takes the row
//! away while a store, which has seen it there, commits an event after the worker looked. Hence one advisory lock per book:
//!
//! - [`store`] holds it *shared* until its commit, and writes the row only if it is missing or in the future. Stores do
//!   not exclude each other. (`insert .. on conflict do update .. where` would: it locks the row even if the condition is
//!   false, until the commit; a dozen stores at once, a database some milliseconds away, and the last of them runs out of
//!   time.)
//! - [`settle`], the only place that removes the row or moves it into the future, takes it *exclusively*, in a short
//!   transaction of its own that comes *after* the work. So it waits for every store that may have relied on the row, and
//!   what it then reads (a new snapshot, as every statement of READ COMMITTED takes one) includes their events. A store
//!   that comes later waits for it and finds the row as it left it.
//! - A worker that dies before [`settle`] leaves the row: it is claimed again when the lease has run out.
//!
//! The worker's batch itself ([`claim_due`] and the marks) holds row locks of the inbox and never this lock, so a slow
//! batch delays no delivery.

mod store;

use jiff::Timestamp;
use partita_db::{BookId, DbError, Tx};

pub use store::claim::{
    claim_books, claim_due, claim_one, ignore, mark_applied, park, park_read, quarantine, reopen, settle,
};
pub use store::list::{InboxCount, InboxCursor, InboxEventDetail, InboxSummary, counts, find, list, waiting};
pub use store::{NewInboxEvent, Stored, store};

/// What identifies an event within a book.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InboxKey {
    /// The provider's name, as in the endpoint.
    pub provider: String,
    /// The connected account's id at the provider; empty for the platform's own account.
    pub account: String,
    /// The event's id at the provider.
    pub event_id: String,
}

/// An event that a worker holds until the end of its transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxEvent {
    /// Its identity.
    pub key: InboxKey,
    /// The provider's word for what happened.
    pub kind: String,
    /// Whether real money is meant.
    pub livemode: bool,
    /// When it happened, by the provider's clock.
    pub created_at: Timestamp,
    /// The body as it came, card numbers masked.
    pub raw: Vec<u8>,
    /// How often it was tried before.
    pub attempts: i32,
    /// Of these, how often its object was shown and nothing could be made of it.
    pub reads: i32,
}

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InboxState {
    /// Not looked at yet.
    Received,
    /// Its effect is committed. Final.
    Applied,
    /// It cannot be applied yet and is tried again later.
    Parked,
    /// Of a type that means nothing to this release. Kept.
    Ignored,
    /// Given up; a person has to look.
    Quarantined,
}

impl InboxState {
    /// The word in the database and in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Applied => "applied",
            Self::Parked => "parked",
            Self::Ignored => "ignored",
            Self::Quarantined => "quarantined",
        }
    }

    /// Reads the word; none for any other.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Received, Self::Applied, Self::Parked, Self::Ignored, Self::Quarantined]
            .into_iter()
            .find(|state| state.as_str() == word)
    }

    fn read(word: &str) -> Result<Self, InboxError> {
        Self::parse(word).ok_or_else(|| InboxError::UnknownState(word.to_owned()))
    }
}

impl std::fmt::Display for InboxState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What can go wrong with the inbox.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The transaction names no book, but the inbox is a book's.
    #[error("the inbox was asked for outside any book")]
    NoBook,
    /// Some of the events are not in a state that may be left for the one asked for: somebody else ended them.
    #[error("only {changed} of {asked} inbox events could become {state}")]
    NotOpen {
        /// The state asked for.
        state: &'static str,
        /// How many events were named.
        asked: usize,
        /// How many of them could follow.
        changed: u64,
    },
    /// The database holds a state that this release does not know.
    #[error("unknown inbox state {0:?}")]
    UnknownState(String),
}

impl From<sqlx::Error> for InboxError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(DbError::from(error))
    }
}

/// The book of the transaction.
fn book_of(tx: &Tx) -> Result<BookId, InboxError> {
    tx.book().ok_or(InboxError::NoBook)
}

/// Class of the advisory locks described in the module's documentation; the object is the book.
const LOCK_CLASS: i32 = 0x0069_6e62; // "inb"
