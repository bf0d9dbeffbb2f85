//! SQL of payout_returns and payout_return_limits: what people say that banks sent back, and who may alone.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::{Currency, Money, Refusal};

use super::super::bank::SentBack;
use super::super::{Payout, PayoutError};
use super::changed_one;
use crate::actor::Actor;
use crate::limit::Limit;

pub(in crate::payouts) async fn insert_return(
    tx: &mut Tx,
    payout: &Payout,
    said: &SentBack,
    now: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into payout_returns (book_id, payout_id, code, amount, currency, made_by, approved_by, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        book.get(),
        payout.id.uuid(),
        said.code,
        payout.amount.minor,
        payout.amount.currency.code(),
        said.made_by,
        said.approved_by.map(|actor| actor.to_string()),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The bank sent it back, or did not take it.
pub(in crate::payouts) async fn set_returned(
    tx: &mut Tx,
    payout: &Payout,
    said: &SentBack,
    now: Timestamp,
) -> Result<Payout, PayoutError> {
    let book = tx.book_id();
    let refusal =
        Refusal { code: said.code.clone(), decline_code: None, message: said.reason.clone(), request_id: None };
    let done = sqlx::query!(
        "update payouts set status = 'failed', return_code = $4, failure = $5, sequence = sequence + 1, updated_at = $6
         where book_id = $1 and id = $2 and status = $3 and method = 'bank_file'",
        book.get(),
        payout.id.uuid(),
        payout.status.as_str(),
        said.code,
        serde_json::to_value(refusal).expect("refusals serialise"),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    changed_one(tx, payout.id, done.rows_affected()).await
}

/// Of how much somebody has said alone since midnight UTC that it came back; minor units. Others that ask the same wait until the
/// transaction ends, so that two at once do not both find room.
pub(in crate::payouts) async fn returned_alone(
    tx: &mut Tx,
    maker: &str,
    currency: Currency,
    now: Timestamp,
) -> Result<i64, DbError> {
    let book = tx.book_id();
    sqlx::query_scalar!(
        "select pg_advisory_xact_lock(hashtextextended(format('partita returned alone %s %s', $1::int, $2::text), 0))::text",
        book.get(),
        maker
    )
    .fetch_one(tx.conn())
    .await?;
    let sum = sqlx::query_scalar!(
        r#"select coalesce(sum(amount), 0)::bigint as "sum!" from payout_returns
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
pub async fn list_return_limits(tx: &mut Tx) -> Result<Vec<Limit>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        "select distinct on (currency) currency, version, alone_up_to from payout_return_limits
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
/// What the database says; two declarations at once violate `payout_return_limits_pkey`.
pub async fn insert_return_limit(
    tx: &mut Tx,
    amount: Money,
    made_by: &str,
    approved_by: Actor,
    now: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into payout_return_limits (book_id, currency, version, alone_up_to, created_by, approved_by, created_at)
         select $1, $2, coalesce(max(version), 0) + 1, $3::bigint, $4::text, $5::text, $6::timestamptz
         from payout_return_limits where book_id = $1 and currency = $2",
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
