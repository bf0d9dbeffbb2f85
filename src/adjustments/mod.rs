//! Adjustments: money that people give a seller of the platform's own, or take from it, by hand.
//!
//! 1. [`create`] stores one, booked at once where its maker may do it alone, else pending.
//! 2. [`agree`] books a pending one; [`end`] turns it down. Who may do that is decided by `approvals`.
//!
//! Invariants: what an adjustment says never changes; nothing is edited, it is undone by another one of the other
//! direction, once. What one key may do alone counts over the day, so that many small ones are not a way around it.
//! A debit may take the seller below zero, as a refund may.

pub mod entries;
mod store;

use jiff::Timestamp;
use partita_db::{DbError, Tx};
use partita_ledger::{Floors, LedgerError};
use partita_provider::Money;

pub use store::{
    ListFilter, find, find_by_key, find_by_key_for_update, find_for_update, find_reversal, insert_limit, list,
    list_limits,
};

use crate::actor::Actor;
use crate::chart::{Chart, Kind, SellerNumber};
use crate::id::{AdjustmentId, SellerId};
use crate::idempotency::ClaimError;
use crate::journal::{Journal, JournalError, Record};
use crate::limit::Limit;
use crate::outbox::{self, Change};
use crate::sellers;
use crate::words::words;

words! {
    /// Who gets the money.
    Direction {
        /// The seller.
        Credit = "credit",
        /// The platform.
        Debit = "debit",
    }

    /// Why, as the books sort it.
    Reason {
        /// The platform makes good for something: its expense.
        Goodwill = "goodwill",
        /// The seller pays for a breach of the platform's terms: the platform's fees.
        Penalty = "penalty",
        /// Too much or too little commission was taken.
        FeeCorrection = "fee_correction",
        /// Anything else: the platform's expense, as the note says.
        Other = "other",
    }

    /// Where an adjustment stands.
    AdjustmentStatus {
        /// A second person has to agree.
        Pending = "pending",
        /// Booked.
        Booked = "booked",
        /// Turned down or withdrawn; nothing was booked.
        Rejected = "rejected",
        /// Nobody agreed in time; nothing was booked.
        Expired = "expired",
    }
}

impl Direction {
    /// What undoes it.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Credit => Self::Debit,
            Self::Debit => Self::Credit,
        }
    }
}

impl AdjustmentStatus {
    fn event(self) -> &'static str {
        match self {
            Self::Pending => "adjustment.created",
            Self::Booked => "adjustment.booked",
            Self::Rejected => "adjustment.rejected",
            Self::Expired => "adjustment.expired",
        }
    }
}

/// An adjustment.
#[derive(Debug, Clone)]
pub struct Adjustment {
    /// Its id.
    pub id: AdjustmentId,
    /// Its ledger subject.
    pub key: i64,
    /// The platform's own id of it.
    pub reference: String,
    /// Whose balance it changes.
    pub seller: SellerId,
    /// Who gets the money.
    pub direction: Direction,
    /// How much.
    pub amount: Money,
    /// Why, as the books sort it.
    pub reason: Reason,
    /// Why, in the maker's words.
    pub note: String,
    /// Where it stands.
    pub status: AdjustmentStatus,
    /// The adjustment that it undoes.
    pub reverses: Option<AdjustmentId>,
    /// The platform's own data.
    pub metadata: serde_json::Value,
    /// Who made it.
    pub created_by: String,
    /// Who agreed; none where one person was enough.
    pub approved_by: Option<String>,
    /// How often it changed.
    pub sequence: i32,
    /// When it was made, by the business clock.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Adjustment {
    /// What the seller is entitled to by it, before anything undoes it; minor units, negative for a debit. One that undoes
    /// another one counts in that.
    pub fn entitlement(&self) -> i64 {
        match self.direction {
            _ if self.status != AdjustmentStatus::Booked || self.reverses.is_some() => 0,
            Direction::Credit => self.amount.minor,
            Direction::Debit => -self.amount.minor,
        }
    }
}

