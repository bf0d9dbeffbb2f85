//! Debts: what sellers are short of, when it is no longer only on its way.
//!
//! 1. [`open`]: at the end of a day, what a payment or an adjustment took from a seller beyond what it had becomes a debt.
//!    The seller's balance is level again; the debt's age counts from when the money was missing.
//! 2. [`settle`]: before anything is sent to the seller, what it has pays its debts, oldest first.
//! 3. [`write_off`]: two people give up what is left (`approvals` decides).
//!
//! By which ladder is declared ([`declare`]); one that recovers less than what holds takes two people too.
//!
//! Each debt names what it is of, so that what comes back, because a dispute is won for instance, settles just that debt, is
//! the platform's where the debt was given up, and takes the place of what had paid it where later sales did. The rule of transfers counts both (see
//! [`entitlement`]): what became debt is not taken back once more, what paid a debt is not sent.

pub mod entries;
mod policy;
mod store;

use jiff::Timestamp;
use partita_db::{DbError, Tx};
use partita_ledger::Floors;
use partita_provider::Money;

pub use policy::{Policy, Rung, RungKind};
pub use store::{ListFilter, Settled, SettlementKind, find, find_policy, list, list_of, list_settlements, settled_of};

use crate::actor::Actor;
use crate::chart::{Chart, Kind, SellerNumber};
use crate::exchange;
use crate::id::{DebtId, Of, SellerId};
use crate::journal::{Entry, Journal, Record};
use crate::outbox::{self, Change, Declaration};
use crate::sellers::Seller;

/// Where a debt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DebtStatus {
    /// Owed.
    Open,
    /// Paid out of later money of the seller.
    Paid,
    /// What was left of it was given up.
    WrittenOff,
}

impl DebtStatus {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paid => "paid",
            Self::WrittenOff => "written_off",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Open, Self::Paid, Self::WrittenOff].into_iter().find(|status| status.as_str() == text)
    }
}

/// What a seller was short of at the end of a day, and owes since.
#[derive(Debug, Clone)]
pub struct Debt {
    /// Its id.
    pub id: DebtId,
    /// Its number.
    pub key: i64,
    /// Who owes it.
    pub seller: SellerId,
    /// What it is of.
    pub of: Of,
    /// How much it was.
    pub amount: Money,
    /// Where it stands.
    pub status: DebtStatus,
    /// Paid of it; minor units.
    pub paid: i64,
    /// Given up of it; minor units.
    pub written_off: i64,
    /// Of what was given up, what came back; minor units.
    pub recovered: i64,
    /// From when on the money was missing.
    pub short_since: Timestamp,
    /// How often it changed.
    pub sequence: i32,
    /// When it was opened, by the business clock.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Debt {
    /// What is still owed; minor units.
    pub fn left(&self) -> i64 {
        self.amount.minor - self.paid - self.written_off
    }

    /// Whole days since the money was missing.
    pub fn age_days(&self, now: Timestamp) -> i64 {
        now.duration_since(self.short_since).as_hours().max(0) / 24
    }
}

