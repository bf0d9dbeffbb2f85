//! Sellers' payouts, mirrored from the provider: it pays its connected accounts out by their schedules, we book what
//! it says. `paid` is not final: a bank may return a payout.

pub mod entries;
mod store;

use jiff::Timestamp;
use partita_db::{DbError, Tx};
use partita_ledger::Floors;
use partita_provider::{BalanceTransaction, Money, Payout as Said, PayoutStatus as ProviderStatus, Refusal};

pub use store::{ListFilter, find, list};

use crate::actor::Actor;
use crate::chart::{Chart, Kind};
use crate::id::{PayoutId, SellerId};
use crate::journal::{Entry, Journal, Record};
use crate::outbox::{self, Change};
use crate::provider_movements::{self, Owner, Recorded, effective_at};
use crate::sellers::{self, Seller};

/// Where a payout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayoutStatus {
    /// It left the account's balance.
    Pending,
    /// Handed to the bank.
    InTransit,
    /// Credited, as far as the provider knows.
    Paid,
    /// It came back.
    Failed,
    /// Given up before it was sent; it came back.
    Canceled,
}

impl PayoutStatus {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InTransit => "in_transit",
            Self::Paid => "paid",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::InTransit, Self::Paid, Self::Failed, Self::Canceled]
            .into_iter()
            .find(|status| status.as_str() == text)
    }

    /// Only a higher rank replaces a lower one: a payout may fail after it was paid, never the other way.
    fn rank(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::InTransit => 1,
            Self::Paid => 2,
            Self::Failed | Self::Canceled => 3,
        }
    }

    fn event(self) -> &'static str {
        match self {
            Self::Pending => "payout.created",
            Self::InTransit => "payout.in_transit",
            Self::Paid => "payout.paid",
            Self::Failed => "payout.failed",
            Self::Canceled => "payout.canceled",
        }
    }

    fn came_back(self) -> bool {
        matches!(self, Self::Failed | Self::Canceled)
    }
}

/// A seller's payout.
#[derive(Debug, Clone)]
pub struct Payout {
    /// Its id.
    pub id: PayoutId,
    /// Its ledger subject.
    pub key: i64,
    /// Who is paid.
    pub seller: SellerId,
    /// What was sent.
    pub amount: Money,
    /// Where it stands.
    pub status: PayoutStatus,
    /// Whether the provider's own schedule made it.
    pub automatic: bool,
    /// When the bank has it.
    pub arrival_on: Timestamp,
    /// The provider's name.
    pub provider: String,
    /// Its id at the provider.
    pub provider_payout: String,
    /// Why it failed.
    pub failure: Option<Refusal>,
    /// How often it changed.
    pub sequence: i32,
    /// When we first heard of it, by the business clock.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Why a payout cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub enum PayoutError {
    /// No such payout in this book.
    #[error("no such payout")]
    NotFound,
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

/// Takes the provider's word on a connected account's payout. None when the account is no seller's of this book.
///
/// # Errors
/// [`PayoutError`].
pub async fn apply(
    tx: &mut Tx,
    provider: &str,
    account: &str,
    said: &Said,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<Option<PayoutId>, PayoutError> {
    let Some(seller) = sellers::find_by_account(tx, account).await? else {
        return Ok(None);
    };
    if said.amount.currency != seller.default_currency {
        return Err(PayoutError::Contradiction(format!("{} is in {}", said.id, said.amount.currency)));
    }
    let mirror = Mirror { account, seller: &seller, provider };
    let payout = match store::find_for_update(tx, &said.id).await? {
        Some(payout) => payout,
        None => mirror.open(tx, said, journal, now).await?,
    };
    if payout.amount != said.amount || payout.seller != seller.id {
        return Err(PayoutError::Contradiction(format!("{} of {}", said.amount, said.id)));
    }
    let told = status_of(&said.status);
    if told.rank() <= payout.status.rank() {
        return Ok(Some(payout.id));
    }
    mirror.advance(tx, &payout, told, said, journal, now).await?;
    Ok(Some(payout.id))
}

fn status_of(said: &ProviderStatus) -> PayoutStatus {
    match said {
        ProviderStatus::Pending | ProviderStatus::Other(_) => PayoutStatus::Pending,
        ProviderStatus::InTransit => PayoutStatus::InTransit,
        ProviderStatus::Paid => PayoutStatus::Paid,
        ProviderStatus::Failed => PayoutStatus::Failed,
        ProviderStatus::Canceled => PayoutStatus::Canceled,
    }
}

/// Whose payout is mirrored.
struct Mirror<'a> {
    account: &'a str,
    seller: &'a Seller,
    provider: &'a str,
}

impl Mirror<'_> {
    /// The first news of a payout: it left the balance.
    async fn open(
        &self,
        tx: &mut Tx,
        said: &Said,
        journal: &mut Journal,
        now: Timestamp,
    ) -> Result<Payout, PayoutError> {
        let movement = said.balance_transaction.as_ref().ok_or(PayoutError::Incomplete("no balance transaction"))?;
        let key = journal.keys().next(tx).await?;
        let payout = store::insert(tx, key, self.seller.id, self.provider, said, now).await?;
        record(tx, &payout, None, now).await?;
        let chart = self.chart(tx);
        let entries = entries::sent(chart, self.seller.number, -movement.net, movement.state);
        self.book(tx, &payout, movement, Kind::PayoutSent, entries, journal).await?;
        Ok(payout)
    }

