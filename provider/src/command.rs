//! What we ask of a provider.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::evidence::EvidenceKind;
use crate::money::{Currency, Money};

/// One request that has an effect at the provider. Serialisable, because the intent is stored before the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Open a connected account for a seller.
    CreateAccount(CreateAccount),
    /// Make the address of the provider's hosted onboarding for a connected account.
    CreateAccountLink(CreateAccountLink),
    /// Take a buyer's payment, confirmed at once.
    CreatePayment(CreatePayment),
    /// Give up a payment that has not succeeded.
    CancelPayment(CancelPayment),
    /// Take an amount that is authorised, in part or whole; what is not taken is let go.
    CapturePayment(CapturePayment),
    /// Move money of the platform's balance to a connected account.
    CreateTransfer(CreateTransfer),
    /// Take back a transfer, in part or whole.
    CreateReversal(CreateReversal),
    /// Give money back to a buyer.
    CreateRefund(CreateRefund),
    /// Add money of the platform's bank account to its balance at the provider.
    CreateTopUp(CreateTopUp),
    /// Change who pays a connected account out.
    UpdateAccount(UpdateAccount),
    /// Send money of a balance to its bank account.
    CreatePayout(CreatePayout),
    /// Send evidence against a dispute to the buyer's bank.
    SubmitEvidence(SubmitEvidence),
    /// Give a dispute up: it is lost.
    AcceptDispute(AcceptDispute),
    /// Know a buyer who comes again.
    CreateCustomer(CreateCustomer),
    /// Set a buyer's payment method up, to be charged later.
    CreateSetup(CreateSetup),
    /// Take a saved payment method from its customer.
    DetachMethod(DetachMethod),
    /// Any of these that a provider does for the platform, done for a connected account instead.
    OnAccount(OnAccount),
}

impl Command {
    /// The command for a connected account; for the platform's own, where none is named.
    #[must_use]
    pub fn on(self, account: Option<&str>) -> Self {
        match account {
            Some(account) => Self::OnAccount(OnAccount { account: account.to_owned(), asked: Box::new(self) }),
            None => self,
        }
    }

    /// The command's name, as it is stored and shown.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CreateAccount(_) => "create_account",
            Self::CreateAccountLink(_) => "create_account_link",
            Self::CreatePayment(_) => "create_payment",
            Self::CancelPayment(_) => "cancel_payment",
            Self::CapturePayment(_) => "capture_payment",
            Self::CreateTransfer(_) => "create_transfer",
            Self::CreateReversal(_) => "create_reversal",
            Self::CreateRefund(_) => "create_refund",
            Self::CreateTopUp(_) => "create_top_up",
            Self::UpdateAccount(_) => "update_account",
            Self::CreatePayout(_) => "create_payout",
            Self::SubmitEvidence(_) => "submit_evidence",
            Self::AcceptDispute(_) => "accept_dispute",
            Self::CreateCustomer(_) => "create_customer",
            Self::CreateSetup(_) => "create_setup",
            Self::DetachMethod(_) => "detach_method",
            Self::OnAccount(c) => c.asked.name(),
        }
    }

    /// What the provider keeps with the object; none for commands whose request takes none.
    pub fn metadata(&self) -> Option<&BTreeMap<String, String>> {
        match self {
            Self::CreateAccount(c) => Some(&c.metadata),
            Self::CreatePayment(c) => Some(&c.metadata),
            Self::CreateTransfer(c) => Some(&c.metadata),
            Self::CreateReversal(c) => Some(&c.metadata),
            Self::CreateRefund(c) => Some(&c.metadata),
            Self::CreateTopUp(c) => Some(&c.metadata),
            Self::CreatePayout(c) => Some(&c.metadata),
            Self::SubmitEvidence(c) => Some(&c.metadata),
            Self::CreateCustomer(c) => Some(&c.metadata),
            Self::CreateSetup(c) => Some(&c.metadata),
            Self::OnAccount(c) => c.asked.metadata(),
            Self::CreateAccountLink(_)
            | Self::UpdateAccount(_)
            | Self::CancelPayment(_)
            | Self::CapturePayment(_)
            | Self::AcceptDispute(_)
            | Self::DetachMethod(_) => None,
        }
    }
}

/// Who pays a connected account out to its bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayoutInterval {
    /// The provider, every day.
    Daily,
    /// Nobody until asked.
    Manual,
}

/// See [`Command::CreateAccount`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateAccount {
    /// ISO 3166 alpha-2, upper case.
    pub country: String,
    /// The seller's e-mail address.
    pub email: String,
    /// The currency that the account is paid out in.
    pub default_currency: Currency,
    /// `individual` or `company`.
    pub business_type: Option<String>,
    /// When the provider pays the account out.
    pub payout_interval: PayoutInterval,
    /// Kept by the provider with the object; names the operation.
    pub metadata: BTreeMap<String, String>,
}

/// See [`Command::CreateAccountLink`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateAccountLink {
    /// The connected account's id at the provider.
    pub account: String,
    /// Where the seller goes after the provider's pages.
    pub return_url: String,
    /// Where the seller goes when the provider's link has expired.
    pub refresh_url: String,
}

/// When a buyer is charged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptureMethod {
    /// At once.
    #[default]
    Automatic,
    /// When it is asked for; until then the amount is held on the buyer's card.
    Manual,
}

