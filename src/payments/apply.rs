//! Taking the provider's word on a payment, whoever brings it: the answer, a webhook or reconciliation.

use jiff::Timestamp;
use partita_db::Tx;
use partita_ledger::Floors;
use partita_provider::{BalanceTransaction, Charge, Payment as Said, Refusal};

use super::{Funds, Payment, PaymentError, PaymentStatus, chart, entries, record, split, state, store};
use crate::actor::Actor;
use crate::chart::Kind;
use crate::id::PaymentId;
use crate::journal::{Journal, Record};
use crate::provider_movements::{self, Owner, Recorded, effective_at};
use crate::sellers::METADATA_OBJECT;

/// Takes the provider's word on a payment. Returns ours, if it is one of this book's.
///
/// # Errors
/// [`PaymentError::Contradiction`] when amount or currency differ from what was asked; [`PaymentError::Incomplete`]
/// when the charge has no balance transaction yet.
pub async fn apply(
    tx: &mut Tx,
    said: &Said,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<Option<PaymentId>, PaymentError> {
    let named = said.metadata.get(METADATA_OBJECT).and_then(|text| PaymentId::parse(text).ok());
    let Some(payment) = store::find_for_update_by(tx, named, &said.id).await? else {
        return Ok(None);
    };
    check_same(&payment, said)?;
    let Some(status) = state::next(payment.status, &said.status) else {
        return Ok(Some(payment.id));
    };
    match status {
        PaymentStatus::Succeeded => succeed(tx, &payment, said, journal, now).await?,
        PaymentStatus::Failed => {
            let refusal = said.last_error.clone().unwrap_or_else(unexplained);
            fail(tx, &payment, Some(&said.id), &refusal, now).await?;
        }
        other => {
            let changed = store::set_status(tx, &payment, other, &said.id, now).await?;
            record(tx, &changed, Some(payment.status), other.event(), Actor::System, now).await?;
        }
    }
    Ok(Some(payment.id))
}

/// Takes the provider's refusal of the charge: nothing moved.
///
/// # Errors
/// What the database says.
pub async fn apply_refusal(tx: &mut Tx, id: PaymentId, refusal: &Refusal, now: Timestamp) -> Result<(), PaymentError> {
    let payment = store::find_for_update(tx, id).await?.ok_or(PaymentError::NotFound)?;
    if payment.status != PaymentStatus::Processing {
        return Ok(());
    }
    fail(tx, &payment, None, refusal, now).await
}

fn check_same(payment: &Payment, said: &Said) -> Result<(), PaymentError> {
    if said.amount != payment.amount {
        return Err(PaymentError::Contradiction(format!("{} instead of {}", said.amount, payment.amount)));
    }
    match &payment.provider_payment {
        Some(known) if *known != said.id => Err(PaymentError::Contradiction(format!("{} instead of {known}", said.id))),
        _ => Ok(()),
    }
}

fn unexplained() -> Refusal {
    Refusal {
        code: "payment_method_refused".to_owned(),
        decline_code: None,
        message: "the payment method was refused".to_owned(),
        request_id: None,
    }
}

async fn fail(
    tx: &mut Tx,
    payment: &Payment,
    provider_payment: Option<&str>,
    refusal: &Refusal,
    now: Timestamp,
) -> Result<(), PaymentError> {
    let changed = store::set_failed(tx, payment, provider_payment, refusal, now).await?;
    record(tx, &changed, Some(payment.status), PaymentStatus::Failed.event(), Actor::System, now).await
}

async fn succeed(
    tx: &mut Tx,
    payment: &Payment,
    said: &Said,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), PaymentError> {
    let (charge, movement) = charged(payment, said)?;
    let owner = Owner { object_type: "payment", object_id: Some(payment.id.uuid()) };
    let recorded = provider_movements::record(tx, journal.keys(), &payment.provider, "", movement, owner).await?;
    let Recorded::New(source) = recorded else {
        return Err(PaymentError::Contradiction(format!("{} is booked for something else", movement.id)));
    };
    let funds = Funds::from(movement.state);
    let changed = store::set_succeeded(tx, payment, &said.id, &charge.id, movement, now).await?;
    record(tx, &changed, Some(payment.status), PaymentStatus::Succeeded.event(), Actor::System, now).await?;

    let lines = store::find_lines(tx, payment.id).await?;
    let chart = chart(tx.book_id(), payment.amount.currency);
    journal.add(Record {
        kind: Kind::PaymentCharged,
        source,
        subject: payment.key,
        effective_at: effective_at(movement),
        actor: Actor::System,
        floors: Floors::Pass,
        entries: entries::charged(chart, &lines, movement.fee, movement.state),
    });
    if funds == Funds::Available {
        journal.add(released(chart, payment.key, &lines, effective_at(movement)));
    }
    Ok(())
}

/// The charge and its movement, if they are what was asked.
fn charged<'a>(payment: &Payment, said: &'a Said) -> Result<(&'a Charge, &'a BalanceTransaction), PaymentError> {
    let charge = said.charge.as_ref().ok_or(PaymentError::Incomplete("the payment has no charge"))?;
    let movement =
        charge.balance_transaction.as_ref().ok_or(PaymentError::Incomplete("the charge has no balance transaction"))?;
    let booked = partita_provider::Money::new(movement.amount, movement.currency);
    if charge.amount != payment.amount || booked != payment.amount {
        return Err(PaymentError::Contradiction(format!("charged {booked} instead of {}", payment.amount)));
    }
    Ok((charge, movement))
}

/// The provider made a charge's money usable: the sellers' shares are theirs to use.
///
/// `source` is the key of the charge's movement, `net` what it changed the balance by.
///
/// # Errors
/// [`PaymentError::NotFound`]; what the database says.
pub async fn release(
    tx: &mut Tx,
    id: PaymentId,
    source: i64,
    net: i64,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), PaymentError> {
    let payment = store::find_for_update(tx, id).await?.ok_or(PaymentError::NotFound)?;
    if payment.funds != Funds::Pending {
        return Ok(());
    }
    let changed = store::set_available(tx, &payment, now).await?;
    record(tx, &changed, Some(payment.status), "payment.funds_available", Actor::System, now).await?;
    let lines = store::find_lines(tx, id).await?;
    let chart = chart(tx.book_id(), payment.amount.currency);
    journal.add(Record {
        kind: Kind::FundsAvailable,
        source,
        subject: payment.key,
        effective_at: now,
        actor: Actor::System,
        floors: Floors::Pass,
        entries: entries::funds_available(chart, net),
    });
    journal.add(released(chart, payment.key, &lines, now));
    Ok(())
}

fn released(chart: crate::chart::Chart, key: i64, lines: &[super::Line], at: Timestamp) -> Record {
    let shares: Vec<_> = split::seller_shares(lines).into_iter().map(|(number, (_, share))| (number, share)).collect();
    Record {
        kind: Kind::SharesReleased,
        source: key,
        subject: key,
        effective_at: at,
        actor: Actor::System,
        floors: Floors::Pass,
        entries: entries::shares_released(chart, &shares),
    }
}
