//! The book: what a transaction may see.

use serde::{Deserialize, Serialize};

/// A book: one platform in one mode (test or live). Rows, accounts and trial balances never cross books.
///
/// The number fits 20 bits, because the ledger keeps it in fixed bits of its account keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type)]
#[sqlx(transparent)]
#[serde(try_from = "i32", into = "i32")]
pub struct BookId(i32);

impl BookId {
    /// The largest number a book can have: 2^20 - 1.
    pub const MAX: i32 = 1_048_575;

    /// A book's number, `None` unless it is in `1..=1_048_575`.
    pub const fn try_new(book: i32) -> Option<Self> {
        if book >= 1 && book <= Self::MAX { Some(Self(book)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl std::fmt::Display for BookId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl From<BookId> for i32 {
    fn from(book: BookId) -> Self {
        book.0
    }
}

/// The number is outside `1..=1_048_575`.
#[derive(thiserror::Error, Clone, Copy, Debug, PartialEq, Eq)]
#[error("a book's number is between 1 and 1048575, not {0}")]
pub struct NotABook(i32);

impl TryFrom<i32> for BookId {
    type Error = NotABook;

    fn try_from(book: i32) -> Result<Self, Self::Error> {
        Self::try_new(book).ok_or(NotABook(book))
    }
}

/// What a transaction may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The rows of this book.
    Book(BookId),
    /// The routing tables, which are read before the book is known. A table under a policy raises.
    Routing,
}

impl Scope {
    /// The book, if one is named.
    pub const fn book(self) -> Option<BookId> {
        match self {
            Self::Book(book) => Some(book),
            Self::Routing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::BookId;

    #[test]
    fn a_book_fits_twenty_bits() {
        assert_eq!(BookId::try_new(0), None);
        assert_eq!(BookId::try_new(-1), None);
        assert_eq!(BookId::try_new(1).map(BookId::get), Some(1));
        assert_eq!(BookId::try_new(1_048_575).map(BookId::get), Some((1 << 20) - 1));
        assert_eq!(BookId::try_new(1_048_576), None);
    }
}
