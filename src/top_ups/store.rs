//! SQL of top_ups.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::{Currency, Money, Refusal};
use uuid::Uuid;

use super::{NewTopUp, TopUp, TopUpError, TopUpStatus};
use crate::actor::Actor;
use crate::id::TopUpId;

struct Row {
    id: Uuid,
    key: i64,
    reference: String,
    amount: i64,
    currency: String,
    status: String,
    description: Option<String>,
    provider: String,
    provider_top_up: Option<String>,
    failure: Option<serde_json::Value>,
    metadata: serde_json::Value,
    sequence: i32,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

impl From<Row> for TopUp {
    fn from(row: Row) -> Self {
        let currency = Currency::parse(&row.currency).expect("written from a currency");
        Self {
            id: row.id.into(),
            key: row.key,
            reference: row.reference,
            amount: Money::new(row.amount, currency),
            status: TopUpStatus::parse(&row.status).expect("top_ups_status_known allows no other word"),
            description: row.description,
            provider: row.provider,
            provider_top_up: row.provider_top_up,
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
            r#"select id, key, reference, amount, currency, status, description, provider, provider_top_up, failure, metadata,
                      sequence, created_at as "created_at: _", updated_at as "updated_at: _"
               from top_ups "# + $tail
            $(, $argument)*
        )
    };
}

pub(super) async fn insert(
    tx: &mut Tx,
    id: TopUpId,
    key: i64,
    input: &NewTopUp,
    provider: &str,
    actor: Actor,
    now: Timestamp,
) -> Result<TopUp, TopUpError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into top_ups (book_id, id, key, reference, amount, currency, status, description, provider, metadata,
                              created_by, sequence, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, 'processing', $7, $8, $9, $10, 1, $11, $11)",
        book.get(),
        id.uuid(),
        key,
        input.reference,
        input.amount.minor,
        input.amount.currency.code(),
        input.description,
        provider,
        input.metadata,
        actor.to_string(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)
    .map_err(|error| match error.constraint() {
        Some("top_ups_reference_unique") => TopUpError::ReferenceTaken,
        _ => error.into(),
    })?;
    find(tx, id).await?.ok_or(TopUpError::NotFound)
}

/// A top-up by its id.
///
/// # Errors
/// What the database says.
pub async fn find(tx: &mut Tx, id: TopUpId) -> Result<Option<TopUp>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2", book.get(), id.uuid()).fetch_optional(tx.conn()).await?;
    Ok(row.map(TopUp::from))
}

pub(super) async fn find_for_update(
    tx: &mut Tx,
    named: Option<TopUpId>,
    provider_top_up: &str,
) -> Result<Option<TopUp>, DbError> {
    let book = tx.book_id();
    let row = match named {
        Some(id) => {
            select!("where book_id = $1 and id = $2 for no key update", book.get(), id.uuid())
                .fetch_optional(tx.conn())
                .await?
        }
        None => {
            select!("where book_id = $1 and provider_top_up = $2 for no key update", book.get(), provider_top_up)
                .fetch_optional(tx.conn())
                .await?
        }
    };
    Ok(row.map(TopUp::from))
}

/// Top-ups, newest first, older than `before`.
///
/// # Errors
/// What the database says.
pub async fn list(
    tx: &mut Tx,
    statuses: &[String],
    before: Option<TopUpId>,
    limit: i64,
) -> Result<Vec<TopUp>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where book_id = $1 and (cardinality($2::text[]) = 0 or status = any($2)) and ($3::uuid is null or id < $3)
         order by id desc limit $4",
        book.get(),
        statuses,
        before.map(TopUpId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(TopUp::from).collect())
}

pub(super) async fn set_status(
    tx: &mut Tx,
    top_up: &TopUp,
    status: TopUpStatus,
    provider_top_up: Option<&str>,
    refusal: Option<&Refusal>,
    now: Timestamp,
) -> Result<TopUp, TopUpError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update top_ups set status = $4, provider_top_up = coalesce($5, provider_top_up), failure = $6,
                            sequence = sequence + 1, updated_at = $7
         where book_id = $1 and id = $2 and status = $3",
        book.get(),
        top_up.id.uuid(),
        top_up.status.as_str(),
        status.as_str(),
        provider_top_up,
        refusal.map(|refusal| serde_json::to_value(refusal).expect("refusals serialise")),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    if done.rows_affected() != 1 {
        return Err(TopUpError::Contradiction("it changed meanwhile".to_owned()));
    }
    find(tx, top_up.id).await?.ok_or(TopUpError::NotFound)
}
