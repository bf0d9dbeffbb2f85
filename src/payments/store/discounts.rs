//! SQL of payment_discounts and their parts.

use std::collections::HashMap;

use partita_db::{DbError, Tx};
use uuid::Uuid;

use crate::id::PaymentId;
use crate::payments::{CommissionOf, Discount, FundedBy};

/// Stores the discounts of a new payment, whose lines are there.
pub(in crate::payments) async fn insert_discounts(
    tx: &mut Tx,
    payment: PaymentId,
    discounts: &[Discount],
) -> Result<(), DbError> {
    let book = tx.book_id();
    for discount in discounts {
        sqlx::query!(
            "insert into payment_discounts (book_id, payment_id, line, amount, funded_by, seller_id, commission_of)
             values ($1, $2, $3, $4, $5, $6, $7)",
            book.get(),
            payment.uuid(),
            discount.line,
            discount.amount,
            discount.funded_by.as_str(),
            discount.funded_by.seller().map(crate::id::SellerId::uuid),
            discount.commission_of.as_str()
        )
        .execute(tx.conn())
        .await?;
        let (lines, amounts): (Vec<i32>, Vec<i64>) = discount.parts.iter().copied().unzip();
        sqlx::query!(
            "insert into payment_discount_parts (book_id, payment_id, discount, line, amount)
             select $1, $2, $3, * from unnest($4::int[], $5::bigint[])",
            book.get(),
            payment.uuid(),
            discount.line,
            &lines,
            &amounts
        )
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}

/// The discounts of some payments, each in the order of its cart; who has none is missing.
///
/// # Errors
/// What the database says.
pub async fn find_discounts(tx: &mut Tx, payments: &[PaymentId]) -> Result<HashMap<PaymentId, Vec<Discount>>, DbError> {
    let book = tx.book_id();
    let ids: Vec<Uuid> = payments.iter().map(|payment| payment.uuid()).collect();
    let rows = sqlx::query!(
        r#"select d.payment_id, d.line, d.amount, d.seller_id, d.commission_of, p.line as "part_line!", p.amount as "part!"
           from payment_discounts d
           join payment_discount_parts p on p.book_id = d.book_id and p.payment_id = d.payment_id and p.discount = d.line
           where d.book_id = $1 and d.payment_id = any($2) order by d.payment_id, d.line, p.line"#,
        book.get(),
        &ids
    )
    .fetch_all(tx.conn())
    .await?;
    let mut found: HashMap<PaymentId, Vec<Discount>> = HashMap::new();
    for row in rows {
        let of_payment = found.entry(row.payment_id.into()).or_default();
        let part = (row.part_line, row.part);
        match of_payment.last_mut() {
            Some(same) if same.line == row.line => same.parts.push(part),
            _ => of_payment.push(Discount {
                line: row.line,
                amount: row.amount,
                funded_by: row.seller_id.map_or(FundedBy::Platform, |seller| FundedBy::Seller(seller.into())),
                commission_of: CommissionOf::parse(&row.commission_of)
                    .expect("payment_discounts_commission_of_known allows no other word"),
                parts: vec![part],
            }),
        }
    }
    Ok(found)
}
