//! SQL of the comparison: facts on one side, the ledger's rows on the other.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use jiff::Timestamp;
use partita_db::{DbError, Tx};
use partita_provider::{Currency, Money, SettlementState};
use uuid::Uuid;

use super::{Postings, Transactions};
use crate::adjustments::{self, Adjustment};
use crate::chart::SellerNumber;
use crate::exchange::Moved;
use crate::id::{PaymentId, SellerId};

/// A payment, as far as it is needed to read the rest.
pub(super) struct PaymentRow {
    pub(super) key: i64,
    pub(super) id: PaymentId,
    pub(super) currency: Currency,
    /// What the provider sent with the charge; minor units.
    pub(super) sent_with_charge: i64,
}

/// A top-up.
pub(super) struct TopUpRow {
    pub(super) key: i64,
    pub(super) id: Uuid,
    pub(super) amount: i64,
    pub(super) currency: Currency,
}

/// An adjustment, and how ledger account keys name its seller.
pub(super) struct AdjustmentRow {
    pub(super) adjustment: Adjustment,
    pub(super) seller: SellerNumber,
}

/// A seller's payout.
pub(super) struct PayoutRow {
    pub(super) key: i64,
    pub(super) id: Uuid,
    pub(super) seller: SellerNumber,
    pub(super) amount: i64,
    pub(super) currency: Currency,
    pub(super) is_by_bank: bool,
}

/// A movement of the provider.
pub(super) struct MovementRow {
    pub(super) key: i64,
    pub(super) account: String,
    pub(super) fee: i64,
    pub(super) net: i64,
    pub(super) currency: Currency,
    pub(super) booked_as: SettlementState,
    pub(super) is_available: bool,
    pub(super) object_type: String,
    pub(super) object: Option<Uuid>,
    /// What it is of, where the provider converted.
    pub(super) of: Option<Money>,
}

impl MovementRow {
    /// The movement beside what it is of.
    pub(super) fn moved(&self) -> Moved {
        let gross = Money::new(self.net + self.fee, self.currency);
        Moved { gross, fee: self.fee, state: self.booked_as, of: self.of.unwrap_or(gross) }
    }
}

/// When an event was written down.
pub(super) struct Moment {
    pub(super) object: Uuid,
    pub(super) event: String,
    pub(super) at: Timestamp,
}

fn currency(code: &str) -> Currency {
    Currency::parse(code).expect("written from a currency")
}

pub(super) async fn page_of_payments(tx: &mut Tx, after: i64, limit: i64) -> Result<Vec<PaymentRow>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        "select key, id, currency, sent_with_charge from payments where book_id = $1 and key > $2 order by key limit $3",
        book.get(),
        after,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    let read = rows.into_iter().map(|row| PaymentRow {
        key: row.key,
        id: row.id.into(),
        currency: currency(&row.currency),
        sent_with_charge: row.sent_with_charge,
    });
    Ok(read.collect())
}

pub(super) async fn page_of_adjustments(tx: &mut Tx, after: i64, limit: i64) -> Result<Vec<AdjustmentRow>, DbError> {
    let book = tx.book_id();
    let keys = sqlx::query!(
        "select a.id, s.number from adjustments a join sellers s on s.book_id = a.book_id and s.id = a.seller_id
         where a.book_id = $1 and a.key > $2 order by a.key limit $3",
        book.get(),
        after,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    let mut rows = Vec::with_capacity(keys.len());
    for row in keys {
        let adjustment = adjustments::find(tx, row.id.into()).await?.expect("just read, in one snapshot");
        rows.push(AdjustmentRow { adjustment, seller: SellerNumber(row.number) });
    }
    Ok(rows)
}

pub(super) async fn page_of_top_ups(tx: &mut Tx, after: i64, limit: i64) -> Result<Vec<TopUpRow>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        "select key, id, amount, currency from top_ups where book_id = $1 and key > $2 order by key limit $3",
        book.get(),
        after,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    let read = rows.into_iter().map(|row| TopUpRow {
        key: row.key,
        id: row.id,
        amount: row.amount,
        currency: currency(&row.currency),
    });
    Ok(read.collect())
}

pub(super) async fn page_of_payouts(tx: &mut Tx, after: i64, limit: i64) -> Result<Vec<PayoutRow>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select payout.key, payout.id, payout.amount, payout.currency, seller.number,
                  payout.method = 'bank_file' as "is_by_bank!"
           from payouts as payout join sellers as seller on seller.book_id = $1 and seller.id = payout.seller_id
           where payout.book_id = $1 and payout.key > $2 order by payout.key limit $3"#,
        book.get(),
        after,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    let read = rows.into_iter().map(|row| PayoutRow {
        key: row.key,
        id: row.id,
        seller: SellerNumber(row.number),
        amount: row.amount,
        currency: currency(&row.currency),
        is_by_bank: row.is_by_bank,
    });
    Ok(read.collect())
}

/// A payout of the platform's own.
pub(super) struct PlatformPayoutRow {
    pub(super) key: i64,
    pub(super) id: Uuid,
    pub(super) amount: i64,
    pub(super) currency: Currency,
}

pub(super) async fn page_of_platform_payouts(
    tx: &mut Tx,
    after: i64,
    limit: i64,
) -> Result<Vec<PlatformPayoutRow>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        "select key, id, amount, currency from platform_payouts where book_id = $1 and key > $2 order by key limit $3",
        book.get(),
        after,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    let read = rows.into_iter().map(|row| PlatformPayoutRow {
        key: row.key,
        id: row.id,
        amount: row.amount,
        currency: currency(&row.currency),
    });
    Ok(read.collect())
}

