use jiff::civil::Date;
use partita_db::{DbError, VaultError};
use partita_ledger::LedgerError;
use partita_provider::{Currency, Money, PrepareError};

use super::{PayoutStatus, platform};
use crate::adjustments::AdjustmentError;
use crate::app::ProviderSetupError;
use crate::idempotency::ClaimError;
use crate::journal::JournalError;
use crate::sellers::SellerError;
use crate::transfers::TransferError;

/// Why something cannot be done with a payout.
#[derive(Debug, thiserror::Error)]
pub enum PayoutError {
    /// No such payout in this book.
    #[error("no such payout")]
    NotFound,
    /// Another payout has the reference.
    #[error("a payout with this reference exists")]
    ReferenceTaken,
    /// The seller that a request names is not there.
    #[error("the seller is not there")]
    SellerUnknown,
    /// The seller is paid out in another currency.
    #[error("the seller is paid out in {currency}")]
    OtherCurrency {
        /// Which one.
        currency: Currency,
    },
    /// The seller cannot be paid out now.
    #[error("the seller cannot be paid out: {reason}")]
    NotPayable {
        /// Why, as a word.
        reason: &'static str,
    },
    /// The provider pays it, or the seller, out.
    #[error("the provider tells what becomes of this payout")]
    NotByBank,
    /// A payout in this state cannot go there.
    #[error("a payout that is {} cannot be {word}", status.as_str())]
    State {
        /// Where it stands.
        status: PayoutStatus,
        /// What was to be done.
        word: &'static str,
    },
    /// A payout of the seller's waits for its bank file.
    #[error("a payout of the seller's waits for its bank file: cancel it, or make the file first")]
    Waiting,
    /// No account of the platform's was declared that this currency is paid from.
    #[error("no bank account of your own is declared that {currency} is paid from")]
    NoOwnAccount {
        /// Which currency.
        currency: Currency,
    },
    /// No payout waits for a file.
    #[error("no payout in {currency} waits for a bank file")]
    NothingWaits {
        /// Which currency.
        currency: Currency,
    },
    /// A bank cannot be asked to pay then.
    #[error("must be from {first} to {last}")]
    ExecutedWhen {
        /// Today.
        first: Date,
        /// The last day.
        last: Date,
    },
    /// Another bank file has the reference.
    #[error("a bank file with this reference exists")]
    FileReferenceTaken,
    /// What is encrypted cannot be sealed or opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// What the seller has could not be taken, or given back.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The ledger refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The provider could not be asked what can be paid out at once.
    #[error("the provider could not be asked: {0}")]
    ProviderUnavailable(String),
    /// A fee that is kept could not be taken.
    #[error(transparent)]
    Adjustment(#[from] AdjustmentError),
    /// Nothing blocks the seller's bank account.
    #[error("the seller's bank account is not blocked")]
    NotBlocked,
    /// More than is the platform's own.
    #[error("{asked} is more than what is free")]
    NotCovered {
        /// What was asked.
        asked: Money,
        /// What the books say.
        coverage: platform::Coverage,
    },
    /// More than can be paid out.
    #[error("no more than {payable} can be paid out")]
    TooMuch {
        /// What can.
        payable: Money,
    },
    /// A balance is out of every range.
    #[error("a balance does not fit an amount")]
    OutOfRange,
    /// Something is wrong with the seller.
    #[error(transparent)]
    Seller(#[from] SellerError),
    /// The idempotency key cannot be claimed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The provider cannot take the command.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The provider is not set up.
    #[error(transparent)]
    Provider(#[from] ProviderSetupError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The provider's object contradicts what was booked: a person has to look.
    #[error("the provider's payout contradicts what was booked: {0}")]
    Contradiction(String),
    /// The provider's object lacks what its booking needs; read again later it may have it.
    #[error("the provider's object is not complete yet: {0}")]
    Incomplete(&'static str),
    /// The database refused.
    #[error(transparent)]
    Db(#[from] DbError),
}
