//! What is due, and where: the routing table of the worker. A row names a book, a kind and a number; the work itself is
//! found in the book. Due times are business time; leases are the database's.
//!
//! Rows of the kind `inbox` belong to the inbox, which changes them itself.

mod store;

use jiff::{SignedDuration, Timestamp};
use partita_db::BookId;

pub use store::{
    claim, finish, kinds_due, next, postpone, release, schedule, schedule_all, schedule_books, schedule_books_at,
};

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

const DAY: SignedDuration = SignedDuration::from_hours(24);

impl Due {
    /// The next of its times after now, for what is done once a day: a book keeps its time of day, however late it was.
    pub fn next_day(&self, now: Timestamp) -> Timestamp {
        let days = now.duration_since(self.due_at).as_hours() / DAY.as_hours();
        self.due_at + SignedDuration::from_hours((days.max(0) + 1) * DAY.as_hours())
    }
}

/// A claimed piece of work with the lease that proves the claim.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The work.
    pub due: Due,
    /// Who schedules the same work meanwhile takes the lease away, so that finishing does not lose it.
    pub lease: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_keeps_its_time_of_day_however_late_it_was() {
        let due_at: Timestamp = "2026-03-02T05:00:00Z".parse().expect("a time");
        let due = Due { kind: "verify".to_owned(), book: BookId::try_new(1).expect("a book"), id: 0, due_at };
        for (late, next) in [(0, "2026-03-03"), (23, "2026-03-03"), (24, "2026-03-04"), (100, "2026-03-07")] {
            let expected: Timestamp = format!("{next}T05:00:00Z").parse().expect("a time");
            assert_eq!(due.next_day(due_at + SignedDuration::from_hours(late)), expected, "{late} hours late");
        }
    }
}