    async fn advance(
        &self,
        tx: &mut Tx,
        payout: &Payout,
        told: PayoutStatus,
        said: &Said,
        journal: &mut Journal,
        now: Timestamp,
    ) -> Result<(), PayoutError> {
        let chart = self.chart(tx);
        let failure = said.failure_code.as_ref().filter(|_| told.came_back()).map(|code| Refusal {
            code: code.clone(),
            decline_code: None,
            message: format!("the payout came back: {code}"),
            request_id: None,
        });
        let changed = store::set_status(tx, payout, told, failure.as_ref(), now).await?;
        record(tx, &changed, Some(payout.status), now).await?;
        if told == PayoutStatus::Paid {
            journal.add(Record {
                kind: Kind::PayoutPaid,
                source: payout.key,
                subject: payout.key,
                effective_at: now,
                actor: Actor::System,
                floors: Floors::Pass,
                entries: entries::paid(chart, self.seller.number, payout.amount.minor),
            });
        }
        if told.came_back() {
            let movement =
                said.failure_transaction.as_ref().ok_or(PayoutError::Incomplete("no failure transaction"))?;
            let after_paid = payout.status == PayoutStatus::Paid;
            let entries = entries::came_back(chart, self.seller.number, movement.net, movement.state, after_paid);
            self.book(tx, payout, movement, Kind::PayoutFailed, entries, journal).await?;
        }
        Ok(())
    }

    async fn book(
        &self,
        tx: &mut Tx,
        payout: &Payout,
        movement: &BalanceTransaction,
        kind: Kind,
        entries: Vec<Entry>,
        journal: &mut Journal,
    ) -> Result<(), PayoutError> {
        if movement.currency != payout.amount.currency || movement.net.abs() != payout.amount.minor {
            return Err(PayoutError::Contradiction(format!("{} moved {}", movement.id, movement.net)));
        }
        let owner = Owner { object_type: "payout", object_id: Some(payout.id.uuid()) };
        let recorded =
            provider_movements::record(tx, journal.keys(), self.provider, self.account, movement, owner).await?;
        let Recorded::New(source) = recorded else {
            return Err(PayoutError::Contradiction(format!("{} is booked for something else", movement.id)));
        };
        journal.add(Record {
            kind,
            source,
            subject: payout.key,
            effective_at: effective_at(movement),
            actor: Actor::System,
            floors: Floors::Pass,
            entries,
        });
        Ok(())
    }

    fn chart(&self, tx: &Tx) -> Chart {
        Chart { book: tx.book_id(), currency: self.seller.default_currency }
    }
}

async fn record(tx: &mut Tx, payout: &Payout, from: Option<PayoutStatus>, now: Timestamp) -> Result<(), PayoutError> {
    let change = Change {
        object_type: "payout",
        object_id: payout.id.uuid(),
        sequence: payout.sequence,
        from: from.map(PayoutStatus::as_str),
        to: payout.status.as_str(),
        event: payout.status.event(),
        payload: serde_json::json!({
            "object": "payout", "id": payout.id, "seller": payout.seller, "status": payout.status.as_str(),
            "amount": payout.amount.minor, "currency": payout.amount.currency,
        }),
        actor: Actor::System,
        detail: payout.failure.as_ref().map(|failure| failure.message.clone()),
        at: now,
    };
    Ok(outbox::record(tx, &change).await?)
}
