use partita_db::DbError;
use partita_ledger::LedgerError;
use partita_provider::PrepareError;

use crate::app::ProviderSetupError;
use crate::debts::DebtError;
use crate::journal::JournalError;
use crate::payments::PaymentError;
use crate::reserves::ReserveError;

/// Why something cannot be done with a transfer.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// No such transfer or reversal in this book.
    #[error("no such transfer")]
    NotFound,
    /// No such payment or adjustment in this book.
    #[error("no such payment or adjustment")]
    PaymentNotFound,
    /// The seller has no account at the provider.
    #[error("the seller has no account at the provider")]
    SellerHasNoAccount,
    /// The provider's object contradicts ours: nothing is booked, a person has to look.
    #[error("the provider's object contradicts the transfer: {0}")]
    Contradiction(String),
    /// The provider's object lacks what its booking needs; read again later it may have it.
    #[error("the provider's object is not complete yet: {0}")]
    Incomplete(&'static str),
    /// A debt could not be opened or settled.
    #[error(transparent)]
    Debt(#[from] DebtError),
    /// A share that waited could not be released.
    #[error(transparent)]
    Payment(#[from] PaymentError),
    /// Something could not be kept back, or given back.
    #[error(transparent)]
    Reserve(#[from] ReserveError),
    /// The provider cannot take the command.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The provider is not set up.
    #[error(transparent)]
    Provider(#[from] ProviderSetupError),
    /// The ledger refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The database refused.
    #[error(transparent)]
    Db(#[from] DbError),
}
