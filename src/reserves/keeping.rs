//! Putting money into reserves and taking it out, under the lock of the payment that it is of.

use std::collections::HashMap;

use jiff::Timestamp;
use partita_db::{Keys, Tx};
use partita_ledger::Floors;
use partita_provider::{Currency, Money};
use uuid::Uuid;

use super::store::{self, NewRow, RulesOf};
use super::{DUE_KIND, Part, Reserve, ReserveError, ReserveKind, ReserveStatus, StepKind, entries, record};
use crate::actor::Actor;
use crate::chart::Chart;
use crate::due;
use crate::id::{PaymentId, ReserveId, SellerId};
use crate::journal::{Journal, Record};

/// The payment whose money is kept back; its row is locked.
#[derive(Debug, Clone, Copy)]
pub struct Ground {
    /// Its id.
    pub payment: PaymentId,
    /// Its ledger subject.
    pub subject: i64,
    /// Its sellers' currency.
    pub currency: Currency,
}

/// Says what is to be kept back of shares that became usable just now, by the rules that hold. [`take`] keeps it. `line`: they are
/// of that line, which was released by itself; none: of those that are released with the payment's money.
///
/// # Errors
/// What the database says.
pub async fn shares_released(
    tx: &mut Tx,
    ground: &Ground,
    line: Option<i32>,
    shares: &[(SellerId, i64)],
    keys: &Keys,
    now: Timestamp,
) -> Result<(), ReserveError> {
    let sellers: Vec<SellerId> = shares.iter().map(|(seller, _)| *seller).collect();
    for RulesOf { seller, version, rolling, fixed } in store::rules_of(tx, &sellers, ground.currency).await? {
        let share = shares.iter().find(|(id, _)| *id == seller).map_or(0, |(_, share)| *share);
        let share = Money::new(share, ground.currency);
        let row = |kind, amount, payment, release_at| NewRow {
            seller,
            kind,
            amount: Money::new(amount, ground.currency),
            payment,
            line: line.filter(|_| kind == ReserveKind::Rolling),
            policy_version: Some(version),
            reason: None,
            release_at,
        };
        if let Some(rolling) = rolling.filter(|rolling| rolling.of(share) > 0) {
            let until = rolling.until(now);
            let new = row(ReserveKind::Rolling, rolling.of(share), Some(ground.payment), Some(until));
            if let Some(made) = make(tx, &new, keys, now).await? {
                due::schedule(tx, DUE_KIND, made.key, until).await?;
            }
        }
        if fixed > 0 && share.minor > 0 && !store::has_fixed(tx, seller, ground.currency).await? {
            make(tx, &row(ReserveKind::Fixed, fixed, None, None), keys, now).await?;
        }
    }
    Ok(())
}

/// None where there is one already.
async fn make(tx: &mut Tx, new: &NewRow, keys: &Keys, now: Timestamp) -> Result<Option<Reserve>, ReserveError> {
    let key = keys.next(tx).await?;
    let Some(made) = store::insert(tx, key, new, Actor::System, now).await? else { return Ok(None) };
    record(tx, &made, None, "reserve.created", Actor::System, None, now).await?;
    Ok(Some(made))
}

