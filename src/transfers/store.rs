//! SQL of transfers and transfer_reversals.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::{Currency, Money, Refusal};
use uuid::Uuid;

use super::{Reversal, Transfer, TransferError, TransferStatus};
use crate::actor::Actor;
use crate::id::{PaymentId, ReversalId, SellerId, TransferId};
use crate::payments::Payment;

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
    payment_id: Uuid,
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
            payment: row.payment_id.into(),
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

struct ReversalRow {
    id: Uuid,
    key: i64,
    transfer_id: Uuid,
    payment_id: Uuid,
    seller_id: Uuid,
    amount: i64,
    currency: String,
    status: String,
    provider: String,
    provider_reversal: Option<String>,
    failure: Option<serde_json::Value>,
    sequence: i32,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

impl From<ReversalRow> for Reversal {
    fn from(row: ReversalRow) -> Self {
        Self {
            id: row.id.into(),
            key: row.key,
            transfer: row.transfer_id.into(),
            payment: row.payment_id.into(),
            seller: row.seller_id.into(),
            amount: money(row.amount, &row.currency),
            status: TransferStatus::parse(&row.status).expect("transfer_reversals_status_known allows no other word"),
            provider: row.provider,
            provider_reversal: row.provider_reversal,
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
            r#"select id, key, payment_id, seller_id, amount, currency, status, reversed_amount, reversing_amount, provider,
                      provider_transfer, failure, sequence, created_at as "created_at: _", updated_at as "updated_at: _"
               from transfers "# + $tail
            $(, $argument)*
        )
    };
}

macro_rules! select_reversal {
    ($tail:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            ReversalRow,
            r#"select id, key, transfer_id, payment_id, seller_id, amount, currency, status, provider, provider_reversal,
                      failure, sequence, created_at as "created_at: _", updated_at as "updated_at: _"
               from transfer_reversals "# + $tail
            $(, $argument)*
        )
    };
}

pub(super) async fn insert(
    tx: &mut Tx,
    id: TransferId,
    key: i64,
    payment: &Payment,
    seller: SellerId,
    amount: Money,
    now: Timestamp,
) -> Result<Transfer, TransferError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into transfers (book_id, id, key, payment_id, seller_id, amount, currency, status, provider, created_by,
                                sequence, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, 'processing', $8, $9, 1, $10, $10)",
        book.get(),
        id.uuid(),
        key,
        payment.id.uuid(),
        seller.uuid(),
        amount.minor,
        amount.currency.code(),
        payment.provider,
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

