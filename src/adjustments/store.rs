//! SQL of adjustments and adjustment_limits.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::{Currency, Money};
use uuid::Uuid;

use super::{Adjustment, AdjustmentError, AdjustmentStatus, Direction, NewAdjustment, Reason};
use crate::actor::Actor;
use crate::id::{AdjustmentId, SellerId};
use crate::limit::Limit;

/// Which adjustments to list.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Any of these; all when empty.
    pub statuses: Vec<String>,
    /// Of this seller.
    pub seller: Option<SellerId>,
    /// Older than this adjustment.
    pub before: Option<AdjustmentId>,
}

struct Row {
    id: Uuid,
    key: i64,
    reference: String,
    seller_id: Uuid,
    direction: String,
    amount: i64,
    currency: String,
    reason: String,
    note: String,
    status: String,
    reverses: Option<Uuid>,
    metadata: serde_json::Value,
    created_by: String,
    approved_by: Option<String>,
    sequence: i32,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

impl From<Row> for Adjustment {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            key: row.key,
            reference: row.reference,
            seller: row.seller_id.into(),
            direction: Direction::parse(&row.direction).expect("adjustments_direction_known allows no other word"),
            amount: Money::new(row.amount, Currency::parse(&row.currency).expect("written from a currency")),
            reason: Reason::parse(&row.reason).expect("adjustments_reason_known allows no other word"),
            note: row.note,
            status: AdjustmentStatus::parse(&row.status).expect("adjustments_status_known allows no other word"),
            reverses: row.reverses.map(AdjustmentId::from),
            metadata: row.metadata,
            created_by: row.created_by,
            approved_by: row.approved_by,
            sequence: row.sequence,
            created_at: row.created_at.to_jiff(),
            updated_at: row.updated_at.to_jiff(),
        }
    }
}

macro_rules! select {
    ($tail:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"select id, key, reference, seller_id, direction, amount, currency, reason, note, status, reverses, metadata,
                      created_by, approved_by, sequence, created_at as "created_at: _", updated_at as "updated_at: _"
               from adjustments "# + $tail
            $(, $argument)*
        )
    };
}

pub(super) async fn insert(
    tx: &mut Tx,
    key: i64,
    input: &NewAdjustment,
    status: AdjustmentStatus,
    actor: Actor,
    now: Timestamp,
) -> Result<Adjustment, AdjustmentError> {
    let (book, id) = (tx.book_id(), AdjustmentId::new());
    sqlx::query!(
        "insert into adjustments (book_id, id, key, reference, seller_id, direction, amount, currency, reason, note, status,
                                  reverses, metadata, created_by, sequence, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 1, $15, $15)",
        book.get(),
        id.uuid(),
        key,
        input.reference,
        input.seller.uuid(),
        input.direction.as_str(),
        input.amount.minor,
        input.amount.currency.code(),
        input.reason.as_str(),
        input.note,
        status.as_str(),
        input.reverses.map(AdjustmentId::uuid),
        input.metadata,
        actor.to_string(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)
    .map_err(|error| match error.constraint() {
        Some("adjustments_reference_unique") => AdjustmentError::ReferenceTaken,
        Some("adjustments_reversed_once") => AdjustmentError::ReversedAlready,
        _ => error.into(),
    })?;
    find(tx, id).await?.ok_or(AdjustmentError::NotFound)
}

/// An adjustment by its id.
///
/// # Errors
/// What the database says.
pub async fn find(tx: &mut Tx, id: AdjustmentId) -> Result<Option<Adjustment>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2", book.get(), id.uuid()).fetch_optional(tx.conn()).await?;
    Ok(row.map(Adjustment::from))
}

/// An adjustment by its id, locked.
///
/// # Errors
/// What the database says.
pub async fn find_for_update(tx: &mut Tx, id: AdjustmentId) -> Result<Option<Adjustment>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2 for no key update", book.get(), id.uuid())
        .fetch_optional(tx.conn())
        .await?;
    Ok(row.map(Adjustment::from))
}

/// An adjustment by its ledger subject.
///
/// # Errors
/// What the database says.
pub async fn find_by_key(tx: &mut Tx, key: i64) -> Result<Option<Adjustment>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and key = $2", book.get(), key).fetch_optional(tx.conn()).await?;
    Ok(row.map(Adjustment::from))
}

