//! Sellers' payouts: the provider sends money of a connected account to its bank, and we book what it says. It is asked
//! for them by sellers' schedules ([`pay_by_schedule`]) and by hand ([`create`]); others are mirrored that its own schedule
//! makes. `paid` is not final: a bank may return a payout.
//!
//! A seller with bank details here is paid by [`bank`] file instead, from the platform's own bank account.
//!
//! Either by the provider can be [`instant`], for a fee ([`fee`]).
//!
//! A payout that is asked books nothing until the provider has taken it: the mirror has what the provider says. What is
//! asked and not answered counts as gone when the next one is decided.

mod ask;
pub mod bank;
mod blocks;
mod calendar;
mod decision;
pub mod entries;
mod error;
mod explain;
mod fee;
mod instant;
pub mod platform;
mod schedule;
mod store;

use jiff::Timestamp;
use partita_db::Tx;
use partita_ledger::Floors;
use partita_provider::{BalanceTransaction, Money, Payout as Said, PayoutStatus as ProviderStatus, Refusal};

pub use ask::{ByHand, create};
pub use bank::ByBank;
pub use blocks::{Block, see_bank_account, unblock};
pub use calendar::{Holidays, PayoutDay, Rhythm, Schedule};
pub use decision::Means;
pub use error::PayoutError;
pub use explain::{Explanation, Line, NotPaid, Place, Sums, What, explain, is_explainable};
pub(crate) use fee::{COST_OWNER, OWNER as FEE_OWNER};
pub use fee::{apply as apply_fee, apply_cost};
pub use instant::{InstantPolicy, Quote, WhenFailed, declare_policy, preview};
pub use schedule::{DUE_KIND, Day, Declared, Outcome, SkipReason, declare, declare_holidays, pay_by_schedule};
pub use store::{
    ListFilter, fees_to_return, find, find_blocks, find_file, find_instant_policy, find_newest_days, find_schedules,
    insert_return_limit, list, list_files, list_holidays, list_own_accounts, list_return_limits,
};

use ask::NewPayout;

use crate::actor::Actor;
use crate::chart::{Chart, Kind};
use crate::id::{PayoutId, SellerId};
use crate::journal::{Entry, Journal, Record};
use crate::outbox::{self, Change};
use crate::provider_movements::{self, Owner, Recorded, effective_at};
use crate::sellers::{self, METADATA_OBJECT, Seller};

/// Where a payout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayoutStatus {
    /// Asked; no definite answer yet.
    Processing,
    /// It left the account's balance.
    Pending,
    /// Handed to the bank.
    InTransit,
    /// Credited, as far as the provider knows.
    Paid,
    /// It came back, or the provider refused it.
    Failed,
    /// Given up before it was sent; it came back.
    Canceled,
}

impl PayoutStatus {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::Pending => "pending",
            Self::InTransit => "in_transit",
            Self::Paid => "paid",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Processing, Self::Pending, Self::InTransit, Self::Paid, Self::Failed, Self::Canceled]
            .into_iter()
            .find(|status| status.as_str() == text)
    }

    /// Only a higher rank replaces a lower one: a payout may fail after it was paid, never the other way.
    fn rank(self) -> u8 {
        match self {
            Self::Processing => 0,
            Self::Pending => 1,
            Self::InTransit => 2,
            Self::Paid => 3,
            Self::Failed | Self::Canceled => 4,
        }
    }

    fn event(self, from: Option<Self>) -> &'static str {
        match self {
            Self::Pending if from == Some(Self::Processing) => "payout.accepted",
            Self::Processing | Self::Pending => "payout.created",
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
    /// Whether a schedule made it: the seller's, or the provider's own.
    pub automatic: bool,
    /// When the bank has it; none until the provider has taken it.
    pub arrival_on: Option<Timestamp>,
    /// The provider's name.
    pub provider: String,
    /// Its id at the provider; none until the provider has taken it.
    pub provider_payout: Option<String>,
    /// The platform's own id, of one by hand.
    pub reference: Option<String>,
    /// The platform's own data.
    pub metadata: serde_json::Value,
    /// How it is paid by bank file; none: by the provider.
    pub bank: Option<ByBank>,
    /// What it costs the seller.
    pub fee: Fee,
    /// Why it failed.
    pub failure: Option<Refusal>,
    /// How often it changed.
    pub sequence: i32,
    /// When we first heard of it, by the business clock.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Payout {
    /// How it is paid, as stored and shown.
    pub fn method(&self) -> &'static str {
        match (&self.bank, self.fee.quoted) {
            (Some(_), _) => "bank_file",
            (None, Some(_)) => "instant",
            (None, None) => "provider",
        }
    }
}

/// What a payout costs its seller; minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fee {
    /// By which version of the policy, and how much, where it was asked as an instant one.
    pub quoted: Option<(i32, i64)>,
    /// What the provider took with it.
    pub taken: i64,
    /// What of that came back with it.
    pub returned: i64,
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
    // A payout that comes back may block the seller's bank account: sellers are locked before their payouts.
    let seller = match said.status {
        ProviderStatus::Failed => sellers::find_by_id_for_update(tx, seller.id).await?.unwrap_or(seller),
        _ => seller,
    };
    if said.amount.currency != seller.default_currency {
        return Err(PayoutError::Contradiction(format!("{} is in {}", said.id, said.amount.currency)));
    }
    let mirror = Mirror { account, seller: &seller, provider };
    let named = said.metadata.get(METADATA_OBJECT).and_then(|text| PayoutId::parse(text).ok());
    let payout = match store::find_for_update(tx, named, &said.id).await? {
        Some(payout) => mirror.recognise(tx, payout, said, journal, now).await?,
        None => mirror.open(tx, said, journal, now).await?,
    };
    let told = status_of(&said.status);
    if told.rank() <= payout.status.rank() {
        return Ok(Some(payout.id));
    }
    mirror.advance(tx, &payout, told, said, journal, now).await?;
    Ok(Some(payout.id))
}

