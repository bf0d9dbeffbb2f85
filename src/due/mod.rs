//! What is due, and where: the routing table of the worker. A row names a book, a kind and a number; the work itself is
//! found in the book. Due times are business time; leases are the database's.
//!
//! Rows of the kind `inbox` belong to the inbox, which changes them itself.

mod store;

use jiff::Timestamp;
use partita_db::BookId;

pub use store::{claim, finish, next, postpone, release, schedule};

/// A piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// What kind of work.
    pub kind: String,
    /// In which book.
    pub book: BookId,
    /// On what.
    pub id: i64,
    /// When it was due, by the business clock.
    pub due_at: Timestamp,
}

/// A claimed piece of work with the lease that proves the claim.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The work.
    pub due: Due,
    /// Who schedules the same work meanwhile takes the lease away, so that finishing does not lose it.
    pub lease: Timestamp,
}
