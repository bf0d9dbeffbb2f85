//! What a provider tells us, in our words. Amounts are the provider's own figures, converted to ISO minor units.
//!
//! Times are seconds since 1970-01-01 UTC, as every provider gives them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::application_fee::ApplicationFee;
use crate::command::PayoutInterval;
use crate::customer::{Customer, Method, Setup};
use crate::money::{Currency, Money};
use crate::port::Refusal;

/// One object of the provider's, as it was when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderObject {
    /// A connected account.
    Account(Account),
    /// An address of hosted onboarding. Used once, never stored.
    AccountLink(AccountLink),
    /// A buyer's payment with its charge.
    Payment(Payment),
    /// A refund of a charge.
    Refund(Refund),
    /// Money moved to a connected account.
    Transfer(Transfer),
    /// A transfer taken back.
    Reversal(Reversal),
    /// Money added from the platform's bank account.
    TopUp(TopUp),
    /// Money sent to a bank account.
    Payout(Payout),
    /// A charge that the buyer's bank takes back, or asks about.
    Dispute(Dispute),
    /// A buyer who comes again.
    Customer(Customer),
    /// A payment method being set up for later.
    Setup(Setup),
    /// A payment method.
    Method(Method),
    /// What the platform kept of a charge on a connected account.
    ApplicationFee(ApplicationFee),
    /// What the platform got for a payout of a connected account.
    PayoutFee(PayoutFee),
}

impl ProviderObject {
    /// The object's id at the provider; empty for an [`AccountLink`], which has none.
    pub fn id(&self) -> &str {
        match self {
            Self::Account(o) => &o.id,
            Self::AccountLink(_) => "",
            Self::Payment(o) => &o.id,
            Self::Refund(o) => &o.id,
            Self::Transfer(o) => &o.id,
            Self::Reversal(o) => &o.id,
            Self::TopUp(o) => &o.id,
            Self::Payout(o) => &o.id,
            Self::Dispute(o) => &o.id,
            Self::Customer(o) => &o.id,
            Self::Setup(o) => &o.id,
            Self::Method(o) => &o.id,
            Self::ApplicationFee(o) => &o.id,
            Self::PayoutFee(o) => &o.id,
        }
    }

    /// What we sent with the command that made it; none for what no command makes.
    pub fn metadata(&self) -> Option<&BTreeMap<String, String>> {
        match self {
            Self::Account(o) => Some(&o.metadata),
            Self::Payment(o) => Some(&o.metadata),
            Self::Refund(o) => Some(&o.metadata),
            Self::Transfer(o) => Some(&o.metadata),
            Self::Reversal(o) => Some(&o.metadata),
            Self::TopUp(o) => Some(&o.metadata),
            Self::Payout(o) => Some(&o.metadata),
            Self::Customer(o) => Some(&o.metadata),
            Self::Setup(o) => Some(&o.metadata),
            Self::AccountLink(_)
            | Self::Dispute(_)
            | Self::Method(_)
            | Self::ApplicationFee(_)
            | Self::PayoutFee(_) => None,
        }
    }
}

/// A connected account and what the provider still wants of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Id at the provider.
    pub id: String,
    /// May take charges.
    pub charges_enabled: bool,
    /// May be paid out.
    pub payouts_enabled: bool,
    /// The hosted form was filled in.
    pub details_submitted: bool,
    /// Capability name to status (`active`, `inactive`, `pending`).
    pub capabilities: BTreeMap<String, String>,
    /// Requirements to meet now.
    pub currently_due: Vec<String>,
    /// Requirements that were not met in time.
    pub past_due: Vec<String>,
    /// Why the account is restricted.
    pub disabled_reason: Option<String>,
    /// By when what is currently due must be met; seconds.
    pub deadline: Option<i64>,
    /// Who pays it out: any schedule of the provider's own reads as daily. None when the provider does not say.
    pub payout_interval: Option<PayoutInterval>,
    /// The bank account or card that it is paid out to, by its id at the provider; none yet.
    pub bank_account: Option<String>,
    /// What was kept with the object.
    pub metadata: BTreeMap<String, String>,
}

/// An address of the provider's hosted onboarding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountLink {
    /// Where to send the seller.
    pub url: String,
    /// Until when it works; seconds.
    pub expires_at: i64,
}

/// Where a payment stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentStatus {
    /// The buyer's method was refused or none was given; the payment may be tried again or cancelled.
    RequiresPaymentMethod,
    /// Not confirmed yet.
    RequiresConfirmation,
    /// The buyer must do something.
    RequiresAction,
    /// Authorised, not captured.
    RequiresCapture,
    /// The provider works on it.
    Processing,
    /// Charged.
    Succeeded,
    /// Given up.
    Canceled,
    /// A word that this version does not know.
    Other(String),
}

