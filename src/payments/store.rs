//! SQL of payments and payment_lines.

mod capture;
mod charge_policy;
mod direct;
mod discounts;
mod sales;
mod shares;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::{BalanceTransaction, Currency, Money, Refusal};
use uuid::Uuid;

use super::charging::Charging;
use super::payer::Payer;
use super::{
    ChargeType, Funds, Line, LineFee, LineKind, NewPayment, Payment, PaymentError, PaymentStatus, Remaining, Standing,
    TaxLiability,
};
use crate::actor::Actor;
use crate::chart::SellerNumber;
use crate::clock;
use crate::id::PaymentId;

use capture::{capture_method, capture_word};
pub(super) use capture::{captured_shares, insert_capture, set_authorized, set_uncaptured};
pub use charge_policy::find_charge_policy;
pub(super) use charge_policy::insert_charge_policy;
pub use direct::{accounts_with_direct_charges, fees_going_back, find_direct, returned_vats};
pub(super) use direct::{
    add_returned_fee, count_change, find_payment_of_fee, insert_direct, insert_fee_refund, is_fee_refund_known,
    set_fee_received, set_provider_fee,
};
pub use discounts::find_discounts;
pub(super) use discounts::insert_discounts;
pub(super) use sales::{PastLine, PastPayment, monthly_volumes, past_payments};
pub use shares::{give_up_refund, record_dispute, record_refund};
pub(super) use shares::{record_failure, set_passed_fees};

struct Row {
    id: Uuid,
    key: i64,
    reference: String,
    status: String,
    amount: i64,
    currency: String,
    payment_method: String,
    customer_id: Option<Uuid>,
    payment_method_id: Option<Uuid>,
    off_session: bool,
    description: Option<String>,
    funds: String,
    processor_fee: Option<i64>,
    refunded_amount: i64,
    available_on: Option<jiff_sqlx::Timestamp>,
    provider: String,
    provider_payment: Option<String>,
    provider_charge: Option<String>,
    capture_method: String,
    capture_before: Option<jiff_sqlx::Timestamp>,
    uncaptured_amount: i64,
    charge_type: String,
    on_behalf_of: Option<Uuid>,
    sent_with_charge: i64,
    failure: Option<serde_json::Value>,
    metadata: serde_json::Value,
    sequence: i32,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

impl From<Row> for Payment {
    fn from(row: Row) -> Self {
        let currency = Currency::parse(&row.currency).expect("written from a currency");
        Self {
            id: row.id.into(),
            key: row.key,
            reference: row.reference,
            status: PaymentStatus::parse(&row.status).expect("payments_status_known allows no other word"),
            amount: Money::new(row.amount, currency),
            payment_method: row.payment_method,
            payer: Payer {
                customer: row.customer_id.map(Into::into),
                method: row.payment_method_id.map(Into::into),
                off_session: row.off_session,
            },
            description: row.description,
            funds: Funds::parse(&row.funds).expect("payments_funds_known allows no other word"),
            processor_fee: row.processor_fee,
            refunded_amount: row.refunded_amount,
            available_on: row.available_on.map(jiff_sqlx::Timestamp::to_jiff),
            provider: row.provider,
            provider_payment: row.provider_payment,
            provider_charge: row.provider_charge,
            capture: capture_method(&row.capture_method).expect("payments_capture_method_known allows no other word"),
            capture_before: row.capture_before.map(jiff_sqlx::Timestamp::to_jiff),
            uncaptured_amount: row.uncaptured_amount,
            charge_type: ChargeType::parse(&row.charge_type).expect("payments_charge_type_known allows no other word"),
            on_behalf_of: row.on_behalf_of.map(Into::into),
            sent_with_charge: row.sent_with_charge,
            failure: row.failure.map(|value| serde_json::from_value(value).expect("written from a refusal")),
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
            r#"select id, key, reference, status, amount, currency, payment_method, customer_id,
                      payment_method_id, off_session, description, funds, processor_fee, refunded_amount, available_on as "available_on: _", provider, provider_payment, provider_charge,
                      capture_method, capture_before as "capture_before: _", uncaptured_amount, charge_type, on_behalf_of,
                      sent_with_charge, failure, metadata, sequence,
                      created_at as "created_at: _", updated_at as "updated_at: _"
               from payments "# + $tail
            $(, $argument)*
        )
    };
}

#[expect(clippy::too_many_arguments, reason = "one row's worth of facts, each of another type")]
pub(super) async fn insert(
    tx: &mut Tx,
    id: PaymentId,
    key: i64,
    input: &NewPayment,
    charging: &Charging,
    lines: &[Line],
    provider: &str,
    actor: Actor,
    now: Timestamp,
) -> Result<Payment, PaymentError> {
    let book = tx.book_id();
    let Charging { route, payer, .. } = charging;
    sqlx::query!(
        "insert into payments (book_id, id, key, reference, status, amount, currency, payment_method, description, provider,
                               metadata, created_by, sequence, created_at, updated_at, capture_method, charge_type, on_behalf_of,
                               customer_id, payment_method_id, off_session)
         values ($1, $2, $3, $4, 'processing', $5, $6, $7, $8, $9, $10, $11, 1, $12, $12, $13, $14, $15, $16, $17, $18)",
        book.get(),
        id.uuid(),
        key,
        input.reference,
        input.amount.minor,
        input.amount.currency.code(),
        payer.token,
        input.description,
        provider,
        input.metadata,
        actor.to_string(),
        now.to_sqlx() as _,
        capture_word(input.capture),
        route.charge_type.as_str(),
        route.on_behalf_of.map(crate::id::SellerId::uuid),
        payer.payer.customer.map(crate::id::CustomerId::uuid),
        payer.payer.method.map(crate::id::PaymentMethodId::uuid),
        payer.payer.off_session
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)
    .map_err(|error| match error.constraint() {
        Some("payments_reference_unique") => PaymentError::ReferenceTaken,
        _ => error.into(),
    })?;
    insert_lines(tx, id, lines, now).await?;
    find(tx, id).await?.ok_or(PaymentError::NotFound)
}

