//! SQL of webhook_endpoints and webhook_endpoint_secrets.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Sealed, Tx};
use secrecy::SecretString;
use uuid::Uuid;

use crate::actor::Actor;
use crate::id::{WebhookEndpointId, WebhookSecretId};
use crate::webhook_endpoints::state::{DisabledReason, EndpointStatus, Signing};
use crate::webhook_endpoints::{Endpoint, NewEndpoint, WebhookError};

struct Row {
    id: Uuid,
    key: i64,
    url: String,
    description: Option<String>,
    events: Vec<String>,
    status: String,
    disabled_reason: Option<String>,
    signing: String,
    public_key: Option<String>,
    rotation_ends_at: Option<jiff_sqlx::Timestamp>,
    api_version: String,
    metadata: serde_json::Value,
    failing_since: Option<jiff_sqlx::Timestamp>,
    throttled_until: Option<jiff_sqlx::Timestamp>,
    sequence: i32,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

impl From<Row> for Endpoint {
    fn from(row: Row) -> Self {
        let status = EndpointStatus::parse(&row.status, row.disabled_reason.as_deref());
        Self {
            id: row.id.into(),
            key: row.key,
            url: row.url,
            description: row.description,
            events: row.events,
            status: status.expect("constraints of webhook_endpoints allow no other words"),
            signing: Signing::parse(&row.signing).expect("webhook_endpoints_signing_known allows no other word"),
            public_key: row.public_key,
            rotation_ends_at: row.rotation_ends_at.map(jiff_sqlx::Timestamp::to_jiff),
            api_version: row.api_version,
            metadata: row.metadata,
            failing_since: row.failing_since.map(jiff_sqlx::Timestamp::to_jiff),
            throttled_until: row.throttled_until.map(jiff_sqlx::Timestamp::to_jiff),
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
            r#"select e.id, e.key, e.url, e.description, e.events, e.status, e.disabled_reason, e.signing,
                      (select s.public_key from webhook_endpoint_secrets s
                       where s.book_id = e.book_id and s.endpoint_id = e.id and s.expires_at is null) as public_key,
                      (select max(s.expires_at) from webhook_endpoint_secrets s
                       where s.book_id = e.book_id and s.endpoint_id = e.id) as "rotation_ends_at: _",
                      e.api_version, e.metadata, e.failing_since as "failing_since: _",
                      e.throttled_until as "throttled_until: _", e.sequence, e.created_at as "created_at: _",
                      e.updated_at as "updated_at: _"
               from webhook_endpoints e "# + $tail
            $(, $argument)*
        )
    };
}

/// An endpoint by its id, unless it was deleted.
///
/// # Errors
/// What the database says.
pub async fn find(tx: &mut Tx, id: WebhookEndpointId) -> Result<Option<Endpoint>, DbError> {
    let book = tx.book_id();
    let row = select!("where e.book_id = $1 and e.id = $2 and e.status <> 'deleted'", book.get(), id.uuid())
        .fetch_optional(tx.conn())
        .await?;
    Ok(row.map(Endpoint::from))
}

/// As [`find`], and locks it.
pub(in crate::webhook_endpoints) async fn find_for_update(
    tx: &mut Tx,
    id: WebhookEndpointId,
) -> Result<Option<Endpoint>, DbError> {
    let book = tx.book_id();
    let row = select!(
        "where e.book_id = $1 and e.id = $2 and e.status <> 'deleted' for no key update of e",
        book.get(),
        id.uuid()
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Endpoint::from))
}

/// As [`find_for_update`], by its number in `due`.
pub(in crate::webhook_endpoints) async fn find_by_key_for_update(
    tx: &mut Tx,
    key: i64,
) -> Result<Option<Endpoint>, DbError> {
    let book = tx.book_id();
    let row = select!(
        "where e.book_id = $1 and e.key = $2 and e.status <> 'deleted' for no key update of e",
        book.get(),
        key
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Endpoint::from))
}

