use partita_db::DbError;
use partita_ledger::LedgerError;

use crate::app::ProviderSetupError;
use crate::customers::CustomerError;
use crate::disputes::DisputeError;
use crate::journal::JournalError;
use crate::payments::PaymentError;
use crate::payouts::PayoutError;
use crate::refunds::RefundError;
use crate::sellers::SellerError;
use crate::top_ups::TopUpError;
use crate::transfers::TransferError;

/// Why the provider's word could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Test and live never meet.
    #[error("the provider's object is of the other mode")]
    OtherMode,
    /// The attempt was overtaken: another one, or a webhook, ended the command.
    #[error("the attempt was overtaken")]
    Overtaken,
    /// The attempt's lease ran out before it was sent: whoever takes it next sends it.
    #[error("the attempt's lease ran out before it was sent")]
    Lapsed,
    /// The provider answered with the object of another command.
    #[error("the answer is not about the object that was asked for")]
    NotAsked,
    /// Of a seller.
    #[error(transparent)]
    Seller(#[from] SellerError),
    /// Of a customer or a saved method.
    #[error(transparent)]
    Customer(#[from] CustomerError),
    /// Of a payment.
    #[error(transparent)]
    Payment(#[from] PaymentError),
    /// Of a transfer or reversal.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// Of a refund.
    #[error(transparent)]
    Refund(#[from] RefundError),
    /// Of a top-up.
    #[error(transparent)]
    TopUp(#[from] TopUpError),
    /// Of a payout.
    #[error(transparent)]
    Payout(#[from] PayoutError),
    /// Of a dispute.
    #[error(transparent)]
    Dispute(#[from] DisputeError),
    /// The provider is not set up.
    #[error(transparent)]
    Provider(#[from] ProviderSetupError),
    /// The ledger refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The provider's list of events cannot be read.
    #[error("the provider's events cannot be listed")]
    Sweep(#[source] partita_provider::FetchError),
    /// The provider cannot be asked about an object.
    #[error("the provider cannot be asked")]
    Fetch(#[source] partita_provider::FetchError),
    /// The inbox failed.
    #[error(transparent)]
    Inbox(#[from] partita_webhooks::inbox::InboxError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// What helps against an [`ApplyError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Reading the object again later: it was not complete, or its parents are not booked yet.
    Later,
    /// A person: ours and the provider's contradict each other.
    Person,
    /// Trying again: the failure was ours.
    Again,
}

impl ApplyError {
    /// What helps.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Payment(PaymentError::Incomplete(_))
            | Self::Customer(CustomerError::Incomplete(_))
            | Self::Transfer(TransferError::Incomplete(_))
            | Self::Refund(RefundError::Incomplete(_))
            | Self::TopUp(TopUpError::Incomplete(_))
            | Self::Payout(PayoutError::Incomplete(_))
            | Self::Dispute(DisputeError::Incomplete(_)) => Remedy::Later,
            Self::OtherMode
            | Self::NotAsked
            | Self::Payment(PaymentError::Contradiction(_))
            | Self::Customer(CustomerError::Contradiction(_))
            | Self::Transfer(TransferError::Contradiction(_))
            | Self::Refund(RefundError::Contradiction(_))
            | Self::TopUp(TopUpError::Contradiction(_))
            | Self::Payout(PayoutError::Contradiction(_))
            | Self::Dispute(DisputeError::Contradiction(_))
            | Self::Seller(SellerError::OtherAccount)
            | Self::Journal(JournalError::Refused { .. }) => Remedy::Person,
            _ => Remedy::Again,
        }
    }
}
