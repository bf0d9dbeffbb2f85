//! SQL of fee_policies and fee_policy_versions.

use std::collections::HashSet;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use uuid::Uuid;

use super::{FeeError, FeePolicy, FeePolicyVersion, FeeTerms, NewFeePolicy};
use crate::actor::Actor;
use crate::id::{FeePolicyId, SellerId};

struct Row {
    id: Uuid,
    reference: String,
    name: String,
    is_default: bool,
    version: i32,
    newest_version: i32,
    percent_bps: i32,
    amounts: serde_json::Value,
    rules: Option<serde_json::Value>,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

/// The terms of a version: its rules, or the short form where there are none.
fn terms(percent_bps: i32, amounts: serde_json::Value, rules: Option<serde_json::Value>) -> FeeTerms {
    match rules {
        Some(rules) => serde_json::from_value(rules).expect("written from such terms"),
        None => FeeTerms::flat(percent_bps, serde_json::from_value(amounts).expect("written from such a map")),
    }
}

impl From<Row> for FeePolicy {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            reference: row.reference,
            name: row.name,
            is_default: row.is_default,
            version: row.version,
            newest_version: row.newest_version,
            terms: terms(row.percent_bps, row.amounts, row.rules),
            created_at: row.created_at.to_jiff(),
            updated_at: row.updated_at.to_jiff(),
        }
    }
}

