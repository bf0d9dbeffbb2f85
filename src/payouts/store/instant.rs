//! SQL of instant_payout_policies, and of what became of fees.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};

use super::changed_one;
use crate::actor::Actor;
use crate::id::PayoutId;
use crate::payouts::instant::{InstantPolicy, WhenFailed};
use crate::payouts::{Payout, PayoutError};

/// What sellers pay for instant payouts by a version, or by the one that holds now.
///
/// # Errors
/// What the database says.
pub async fn find_instant_policy(tx: &mut Tx, version: Option<i32>) -> Result<InstantPolicy, DbError> {
    let book = tx.book_id();
    let row = sqlx::query!(
        "select version, percent_bps, amounts, when_failed from instant_payout_policies
         where book_id = $1 and ($2::integer is null or version = $2) order by version desc limit 1",
        book.get(),
        version
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map_or_else(InstantPolicy::default, |row| InstantPolicy {
        version: row.version,
        percent_bps: row.percent_bps,
        amounts: serde_json::from_value(row.amounts).expect("written from amounts"),
        when_failed: WhenFailed::parse(&row.when_failed)
            .expect("instant_payout_policies_when_failed_known allows no other word"),
    }))
}

/// Who calls has locked the declaration. Returns its version.
pub(in crate::payouts) async fn insert_instant_policy(
    tx: &mut Tx,
    policy: &InstantPolicy,
    actor: Actor,
    now: Timestamp,
) -> Result<i32, DbError> {
    let book = tx.book_id();
    let version = sqlx::query_scalar!(
        r#"insert into instant_payout_policies (book_id, version, percent_bps, amounts, when_failed, created_by, created_at)
           select $1, 1 + coalesce((select max(version) from instant_payout_policies where book_id = $1), 0), $2, $3, $4, $5, $6
           returning version"#,
        book.get(),
        policy.percent_bps,
        serde_json::to_value(&policy.amounts).expect("amounts serialise"),
        policy.when_failed.as_str(),
        actor.to_string(),
        now.to_sqlx() as _
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(version)
}

/// What of its fee came back with a payout.
pub(in crate::payouts) async fn set_fee_returned(
    tx: &mut Tx,
    payout: &Payout,
    returned: i64,
) -> Result<Payout, PayoutError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update payouts set fee_returned = $3 where book_id = $1 and id = $2 and fee_returned = 0 and $3 <= fee_taken",
        book.get(),
        payout.id.uuid(),
        returned
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    changed_one(tx, payout.id, done.rows_affected()).await
}

/// A payout's fee has reached the platform. Under this id it is known from now on.
pub(in crate::payouts) async fn set_provider_fee(tx: &mut Tx, payout: PayoutId, fee: &str) -> Result<(), PayoutError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update payouts set provider_fee = $3 where book_id = $1 and id = $2 and coalesce(provider_fee, $3) = $3",
        book.get(),
        payout.uuid(),
        fee
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    match done.rows_affected() {
        1 => Ok(()),
        _ => Err(PayoutError::Contradiction(format!("{fee} is another fee of one payout"))),
    }
}

/// The fees, by their ids at the provider, of payouts that came back and whose fees' return is not booked.
///
/// # Errors
/// What the database says.
pub async fn fees_to_return(tx: &mut Tx) -> Result<Vec<String>, DbError> {
    let book = tx.book_id();
    let fees = sqlx::query_scalar!(
        r#"select p.provider_fee as "fee!" from payouts p
           where p.book_id = $1 and p.provider_fee is not null and p.status in ('failed', 'canceled')
             and not exists (select from provider_movements m where m.book_id = $1 and m.object_id = p.id
                             and m.object_type = 'payout_fee' and m.net < 0)"#,
        book.get()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(fees)
}
