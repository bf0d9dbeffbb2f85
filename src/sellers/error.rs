use partita_db::{DbError, VaultError};
use partita_ledger::LedgerError;
use partita_provider::PrepareError;

use crate::app::ProviderSetupError;
use crate::idempotency::ClaimError;

/// Why something cannot be done with a seller.
#[derive(Debug, thiserror::Error)]
pub enum SellerError {
    /// No such seller in this book.
    #[error("no such seller")]
    NotFound,
    /// Another seller has the reference.
    #[error("a seller with this reference exists")]
    ReferenceTaken,
    /// The idempotency key cannot be claimed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The provider names another account for the seller than the one that is stored.
    #[error("the provider names another account for this seller")]
    OtherAccount,
    /// The seller has no account at the provider (yet).
    #[error("the seller has no account at the provider")]
    NoAccount,
    /// The seller is not paid by bank file.
    #[error("the seller is not paid by bank file")]
    NoBankDetails,
    /// Bank details cannot be encrypted or read.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// No such onboarding link.
    #[error("no such onboarding link")]
    LinkNotFound,
    /// The link's time is over.
    #[error("the onboarding link has expired")]
    LinkExpired,
    /// The link's button was pressed before.
    #[error("the onboarding link was used")]
    LinkUsed,
    /// The provider did not give an address; later it may.
    #[error("the provider did not give an onboarding address: {0}")]
    ProviderUnavailable(String),
    /// The book has no more numbers for sellers.
    #[error("the book is full")]
    TooMany,
    /// The provider cannot take the command.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The provider is not set up.
    #[error(transparent)]
    Provider(#[from] ProviderSetupError),
    /// The ledger refused.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The database refused.
    #[error(transparent)]
    Db(#[from] DbError),
}
