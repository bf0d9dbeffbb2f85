//! The rows of endpoints and their secrets. Routing tables: no book is needed to read them.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use partita_db::{BookId, Column, Sealed, Tx, Vault, VaultError};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::types::Uuid;

use super::{Endpoint, EndpointError, EndpointKind, EndpointMode, NewEndpoint};
use crate::secret::WebhookSecret;

/// Makes an endpoint with its first secret.
///
/// # Errors
/// [`EndpointError::Db`], with the constraint's name if the token is taken or too easy to guess; [`EndpointError::Vault`]
/// without an encryption key.
pub async fn insert_endpoint(tx: &mut Tx, vault: &Vault, endpoint: &NewEndpoint) -> Result<(), EndpointError> {
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
    insert_secret(tx, vault, &endpoint.token, &endpoint.secret, endpoint.created_at).await
}

struct EndpointRow {
    token: String,
    book_id: BookId,
    provider: String,
    kind: String,
    mode: String,
    secret_id: Option<Uuid>,
    secret: Option<String>,
    sealed: Option<Vec<u8>>,
    key_version: Option<i16>,
}

impl EndpointRow {
    fn secret(&self, vault: &Vault) -> Result<Option<WebhookSecret>, EndpointError> {
        let Some(id) = self.secret_id else { return Ok(None) };
        let stored = StoredSecret {
            id,
            secret: self.secret.clone(),
            sealed: self.sealed.clone(),
            key_version: self.key_version,
        };
        Ok(Some(WebhookSecret::parse(stored.open(vault)?.expose_secret())?))
    }
}

/// The endpoint with this token, unless it is disabled, with the secrets that are valid at `now` (business clock).
///
/// # Errors
/// [`EndpointError::Db`]; [`EndpointError::Vault`] if a secret does not open, [`EndpointError::Secret`] and
/// [`EndpointError::UnknownWord`] if a row is damaged.
pub async fn find_endpoint(
    tx: &mut Tx,
    vault: &Vault,
    token: &str,
    now: Timestamp,
) -> Result<Option<Endpoint>, EndpointError> {
    let rows = sqlx::query_as!(
        EndpointRow,
        r#"select
            endpoint.token,
            endpoint.book_id as "book_id: _",
            endpoint.provider,
            endpoint.kind,
            endpoint.mode,
            key.id as "secret_id?",
            key.secret,
            key.sealed,
            key.key_version
         from incoming_webhook_endpoints as endpoint
         left join incoming_webhook_secrets as key
            on key.token = endpoint.token and (key.expires_at is null or key.expires_at > $2)
         where endpoint.token = $1 and (endpoint.disabled_at is null or endpoint.disabled_at > $2)
         order by key.created_at desc, key.id"#,
        token,
        now.to_sqlx() as _,
    )
    .fetch_all(tx.conn())
    .await?;
    let secrets: Vec<_> = rows.iter().filter_map(|row| row.secret(vault).transpose()).collect::<Result<_, _>>()?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    Ok(Some(Endpoint {
        kind: EndpointKind::parse(&row.kind).ok_or(EndpointError::UnknownWord(row.kind))?,
        mode: EndpointMode::parse(&row.mode).ok_or(EndpointError::UnknownWord(row.mode))?,
        secrets,
        token: row.token,
        book: row.book_id,
        provider: row.provider,
    }))
}

/// Adds a secret to an endpoint of the book; those it had are valid until `old_until` at the latest. Business clock.
///
/// # Errors
/// [`EndpointError::NotFound`] if the book has no such endpoint; [`EndpointError::Vault`]; [`EndpointError::Db`].
pub async fn rotate_secret(
    tx: &mut Tx,
    vault: &Vault,
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
    insert_secret(tx, vault, token, secret, now).await
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

async fn insert_secret(
    tx: &mut Tx,
    vault: &Vault,
    token: &str,
    secret: &WebhookSecret,
    now: Timestamp,
) -> Result<(), EndpointError> {
    let id = sqlx::query_scalar!(r#"select gen_random_uuid() as "id!""#).fetch_one(tx.conn()).await?;
    let sealed = vault.seal(column(id), &SecretString::from(secret.expose()))?;
    sqlx::query!(
        "insert into incoming_webhook_secrets (token, id, sealed, key_version, created_at) values ($1, $2, $3, $4, $5)",
        token,
        id,
        sealed.bytes,
        sealed.key_version,
        now.to_sqlx() as _,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

fn column(row: Uuid) -> Column {
    Column { table: "incoming_webhook_secrets", column: "sealed", row }
}

/// A secret as it is stored: in clear text by older releases, else sealed.
struct StoredSecret {
    id: Uuid,
    secret: Option<String>,
    sealed: Option<Vec<u8>>,
    key_version: Option<i16>,
}

impl StoredSecret {
    fn open(self, vault: &Vault) -> Result<SecretString, VaultError> {
        match (self.secret, self.sealed, self.key_version) {
            (Some(clear), None, None) => Ok(SecretString::from(clear)),
            (None, Some(bytes), Some(key_version)) => vault.open(column(self.id), &Sealed { key_version, bytes }),
            _ => Err(VaultError::Damaged),
        }
    }
}

/// Seals up to `limit` secrets under the vault's present key: those that are in clear text, and those of older keys.
/// Returns how many that were. Rows that another process holds are passed over.
///
/// # Errors
/// [`EndpointError::Vault`] without a key, or where an old one is missing; [`EndpointError::Db`].
pub async fn seal_secrets(tx: &mut Tx, vault: &Vault, limit: i64) -> Result<usize, EndpointError> {
    let version = vault.version().ok_or(VaultError::NoKey)?;
    let rows = sqlx::query_as!(
        StoredSecret,
        "select id, secret, sealed, key_version from incoming_webhook_secrets
         where key_version is distinct from $1 order by id limit $2 for update skip locked",
        version,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    let count = rows.len();
    for row in rows {
        let id = row.id;
        let sealed = vault.seal(column(id), &row.open(vault)?)?;
        sqlx::query!(
            "update incoming_webhook_secrets set secret = null, sealed = $2, key_version = $3 where id = $1",
            id,
            sealed.bytes,
            sealed.key_version,
        )
        .execute(tx.conn())
        .await?;
    }
    Ok(count)
}
