//! SQL of refund_policies: who bears what of refunds, declared.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};

use crate::actor::Actor;
use crate::refunds::{Commission, Policy, ProcessorFee, Tax};

/// What holds for refunds asked now.
///
/// # Errors
/// What the database says.
pub async fn find_policy(tx: &mut Tx) -> Result<Policy, DbError> {
    let book = tx.book_id();
    let row = sqlx::query!(
        "select version, commission, processor_fee, tax from refund_policies where book_id = $1
         order by version desc limit 1",
        book.get()
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map_or_else(Policy::default, |row| Policy {
        version: row.version,
        commission: Commission::parse(&row.commission).expect("refund_policies_commission_known allows no other word"),
        processor_fee: ProcessorFee::parse(&row.processor_fee)
            .expect("refund_policies_processor_fee_known allows no other word"),
        tax: Tax::parse(&row.tax).expect("refund_policies_tax_known allows no other word"),
    }))
}

/// Declares a policy; returns it with its version. Who calls keeps others from declaring.
pub(in crate::refunds) async fn insert_policy(
    tx: &mut Tx,
    policy: Policy,
    actor: Actor,
    now: Timestamp,
) -> Result<Policy, DbError> {
    let book = tx.book_id();
    let version = find_policy(tx).await?.version + 1;
    sqlx::query!(
        "insert into refund_policies (book_id, version, commission, processor_fee, tax, created_by, created_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        book.get(),
        version,
        policy.commission.as_str(),
        policy.processor_fee.as_str(),
        policy.tax.as_str(),
        actor.to_string(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(Policy { version, ..policy })
}
