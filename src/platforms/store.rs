//! SQL of the routing tables.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{BookId, DbError, Tx};

use super::{ApiKeyRecord, Book, Mode, PlatformError, ProviderConnection};
use crate::id::{ApiKeyId, PlatformId};

pub(super) struct NewApiKey {
    pub id: ApiKeyId,
    pub hash: [u8; 32],
    pub book: BookId,
    pub number: i64,
    pub name: String,
    pub hint: String,
    pub scopes: Vec<String>,
    pub expires_at: Option<Timestamp>,
}

pub(super) async fn insert_platform(
    tx: &mut Tx,
    id: PlatformId,
    reference: &str,
    name: &str,
    now: Timestamp,
) -> Result<(), PlatformError> {
    sqlx::query!(
        "insert into platforms (id, reference, name, created_at) values ($1, $2, $3, $4)",
        id.uuid(),
        reference,
        name,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)
    .map_err(|error| match error.constraint() {
        Some("platforms_reference_unique") => PlatformError::ReferenceTaken,
        _ => error.into(),
    })?;
    Ok(())
}

pub(super) async fn insert_book(
    tx: &mut Tx,
    platform: PlatformId,
    mode: Mode,
    now: Timestamp,
) -> Result<BookId, DbError> {
    let id = sqlx::query_scalar!(
        r#"insert into books (book_id, platform_id, mode, created_at)
           values (nextval('book_ids')::integer, $1, $2, $3) returning book_id as "id: BookId""#,
        platform.uuid(),
        mode.as_str(),
        now.to_sqlx() as _
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(id)
}

pub(super) async fn insert_counters(tx: &mut Tx, book: BookId) -> Result<(), DbError> {
    sqlx::query!("insert into book_counters (book_id) values ($1) on conflict do nothing", book.get())
        .execute(tx.conn())
        .await?;
    Ok(())
}

pub(super) async fn insert_api_key(tx: &mut Tx, key: &NewApiKey, now: Timestamp) -> Result<(), PlatformError> {
    sqlx::query!(
        "insert into api_keys (id, hash, book_id, number, name, hint, scopes, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        key.id.uuid(),
        &key.hash[..],
        key.book.get(),
        key.number,
        key.name,
        key.hint,
        &key.scopes,
        now.to_sqlx() as _,
        key.expires_at.map(jiff_sqlx::ToSqlx::to_sqlx) as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    Ok(())
}

pub(super) async fn revoke_api_key(tx: &mut Tx, id: ApiKeyId, now: Timestamp) -> Result<(), PlatformError> {
    let done = sqlx::query!(
        "update api_keys set revoked_at = $2 where id = $1 and revoked_at is null",
        id.uuid(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(PlatformError::NotFound) }
}

/// The key with this hash, if there is one; revoked and expired ones too.
///
/// # Errors
/// What the database says.
pub async fn find_api_key(tx: &mut Tx, hash: &[u8; 32]) -> Result<Option<ApiKeyRecord>, DbError> {
    let row = sqlx::query!(
        r#"select k.id, k.number, k.book_id as "book: BookId", k.scopes, b.mode, b.platform_id,
                  k.expires_at as "expires_at: jiff_sqlx::Timestamp", k.revoked_at is not null as "revoked!"
           from api_keys k join books b using (book_id) where k.hash = $1"#,
        &hash[..]
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| ApiKeyRecord {
        id: row.id.into(),
        number: row.number,
        book: row.book,
        mode: stored_mode(&row.mode),
        platform: row.platform_id.into(),
        scopes: row.scopes,
        expires_at: row.expires_at.map(jiff_sqlx::Timestamp::to_jiff),
        revoked: row.revoked,
    }))
}

pub(super) async fn upsert_connection(
    tx: &mut Tx,
    book: BookId,
    connection: &ProviderConnection,
    now: Timestamp,
) -> Result<(), PlatformError> {
    sqlx::query!(
        "insert into provider_connections (book_id, provider, base_url, secret_ref, created_at)
         values ($1, $2, $3, $4, $5)
         on conflict (book_id, provider) do update set base_url = excluded.base_url, secret_ref = excluded.secret_ref",
        book.get(),
        connection.provider,
        connection.base_url,
        connection.secret_ref,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    Ok(())
}

/// How the book reaches its provider, if that was stored.
///
/// # Errors
/// What the database says.
pub async fn find_connection(tx: &mut Tx, book: BookId) -> Result<Option<ProviderConnection>, DbError> {
    let row = sqlx::query_as!(
        ProviderConnection,
        "select provider, base_url, secret_ref from provider_connections where book_id = $1",
        book.get()
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row)
}

pub(super) async fn find_book_of(tx: &mut Tx, reference: &str, mode: Mode) -> Result<Option<Book>, DbError> {
    let row = sqlx::query!(
        r#"select b.book_id as "id: BookId", b.platform_id, p.reference, b.mode
           from books b join platforms p on p.id = b.platform_id where p.reference = $1 and b.mode = $2"#,
        reference,
        mode.as_str()
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| Book {
        id: row.id,
        platform: row.platform_id.into(),
        reference: row.reference,
        mode: stored_mode(&row.mode),
    }))
}

/// A platform as its sellers see it.
#[derive(Debug, Clone)]
pub struct PlatformName {
    /// Its name.
    pub name: String,
    /// The mode of the book that was asked for.
    pub mode: Mode,
}

/// The platform that a book belongs to.
///
/// # Errors
/// What the database says.
pub async fn find_platform(tx: &mut Tx, book: BookId) -> Result<Option<PlatformName>, DbError> {
    let row = sqlx::query!(
        "select p.name, b.mode from books b join platforms p on p.id = b.platform_id where b.book_id = $1",
        book.get()
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| PlatformName { name: row.name, mode: stored_mode(&row.mode) }))
}

/// A book by its number.
///
/// # Errors
/// What the database says.
pub async fn find_book(tx: &mut Tx, book: BookId) -> Result<Option<Book>, DbError> {
    Ok(list_books(tx).await?.into_iter().find(|known| known.id == book))
}

/// All books; there are two per platform.
///
/// # Errors
/// What the database says.
pub async fn list_books(tx: &mut Tx) -> Result<Vec<Book>, DbError> {
    let rows = sqlx::query!(
        r#"select b.book_id as "id: BookId", b.platform_id, p.reference, b.mode
           from books b join platforms p on p.id = b.platform_id order by b.book_id"#
    )
    .fetch_all(tx.conn())
    .await?;
    let book = |row: (BookId, uuid::Uuid, String, String)| Book {
        id: row.0,
        platform: row.1.into(),
        reference: row.2,
        mode: stored_mode(&row.3),
    };
    Ok(rows.into_iter().map(|row| book((row.id, row.platform_id, row.reference, row.mode))).collect())
}

fn stored_mode(text: &str) -> Mode {
    Mode::parse(text).expect("books_mode_known allows no other word")
}
