//! Why something cannot be done with a reserve.

use partita_db::DbError;
use partita_provider::Currency;

use super::ReserveStatus;
use crate::idempotency::ClaimError;

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// No such reserve in this book.
    #[error("no such reserve")]
    NotFound,
    /// No such seller in this book.
    #[error("no such seller")]
    SellerNotFound,
    /// The seller has no money of this currency.
    #[error("the seller is paid in {seller}")]
    SellerCurrency {
        /// The seller's currency.
        seller: Currency,
    },
    /// Its date has passed.
    #[error("the release date must be in the future")]
    ReleasedBeforeMade,
    /// It is being released, or was.
    #[error("a reserve that is {} cannot be released", .status.as_str())]
    NotOpen {
        /// Where it stands.
        status: ReserveStatus,
    },
    /// It changed meanwhile.
    #[error("the reserve changed meanwhile")]
    Overtaken,
    /// The idempotency key was used otherwise.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The database refused.
    #[error(transparent)]
    Db(#[from] DbError),
}
