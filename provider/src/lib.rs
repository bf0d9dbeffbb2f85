//! The port to payment providers, and the words of money that every crate shares.
//!
//! Two steps, so that what was intended and what came back are both rows: [`Provider::prepare`] turns a [`Command`]
//! into bytes that are stored, [`Provider::submit`] sends stored bytes under a stored key and sorts the answer into an
//! [`Outcome`]. Where the answer was lost and the key is too old to be sent again, [`Provider::look_up`] finds what the
//! command made, by the operation's mark in the object's metadata. Everything a provider ever tells us, by answer, by webhook or by list, arrives as a [`ProviderObject`].
//!
//! This crate depends on nothing else of Partita's and knows no provider by name.

mod allocation;
mod application_fee;
mod card_number;
mod command;
mod customer;
mod evidence;
mod money;
mod object;
mod port;

pub use allocation::{AllocationError, allocate, clamped_cumulative};
pub use application_fee::{ApplicationFee, ApplicationFeeRefund};
pub use card_number::{contains_card_number, find_card_number, mask_card_numbers};
pub use command::{
    AcceptDispute, CancelPayment, CaptureMethod, CapturePayment, Command, CreateAccount, CreateAccountLink,
    CreateCustomer, CreatePayment, CreatePayout, CreateRefund, CreateReversal, CreateSetup, CreateTopUp,
    CreateTransfer, Destination, DetachMethod, OnAccount, PayoutInterval, SubmitEvidence, UpdateAccount,
};
pub use customer::{CardLooks, Customer, Method, Setup, SetupStatus};
pub use evidence::{EvidenceFile, EvidenceKind, FileKind};
pub use money::{Currency, Money, MoneyError};
pub use object::{
    Account, AccountLink, Balance, BalanceAmount, BalanceTransaction, Charge, ClientAction, Dispute, DisputeStatus,
    InstantAmount, Payment, PaymentStatus, Payout, PayoutFee, PayoutStatus, ProviderObject, Refund, RefundStatus,
    Reversal, SettlementState, TopUp, TopUpStatus, Transfer,
};
pub use port::{
    Event, EventQuery, FetchError, ListedEvent, LookedUp, Lookup, Outcome, Page, PageRequest, PrepareError,
    PreparedRequest, Provider, RawAnswer, Refusal, Search, Submission,
};
