//! Taking the provider's word on a refund.

use jiff::Timestamp;
use partita_db::Tx;
use partita_ledger::Floors;
use partita_provider::{Money, Refund as Said, RefundStatus as ProviderStatus, Refusal};

use super::{Refund, RefundError, RefundStatus, direct, record, store};
use crate::actor::Actor;
use crate::chart::{Kind, PlatformAccount};
use crate::exchange::{self, Moved};
use crate::id::RefundId;
use crate::journal::{Journal, JournalError, Record};
use crate::operations::Operation;
use crate::payments::{self, ChargeType, Line, Payment, PaymentStatus, RefundShare};
use crate::provider_movements::{self, Owner, Recorded, effective_at};
use crate::reserves;
use crate::sellers::METADATA_OBJECT;
use crate::transfers;

/// Takes the provider's word on a refund, told by an account (empty: the platform's own). Returns ours, if it is one of this
/// book's.
///
/// # Errors
/// [`RefundError::Contradiction`] when it is not what was asked; [`RefundError::Incomplete`] when it came back without the
/// movement that brought it.
pub async fn apply(
    tx: &mut Tx,
    said: &Said,
    account: &str,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<Option<RefundId>, RefundError> {
    let named = said.metadata.get(METADATA_OBJECT).and_then(|text| RefundId::parse(text).ok());
    let Some((refund, payment)) = find_locked(tx, named, &said.id).await? else {
        return Ok(None);
    };
    let direct = payments::find_direct(tx, &payment).await?;
    if !payments::is_told_by(direct.as_ref(), account) {
        return Err(RefundError::Contradiction(format!("{} is told by the account {account:?}", said.id)));
    }
    if refund.provider_refund.as_ref().is_some_and(|known| *known != said.id) {
        return Err(RefundError::Contradiction(format!("{} is another refund of the same amount", said.id)));
    }
    if said.amount != refund.amount || said.payment.is_some() && said.payment != payment.provider_payment {
        return Err(RefundError::Contradiction(format!("{} of {:?}", said.amount, said.payment)));
    }
    match &said.status {
        ProviderStatus::Failed | ProviderStatus::Canceled => {
            failed(tx, &refund, &payment, said, journal, now).await?;
        }
        ProviderStatus::Succeeded => {
            advance(tx, &refund, &payment, said, RefundStatus::Succeeded, journal, now).await?;
        }
        ProviderStatus::Pending | ProviderStatus::RequiresAction | ProviderStatus::Other(_) => {
            advance(tx, &refund, &payment, said, RefundStatus::Pending, journal, now).await?;
        }
    }
    Ok(Some(refund.id))
}

/// The payment is locked before its refund, everywhere.
pub(super) async fn find_locked(
    tx: &mut Tx,
    named: Option<RefundId>,
    provider_refund: &str,
) -> Result<Option<(Refund, Payment)>, RefundError> {
    let Some(unlocked) = store::find_by(tx, named, provider_refund).await? else {
        return Ok(None);
    };
    let payment = payments::find_for_update(tx, unlocked.payment).await?.ok_or(RefundError::PaymentNotFound)?;
    let refund = store::find_for_update(tx, unlocked.id).await?.ok_or(RefundError::NotFound)?;
    Ok(Some((refund, payment)))
}

async fn advance(
    tx: &mut Tx,
    refund: &Refund,
    payment: &Payment,
    said: &Said,
    status: RefundStatus,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), RefundError> {
    if refund.status == RefundStatus::Failed {
        return Err(RefundError::Contradiction("it was refused before".to_owned()));
    }
    book_movement(tx, refund, payment, said, journal, now).await?;
    let rises = match refund.status {
        RefundStatus::Processing => true,
        RefundStatus::Pending => status == RefundStatus::Succeeded,
        RefundStatus::Succeeded | RefundStatus::Returned | RefundStatus::Settled | RefundStatus::Failed => false,
    };
    if !rises {
        return Ok(());
    }
    let changed = store::set_status(tx, refund, status, &said.id, now).await?;
    let event = if status == RefundStatus::Succeeded { "refund.succeeded" } else { "refund.pending" };
    record(tx, &changed, Some(refund.status), event, Actor::System, now).await?;
    transfers::schedule_rebalance(tx, payment.key, now).await?;
    Ok(())
}

/// Books what the provider took from the platform's balance, or the seller's own, once it says what it took.
async fn book_movement(
    tx: &mut Tx,
    refund: &Refund,
    payment: &Payment,
    said: &Said,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), RefundError> {
    let Some(movement) = &said.balance_transaction else { return Ok(()) };
    if let Some(of) = payments::find_direct(tx, payment).await? {
        return direct::book_taken(tx, (refund, payment), &of, movement, journal, now).await;
    }
    let owner = Owner { object_type: "refund", object_id: Some(refund.id.uuid()) };
    let recorded = provider_movements::record(tx, journal.keys(), &refund.provider, "", movement, owner).await?;
    let Recorded::New(source) = recorded else { return Ok(()) };
    let moved = Moved::new(movement, Money::new(-refund.amount.minor, refund.amount.currency));
    if moved.net() != -refund.amount.minor {
        return Err(RefundError::Contradiction(format!("{} moved {}", movement.id, movement.net)));
    }
    let chart = payments::chart(tx.book_id(), refund.amount.currency);
    let made = payments::refund_confirmed(chart, -moved.net(), movement.state);
    let (at, cost) = ((source, payment.key), PlatformAccount::Processing);
    journal.add(Record {
        kind: Kind::RefundConfirmed,
        source,
        subject: payment.key,
        effective_at: effective_at(movement),
        actor: Actor::System,
        floors: Floors::Pass,
        entries: exchange::cross(tx, at, movement, moved, made, cost, now).await.map_err(JournalError::from)?,
    });
    Ok(())
}

async fn failed(
    tx: &mut Tx,
    refund: &Refund,
    payment: &Payment,
    said: &Said,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), RefundError> {
    if matches!(refund.status, RefundStatus::Failed | RefundStatus::Returned | RefundStatus::Settled) {
        return Ok(());
    }
    let refusal = Refusal {
        code: said.failure_reason.clone().unwrap_or_else(|| "unknown".to_owned()),
        decline_code: None,
        message: "the provider could not give the refund".to_owned(),
        request_id: None,
    };
    if refund.status == RefundStatus::Succeeded || said.balance_transaction.is_some() {
        return came_back(tx, refund, payment, said, &refusal, journal, now).await;
    }
    let operation =
        crate::operations::find_newest_by_object(tx, refund.id.uuid()).await?.ok_or(RefundError::NotFound)?;
    undo(tx, refund, payment, &operation, &refusal, journal, now).await
}

/// It failed after its money had left: the money is back at the provider, and the buyer is still owed.
async fn came_back(
    tx: &mut Tx,
    refund: &Refund,
    payment: &Payment,
    said: &Said,
    refusal: &Refusal,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), RefundError> {
    // It may be the first that is heard of it since it was asked.
    book_movement(tx, refund, payment, said, journal, now).await?;
    if let Some(of) = payments::find_direct(tx, payment).await? {
        direct::book_returned(tx, (refund, payment), &of, said, journal).await?;
        let changed = store::set_returned(tx, refund, &said.id, refusal, now).await?;
        return record(tx, &changed, Some(refund.status), "refund.returned", Actor::System, now).await;
    }
    let back = said.failure_transaction.as_ref().ok_or(RefundError::Incomplete("its money is not back yet"))?;
    let moved = Moved::new(back, refund.amount);
    if moved.net() != refund.amount.minor {
        return Err(RefundError::Contradiction(format!("{} gave {} back", back.id, back.net)));
    }
    let owner = Owner { object_type: "refund", object_id: Some(refund.id.uuid()) };
    let recorded = provider_movements::record(tx, journal.keys(), &refund.provider, "", back, owner).await?;
    let Recorded::New(source) = recorded else {
        return Err(RefundError::Contradiction(format!("{} is booked for something else", back.id)));
    };
    let changed = store::set_returned(tx, refund, &said.id, refusal, now).await?;
    record(tx, &changed, Some(refund.status), "refund.returned", Actor::System, now).await?;
    tracing::warn!(refund = %refund.id, "a refund came back; the buyer is still owed, and somebody has to decide");
    let chart = payments::chart(tx.book_id(), refund.amount.currency);
    let made = payments::refund_returned(chart, moved.net(), back.state);
    let (at, cost) = ((source, payment.key), PlatformAccount::Processing);
    journal.add(Record {
        kind: Kind::RefundReturned,
        source,
        subject: payment.key,
        effective_at: effective_at(back),
        actor: Actor::System,
        floors: Floors::Pass,
        entries: exchange::cross(tx, at, back, moved, made, cost, now).await.map_err(JournalError::from)?,
    });
    // Had it not been heard of before, the sellers' transfers follow it only now.
    transfers::schedule_rebalance(tx, payment.key, now).await?;
    Ok(())
}

/// Takes the provider's refusal of a refund: everyone has back what was taken when it was asked.
///
/// # Errors
/// What the database says.
pub async fn apply_refusal(
    tx: &mut Tx,
    id: RefundId,
    operation: &Operation,
    refusal: &Refusal,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), RefundError> {
    let (refund, payment) = find_locked(tx, Some(id), "").await?.ok_or(RefundError::NotFound)?;
    if refund.status != RefundStatus::Processing {
        return Ok(());
    }
    undo(tx, &refund, &payment, operation, refusal, journal, now).await
}

async fn undo(
    tx: &mut Tx,
    refund: &Refund,
    payment: &Payment,
    operation: &Operation,
    refusal: &Refusal,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), RefundError> {
    let shares = store::find_lines(tx, refund.id).await?;
    let lines = payments::find_lines(tx, payment.id).await?;
    let changed = store::set_failed(tx, refund, refusal, now).await?;
    record(tx, &changed, Some(refund.status), "refund.failed", Actor::System, now).await?;
    payments::give_up_refund(tx, payment, &shares, now).await?;
    // To where the shares stand now: they may have been released since the refund was asked.
    let chart = payments::chart(tx.book_id(), payment.amount.currency);
    let has_failed = payment.status == PaymentStatus::Failed;
    let entries = match payment.charge_type {
        ChargeType::Direct => Vec::new(),
        _ => payments::refund_reinstated(chart, &lines, &shares, payment.funds, has_failed),
    };
    journal.add(Record {
        kind: Kind::RefundRefused,
        source: operation.key,
        subject: payment.key,
        effective_at: now,
        actor: Actor::System,
        floors: Floors::Pass,
        entries,
    });
    keep_again(tx, refund, payment, &lines, &shares, journal, now).await?;
    transfers::schedule_rebalance(tx, payment.key, now).await?;
    Ok(())
}

/// Sellers have back what a refund had taken: what it had drawn of reserves is kept back again. Of a payment that failed
/// nobody has anything back.
pub(super) async fn keep_again(
    tx: &mut Tx,
    refund: &Refund,
    payment: &Payment,
    lines: &[Line],
    shares: &[RefundShare],
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), RefundError> {
    if payment.status != PaymentStatus::Failed {
        let back = payments::losses(lines, shares);
        reserves::restore(tx, &payment.reserve_ground(), refund.id.uuid(), &back, journal, now).await?;
    }
    Ok(())
}
