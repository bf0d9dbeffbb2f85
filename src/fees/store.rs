//! SQL of fee_policies and fee_policy_versions.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use uuid::Uuid;

use super::{FeeError, FeePolicy, FeeTerms, NewFeePolicy};
use crate::actor::Actor;
use crate::id::FeePolicyId;

struct Row {
    id: Uuid,
    reference: String,
    name: String,
    is_default: bool,
    version: i32,
    percent_bps: i32,
    amounts: serde_json::Value,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

impl From<Row> for FeePolicy {
    fn from(row: Row) -> Self {
        let amounts = serde_json::from_value(row.amounts).expect("written from such a map");
        Self {
            id: row.id.into(),
            reference: row.reference,
            name: row.name,
            is_default: row.is_default,
            version: row.version,
            terms: FeeTerms { percent_bps: row.percent_bps, amounts },
            created_at: row.created_at.to_jiff(),
            updated_at: row.updated_at.to_jiff(),
        }
    }
}

macro_rules! select {
    ($tail:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"select p.id, p.reference, p.name, p.is_default, p.version, v.percent_bps, v.amounts,
                      p.created_at as "created_at: _", p.updated_at as "updated_at: _"
               from fee_policies p
               join fee_policy_versions v on v.book_id = p.book_id and v.policy_id = p.id and v.version = p.version "# + $tail
            $(, $argument)*
        )
    };
}

pub(super) async fn insert(tx: &mut Tx, id: FeePolicyId, input: &NewFeePolicy, now: Timestamp) -> Result<(), FeeError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into fee_policies (book_id, id, reference, name, is_default, version, created_at, updated_at)
         values ($1, $2, $3, $4, $5, 1, $6, $6)",
        book.get(),
        id.uuid(),
        input.reference,
        input.name,
        input.is_default,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)
    .map_err(|error| match error.constraint() {
        Some("fee_policies_reference_unique") => FeeError::ReferenceTaken,
        _ => error.into(),
    })?;
    Ok(())
}

pub(super) async fn clear_default(tx: &mut Tx) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!("update fee_policies set is_default = false where book_id = $1 and is_default", book.get())
        .execute(tx.conn())
        .await?;
    Ok(())
}

pub(super) async fn next_version(tx: &mut Tx, id: FeePolicyId, now: Timestamp) -> Result<Option<i32>, DbError> {
    let book = tx.book_id();
    let version = sqlx::query_scalar!(
        "update fee_policies set version = version + 1, updated_at = $3 where book_id = $1 and id = $2 returning version",
        book.get(),
        id.uuid(),
        now.to_sqlx() as _
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(version)
}

pub(super) async fn insert_version(
    tx: &mut Tx,
    id: FeePolicyId,
    version: i32,
    terms: &FeeTerms,
    actor: Actor,
    now: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into fee_policy_versions (book_id, policy_id, version, percent_bps, amounts, created_by, created_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        book.get(),
        id.uuid(),
        version,
        terms.percent_bps,
        serde_json::to_value(&terms.amounts).expect("maps serialise"),
        actor.to_string(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A policy by its id.
///
/// # Errors
/// What the database says.
pub async fn find(tx: &mut Tx, id: FeePolicyId) -> Result<Option<FeePolicy>, DbError> {
    let book = tx.book_id();
    let row = select!("where p.book_id = $1 and p.id = $2", book.get(), id.uuid()).fetch_optional(tx.conn()).await?;
    Ok(row.map(FeePolicy::from))
}

/// The policy that prices lines which name none.
///
/// # Errors
/// What the database says.
pub async fn find_default(tx: &mut Tx) -> Result<Option<FeePolicy>, DbError> {
    let book = tx.book_id();
    let row = select!("where p.book_id = $1 and p.is_default", book.get()).fetch_optional(tx.conn()).await?;
    Ok(row.map(FeePolicy::from))
}

/// Policies, newest first, older than `before`.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx, before: Option<FeePolicyId>, limit: i64) -> Result<Vec<FeePolicy>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where p.book_id = $1 and ($2::uuid is null or p.id < $2) order by p.id desc limit $3",
        book.get(),
        before.map(FeePolicyId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(FeePolicy::from).collect())
}
