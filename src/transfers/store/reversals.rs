//! SQL of transfer_reversals.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::{Money, Refusal};
use uuid::Uuid;

use super::{money, refusal_value, stored_refusal};
use crate::actor::Actor;
use crate::id::{AdjustmentId, Of, PaymentId, ReversalId, SellerId, TransferId};
use crate::transfers::{Reversal, Transfer, TransferError, TransferStatus};

struct ReversalRow {
    id: Uuid,
    key: i64,
    transfer_id: Uuid,
    payment_id: Option<Uuid>,
    adjustment_id: Option<Uuid>,
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
            of: Of::stored(row.payment_id, row.adjustment_id).expect("transfer_reversals_of_one has one of the two"),
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

macro_rules! select_reversal {
    ($tail:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            ReversalRow,
            r#"select id, key, transfer_id, payment_id, adjustment_id, seller_id, amount, currency, status, provider,
                      provider_reversal, failure, sequence, created_at as "created_at: _", updated_at as "updated_at: _"
               from transfer_reversals "# + $tail
            $(, $argument)*
        )
    };
}

pub(in crate::transfers) async fn insert_reversal(
    tx: &mut Tx,
    id: ReversalId,
    key: i64,
    transfer: &Transfer,
    amount: Money,
    now: Timestamp,
) -> Result<Reversal, TransferError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into transfer_reversals (book_id, id, key, transfer_id, payment_id, adjustment_id, seller_id, amount, currency,
                                         status, provider, created_by, sequence, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'processing', $10, $11, 1, $12, $12)",
        book.get(),
        id.uuid(),
        key,
        transfer.id.uuid(),
        transfer.of.payment().map(PaymentId::uuid),
        transfer.of.adjustment().map(AdjustmentId::uuid),
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

pub(in crate::transfers) async fn find_reversal_by(
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

pub(in crate::transfers) async fn find_reversal_for_update(
    tx: &mut Tx,
    id: ReversalId,
) -> Result<Option<Reversal>, DbError> {
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

/// The reversals of a transfer, newest first.
///
/// # Errors
/// What the database says.
pub async fn list_reversals_of(tx: &mut Tx, transfer: TransferId) -> Result<Vec<Reversal>, DbError> {
    let book = tx.book_id();
    let rows =
        select_reversal!("where book_id = $1 and transfer_id = $2 order by id desc", book.get(), transfer.uuid())
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

pub(in crate::transfers) async fn set_reversal_succeeded(
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

pub(in crate::transfers) async fn set_reversal_failed(
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

/// What is asked back of a seller and not answered; minor units of its currency.
///
/// # Errors
/// What the database says.
pub async fn going_back(tx: &mut Tx, seller: SellerId) -> Result<i64, DbError> {
    let book = tx.book_id();
    let amount = sqlx::query_scalar!(
        r#"select coalesce(sum(reversing_amount), 0)::bigint as "amount!" from transfers
           where book_id = $1 and seller_id = $2 and reversing_amount > 0"#,
        book.get(),
        seller.uuid()
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(amount)
}
