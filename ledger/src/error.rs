//! What can go wrong beside a refusal.

use partita_db::{BookId, DbError};

use crate::key::AccountKey;

/// A failure of a ledger call. Except where said otherwise the database transaction is spent: roll it back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The database failed; [`partita_db::is_retryable`] tells whether to run the unit of work again.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The database transaction names no book. Nothing was asked; the transaction lives.
    #[error("the database transaction names no book")]
    NoBook,
    /// The book was never opened.
    #[error("book {book} is not open")]
    BookNotOpen {
        /// The book.
        book: BookId,
    },
    /// An account, or its path, is open already with other properties.
    #[error("{account} is open with other properties, or its path is taken")]
    AccountDiffers {
        /// The key that was asked for.
        account: AccountKey,
    },
    /// A balance of an account that is not open was asked for. The transaction lives.
    #[error("{account} is not open")]
    UnknownAccount {
        /// The account.
        account: AccountKey,
    },
    /// A path breaks the rule of [`NewAccount::path`](crate::NewAccount::path).
    #[error("{path:?} is not an account path")]
    BadPath {
        /// The path, cut to 200 characters.
        path: String,
    },
    /// The transaction to reverse is not there. The transaction lives.
    #[error("there is no transaction {id}")]
    UnknownTransaction {
        /// Its id.
        id: i64,
    },
    /// The anchor belongs to another book. Nothing was asked; the transaction lives.
    #[error("the anchor belongs to book {book}")]
    OtherBook {
        /// The anchor's book.
        book: BookId,
    },
    /// What was queued for [`Ledger::post`](crate::Ledger::post) ended without an answer, as the program is stopping: it
    /// may be posted or not. Bring it again from the same source.
    #[error("the outcome of a queued posting was not heard")]
    NotHeard,
    /// An id was given to a second transaction, or to a second hold.
    #[error("an id was used before")]
    DuplicateId,
    /// More transactions than one call takes. Nothing was asked; the transaction lives.
    #[error("one call takes at most {max} transactions")]
    TooManyTransactions {
        /// The limit.
        max: usize,
    },
    /// A row holds what this release cannot have written.
    #[error("unreadable ledger row: {0}")]
    Unreadable(&'static str),
}

impl From<sqlx::Error> for LedgerError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error().and_then(sqlx::error::DatabaseError::constraint) {
            Some("ledger_transactions_id_once" | "ledger_holds_id_once") => Self::DuplicateId,
            _ => Self::Db(error.into()),
        }
    }
}
