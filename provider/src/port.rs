//! The port itself: prepare, submit, read.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::command::Command;
use crate::evidence::EvidenceFile;
use crate::money::Money;
use crate::object::{Balance, BalanceTransaction, ProviderObject};

/// A request as it will be sent, byte for byte; stored before it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedRequest {
    /// HTTP method, upper case.
    pub method: String,
    /// Path below the provider's base address, with its leading slash and version.
    pub path: String,
    /// The body's exact bytes; every provider so far takes text.
    pub body: String,
    /// The connected account to act for.
    pub account: Option<String>,
}

/// What came back over the wire, kept as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawAnswer {
    /// HTTP status.
    pub status: u16,
    /// The body's bytes.
    pub body: Vec<u8>,
    /// The provider's own id of the request.
    pub request_id: Option<String>,
}

/// A definite no, in the provider's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The provider's error code, `unknown` when it gave none.
    pub code: String,
    /// The issuer's reason, for a declined payment.
    pub decline_code: Option<String>,
    /// The provider's explanation; not shown to buyers.
    pub message: String,
    /// The provider's own id of the request.
    pub request_id: Option<String>,
}

/// What an answer means. Only [`Outcome::Done`] and [`Outcome::Refused`] are definite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The provider made the object. Its own state may still change.
    Done(Box<ProviderObject>),
    /// The provider refused, and nothing moved. A declined payment carries its object.
    Refused {
        /// Why.
        refusal: Refusal,
        /// The object that the refusal came with.
        object: Option<Box<ProviderObject>>,
    },
    /// The provider did not look at it (too many requests, or the key in use): the same bytes may be sent again.
    Retry {
        /// How long the provider asked us to wait.
        after: Option<Duration>,
    },
    /// Our key or permission is wrong: no effect, and no use in trying again before a person has acted.
    Misconfigured(Refusal),
    /// Nobody can tell whether it had an effect: a timeout, a reset, a 5xx, an answer that cannot be read.
    Unknown {
        /// What happened, for a person.
        reason: String,
    },
}

/// The end of one [`Provider::submit`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// What it means.
    pub outcome: Outcome,
    /// What came back, when anything did.
    pub raw: Option<RawAnswer>,
}

/// What to read. `account` is the connected account that the object belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// A connected account.
    Account(String),
    /// A payment with its charge and balance transaction.
    Payment(String),
    /// A payment, found by its charge.
    PaymentOfCharge(String),
    /// A refund with its balance transactions.
    Refund(String),
    /// A transfer with both its balance transactions.
    Transfer(String),
    /// A reversal with both its balance transactions.
    Reversal {
        /// The transfer's id.
        transfer: String,
        /// The reversal's id.
        reversal: String,
    },
    /// A top-up with its balance transaction.
    TopUp(String),
    /// A dispute with its balance transactions.
    Dispute(String),
    /// A customer.
    Customer(String),
    /// The set-up of a payment method, with the method.
    Setup(String),
    /// A payment method.
    Method(String),
    /// A payout with its balance transactions.
    Payout {
        /// The connected account, none for the platform's own.
        account: Option<String>,
        /// The payout's id.
        payout: String,
    },
    /// What the platform kept of a charge on a connected account, or got for a payout of it, with what went back of that. Read as
    /// `ProviderObject::ApplicationFee` or `ProviderObject::PayoutFee`.
    ApplicationFee(String),
    /// An object of a connected account.
    OnAccount {
        /// The connected account's id.
        account: String,
        /// The object.
        of: Box<Lookup>,
    },
}

impl Lookup {
    /// The look-up on a connected account; on the platform's own, where none is named.
    #[must_use]
    pub fn on(self, account: Option<&str>) -> Self {
        match account {
            Some(account) => Self::OnAccount { account: account.to_owned(), of: Box::new(self) },
            None => self,
        }
    }
}

/// Which page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// The last id of the page before.
    pub after: Option<String>,
    /// Only what was made at this second or later.
    pub created_from: Option<i64>,
    /// At most so many, 1 to 100.
    pub limit: u8,
}

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Whether older rows follow.
    pub has_more: bool,
}

/// A stored command whose outcome nobody knows, and what to recognise its object by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The command, as it was stored.
    pub command: Command,
    /// The key of the command's metadata whose value names the operation, and no other.
    pub marker: String,
    /// When it was first sent; seconds. The provider's clock may differ, so that a margin is taken.
    pub sent_from: i64,
    /// When it was last sent; seconds. None: perhaps just now.
    pub sent_until: Option<i64>,
}

impl Search {
    /// The value that only the sought object carries under [`Search::marker`]; none for commands without metadata.
    pub fn marker_value(&self) -> Option<&str> {
        self.command.metadata()?.get(&self.marker).map(String::as_str)
    }
}

/// What a [`Search`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookedUp {
    /// The one object that carries the marker, as it is now. Whether it is what was asked for (amount, currency), the
    /// one who takes it compares, as with every object.
    Found(Box<ProviderObject>),
    /// Everything was looked through, and no object carries the marker now. What was sent a moment ago may still
    /// appear: one absence settles nothing.
    Absent,
    /// The provider offers no complete way to look, or there was too much to look through.
    CannotTell {
        /// Why, for a person.
        why: String,
    },
    /// Several objects carry a marker that only one may: the command had its effect more than once.
    Contradiction {
        /// Their ids, sorted.
        objects: Vec<String>,
    },
}