struct RawMovement {
    key: i64,
    account: String,
    fee: i64,
    net: i64,
    currency: String,
    booked_as: String,
    state: String,
    object_type: String,
    object_id: Option<Uuid>,
    of_currency: Option<String>,
    of_amount: Option<i64>,
}

impl From<RawMovement> for MovementRow {
    fn from(row: RawMovement) -> Self {
        Self {
            key: row.key,
            account: row.account,
            fee: row.fee,
            net: row.net,
            currency: currency(&row.currency),
            booked_as: match row.booked_as.as_str() {
                "available" => SettlementState::Available,
                _ => SettlementState::Pending,
            },
            is_available: row.state == "available",
            object_type: row.object_type,
            object: row.object_id,
            of: row.of_currency.zip(row.of_amount).map(|(code, amount)| Money::new(amount, currency(&code))),
        }
    }
}

/// The movements of some objects. A row from before `booked_as` was kept counts as booked in its present state.
pub(super) async fn movements_of(tx: &mut Tx, objects: &[Uuid]) -> Result<Vec<MovementRow>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query_as!(
        RawMovement,
        r#"select m.key, m.account, m.fee, m.net, m.currency, coalesce(m.booked_as, m.state) as "booked_as!", m.state, m.object_type,
                  m.object_id, e.currency as "of_currency?", e.amount as "of_amount?"
           from provider_movements m left join exchanges e on e.book_id = m.book_id and e.movement = m.key
           where m.book_id = $1 and m.object_id = any($2) order by m.key"#,
        book.get(),
        objects
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(MovementRow::from).collect())
}

pub(super) async fn page_of_movements(tx: &mut Tx, after: i64, limit: i64) -> Result<Vec<MovementRow>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query_as!(
        RawMovement,
        r#"select m.key, m.account, m.fee, m.net, m.currency, coalesce(m.booked_as, m.state) as "booked_as!", m.state, m.object_type,
                  m.object_id, e.currency as "of_currency?", e.amount as "of_amount?"
           from provider_movements m left join exchanges e on e.book_id = m.book_id and e.movement = m.key
           where m.book_id = $1 and m.key > $2 order by m.key limit $3"#,
        book.get(),
        after,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(MovementRow::from).collect())
}

/// When what became of some objects was written down.
pub(super) async fn moments_of(tx: &mut Tx, objects: &[Uuid]) -> Result<Vec<Moment>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select object_id, event_type, recorded_at as "at: jiff_sqlx::Timestamp"
           from outbox where book_id = $1 and object_id = any($2) order by object_id, sequence"#,
        book.get(),
        objects
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Moment { object: row.object_id, event: row.event_type, at: row.at.to_jiff() })
        .collect())
}

pub(super) async fn seller_numbers(
    tx: &mut Tx,
    sellers: &[SellerId],
) -> Result<BTreeMap<SellerId, SellerNumber>, DbError> {
    let book = tx.book_id();
    let ids: Vec<Uuid> = sellers.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!("select id, number from sellers where book_id = $1 and id = any($2)", book.get(), &ids)
        .fetch_all(tx.conn())
        .await?;
    Ok(rows.into_iter().map(|row| (row.id.into(), SellerNumber(row.number))).collect())
}

/// Whose account at the provider it is; none for the platform's own.
pub(super) async fn seller_of_account(tx: &mut Tx, account: &str) -> Result<Option<SellerNumber>, DbError> {
    if account.is_empty() {
        return Ok(None);
    }
    let book = tx.book_id();
    let number =
        sqlx::query_scalar!("select number from sellers where book_id = $1 and account = $2", book.get(), account)
            .fetch_optional(tx.conn())
            .await?;
    Ok(number.map(SellerNumber))
}

/// What the ledger has under some subjects.
pub(super) async fn transactions_of(tx: &mut Tx, subjects: &[i64]) -> Result<Transactions, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        "select t.kind, t.source, p.debit_account, p.credit_account, p.amount
         from ledger_postings as p
         join ledger_transactions as t on t.book_id = p.book_id and t.lane = p.lane and t.seq = p.seq
         where p.book_id = $1 and p.subject = any($2)
         order by t.kind, t.source, p.debit_account, p.credit_account, p.amount",
        book.get(),
        subjects
    )
    .fetch_all(tx.conn())
    .await?;
    let mut found = Transactions::new();
    for row in rows {
        let postings: &mut Postings = found.entry((row.kind, row.source)).or_default();
        postings.push((row.debit_account, row.credit_account, row.amount));
    }
    Ok(found)
}

pub(super) async fn count_transactions(tx: &mut Tx) -> Result<u64, DbError> {
    let book = tx.book_id();
    let count =
        sqlx::query_scalar!(r#"select count(*) as "count!" from ledger_transactions where book_id = $1"#, book.get())
            .fetch_one(tx.conn())
            .await?;
    Ok(count.unsigned_abs())
}

/// Stored debits and credits of every account, all its stripes together.
pub(super) async fn balances(tx: &mut Tx) -> Result<BTreeMap<i64, (i128, i128)>, DbError> {
    let book = tx.book_id();
    let mut rows = sqlx::query!(
        "select account, debits, credits from ledger_balances where book_id = $1 order by account",
        book.get()
    )
    .fetch(tx.conn());
    let mut balances = BTreeMap::<i64, (i128, i128)>::new();
    while let Some(row) = rows.try_next().await? {
        let sums = balances.entry(row.account).or_default();
        sums.0 += i128::from(row.debits);
        sums.1 += i128::from(row.credits);
    }
    Ok(balances)
}
