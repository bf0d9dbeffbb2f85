//! SQL of what is authorised, and of what is captured of it.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::CaptureMethod;

use super::changed;
use super::shares::Columns;
use crate::id::{OperationId, PaymentId};
use crate::payments::{Payment, PaymentError, SellerShare};

pub(super) fn capture_word(method: CaptureMethod) -> &'static str {
    match method {
        CaptureMethod::Automatic => "automatic",
        CaptureMethod::Manual => "manual",
    }
}

pub(super) fn capture_method(word: &str) -> Option<CaptureMethod> {
    [CaptureMethod::Automatic, CaptureMethod::Manual].into_iter().find(|method| capture_word(*method) == word)
}

pub(in crate::payments) async fn set_authorized(
    tx: &mut Tx,
    payment: &Payment,
    provider_payment: &str,
    capture_before: Option<Timestamp>,
    now: Timestamp,
) -> Result<Payment, PaymentError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update payments set status = 'authorized', provider_payment = $4, capture_before = $5, sequence = sequence + 1,
                             updated_at = $6
         where book_id = $1 and id = $2 and status = $3",
        book.get(),
        payment.id.uuid(),
        payment.status.as_str(),
        provider_payment,
        capture_before.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    changed(tx, payment, done.rows_affected()).await
}

/// Keeps what each line is to be captured with.
pub(in crate::payments) async fn insert_capture(
    tx: &mut Tx,
    operation: OperationId,
    payment: PaymentId,
    shares: &[SellerShare],
) -> Result<(), DbError> {
    let book = tx.book_id();
    let columns = Columns::of(shares, 1);
    sqlx::query!(
        "insert into payment_captures (book_id, operation_id, payment_id, line, amount, tax_amount, commission, commission_vat)
         select $1, $2, $3, * from unnest($4::int[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])",
        book.get(),
        operation.uuid(),
        payment.uuid(),
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

/// What each line was last asked to be captured with, by a command that was not refused; nothing if nobody asked here.
pub(in crate::payments) async fn captured_shares(tx: &mut Tx, payment: PaymentId) -> Result<Vec<SellerShare>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        "select line, amount, tax_amount, commission, commission_vat from payment_captures
         where book_id = $1 and operation_id = (
             select c.operation_id from payment_captures c
             join operations o on o.book_id = c.book_id and o.id = c.operation_id and o.state <> 'failed'
             where c.book_id = $1 and c.payment_id = $2
             order by o.key desc limit 1)
         order by line",
        book.get(),
        payment.uuid()
    )
    .fetch_all(tx.conn())
    .await?;
    let share = rows.into_iter().map(|row| SellerShare {
        line: row.line,
        amount: row.amount,
        tax: row.tax_amount,
        commission: row.commission,
        vat: row.commission_vat,
    });
    Ok(share.collect())
}

/// Writes down what of each line was authorised and not captured. The table's constraints refuse more than there is.
pub(in crate::payments) async fn set_uncaptured(
    tx: &mut Tx,
    id: PaymentId,
    rests: &[SellerShare],
) -> Result<(), DbError> {
    let book = tx.book_id();
    let columns = Columns::of(rests, 1);
    sqlx::query!(
        "update payment_lines l
         set uncaptured_amount = d.amount, uncaptured_tax = d.tax, uncaptured_commission = d.commission, uncaptured_vat = d.vat
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