/// Puts up to `amount` that a seller has of a payment into its reserves: that of the very share first. Returns how much.
///
/// # Errors
/// What the database says.
pub async fn take(
    tx: &mut Tx,
    ground: &Ground,
    seller: SellerId,
    amount: i64,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<i64, ReserveError> {
    let mut left = amount;
    for reserve in store::list_filling_for_update(tx, seller, ground.currency, ground.payment).await? {
        let is_due = reserve.release_at.is_some_and(|at| at <= now);
        let part = if is_due { 0 } else { reserve.room().min(left) };
        if part > 0 {
            step(tx, ground, &reserve, (StepKind::Take, part), None, journal, now).await?;
            left -= part;
        }
    }
    Ok(amount - left)
}

/// What the payment takes from sellers now, its own reserves give first. `cause` is the refund or dispute, or the payment that
/// failed late.
///
/// # Errors
/// What the database says.
pub async fn draw(
    tx: &mut Tx,
    ground: &Ground,
    cause: Uuid,
    lost: &[(SellerId, i64)],
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), ReserveError> {
    let held = store::list_held(tx, ground.payment).await?;
    let wanted: Vec<Part> =
        held.into_iter().filter(|part| lost.iter().any(|(seller, _)| *seller == part.seller)).collect();
    let reserves = lock(tx, &wanted).await?;
    for (seller, amount) in lost {
        let mut left = *amount;
        for part in wanted.iter().filter(|part| part.seller == *seller) {
            let used = part.amount.min(left);
            if used > 0 {
                let reserve = reserves.get(&part.reserve).ok_or(ReserveError::NotFound)?;
                step(tx, ground, reserve, (StepKind::Draw, used), Some(cause), journal, now).await?;
                left -= used;
            }
        }
    }
    Ok(())
}

/// The reserves of these parts, of which each has one, locked.
async fn lock(tx: &mut Tx, parts: &[Part]) -> Result<HashMap<ReserveId, Reserve>, ReserveError> {
    let ids: Vec<ReserveId> = parts.iter().map(|part| part.reserve).collect();
    let found = store::list_for_update(tx, &ids).await?;
    Ok(found.into_iter().map(|reserve| (reserve.id, reserve)).collect())
}

/// Sellers have back what `cause` took: what it had drawn is kept back again, where the reserve still is.
///
/// # Errors
/// What the database says.
pub async fn restore(
    tx: &mut Tx,
    ground: &Ground,
    cause: Uuid,
    back: &[(SellerId, i64)],
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), ReserveError> {
    let drawn = store::list_drawn(tx, cause).await?;
    let wanted: Vec<Part> =
        drawn.into_iter().filter(|part| back.iter().any(|(seller, _)| *seller == part.seller)).collect();
    let reserves = lock(tx, &wanted).await?;
    for (seller, amount) in back {
        let mut left = *amount;
        for part in wanted.iter().filter(|part| part.seller == *seller) {
            let reserve = reserves.get(&part.reserve).ok_or(ReserveError::NotFound)?;
            // Later sales may have filled a fixed one meanwhile: the rest is sent.
            let most = if reserve.kind == ReserveKind::Fixed { reserve.room() } else { part.amount };
            let again = part.amount.min(left).min(most);
            let is_due = reserve.release_at.is_some_and(|at| at <= now);
            if again > 0 && reserve.status == ReserveStatus::Open && !is_due {
                step(tx, ground, reserve, (StepKind::Restore, again), Some(cause), journal, now).await?;
                left -= again;
            }
        }
    }
    Ok(())
}

/// Gives back what a locked reserve holds of a payment, up to `most`. Returns how much.
///
/// # Errors
/// What the database says.
pub async fn release(
    tx: &mut Tx,
    ground: &Ground,
    reserve: &Reserve,
    most: i64,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<i64, ReserveError> {
    let held = store::list_held(tx, ground.payment).await?;
    let part = held.iter().find(|part| part.reserve == reserve.id).map_or(0, |part| part.amount);
    let back = part.min(most);
    if back > 0 {
        step(tx, ground, reserve, (StepKind::Release, back), None, journal, now).await?;
    }
    Ok(back.max(0))
}

/// Ends a locked reserve that is being released, once nothing is left in it.
///
/// # Errors
/// What the database says.
pub async fn is_over(tx: &mut Tx, reserve: &Reserve, now: Timestamp) -> Result<bool, ReserveError> {
    if reserve.status != ReserveStatus::Releasing || reserve.held() > 0 {
        return Ok(reserve.status == ReserveStatus::Released);
    }
    let new = Reserve { status: ReserveStatus::Released, ..reserve.clone() };
    let changed = store::update(tx, &new, now).await?;
    record(tx, &changed, Some(reserve.status), "reserve.released", Actor::System, None, now).await?;
    Ok(true)
}

async fn step(
    tx: &mut Tx,
    ground: &Ground,
    reserve: &Reserve,
    (kind, amount): (StepKind, i64),
    cause: Option<Uuid>,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), ReserveError> {
    let key = journal.keys().next(tx).await?;
    store::insert_step(tx, key, reserve.id, ground.payment, (kind, amount), cause, now).await?;
    let (new, event) = match kind {
        StepKind::Take => (Reserve { taken: reserve.taken + amount, ..reserve.clone() }, "reserve.taken"),
        StepKind::Draw => (Reserve { drawn: reserve.drawn + amount, ..reserve.clone() }, "reserve.drawn"),
        StepKind::Restore => (Reserve { drawn: reserve.drawn - amount, ..reserve.clone() }, "reserve.restored"),
        StepKind::Release => (Reserve { released: reserve.released + amount, ..reserve.clone() }, "reserve.returned"),
    };
    let changed = store::update(tx, &new, now).await?;
    record(tx, &changed, Some(reserve.status), event, Actor::System, None, now).await?;
    let chart = Chart { book: tx.book_id(), currency: ground.currency };
    let (booked, entries) = entries::step(chart, reserve.number, kind, amount);
    journal.add(Record {
        kind: booked,
        source: key,
        subject: ground.subject,
        effective_at: now,
        actor: Actor::System,
        // What is put back came back just now: it passes the seller's other shortfalls by.
        floors: if kind == StepKind::Restore { Floors::Pass } else { Floors::Respect },
        entries,
    });
    Ok(())
}
