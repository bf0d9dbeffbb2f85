//! Refunds of direct charges: given from the seller's own account, as the seller's. Nothing of the platform's is taken but what goes
//! back of its application fee, which is told by the fee.

use jiff::Timestamp;
use partita_db::Tx;
use partita_ledger::Floors;
use partita_provider::{BalanceTransaction, Refund as Said};

use super::{Allocated, Asked, Policy, Refund, RefundError, Resolution, allocation};
use crate::actor::Actor;
use crate::chart::Kind;
use crate::journal::{Journal, Record};
use crate::payments::{self, ChargeType, DirectCharge, Line, Payment};
use crate::provider_movements::{self, Owner, Recorded, effective_at};

/// What a refund takes from whom, by how its payment was charged.
pub(super) fn allocate(
    lines: &[Line],
    asked: &Asked,
    policy: Policy,
    payment: &Payment,
    direct: Option<&DirectCharge>,
) -> Result<Allocated, RefundError> {
    match direct {
        None => allocation::allocate(lines, asked, policy, payment.processor_fee.unwrap_or(0)),
        Some(direct) => allocation::allocate_direct(lines, asked, policy, direct),
    }
}

/// Refuses to pay from the platform's bank what a seller owes a buyer.
///
/// # Errors
/// [`RefundError::SellersRefund`].
pub fn check_outcome(payment: &Payment, outcome: Resolution) -> Result<(), RefundError> {
    match (payment.charge_type, outcome) {
        (ChargeType::Direct, Resolution::PaidFromBank) => Err(RefundError::SellersRefund),
        _ => Ok(()),
    }
}

/// Books what a refund took from the seller's account, once, and has the application fee read.
pub(super) async fn book_taken(
    tx: &mut Tx,
    (refund, payment): (&Refund, &Payment),
    direct: &DirectCharge,
    movement: &BalanceTransaction,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), RefundError> {
    let owner = Owner { object_type: "refund", object_id: Some(refund.id.uuid()) };
    let (keys, account) = (journal.keys(), &direct.account);
    let recorded = provider_movements::record(tx, keys, &refund.provider, account, movement, owner).await?;
    let Recorded::New(source) = recorded else { return Ok(()) };
    if movement.currency != refund.amount.currency || movement.amount != -refund.amount.minor {
        return Err(RefundError::Contradiction(format!("{} moved {}", movement.id, movement.amount)));
    }
    payments::schedule_fee(tx, payment, direct, now).await?;
    add(tx, Kind::DirectRefunded, source, payment, direct, movement, journal);
    Ok(())
}

/// Books that a refund's money is back on the seller's account.
pub(super) async fn book_returned(
    tx: &mut Tx,
    (refund, payment): (&Refund, &Payment),
    direct: &DirectCharge,
    said: &Said,
    journal: &mut Journal,
) -> Result<(), RefundError> {
    let back = said.failure_transaction.as_ref().ok_or(RefundError::Incomplete("its money is not back yet"))?;
    if back.currency != refund.amount.currency || back.amount != refund.amount.minor {
        return Err(RefundError::Contradiction(format!("{} gave {} back", back.id, back.amount)));
    }
    let owner = Owner { object_type: "refund", object_id: Some(refund.id.uuid()) };
    let (keys, account) = (journal.keys(), &direct.account);
    let recorded = provider_movements::record(tx, keys, &refund.provider, account, back, owner).await?;
    let Recorded::New(source) = recorded else {
        return Err(RefundError::Contradiction(format!("{} is booked for something else", back.id)));
    };
    add(tx, Kind::DirectRefundReturned, source, payment, direct, back, journal);
    Ok(())
}

fn add(
    tx: &Tx,
    kind: Kind,
    source: i64,
    payment: &Payment,
    direct: &DirectCharge,
    movement: &BalanceTransaction,
    journal: &mut Journal,
) {
    let chart = payments::chart(tx.book_id(), movement.currency);
    journal.add(Record {
        kind,
        source,
        subject: payment.key,
        effective_at: effective_at(movement),
        actor: Actor::System,
        floors: Floors::Pass,
        entries: payments::direct::entries::moved(chart, direct.number, movement.net, movement.state),
    });
}
