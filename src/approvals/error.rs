use partita_db::DbError;
use partita_ledger::LedgerError;
use partita_provider::FetchError;

use crate::adjustments::AdjustmentError;
use crate::app::ProviderSetupError;
use crate::debts::DebtError;
use crate::events::ApplyError;
use crate::journal::JournalError;
use crate::payouts::PayoutError;
use crate::refunds::RefundError;
use crate::transfers::TransferError;

/// Why something was not proposed or decided.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    /// No such approval in the book.
    #[error("no such approval")]
    NotFound,
    /// No such command in the book.
    #[error("no such operation")]
    OperationNotFound,
    /// Nobody has to decide about the command.
    #[error("the operation is {state}, not needs_review")]
    NotInReview {
        /// Where it stands.
        state: &'static str,
    },
    /// A proposal about the same command is waiting.
    #[error("another proposal about it is pending")]
    AnotherPending,
    /// It was decided, or nobody did in time.
    #[error("the approval is {state}")]
    Decided {
        /// Where it stands.
        state: &'static str,
    },
    /// Maker is not checker.
    #[error("whoever proposed cannot approve")]
    OwnProposal,
    /// The command makes no object that could be read at the provider.
    #[error("commands of this kind make no object that could be adopted")]
    NothingToAdopt,
    /// The command is said to have had no effect, and the provider shows one.
    #[error("the provider has made {objects} for the operation")]
    HasObject {
        /// Their ids at the provider.
        objects: String,
    },
    /// The provider does not show the object.
    #[error("the provider's object could not be read")]
    NotReadable(#[source] FetchError),
    /// The book contradicts itself: nothing moves money in it until a person has looked.
    #[error("the book is halted")]
    Halted,
    /// There is no such adjustment, or it cannot be made or ended.
    #[error(transparent)]
    Adjustment(#[from] AdjustmentError),
    /// There is no such payout, or it cannot have come back.
    #[error(transparent)]
    Payout(#[from] PayoutError),
    /// There is no such debt, or it cannot be given up.
    #[error(transparent)]
    Debt(#[from] DebtError),
    /// There is no such refund, or it wants no decision.
    #[error(transparent)]
    Refund(#[from] RefundError),
    /// The ledger refused to open accounts.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The transfer that follows could not be planned.
    #[error(transparent)]
    Transfers(#[from] TransferError),
    /// The provider's object cannot be booked.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The provider is not set up.
    #[error(transparent)]
    Provider(#[from] ProviderSetupError),
    /// The ledger refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}