async fn insert_lines(tx: &mut Tx, id: PaymentId, lines: &[Line], now: Timestamp) -> Result<(), DbError> {
    let book = tx.book_id();
    let column = |value: fn(&Line) -> i64| lines.iter().map(value).collect::<Vec<i64>>();
    let numbers: Vec<i32> = lines.iter().map(|line| line.number).collect();
    let kinds: Vec<String> = lines.iter().map(|line| line.kind.as_str().to_owned()).collect();
    let sellers: Vec<Option<Uuid>> = lines.iter().map(|line| line.seller.map(|(id, _)| id.uuid())).collect();
    let liabilities: Vec<String> = lines.iter().map(|line| line.tax_liability.as_str().to_owned()).collect();
    let jurisdictions: Vec<Option<String>> = lines.iter().map(|line| line.tax_jurisdiction.clone()).collect();
    let categories: Vec<Option<String>> = lines.iter().map(|line| line.category.clone()).collect();
    let fees: Vec<Option<&LineFee>> = lines.iter().map(|line| line.fee_policy.as_ref()).collect();
    let policies: Vec<Option<Uuid>> = fees.iter().map(|fee| fee.map(|fee| fee.policy.uuid())).collect();
    let versions: Vec<Option<i32>> = fees.iter().map(|fee| fee.map(|fee| fee.version)).collect();
    let rules: Vec<Option<i32>> = fees.iter().map(|fee| fee.and_then(|fee| fee.rule)).collect();
    let volumes: Vec<Option<i64>> = fees.iter().map(|fee| fee.and_then(|fee| fee.volume)).collect();
    let sentences: Vec<Option<String>> = fees.iter().map(|fee| fee.and_then(|fee| fee.sentence.clone())).collect();
    let bearing: Vec<bool> = fees.iter().map(|fee| fee.is_some_and(|fee| fee.passes_processor_fee)).collect();
    sqlx::query!(
        "insert into payment_lines (book_id, payment_id, line, type, seller_id, amount, tax_amount, tax_liability,
                                    tax_jurisdiction, category, commission, commission_vat, fee_policy_id, fee_policy_version, fee_rule,
                                    fee_volume, fee_explanation, bears_processor_fee, priced_at)
         select $1, $2, *, $19::timestamptz
         from unnest($3::int[], $4::text[], $5::uuid[], $6::bigint[], $7::bigint[], $8::text[], $9::text[], $10::text[],
                     $11::bigint[], $12::bigint[], $13::uuid[], $14::int[], $15::int[], $16::bigint[], $17::text[], $18::bool[])",
        book.get(),
        id.uuid(),
        &numbers,
        &kinds,
        &sellers as &[Option<Uuid>],
        &column(|line| line.amount),
        &column(|line| line.tax_amount),
        &liabilities,
        &jurisdictions as &[Option<String>],
        &categories as &[Option<String>],
        &column(|line| line.commission),
        &column(|line| line.commission_vat),
        &policies as &[Option<Uuid>],
        &versions as &[Option<i32>],
        &rules as &[Option<i32>],
        &volumes as &[Option<i64>],
        &sentences as &[Option<String>],
        &bearing,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A payment by its id.
///
/// # Errors
/// What the database says.
pub async fn find(tx: &mut Tx, id: PaymentId) -> Result<Option<Payment>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2", book.get(), id.uuid()).fetch_optional(tx.conn()).await?;
    Ok(row.map(Payment::from))
}

