//! SQL of refunds and refund_lines.

mod policies;
mod resolutions;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::{Currency, Money, Refusal};
use uuid::Uuid;

use super::{Commission, NewRefund, Policy, ProcessorFee, Refund, RefundError, RefundStatus, Shares, Tax};
use crate::actor::Actor;
use crate::id::{PaymentId, RefundId};
use crate::payments::{Payment, RefundShare, SellerShare};

pub use policies::find_policy;
pub(super) use policies::insert_policy;
pub(super) use resolutions::{decided_alone, insert_resolution, set_resolved};
pub use resolutions::{insert_limit, list_limits};

/// Which refunds to list.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Any of these; all when empty.
    pub statuses: Vec<String>,
    /// Of this payment.
    pub payment: Option<PaymentId>,
    /// Older than this refund.
    pub before: Option<RefundId>,
}

struct Row {
    id: Uuid,
    key: i64,
    reference: Option<String>,
    payment_id: Uuid,
    amount: i64,
    currency: String,
    status: String,
    policy_version: i32,
    fee: String,
    processor_fee: String,
    tax: String,
    reason: Option<String>,
    provider: String,
    provider_refund: Option<String>,
    failure: Option<serde_json::Value>,
    resolution: Option<String>,
    resolved_by: Option<String>,
    resolution_approved_by: Option<String>,
    resolved_at: Option<jiff_sqlx::Timestamp>,
    metadata: serde_json::Value,
    sequence: i32,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

impl From<Row> for Refund {
    fn from(row: Row) -> Self {
        let currency = Currency::parse(&row.currency).expect("written from a currency");
        Self {
            id: row.id.into(),
            key: row.key,
            reference: row.reference,
            payment: row.payment_id.into(),
            amount: Money::new(row.amount, currency),
            status: RefundStatus::parse(&row.status).expect("refunds_status_known allows no other word"),
            policy: Policy {
                version: row.policy_version,
                commission: Commission::parse(&row.fee).expect("refunds_fee_known allows no other word"),
                processor_fee: ProcessorFee::parse(&row.processor_fee)
                    .expect("refunds_processor_fee_known allows no other word"),
                tax: Tax::parse(&row.tax).expect("refunds_tax_known allows no other word"),
            },
            reason: row.reason,
            provider: row.provider,
            provider_refund: row.provider_refund,
            failure: row.failure.map(|value| serde_json::from_value(value).expect("written from a refusal")),
            resolution: row.resolution,
            resolved_by: row.resolved_by,
            resolution_approved_by: row.resolution_approved_by,
            resolved_at: row.resolved_at.map(jiff_sqlx::Timestamp::to_jiff),
            metadata: row.metadata,
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
            r#"select id, key, reference, payment_id, amount, currency, status, policy_version, fee, processor_fee, tax, reason,
                      provider, provider_refund, failure,
                      resolution, resolved_by, resolved_at as "resolved_at: _",
                      (select approved_by from refund_resolutions d where d.book_id = refunds.book_id and d.refund_id = refunds.id)
                          as resolution_approved_by,
                      metadata, sequence, created_at as "created_at: _", updated_at as "updated_at: _"
               from refunds "# + $tail
            $(, $argument)*
        )
    };
}

#[expect(clippy::too_many_arguments, reason = "one row's worth of facts, each of another type")]
pub(super) async fn insert(
    tx: &mut Tx,
    id: RefundId,
    key: i64,
    input: &NewRefund,
    policy: Policy,
    payment: &Payment,
    amount: Money,
    actor: Actor,
    now: Timestamp,
) -> Result<Refund, RefundError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into refunds (book_id, id, key, reference, payment_id, amount, currency, status, fee, reason, provider,
                              metadata, created_by, sequence, created_at, updated_at, policy_version, processor_fee, tax)
         values ($1, $2, $3, $4, $5, $6, $7, 'processing', $8, $9, $10, $11, $12, 1, $13, $13, $14, $15, $16)",
        book.get(),
        id.uuid(),
        key,
        input.reference,
        payment.id.uuid(),
        amount.minor,
        amount.currency.code(),
        policy.commission.as_str(),
        input.reason,
        payment.provider,
        input.metadata,
        actor.to_string(),
        now.to_sqlx() as _,
        policy.version,
        policy.processor_fee.as_str(),
        policy.tax.as_str()
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)
    .map_err(|error| match error.constraint() {
        Some("refunds_reference_unique") => RefundError::ReferenceTaken,
        _ => error.into(),
    })?;
    find(tx, id).await?.ok_or(RefundError::NotFound)
}

