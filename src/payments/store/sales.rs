//! SQL that reads what was sold: sellers' volumes, and past sales page by page.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::Currency;
use uuid::Uuid;

use crate::fees::SaleKind;
use crate::id::{FeePolicyId, PaymentId, SellerId};
use crate::payments::LineKind;

/// What sellers have sold since `from`, minor units; see `volume.rs`.
///
/// # Errors
/// What the database says.
pub(in crate::payments) async fn monthly_volumes(
    tx: &mut Tx,
    sellers: &[SellerId],
    currency: Currency,
    from: Timestamp,
) -> Result<HashMap<SellerId, i64>, DbError> {
    let book = tx.book_id();
    let sellers: Vec<Uuid> = sellers.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"select l.seller_id as "seller_id!", least(sum(l.amount - l.uncaptured_amount), 9223372036854775807)::bigint as "volume!"
           from payment_lines l join payments p on p.book_id = l.book_id and p.id = l.payment_id
           where l.book_id = $1 and l.seller_id = any($2) and l.priced_at >= $3 and p.created_at >= $3
             and p.status = 'succeeded' and p.currency = $4
           group by l.seller_id"#,
        book.get(),
        &sellers,
        from.to_sqlx() as _,
        currency.code()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.seller_id.into(), row.volume)).collect())
}

/// A payment of the past, with its sellers' lines.
#[derive(Debug, Clone)]
pub(in crate::payments) struct PastPayment {
    /// Its id.
    pub id: PaymentId,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its currency.
    pub currency: Currency,
    /// Its lines, without the platform's own.
    pub lines: Vec<PastLine>,
}

/// A seller's line of the past; amounts in minor units.
#[derive(Debug, Clone)]
pub(in crate::payments) struct PastLine {
    /// Whose it is.
    pub seller: SellerId,
    /// The seller's country.
    pub country: String,
    /// What it is for.
    pub kind: SaleKind,
    /// Net of tax.
    pub amount: i64,
    /// The platform's own category.
    pub category: Option<String>,
    /// What was charged, without the tax on it.
    pub commission: i64,
    /// The policy that priced it.
    pub policy: Option<FeePolicyId>,
}

/// Payments that succeeded, made from `from` to before `before`, oldest first, after the one named by time and id.
///
/// # Errors
/// What the database says.
pub(in crate::payments) async fn past_payments(
    tx: &mut Tx,
    from: Timestamp,
    before: Timestamp,
    after: Option<(Timestamp, PaymentId)>,
    limit: i64,
) -> Result<Vec<PastPayment>, DbError> {
    let book = tx.book_id();
    let (after_time, after_id) = after.map_or((from, Uuid::nil()), |(time, id)| (time, id.uuid()));
    let payments = sqlx::query!(
        r#"select id, created_at as "created_at: jiff_sqlx::Timestamp", currency from payments
           where book_id = $1 and created_at >= $2 and created_at < $3 and (created_at, id) > ($4, $5) and status = 'succeeded'
           order by created_at, id limit $6"#,
        book.get(),
        from.to_sqlx() as _,
        before.to_sqlx() as _,
        after_time.to_sqlx() as _,
        after_id,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    let ids: Vec<Uuid> = payments.iter().map(|payment| payment.id).collect();
    let lines = sqlx::query!(
        r#"select l.payment_id, l.type, l.seller_id as "seller_id!", s.country, l.amount - l.uncaptured_amount as "amount!", l.category,
                  l.commission - l.uncaptured_commission - l.commission_vat + l.uncaptured_vat as "commission!", l.fee_policy_id
           from payment_lines l join sellers s on s.book_id = l.book_id and s.id = l.seller_id
           where l.book_id = $1 and l.payment_id = any($2) and l.amount > l.uncaptured_amount order by l.payment_id, l.line"#,
        book.get(),
        &ids
    )
    .fetch_all(tx.conn())
    .await?;
    let mut by_payment: HashMap<Uuid, Vec<PastLine>> = HashMap::new();
    for row in lines {
        let kind = LineKind::parse(&row.r#type).expect("payment_lines_type_known allows no other word");
        by_payment.entry(row.payment_id).or_default().push(PastLine {
            seller: row.seller_id.into(),
            country: row.country,
            kind: kind.sale().expect("payment_lines_platform_has_no_seller keeps the platform's own lines out"),
            amount: row.amount,
            category: row.category,
            commission: row.commission,
            policy: row.fee_policy_id.map(FeePolicyId::from),
        });
    }
    let past = payments.into_iter().map(|payment| PastPayment {
        id: payment.id.into(),
        created_at: payment.created_at.to_jiff(),
        currency: Currency::parse(&payment.currency).expect("written from a currency"),
        lines: by_payment.remove(&payment.id).unwrap_or_default(),
    });
    Ok(past.collect())
}