// Policies with the version that holds at $2. The first holds from ever, so that a clock that is behind finds it too.
macro_rules! select {
    ($tail:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"select p.id, p.reference, p.name, p.is_default, v.version as "version!", n.newest as "newest_version!",
                      v.percent_bps as "percent_bps!", v.amounts as "amounts!", v.rules as "rules?", p.created_at as "created_at: _", p.updated_at as "updated_at: _"
               from fee_policies p
               cross join lateral (
                   select * from fee_policy_versions v
                   where v.book_id = p.book_id and v.policy_id = p.id
                     and (coalesce(v.valid_from, v.created_at) <= $2 or v.version = 1)
                   order by coalesce(v.valid_from, v.created_at) desc, v.version desc limit 1) v
               cross join lateral (
                   select max(version) as newest from fee_policy_versions n where n.book_id = p.book_id and n.policy_id = p.id) n
               where p.book_id = $1 "# + $tail
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

/// The number of the next version; the policy is locked until the end of the transaction, so nobody else takes it.
pub(super) async fn next_version(tx: &mut Tx, id: FeePolicyId) -> Result<Option<i32>, DbError> {
    let book = tx.book_id();
    let locked = sqlx::query_scalar!(
        "select 1 from fee_policies where book_id = $1 and id = $2 for no key update",
        book.get(),
        id.uuid()
    )
    .fetch_optional(tx.conn())
    .await?;
    if locked.is_none() {
        return Ok(None);
    }
    let newest = sqlx::query_scalar!(
        r#"select max(version) as "newest!" from fee_policy_versions where book_id = $1 and policy_id = $2"#,
        book.get(),
        id.uuid()
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(Some(newest + 1))
}

/// Notes a change; `version` is the new one, unless it begins later.
pub(super) async fn set_changed(
    tx: &mut Tx,
    id: FeePolicyId,
    version: Option<i32>,
    now: Timestamp,
) -> Result<(), FeeError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update fee_policies set version = coalesce($3, version), updated_at = $4 where book_id = $1 and id = $2",
        book.get(),
        id.uuid(),
        version,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(FeeError::NotFound) }
}

pub(super) async fn insert_version(
    tx: &mut Tx,
    id: FeePolicyId,
    version: i32,
    terms: &FeeTerms,
    valid_from: Timestamp,
    actor: Actor,
    now: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    // For processes of before rules: the short form, or the price of what no other rule is for.
    let (percent_bps, amounts) = match (terms.as_flat(), terms.last_resort()) {
        (Some((percent_bps, amounts)), _) => (percent_bps, serde_json::to_value(amounts)),
        (None, Some(price)) => (price.percent_bps, serde_json::to_value(&price.amounts)),
        (None, None) => (0, Ok(serde_json::json!({}))),
    };
    let rules = terms.as_flat().is_none().then(|| serde_json::to_value(terms).expect("lists serialise"));
    sqlx::query!(
        "insert into fee_policy_versions (book_id, policy_id, version, percent_bps, amounts, rules, valid_from, created_by,
                                          created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        book.get(),
        id.uuid(),
        version,
        percent_bps,
        amounts.expect("maps serialise"),
        rules,
        valid_from.to_sqlx() as _,
        actor.to_string(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A policy by its id, with the version that holds at `at`.
///
/// # Errors
/// What the database says.
pub async fn find(tx: &mut Tx, id: FeePolicyId, at: Timestamp) -> Result<Option<FeePolicy>, DbError> {
    let book = tx.book_id();
    let row = select!("and p.id = $3", book.get(), at.to_sqlx() as _, id.uuid()).fetch_optional(tx.conn()).await?;
    Ok(row.map(FeePolicy::from))
}

/// The policy that prices lines which name none, with the version that holds at `at`.
///
/// # Errors
/// What the database says.
pub async fn find_default(tx: &mut Tx, at: Timestamp) -> Result<Option<FeePolicy>, DbError> {
    let book = tx.book_id();
    let row = select!("and p.is_default", book.get(), at.to_sqlx() as _).fetch_optional(tx.conn()).await?;
    Ok(row.map(FeePolicy::from))
}

/// Policies, newest first, older than `before`, with the versions that hold at `at`.
///
/// # Errors
/// What the database says.
pub async fn list(
    tx: &mut Tx,
    at: Timestamp,
    before: Option<FeePolicyId>,
    limit: i64,
) -> Result<Vec<FeePolicy>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "and ($3::uuid is null or p.id < $3) order by p.id desc limit $4",
        book.get(),
        at.to_sqlx() as _,
        before.map(FeePolicyId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(FeePolicy::from).collect())
}

struct VersionRow {
    version: i32,
    valid_from: jiff_sqlx::Timestamp,
    percent_bps: i32,
    amounts: serde_json::Value,
    rules: Option<serde_json::Value>,
    created_by: String,
    created_at: jiff_sqlx::Timestamp,
}

impl From<VersionRow> for FeePolicyVersion {
    fn from(row: VersionRow) -> Self {
        Self {
            version: row.version,
            valid_from: row.valid_from.to_jiff(),
            terms: terms(row.percent_bps, row.amounts, row.rules),
            created_by: row.created_by,
            created_at: row.created_at.to_jiff(),
        }
    }
}

macro_rules! select_versions {
    ($tail:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            VersionRow,
            r#"select version, coalesce(valid_from, created_at) as "valid_from!: _", percent_bps, amounts, rules, created_by,
                      created_at as "created_at: _"
               from fee_policy_versions where book_id = $1 and policy_id = $2 "# + $tail
            $(, $argument)*
        )
    };
}

/// One version of a policy.
///
/// # Errors
/// What the database says.
pub async fn find_version(tx: &mut Tx, id: FeePolicyId, version: i32) -> Result<Option<FeePolicyVersion>, DbError> {
    let book = tx.book_id();
    let row = select_versions!("and version = $3", book.get(), id.uuid(), version).fetch_optional(tx.conn()).await?;
    Ok(row.map(FeePolicyVersion::from))
}

/// Versions of a policy, newest first, older than `before`.
///
/// # Errors
/// What the database says.
pub async fn list_versions(
    tx: &mut Tx,
    id: FeePolicyId,
    before: Option<i32>,
    limit: i64,
) -> Result<Vec<FeePolicyVersion>, DbError> {
    let book = tx.book_id();
    let rows = select_versions!(
        "and ($3::integer is null or version < $3) order by version desc limit $4",
        book.get(),
        id.uuid(),
        before,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(FeePolicyVersion::from).collect())
}

/// Which of these sellers this book has.
pub(super) async fn known_sellers(tx: &mut Tx, ids: &[SellerId]) -> Result<HashSet<SellerId>, DbError> {
    let book = tx.book_id();
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let known = sqlx::query_scalar!("select id from sellers where book_id = $1 and id = any($2)", book.get(), &ids)
        .fetch_all(tx.conn())
        .await?;
    Ok(known.into_iter().map(SellerId::from).collect())
}
