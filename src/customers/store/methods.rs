//! SQL of payment_methods.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use uuid::Uuid;

use crate::actor::Actor;
use crate::customers::{CustomerError, Looks, Method, MethodStatus, NewMethod};
use crate::id::{CustomerId, PaymentMethodId};

/// Which methods to list.
#[derive(Debug, Clone, Default)]
pub struct MethodFilter {
    /// Any of these; all when empty.
    pub statuses: Vec<String>,
    /// Of this customer.
    pub customer: Option<CustomerId>,
    /// Older than this method.
    pub before: Option<PaymentMethodId>,
}

struct Row {
    id: Uuid,
    key: i64,
    customer_id: Uuid,
    status: String,
    r#type: Option<String>,
    brand: Option<String>,
    last4: Option<String>,
    expires_month: Option<i32>,
    expires_year: Option<i32>,
    provider: String,
    provider_setup: Option<String>,
    provider_method: Option<String>,
    failure: Option<serde_json::Value>,
    metadata: serde_json::Value,
    sequence: i32,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

impl From<Row> for Method {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            key: row.key,
            customer: row.customer_id.into(),
            status: MethodStatus::parse(&row.status).expect("payment_methods_status_known allows no other word"),
            looks: Looks {
                kind: row.r#type,
                brand: row.brand,
                last4: row.last4,
                expires_month: row.expires_month,
                expires_year: row.expires_year,
            },
            provider: row.provider,
            provider_setup: row.provider_setup,
            provider_method: row.provider_method,
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
            r#"select id, key, customer_id, status, type, brand, last4, expires_month, expires_year, provider, provider_setup,
                      provider_method, failure, metadata, sequence, created_at as "created_at: _",
                      updated_at as "updated_at: _"
               from payment_methods "# + $tail
            $(, $argument)*
        )
    };
}

pub(in crate::customers) async fn insert_method(
    tx: &mut Tx,
    id: PaymentMethodId,
    key: i64,
    input: &NewMethod,
    provider: &str,
    actor: Actor,
    now: Timestamp,
) -> Result<Method, CustomerError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into payment_methods (book_id, id, key, customer_id, token, status, provider, metadata, created_by, sequence,
                                      created_at, updated_at)
         values ($1, $2, $3, $4, $5, 'processing', $6, $7, $8, 1, $9, $9)",
        book.get(),
        id.uuid(),
        key,
        input.customer.uuid(),
        input.token,
        provider,
        input.metadata,
        actor.to_string(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    find_method(tx, id).await?.ok_or(CustomerError::MethodNotFound)
}

/// A saved method by its id.
///
/// # Errors
/// What the database says.
pub async fn find_method(tx: &mut Tx, id: PaymentMethodId) -> Result<Option<Method>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2", book.get(), id.uuid()).fetch_optional(tx.conn()).await?;
    Ok(row.map(Method::from))
}

pub(in crate::customers) async fn find_method_for_update(
    tx: &mut Tx,
    id: PaymentMethodId,
) -> Result<Option<Method>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2 for no key update", book.get(), id.uuid())
        .fetch_optional(tx.conn())
        .await?;
    Ok(row.map(Method::from))
}

pub(in crate::customers) async fn find_method_by_provider_for_update(
    tx: &mut Tx,
    provider_method: &str,
) -> Result<Option<Method>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and provider_method = $2 for no key update", book.get(), provider_method)
        .fetch_optional(tx.conn())
        .await?;
    Ok(row.map(Method::from))
}

/// Saved methods, newest first.
///
/// # Errors
/// What the database says.
pub async fn list_methods(tx: &mut Tx, filter: &MethodFilter, limit: i64) -> Result<Vec<Method>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where book_id = $1 and (cardinality($2::text[]) = 0 or status = any($2)) and ($3::uuid is null or customer_id = $3)
           and ($4::uuid is null or id < $4)
         order by id desc limit $5",
        book.get(),
        &filter.statuses,
        filter.customer.map(CustomerId::uuid),
        filter.before.map(PaymentMethodId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Method::from).collect())
}

/// Writes the method as `new` has it, if it is still as it was read, and counts a change.
pub(in crate::customers) async fn update_method(
    tx: &mut Tx,
    old: &Method,
    new: &Method,
    now: Timestamp,
) -> Result<Method, CustomerError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update payment_methods set status = $4, type = $5, brand = $6, last4 = $7, expires_month = $8, expires_year = $9,
                                    provider_setup = $10, provider_method = $11, failure = $12,
                                    sequence = sequence + 1, updated_at = $13
         where book_id = $1 and id = $2 and status = $3",
        book.get(),
        old.id.uuid(),
        old.status.as_str(),
        new.status.as_str(),
        new.looks.kind,
        new.looks.brand,
        new.looks.last4,
        new.looks.expires_month,
        new.looks.expires_year,
        new.provider_setup,
        new.provider_method,
        new.failure.as_ref().map(|refusal| serde_json::to_value(refusal).expect("refusals serialise")),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)
    .map_err(|error| match error.constraint() {
        // Two at the same moment: read again, it finds the other.
        Some("payment_methods_provider_unique") => CustomerError::Incomplete("the method is being saved by another"),
        _ => error.into(),
    })?;
    if done.rows_affected() != 1 {
        return Err(CustomerError::Contradiction("it changed meanwhile".to_owned()));
    }
    find_method(tx, old.id).await?.ok_or(CustomerError::MethodNotFound)
}