/// An adjustment by its ledger subject, locked.
///
/// # Errors
/// What the database says.
pub async fn find_by_key_for_update(tx: &mut Tx, key: i64) -> Result<Option<Adjustment>, DbError> {
    let book = tx.book_id();
    let row =
        select!("where book_id = $1 and key = $2 for no key update", book.get(), key).fetch_optional(tx.conn()).await?;
    Ok(row.map(Adjustment::from))
}

/// The booked adjustment that undoes this one.
///
/// # Errors
/// What the database says.
pub async fn find_reversal(tx: &mut Tx, of: AdjustmentId) -> Result<Option<Adjustment>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and reverses = $2 and status = 'booked'", book.get(), of.uuid())
        .fetch_optional(tx.conn())
        .await?;
    Ok(row.map(Adjustment::from))
}

/// Adjustments, newest first.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx, filter: &ListFilter, limit: i64) -> Result<Vec<Adjustment>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where book_id = $1 and (cardinality($2::text[]) = 0 or status = any($2)) and ($3::uuid is null or seller_id = $3)
           and ($4::uuid is null or id < $4)
         order by id desc limit $5",
        book.get(),
        &filter.statuses,
        filter.seller.map(SellerId::uuid),
        filter.before.map(AdjustmentId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Adjustment::from).collect())
}

pub(super) async fn set_status(
    tx: &mut Tx,
    pending: &Adjustment,
    status: AdjustmentStatus,
    approved_by: Option<Actor>,
    now: Timestamp,
) -> Result<Adjustment, AdjustmentError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update adjustments set status = $3, approved_by = $4, sequence = sequence + 1, updated_at = $5
         where book_id = $1 and id = $2 and status = 'pending'",
        book.get(),
        pending.id.uuid(),
        status.as_str(),
        approved_by.map(|actor| actor.to_string()),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    if done.rows_affected() != 1 {
        return Err(AdjustmentError::Decided { state: pending.status.as_str() });
    }
    find(tx, pending.id).await?.ok_or(AdjustmentError::NotFound)
}

/// What somebody has adjusted alone since midnight UTC, either way; minor units. Others that ask the same wait until the
/// transaction ends, so that two at once do not both find room.
pub(super) async fn adjusted_alone(
    tx: &mut Tx,
    maker: &str,
    currency: Currency,
    now: Timestamp,
) -> Result<i64, DbError> {
    let book = tx.book_id();
    sqlx::query_scalar!(
        "select pg_advisory_xact_lock(hashtextextended(format('partita adjusted alone %s %s', $1::int, $2::text), 0))::text",
        book.get(),
        maker
    )
    .fetch_one(tx.conn())
    .await?;
    let sum = sqlx::query_scalar!(
        r#"select coalesce(sum(amount), 0)::bigint as "sum!" from adjustments
           where book_id = $1 and created_by = $2 and currency = $3 and status = 'booked' and approved_by is null
             and created_at >= date_trunc('day', $4::timestamptz, 'UTC')"#,
        book.get(),
        maker,
        currency.code(),
        now.to_sqlx() as _
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(sum)
}

/// The limits that hold, by currency.
///
/// # Errors
/// What the database says.
pub async fn list_limits(tx: &mut Tx) -> Result<Vec<Limit>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        "select distinct on (currency) currency, version, alone_up_to from adjustment_limits
         where book_id = $1 order by currency, version desc",
        book.get()
    )
    .fetch_all(tx.conn())
    .await?;
    let limit = |currency: &str, alone_up_to, version| Limit {
        currency: Currency::parse(currency).expect("written from a currency"),
        alone_up_to,
        version,
    };
    Ok(rows.into_iter().map(|row| limit(&row.currency, row.alone_up_to, row.version)).collect())
}

/// Declares a limit that two people agreed to.
///
/// # Errors
/// What the database says; two declarations at once violate `adjustment_limits_pkey`.
pub async fn insert_limit(
    tx: &mut Tx,
    amount: Money,
    made_by: &str,
    approved_by: Actor,
    now: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into adjustment_limits (book_id, currency, version, alone_up_to, created_by, approved_by, created_at)
         select $1, $2, coalesce(max(version), 0) + 1, $3::bigint, $4::text, $5::text, $6::timestamptz
         from adjustment_limits where book_id = $1 and currency = $2",
        book.get(),
        amount.currency.code(),
        amount.minor,
        made_by,
        approved_by.to_string(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
