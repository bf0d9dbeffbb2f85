//! SQL of direct_charges and application_fee_refunds.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::ApplicationFeeRefund;

use crate::chart::SellerNumber;
use crate::id::PaymentId;
use crate::payments::direct::{Direct, DirectCharge};
use crate::payments::{Payment, PaymentError};

pub(in crate::payments) async fn insert_direct(tx: &mut Tx, id: PaymentId, direct: &Direct) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into direct_charges (book_id, payment_id, seller_id, account, application_fee, application_fee_vat)
         values ($1, $2, $3, $4, $5, $6)",
        book.get(),
        id.uuid(),
        direct.seller.uuid(),
        direct.account,
        direct.application_fee,
        direct.vat
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The direct charge of a payment.
///
/// # Errors
/// What the database says.
pub async fn find_direct(tx: &mut Tx, id: PaymentId) -> Result<Option<DirectCharge>, DbError> {
    let book = tx.book_id();
    let row = sqlx::query!(
        "select d.seller_id, s.number, d.account, d.application_fee, d.application_fee_vat, d.provider_fee, d.fee_received,
                d.returned_fee, d.returned_vat
         from direct_charges d join sellers s on s.book_id = d.book_id and s.id = d.seller_id
         where d.book_id = $1 and d.payment_id = $2",
        book.get(),
        id.uuid()
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| DirectCharge {
        payment: id,
        seller: row.seller_id.into(),
        number: SellerNumber(row.number),
        account: row.account,
        application_fee: row.application_fee,
        vat: row.application_fee_vat,
        provider_fee: row.provider_fee,
        fee_received: row.fee_received,
        returned_fee: row.returned_fee,
        returned_vat: row.returned_vat,
    }))
}

/// The payment of an application fee, by the fee's id at the provider.
pub(in crate::payments) async fn find_payment_of_fee(tx: &mut Tx, fee: &str) -> Result<Option<PaymentId>, DbError> {
    let book = tx.book_id();
    let id = sqlx::query_scalar!(
        "select payment_id from direct_charges where book_id = $1 and provider_fee = $2",
        book.get(),
        fee
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(id.map(Into::into))
}

/// Of some accounts at the provider, those on which direct charges are made.
///
/// # Errors
/// What the database says.
pub async fn accounts_with_direct_charges(tx: &mut Tx, accounts: &[String]) -> Result<Vec<String>, DbError> {
    let book = tx.book_id();
    let found = sqlx::query_scalar!(
        r#"select named.account as "account!" from unnest($2::text[]) as named (account)
           where exists (select from direct_charges d where d.book_id = $1 and d.account = named.account)"#,
        book.get(),
        accounts
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(found)
}

/// Application fees, by their ids at the provider, of payments that were refunded and may give more of theirs back; the newest
/// payments first.
///
/// # Errors
/// What the database says.
pub async fn fees_going_back(tx: &mut Tx, limit: i64) -> Result<Vec<String>, DbError> {
    let book = tx.book_id();
    let found = sqlx::query_scalar!(
        r#"select d.provider_fee as "fee!" from direct_charges d
           join payments p on p.book_id = d.book_id and p.id = d.payment_id
           where d.book_id = $1 and d.provider_fee is not null and p.refunded_amount > 0 and d.returned_fee < d.application_fee
           order by d.payment_id desc limit $2"#,
        book.get(),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(found)
}

/// The tax in each part of an application fee that went back, by the number of its movement; minor units.
///
/// # Errors
/// What the database says.
pub async fn returned_vats(tx: &mut Tx, id: PaymentId) -> Result<Vec<(i64, i64)>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        "select key, vat from application_fee_refunds where book_id = $1 and payment_id = $2",
        book.get(),
        id.uuid()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.key, row.vat)).collect())
}

pub(in crate::payments) async fn set_provider_fee(tx: &mut Tx, id: PaymentId, fee: &str) -> Result<(), PaymentError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update direct_charges set provider_fee = $3 where book_id = $1 and payment_id = $2 and provider_fee is null",
        book.get(),
        id.uuid(),
        fee
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    one(done.rows_affected(), "it has another application fee")
}

pub(in crate::payments) async fn set_fee_received(tx: &mut Tx, id: PaymentId) -> Result<(), PaymentError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update direct_charges set fee_received = true where book_id = $1 and payment_id = $2 and not fee_received",
        book.get(),
        id.uuid()
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    one(done.rows_affected(), "its application fee came before")
}

pub(in crate::payments) async fn add_returned_fee(
    tx: &mut Tx,
    id: PaymentId,
    amount: i64,
    vat: i64,
) -> Result<(), PaymentError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update direct_charges set returned_fee = returned_fee + $3, returned_vat = returned_vat + $4
         where book_id = $1 and payment_id = $2 and fee_received",
        book.get(),
        id.uuid(),
        amount,
        vat
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    one(done.rows_affected(), "its application fee did not come")
}

pub(in crate::payments) async fn is_fee_refund_known(tx: &mut Tx, refund: &str) -> Result<bool, DbError> {
    let book = tx.book_id();
    let known = sqlx::query_scalar!(
        r#"select exists (select from application_fee_refunds where book_id = $1 and provider_refund = $2) as "known!""#,
        book.get(),
        refund
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(known)
}

pub(in crate::payments) async fn insert_fee_refund(
    tx: &mut Tx,
    key: i64,
    id: PaymentId,
    refund: &ApplicationFeeRefund,
    vat: i64,
    now: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into application_fee_refunds (book_id, key, payment_id, provider_refund, amount, vat, created_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        book.get(),
        key,
        id.uuid(),
        refund.id,
        refund.amount,
        vat,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Counts a change of a payment that leaves it in its state. Who calls has it locked.
pub(in crate::payments) async fn count_change(
    tx: &mut Tx,
    id: PaymentId,
    now: Timestamp,
) -> Result<Payment, PaymentError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update payments set sequence = sequence + 1, updated_at = $3 where book_id = $1 and id = $2",
        book.get(),
        id.uuid(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    one(done.rows_affected(), "it is gone")?;
    super::find(tx, id).await?.ok_or(PaymentError::NotFound)
}

fn one(rows: u64, otherwise: &str) -> Result<(), PaymentError> {
    if rows == 1 { Ok(()) } else { Err(PaymentError::Contradiction(otherwise.to_owned())) }
}
