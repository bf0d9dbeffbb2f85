//! Taking the provider's word on a transfer or a reversal.

use jiff::{SignedDuration, Timestamp};
use partita_db::Tx;
use partita_ledger::Floors;
use partita_provider::{BalanceTransaction, Money, Refusal, Reversal as SaidReversal, Transfer as Said};

use super::{
    Reversal, Transfer, TransferError, TransferStatus, entries, record, record_reversal, schedule_rebalance, store,
};
use crate::actor::Actor;
use crate::adjustments;
use crate::chart::{Chart, Kind, PlatformAccount};
use crate::exchange::{self, Moved};
use crate::id::{Of, ReversalId, TransferId};
use crate::journal::{Entry, Journal, Record};
use crate::operations::Operation;
use crate::payments::{self, Funds, Payment};
use crate::provider_movements::{self, Owner, Recorded, effective_at};
use crate::sellers::{self, METADATA_OBJECT};

/// What movements of a transfer belong to that came with its payment's charge.
pub(crate) const WITH_CHARGE: &str = "charge_transfer";

/// How long after a refusal the payment's transfers are looked at again.
const RETRY_AFTER_REFUSAL_HOURS: i64 = 1;

/// Takes the provider's word on a transfer. Returns ours, if it is one of this book's.
///
/// # Errors
/// [`TransferError::Contradiction`], [`TransferError::Incomplete`].
pub async fn apply(
    tx: &mut Tx,
    said: &Said,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<Option<TransferId>, TransferError> {
    let named = said.metadata.get(METADATA_OBJECT).and_then(|text| TransferId::parse(text).ok());
    let Some(transfer) = find_locked(tx, named, &said.id).await? else {
        return Ok(None);
    };
    if transfer.provider_transfer.as_ref().is_some_and(|known| *known != said.id) {
        return Err(TransferError::Contradiction(format!("{} is another transfer of the same share", said.id)));
    }
    let seller = sellers::find(tx, transfer.seller).await?.ok_or(TransferError::NotFound)?;
    if said.amount != transfer.amount || seller.account.as_ref() != Some(&said.destination) {
        return Err(TransferError::Contradiction(format!("{} to {}", said.amount, said.destination)));
    }
    match transfer.status {
        TransferStatus::Processing => {}
        TransferStatus::Succeeded => return Ok(Some(transfer.id)),
        TransferStatus::Failed => return Err(TransferError::Contradiction("it was refused before".to_owned())),
    }
    let ours = said.balance_transaction.as_ref().ok_or(TransferError::Incomplete("no balance transaction"))?;
    let theirs =
        said.destination_transaction.as_ref().ok_or(TransferError::Incomplete("no movement at the seller's"))?;
    let changed = store::set_succeeded(tx, &transfer, &said.id, now).await?;
    record(tx, &changed, Some(transfer.status), "transfer.succeeded", now).await?;
    let owner = Owner { object_type: "transfer", object_id: Some(transfer.id.uuid()) };
    let booking = Booking::of(tx, transfer.of, transfer.amount, owner, &transfer.provider).await?;
    let chart = booking.chart;
    let confirmed = |net: i64| entries::confirmed(chart, -net, ours.state);
    booking.add(tx, journal, "", ours, (Kind::TransferConfirmed, now), confirmed).await?;
    let arrived = |net| entries::arrived(chart, seller.number, net, theirs.state);
    booking.add(tx, journal, &said.destination, theirs, (Kind::TransferArrived, now), arrived).await?;
    schedule_rebalance(tx, booking.key, now).await?;
    Ok(Some(transfer.id))
}

/// Takes the provider's word on the transfer that came with a payment's charge: nobody asked for it by itself. Known by its id,
/// it is no news. The caller has locked the payment.
///
/// # Errors
/// [`TransferError::Contradiction`], [`TransferError::Incomplete`].
pub async fn apply_sent(
    tx: &mut Tx,
    payment: &Payment,
    said: &Said,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), TransferError> {
    if store::find_by(tx, None, &said.id).await?.is_some() {
        return Ok(());
    }
    let ours = said.balance_transaction.as_ref().ok_or(TransferError::Incomplete("no balance transaction"))?;
    let theirs =
        said.destination_transaction.as_ref().ok_or(TransferError::Incomplete("no movement at the seller's"))?;
    let sold = payments::find_lines(tx, payment.id).await?;
    let seller = sellers::find_by_account(tx, &said.destination).await?;
    let is_sellers = |id| sold.iter().any(|line| line.seller.is_some_and(|(seller, _)| seller == id));
    let Some(seller) = seller.filter(|seller| is_sellers(seller.id)) else {
        return Err(TransferError::Contradiction(format!("{} went to {}", said.id, said.destination)));
    };
    let (id, key) = (TransferId::new(), journal.keys().next(tx).await?);
    let of = Of::Payment(payment.id);
    let asked = store::insert(tx, (id, key), of, seller.id, said.amount, &payment.provider, now).await?;
    record(tx, &asked, None, "transfer.created", now).await?;
    let done = store::set_succeeded(tx, &asked, &said.id, now).await?;
    record(tx, &done, Some(asked.status), "transfer.succeeded", now).await?;
    let owner = Owner { object_type: WITH_CHARGE, object_id: Some(id.uuid()) };
    let booking = Booking::of(tx, of, said.amount, owner, &payment.provider).await?;
    let chart = booking.chart;
    let sent = |net: i64| entries::with_charge(chart, seller.number, -net, ours.state);
    booking.add(tx, journal, "", ours, (Kind::TransferWithCharge, now), sent).await?;
    let arrived = |net| entries::arrived(chart, seller.number, net, theirs.state);
    booking.add(tx, journal, &said.destination, theirs, (Kind::TransferArrived, now), arrived).await
}

/// Takes the provider's refusal of a transfer: the seller has its money back.
///
/// # Errors
/// What the database says.
pub async fn apply_refusal(
    tx: &mut Tx,
    id: TransferId,
    operation: &Operation,
    refusal: &Refusal,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), TransferError> {
    let transfer = find_locked(tx, Some(id), "").await?.ok_or(TransferError::NotFound)?;
    if transfer.status != TransferStatus::Processing {
        return Ok(());
    }
    let seller = sellers::find(tx, transfer.seller).await?.ok_or(TransferError::NotFound)?;
    let changed = store::set_failed(tx, &transfer, refusal, now).await?;
    record(tx, &changed, Some(transfer.status), "transfer.failed", now).await?;
    let chart = Chart { book: tx.book_id(), currency: transfer.amount.currency };
    journal.add(Record {
        kind: Kind::TransferRefused,
        source: operation.key,
        subject: operation.object_key,
        effective_at: now,
        actor: Actor::System,
        floors: Floors::Pass,
        entries: entries::refused(chart, seller.number, transfer.amount.minor),
    });
    schedule_rebalance(tx, operation.object_key, now + SignedDuration::from_hours(RETRY_AFTER_REFUSAL_HOURS)).await
}

/// Takes the provider's word on a reversal. Returns ours, if it is one of this book's.
///
/// # Errors
/// [`TransferError::Contradiction`], [`TransferError::Incomplete`].
pub async fn apply_reversal(
    tx: &mut Tx,
    said: &SaidReversal,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<Option<ReversalId>, TransferError> {
    let named = said.metadata.get(METADATA_OBJECT).and_then(|text| ReversalId::parse(text).ok());
    let Some((reversal, transfer)) = find_reversal_locked(tx, named, &said.id).await? else {
        return Ok(None);
    };
    if said.amount != reversal.amount || transfer.provider_transfer.as_ref() != Some(&said.transfer) {
        return Err(TransferError::Contradiction(format!("{} of {}", said.amount, said.transfer)));
    }
    if reversal.provider_reversal.as_ref().is_some_and(|known| *known != said.id) {
        return Err(TransferError::Contradiction(format!("{} is another reversal of the same amount", said.id)));
    }
    match reversal.status {
        TransferStatus::Processing => {}
        TransferStatus::Succeeded => return Ok(Some(reversal.id)),
        TransferStatus::Failed => return Err(TransferError::Contradiction("it was refused before".to_owned())),
    }
    let ours = said.balance_transaction.as_ref().ok_or(TransferError::Incomplete("no balance transaction"))?;
    let theirs = said.source_transaction.as_ref().ok_or(TransferError::Incomplete("no movement at the seller's"))?;
    let seller = sellers::find(tx, reversal.seller).await?.ok_or(TransferError::NotFound)?;
    let account = seller.account.clone().ok_or(TransferError::SellerHasNoAccount)?;
    let amount = reversal.amount.minor;
    let after = store::add_reversing(tx, transfer.id, -amount, amount, now).await?;
    record(tx, &after, Some(transfer.status), "transfer.reversed", now).await?;
    let changed = store::set_reversal_succeeded(tx, &reversal, &said.id, now).await?;
    record_reversal(tx, &changed, Some(reversal.status), "reversal.succeeded", now).await?;
    let owner = Owner { object_type: "reversal", object_id: Some(reversal.id.uuid()) };
    let booking = Booking::of(tx, reversal.of, reversal.amount, owner, &reversal.provider).await?;
    let chart = booking.chart;
    let reversed = |net| entries::reversed(chart, seller.number, net, ours.state, booking.funds);
    booking.add(tx, journal, "", ours, (Kind::ReversalConfirmed, now), reversed).await?;
    let taken = |net: i64| entries::taken(chart, seller.number, -net, theirs.state);
    booking.add(tx, journal, &account, theirs, (Kind::ReversalTaken, now), taken).await?;
    schedule_rebalance(tx, booking.key, now).await?;
    Ok(Some(reversal.id))
}

/// Takes the provider's refusal of a reversal: nothing was booked when it was asked, so nothing is undone.
///
/// # Errors
/// What the database says.
pub async fn apply_reversal_refusal(
    tx: &mut Tx,
    id: ReversalId,
    operation: &Operation,
    refusal: &Refusal,
    now: Timestamp,
) -> Result<(), TransferError> {
    let (reversal, transfer) = find_reversal_locked(tx, Some(id), "").await?.ok_or(TransferError::NotFound)?;
    if reversal.status != TransferStatus::Processing {
        return Ok(());
    }
    store::add_reversing(tx, transfer.id, -reversal.amount.minor, 0, now).await?;
    let changed = store::set_reversal_failed(tx, &reversal, refusal, now).await?;
    record_reversal(tx, &changed, Some(reversal.status), "reversal.failed", now).await?;
    schedule_rebalance(tx, operation.object_key, now + SignedDuration::from_hours(RETRY_AFTER_REFUSAL_HOURS)).await
}

/// Locks what a transfer moves money of.
async fn lock(tx: &mut Tx, of: Of) -> Result<(), TransferError> {
    let found = match of {
        Of::Payment(id) => payments::find_for_update(tx, id).await?.is_some(),
        Of::Adjustment(id) => adjustments::find_for_update(tx, id).await?.is_some(),
    };
    if found { Ok(()) } else { Err(TransferError::PaymentNotFound) }
}

/// The payment or adjustment is locked before its transfers, everywhere.
async fn find_locked(
    tx: &mut Tx,
    named: Option<TransferId>,
    provider_transfer: &str,
) -> Result<Option<Transfer>, TransferError> {
    let unlocked = store::find_by(tx, named, provider_transfer).await?;
    let Some(unlocked) = unlocked else { return Ok(None) };
    lock(tx, unlocked.of).await?;
    Ok(store::find_for_update(tx, unlocked.id).await?)
}

/// The payment or adjustment is locked before the transfer, the transfer before its reversal, everywhere.
async fn find_reversal_locked(
    tx: &mut Tx,
    named: Option<ReversalId>,
    provider_reversal: &str,
) -> Result<Option<(Reversal, Transfer)>, TransferError> {
    let Some(unlocked) = store::find_reversal_by(tx, named, provider_reversal).await? else {
        return Ok(None);
    };
    lock(tx, unlocked.of).await?;
    let transfer = store::find_for_update(tx, unlocked.transfer).await?.ok_or(TransferError::NotFound)?;
    let reversal = store::find_reversal_for_update(tx, unlocked.id).await?.ok_or(TransferError::NotFound)?;
    Ok(Some((reversal, transfer)))
}

/// What the two movements of a transfer or a reversal have in common.
struct Booking<'a> {
    chart: Chart,
    /// The ledger subject of what the transfer moves money of.
    key: i64,
    /// Where that money is.
    funds: Funds,
    /// What each of the two must move, either way; minor units.
    amount: i64,
    owner: Owner,
    provider: &'a str,
}

impl<'a> Booking<'a> {
    async fn of(tx: &mut Tx, of: Of, amount: Money, owner: Owner, provider: &'a str) -> Result<Self, TransferError> {
        let found = match of {
            Of::Payment(id) => payments::find(tx, id).await?.map(|payment| (payment.key, payment.funds)),
            Of::Adjustment(id) => adjustments::find(tx, id).await?.map(|adjustment| (adjustment.key, Funds::Available)),
        };
        let (key, funds) = found.ok_or(TransferError::PaymentNotFound)?;
        let chart = Chart { book: tx.book_id(), currency: amount.currency };
        Ok(Self { chart, key, funds, amount: amount.minor, owner, provider })
    }

    /// Books one of the two movements; `entries` takes what it moved in the transfer's currency. The provider may convert what leaves
    /// or enters the platform's balance (`account` is empty), and nothing at the seller's.
    async fn add(
        &self,
        tx: &mut Tx,
        journal: &mut Journal,
        account: &str,
        movement: &BalanceTransaction,
        (kind, now): (Kind, Timestamp),
        entries: impl FnOnce(i64) -> Vec<Entry>,
    ) -> Result<(), TransferError> {
        let leaves = matches!(kind, Kind::TransferConfirmed | Kind::TransferWithCharge | Kind::ReversalTaken);
        let of = Money::new(if leaves { -self.amount } else { self.amount }, self.chart.currency);
        let moved = Moved::new(movement, of);
        if moved.crosses() && !account.is_empty() {
            return Err(TransferError::Contradiction(format!("a movement in {}", movement.currency)));
        }
        let recorded =
            provider_movements::record(tx, journal.keys(), self.provider, account, movement, self.owner).await?;
        let Recorded::New(source) = recorded else {
            return Err(TransferError::Contradiction(format!("{} is booked for something else", movement.id)));
        };
        if moved.net().abs() != self.amount {
            return Err(TransferError::Contradiction(format!("{} moved {}", movement.id, movement.net)));
        }
        let entries = entries(moved.net());
        if entries.iter().any(|entry| entry.amount < 0) {
            return Err(TransferError::Contradiction(format!("{} moves the other way", movement.id)));
        }
        let at = (source, self.key);
        journal.add(Record {
            kind,
            source,
            subject: self.key,
            effective_at: effective_at(movement),
            actor: Actor::System,
            floors: Floors::Pass,
            entries: exchange::cross(tx, at, movement, moved, entries, PlatformAccount::Processing, now).await?,
        });
        Ok(())
    }
}
