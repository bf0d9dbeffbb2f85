//! SQL of what refunds and disputes take of a payment's lines.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};

use crate::id::PaymentId;
use crate::payments::{LineChange, Payment, PaymentStatus, RefundShare, SellerShare};

/// Shares of lines, as the arrays that a statement takes.
pub(super) struct Columns {
    pub(super) lines: Vec<i32>,
    pub(super) amounts: Vec<i64>,
    pub(super) taxes: Vec<i64>,
    pub(super) commissions: Vec<i64>,
    pub(super) vats: Vec<i64>,
}

impl Columns {
    /// Added, or with a `sign` of -1 taken off.
    pub(super) fn of(shares: &[SellerShare], sign: i64) -> Self {
        let column = |value: fn(&SellerShare) -> i64| shares.iter().map(|share| sign * value(share)).collect();
        Self {
            lines: shares.iter().map(|share| share.line).collect(),
            amounts: column(|share| share.amount),
            taxes: column(|share| share.tax),
            commissions: column(|share| share.commission),
            vats: column(|share| share.vat),
        }
    }
}

/// Adds what a refund gives back to a payment and its lines, or takes it off again (`sign` -1) when the refund was
/// refused. The constraints of both tables refuse more than there is.
///
/// # Errors
/// What the database says.
pub async fn record_refund(
    tx: &mut Tx,
    id: PaymentId,
    shares: &[RefundShare],
    sign: i64,
    now: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    let given: Vec<SellerShare> = shares.iter().map(|share| share.share).collect();
    let columns = Columns::of(&given, sign);
    let fees: Vec<i64> = shares.iter().map(|share| sign * share.processor_fee).collect();
    let gross: i64 = columns.amounts.iter().chain(&columns.taxes).sum();
    sqlx::query!(
        "update payment_lines l
         set refunded_amount = refunded_amount + d.amount, refunded_tax = refunded_tax + d.tax,
             returned_commission = returned_commission + d.commission, returned_vat = returned_vat + d.vat,
             passed_fee = passed_fee + d.fee
         from unnest($3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
              as d (line, amount, tax, commission, vat, fee)
         where l.book_id = $1 and l.payment_id = $2 and l.line = d.line",
        book.get(),
        id.uuid(),
        &columns.lines,
        &columns.amounts,
        &columns.taxes,
        &columns.commissions,
        &columns.vats,
        &fees
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "update payments set refunded_amount = refunded_amount + $3, updated_at = $4
         where book_id = $1 and id = $2",
        book.get(),
        id.uuid(),
        gross,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Takes a refund off a payment and its lines that did not go through. Of a payment that has failed its shares are nobody's.
///
/// # Errors
/// What the database says.
pub async fn give_up_refund(
    tx: &mut Tx,
    payment: &Payment,
    shares: &[RefundShare],
    now: Timestamp,
) -> Result<(), DbError> {
    record_refund(tx, payment.id, shares, -1, now).await?;
    if payment.status == PaymentStatus::Failed {
        let given: Vec<SellerShare> = shares.iter().map(|share| share.share).collect();
        record_failure(tx, payment.id, &given).await?;
    }
    Ok(())
}

/// Writes down what of the processor's fee each line's seller bears from the charge on: (line, minor units).
pub(in crate::payments) async fn set_passed_fees(
    tx: &mut Tx,
    id: PaymentId,
    fees: &[(i32, i64)],
) -> Result<(), DbError> {
    let book = tx.book_id();
    let (lines, amounts): (Vec<i32>, Vec<i64>) = fees.iter().copied().unzip();
    sqlx::query!(
        "update payment_lines l set passed_fee = d.amount
         from unnest($3::int[], $4::bigint[]) as d (line, amount)
         where l.book_id = $1 and l.payment_id = $2 and l.line = d.line",
        book.get(),
        id.uuid(),
        &lines,
        &amounts
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Changes what a payment's lines count of disputes. The table's constraints refuse more than there is.
///
/// # Errors
/// What the database says.
pub async fn record_dispute(tx: &mut Tx, id: PaymentId, changes: &[LineChange]) -> Result<(), DbError> {
    let book = tx.book_id();
    let column = |value: fn(&LineChange) -> i64| changes.iter().map(value).collect::<Vec<i64>>();
    let numbers: Vec<i32> = changes.iter().map(|change| change.line).collect();
    sqlx::query!(
        "update payment_lines l
         set disputed_amount = disputed_amount + d.amount, disputed_tax = disputed_tax + d.tax,
             disputed_commission = disputed_commission + d.commission, withheld_share = withheld_share + d.withheld,
             disputed_vat = disputed_vat + d.vat
         from unnest($3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
              as d (line, amount, tax, commission, withheld, vat)
         where l.book_id = $1 and l.payment_id = $2 and l.line = d.line",
        book.get(),
        id.uuid(),
        &numbers,
        &column(|change| change.amount),
        &column(|change| change.tax),
        &column(|change| change.commission),
        &column(|change| change.withheld),
        &column(|change| change.vat)
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Adds what of each line the buyer's bank took back. The table's constraints refuse more than there is.
///
/// # Errors
/// What the database says.
pub(in crate::payments) async fn record_failure(
    tx: &mut Tx,
    id: PaymentId,
    shares: &[SellerShare],
) -> Result<(), DbError> {
    let book = tx.book_id();
    let columns = Columns::of(shares, 1);
    sqlx::query!(
        "update payment_lines l
         set failed_amount = failed_amount + d.amount, failed_tax = failed_tax + d.tax,
             failed_commission = failed_commission + d.commission, failed_vat = failed_vat + d.vat
         from unnest($3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[]) as d (line, amount, tax, commission, vat)
         where l.book_id = $1 and l.payment_id = $2 and l.line = d.line",
        book.get(),
        id.uuid(),
        &columns.lines,
        &columns.amounts,
        &columns.taxes,
        &columns.commissions,
        &columns.vats
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