/// Endpoints that are not deleted, newest first, older than `before`; of one of the statuses, if any is given.
///
/// # Errors
/// What the database says.
pub async fn list(
    tx: &mut Tx,
    statuses: &[String],
    before: Option<WebhookEndpointId>,
    limit: i64,
) -> Result<Vec<Endpoint>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where e.book_id = $1 and e.status <> 'deleted' and (cardinality($2::text[]) = 0 or e.status = any($2))
            and ($3::uuid is null or e.id < $3)
         order by e.id desc limit $4",
        book.get(),
        statuses,
        before.map(WebhookEndpointId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Endpoint::from).collect())
}

/// Those that get events, or the one if it does.
pub(in crate::webhook_endpoints) async fn list_enabled(
    tx: &mut Tx,
    only: Option<WebhookEndpointId>,
) -> Result<Vec<Endpoint>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where e.book_id = $1 and e.status = 'enabled' and ($2::uuid is null or e.id = $2) order by e.id",
        book.get(),
        only.map(WebhookEndpointId::uuid)
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Endpoint::from).collect())
}

/// How many there are that are not deleted.
pub(in crate::webhook_endpoints) async fn count(tx: &mut Tx) -> Result<i64, DbError> {
    let book = tx.book_id();
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from webhook_endpoints where book_id = $1 and status <> 'deleted'"#,
        book.get()
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(count)
}

/// The word for the mode of the transaction's book.
pub(in crate::webhook_endpoints) async fn mode(tx: &mut Tx) -> Result<String, DbError> {
    let book = tx.book_id();
    Ok(sqlx::query_scalar!("select mode from books where book_id = $1", book.get()).fetch_one(tx.conn()).await?)
}

pub(in crate::webhook_endpoints) async fn insert(
    tx: &mut Tx,
    id: WebhookEndpointId,
    key: i64,
    new: &NewEndpoint,
    actor: Actor,
    now: Timestamp,
) -> Result<Endpoint, WebhookError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into webhook_endpoints (book_id, id, key, url, description, events, status, signing, api_version, metadata,
                                        created_by, sequence, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, 'enabled', $7, $8, $9, $10, 1, $11, $11)",
        book.get(),
        id.uuid(),
        key,
        new.url,
        new.description,
        &new.events,
        new.signing.as_str(),
        new.api_version,
        new.metadata,
        actor.to_string(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    find(tx, id).await?.ok_or(WebhookError::NotFound)
}