/// A buyer's payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Id at the provider.
    pub id: String,
    /// Where it stands.
    pub status: PaymentStatus,
    /// What was asked.
    pub amount: Money,
    /// Its latest charge, when the provider was asked to include it.
    pub charge: Option<Box<Charge>>,
    /// What the buyer has to do, while the provider waits for it.
    pub client_action: Option<ClientAction>,
    /// Why the last try failed.
    pub last_error: Option<Refusal>,
    /// Whether real money moves.
    pub livemode: bool,
    /// What was kept with the object.
    pub metadata: BTreeMap<String, String>,
}

/// What a buyer has to do, and how the buyer's browser gets there. Nowhere but in the provider's answers
/// and events as they came, which are kept.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientAction {
    /// What the provider's script in the browser needs.
    pub client_secret: String,
    /// The page to send the buyer to, if it is one.
    pub redirect_url: Option<String>,
}

impl std::fmt::Debug for ClientAction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientAction").finish_non_exhaustive()
    }
}

/// The provider's movement of a buyer's money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Id at the provider.
    pub id: String,
    /// What was charged, or authorised where that came first.
    pub amount: Money,
    /// What of it was taken; minor units. Less than the amount after a capture in part, nothing before a capture.
    pub captured_amount: i64,
    /// Until when an authorised amount can be captured; seconds. None where none was authorised first.
    pub capture_before: Option<i64>,
    /// The movement that gave back what was authorised and not captured, where the provider moved all of it first.
    pub rest_transaction: Option<BalanceTransaction>,
    /// The movement that took the money away again: the payment failed after it had succeeded.
    pub failure_transaction: Option<BalanceTransaction>,
    /// Whether the buyer's money was taken.
    pub paid: bool,
    /// The movement on the balance of whose charge it is, with the processor's fee; on a connected account also with the
    /// application fee.
    pub balance_transaction: Option<BalanceTransaction>,
    /// What the provider sent of it to its destination by itself.
    pub transfer: Option<Transfer>,
    /// What the platform kept of a charge on a connected account, by its id at the provider.
    pub application_fee: Option<String>,
}

/// Whether money of a movement can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettlementState {
    /// Not before its date.
    Pending,
    /// Now.
    Available,
}

/// One movement on a balance at the provider: the unit of reconciliation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalanceTransaction {
    /// Id at the provider.
    pub id: String,
    /// The provider's word for what it is (`charge`, `transfer`, `reserve_transaction` ..).
    pub kind: String,
    /// Gross, signed from the balance's point of view; minor units.
    pub amount: i64,
    /// What the provider kept; minor units, positive is a cost.
    pub fee: i64,
    /// `amount - fee`; minor units.
    pub net: i64,
    /// The balance's currency.
    pub currency: Currency,
    /// Whether the money can be used.
    pub state: SettlementState,
    /// When it can be used; seconds.
    pub available_on: i64,
    /// When it was made; seconds.
    pub created: i64,
    /// The object that caused it, by its id at the provider.
    pub source: Option<String>,
    /// The provider's words for people.
    pub description: Option<String>,
    /// What one unit of the object's currency came to in the balance's, as a decimal, where the provider converted.
    pub exchange_rate: Option<String>,
}

/// Where a refund stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundStatus {
    /// Waiting, for funds for instance.
    Pending,
    /// The buyer must do something.
    RequiresAction,
    /// Sent to the buyer.
    Succeeded,
    /// Could not be given.
    Failed,
    /// Given up.
    Canceled,
    /// A word that this version does not know.
    Other(String),
}

/// Money given back to a buyer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// Id at the provider.
    pub id: String,
    /// Where it stands.
    pub status: RefundStatus,
    /// What goes back.
    pub amount: Money,
    /// The payment's id at the provider.
    pub payment: Option<String>,
    /// The movement on the platform's balance; none while it waits.
    pub balance_transaction: Option<BalanceTransaction>,
    /// The movement that gave it back after a failure; none when it failed before its money had left.
    pub failure_transaction: Option<BalanceTransaction>,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// What was kept with the object.
    pub metadata: BTreeMap<String, String>,
}

/// Money moved to a connected account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Id at the provider.
    pub id: String,
    /// What moved.
    pub amount: Money,
    /// What of it was taken back; minor units.
    pub amount_reversed: i64,
    /// The connected account's id at the provider.
    pub destination: String,
    /// The charge that it came with or drew on, by its id at the provider.
    pub source_charge: Option<String>,
    /// The movement on the platform's balance.
    pub balance_transaction: Option<BalanceTransaction>,
    /// The movement on the connected account's balance.
    pub destination_transaction: Option<BalanceTransaction>,
    /// What was kept with the object.
    pub metadata: BTreeMap<String, String>,
}