/// Why a payout came back, if it did.
fn refusal_of(said: &Said, told: PayoutStatus) -> Option<Refusal> {
    said.failure_code.as_ref().filter(|_| told.came_back()).map(|code| Refusal {
        code: code.clone(),
        decline_code: None,
        message: format!("the payout came back: {code}"),
        request_id: None,
    })
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

/// Takes the provider's refusal of a payout: nothing moved.
///
/// # Errors
/// What the database says.
pub async fn apply_refusal(tx: &mut Tx, id: PayoutId, refusal: &Refusal, now: Timestamp) -> Result<(), PayoutError> {
    let payout = store::find_for_update(tx, Some(id), "").await?.ok_or(PayoutError::NotFound)?;
    if payout.status != PayoutStatus::Processing {
        return Ok(());
    }
    let changed = store::set_status(tx, &payout, PayoutStatus::Failed, Some(refusal), now).await?;
    record(tx, &changed, Some(payout.status), Actor::System, now).await
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
        record(tx, &payout, None, Actor::System, now).await?;
        self.book_sent(tx, &payout, movement, journal).await?;
        Ok(payout)
    }

    /// News of a payout that is known. The first of one that was asked: the provider has taken it, and it left the balance.
    async fn recognise(
        &self,
        tx: &mut Tx,
        payout: Payout,
        said: &Said,
        journal: &mut Journal,
        now: Timestamp,
    ) -> Result<Payout, PayoutError> {
        if payout.amount != said.amount || payout.seller != self.seller.id {
            return Err(PayoutError::Contradiction(format!("{} of {}", said.amount, said.id)));
        }
        match &payout.provider_payout {
            Some(known) if *known == said.id => return Ok(payout),
            Some(_) => return Err(PayoutError::Contradiction(format!("{} is another payout of one command", said.id))),
            None if payout.status == PayoutStatus::Processing => {}
            None => return Err(PayoutError::Contradiction("it was refused before".to_owned())),
        }
        let movement = said.balance_transaction.as_ref().ok_or(PayoutError::Incomplete("no balance transaction"))?;
        let taken = store::accept(tx, &payout, said, now).await?;
        record(tx, &taken, Some(payout.status), Actor::System, now).await?;
        self.book_sent(tx, &taken, movement, journal).await?;
        Ok(taken)
    }

    async fn book_sent(
        &self,
        tx: &mut Tx,
        payout: &Payout,
        movement: &BalanceTransaction,
        journal: &mut Journal,
    ) -> Result<(), PayoutError> {
        let fee = movement.fee;
        let entries = entries::sent(self.chart(tx), self.seller.number, (-movement.amount, fee), movement.state);
        self.book(tx, payout, movement, Kind::PayoutSent, entries, journal).await
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
        let failure = refusal_of(said, told);
        let changed = store::set_status(tx, payout, told, failure.as_ref(), now).await?;
        record(tx, &changed, Some(payout.status), Actor::System, now).await?;
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
            let returned = -movement.fee;
            let amounts = (movement.amount, returned);
            let entries = entries::came_back(chart, self.seller.number, amounts, movement.state, after_paid);
            self.book(tx, payout, movement, Kind::PayoutFailed, entries, journal).await?;
            if returned != 0 {
                store::set_fee_returned(tx, payout, returned).await?;
                instant::keep_fee(tx, payout, returned, journal, now).await?;
            }
            blocks::block(tx, self.seller, payout, said, now).await?;
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
        let same = movement.currency == payout.amount.currency && movement.amount.abs() == payout.amount.minor;
        if !same || entries.iter().any(|entry| entry.amount < 0) {
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

async fn record(
    tx: &mut Tx,
    payout: &Payout,
    from: Option<PayoutStatus>,
    actor: Actor,
    now: Timestamp,
) -> Result<(), PayoutError> {
    let change = Change {
        object_type: "payout",
        object_id: payout.id.uuid(),
        sequence: payout.sequence,
        from: from.map(PayoutStatus::as_str),
        to: payout.status.as_str(),
        event: match &payout.bank {
            Some(_) if payout.status == PayoutStatus::Failed => "payout.returned",
            _ => payout.status.event(from),
        },
        payload: serde_json::json!({
            "object": "payout", "id": payout.id, "seller": payout.seller, "status": payout.status.as_str(),
            "amount": payout.amount.minor, "currency": payout.amount.currency,
            "method": payout.method(),
            "fee": payout.fee.taken,
            "return_code": payout.bank.as_ref().and_then(|bank| bank.return_code.as_deref()),
        }),
        actor,
        detail: payout.failure.as_ref().map(|failure| failure.message.clone()),
        at: now,
    };
    Ok(outbox::record(tx, &change).await?)
}