/// Writes what a platform may change, and counts the change.
pub(in crate::webhook_endpoints) async fn set_content(
    tx: &mut Tx,
    endpoint: &Endpoint,
    now: Timestamp,
) -> Result<Endpoint, WebhookError> {
    let book = tx.book_id();
    sqlx::query!(
        "update webhook_endpoints set url = $3, description = $4, events = $5, metadata = $6, sequence = sequence + 1,
                                      updated_at = $7
         where book_id = $1 and id = $2",
        book.get(),
        endpoint.id.uuid(),
        endpoint.url,
        endpoint.description,
        &endpoint.events,
        endpoint.metadata,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    find(tx, endpoint.id).await?.ok_or(WebhookError::NotFound)
}

/// Writes a new status, and counts the change. What was noted of failures ends with it.
pub(in crate::webhook_endpoints) async fn set_status(
    tx: &mut Tx,
    endpoint: &Endpoint,
    status: EndpointStatus,
    now: Timestamp,
) -> Result<Endpoint, WebhookError> {
    let book = tx.book_id();
    let changed = sqlx::query!(
        "update webhook_endpoints set status = $4, disabled_reason = $5, failing_since = null, throttled_until = null,
                                      sequence = sequence + 1, updated_at = $6
         where book_id = $1 and id = $2 and status = $3",
        book.get(),
        endpoint.id.uuid(),
        endpoint.status.as_str(),
        status.as_str(),
        status.reason().map(DisabledReason::as_str),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?
    .rows_affected();
    if changed != 1 {
        return Err(WebhookError::NotFound);
    }
    let sequence = endpoint.sequence + 1;
    Ok(Endpoint { status, sequence, failing_since: None, throttled_until: None, updated_at: now, ..endpoint.clone() })
}

/// Notes how the endpoint does; none for failing: it works.
pub(in crate::webhook_endpoints) async fn set_health(
    tx: &mut Tx,
    id: WebhookEndpointId,
    failing_since: Option<Timestamp>,
    throttled_until: Option<Timestamp>,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "update webhook_endpoints set failing_since = $3, throttled_until = $4
         where book_id = $1 and id = $2",
        book.get(),
        id.uuid(),
        failing_since.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        throttled_until.map(jiff_sqlx::ToSqlx::to_sqlx) as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A key as it is stored.
pub(in crate::webhook_endpoints) struct StoredSecret {
    pub(in crate::webhook_endpoints) id: WebhookSecretId,
    pub(in crate::webhook_endpoints) sealed: Sealed,
}

pub(in crate::webhook_endpoints) async fn insert_secret(
    tx: &mut Tx,
    endpoint: WebhookEndpointId,
    id: WebhookSecretId,
    sealed: &Sealed,
    public_key: Option<&SecretString>,
    now: Timestamp,
) -> Result<(), WebhookError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into webhook_endpoint_secrets (book_id, id, endpoint_id, sealed, key_version, public_key, created_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        book.get(),
        id.uuid(),
        endpoint.uuid(),
        sealed.bytes,
        sealed.key_version,
        public_key.map(secrecy::ExposeSecret::expose_secret),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Ends the endpoint's secrets at `at`, those that end earlier excepted.
pub(in crate::webhook_endpoints) async fn expire_secrets(
    tx: &mut Tx,
    endpoint: WebhookEndpointId,
    at: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "update webhook_endpoint_secrets set expires_at = least(expires_at, $3) where book_id = $1 and endpoint_id = $2",
        book.get(),
        endpoint.uuid(),
        at.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What the endpoint's deliveries are signed with at `now`, the newest first.
pub(in crate::webhook_endpoints) async fn secrets(
    tx: &mut Tx,
    endpoint: WebhookEndpointId,
    now: Timestamp,
) -> Result<Vec<StoredSecret>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        "select id, sealed, key_version from webhook_endpoint_secrets
         where book_id = $1 and endpoint_id = $2 and (expires_at is null or expires_at > $3)
         order by created_at desc, id desc",
        book.get(),
        endpoint.uuid(),
        now.to_sqlx() as _
    )
    .fetch_all(tx.conn())
    .await?;
    let stored = |id: Uuid, bytes, key_version| StoredSecret { id: id.into(), sealed: Sealed { key_version, bytes } };
    Ok(rows.into_iter().map(|row| stored(row.id, row.sealed, row.key_version)).collect())
}

/// Secrets that are sealed under another key than that of `version`.
pub(in crate::webhook_endpoints) async fn secrets_of_other_keys(
    tx: &mut Tx,
    version: i16,
    limit: i64,
) -> Result<Vec<StoredSecret>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        "select id, sealed, key_version from webhook_endpoint_secrets
         where book_id = $1 and key_version <> $2 order by id limit $3 for update skip locked",
        book.get(),
        version,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    let stored = |id: Uuid, bytes, key_version| StoredSecret { id: id.into(), sealed: Sealed { key_version, bytes } };
    Ok(rows.into_iter().map(|row| stored(row.id, row.sealed, row.key_version)).collect())
}

pub(in crate::webhook_endpoints) async fn set_sealed(
    tx: &mut Tx,
    id: WebhookSecretId,
    sealed: &Sealed,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "update webhook_endpoint_secrets set sealed = $3, key_version = $4 where book_id = $1 and id = $2",
        book.get(),
        id.uuid(),
        sealed.bytes,
        sealed.key_version
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