/// A transfer taken back, in part or whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reversal {
    /// Id at the provider.
    pub id: String,
    /// The transfer's id at the provider.
    pub transfer: String,
    /// What came back.
    pub amount: Money,
    /// The movement on the platform's balance.
    pub balance_transaction: Option<BalanceTransaction>,
    /// The movement on the connected account's balance.
    pub source_transaction: Option<BalanceTransaction>,
    /// What was kept with the object.
    pub metadata: BTreeMap<String, String>,
}

/// Where a top-up stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopUpStatus {
    /// On its way from the bank.
    Pending,
    /// Arrived.
    Succeeded,
    /// Refused by the bank.
    Failed,
    /// Given up.
    Canceled,
    /// Arrived, then taken back.
    Reversed,
    /// A word that this version does not know.
    Other(String),
}

/// Money added from the platform's bank account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopUp {
    /// Id at the provider.
    pub id: String,
    /// Where it stands.
    pub status: TopUpStatus,
    /// What was asked.
    pub amount: Money,
    /// The movement on the platform's balance.
    pub balance_transaction: Option<BalanceTransaction>,
    /// Why it failed.
    pub failure_code: Option<String>,
    /// What was kept with the object.
    pub metadata: BTreeMap<String, String>,
}

/// Where a payout stands. `Paid` is not final: a bank may return it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayoutStatus {
    /// Asked.
    Pending,
    /// Handed to the bank.
    InTransit,
    /// Credited, as far as the provider knows.
    Paid,
    /// Refused or returned by the bank.
    Failed,
    /// Given up before it was sent.
    Canceled,
    /// A word that this version does not know.
    Other(String),
}

/// Money sent to a bank account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payout {
    /// Id at the provider.
    pub id: String,
    /// Where it stands.
    pub status: PayoutStatus,
    /// What was sent.
    pub amount: Money,
    /// When the bank has it; seconds.
    pub arrival_on: i64,
    /// Whether the provider's own schedule made it.
    pub automatic: bool,
    /// The bank account or card that it goes to, by its id at the provider.
    pub destination: Option<String>,
    /// The movement that took it from the balance.
    pub balance_transaction: Option<BalanceTransaction>,
    /// The movement that gave it back after a failure.
    pub failure_transaction: Option<BalanceTransaction>,
    /// Why it failed.
    pub failure_code: Option<String>,
    /// What was kept with the object.
    pub metadata: BTreeMap<String, String>,
}

/// What a connected account paid the platform for a payout, taken by the provider with the payout itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutFee {
    /// Id at the provider.
    pub id: String,
    /// The connected account's id at the provider.
    pub account: String,
    /// The payout's id at the provider.
    pub payout: String,
    /// What was taken.
    pub amount: Money,
    /// The movement that brought it onto the platform's balance.
    pub balance_transaction: Option<BalanceTransaction>,
    /// The movements that gave it back, in part or whole.
    pub refunds: Vec<BalanceTransaction>,
}

/// Where a dispute stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DisputeStatus {
    /// The bank asks and has taken nothing.
    Inquiry,
    /// The bank asks, and was answered.
    InquiryUnderReview,
    /// The money was taken; evidence is wanted.
    NeedsResponse,
    /// Evidence lies with the bank.
    UnderReview,
    /// The money comes back.
    Won,
    /// The money stays with the buyer.
    Lost,
    /// It ended before any money was taken.
    Closed,
    /// A word that this version does not know.
    Other(String),
}

/// A charge that the buyer's bank takes back, in part or whole, or asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    /// Id at the provider.
    pub id: String,
    /// Where it stands.
    pub status: DisputeStatus,
    /// What is disputed; may be more than the charge.
    pub amount: Money,
    /// The disputed charge's id at the provider.
    pub charge: String,
    /// Its payment's id at the provider.
    pub payment: Option<String>,
    /// The provider's word for why.
    pub reason: String,
    /// Until when evidence is taken; seconds.
    pub due_by: Option<i64>,
    /// How often evidence went to the bank.
    pub submissions: i64,
    /// What it moved on the platform's balance so far: the amount with the dispute's fee, and what came back.
    pub movements: Vec<BalanceTransaction>,
    /// Whether real money moves.
    pub livemode: bool,
    /// What was kept with the object.
    pub metadata: BTreeMap<String, String>,
}

/// What the provider says a balance is, per currency and state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Balance {
    /// Usable now.
    pub available: Vec<BalanceAmount>,
    /// Not usable yet.
    pub pending: Vec<BalanceAmount>,
    /// Held by the provider against negative connected accounts.
    pub reserved: Vec<BalanceAmount>,
    /// What can be paid out within minutes, once for each bank account or card that takes it; fees for it are taken off.
    pub instant: Vec<InstantAmount>,
}

/// What of a [`Balance`] can be paid out within minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstantAmount {
    /// The bank account or card, by its id at the provider.
    pub destination: String,
    /// At most so much.
    pub amount: Money,
}

/// An amount of a [`Balance`].
pub type BalanceAmount = Money;