/// See [`Command::CreatePayment`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatePayment {
    /// What the buyer pays.
    pub amount: Money,
    /// The provider's token of the buyer's payment method.
    pub payment_method: String,
    /// Ties the transfers of a payment to it at the provider.
    pub transfer_group: String,
    /// What the provider shows in its dashboard.
    pub description: Option<String>,
    /// When the buyer is charged. Commands of before it was asked are automatic.
    #[serde(default)]
    pub capture: CaptureMethod,
    /// Where the buyer comes back to from pages of the bank or the provider; without it no such page may be needed.
    #[serde(default)]
    pub return_url: Option<String>,
    /// Where the provider sends a part of the charge by itself.
    #[serde(default)]
    pub destination: Option<Destination>,
    /// The connected account that the buyer buys from, to card networks and on statements.
    #[serde(default)]
    pub on_behalf_of: Option<String>,
    /// What the platform keeps of a charge that is made on a connected account; none for other charges.
    #[serde(default)]
    pub application_fee: Option<Money>,
    /// The customer whose payment it is, by its id at the provider.
    #[serde(default)]
    pub customer: Option<String>,
    /// Whether the buyer is away and can confirm nothing.
    #[serde(default)]
    pub off_session: bool,
    /// Kept by the provider with the object; names the operation.
    pub metadata: BTreeMap<String, String>,
}

/// Where a provider sends a part of a charge by itself, as soon as the buyer is charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The connected account's id at the provider.
    pub account: String,
    /// What is sent.
    pub amount: Money,
}

/// See [`Command::CapturePayment`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturePayment {
    /// The payment's id at the provider.
    pub payment: String,
    /// What is taken; at most what is authorised.
    pub amount: Money,
    /// What of it the provider sends to the payment's destination by itself; none for payments without one.
    #[serde(default)]
    pub sent: Option<Money>,
}

/// See [`Command::CancelPayment`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelPayment {
    /// The payment's id at the provider.
    pub payment: String,
}

/// See [`Command::CreateTransfer`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateTransfer {
    /// What moves.
    pub amount: Money,
    /// The connected account's id at the provider.
    pub destination: String,
    /// The charge whose funds are moved, by its id at the provider.
    pub source_charge: Option<String>,
    /// Ties the transfer to its payment at the provider.
    pub transfer_group: String,
    /// Kept by the provider with the object; names the operation.
    pub metadata: BTreeMap<String, String>,
}

/// See [`Command::CreateReversal`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateReversal {
    /// The transfer's id at the provider.
    pub transfer: String,
    /// What comes back; at most what was transferred and not yet reversed.
    pub amount: Money,
    /// Kept by the provider with the object; names the operation.
    pub metadata: BTreeMap<String, String>,
}

/// See [`Command::CreateRefund`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateRefund {
    /// The payment's id at the provider.
    pub payment: String,
    /// What the buyer gets back.
    pub amount: Money,
    /// Whether the platform gives back what it kept of the charge, in proportion; only of charges on connected accounts.
    #[serde(default)]
    pub returns_application_fee: bool,
    /// Kept by the provider with the object; names the operation.
    pub metadata: BTreeMap<String, String>,
}

/// See [`Command::CreateTopUp`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateTopUp {
    /// What is added to the balance.
    pub amount: Money,
    /// What the provider shows in its dashboard.
    pub description: Option<String>,
    /// Kept by the provider with the object; names the operation.
    pub metadata: BTreeMap<String, String>,
}

/// See [`Command::UpdateAccount`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateAccount {
    /// The connected account's id at the provider.
    pub account: String,
    /// Who pays it out from now on.
    pub payout_interval: PayoutInterval,
}

/// See [`Command::CreatePayout`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatePayout {
    /// The connected account whose balance it is; none for the platform's own.
    pub account: Option<String>,
    /// What is sent.
    pub amount: Money,
    /// The bank account or card that it is sent to within minutes, by its id at the provider; none: by the usual way, to the
    /// account's default.
    #[serde(default)]
    pub instant_to: Option<String>,
    /// Kept by the provider with the object; names the operation.
    pub metadata: BTreeMap<String, String>,
}

/// See [`Command::SubmitEvidence`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmitEvidence {
    /// The dispute's id at the provider.
    pub dispute: String,
    /// What is said, and the provider's tokens of files.
    pub evidence: BTreeMap<EvidenceKind, String>,
    /// Kept by the provider with the object; names the operation.
    pub metadata: BTreeMap<String, String>,
}

/// See [`Command::AcceptDispute`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptDispute {
    /// The dispute's id at the provider.
    pub dispute: String,
}

/// See [`Command::OnAccount`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnAccount {
    /// The connected account's id at the provider.
    pub account: String,
    /// What is asked for it.
    pub asked: Box<Command>,
}

/// See [`Command::CreateCustomer`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateCustomer {
    /// Kept by the provider with the object; names the operation.
    pub metadata: BTreeMap<String, String>,
}

/// See [`Command::CreateSetup`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateSetup {
    /// The customer's id at the provider.
    pub customer: String,
    /// The provider's token of the buyer's payment method.
    pub payment_method: String,
    /// Where the buyer comes back to from pages of the bank or the provider; without it no such page may be needed.
    pub return_url: Option<String>,
    /// Kept by the provider with the object; names the operation.
    pub metadata: BTreeMap<String, String>,
}

/// See [`Command::DetachMethod`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetachMethod {
    /// The saved method's id at the provider.
    pub payment_method: String,
}
