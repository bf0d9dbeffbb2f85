//! What sellers are short of at the end of a day becomes their debt.
//!
//! What a seller has of one payment or adjustment is what was booked to its available balance under that subject. Where that
//! is below zero at the end of the day, and what is on its way back does not make up for it, the rule of transfers had its
//! chance: from then on it is a debt (`debts`), paid by what the seller gets next.

use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, Scope, Tx};
use partita_ledger::postings_by_subject;
use uuid::Uuid;

use super::reserving::pay_from_reserves;
use super::store::Ground;
use super::{DUE_KIND, TransferError, TransferStatus, by_bank, store};
use crate::adjustments;
use crate::app::App;
use crate::chart::{Chart, SellerAccount, SellerNumber};
use crate::debts;
use crate::due;
use crate::id::{Of, SellerId};
use crate::journal::Journal;
use crate::payments;
use crate::sellers::{self, Seller};
use crate::verify;

/// The kind of `due` rows that name books whose day ends.
pub const DAY_END_DUE_KIND: &str = "day_end";

/// Sellers looked at in one piece of reading.
const SELLERS: i64 = 100;
/// Payments and adjustments looked at in one piece of reading: what one statement may take.
const GROUNDS: i64 = 200;

/// Ends a book's day: what sellers are short of becomes debt, and what they have beside it is looked at again. One seller's
/// trouble keeps no other waiting.
///
/// # Errors
/// [`TransferError`]; what was done stays done, and may be done again.
pub async fn end_day(app: &Arc<App>, book: BookId) -> Result<(), TransferError> {
    let (mut after, mut trouble) = (SellerNumber(0), None);
    loop {
        let short = app
            .db
            .read("short sellers", Scope::Book(book), move |tx| {
                Box::pin(async move { store::short_sellers(tx, after, SELLERS).await })
            })
            .await?;
        let Some((last, _)) = short.last() else { break };
        after = *last;
        for (_, seller) in short {
            if let Err(error) = end_day_of(app, book, seller).await {
                tracing::error!(book = book.get(), %seller, %error, "a seller's day could not be ended");
                trouble = Some(error);
            }
        }
    }
    pay_from_reserves(app, book).await?;
    by_bank::send_what_is_left(app, book).await?;
    trouble.map_or(Ok(()), Err)
}

/// Debts first, so that what the seller has elsewhere pays them and is not sent.
async fn end_day_of(app: &Arc<App>, book: BookId, id: SellerId) -> Result<(), TransferError> {
    let seller = app
        .db
        .read("seller who is short", Scope::Book(book), move |tx| Box::pin(async move { sellers::find(tx, id).await }))
        .await?
        .ok_or(TransferError::NotFound)?;
    let mut after = Uuid::nil();
    while let Some((page, last)) = grounds_after(app, book, &seller, after).await? {
        for key in page.iter().filter(|ground| ground.has < 0).filter_map(|ground| ground.key) {
            open_debt(app, book, seller.id, key).await?;
        }
        after = last;
    }
    let mut after = Uuid::nil();
    while let Some((page, last)) = grounds_after(app, book, &seller, after).await? {
        let others = page.iter().filter(|ground| ground.has > 0).filter_map(|ground| ground.key).collect();
        look_again(app, book, others).await?;
        after = last;
    }
    Ok(())
}

/// The next payments and adjustments of a seller, and the last of them; none when there are no more.
pub(super) async fn grounds_after(
    app: &Arc<App>,
    book: BookId,
    seller: &Seller,
    after: Uuid,
) -> Result<Option<(Vec<Ground>, Uuid)>, TransferError> {
    let available = payments::chart(book, seller.default_currency).seller(seller.number, SellerAccount::Available);
    let id = seller.id;
    let page = app
        .db
        .read("what a seller is short of", Scope::Book(book), move |tx| {
            Box::pin(async move { store::grounds(tx, id, available, after, GROUNDS).await })
        })
        .await?;
    let last = page.last().map(|ground| ground.id);
    Ok(last.map(|last| (page, last)))
}

fn chart(tx: &Tx, seller: &Seller) -> Chart {
    payments::chart(tx.book_id(), seller.default_currency)
}