pub(super) async fn list_by_payment_for_update(tx: &mut Tx, payment: PaymentId) -> Result<Vec<Transfer>, DbError> {
    let book = tx.book_id();
    let rows =
        select!("where book_id = $1 and payment_id = $2 order by id for no key update", book.get(), payment.uuid())
            .fetch_all(tx.conn())
            .await?;
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

/// Ledger subjects of payments whose money is usable and whose share this seller has not been sent.
///
/// # Errors
/// What the database says.
pub async fn payments_without_transfer(tx: &mut Tx, seller: SellerId) -> Result<Vec<i64>, DbError> {
    let book = tx.book_id();
    let keys = sqlx::query_scalar!(
        "select distinct p.key from payment_lines l
         join payments p on p.book_id = l.book_id and p.id = l.payment_id and p.funds = 'available'
         where l.book_id = $1 and l.seller_id = $2 and not exists (
             select from transfers t
             where t.book_id = l.book_id and t.payment_id = l.payment_id and t.seller_id = $2 and t.status <> 'failed')
         limit 1000",
        book.get(),
        seller.uuid()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(keys)
}

/// Provider's ids of the transfers that have a reversal without a definite answer.
///
/// # Errors
/// What the database says.
pub async fn open_reversal_transfers(tx: &mut Tx) -> Result<Vec<String>, DbError> {
    let book = tx.book_id();
    let ids = sqlx::query_scalar!(
        r#"select distinct t.provider_transfer as "id!" from transfer_reversals v
           join transfers t on t.book_id = v.book_id and t.id = v.transfer_id and t.provider_transfer is not null
           where v.book_id = $1 and v.status = 'processing' limit 100"#,
        book.get()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(ids)
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

pub(super) async fn insert_reversal(
    tx: &mut Tx,
    id: ReversalId,
    key: i64,
    transfer: &Transfer,
    amount: Money,
    now: Timestamp,
) -> Result<Reversal, TransferError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into transfer_reversals (book_id, id, key, transfer_id, payment_id, seller_id, amount, currency, status,
                                         provider, created_by, sequence, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, 'processing', $9, $10, 1, $11, $11)",
        book.get(),
        id.uuid(),
        key,
        transfer.id.uuid(),
        transfer.payment.uuid(),
        transfer.seller.uuid(),
        amount.minor,
        amount.currency.code(),
        transfer.provider,
        Actor::System.to_string(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    find_reversal(tx, id).await?.ok_or(TransferError::NotFound)
}

/// A reversal by its id.
///
/// # Errors
/// What the database says.
pub async fn find_reversal(tx: &mut Tx, id: ReversalId) -> Result<Option<Reversal>, DbError> {
    find_reversal_by(tx, Some(id), "").await
}

pub(super) async fn find_reversal_by(
    tx: &mut Tx,
    named: Option<ReversalId>,
    provider_reversal: &str,
) -> Result<Option<Reversal>, DbError> {
    let book = tx.book_id();
    let row = match named {
        Some(id) => {
            select_reversal!("where book_id = $1 and id = $2", book.get(), id.uuid()).fetch_optional(tx.conn()).await?
        }
        None => {
            select_reversal!("where book_id = $1 and provider_reversal = $2", book.get(), provider_reversal)
                .fetch_optional(tx.conn())
                .await?
        }
    };
    Ok(row.map(Reversal::from))
}

pub(super) async fn find_reversal_for_update(tx: &mut Tx, id: ReversalId) -> Result<Option<Reversal>, DbError> {
    let book = tx.book_id();
    let row = select_reversal!("where book_id = $1 and id = $2 for no key update", book.get(), id.uuid())
        .fetch_optional(tx.conn())
        .await?;
    Ok(row.map(Reversal::from))
}

/// The reversals of a payment's transfers, oldest first.
///
/// # Errors
/// What the database says.
pub async fn list_reversals(tx: &mut Tx, payment: PaymentId) -> Result<Vec<Reversal>, DbError> {
    let book = tx.book_id();
    let rows = select_reversal!("where book_id = $1 and payment_id = $2 order by id", book.get(), payment.uuid())
        .fetch_all(tx.conn())
        .await?;
    Ok(rows.into_iter().map(Reversal::from).collect())
}

async fn changed_reversal(tx: &mut Tx, id: ReversalId, rows: u64) -> Result<Reversal, TransferError> {
    if rows != 1 {
        return Err(TransferError::Contradiction("it changed meanwhile".to_owned()));
    }
    find_reversal(tx, id).await?.ok_or(TransferError::NotFound)
}

pub(super) async fn set_reversal_succeeded(
    tx: &mut Tx,
    reversal: &Reversal,
    provider_reversal: &str,
    now: Timestamp,
) -> Result<Reversal, TransferError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update transfer_reversals set status = 'succeeded', provider_reversal = $3, sequence = sequence + 1, updated_at = $4
         where book_id = $1 and id = $2 and status = 'processing'",
        book.get(),
        reversal.id.uuid(),
        provider_reversal,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    changed_reversal(tx, reversal.id, done.rows_affected()).await
}

pub(super) async fn set_reversal_failed(
    tx: &mut Tx,
    reversal: &Reversal,
    refusal: &Refusal,
    now: Timestamp,
) -> Result<Reversal, TransferError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update transfer_reversals set status = 'failed', failure = $3, sequence = sequence + 1, updated_at = $4
         where book_id = $1 and id = $2 and status = 'processing'",
        book.get(),
        reversal.id.uuid(),
        refusal_value(refusal),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    changed_reversal(tx, reversal.id, done.rows_affected()).await
}