pub(super) async fn insert_lines(tx: &mut Tx, id: RefundId, shares: &[RefundShare]) -> Result<(), DbError> {
    let book = tx.book_id();
    let column = |value: fn(&RefundShare) -> i64| shares.iter().map(value).collect::<Vec<i64>>();
    let numbers: Vec<i32> = shares.iter().map(|given| given.share.line).collect();
    sqlx::query!(
        "insert into refund_lines (book_id, refund_id, line, amount, tax_amount, commission, commission_vat, processor_fee)
         select $1, $2, * from unnest($3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])",
        book.get(),
        id.uuid(),
        &numbers,
        &column(|given| given.share.amount),
        &column(|given| given.share.tax),
        &column(|given| given.share.commission),
        &column(|given| given.share.vat),
        &column(|given| given.processor_fee)
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What each line of the payment gives back in a refund, in their order.
///
/// # Errors
/// What the database says.
pub async fn find_lines(tx: &mut Tx, id: RefundId) -> Result<Shares, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        "select line, amount, tax_amount, commission, commission_vat, processor_fee from refund_lines
         where book_id = $1 and refund_id = $2 order by line",
        book.get(),
        id.uuid()
    )
    .fetch_all(tx.conn())
    .await?;
    let given = rows.into_iter().map(|row| RefundShare {
        share: SellerShare {
            line: row.line,
            amount: row.amount,
            tax: row.tax_amount,
            commission: row.commission,
            vat: row.commission_vat,
        },
        processor_fee: row.processor_fee,
    });
    Ok(given.collect())
}

/// A refund by its id.
///
/// # Errors
/// What the database says.
pub async fn find(tx: &mut Tx, id: RefundId) -> Result<Option<Refund>, DbError> {
    find_by(tx, Some(id), "").await
}

pub(super) async fn find_by(
    tx: &mut Tx,
    named: Option<RefundId>,
    provider_refund: &str,
) -> Result<Option<Refund>, DbError> {
    let book = tx.book_id();
    let row = match named {
        Some(id) => select!("where book_id = $1 and id = $2", book.get(), id.uuid()).fetch_optional(tx.conn()).await?,
        None => {
            select!("where book_id = $1 and provider_refund = $2", book.get(), provider_refund)
                .fetch_optional(tx.conn())
                .await?
        }
    };
    Ok(row.map(Refund::from))
}

pub(super) async fn find_for_update(tx: &mut Tx, id: RefundId) -> Result<Option<Refund>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2 for no key update", book.get(), id.uuid())
        .fetch_optional(tx.conn())
        .await?;
    Ok(row.map(Refund::from))
}

/// The refunds of a payment, oldest first.
///
/// # Errors
/// What the database says.
pub async fn list_by_payment(tx: &mut Tx, payment: PaymentId) -> Result<Vec<Refund>, DbError> {
    let book = tx.book_id();
    let rows = select!("where book_id = $1 and payment_id = $2 order by id", book.get(), payment.uuid())
        .fetch_all(tx.conn())
        .await?;
    Ok(rows.into_iter().map(Refund::from).collect())
}

/// Refunds, newest first.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx, filter: &ListFilter, limit: i64) -> Result<Vec<Refund>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where book_id = $1 and (cardinality($2::text[]) = 0 or status = any($2)) and ($3::uuid is null or payment_id = $3)
           and ($4::uuid is null or id < $4)
         order by id desc limit $5",
        book.get(),
        &filter.statuses,
        filter.payment.map(PaymentId::uuid),
        filter.before.map(RefundId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Refund::from).collect())
}

async fn changed(tx: &mut Tx, id: RefundId, rows: u64) -> Result<Refund, RefundError> {
    if rows != 1 {
        return Err(RefundError::Contradiction("it changed meanwhile".to_owned()));
    }
    find(tx, id).await?.ok_or(RefundError::NotFound)
}

pub(super) async fn set_status(
    tx: &mut Tx,
    refund: &Refund,
    status: RefundStatus,
    provider_refund: &str,
    now: Timestamp,
) -> Result<Refund, RefundError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update refunds set status = $4, provider_refund = $5, sequence = sequence + 1, updated_at = $6
         where book_id = $1 and id = $2 and status = $3",
        book.get(),
        refund.id.uuid(),
        refund.status.as_str(),
        status.as_str(),
        provider_refund,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    changed(tx, refund.id, done.rows_affected()).await
}

pub(super) async fn set_failed(
    tx: &mut Tx,
    refund: &Refund,
    refusal: &Refusal,
    now: Timestamp,
) -> Result<Refund, RefundError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update refunds set status = 'failed', failure = $4, sequence = sequence + 1, updated_at = $5
         where book_id = $1 and id = $2 and status = $3",
        book.get(),
        refund.id.uuid(),
        refund.status.as_str(),
        serde_json::to_value(refusal).expect("refusals serialise"),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    changed(tx, refund.id, done.rows_affected()).await
}

pub(super) async fn set_returned(
    tx: &mut Tx,
    refund: &Refund,
    provider_refund: &str,
    refusal: &Refusal,
    now: Timestamp,
) -> Result<Refund, RefundError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update refunds set status = 'returned', provider_refund = $4, failure = $5, sequence = sequence + 1, updated_at = $6
         where book_id = $1 and id = $2 and status = $3",
        book.get(),
        refund.id.uuid(),
        refund.status.as_str(),
        provider_refund,
        serde_json::to_value(refusal).expect("refusals serialise"),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    changed(tx, refund.id, done.rows_affected()).await
}
