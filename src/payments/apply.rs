//! Taking the provider's word on a payment, whoever brings it: the answer, a webhook or reconciliation.

use jiff::Timestamp;
use partita_db::Tx;
use partita_ledger::Floors;
use partita_provider::{BalanceTransaction, Charge, Money, Payment as Said, Refusal};

use super::capture::{self, CaptureAsked};
use super::charge_type;
use super::direct::{self, find_direct, is_told_by};
use super::{
    ChargeType, Funds, Line, Payment, PaymentError, PaymentStatus, RefundShare, SellerShare, chart, entries,
    line_release, record, split, state, store,
};
use crate::actor::Actor;
use crate::chart::{Chart, Kind, PlatformAccount};
use crate::clock;
use crate::exchange::{self, Moved};
use crate::id::PaymentId;
use crate::journal::{Journal, Record};
use crate::provider_movements::{self, Owner, Recorded, effective_at};
use crate::reserves;
use crate::sellers::METADATA_OBJECT;

/// Takes the provider's word on a payment, told by an account (empty: the platform's own). Returns ours, if it is one of this
/// book's.
///
/// # Errors
/// [`PaymentError::Contradiction`] when account, amount or currency differ from what was asked; [`PaymentError::Incomplete`]
/// when the charge has no balance transaction yet.
pub async fn apply(
    tx: &mut Tx,
    said: &Said,
    account: &str,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<Option<PaymentId>, PaymentError> {
    let named = said.metadata.get(METADATA_OBJECT).and_then(|text| PaymentId::parse(text).ok());
    let Some(payment) = store::find_for_update_by(tx, named, &said.id).await? else {
        return Ok(None);
    };
    let direct = find_direct(tx, &payment).await?;
    if !is_told_by(direct.as_ref(), account) {
        return Err(PaymentError::Contradiction(format!("{} is told by the account {account:?}", said.id)));
    }
    check_same(&payment, said)?;
    if let Some(taken) = taken_back(said) {
        match &direct {
            None => fail_late(tx, payment.clone(), said, taken, journal, now).await?,
            Some(direct) => direct::fail_late(tx, &payment, direct, said, taken, journal, now).await?,
        }
        return Ok(Some(payment.id));
    }
    if payment.status == PaymentStatus::Processing && payment.provider_payment.is_none() && is_at_work(said) {
        let changed = store::set_status(tx, &payment, payment.status, &said.id, now).await?;
        record(tx, &changed, Some(payment.status), payment.status.event(), Actor::System, now).await?;
        return Ok(Some(payment.id));
    }
    let Some(status) = state::next(payment.status, &said.status) else {
        return Ok(Some(payment.id));
    };
    match status {
        PaymentStatus::Succeeded => match &direct {
            None => succeed(tx, &payment, said, journal, now).await?,
            Some(direct) => direct::succeed(tx, &payment, direct, said, journal, now).await?,
        },
        PaymentStatus::Failed => fail(tx, &payment, Some(&said.id), &refusal_of(said), now).await?,
        PaymentStatus::Authorized => {
            let before = said.charge.as_ref().and_then(|charge| charge.capture_before).and_then(clock::from_seconds);
            let changed = store::set_authorized(tx, &payment, &said.id, before, now).await?;
            record(tx, &changed, Some(payment.status), status.event(), Actor::System, now).await?;
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

/// Why a payment failed; the provider may leave it unexplained.
pub(super) fn refusal_of(said: &Said) -> Refusal {
    said.last_error.clone().unwrap_or_else(|| Refusal {
        code: "payment_method_refused".to_owned(),
        decline_code: None,
        message: "the payment method was refused".to_owned(),
        request_id: None,
    })
}

/// Whether the provider has the payment and waits for the buyer's bank, which may take days.
fn is_at_work(said: &Said) -> bool {
    said.status == partita_provider::PaymentStatus::Processing
}

/// The movement that took a charge away again.
fn taken_back(said: &Said) -> Option<&BalanceTransaction> {
    said.charge.as_ref()?.failure_transaction.as_ref()
}

/// The buyer's bank took back a payment that had succeeded: the shares leave those who got them, and the one rule of
/// transfers takes back what was sent of them.
async fn fail_late(
    tx: &mut Tx,
    payment: Payment,
    said: &Said,
    taken: &BalanceTransaction,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), PaymentError> {
    let payment = match (payment.status, payment.funds) {
        (PaymentStatus::Failed, Funds::Pending | Funds::Available) => return Ok(()),
        (PaymentStatus::Succeeded, _) => payment,
        // It is first heard of when it is over.
        _ => {
            succeed(tx, &payment, said, journal, now).await?;
            store::find(tx, payment.id).await?.ok_or(PaymentError::NotFound)?
        }
    };
    let moved = Moved::new(taken, Money::new(-payment.captured_amount(), payment.amount.currency));
    if moved.amount() != -payment.captured_amount() {
        return Err(PaymentError::Contradiction(format!("{} took {} back", taken.id, taken.amount)));
    }
    let owner = Owner { object_type: "payment_failure", object_id: Some(payment.id.uuid()) };
    let recorded = provider_movements::record(tx, journal.keys(), &payment.provider, "", taken, owner).await?;
    let Recorded::New(source) = recorded else {
        return Err(PaymentError::Contradiction(format!("{} is booked for something else", taken.id)));
    };
    let lines = store::find_lines(tx, payment.id).await?;
    if lines.iter().any(|line| line.disputed_amount + line.disputed_tax > 0) {
        return Err(PaymentError::Contradiction("it failed while it was disputed".to_owned()));
    }
    line_release::follow(tx, &payment, &lines, now).await?;
    let shares: Vec<SellerShare> = lines.iter().map(split::everything_left).collect();
    store::record_failure(tx, payment.id, &shares).await?;
    fail(tx, &payment, Some(&said.id), &refusal_of(said), now).await?;
    let chart = chart(tx.book_id(), payment.amount.currency);
    chart.open_platform(tx).await?;
    let given: Vec<_> = shares.iter().map(|share| RefundShare { share: *share, processor_fee: 0 }).collect();
    let (ground, lost) = (payment.reserve_ground(), split::losses(&lines, &given));
    reserves::draw(tx, &ground, payment.id.uuid(), &lost, journal, now).await?;
    let (amount, fee) = (-moved.amount(), moved.fee());
    let made = entries::taken_back(chart, &lines, &shares, amount, fee, taken.state, payment.funds);
    let at = (source, payment.key);
    journal.add(Record {
        kind: Kind::PaymentFailed,
        source,
        subject: payment.key,
        effective_at: effective_at(taken),
        actor: Actor::System,
        floors: Floors::Pass,
        entries: exchange::cross(tx, at, taken, moved, made, PlatformAccount::Processing, now).await?,
    });
    Ok(())
}

pub(super) async fn fail(
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
    let charged = charged(payment, said)?;
    let Charged { charge, movement, moved, .. } = charged;
    let owner = Owner { object_type: "payment", object_id: Some(payment.id.uuid()) };
    let recorded = provider_movements::record(tx, journal.keys(), &payment.provider, "", movement, owner).await?;
    let Recorded::New(source) = recorded else {
        return Err(PaymentError::Contradiction(format!("{} is booked for something else", movement.id)));
    };
    let funds = Funds::from(movement.state);
    let uncaptured = payment.amount.minor - charge.captured_amount;
    let fee = moved.own_fee(movement.fee + charged.rest.map_or(0, |(rest, _)| rest.fee));
    let taken = store::Taken { movement, fee, uncaptured, sent: sent_with(payment, charge)? };
    let changed = store::set_succeeded(tx, payment, &said.id, &charge.id, taken, now).await?;
    record(tx, &changed, Some(payment.status), PaymentStatus::Succeeded.event(), Actor::System, now).await?;

    if uncaptured > 0 {
        let lines = store::find_lines(tx, payment.id).await?;
        let shares = captured_of(tx, payment, &lines, charge.captured_amount).await?;
        store::set_uncaptured(tx, payment.id, &capture::rests(&lines, &shares)).await?;
    }
    let mut lines = store::find_lines(tx, payment.id).await?;
    line_release::follow(tx, &changed, &lines, now).await?;
    let fees = split::fees_at_charge(&lines, fee);
    if !fees.is_empty() {
        store::set_passed_fees(tx, payment.id, &fees).await?;
        for (number, fee) in &fees {
            lines.iter_mut().filter(|line| line.number == *number).for_each(|line| line.passed_fee = *fee);
        }
    }
    let chart = chart(tx.book_id(), payment.amount.currency);
    let mut made = entries::charged(chart, &lines, moved.amount(), moved.fee(), movement.state);
    made.extend(entries::fees_passed(chart, &lines, &fees, Funds::Pending));
    let at = (source, payment.key);
    journal.add(Record {
        kind: Kind::PaymentCharged,
        source,
        subject: payment.key,
        effective_at: effective_at(movement),
        actor: Actor::System,
        floors: Floors::Pass,
        entries: exchange::cross(tx, at, movement, moved, made, PlatformAccount::Processing, now).await?,
    });
    if let Some(rest) = charged.rest {
        book_rest(tx, payment, rest, journal, now).await?;
    }
    if funds == Funds::Available {
        keep_back(tx, &changed, &lines, journal, now).await?;
        journal.add(released(chart, &changed, &lines, 0, effective_at(movement)));
    }
    Ok(())
}

/// What the provider sent to the payment's destination with the charge: booked as it said it, by `transfers`.
fn sent_with(payment: &Payment, charge: &Charge) -> Result<i64, PaymentError> {
    if payment.charge_type != ChargeType::Destination {
        return Ok(0);
    }
    let sent = charge.transfer.as_ref().ok_or(PaymentError::Incomplete("its seller is not sent its share yet"))?;
    if sent.amount.currency != payment.amount.currency || sent.amount.minor > charge.captured_amount {
        return Err(PaymentError::Contradiction(format!("{} was sent to {}", sent.amount, sent.destination)));
    }
    Ok(sent.amount.minor)
}

/// What the lines are captured with: as it was asked, or spread over all of them where somebody captured past us.
async fn captured_of(
    tx: &mut Tx,
    payment: &Payment,
    lines: &[Line],
    captured: i64,
) -> Result<Vec<SellerShare>, PaymentError> {
    let asked = store::captured_shares(tx, payment.id).await?;
    if asked.iter().map(|share| share.amount + share.tax).sum::<i64>() == captured {
        return Ok(asked);
    }
    Ok(capture::spread(lines, &CaptureAsked::Amount(captured))?.1)
}

/// The provider moved all that was authorised and gave back what was not captured.
async fn book_rest(
    tx: &mut Tx,
    payment: &Payment,
    (rest, moved): (&BalanceTransaction, Moved),
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), PaymentError> {
    let owner = Owner { object_type: "capture_rest", object_id: Some(payment.id.uuid()) };
    let recorded = provider_movements::record(tx, journal.keys(), &payment.provider, "", rest, owner).await?;
    let Recorded::New(source) = recorded else {
        return Err(PaymentError::Contradiction(format!("{} is booked for something else", rest.id)));
    };
    let chart = chart(tx.book_id(), payment.amount.currency);
    let made = entries::rest_released(chart, -moved.amount(), moved.fee(), rest.state);
    let at = (source, payment.key);
    journal.add(Record {
        kind: Kind::CaptureRestReleased,
        source,
        subject: payment.key,
        effective_at: effective_at(rest),
        actor: Actor::System,
        floors: Floors::Pass,
        entries: exchange::cross(tx, at, rest, moved, made, PlatformAccount::Processing, now).await?,
    });
    Ok(())
}

/// A charge with what it moved.
pub(super) struct Charged<'a> {
    pub(super) charge: &'a Charge,
    pub(super) movement: &'a BalanceTransaction,
    pub(super) moved: Moved,
    /// What gave back the part that was not captured, where the provider moved all of it first.
    rest: Option<(&'a BalanceTransaction, Moved)>,
}

/// The charge and its movements, if they are of what was asked.
pub(super) fn charged<'a>(payment: &Payment, said: &'a Said) -> Result<Charged<'a>, PaymentError> {
    let charge = said.charge.as_deref().ok_or(PaymentError::Incomplete("the payment has no charge"))?;
    let movement =
        charge.balance_transaction.as_ref().ok_or(PaymentError::Incomplete("the charge has no balance transaction"))?;
    let (asked, captured, own) = (payment.amount.minor, charge.captured_amount, payment.amount.currency);
    if charge.amount != payment.amount || captured < 1 {
        return Err(PaymentError::Contradiction(format!("charged {captured} of {}", charge.amount)));
    }
    // In one movement, or all that was authorised in one and the rest back in another; converted, always so.
    let is_of_all = captured < asked && (movement.currency != own || movement.amount == asked);
    if is_of_all && charge.rest_transaction.is_none() {
        return Err(PaymentError::Incomplete("what was not captured is not given back yet"));
    }
    let rest = charge.rest_transaction.as_ref().filter(|_| is_of_all);
    let rest = rest.map(|rest| (rest, Moved::new(rest, Money::new(captured - asked, own))));
    let moved = Moved::new(movement, Money::new(if is_of_all { asked } else { captured }, own));
    let kept = moved.amount() + rest.map_or(0, |(_, rest)| rest.amount());
    if kept != captured || rest.is_some_and(|(rest, _)| rest.currency != movement.currency) {
        let booked = Money::new(kept, own);
        return Err(PaymentError::Contradiction(format!("charged {booked} instead of {}", payment.amount)));
    }
    Ok(Charged { charge, movement, moved, rest })
}

/// The provider made a charge's money usable: the sellers' shares are theirs to use.
///
/// `source` is the key of the charge's movement, `net` what it changed the balance by, in the balance's currency, `came_back` what
/// has come back of what was sent with the charge. The caller has locked the payment.
///
/// # Errors
/// [`PaymentError::NotFound`]; what the database says.
pub async fn release(
    tx: &mut Tx,
    id: PaymentId,
    source: i64,
    net: Money,
    came_back: i64,
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
    line_release::follow(tx, &changed, &lines, now).await?;
    let chart = chart(tx.book_id(), payment.amount.currency);
    journal.add(Record {
        kind: Kind::FundsAvailable,
        source,
        subject: payment.key,
        effective_at: now,
        actor: Actor::System,
        floors: Floors::Pass,
        entries: entries::funds_available(Chart { currency: net.currency, ..chart }, net.minor),
    });
    journal.add(released(chart, &payment, &lines, came_back, now));
    keep_back(tx, &payment, &lines, journal, now).await
}

/// Says what of the released shares is to be kept back.
async fn keep_back(
    tx: &mut Tx,
    payment: &Payment,
    lines: &[Line],
    journal: &Journal,
    now: Timestamp,
) -> Result<(), PaymentError> {
    if payment.charge_type == ChargeType::Destination {
        // The seller has it already.
        return Ok(());
    }
    let shares: Vec<_> = split::released_shares(lines).into_values().collect();
    Ok(reserves::shares_released(tx, &payment.reserve_ground(), None, &shares, journal.keys(), now).await?)
}

fn released(chart: Chart, payment: &Payment, lines: &[super::Line], came_back: i64, at: Timestamp) -> Record {
    let shares = charge_type::to_release(lines, payment.sent_with_charge - came_back);
    Record {
        kind: Kind::SharesReleased,
        source: payment.key,
        subject: payment.key,
        effective_at: at,
        actor: Actor::System,
        floors: Floors::Pass,
        entries: entries::shares_released(chart, &shares),
    }
}