/// Why something cannot be done with a debt.
#[derive(Debug, thiserror::Error)]
pub enum DebtError {
    /// No such debt in this book.
    #[error("no such debt")]
    NotFound,
    /// Nothing of it is left.
    #[error("a debt that is {state} cannot be written off")]
    NotOpen {
        /// Where it stands.
        state: &'static str,
    },
    /// The declared ladder does not let it be given up.
    #[error("the debt stands on the rung {rung}: it may be written off after {after_days} days{up_to}")]
    NotOnRung {
        /// Where it stands.
        rung: &'static str,
        /// From which age on it could be.
        after_days: i32,
        /// Up to which amount, in words; empty if any.
        up_to: String,
    },
    /// It changed meanwhile.
    #[error("the debt changed meanwhile")]
    Overtaken,
    /// The database refused.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Waits for others that declare, until the transaction ends, and reads what holds then.
///
/// # Errors
/// What the database says.
pub async fn lock_policy(tx: &mut Tx) -> Result<Policy, DbError> {
    outbox::lock_declaration(tx, Declaration::RecoveryPolicy).await?;
    find_policy(tx).await
}

/// Declares the ladder that holds from now on; `actor` completes it. The caller has locked what holds ([`lock_policy`]) and knows
/// whether a second person has to agree ([`Policy::loosens`]).
///
/// # Errors
/// What the database says.
pub async fn declare(
    tx: &mut Tx,
    policy: &Policy,
    made_by: &str,
    approved_by: Option<Actor>,
    actor: Actor,
    reason: &str,
    now: Timestamp,
) -> Result<Policy, DbError> {
    let declared = store::insert_policy(tx, policy, made_by, approved_by, now).await?;
    let payload = serde_json::json!({
        "object": "recovery_policy", "version": declared.version, "rungs": declared.to_json(), "declared_by": made_by,
        "approved_by": approved_by.map(|actor| actor.to_string()),
    });
    outbox::record_declaration(tx, Declaration::RecoveryPolicy, payload, actor, Some(reason.to_owned()), now).await?;
    Ok(declared)
}

/// What became debt of a payment or an adjustment, and what of it paid debts.
#[derive(Debug)]
pub struct Standing {
    opened: Vec<Debt>,
    settled: Vec<Settled>,
}

impl Standing {
    /// Reads it, under the lock of what it is of.
    ///
    /// # Errors
    /// What the database says.
    pub async fn read(tx: &mut Tx, of: Of) -> Result<Self, DbError> {
        Ok(Self { opened: list_of(tx, of).await?, settled: settled_of(tx, of).await? })
    }

