//! SQL of customers and payment_methods.

mod methods;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::Refusal;
use uuid::Uuid;

pub use methods::{MethodFilter, find_method, list_methods};
pub(super) use methods::{find_method_by_provider_for_update, find_method_for_update, insert_method, update_method};

use super::{Customer, CustomerError, CustomerStatus, NewCustomer};
use crate::actor::Actor;
use crate::id::CustomerId;

struct Row {
    id: Uuid,
    key: i64,
    reference: String,
    status: String,
    provider: String,
    provider_customer: Option<String>,
    failure: Option<serde_json::Value>,
    metadata: serde_json::Value,
    sequence: i32,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

impl From<Row> for Customer {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            key: row.key,
            reference: row.reference,
            status: CustomerStatus::parse(&row.status).expect("customers_status_known allows no other word"),
            provider: row.provider,
            provider_customer: row.provider_customer,
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
            r#"select id, key, reference, status, provider, provider_customer, failure, metadata, sequence,
                      created_at as "created_at: _", updated_at as "updated_at: _"
               from customers "# + $tail
            $(, $argument)*
        )
    };
}

pub(super) async fn insert(
    tx: &mut Tx,
    id: CustomerId,
    key: i64,
    input: &NewCustomer,
    provider: &str,
    actor: Actor,
    now: Timestamp,
) -> Result<Customer, CustomerError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into customers (book_id, id, key, reference, status, provider, metadata, created_by, sequence, created_at,
                                updated_at)
         values ($1, $2, $3, $4, 'processing', $5, $6, $7, 1, $8, $8)",
        book.get(),
        id.uuid(),
        key,
        input.reference,
        provider,
        input.metadata,
        actor.to_string(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)
    .map_err(|error| match error.constraint() {
        Some("customers_reference_unique") => CustomerError::ReferenceTaken,
        _ => error.into(),
    })?;
    find(tx, id).await?.ok_or(CustomerError::NotFound)
}

/// A customer by its id.
///
/// # Errors
/// What the database says.
pub async fn find(tx: &mut Tx, id: CustomerId) -> Result<Option<Customer>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2", book.get(), id.uuid()).fetch_optional(tx.conn()).await?;
    Ok(row.map(Customer::from))
}

pub(super) async fn find_for_update(tx: &mut Tx, id: CustomerId) -> Result<Option<Customer>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2 for no key update", book.get(), id.uuid())
        .fetch_optional(tx.conn())
        .await?;
    Ok(row.map(Customer::from))
}

/// Customers, newest first, older than `before`.
///
/// # Errors
/// What the database says.
pub async fn list(
    tx: &mut Tx,
    reference: Option<&str>,
    before: Option<CustomerId>,
    limit: i64,
) -> Result<Vec<Customer>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where book_id = $1 and ($2::text is null or reference = $2) and ($3::uuid is null or id < $3)
         order by id desc limit $4",
        book.get(),
        reference,
        before.map(CustomerId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Customer::from).collect())
}

pub(super) async fn set_status(
    tx: &mut Tx,
    customer: &Customer,
    status: CustomerStatus,
    provider_customer: Option<&str>,
    refusal: Option<&Refusal>,
    now: Timestamp,
) -> Result<Customer, CustomerError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update customers set status = $4, provider_customer = $5, failure = $6, sequence = sequence + 1, updated_at = $7
         where book_id = $1 and id = $2 and status = $3",
        book.get(),
        customer.id.uuid(),
        customer.status.as_str(),
        status.as_str(),
        provider_customer,
        refusal.map(|refusal| serde_json::to_value(refusal).expect("refusals serialise")),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    if done.rows_affected() != 1 {
        return Err(CustomerError::Contradiction("it changed meanwhile".to_owned()));
    }
    find(tx, customer.id).await?.ok_or(CustomerError::NotFound)
}
