//! What sellers have of payments and adjustments, paid by bank file instead of being sent to an account at the provider.
//!
//! 1. The rule of transfers ([`super::rebalance`]) pays debts and fills reserves as for any other seller; what is left is noted
//!    ([`note`]) instead of sent.
//! 2. [`collect`]: a payout takes it, ground by ground under their locks, booked under each: what a seller has of a payment is
//!    its share, less what was sent, paid by bank, or kept back.
//! 3. [`paid`]: the bank paid it; [`give_back`]: it did not, or it came back.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, DbError, Scope, Tx};
use partita_ledger::Floors;

use super::store::{self, Payable};
use super::{Ground, TransferError, available, entries};
use crate::actor::Actor;
use crate::app::App;
use crate::chart::{Chart, Kind, SellerAccount, SellerNumber};
use crate::due;
use crate::id::{Of, PayoutId, SellerId};
use crate::journal::{Entry, Journal, Record};
use crate::payments;
use crate::sellers::Seller;

/// What a payout by bank file pays of a payment or an adjustment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BankPart {
    /// The source of its bookings.
    pub key: i64,
    /// The payout.
    pub payout: PayoutId,
    /// Who is paid.
    pub seller: SellerId,
    /// The ledger subject of what it is of.
    pub subject: i64,
    /// What it is of.
    pub of: Of,
    /// Minor units.
    pub amount: i64,
    /// It was not paid in the end, or came back.
    pub undone: bool,
}

/// What was paid by bank of a ground, by seller; minor units.
pub(super) async fn paid_of(tx: &mut Tx, of: Of) -> Result<HashMap<SellerId, i64>, DbError> {
    let mut paid = HashMap::new();
    for part in store::parts_of(tx, of).await? {
        if !part.undone {
            *paid.entry(part.seller).or_default() += part.amount;
        }
    }
    Ok(paid)
}

/// Notes what a seller, which is paid by bank file, has of a ground that is locked.
pub(super) async fn note(tx: &mut Tx, ground: &Ground, seller: SellerId, amount: i64) -> Result<(), DbError> {
    store::set_payable(tx, &Payable { seller, subject: ground.key, of: ground.of, amount }).await
}

/// Has a seller's money of before sent to its account at the provider: it is not paid by bank file any more.
///
/// # Errors
/// What the database says.
pub async fn send_instead(tx: &mut Tx, seller: SellerId, now: Timestamp) -> Result<(), TransferError> {
    let subjects: Vec<i64> = store::take_payables(tx, seller).await?;
    Ok(due::schedule_all(tx, super::DUE_KIND, &subjects, now).await?)
}

/// Has sent to their accounts what was noted for sellers at the moment in which they ceased to be paid by bank file: the rule of
/// transfers reads without a lock who is.
pub(super) async fn send_what_is_left(app: &Arc<App>, book: BookId) -> Result<(), TransferError> {
    let now = app.clock.now();
    app.db
        .run_tx("send what is not paid by bank", Scope::Book(book), move |tx| {
            Box::pin(async move {
                let subjects = store::take_payables_of_others(tx).await?;
                Ok(due::schedule_all(tx, super::DUE_KIND, &subjects, now).await?)
            })
        })
        .await
}

/// Of a seller, which is locked, what it may be paid of each ground that it has something of, oldest first, all of them locked:
/// what was noted, and no more than what is there now.
///
/// # Errors
/// What the database says.
pub async fn lock_payables(tx: &mut Tx, seller: &Seller) -> Result<Vec<Payable>, TransferError> {
    let of: Vec<Of> = store::list_payables(tx, seller.id).await?.iter().map(|payable| payable.of).collect();
    store::lock_grounds(tx, &of).await?;
    let mut found = store::list_payables(tx, seller.id).await?;
    // What was noted in between is not locked, and waits for the next payout.
    found.retain(|payable| of.contains(&payable.of));
    let account =
        payments::chart(tx.book_id(), seller.default_currency).seller(seller.number, SellerAccount::Available);
    let subjects: Vec<i64> = found.iter().map(|payable| payable.subject).collect();
    let has = store::has_of(tx, account, &subjects).await?;
    for payable in &mut found {
        payable.amount = payable.amount.min(has.get(&payable.subject).copied().unwrap_or(0));
    }
    found.retain(|payable| payable.amount > 0);
    Ok(found)
}

/// Takes up to `amount` of what was locked for a payout, which is stored, oldest first. Returns how much.
///
/// # Errors
/// What the database says.
pub async fn collect(
    tx: &mut Tx,
    (payout, seller): (PayoutId, &Seller),
    locked: &[Payable],
    amount: i64,
    actor: Actor,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<i64, TransferError> {
    let chart = payments::chart(tx.book_id(), seller.default_currency);
    chart.open_seller(tx, seller.number, seller.id).await?;
    let has = available(tx, chart, seller).await?;
    let mut left = amount.min(has);
    let mut parts = Vec::new();
    for payable in locked {
        let taken = payable.amount.min(left);
        if taken == 0 {
            break;
        }
        let key = journal.keys().next(tx).await?;
        let Payable { subject, of, .. } = *payable;
        parts.push(BankPart { key, payout, seller: seller.id, subject, of, amount: taken, undone: false });
        left -= taken;
    }
    store::insert_parts(tx, &parts).await?;
    store::lower_payables(tx, &parts).await?;
    for part in &parts {
        let entries = entries::bank_asked(chart, seller.number, part.amount);
        journal.add(Record { floors: Floors::Respect, ..booked(part, Kind::BankPayoutAsked, entries, actor, now) });
    }
    Ok(parts.iter().map(|part| part.amount).sum())
}

fn booked(part: &BankPart, kind: Kind, entries: Vec<Entry>, actor: Actor, now: Timestamp) -> Record {
    Record { kind, source: part.key, subject: part.subject, effective_at: now, actor, floors: Floors::Pass, entries }
}

/// The bank paid a payout, which is locked.
///
/// # Errors
/// What the database says.
pub async fn paid(
    tx: &mut Tx,
    payout: PayoutId,
    chart: Chart,
    actor: Actor,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), TransferError> {
    for part in store::parts_of_payout(tx, payout).await? {
        journal.add(booked(&part, Kind::BankPayoutPaid, entries::bank_paid(chart, part.amount), actor, now));
    }
    Ok(())
}

/// Locks what a payout pays of, before the payout itself.
///
/// # Errors
/// What the database says.
pub async fn lock_parts(tx: &mut Tx, payout: PayoutId) -> Result<Vec<BankPart>, TransferError> {
    let parts = store::parts_of_payout(tx, payout).await?;
    let of: Vec<Of> = parts.iter().map(|part| part.of).collect();
    store::lock_grounds(tx, &of).await?;
    Ok(parts)
}

/// What a payout had taken is the seller's again; the payout and what it pays of are locked.
///
/// # Errors
/// What the database says.
pub async fn give_back(
    tx: &mut Tx,
    parts: &[BankPart],
    (chart, seller): (Chart, SellerNumber),
    after_paid: bool,
    actor: Actor,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), TransferError> {
    store::undo_parts(tx, parts).await?;
    let subjects: Vec<i64> = parts.iter().map(|part| part.subject).collect();
    due::schedule_all(tx, super::DUE_KIND, &subjects, now).await?;
    for part in parts {
        let kind = if after_paid { Kind::BankPayoutReturned } else { Kind::BankPayoutEnded };
        let entries = entries::bank_given_back(chart, seller, part.amount, after_paid);
        journal.add(booked(part, kind, entries, actor, now));
    }
    Ok(())
}