/// What somebody wants.
#[derive(Debug, Clone)]
pub struct NewAdjustment {
    /// The platform's own id, unique among its adjustments.
    pub reference: String,
    /// Whose balance.
    pub seller: SellerId,
    /// Who gets the money.
    pub direction: Direction,
    /// How much.
    pub amount: Money,
    /// Why, as the books sort it.
    pub reason: Reason,
    /// Why, in the maker's words.
    pub note: String,
    /// The adjustment that it undoes.
    pub reverses: Option<AdjustmentId>,
    /// The platform's own data.
    pub metadata: serde_json::Value,
}

/// Why there is no adjustment.
#[derive(Debug, thiserror::Error)]
pub enum AdjustmentError {
    /// No such adjustment in this book.
    #[error("no such adjustment")]
    NotFound,
    /// No such seller in this book.
    #[error("there is no such seller")]
    UnknownSeller,
    /// The seller has no accounts in this currency.
    #[error("the seller is paid in {seller}")]
    SellerCurrency {
        /// The seller's own.
        seller: partita_provider::Currency,
    },
    /// Another adjustment has the reference.
    #[error("an adjustment with this reference exists")]
    ReferenceTaken,
    /// Only what was booked can be undone.
    #[error("an adjustment that is {state} cannot be reversed")]
    NotBooked {
        /// Where it stands.
        state: &'static str,
    },
    /// It is undone, or somebody has asked for that.
    #[error("the adjustment is reversed already, or its reversal waits for approval")]
    ReversedAlready,
    /// A reversal is undone by a new adjustment, not by a chain.
    #[error("a reversal cannot be reversed: make a new adjustment")]
    IsReversal,
    /// It was decided meanwhile.
    #[error("the adjustment is {state}")]
    Decided {
        /// Where it stands.
        state: &'static str,
    },
    /// The idempotency key cannot be claimed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
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

/// Whether this maker may book it without a second person: what it adjusted alone today, this included, is within the
/// declared limit. Waits for others that ask the same of this maker.
///
/// # Errors
/// What the database says.
pub async fn may_alone(tx: &mut Tx, actor: Actor, amount: Money, now: Timestamp) -> Result<bool, DbError> {
    let limits = store::list_limits(tx).await?;
    if !Limit::allows(&limits, amount, 0) {
        return Ok(false);
    }
    let alone = store::adjusted_alone(tx, &actor.to_string(), amount.currency, now).await?;
    Ok(Limit::allows(&limits, amount, alone))
}

/// Stores an adjustment; one that needs nobody else is booked. The caller makes its transfer due.
///
/// # Errors
/// [`AdjustmentError`]; nothing is stored then.
pub async fn create(
    tx: &mut Tx,
    actor: Actor,
    input: &NewAdjustment,
    alone: bool,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<Adjustment, AdjustmentError> {
    let seller = sellers::find(tx, input.seller).await?.ok_or(AdjustmentError::UnknownSeller)?;
    if seller.default_currency != input.amount.currency {
        return Err(AdjustmentError::SellerCurrency { seller: seller.default_currency });
    }
    let chart = Chart { book: tx.book_id(), currency: input.amount.currency };
    chart.open_seller(tx, seller.number, seller.id).await?;
    let key = journal.keys().next(tx).await?;
    let status = if alone { AdjustmentStatus::Booked } else { AdjustmentStatus::Pending };
    let adjustment = store::insert(tx, key, input, status, actor, now).await?;
    record(tx, &adjustment, None, actor, now).await?;
    if alone {
        book(tx, &adjustment, (chart, seller.number), actor, journal, now).await?;
    }
    Ok(adjustment)
}

/// What undoes an adjustment that is locked.
///
/// # Errors
/// [`AdjustmentError::NotBooked`], [`AdjustmentError::IsReversal`].
pub fn reversal_of(
    original: &Adjustment,
    reference: String,
    note: String,
    metadata: serde_json::Value,
) -> Result<NewAdjustment, AdjustmentError> {
    if original.reverses.is_some() {
        return Err(AdjustmentError::IsReversal);
    }
    if original.status != AdjustmentStatus::Booked {
        return Err(AdjustmentError::NotBooked { state: original.status.as_str() });
    }
    Ok(NewAdjustment {
        reference,
        seller: original.seller,
        direction: original.direction.opposite(),
        amount: original.amount,
        reason: original.reason,
        note,
        reverses: Some(original.id),
        metadata,
    })
}

/// Books a pending adjustment that a second person agreed to. The caller makes its transfer due.
///
/// # Errors
/// [`AdjustmentError::Decided`].
pub async fn agree(
    tx: &mut Tx,
    id: AdjustmentId,
    actor: Actor,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<Adjustment, AdjustmentError> {
    let pending = store::find_for_update(tx, id).await?.ok_or(AdjustmentError::NotFound)?;
    let booked = store::set_status(tx, &pending, AdjustmentStatus::Booked, Some(actor), now).await?;
    record(tx, &booked, Some(pending.status), actor, now).await?;
    let seller = sellers::find(tx, booked.seller).await?.ok_or(AdjustmentError::UnknownSeller)?;
    let chart = Chart { book: tx.book_id(), currency: booked.amount.currency };
    book(tx, &booked, (chart, seller.number), actor, journal, now).await?;
    Ok(booked)
}

/// Ends a pending adjustment without booking it.
///
/// # Errors
/// [`AdjustmentError::Decided`].
pub async fn end(
    tx: &mut Tx,
    id: AdjustmentId,
    status: AdjustmentStatus,
    actor: Actor,
    now: Timestamp,
) -> Result<(), AdjustmentError> {
    let pending = store::find_for_update(tx, id).await?.ok_or(AdjustmentError::NotFound)?;
    let ended = store::set_status(tx, &pending, status, None, now).await?;
    record(tx, &ended, Some(pending.status), actor, now).await
}

/// What undoes another one is booked under that one's subject: what both did to the seller's balance sums to nothing there.
async fn book(
    tx: &mut Tx,
    adjustment: &Adjustment,
    (chart, seller): (Chart, SellerNumber),
    actor: Actor,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), AdjustmentError> {
    let subject = match adjustment.reverses {
        Some(original) => store::find(tx, original).await?.ok_or(AdjustmentError::NotFound)?.key,
        None => adjustment.key,
    };
    let Adjustment { direction, reason, amount, .. } = adjustment;
    journal.add(Record {
        kind: Kind::AdjustmentBooked,
        source: adjustment.key,
        subject,
        effective_at: now,
        actor,
        floors: Floors::Pass,
        entries: entries::booked(chart, seller, *direction, *reason, amount.minor),
    });
    Ok(())
}

async fn record(
    tx: &mut Tx,
    adjustment: &Adjustment,
    from: Option<AdjustmentStatus>,
    actor: Actor,
    now: Timestamp,
) -> Result<(), AdjustmentError> {
    let change = Change {
        object_type: "adjustment",
        object_id: adjustment.id.uuid(),
        sequence: adjustment.sequence,
        from: from.map(AdjustmentStatus::as_str),
        to: adjustment.status.as_str(),
        event: adjustment.status.event(),
        payload: serde_json::json!({
            "object": "adjustment", "id": adjustment.id, "reference": adjustment.reference, "seller": adjustment.seller,
            "direction": adjustment.direction.as_str(), "amount": adjustment.amount.minor,
            "currency": adjustment.amount.currency, "reason": adjustment.reason.as_str(),
            "status": adjustment.status.as_str(), "reverses": adjustment.reverses,
        }),
        actor,
        detail: Some(adjustment.note.clone()),
        at: now,
    };
    Ok(outbox::record(tx, &change).await?)
}
