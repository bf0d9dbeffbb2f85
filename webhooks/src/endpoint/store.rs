//! The rows of endpoints and their secrets. Routing tables: no book is needed to read them.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use partita_db::{BookId, Tx};

use super::{Endpoint, EndpointError, EndpointKind, EndpointMode, NewEndpoint};
use crate::secret::WebhookSecret;

/// Makes an endpoint with its first secret.
///
/// # Errors
/// [`EndpointError::Db`], with the constraint's name if the token is taken or too easy to guess.
pub async fn insert_endpoint(tx: &mut Tx, endpoint: &NewEndpoint) -> Result<(), EndpointError> {
    sqlx::query!(
        "insert into incoming_webhook_endpoints (token, book_id, provider, kind, mode, created_at)
         values ($1, $2, $3, $4, $5, $6)",
        endpoint.token,
        endpoint.book.get(),
        endpoint.provider,
        endpoint.kind.as_str(),
        endpoint.mode.as_str(),
        endpoint.created_at.to_sqlx() as _,
    )
    .execute(tx.conn())
    .await?;
    insert_secret(tx, &endpoint.token, &endpoint.secret, endpoint.created_at).await
}

struct EndpointRow {
    token: String,
    book_id: BookId,
    provider: String,
    kind: String,
    mode: String,
    secrets: Vec<String>,
}

impl TryFrom<EndpointRow> for Endpoint {
    type Error = EndpointError;

    fn try_from(row: EndpointRow) -> Result<Self, EndpointError> {
        Ok(Self {
            kind: EndpointKind::parse(&row.kind).ok_or(EndpointError::UnknownWord(row.kind))?,
            mode: EndpointMode::parse(&row.mode).ok_or(EndpointError::UnknownWord(row.mode))?,
            secrets: row.secrets.iter().map(|secret| WebhookSecret::parse(secret)).collect::<Result<_, _>>()?,
            token: row.token,
            book: row.book_id,
            provider: row.provider,
        })
    }
}

/// The endpoint with this token, unless it is disabled, with the secrets that are valid at `now` (business clock).
///
/// # Errors
/// [`EndpointError::Db`]; [`EndpointError::Secret`] and [`EndpointError::UnknownWord`] if a row is damaged.
pub async fn find_endpoint(tx: &mut Tx, token: &str, now: Timestamp) -> Result<Option<Endpoint>, EndpointError> {
    sqlx::query_as!(
        EndpointRow,
        r#"select
            endpoint.token,
            endpoint.book_id as "book_id: _",
            endpoint.provider,
            endpoint.kind,
            endpoint.mode,
            array(
                select key.secret
                from incoming_webhook_secrets as key
                where key.token = endpoint.token and (key.expires_at is null or key.expires_at > $2)
                order by key.created_at desc, key.secret
            ) as "secrets!"
         from incoming_webhook_endpoints as endpoint
         where endpoint.token = $1 and (endpoint.disabled_at is null or endpoint.disabled_at > $2)"#,
        token,
        now.to_sqlx() as _,
    )
    .fetch_optional(tx.conn())
    .await?
    .map(Endpoint::try_from)
    .transpose()
}

/// Adds a secret to an endpoint of the book; those it had are valid until `old_until` at the latest. Business clock.
///
/// # Errors
/// [`EndpointError::NotFound`] if the book has no such endpoint; [`EndpointError::Db`].
pub async fn rotate_secret(
    tx: &mut Tx,
    book: BookId,
    token: &str,
    secret: &WebhookSecret,
    now: Timestamp,
    old_until: Timestamp,
) -> Result<(), EndpointError> {
    let found = sqlx::query_scalar!(
        "select token from incoming_webhook_endpoints where token = $1 and book_id = $2 for update",
        token,
        book.get(),
    )
    .fetch_optional(tx.conn())
    .await?;
    if found.is_none() {
        return Err(EndpointError::NotFound);
    }
    sqlx::query!(
        "update incoming_webhook_secrets set expires_at = least(expires_at, $2) where token = $1",
        token,
        old_until.to_sqlx() as _,
    )
    .execute(tx.conn())
    .await?;
    insert_secret(tx, token, secret, now).await
}

/// Takes an endpoint of the book out of use from `now` (business clock) on.
///
/// # Errors
/// [`EndpointError::NotFound`] if the book has no such endpoint in use; [`EndpointError::Db`].
pub async fn disable_endpoint(tx: &mut Tx, book: BookId, token: &str, now: Timestamp) -> Result<(), EndpointError> {
    let changed = sqlx::query!(
        "update incoming_webhook_endpoints set disabled_at = $3
         where token = $1 and book_id = $2 and disabled_at is null",
        token,
        book.get(),
        now.to_sqlx() as _,
    )
    .execute(tx.conn())
    .await?
    .rows_affected();
    if changed == 1 { Ok(()) } else { Err(EndpointError::NotFound) }
}

async fn insert_secret(tx: &mut Tx, token: &str, secret: &WebhookSecret, now: Timestamp) -> Result<(), EndpointError> {
    sqlx::query!(
        "insert into incoming_webhook_secrets (token, secret, created_at) values ($1, $2, $3)",
        token,
        secret.expose(),
        now.to_sqlx() as _,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
