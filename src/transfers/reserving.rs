//! Reserves meet transfers: what is kept back of a payment is not sent, and what is given back is.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, DbError, Scope, Tx};
use partita_ledger::balances;
use uuid::Uuid;

use super::shortfalls::{grounds_after, look_again};
use super::store::{self, Owed};
use super::{Ground, TransferError, schedule_rebalance};
use crate::actor::Actor;
use crate::app::App;
use crate::chart::{SellerAccount, SellerNumber};
use crate::debts;
use crate::id::SellerId;
use crate::journal::Journal;
use crate::payments;
use crate::reserves::{self, Part, Reserve, ReserveKind, ReserveStatus};
use crate::sellers::{self, Seller};
use crate::verify;

/// How soon a reserve is looked at again that could not be done with.
const AGAIN_MINUTES: i64 = 1;

/// Payments of one reserve, and reserves of one seller, that are read at once.
const PARTS: i64 = 100;
/// Sellers with debts that are read at once.
const SELLERS: i64 = 100;

/// What is kept back of a payment, by seller; minor units.
pub(super) async fn kept(tx: &mut Tx, ground: &Ground) -> Result<HashMap<SellerId, i64>, DbError> {
    let mut kept = HashMap::new();
    if let Some(of) = &ground.reserves {
        for part in reserves::list_held(tx, of.payment).await? {
            *kept.entry(part.seller).or_default() += part.amount;
        }
    }
    Ok(kept)
}

