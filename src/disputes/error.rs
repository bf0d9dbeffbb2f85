use partita_db::DbError;
use partita_ledger::LedgerError;
use partita_provider::{FetchError, PrepareError};

use super::DisputeStatus;
use crate::app::ProviderSetupError;
use crate::idempotency::ClaimError;
use crate::transfers::TransferError;

/// Why something cannot be done with a dispute.
#[derive(Debug, thiserror::Error)]
pub enum DisputeError {
    /// No such dispute in this book.
    #[error("no such dispute")]
    NotFound,
    /// The idempotency key cannot be claimed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// Not in this state.
    #[error("a dispute that is {} cannot be {action}", .status.as_str())]
    WrongState {
        /// What was asked: `answered`, `accepted`.
        action: &'static str,
        /// Where the dispute stands.
        status: DisputeStatus,
    },
    /// Evidence goes to the bank once.
    #[error("evidence was submitted, which can be done once")]
    Submitted,
    /// Evidence is due until a time that has passed.
    #[error("the deadline for evidence has passed")]
    Late,
    /// Another command about it has no answer yet.
    #[error("another command about the dispute has not been answered yet")]
    CommandOpen,
    /// The provider's object contradicts ours: nothing is booked, a person has to look.
    #[error("the provider's dispute contradicts what was booked: {0}")]
    Contradiction(String),
    /// The provider's object lacks what its booking needs; read again later it may have it.
    #[error("the provider's object is not complete yet: {0}")]
    Incomplete(&'static str),
    /// The provider cannot take the command.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The provider does not have the file.
    #[error("{provider} did not take the file")]
    Upload {
        /// The provider's name.
        provider: &'static str,
        /// Why not.
        #[source]
        error: FetchError,
    },
    /// The provider is not set up.
    #[error(transparent)]
    Provider(#[from] ProviderSetupError),
    /// The transfers could not be looked at again.
    #[error(transparent)]
    Transfers(#[from] TransferError),
    /// What is kept back of the payment could not be changed.
    #[error(transparent)]
    Reserve(#[from] crate::reserves::ReserveError),
    /// The accounts could not be opened.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The database refused.
    #[error(transparent)]
    Db(#[from] DbError),
}
