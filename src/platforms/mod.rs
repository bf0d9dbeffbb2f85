//! Platforms, their books and their keys.
//!
//! A platform is one marketplace. It has two books, test and live, that never share a row; an API key opens exactly
//! one of them. These rows are read before the book is known, so they stand in routing tables without payload.

mod error;
pub mod keys;
mod store;

use std::sync::Arc;

use partita_db::{BookId, Scope};
use partita_webhooks::WebhookSecret;
use partita_webhooks::endpoint::{self, EndpointKind, EndpointMode, NewEndpoint};

pub use error::PlatformError;
pub use store::{PlatformName, find_api_key, find_book, find_connection, find_platform, list_books};

use crate::app::App;
use crate::id::{ApiKeyId, PlatformId, random_hex};

/// Whether real money moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The provider's test mode, or a simulator.
    Test,
    /// Real money.
    Live,
}

impl Mode {
    /// The word that stands in keys, rows and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Live => "live",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Test, Self::Live].into_iter().find(|mode| mode.as_str() == text)
    }
}

/// A book with the platform it belongs to.
#[derive(Debug, Clone)]
pub struct Book {
    /// The book.
    pub id: BookId,
    /// Whose it is.
    pub platform: PlatformId,
    /// The platform's own reference.
    pub reference: String,
    /// Whether real money moves.
    pub mode: Mode,
}

/// How a book reaches its provider.
#[derive(Debug, Clone)]
pub struct ProviderConnection {
    /// The provider's name: `stripe`.
    pub provider: String,
    /// The base address of its API.
    pub base_url: String,
    /// Where the secret key is: `env:NAME` or `file:/path`.
    pub secret_ref: String,
}

