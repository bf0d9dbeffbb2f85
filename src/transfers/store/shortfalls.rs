//! SQL of who is short, and of what.

use partita_db::{DbError, Tx};
use partita_ledger::AccountKey;

use crate::id::SellerId;

/// Sellers whose available balance is below zero.
pub(in crate::transfers) async fn short_sellers(tx: &mut Tx) -> Result<Vec<SellerId>, DbError> {
    let book = tx.book_id();
    let ids = sqlx::query_scalar!(
        "select distinct s.id from ledger_balances b
         join ledger_accounts a on a.book_id = b.book_id and a.account = b.account and a.path like 'sel.%.available'
         join sellers s on s.book_id = b.book_id and s.number = ((b.account & ((1::bigint << 33) - 1)) >> 7)
         where b.book_id = $1 and b.credits < b.debits",
        book.get()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(ids.into_iter().map(SellerId::from).collect())
}

/// The ledger subjects of payments and adjustments of which a seller's available balance has something or lacks something,
/// and how much; minor units.
pub(in crate::transfers) async fn uneven_grounds(
    tx: &mut Tx,
    seller: SellerId,
    available: AccountKey,
) -> Result<Vec<(i64, i64)>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"with ground as (
               select distinct p.key from payment_lines l
               join payments p on p.book_id = l.book_id and p.id = l.payment_id and p.funds = 'available'
               where l.book_id = $1 and l.seller_id = $2
               union all
               select key from adjustments where book_id = $1 and seller_id = $2 and status = 'booked' and reverses is null)
           select g.key as "key!", b.has as "has!"
           from ground g
           cross join lateral (
               select coalesce(sum(case when e.credit_account = $3 then e.amount else -e.amount end), 0)::bigint as has
               from ledger_postings e
               where e.book_id = $1 and e.subject = g.key and (e.credit_account = $3 or e.debit_account = $3)) b
           where b.has <> 0 order by g.key"#,
        book.get(),
        seller.uuid(),
        available.get()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.key, row.has)).collect())
}

/// Whether a refund of a payment, by its ledger subject, is asked and not confirmed: until it is, nothing of it is taken back
/// from sellers.
pub(in crate::transfers) async fn awaits_refund(tx: &mut Tx, key: i64) -> Result<bool, DbError> {
    let book = tx.book_id();
    let awaits = sqlx::query_scalar!(
        r#"select exists (select from payments p
                          join refunds r on r.book_id = p.book_id and r.payment_id = p.id
                          where p.book_id = $1 and p.key = $2 and r.status in ('processing', 'pending')) as "awaits!""#,
        book.get(),
        key
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(awaits)
}
