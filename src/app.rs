//! What every use case needs: the database, the clock, number blocks and the providers. Built once from configuration.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use partita_db::{BookId, Db, DbError, Keys, Scope};
use partita_provider::Provider;
use partita_stripe::{Stripe, StripeOptions};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::config::{self, SecretRefError};
use crate::platforms;

/// The service's shared parts.
pub struct App {
    /// The database, under the application's role.
    pub db: Db,
    /// Numbers for ledger rows.
    pub keys: Keys,
    /// Business time.
    pub clock: Clock,
    /// Wakes the worker of this process when something became due.
    pub wake: Notify,
    /// Hashes API keys.
    pub pepper: SecretString,
    providers: Mutex<HashMap<BookId, Arc<dyn Provider>>>,
}

/// Why a book's provider cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ProviderSetupError {
    /// No connection is stored for the book.
    #[error("the book has no provider connection")]
    NotConnected,
    /// The stored reference to the secret cannot be followed.
    #[error("the provider's secret cannot be read")]
    Secret(#[from] SecretRefError),
    /// The connection's settings make no client.
    #[error("the provider's connection is not usable: {0}")]
    Unusable(String),
    /// The connection could not be read.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl App {
    /// Puts the parts together; connects to nothing but what `db` already is.
    pub fn new(db: Db, clock: Clock, pepper: SecretString) -> Arc<Self> {
        Arc::new(Self {
            keys: Keys::new(),
            db,
            clock,
            wake: Notify::new(),
            pepper,
            providers: Mutex::new(HashMap::new()),
        })
    }

    /// The provider of a book, set up on first use.
    ///
    /// # Errors
    /// [`ProviderSetupError`].
    pub async fn provider(&self, book: BookId) -> Result<Arc<dyn Provider>, ProviderSetupError> {
        if let Some(provider) = self.known_provider(book) {
            return Ok(provider);
        }
        let connection = self
            .db
            .read("provider connection", Scope::Routing, move |tx| {
                Box::pin(async move { platforms::find_connection(tx, book).await })
            })
            .await?
            .ok_or(ProviderSetupError::NotConnected)?;
        let secret_key = config::resolve_secret(&connection.secret_ref)?;
        if secret_key.expose_secret().is_empty() {
            return Err(ProviderSetupError::Unusable("the secret key is empty".to_owned()));
        }
        let base_url = connection
            .base_url
            .parse()
            .map_err(|error| ProviderSetupError::Unusable(format!("base address: {error}")))?;
        let stripe = Stripe::try_new(&StripeOptions { base_url, ..StripeOptions::new(secret_key) })
            .map_err(|error| ProviderSetupError::Unusable(error.to_string()))?;
        let provider: Arc<dyn Provider> = Arc::new(stripe);
        self.providers.lock().expect("no code panics while holding it").insert(book, Arc::clone(&provider));
        Ok(provider)
    }

    /// Forgets how a book reaches its provider; the next use reads connection and secret again.
    pub fn forget_provider(&self, book: BookId) {
        self.providers.lock().expect("no code panics while holding it").remove(&book);
    }

    fn known_provider(&self, book: BookId) -> Option<Arc<dyn Provider>> {
        self.providers.lock().expect("no code panics while holding it").get(&book).cloned()
    }
}
