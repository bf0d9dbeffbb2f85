//! SQL of who is short, and of what.

use jiff::Timestamp;
use partita_db::{DbError, Tx};
use partita_ledger::AccountKey;
use uuid::Uuid;

use crate::chart::SellerNumber;
use crate::id::SellerId;

/// Some sellers whose available balance is below zero, in the order of their numbers, beginning after one.
pub(in crate::transfers) async fn short_sellers(
    tx: &mut Tx,
    after: SellerNumber,
    limit: i64,
) -> Result<Vec<(SellerNumber, SellerId)>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        "select distinct s.number, s.id from ledger_balances b
         join ledger_accounts a on a.book_id = b.book_id and a.account = b.account and a.path like 'sel.%.available'
         join sellers s on s.book_id = b.book_id and s.number = ((b.account & ((1::bigint << 33) - 1)) >> 7)
         where b.book_id = $1 and b.credits < b.debits and s.number > $2
         order by s.number limit $3",
        book.get(),
        after.0,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (SellerNumber(row.number), row.id.into())).collect())
}

/// A payment or an adjustment of a seller's, and what its available balance has of it.
#[derive(Debug, Clone, Copy)]
pub(in crate::transfers) struct Ground {
    pub(in crate::transfers) id: Uuid,
    /// Its ledger subject; none while nothing of it can be available.
    pub(in crate::transfers) key: Option<i64>,
    /// Below zero where the seller is short; minor units.
    pub(in crate::transfers) has: i64,
}

/// Some payments and adjustments of a seller's in the order of their ids, beginning after one.
pub(in crate::transfers) async fn grounds(
    tx: &mut Tx,
    seller: SellerId,
    available: AccountKey,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Ground>, DbError> {
    let book = tx.book_id();
    Ok(sqlx::query_as!(
        Ground,
        r#"with page as (
               select id from (
                   (select distinct payment_id as id from payment_lines
                    where book_id = $1 and seller_id = $2 and payment_id > $4 order by payment_id limit $5)
                   union all
                   (select id from adjustments where book_id = $1 and seller_id = $2 and id > $4 order by id limit $5)) ground
               order by id limit $5),
           keyed as (
               select page.id, coalesce(p.key, a.key) as key from page
               left join payments p on p.book_id = $1 and p.id = page.id and p.funds = 'available'
               left join adjustments a
                 on a.book_id = $1 and a.id = page.id and a.status = 'booked' and a.reverses is null)
           select k.id as "id!", k.key, coalesce((
               select sum(case when e.credit_account = $3 then e.amount else -e.amount end)
               from ledger_postings e
               where e.book_id = $1 and e.subject = k.key and (e.credit_account = $3 or e.debit_account = $3)), 0)::bigint
               as "has!"
           from keyed k order by k.id"#,
        book.get(),
        seller.uuid(),
        available.get(),
        after,
        limit
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Whether the provider has not answered yet about a refund of a payment, by its ledger subject: until it has, nothing is
/// taken back from sellers for it.
pub(in crate::transfers) async fn awaits_refund(tx: &mut Tx, key: i64) -> Result<bool, DbError> {
    let book = tx.book_id();
    let awaits = sqlx::query_scalar!(
        r#"select exists (select from payments p
                          join refunds r on r.book_id = p.book_id and r.payment_id = p.id
                          where p.book_id = $1 and p.key = $2 and r.status = 'processing') as "awaits!""#,
        book.get(),
        key
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(awaits)
}

/// A debt of a seller of whom something is kept back.
#[derive(Debug, Clone, Copy)]
pub(in crate::transfers) struct Owed {
    pub(in crate::transfers) number: SellerNumber,
    pub(in crate::transfers) seller: SellerId,
    /// Minor units.
    pub(in crate::transfers) left: i64,
    pub(in crate::transfers) short_since: Timestamp,
}

/// The open debts of some sellers of whom something is kept back, in the order of the sellers' numbers, beginning after one.
pub(in crate::transfers) async fn debts_beside_reserves(
    tx: &mut Tx,
    after: SellerNumber,
    sellers: i64,
) -> Result<Vec<Owed>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"with owing as (
               select s.number, s.id from sellers s
               where s.book_id = $1 and s.number > $2
                 and exists (select from debts d where d.book_id = $1 and d.seller_id = s.id and d.status = 'open')
                 and exists (select from reserves r
                             where r.book_id = $1 and r.seller_id = s.id and r.status <> 'released'
                               and r.taken_amount > r.drawn_amount + r.released_amount)
               order by s.number limit $3)
           select owing.number as "number!", owing.id as "id!", d.amount - d.paid_amount - d.written_off_amount as "left_over!",
                  d.short_since as "short_since: jiff_sqlx::Timestamp"
           from owing join debts d on d.book_id = $1 and d.seller_id = owing.id and d.status = 'open'
           order by owing.number, d.short_since, d.id"#,
        book.get(),
        after.0,
        sellers
    )
    .fetch_all(tx.conn())
    .await?;
    let owed = rows.into_iter().map(|row| Owed {
        number: SellerNumber(row.number),
        seller: row.id.into(),
        left: row.left_over,
        short_since: row.short_since.to_jiff(),
    });
    Ok(owed.collect())
}