/// What an API key opens.
#[derive(Debug, Clone)]
pub struct ApiKeyRecord {
    /// The key's public id.
    pub id: ApiKeyId,
    /// The key's number in ledger rows.
    pub number: i64,
    /// The book it opens.
    pub book: BookId,
    /// Whether real money moves there.
    pub mode: Mode,
    /// The platform whose book it is.
    pub platform: PlatformId,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it stops working, by the business clock.
    pub expires_at: Option<jiff::Timestamp>,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// How many secrets are sealed in one transaction.
const SEALED_AT_ONCE: i64 = 100;

/// Every scope that a key can have.
pub const SCOPES: &[&str] = &[
    "sellers:read",
    "sellers:write",
    "payments:read",
    "payments:write",
    "payouts:read",
    "payouts:write",
    "ledger:read",
    "reconciliation:read",
    "reconciliation:write",
    "events:read",
    "events:write",
    "adjustments:read",
    "adjustments:write",
    "approvals:read",
    "approvals:write",
    "webhooks:read",
    "webhooks:write",
];

/// Opens a platform with a test and a live book.
///
/// # Errors
/// [`PlatformError`].
pub async fn create(app: &Arc<App>, reference: &str, name: &str) -> Result<Vec<Book>, PlatformError> {
    let now = app.clock.now();
    let (reference, name) = (reference.to_owned(), name.to_owned());
    let platform = PlatformId::new();
    let books = app
        .db
        .run_tx("create platform", Scope::Routing, move |tx| {
            let (reference, name) = (reference.clone(), name.clone());
            Box::pin(async move {
                store::insert_platform(tx, platform, &reference, &name, now).await?;
                let mut books = Vec::new();
                for mode in [Mode::Test, Mode::Live] {
                    let id = store::insert_book(tx, platform, mode, now).await?;
                    books.push(Book { id, platform, reference: reference.clone(), mode });
                }
                Ok::<_, PlatformError>(books)
            })
        })
        .await?;
    for book in &books {
        open_books_accounts(app, book.id).await?;
    }
    Ok(books)
}

async fn open_books_accounts(app: &Arc<App>, book: BookId) -> Result<(), PlatformError> {
    app.db
        .run_tx("open book", Scope::Book(book), move |tx| {
            Box::pin(async move {
                partita_ledger::open_book(tx, book).await?;
                store::insert_counters(tx, book).await?;
                Ok(())
            })
        })
        .await
}

/// Makes an API key and returns it; it is shown this once.
///
/// # Errors
/// [`PlatformError::UnknownScope`] and what the database says.
pub async fn create_key(
    app: &Arc<App>,
    book: &Book,
    name: &str,
    scopes: Vec<String>,
    expires_at: Option<jiff::Timestamp>,
) -> Result<(ApiKeyId, String), PlatformError> {
    if let Some(unknown) = scopes.iter().find(|scope| !SCOPES.contains(&scope.as_str())) {
        return Err(PlatformError::UnknownScope(unknown.clone()));
    }
    let key = keys::generate(book.mode);
    let hash = keys::hash(&app.pepper, &key);
    let (id, now, book_id) = (ApiKeyId::new(), app.clock.now(), book.id);
    let hint = keys::hint(&key);
    let (app_in, name) = (Arc::clone(app), name.to_owned());
    app.db
        .run_tx("create API key", Scope::Routing, move |tx| {
            let (app, name, hint, scopes) = (Arc::clone(&app_in), name.clone(), hint.clone(), scopes.clone());
            Box::pin(async move {
                let number = app.keys.next(tx).await?;
                let key = store::NewApiKey { id, hash, book: book_id, number, name, hint, scopes, expires_at };
                store::insert_api_key(tx, &key, now).await
            })
        })
        .await?;
    Ok((id, key))
}

/// Revokes a key; replicas stop honouring it within five seconds.
///
/// # Errors
/// [`PlatformError::NotFound`] when there is no such key that still works.
pub async fn revoke_key(app: &Arc<App>, id: ApiKeyId) -> Result<(), PlatformError> {
    let now = app.clock.now();
    app.db
        .run_tx("revoke API key", Scope::Routing, move |tx| {
            Box::pin(async move { store::revoke_api_key(tx, id, now).await })
        })
        .await
}

/// Stores how a book reaches its provider; replaces what was stored before.
///
/// # Errors
/// What the database says.
pub async fn connect_provider(
    app: &Arc<App>,
    book: BookId,
    connection: ProviderConnection,
) -> Result<(), PlatformError> {
    let now = app.clock.now();
    app.db
        .run_tx("connect provider", Scope::Routing, move |tx| {
            let connection = connection.clone();
            Box::pin(async move { store::upsert_connection(tx, book, &connection, now).await })
        })
        .await
}

/// Opens an address for a provider's webhooks and returns its token, the last part of the path. The provider makes the
/// secret and shows it when the endpoint is entered there.
///
/// # Errors
/// What the database says.
pub async fn open_webhook_endpoint(
    app: &Arc<App>,
    book: &Book,
    kind: EndpointKind,
    secret: WebhookSecret,
) -> Result<String, PlatformError> {
    let token = random_hex::<16>();
    let endpoint = NewEndpoint {
        token: token.clone(),
        book: book.id,
        provider: "stripe".to_owned(),
        kind,
        mode: match book.mode {
            Mode::Test => EndpointMode::Test,
            Mode::Live => EndpointMode::Live,
        },
        secret,
        created_at: app.clock.now(),
    };
    let vault = app.vault.clone();
    app.db
        .run_tx("open webhook endpoint", Scope::Routing, move |tx| {
            let (vault, endpoint) = (vault.clone(), endpoint.clone());
            Box::pin(async move { Ok::<_, PlatformError>(endpoint::insert_endpoint(tx, &vault, &endpoint).await?) })
        })
        .await?;
    Ok(token)
}

/// Seals the signing secrets of incoming webhooks that are in clear text or under an older encryption key; returns how
/// many that were.
///
/// # Errors
/// Without an encryption key, or where an older one is missing.
pub async fn seal_webhook_secrets(app: &Arc<App>) -> Result<usize, PlatformError> {
    let vault = app.vault.clone();
    app.db
        .run_tx("seal webhook secrets", Scope::Routing, move |tx| {
            let vault = vault.clone();
            Box::pin(async move { Ok::<_, PlatformError>(endpoint::seal_secrets(tx, &vault, SEALED_AT_ONCE).await?) })
        })
        .await
}

/// The book of a platform, by the platform's own reference.
///
/// # Errors
/// [`PlatformError::NotFound`].
pub async fn book_of(app: &Arc<App>, reference: &str, mode: Mode) -> Result<Book, PlatformError> {
    let reference = reference.to_owned();
    app.db
        .read("find book", Scope::Routing, move |tx| {
            let reference = reference.clone();
            Box::pin(async move { store::find_book_of(tx, &reference, mode).await?.ok_or(PlatformError::NotFound) })
        })
        .await
}
