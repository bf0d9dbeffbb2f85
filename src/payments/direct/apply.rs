//! Taking the provider's word on direct charges: what moved on the seller's account, and on the platform's.

use jiff::Timestamp;
use partita_db::Tx;
use partita_ledger::Floors;
use partita_provider::{ApplicationFee, ApplicationFeeRefund, BalanceTransaction, Money, Payment as Said};

use super::{DIRECT_CHARGE, DirectCharge, entries, schedule_fee};
use crate::actor::Actor;
use crate::chart::Kind;
use crate::id::PaymentId;
use crate::journal::{Entry, Journal, Record};
use crate::payments::apply::{charged, fail, refusal_of};
use crate::payments::split::everything_left;
use crate::payments::{Funds, Payment, PaymentError, PaymentStatus, SellerShare, chart, proportion, record, store};
use crate::provider_movements::{self, Owner, Recorded, effective_at};

/// The buyer was charged on the seller's account.
pub(in crate::payments) async fn succeed(
    tx: &mut Tx,
    payment: &Payment,
    direct: &DirectCharge,
    said: &Said,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), PaymentError> {
    let of = charged(payment, said)?;
    let (charge, movement) = (of.charge, of.movement);
    if of.moved.crosses() {
        let told =
            format!("{} of {} on the seller's account", Money::new(movement.amount, movement.currency), charge.amount);
        return Err(PaymentError::Contradiction(told));
    }
    if charge.captured_amount != payment.amount.minor {
        return Err(PaymentError::Contradiction(format!("{} of {}", charge.captured_amount, payment.amount)));
    }
    if direct.application_fee > 0 && charge.application_fee.is_none() {
        return Err(PaymentError::Incomplete("its application fee is not there yet"));
    }
    let source = new_movement(tx, payment, &direct.account, movement, DIRECT_CHARGE, journal).await?;
    // What the account's movement names as its fee is both: the processor's and the platform's.
    let fee = movement.fee - direct.application_fee;
    let taken = store::Taken { movement, fee, uncaptured: 0, sent: 0 };
    let changed = store::set_succeeded(tx, payment, &said.id, &charge.id, taken, now).await?;
    record(tx, &changed, Some(payment.status), PaymentStatus::Succeeded.event(), Actor::System, now).await?;
    if let Some(fee) = &charge.application_fee {
        store::set_provider_fee(tx, payment.id, fee).await?;
    }
    let moved = entries::moved(chart(tx.book_id(), movement.currency), direct.number, movement.net, movement.state);
    journal.add(booking(Kind::DirectCharged, source, payment, movement, moved));
    Ok(schedule_fee(tx, payment, direct, now).await?)
}

/// The buyer's bank took back a direct charge that had succeeded: it leaves the seller's account.
pub(in crate::payments) async fn fail_late(
    tx: &mut Tx,
    payment: &Payment,
    direct: &DirectCharge,
    said: &Said,
    taken: &BalanceTransaction,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), PaymentError> {
    let known = match (payment.status, payment.funds) {
        (PaymentStatus::Failed, Funds::Pending | Funds::Available) => return Ok(()),
        (PaymentStatus::Succeeded, _) => payment.clone(),
        // It is first heard of when it is over.
        _ => {
            succeed(tx, payment, direct, said, journal, now).await?;
            store::find(tx, payment.id).await?.ok_or(PaymentError::NotFound)?
        }
    };
    if taken.currency != known.amount.currency || -taken.amount != known.captured_amount() {
        return Err(PaymentError::Contradiction(format!("{} took {} back", taken.id, taken.amount)));
    }
    let lines = store::find_lines(tx, known.id).await?;
    if lines.iter().any(|line| line.disputed_amount + line.disputed_tax > 0) {
        return Err(PaymentError::Contradiction("it failed while it was disputed".to_owned()));
    }
    let source = new_movement(tx, &known, &direct.account, taken, "direct_failure", journal).await?;
    let shares: Vec<SellerShare> = lines.iter().map(everything_left).collect();
    store::record_failure(tx, known.id, &shares).await?;
    fail(tx, &known, Some(&said.id), &refusal_of(said), now).await?;
    let moved = entries::moved(chart(tx.book_id(), taken.currency), direct.number, taken.net, taken.state);
    journal.add(booking(Kind::DirectFailed, source, &known, taken, moved));
    Ok(())
}

/// The provider made a direct charge's money usable on the seller's account. The caller books that.
///
/// # Errors
/// [`PaymentError::NotFound`]; what the database says.
pub async fn release_direct(tx: &mut Tx, id: PaymentId, now: Timestamp) -> Result<(), PaymentError> {
    let payment = store::find_for_update(tx, id).await?.ok_or(PaymentError::NotFound)?;
    if payment.funds != Funds::Pending {
        return Ok(());
    }
    let changed = store::set_available(tx, &payment, now).await?;
    record(tx, &changed, Some(payment.status), "payment.funds_available", Actor::System, now).await
}

