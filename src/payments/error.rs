use partita_db::DbError;
use partita_ledger::LedgerError;
use partita_provider::{Currency, PrepareError};

use super::line_release::ReleaseStatus;
use super::{NotDirect, PaymentStatus};
use crate::app::ProviderSetupError;
use crate::customers::{CustomerStatus, MethodStatus};
use crate::idempotency::ClaimError;
use crate::journal::JournalError;
use crate::reserves::ReserveError;

/// Why something cannot be done with a payment.
#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    /// No such payment in this book.
    #[error("no such payment")]
    NotFound,
    /// Another payment has the reference.
    #[error("a payment with this reference exists")]
    ReferenceTaken,
    /// The idempotency key cannot be claimed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// Lines and taxes do not make the amount.
    #[error("lines and taxes sum to {sum}, not to {amount}")]
    WrongSum {
        /// What lines and taxes sum to, minor units.
        sum: i128,
        /// What the payment says, minor units.
        amount: i64,
    },
    /// A discount is on no line: of its seller, if it names one.
    #[error("line {line} is a discount on nothing")]
    DiscountOnNothing {
        /// The discount's line, from 0.
        line: usize,
        /// Which of the lines that it names, from 0; none: it names none.
        named: Option<usize>,
    },
    /// A discount is more than who bears it has of its lines.
    #[error("line {line} is a discount of more than the {most} that its {funded_by} has of its lines")]
    DiscountTooLarge {
        /// The discount's line, from 0.
        line: usize,
        /// What it could be; minor units.
        most: i64,
        /// Who bears it, as a word.
        funded_by: &'static str,
    },
    /// A line that costs nothing has a tax.
    #[error("line {line} costs nothing and has a tax")]
    TaxOfNothing {
        /// The line, from 0.
        line: usize,
    },
    /// A line names a seller that this book does not have.
    #[error("line {line} names an unknown seller")]
    UnknownSeller {
        /// The line, from 0.
        line: usize,
    },
    /// A line names a seller whose account the provider refused to open.
    #[error("line {line} names a seller whose account could not be opened")]
    SellerFailed {
        /// The line, from 0.
        line: usize,
    },
    /// A line names a seller of another currency.
    #[error("line {line} names a seller who is paid in {seller}, not in {payment}")]
    SellerCurrency {
        /// The line, from 0.
        line: usize,
        /// The seller's currency.
        seller: Currency,
        /// The payment's currency.
        payment: Currency,
    },
    /// A line names a fee policy that this book does not have.
    #[error("line {line} names an unknown fee policy")]
    UnknownFeePolicy {
        /// The line, from 0.
        line: usize,
    },
    /// A line of the platform's own says that a seller owes its tax.
    #[error("line {line} is the platform's own: no seller owes its tax")]
    TaxOfNoSeller {
        /// The line, from 0.
        line: usize,
    },
    /// A charge that is sent to a seller, or made on its account, has another seller, too.
    #[error("line {line} is of a second seller: a charge with a destination and a direct charge have one")]
    SeveralSellers {
        /// The second seller's line, from 0.
        line: usize,
    },
    /// A charge that is sent to a seller leaves it nothing, or has none.
    #[error("a charge with a destination needs a seller who gets something of it")]
    NothingToSend,
    /// A capture of a charge that is sent to a seller leaves it nothing.
    #[error("of what is to be captured nothing would be sent to the charge's destination")]
    NothingToSendOfCapture,
    /// A charge is to be sent to a seller of whose shares a part is kept back.
    #[error("a part of the seller's shares is kept back (its reserve policy): what is sent with the charge cannot be")]
    ShareKeptBack,
    /// A charge is to be sent to a seller of whose shares one waits.
    #[error(
        "the share of a line waits to be released (the line's release, or the release policy): it is not sent with the charge"
    )]
    ShareWaits,
    /// A line says that its share is released after it may not be held any longer.
    #[error("line {line} names more days than money may be held for its seller: {longest}")]
    ReleasedAfterLimit {
        /// The line, from 0.
        line: usize,
        /// For how many days it may be held.
        longest: i32,
    },
    /// The payment has no such line.
    #[error("the payment has no such line")]
    LineNotFound,
    /// Of a line of the platform's own nothing is held or released.
    #[error("line {line} is the platform's own: it has no share to hold or to release")]
    LineOfPlatform {
        /// The line, from 0.
        line: i32,
    },
    /// The share of a line is sent with the charge.
    #[error("the share of line {line} is sent with the charge: it is neither held nor released")]
    LineIsSent {
        /// The line, from 0.
        line: i32,
    },
    /// The share of a line is where this cannot be done.
    #[error("line {line} is {} and cannot be {action}", .status.as_str())]
    LineState {
        /// The line, from 0.
        line: i32,
        /// Where it stands.
        status: ReleaseStatus,
        /// What was asked, as a participle.
        action: &'static str,
    },
    /// A delivery that is still to come, or was before the payment.
    #[error("must be after the payment was made and not in the future")]
    DeliveredLater,
    /// A charge is to be sent to a seller who is paid from the platform's own bank account.
    #[error(
        "the seller is paid from the platform's bank account: nothing is sent with the charge or charged on its account"
    )]
    SellerPaidByBank,
    /// A share that the provider does not move as it is.
    #[error("the seller's share cannot be sent with the charge: {0}")]
    ShareNotMovable(String),
    /// A seller is to be sent money with the charge and cannot receive any yet.
    #[error("line {line} names a seller who cannot receive money yet")]
    SellerNotReady {
        /// The line, from 0.
        line: usize,
    },
    /// It cannot be a direct charge.
    #[error(transparent)]
    NotDirect(#[from] NotDirect),
    /// A payment is made on behalf of a seller who has no line in it.
    #[error("no line of the cart is of the seller that it is on behalf of")]
    MerchantNotInCart,
    /// A payment is made on behalf of a seller who may not take cards yet.
    #[error("the seller that it is on behalf of may not take cards yet")]
    MerchantNotReady,
    /// A payment names a customer that this book does not have.
    #[error("there is no such customer")]
    UnknownCustomer,
    /// A payment names a customer that the provider does not know.
    #[error("the customer is {} and cannot pay", .0.as_str())]
    CustomerNotActive(CustomerStatus),
    /// A payment names a saved method that this book does not have.
    #[error("there is no such payment method")]
    UnknownMethod,
    /// A payment names a saved method of another customer.
    #[error("the payment method is another customer's")]
    MethodOfAnother,
    /// A payment names a method that cannot be charged.
    #[error("a payment method that is {} cannot be charged", .0.as_str())]
    MethodNotSaved(MethodStatus),
    /// A buyer who is away is to be charged by a token that was not saved for that.
    #[error("only a saved payment method can be charged while the buyer is away")]
    NotSavedForLater,
    /// The payment is in a state in which this cannot be done.
    #[error("a payment that is {} cannot be {action}", .status.as_str())]
    WrongState {
        /// What was asked, as a participle.
        action: &'static str,
        /// Where it stands.
        status: PaymentStatus,
    },
    /// The payment is being captured or canceled by another request.
    #[error("the payment is being captured or canceled already")]
    CommandOpen,
    /// More is to be captured than is authorised.
    #[error("{asked} is more than the {authorized} that are authorised")]
    MoreThanAuthorized {
        /// What is to be captured, minor units.
        asked: i64,
        /// What is authorised, minor units.
        authorized: i64,
    },
    /// More of a line is to be captured than is authorised.
    #[error("{asked} is more than the {authorized} that are authorised of line {line}")]
    MoreThanAuthorizedOfLine {
        /// Its place in the request, from 0.
        index: usize,
        /// The payment's line.
        line: i32,
        /// What is to be captured, minor units.
        asked: i64,
        /// What is authorised, minor units.
        authorized: i64,
    },
    /// The payment has no such line.
    #[error("the payment has no line {line}")]
    UnknownLine {
        /// Its place in the request, from 0.
        index: usize,
        /// The line that was named.
        line: i32,
    },
    /// A line is named twice.
    #[error("line {line} is named twice")]
    RepeatedLine {
        /// Its place in the request, from 0.
        index: usize,
        /// The line.
        line: i32,
    },
    /// The provider's object contradicts ours: nothing is booked, a person has to look.
    #[error("the provider's object contradicts the payment: {0}")]
    Contradiction(String),
    /// The provider's object lacks what its booking needs; read again later it may have it.
    #[error("the provider's object is not complete yet: {0}")]
    Incomplete(&'static str),
    /// The provider cannot take the command.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// What is kept back of it could not be changed.
    #[error(transparent)]
    Reserve(#[from] ReserveError),
    /// The provider is not set up.
    #[error(transparent)]
    Provider(#[from] ProviderSetupError),
    /// The ledger refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The ledger refused to open accounts.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The database refused.
    #[error(transparent)]
    Db(#[from] DbError),
}