/// Which of the provider's own events to list: what webhooks should have brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// The connected account whose events are meant, none for the platform's own.
    pub account: Option<String>,
    /// The provider's words for what happened; empty means all. Providers limit their number (Stripe: 20).
    pub kinds: Vec<String>,
    /// Only what happened at this second or later.
    pub created_from: Option<i64>,
    /// Only what happened at this second or earlier.
    pub created_until: Option<i64>,
    /// The last id of the page before.
    pub after: Option<String>,
    /// At most so many, 1 to 100.
    pub limit: u8,
}

/// An event of a list, with the bytes that its webhook would have brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedEvent {
    /// What [`Provider::read_event`] makes of the bytes.
    pub event: Event,
    /// To be stored as if delivered. Not signed: it came over our own connection.
    pub body: Vec<u8>,
}

/// A verified event. What it carries is a hint of what to read, never the truth about money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Id at the provider.
    pub id: String,
    /// The provider's word for what happened.
    pub kind: String,
    /// The connected account it belongs to.
    pub account: Option<String>,
    /// Whether real money is meant.
    pub livemode: bool,
    /// When it happened; seconds.
    pub created: i64,
    /// What to read to learn the truth; none for types that concern us in no way.
    pub concerns: Option<Lookup>,
    /// What its object carries of ours, as the event shows it.
    pub metadata: BTreeMap<String, String>,
}

/// Why bytes cannot be made of a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// The provider cannot take this amount: too large, or not a multiple it accepts.
    #[error("{0}")]
    Amount(String),
    /// The provider does not know this command, country or currency.
    #[error("{0}")]
    Unsupported(String),
}

/// Why an object could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The provider has no such object.
    #[error("the provider has no such object")]
    NotFound,
    /// The provider does not let us act for the account, or has no such account (any more).
    #[error("the provider gives us no access to the account")]
    NoAccess,
    /// The provider refused our key or permission.
    #[error("the provider refused: {}", .0.message)]
    Refused(Refusal),
    /// The provider could not be asked or did not answer; later it may.
    #[error("the provider did not answer: {0}")]
    Unreachable(String),
    /// What came back cannot be understood.
    #[error("the provider's answer cannot be read: {0}")]
    Unreadable(String),
}

/// A payment provider.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// The provider's name, as it stands in addresses and rows: `stripe`.
    fn name(&self) -> &'static str;

    /// Makes the exact bytes of a request. Pure.
    ///
    /// # Errors
    /// [`PrepareError`] when the provider would not take it; nothing has been sent.
    fn prepare(&self, command: &Command) -> Result<PreparedRequest, PrepareError>;

    /// The largest amount up to this one that a payout may have; may be nothing. Providers know smallest units and limits
    /// of their own. Pure.
    fn payable(&self, amount: Money) -> i64;

    /// Sends stored bytes under a stored key, once, without retries, within an explicit timeout.
    async fn submit(&self, request: &PreparedRequest, idempotency_key: &str) -> Submission;

    /// Reads the object that an answer's bytes hold, as [`Provider::submit`] did when they came.
    ///
    /// # Errors
    /// [`FetchError::Unreadable`].
    fn read_answer(&self, request: &PreparedRequest, body: &[u8]) -> Result<ProviderObject, FetchError>;

    /// Reads an object as it is now, with everything that its booking needs.
    ///
    /// # Errors
    /// [`FetchError`].
    async fn fetch(&self, lookup: &Lookup) -> Result<ProviderObject, FetchError>;

    /// Looks for the object of a command whose outcome nobody knows. Reads only.
    ///
    /// # Errors
    /// [`FetchError`], when the provider could not be asked to the end: then nothing is known.
    async fn look_up(&self, search: &Search) -> Result<LookedUp, FetchError>;

    /// Hands over a file that evidence is to name, for the account whose dispute it is, and returns the provider's token of it.
    /// Nothing moves by it and nothing hangs on it: where the answer was lost, it is handed over again.
    ///
    /// # Errors
    /// [`FetchError`]; [`FetchError::Refused`] where the provider does not want the file.
    async fn upload_evidence(&self, account: Option<&str>, file: &EvidenceFile) -> Result<String, FetchError>;

    /// Reads one balance transaction of the platform or a connected account.
    ///
    /// # Errors
    /// [`FetchError`].
    async fn balance_transaction(&self, account: Option<&str>, id: &str) -> Result<BalanceTransaction, FetchError>;

    /// Lists balance transactions of the platform or a connected account, newest first.
    ///
    /// # Errors
    /// [`FetchError`].
    async fn balance_transactions(
        &self,
        account: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<BalanceTransaction>, FetchError>;

    /// Reads a balance.
    ///
    /// # Errors
    /// [`FetchError`].
    async fn balance(&self, account: Option<&str>) -> Result<Balance, FetchError>;

    /// Lists events, newest first. Providers forget them after some time (Stripe: 30 days).
    ///
    /// # Errors
    /// [`FetchError`].
    async fn events(&self, query: &EventQuery) -> Result<Page<ListedEvent>, FetchError>;

    /// Reads a webhook's body, whose signature has been verified.
    ///
    /// # Errors
    /// [`FetchError::Unreadable`] when it is not an event of this provider's.
    fn read_event(&self, body: &[u8]) -> Result<Event, FetchError>;
}