/// A payment by its ledger subject.
///
/// # Errors
/// What the database says.
pub async fn find_by_key(tx: &mut Tx, key: i64) -> Result<Option<Payment>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and key = $2", book.get(), key).fetch_optional(tx.conn()).await?;
    Ok(row.map(Payment::from))
}

/// A payment by its id, locked: whatever is planned on it is checked under this lock.
///
/// # Errors
/// What the database says.
pub async fn find_for_update(tx: &mut Tx, id: PaymentId) -> Result<Option<Payment>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2 for no key update", book.get(), id.uuid())
        .fetch_optional(tx.conn())
        .await?;
    Ok(row.map(Payment::from))
}

pub(super) async fn find_for_update_by(
    tx: &mut Tx,
    named: Option<PaymentId>,
    provider_payment: &str,
) -> Result<Option<Payment>, DbError> {
    let book = tx.book_id();
    let row = match named {
        Some(id) => return find_for_update(tx, id).await,
        None => {
            select!("where book_id = $1 and provider_payment = $2 for no key update", book.get(), provider_payment)
                .fetch_optional(tx.conn())
                .await?
        }
    };
    Ok(row.map(Payment::from))
}

/// A payment by its id at the provider, locked.
///
/// # Errors
/// What the database says.
pub async fn find_by_provider_for_update(tx: &mut Tx, provider_payment: &str) -> Result<Option<Payment>, DbError> {
    find_for_update_by(tx, None, provider_payment).await
}

/// Payments, newest first, older than `before`.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx, filter: &super::ListFilter, limit: i64) -> Result<Vec<Payment>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where book_id = $1 and (cardinality($2::text[]) = 0 or status = any($2)) and ($3::text is null or reference = $3)
           and ($4::uuid is null or id < $4)
           and ($5::uuid is null or exists (
                select from payment_lines l where l.book_id = $1 and l.payment_id = payments.id and l.seller_id = $5))
           and ($6::timestamptz is null or created_at >= $6) and ($7::timestamptz is null or created_at < $7)
         order by id desc limit $8",
        book.get(),
        &filter.statuses,
        filter.reference,
        filter.before.map(PaymentId::uuid),
        filter.seller.map(crate::id::SellerId::uuid),
        filter.created_from.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        filter.created_before.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Payment::from).collect())
}

/// A payment's lines, in their order.
///
/// # Errors
/// What the database says.
pub async fn find_lines(tx: &mut Tx, id: PaymentId) -> Result<Vec<Line>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select l.line, l.type, l.seller_id, s.number as "number?", l.amount - l.uncaptured_amount as "amount!",
                  l.tax_amount - l.uncaptured_tax as "tax_amount!", l.tax_liability, l.tax_jurisdiction, l.category,
                  l.commission - l.uncaptured_commission as "commission!",
                  l.commission_vat - l.uncaptured_vat as "commission_vat!", l.uncaptured_vat, l.failed_vat, l.returned_vat,
                  l.disputed_vat, l.uncaptured_amount, l.uncaptured_tax,
                  l.uncaptured_commission, l.failed_amount, l.failed_tax, l.failed_commission, l.fee_policy_id, l.fee_policy_version, l.fee_rule, l.fee_volume, l.fee_explanation,
                  l.refunded_amount, l.refunded_tax, l.returned_commission,
                  l.disputed_amount, l.disputed_tax, l.disputed_commission, l.withheld_share, l.passed_fee,
                  l.bears_processor_fee, w.status as "release_status?"
           from payment_lines l left join sellers s on s.book_id = l.book_id and s.id = l.seller_id
           left join line_releases w on w.book_id = l.book_id and w.payment_id = l.payment_id and w.line = l.line
           where l.book_id = $1 and l.payment_id = $2 order by l.line"#,
        book.get(),
        id.uuid()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Line {
            number: row.line,
            kind: LineKind::parse(&row.r#type).expect("payment_lines_type_known allows no other word"),
            seller: row.seller_id.zip(row.number).map(|(id, number)| (id.into(), SellerNumber(number))),
            amount: row.amount,
            tax_amount: row.tax_amount,
            tax_liability: TaxLiability::parse(&row.tax_liability)
                .expect("payment_lines_liability_known allows no other word"),
            tax_jurisdiction: row.tax_jurisdiction,
            category: row.category,
            commission: row.commission,
            commission_vat: row.commission_vat,
            fee_policy: row.fee_policy_id.zip(row.fee_policy_version).map(|(id, version)| LineFee {
                policy: id.into(),
                version,
                rule: row.fee_rule,
                volume: row.fee_volume,
                sentence: row.fee_explanation,
                passes_processor_fee: row.bears_processor_fee,
            }),
            refunded_amount: row.refunded_amount,
            refunded_tax: row.refunded_tax,
            returned_commission: row.returned_commission,
            returned_vat: row.returned_vat,
            disputed_amount: row.disputed_amount,
            disputed_tax: row.disputed_tax,
            disputed_commission: row.disputed_commission,
            disputed_vat: row.disputed_vat,
            withheld_share: row.withheld_share,
            passed_fee: row.passed_fee,
            failed: Remaining {
                amount: row.failed_amount,
                tax: row.failed_tax,
                commission: row.failed_commission,
                vat: row.failed_vat,
            },
            uncaptured: Remaining {
                amount: row.uncaptured_amount,
                tax: row.uncaptured_tax,
                commission: row.uncaptured_commission,
                vat: row.uncaptured_vat,
            },
            standing: match row.release_status.as_deref() {
                None => Standing::WithPayment,
                Some("released") => Standing::Released,
                Some(_) => Standing::Waiting,
            },
        })
        .collect())
}

