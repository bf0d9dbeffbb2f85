use partita_db::DbError;
use partita_provider::PrepareError;

use super::RefundStatus;
use crate::app::ProviderSetupError;
use crate::idempotency::ClaimError;
use crate::journal::JournalError;
use crate::payments::PaymentStatus;
use crate::transfers::TransferError;

/// Why something cannot be done with a refund.
#[derive(Debug, thiserror::Error)]
pub enum RefundError {
    /// No such refund in this book.
    #[error("no such refund")]
    NotFound,
    /// No such payment in this book.
    #[error("no such payment")]
    PaymentNotFound,
    /// Another refund has the reference.
    #[error("a refund with this reference exists")]
    ReferenceTaken,
    /// The idempotency key cannot be claimed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// Only what was charged can be given back.
    #[error("a payment that is {} cannot be refunded", .status.as_str())]
    WrongState {
        /// Where the payment stands.
        status: PaymentStatus,
    },
    /// More than is left of the payment.
    #[error("{asked} is more than the {left} that are left")]
    MoreThanLeft {
        /// What was asked, minor units.
        asked: i64,
        /// What is left, minor units.
        left: i64,
    },
    /// More than is left of a line.
    #[error("line {line}: {asked} is more than the {left} that are left")]
    MoreThanLeftOfLine {
        /// The place in the request, from 0.
        index: usize,
        /// The payment's line, from 0.
        line: i32,
        /// What was asked, net, minor units.
        asked: i64,
        /// What is left, net, minor units.
        left: i64,
    },
    /// The payment has no such line.
    #[error("the payment has no line {line}")]
    UnknownLine {
        /// The place in the request, from 0.
        index: usize,
        /// What was named.
        line: i32,
    },
    /// A line is named twice.
    #[error("line {line} is named twice")]
    RepeatedLine {
        /// The place in the request, from 0.
        index: usize,
        /// The payment's line, from 0.
        line: i32,
    },
    /// Only a dispute stands in the way: what it has taken the buyer has, or gets back by it.
    #[error("{disputed} of the payment are disputed, and what is disputed cannot be refunded")]
    Disputed {
        /// What disputes have taken that are open or lost, minor units.
        disputed: i64,
    },
    /// Nothing is left to give back.
    #[error("nothing is left to give back")]
    NothingLeft,
    /// Only a refund that came back wants a decision.
    #[error("a refund that is {} has nothing to be decided", .status.as_str())]
    NotReturned {
        /// Where the refund stands.
        status: RefundStatus,
    },
    /// Of a direct charge the seller owes the buyer, not the platform.
    #[error("a refund of a direct charge is its seller's: it is not paid from the platform's bank account")]
    SellersRefund,
    /// The provider's object lacks what its booking needs; read again later it may have it.
    #[error("the provider's object is not complete yet: {0}")]
    Incomplete(&'static str),
    /// The provider's object contradicts ours: nothing is booked, a person has to look.
    #[error("the provider's object contradicts the refund: {0}")]
    Contradiction(String),
    /// The provider cannot take the command.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The provider is not set up.
    #[error(transparent)]
    Provider(#[from] ProviderSetupError),
    /// The transfers could not be looked at again.
    #[error(transparent)]
    Transfers(#[from] TransferError),
    /// The payment's rules refused.
    #[error(transparent)]
    Payment(#[from] crate::payments::PaymentError),
    /// What is kept back of the payment could not be changed.
    #[error(transparent)]
    Reserve(#[from] crate::reserves::ReserveError),
    /// The ledger refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The database refused.
    #[error(transparent)]
    Db(#[from] DbError),
}