    /// What a seller is entitled to by it, beside its share: what became debt is not taken back once more, what paid a debt is
    /// not sent. Minor units.
    pub fn entitlement(&self, seller: SellerId) -> i64 {
        let opened: i64 = self.opened.iter().filter(|debt| debt.seller == seller).map(|debt| debt.amount.minor).sum();
        let signed = |one: &Settled| if one.kind == SettlementKind::Return { -one.amount } else { one.amount };
        let paid: i64 = self.settled.iter().filter(|one| one.seller == seller).map(signed).sum();
        opened - paid
    }
}

/// Makes what is missing of a payment or an adjustment, which is locked, the seller's debt.
///
/// # Errors
/// What the database says.
pub async fn open(
    tx: &mut Tx,
    (of, subject): (Of, i64),
    seller: &Seller,
    missing: i64,
    short_since: Timestamp,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<Debt, DebtError> {
    let key = journal.keys().next(tx).await?;
    let amount = Money::new(missing, seller.default_currency);
    let debt = store::insert(tx, key, of, seller.id, amount, short_since, now).await?;
    record(tx, &debt, None, "debt.opened", Actor::System, None, now).await?;
    let chart = Chart { book: tx.book_id(), currency: amount.currency };
    let entries = entries::opened(chart, seller.number, missing);
    journal.add(booked(Kind::DebtOpened, key, subject, Actor::System, entries, now));
    exchange::look_again(tx, subject, now).await?;
    Ok(debt)
}

/// What a seller's money of a payment or an adjustment, which is locked, did to debts.
#[derive(Debug, Default)]
pub struct Settling {
    /// What it paid; minor units.
    pub paid: i64,
    /// Ledger subjects of what has its money back, and may have to be sent it.
    pub returned: Vec<i64>,
}

/// Pays debts with up to `amount` that the seller has of a payment or an adjustment, which is locked. First those of the same:
/// what is missing of it no more came back. It pays the debt if that is open; it is the platform's if that was given up; and
/// if other money of the seller's has paid it, that is given back. What is left pays the seller's other debts, oldest first.
///
/// # Errors
/// What the database says.
pub async fn settle(
    tx: &mut Tx,
    ground: (Of, i64),
    seller: &Seller,
    amount: i64,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<Settling, DebtError> {
    let mut settling = Settling::default();
    let open = store::list_open_for_update(tx, seller.id).await?;
    let (own, others): (Vec<Debt>, Vec<Debt>) = open.into_iter().partition(|debt| debt.of == ground.0);
    for debt in own {
        let paid = debt.left().min(amount - settling.paid);
        settling.paid += pay(tx, ground, seller, &debt, SettlementKind::Offset, paid, journal, now).await?;
    }
    for debt in store::list_written_off_for_update(tx, ground.0, seller.id).await? {
        let back = (debt.written_off - debt.recovered).min(amount - settling.paid);
        settling.paid += pay(tx, ground, seller, &debt, SettlementKind::Recovery, back, journal, now).await?;
    }
    for lent in store::list_lent(tx, ground.0, seller.id).await? {
        let back = lent.amount.min(amount - settling.paid);
        if back > 0 {
            give_back(tx, ground, seller, &lent, back, journal, now).await?;
            settling.paid += back;
            settling.returned.push(lent.subject);
        }
    }
    let ladder = if others.is_empty() { Policy::default() } else { find_policy(tx).await? };
    for debt in others {
        if ladder.net.takes(debt.age_days(now), debt.left()) {
            let paid = debt.left().min(amount - settling.paid);
            settling.paid += pay(tx, ground, seller, &debt, SettlementKind::Offset, paid, journal, now).await?;
        }
    }
    Ok(settling)
}

/// The debt's own money takes the place of what had paid it.
async fn give_back(
    tx: &mut Tx,
    (of, subject): (Of, i64),
    seller: &Seller,
    lent: &store::Lent,
    amount: i64,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), DebtError> {
    let debt = store::find_for_update(tx, lent.debt).await?.ok_or(DebtError::NotFound)?;
    let chart = Chart { book: tx.book_id(), currency: debt.amount.currency };
    let turns = [(SettlementKind::Offset, of, subject), (SettlementKind::Return, lent.of, lent.subject)];
    for (kind, of, subject) in turns {
        let key = journal.keys().next(tx).await?;
        store::insert_settlement(tx, key, debt.id, of, kind, amount, now).await?;
        let (kind, entries) = settlement(chart, seller.number, kind, amount);
        journal.add(Record { floors: Floors::Respect, ..booked(kind, key, subject, Actor::System, entries, now) });
    }
    let changed = store::update(tx, &debt, &debt, now).await?;
    Ok(record(tx, &changed, Some(debt.status), "debt.returned", Actor::System, None, now).await?)
}

#[expect(clippy::too_many_arguments, reason = "one call for each of two kinds; the facts are of eight types")]
async fn pay(
    tx: &mut Tx,
    (of, subject): (Of, i64),
    seller: &Seller,
    debt: &Debt,
    kind: SettlementKind,
    amount: i64,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<i64, DebtError> {
    if amount <= 0 {
        return Ok(0);
    }
    let key = journal.keys().next(tx).await?;
    store::insert_settlement(tx, key, debt.id, of, kind, amount, now).await?;
    let new = match kind {
        SettlementKind::Recovery => Debt { recovered: debt.recovered + amount, ..debt.clone() },
        SettlementKind::Offset | SettlementKind::Return => Debt { paid: debt.paid + amount, ..debt.clone() },
    };
    let changed = store::update(tx, &new, debt, now).await?;
    let event = match (kind, changed.status) {
        (SettlementKind::Recovery, _) => "debt.recovered",
        (_, DebtStatus::Paid) => "debt.paid",
        _ => "debt.offset",
    };
    record(tx, &changed, Some(debt.status), event, Actor::System, None, now).await?;
    let chart = Chart { book: tx.book_id(), currency: debt.amount.currency };
    let (kind, entries) = settlement(chart, seller.number, kind, amount);
    journal.add(Record { floors: Floors::Respect, ..booked(kind, key, subject, Actor::System, entries, now) });
    Ok(amount)
}

/// What is booked for a settlement.
pub fn settlement(chart: Chart, seller: SellerNumber, kind: SettlementKind, amount: i64) -> (Kind, Vec<Entry>) {
    match kind {
        SettlementKind::Offset => (Kind::DebtOffset, entries::offset(chart, seller, amount)),
        SettlementKind::Recovery => (Kind::DebtRecovered, entries::recovered(chart, seller, amount)),
        SettlementKind::Return => (Kind::DebtReturned, entries::returned(chart, seller, amount)),
    }
}

/// Whether the declared ladder lets a debt be given up now.
///
/// # Errors
/// [`DebtError::NotOpen`], [`DebtError::NotOnRung`].
pub fn may_write_off(debt: &Debt, ladder: &Policy, now: Timestamp) -> Result<(), DebtError> {
    if debt.status != DebtStatus::Open {
        return Err(DebtError::NotOpen { state: debt.status.as_str() });
    }
    let rung = &ladder.write_off;
    if rung.takes(debt.age_days(now), debt.left()) {
        return Ok(());
    }
    let up_to = rung.up_to.map_or_else(String::new, |most| format!(", up to {most} {}", debt.amount.currency));
    let stands = ladder.stands_on(debt.age_days(now), debt.left());
    Err(DebtError::NotOnRung { rung: stands.kind.as_str(), after_days: rung.after_days, up_to })
}

/// Gives up what is left of a debt; `subject` is that of what the debt is of.
///
/// # Errors
/// [`DebtError::NotOpen`].
pub async fn write_off(
    tx: &mut Tx,
    id: DebtId,
    (seller, subject): (SellerNumber, i64),
    reason: &str,
    actor: Actor,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), DebtError> {
    let debt = store::find_for_update(tx, id).await?.ok_or(DebtError::NotFound)?;
    if debt.status != DebtStatus::Open {
        return Err(DebtError::NotOpen { state: debt.status.as_str() });
    }
    let amount = debt.left();
    let changed = store::update(tx, &Debt { written_off: amount, ..debt.clone() }, &debt, now).await?;
    record(tx, &changed, Some(debt.status), "debt.written_off", actor, Some(reason.to_owned()), now).await?;
    let chart = Chart { book: tx.book_id(), currency: debt.amount.currency };
    let entries = entries::written_off(chart, seller, amount);
    journal.add(booked(Kind::DebtWrittenOff, debt.key, subject, actor, entries, now));
    Ok(exchange::look_again(tx, subject, now).await?)
}

fn booked(kind: Kind, source: i64, subject: i64, actor: Actor, entries: Vec<Entry>, now: Timestamp) -> Record {
    Record { kind, source, subject, effective_at: now, actor, floors: Floors::Pass, entries }
}

async fn record(
    tx: &mut Tx,
    debt: &Debt,
    from: Option<DebtStatus>,
    event: &'static str,
    actor: Actor,
    detail: Option<String>,
    now: Timestamp,
) -> Result<(), DbError> {
    let change = Change {
        object_type: "debt",
        object_id: debt.id.uuid(),
        sequence: debt.sequence,
        from: from.map(DebtStatus::as_str),
        to: debt.status.as_str(),
        event,
        payload: serde_json::json!({
            "object": "debt", "id": debt.id, "seller": debt.seller, "payment": debt.of.payment(),
            "adjustment": debt.of.adjustment(), "status": debt.status.as_str(), "amount": debt.amount.minor,
            "currency": debt.amount.currency, "left": debt.left(), "written_off": debt.written_off,
            "recovered": debt.recovered, "short_since": debt.short_since.to_string(),
        }),
        actor,
        detail,
        at: now,
    };
    outbox::record(tx, &change).await
}
