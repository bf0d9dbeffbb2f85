//! SQL of transfers.

mod by_bank;
mod reversals;
mod shortfalls;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::{Currency, Money, Refusal};
use uuid::Uuid;

pub use by_bank::{Payable, parts_of};
pub(super) use by_bank::{
    has_of, insert_parts, list_payables, lock_grounds, lower_payables, parts_of_payout, set_payable, take_payables,
    take_payables_of_others, undo_parts,
};
pub use reversals::{find_reversal, going_back, list_reversals, list_reversals_of, open_reversal_transfers};
pub(super) use reversals::{
    find_reversal_by, find_reversal_for_update, insert_reversal, set_reversal_failed, set_reversal_succeeded,
};
pub(super) use shortfalls::{Ground, Owed, awaits_refund, debts_beside_reserves, grounds, short_sellers};

use super::{Transfer, TransferError, TransferStatus};
use crate::actor::Actor;
use crate::id::{AdjustmentId, Of, PaymentId, SellerId, TransferId};

/// Which transfers to list.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Any of these; all when empty.
    pub statuses: Vec<String>,
    /// Of this payment.
    pub payment: Option<PaymentId>,
    /// To this seller.
    pub seller: Option<SellerId>,
    /// Older than this transfer.
    pub before: Option<TransferId>,
}

struct Row {
    id: Uuid,
    key: i64,
    payment_id: Option<Uuid>,
    adjustment_id: Option<Uuid>,
    seller_id: Uuid,
    amount: i64,
    currency: String,
    status: String,
    reversed_amount: i64,
    reversing_amount: i64,
    provider: String,
    provider_transfer: Option<String>,
    failure: Option<serde_json::Value>,
    sequence: i32,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

impl From<Row> for Transfer {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            key: row.key,
            of: Of::stored(row.payment_id, row.adjustment_id).expect("transfers_of_one has one of the two"),
            seller: row.seller_id.into(),
            amount: money(row.amount, &row.currency),
            status: TransferStatus::parse(&row.status).expect("transfers_status_known allows no other word"),
            reversed_amount: row.reversed_amount,
            reversing_amount: row.reversing_amount,
            provider: row.provider,
            provider_transfer: row.provider_transfer,
            failure: row.failure.map(stored_refusal),
            sequence: row.sequence,
            created_at: row.created_at.to_jiff(),
            updated_at: row.updated_at.to_jiff(),
        }
    }
}

fn money(amount: i64, currency: &str) -> Money {
    Money::new(amount, Currency::parse(currency).expect("written from a currency"))
}

fn stored_refusal(value: serde_json::Value) -> Refusal {
    serde_json::from_value(value).expect("written from a refusal")
}

fn refusal_value(refusal: &Refusal) -> serde_json::Value {
    serde_json::to_value(refusal).expect("refusals serialise")
}

macro_rules! select {
    ($tail:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"select id, key, payment_id, adjustment_id, seller_id, amount, currency, status, reversed_amount, reversing_amount,
                      provider, provider_transfer, failure, sequence, created_at as "created_at: _", updated_at as "updated_at: _"
               from transfers "# + $tail
            $(, $argument)*
        )
    };
}

pub(super) async fn insert(
    tx: &mut Tx,
    (id, key): (TransferId, i64),
    of: Of,
    seller: SellerId,
    amount: Money,
    provider: &str,
    now: Timestamp,
) -> Result<Transfer, TransferError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into transfers (book_id, id, key, payment_id, adjustment_id, seller_id, amount, currency, status, provider,
                                created_by, sequence, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, 'processing', $9, $10, 1, $11, $11)",
        book.get(),
        id.uuid(),
        key,
        of.payment().map(PaymentId::uuid),
        of.adjustment().map(AdjustmentId::uuid),
        seller.uuid(),
        amount.minor,
        amount.currency.code(),
        provider,
        Actor::System.to_string(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    find(tx, id).await?.ok_or(TransferError::NotFound)
}

/// A transfer by its id.
///
/// # Errors
/// What the database says.
pub async fn find(tx: &mut Tx, id: TransferId) -> Result<Option<Transfer>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2", book.get(), id.uuid()).fetch_optional(tx.conn()).await?;
    Ok(row.map(Transfer::from))
}

pub(super) async fn find_by(
    tx: &mut Tx,
    named: Option<TransferId>,
    provider_transfer: &str,
) -> Result<Option<Transfer>, DbError> {
    let book = tx.book_id();
    let row = match named {
        Some(id) => return find(tx, id).await,
        None => {
            select!("where book_id = $1 and provider_transfer = $2", book.get(), provider_transfer)
                .fetch_optional(tx.conn())
                .await?
        }
    };
    Ok(row.map(Transfer::from))
}

pub(super) async fn find_for_update(tx: &mut Tx, id: TransferId) -> Result<Option<Transfer>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2 for no key update", book.get(), id.uuid())
        .fetch_optional(tx.conn())
        .await?;
    Ok(row.map(Transfer::from))
}

/// The transfers of a payment, oldest first.
///
/// # Errors
/// What the database says.
pub async fn list_by_payment(tx: &mut Tx, payment: PaymentId) -> Result<Vec<Transfer>, DbError> {
    let book = tx.book_id();
    let rows = select!("where book_id = $1 and payment_id = $2 order by id", book.get(), payment.uuid())
        .fetch_all(tx.conn())
        .await?;
    Ok(rows.into_iter().map(Transfer::from).collect())
}