async fn open_debt(app: &Arc<App>, book: BookId, seller: SellerId, key: i64) -> Result<(), TransferError> {
    let now = app.clock.now();
    let app_in = Arc::clone(app);
    app.db
        .run_tx("open debt", Scope::Book(book), move |tx| {
            let app = Arc::clone(&app_in);
            Box::pin(async move {
                let seller = sellers::find(tx, seller).await?.ok_or(TransferError::NotFound)?;
                let of = lock(tx, key).await?;
                // The rule of transfers has not had its chance yet.
                if verify::is_halted(tx).await? || store::awaits_refund(tx, key).await? {
                    return Ok(());
                }
                let chart = chart(tx, &seller);
                chart.open_seller(tx, seller.number, seller.id).await?;
                let legs = legs(tx, key, &seller).await?;
                let Some((short_since, missing)) = shortfall(&legs) else { return Ok(()) };
                let coming: i64 = store::list_of_for_update(tx, of)
                    .await?
                    .iter()
                    .filter(|transfer| transfer.seller == seller.id && transfer.status == TransferStatus::Succeeded)
                    .map(|transfer| transfer.reversing_amount)
                    .sum();
                let ladder = debts::find_policy(tx).await?;
                let age = now.duration_since(short_since).as_hours().max(0) / 24;
                if missing <= coming || age < i64::from(ladder.net.after_days) {
                    return Ok(());
                }
                let mut journal = Journal::new(&app.keys);
                debts::open(tx, (of, key), &seller, missing - coming, short_since, &mut journal, now).await?;
                journal.post(tx).await?;
                Ok::<_, TransferError>(())
            })
        })
        .await
}

pub(super) async fn look_again(app: &Arc<App>, book: BookId, keys: Vec<i64>) -> Result<(), TransferError> {
    if keys.is_empty() {
        return Ok(());
    }
    let now = app.clock.now();
    app.db
        .run_tx("look at transfers again", Scope::Book(book), move |tx| {
            let keys = keys.clone();
            Box::pin(async move { Ok(due::schedule_all(tx, DUE_KIND, &keys, now).await?) })
        })
        .await
}

/// Locks the payment or adjustment of a ledger subject.
async fn lock(tx: &mut Tx, key: i64) -> Result<Of, TransferError> {
    if let Some(payment) = payments::find_by_key(tx, key).await? {
        payments::find_for_update(tx, payment.id).await?.ok_or(TransferError::PaymentNotFound)?;
        return Ok(Of::Payment(payment.id));
    }
    let adjustment = adjustments::find_by_key_for_update(tx, key).await?.ok_or(TransferError::PaymentNotFound)?;
    Ok(Of::Adjustment(adjustment.id))
}

/// What each transaction of a subject did to a seller's available balance, in the order in which they were booked.
async fn legs(tx: &mut Tx, key: i64, seller: &Seller) -> Result<Vec<(Timestamp, i64)>, TransferError> {
    let available = chart(tx, seller).seller(seller.number, SellerAccount::Available);
    let mut found: Vec<_> = postings_by_subject(tx, key)
        .await?
        .into_iter()
        .filter(|posting| posting.debit == available || posting.credit == available)
        .map(|posting| {
            let amount = if posting.credit == available { posting.amount } else { -posting.amount };
            (posting.recorded_at, posting.transaction_id, posting.effective_at, amount)
        })
        .collect();
    found.sort_unstable_by_key(|(recorded, transaction, ..)| (*recorded, *transaction));
    let mut legs: Vec<(i64, Timestamp, i64)> = Vec::new();
    for (_, transaction, effective, amount) in found {
        match legs.last_mut() {
            Some(last) if last.0 == transaction => last.2 += amount,
            _ => legs.push((transaction, effective, amount)),
        }
    }
    Ok(legs.into_iter().map(|(_, at, amount)| (at, amount)).collect())
}

/// How much is missing after these changes, and since when without a break; none if nothing is.
fn shortfall(legs: &[(Timestamp, i64)]) -> Option<(Timestamp, i64)> {
    let mut balance = 0;
    let mut since = None;
    for (at, amount) in legs {
        balance += amount;
        since = if balance < 0 { since.or(Some(*at)) } else { None };
    }
    since.map(|since| (since, -balance))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(day * 86_400).expect("a time")
    }

    #[test]
    fn a_shortfall_counts_from_where_it_began_without_a_break() {
        assert_eq!(shortfall(&[]), None);
        // Released, sent, refunded: short by 22.50 since the refund.
        let refunded = [(at(1), 54_00), (at(1), -54_00), (at(3), -22_50)];
        assert_eq!(shortfall(&refunded), Some((at(3), 22_50)));
        // A second refund makes it larger, not younger.
        let again = [&refunded[..], &[(at(4), -1_00)]].concat();
        assert_eq!(shortfall(&again), Some((at(3), 23_50)));
        // It came back, and went again.
        let back = [&refunded[..], &[(at(5), 22_50)]].concat();
        assert_eq!(shortfall(&back), None);
        let once_more = [&back[..], &[(at(7), -5_00)]].concat();
        assert_eq!(shortfall(&once_more), Some((at(7), 5_00)));
    }
}