/// Takes the provider's word on an application fee and on what went back of it. Returns the payment, if it is one of this book's.
///
/// # Errors
/// [`PaymentError::Contradiction`] when it is not of the charge that was made; [`PaymentError::Incomplete`] while it has no
/// movement.
pub async fn apply_fee(
    tx: &mut Tx,
    said: &ApplicationFee,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<Option<PaymentId>, PaymentError> {
    let Some(id) = store::find_payment_of_fee(tx, &said.id).await? else { return Ok(None) };
    let payment = store::find_for_update(tx, id).await?.ok_or(PaymentError::NotFound)?;
    let mut direct = store::find_direct(tx, id).await?.ok_or(PaymentError::NotFound)?;
    let asked =
        (direct.application_fee, payment.amount.currency, Some(&direct.account), payment.provider_charge.as_ref());
    if asked != (said.amount.minor, said.amount.currency, Some(&said.account), Some(&said.charge)) {
        let told = format!("{} keeps {} of {} on {}", said.id, said.amount, said.charge, said.account);
        return Err(PaymentError::Contradiction(told));
    }
    if !direct.fee_received {
        receive(tx, &payment, &direct, said, journal, now).await?;
    }
    for refund in said.refunds.iter().rev() {
        if !store::is_fee_refund_known(tx, &refund.id).await? {
            give_back(tx, &payment, &direct, refund, journal, now).await?;
            direct = store::find_direct(tx, id).await?.ok_or(PaymentError::NotFound)?;
        }
    }
    Ok(Some(id))
}

async fn receive(
    tx: &mut Tx,
    payment: &Payment,
    direct: &DirectCharge,
    said: &ApplicationFee,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), PaymentError> {
    let movement = said.balance_transaction.as_ref();
    let movement = movement.ok_or(PaymentError::Incomplete("its application fee has no balance transaction yet"))?;
    check_moved(movement, payment, direct.application_fee)?;
    let source = new_movement(tx, payment, "", movement, "application_fee", journal).await?;
    store::set_fee_received(tx, payment.id).await?;
    tell(tx, payment, "payment.application_fee_received", now).await?;
    let chart = chart(tx.book_id(), movement.currency);
    let received = entries::fee_received(chart, movement.amount, direct.vat, movement.fee, movement.state);
    journal.add(booking(Kind::ApplicationFeeReceived, source, payment, movement, received));
    Ok(())
}

async fn give_back(
    tx: &mut Tx,
    payment: &Payment,
    direct: &DirectCharge,
    refund: &ApplicationFeeRefund,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), PaymentError> {
    let movement = refund.balance_transaction.as_ref();
    let movement =
        movement.ok_or(PaymentError::Incomplete("what went back of its fee has no balance transaction yet"))?;
    check_moved(movement, payment, -refund.amount)?;
    let returned = direct.returned_fee + refund.amount;
    if refund.amount < 1 || returned > direct.application_fee {
        let told = format!("{} of a fee of {} went back", returned, direct.application_fee);
        return Err(PaymentError::Contradiction(told));
    }
    // Cumulative, so that with the whole fee its whole tax is back.
    let vat = proportion(direct.vat, returned, direct.application_fee) - direct.returned_vat;
    let source = new_movement(tx, payment, "", movement, "application_fee_refund", journal).await?;
    store::insert_fee_refund(tx, source, payment.id, refund, vat, now).await?;
    store::add_returned_fee(tx, payment.id, refund.amount, vat).await?;
    tell(tx, payment, "payment.application_fee_returned", now).await?;
    let chart = chart(tx.book_id(), movement.currency);
    let back = entries::fee_returned(chart, refund.amount, vat, movement.fee, movement.state);
    journal.add(booking(Kind::ApplicationFeeReturned, source, payment, movement, back));
    Ok(())
}

fn check_moved(movement: &BalanceTransaction, payment: &Payment, amount: i64) -> Result<(), PaymentError> {
    if movement.amount == amount && movement.currency == payment.amount.currency {
        return Ok(());
    }
    Err(PaymentError::Contradiction(format!("{} moved {} instead of {amount}", movement.id, movement.amount)))
}

/// Tells of a payment that stays in its state.
async fn tell(tx: &mut Tx, payment: &Payment, event: &'static str, now: Timestamp) -> Result<(), PaymentError> {
    let changed = store::count_change(tx, payment.id, now).await?;
    record(tx, &changed, Some(payment.status), event, Actor::System, now).await
}

async fn new_movement(
    tx: &mut Tx,
    payment: &Payment,
    account: &str,
    movement: &BalanceTransaction,
    object_type: &'static str,
    journal: &Journal,
) -> Result<i64, PaymentError> {
    let owner = Owner { object_type, object_id: Some(payment.id.uuid()) };
    match provider_movements::record(tx, journal.keys(), &payment.provider, account, movement, owner).await? {
        Recorded::New(source) => Ok(source),
        Recorded::Known => Err(PaymentError::Contradiction(format!("{} is booked for something else", movement.id))),
    }
}

fn booking(kind: Kind, source: i64, payment: &Payment, movement: &BalanceTransaction, entries: Vec<Entry>) -> Record {
    Record {
        kind,
        source,
        subject: payment.key,
        effective_at: effective_at(movement),
        actor: Actor::System,
        floors: Floors::Pass,
        entries,
    }
}