async fn changed(tx: &mut Tx, payment: &Payment, rows: u64) -> Result<Payment, PaymentError> {
    if rows != 1 {
        return Err(PaymentError::Contradiction(format!("it is not {} any more", payment.status.as_str())));
    }
    find(tx, payment.id).await?.ok_or(PaymentError::NotFound)
}

pub(super) async fn set_status(
    tx: &mut Tx,
    payment: &Payment,
    status: PaymentStatus,
    provider_payment: &str,
    now: Timestamp,
) -> Result<Payment, PaymentError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update payments set status = $4, provider_payment = $5, sequence = sequence + 1, updated_at = $6
         where book_id = $1 and id = $2 and status = $3",
        book.get(),
        payment.id.uuid(),
        payment.status.as_str(),
        status.as_str(),
        provider_payment,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    changed(tx, payment, done.rows_affected()).await
}

pub(super) async fn set_failed(
    tx: &mut Tx,
    payment: &Payment,
    provider_payment: Option<&str>,
    refusal: &Refusal,
    now: Timestamp,
) -> Result<Payment, PaymentError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update payments set status = 'failed', provider_payment = coalesce($4, provider_payment), failure = $5,
                             sequence = sequence + 1, updated_at = $6
         where book_id = $1 and id = $2 and status = $3",
        book.get(),
        payment.id.uuid(),
        payment.status.as_str(),
        provider_payment,
        serde_json::to_value(refusal).expect("refusals serialise"),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    changed(tx, payment, done.rows_affected()).await
}

/// What a charge took from the buyer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken<'a> {
    /// The movement of the charge.
    pub(super) movement: &'a BalanceTransaction,
    /// What the processor kept in all; minor units.
    pub(super) fee: i64,
    /// What was authorised and not captured; minor units.
    pub(super) uncaptured: i64,
    /// What was sent to the destination; minor units.
    pub(super) sent: i64,
}

pub(super) async fn set_succeeded(
    tx: &mut Tx,
    payment: &Payment,
    provider_payment: &str,
    charge: &str,
    taken: Taken<'_>,
    now: Timestamp,
) -> Result<Payment, PaymentError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update payments set status = 'succeeded', funds = $4, provider_payment = $5, provider_charge = $6,
                             processor_fee = $7, available_on = $8, uncaptured_amount = $10, sent_with_charge = $11, failure = null,
                             sequence = sequence + 1, updated_at = $9
         where book_id = $1 and id = $2 and status = $3",
        book.get(),
        payment.id.uuid(),
        payment.status.as_str(),
        Funds::from(taken.movement.state).as_str(),
        provider_payment,
        charge,
        taken.fee,
        clock::from_seconds(taken.movement.available_on).map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        now.to_sqlx() as _,
        taken.uncaptured,
        taken.sent
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    changed(tx, payment, done.rows_affected()).await
}

pub(super) async fn set_available(tx: &mut Tx, payment: &Payment, now: Timestamp) -> Result<Payment, PaymentError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update payments set funds = 'available', sequence = sequence + 1, updated_at = $3
         where book_id = $1 and id = $2 and funds = 'pending'",
        book.get(),
        payment.id.uuid(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    changed(tx, payment, done.rows_affected()).await
}
