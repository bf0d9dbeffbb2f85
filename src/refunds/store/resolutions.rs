//! SQL of refund_resolutions and refund_resolution_limits: what people decide about refunds that came back, and who may alone.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::{Currency, Money};

use super::changed;
use crate::actor::Actor;
use crate::limit::Limit;
use crate::refunds::{Decided, Refund, RefundError, RefundStatus};

pub(in crate::refunds) async fn insert_resolution(
    tx: &mut Tx,
    refund: &Refund,
    decided: &Decided,
    now: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into refund_resolutions (book_id, refund_id, outcome, amount, currency, made_by, approved_by, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        book.get(),
        refund.id.uuid(),
        decided.outcome.as_str(),
        refund.amount.minor,
        refund.amount.currency.code(),
        decided.made_by,
        decided.approved_by.map(|actor| actor.to_string()),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(in crate::refunds) async fn set_resolved(
    tx: &mut Tx,
    refund: &Refund,
    status: RefundStatus,
    decided: &Decided,
    now: Timestamp,
) -> Result<Refund, RefundError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update refunds set status = $3, resolution = $4, resolved_by = $5, resolved_at = $6, sequence = sequence + 1,
                            updated_at = $6
         where book_id = $1 and id = $2 and status = 'returned'",
        book.get(),
        refund.id.uuid(),
        status.as_str(),
        decided.reason,
        decided.made_by,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    changed(tx, refund.id, done.rows_affected()).await
}

/// Of how much somebody has decided alone since midnight UTC; minor units. Others that ask the same wait until the transaction
/// ends, so that two at once do not both find room.
pub(in crate::refunds) async fn decided_alone(
    tx: &mut Tx,
    maker: &str,
    currency: Currency,
    now: Timestamp,
) -> Result<i64, DbError> {
    let book = tx.book_id();
    sqlx::query_scalar!(
        "select pg_advisory_xact_lock(hashtextextended(format('partita decided alone %s %s', $1::int, $2::text), 0))::text",
        book.get(),
        maker
    )
    .fetch_one(tx.conn())
    .await?;
    let sum = sqlx::query_scalar!(
        r#"select coalesce(sum(amount), 0)::bigint as "sum!" from refund_resolutions
           where book_id = $1 and made_by = $2 and currency = $3 and approved_by is null
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
        "select distinct on (currency) currency, version, alone_up_to from refund_resolution_limits
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
/// What the database says; two declarations at once violate `refund_resolution_limits_pkey`.
pub async fn insert_limit(
    tx: &mut Tx,
    amount: Money,
    made_by: &str,
    approved_by: Actor,
    now: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into refund_resolution_limits (book_id, currency, version, alone_up_to, created_by, approved_by, created_at)
         select $1, $2, coalesce(max(version), 0) + 1, $3::bigint, $4::text, $5::text, $6::timestamptz
         from refund_resolution_limits where book_id = $1 and currency = $2",
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