/// What has come back of a payment's transfers; minor units.
///
/// # Errors
/// What the database says.
pub async fn taken_back(tx: &mut Tx, payment: PaymentId) -> Result<i64, DbError> {
    let book = tx.book_id();
    let amount = sqlx::query_scalar!(
        r#"select coalesce(sum(reversed_amount), 0)::bigint as "amount!" from transfers
           where book_id = $1 and payment_id = $2"#,
        book.get(),
        payment.uuid()
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(amount)
}

/// The transfers of an adjustment, oldest first.
///
/// # Errors
/// What the database says.
pub async fn list_by_adjustment(tx: &mut Tx, adjustment: AdjustmentId) -> Result<Vec<Transfer>, DbError> {
    let book = tx.book_id();
    let rows = select!("where book_id = $1 and adjustment_id = $2 order by id", book.get(), adjustment.uuid())
        .fetch_all(tx.conn())
        .await?;
    Ok(rows.into_iter().map(Transfer::from).collect())
}

pub(super) async fn list_of_for_update(tx: &mut Tx, of: Of) -> Result<Vec<Transfer>, DbError> {
    let book = tx.book_id();
    let rows = match of {
        Of::Payment(id) => {
            select!("where book_id = $1 and payment_id = $2 order by id for no key update", book.get(), id.uuid())
                .fetch_all(tx.conn())
                .await?
        }
        Of::Adjustment(id) => {
            select!("where book_id = $1 and adjustment_id = $2 order by id for no key update", book.get(), id.uuid())
                .fetch_all(tx.conn())
                .await?
        }
    };
    Ok(rows.into_iter().map(Transfer::from).collect())
}

/// Transfers, newest first.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx, filter: &ListFilter, limit: i64) -> Result<Vec<Transfer>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where book_id = $1 and (cardinality($2::text[]) = 0 or status = any($2)) and ($3::uuid is null or payment_id = $3)
           and ($4::uuid is null or seller_id = $4) and ($5::uuid is null or id < $5)
         order by id desc limit $6",
        book.get(),
        &filter.statuses,
        filter.payment.map(PaymentId::uuid),
        filter.seller.map(SellerId::uuid),
        filter.before.map(TransferId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Transfer::from).collect())
}

/// Ledger subjects of payments whose money is usable and of booked credits that this seller has not been sent.
///
/// # Errors
/// What the database says.
pub async fn without_transfer(tx: &mut Tx, seller: SellerId) -> Result<Vec<i64>, DbError> {
    let book = tx.book_id();
    let keys = sqlx::query_scalar!(
        r#"(select distinct p.key as "key!" from payment_lines l
            join payments p on p.book_id = l.book_id and p.id = l.payment_id and p.funds = 'available'
            where l.book_id = $1 and l.seller_id = $2 and not exists (
                select from transfers t
                where t.book_id = l.book_id and t.payment_id = l.payment_id and t.seller_id = $2 and t.status <> 'failed'
                  and t.amount > t.reversed_amount + t.reversing_amount)
            limit 1000)
           union all
           (select a.key from adjustments a
            where a.book_id = $1 and a.seller_id = $2 and a.status = 'booked' and a.direction = 'credit'
              and a.reverses is null and not exists (
                select from transfers t
                where t.book_id = a.book_id and t.adjustment_id = a.id and t.status <> 'failed'
                  and t.amount > t.reversed_amount + t.reversing_amount)
            limit 1000)"#,
        book.get(),
        seller.uuid()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(keys)
}

async fn changed(tx: &mut Tx, transfer: TransferId, rows: u64) -> Result<Transfer, TransferError> {
    if rows != 1 {
        return Err(TransferError::Contradiction("it changed meanwhile".to_owned()));
    }
    find(tx, transfer).await?.ok_or(TransferError::NotFound)
}

pub(super) async fn set_succeeded(
    tx: &mut Tx,
    transfer: &Transfer,
    provider_transfer: &str,
    now: Timestamp,
) -> Result<Transfer, TransferError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update transfers set status = 'succeeded', provider_transfer = $3, sequence = sequence + 1, updated_at = $4
         where book_id = $1 and id = $2 and status = 'processing'",
        book.get(),
        transfer.id.uuid(),
        provider_transfer,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    changed(tx, transfer.id, done.rows_affected()).await
}

pub(super) async fn set_failed(
    tx: &mut Tx,
    transfer: &Transfer,
    refusal: &Refusal,
    now: Timestamp,
) -> Result<Transfer, TransferError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update transfers set status = 'failed', failure = $3, sequence = sequence + 1, updated_at = $4
         where book_id = $1 and id = $2 and status = 'processing'",
        book.get(),
        transfer.id.uuid(),
        refusal_value(refusal),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    changed(tx, transfer.id, done.rows_affected()).await
}

/// Moves what is asked back and what is taken back of a transfer. Only what was taken back is a change that is told.
pub(super) async fn add_reversing(
    tx: &mut Tx,
    transfer: TransferId,
    reversing: i64,
    reversed: i64,
    now: Timestamp,
) -> Result<Transfer, TransferError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update transfers set reversing_amount = reversing_amount + $3, reversed_amount = reversed_amount + $4,
                              sequence = sequence + case when $4 > 0 then 1 else 0 end, updated_at = $5
         where book_id = $1 and id = $2 and status = 'succeeded'",
        book.get(),
        transfer.uuid(),
        reversing,
        reversed,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    changed(tx, transfer, done.rows_affected()).await
}