/// Keeps back what is to be kept of up to `amount` that a seller has and could be sent. Returns how much.
pub(super) async fn keep(
    tx: &mut Tx,
    ground: &Ground,
    seller: &Seller,
    amount: i64,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<i64, TransferError> {
    match &ground.reserves {
        Some(of) if amount > 0 => Ok(reserves::take(tx, of, seller.id, amount, journal, now).await?),
        _ => Ok(0),
    }
}

/// Does what is due with a reserve: gives back what is not to be kept any more, payment by payment; has what the seller has put
/// into one that was made by hand. Returns when to look again.
///
/// # Errors
/// [`TransferError`]; what was done stays done, and the rest may be done again.
pub async fn advance_reserve(app: &Arc<App>, book: BookId, key: i64) -> Result<Option<Timestamp>, TransferError> {
    let Some(reserve) = turn(app, book, key).await? else {
        return Ok(Some(app.clock.now() + SignedDuration::from_mins(AGAIN_MINUTES)));
    };
    match (reserve.status, reserve.kind) {
        (ReserveStatus::Released, _) => return Ok(None),
        (ReserveStatus::Releasing, _) => give_back(app, book, &reserve, 0).await?,
        (ReserveStatus::Open, ReserveKind::Fixed) => give_back(app, book, &reserve, reserve.amount.minor).await?,
        (ReserveStatus::Open, ReserveKind::Manual) => fill(app, book, &reserve).await?,
        (ReserveStatus::Open, ReserveKind::Rolling) => {}
    }
    if reserve.status != ReserveStatus::Releasing || end(app, book, key).await? {
        return Ok(reserve.release_at.filter(|_| reserve.status == ReserveStatus::Open));
    }
    // Something went into it in this very moment: it is looked at once more.
    Ok(Some(app.clock.now() + SignedDuration::from_mins(AGAIN_MINUTES)))
}

/// What a reserve is to be from now on; none while the book is halted.
async fn turn(app: &Arc<App>, book: BookId, key: i64) -> Result<Option<Reserve>, TransferError> {
    let now = app.clock.now();
    app.db
        .run_tx("look at reserve", Scope::Book(book), move |tx| {
            Box::pin(async move {
                if verify::is_halted(tx).await? {
                    return Ok(None);
                }
                let reserve = find_for_update(tx, key).await?;
                let is_due = reserve.release_at.is_some_and(|at| at <= now);
                let turned = match (reserve.status, reserve.kind) {
                    (ReserveStatus::Open, _) if is_due => {
                        reserves::begin_release(tx, &reserve, Actor::System, None, now).await?
                    }
                    (ReserveStatus::Open, ReserveKind::Fixed) => reserves::follow_rule(tx, &reserve, now).await?,
                    _ => reserve,
                };
                Ok::<_, TransferError>(Some(turned))
            })
        })
        .await
}

async fn find_for_update(tx: &mut Tx, key: i64) -> Result<Reserve, TransferError> {
    let found = reserves::find_by_key_for_update(tx, key).await?;
    Ok(found.ok_or(reserves::ReserveError::NotFound)?)
}

/// Gives back so much of sellers' reserves as their debts are that the ladder lets those pay: what is given back pays debts before
/// it is sent.
///
/// # Errors
/// [`TransferError`]; what was done stays done.
pub(super) async fn pay_from_reserves(app: &Arc<App>, book: BookId) -> Result<(), TransferError> {
    let now = app.clock.now();
    let mut after = SellerNumber(0);
    loop {
        let owed = app
            .db
            .read("debts beside reserves", Scope::Book(book), move |tx| {
                Box::pin(async move {
                    if verify::is_halted(tx).await? {
                        return Ok(Vec::new());
                    }
                    let ladder = debts::find_policy(tx).await?;
                    if ladder.reserve.is_none() {
                        return Ok(Vec::new());
                    }
                    let rows = store::debts_beside_reserves(tx, after, SELLERS).await?;
                    let amount = |row: &Owed| {
                        let age = now.duration_since(row.short_since).as_hours().max(0) / 24;
                        if ladder.reserve_pays(age, row.left) { row.left } else { 0 }
                    };
                    Ok::<_, DbError>(rows.iter().map(|row| (row.number, row.seller, amount(row))).collect())
                })
            })
            .await?;
        let Some((last, ..)) = owed.last() else { return Ok(()) };
        after = *last;
        let mut of_sellers: BTreeMap<SellerNumber, (SellerId, i64)> = BTreeMap::new();
        for (number, seller, amount) in owed {
            of_sellers.entry(number).or_insert((seller, 0)).1 += amount;
        }
        for (seller, amount) in of_sellers.into_values().filter(|(_, amount)| *amount > 0) {
            pay_of(app, book, seller, amount).await?;
        }
    }
}

/// Gives back of a seller's reserves what its debts of `amount` want beyond what it has, those first that are given back next
/// anyway. Nothing while it is short elsewhere, which would swallow it, or has enough: what was given back yesterday, perhaps.
async fn pay_of(app: &Arc<App>, book: BookId, seller: SellerId, amount: i64) -> Result<(), TransferError> {
    let (held, has) = app
        .db
        .read("reserves of a seller who owes", Scope::Book(book), move |tx| {
            Box::pin(async move {
                let held = reserves::list_next(tx, seller, PARTS).await?;
                let Some(first) = held.first() else { return Ok((held, 0)) };
                let chart = payments::chart(book, first.amount.currency);
                let available = balances(tx, &[chart.seller(first.number, SellerAccount::Available)]).await?;
                let has = available.first().map_or(0, |balance| balance.credits - balance.debits);
                Ok::<_, TransferError>((held, i64::try_from(has).unwrap_or(i64::MIN)))
            })
        })
        .await?;
    let mut left = if has < 0 { 0 } else { (amount - has).max(0) };
    for reserve in held {
        let part = reserve.held().min(left);
        if part == 0 {
            break;
        }
        give_back(app, book, &reserve, reserve.held() - part).await?;
        left -= part;
    }
    Ok(())
}

/// Gives back what is in a reserve above `goal`, each payment by itself.
async fn give_back(app: &Arc<App>, book: BookId, reserve: &Reserve, goal: i64) -> Result<(), TransferError> {
    let (id, mut after) = (reserve.id, Uuid::nil());
    loop {
        let parts = app
            .db
            .read("what a reserve has", Scope::Book(book), move |tx| {
                Box::pin(async move { reserves::list_parts(tx, id, after, PARTS).await })
            })
            .await?;
        let Some(last) = parts.last() else { return Ok(()) };
        after = last.payment.uuid();
        for part in parts {
            if !give_back_part(app, book, reserve.key, part, goal).await? {
                return Ok(());
            }
        }
    }
}

/// Whether there may be more to give back.
async fn give_back_part(app: &Arc<App>, book: BookId, key: i64, part: Part, goal: i64) -> Result<bool, TransferError> {
    let now = app.clock.now();
    let app_in = Arc::clone(app);
    app.db
        .run_tx("give reserve back", Scope::Book(book), move |tx| {
            let app = Arc::clone(&app_in);
            Box::pin(async move {
                // The payment is locked before its reserves, everywhere.
                let payment =
                    payments::find_for_update(tx, part.payment).await?.ok_or(TransferError::PaymentNotFound)?;
                let reserve = find_for_update(tx, key).await?;
                let above = reserve.held() - goal;
                if above <= 0 {
                    return Ok(false);
                }
                let mut journal = Journal::new(&app.keys);
                reserves::release(tx, &payment.reserve_ground(), &reserve, above, &mut journal, now).await?;
                schedule_rebalance(tx, payment.key, now).await?;
                journal.post(tx).await?;
                Ok::<_, TransferError>(true)
            })
        })
        .await
}

/// Whether a reserve that is being released is over: nothing went into it meanwhile.
async fn end(app: &Arc<App>, book: BookId, key: i64) -> Result<bool, TransferError> {
    let now = app.clock.now();
    app.db
        .run_tx("end reserve", Scope::Book(book), move |tx| {
            Box::pin(async move {
                let reserve = find_for_update(tx, key).await?;
                Ok::<_, TransferError>(reserves::is_over(tx, &reserve, now).await?)
            })
        })
        .await
}

/// Has the rule of transfers look at what the seller has not been sent yet: it fills the reserve first.
async fn fill(app: &Arc<App>, book: BookId, reserve: &Reserve) -> Result<(), TransferError> {
    let id = reserve.seller;
    let seller = app
        .db
        .read("seller of reserve", Scope::Book(book), move |tx| Box::pin(async move { sellers::find(tx, id).await }))
        .await?
        .ok_or(TransferError::NotFound)?;
    let mut after = Uuid::nil();
    while let Some((page, last)) = grounds_after(app, book, &seller, after).await? {
        let unsent = page.iter().filter(|ground| ground.has > 0).filter_map(|ground| ground.key).collect();
        look_again(app, book, unsent).await?;
        after = last;
    }
    Ok(())
}
