//! What every use case needs: the database, the clock, number blocks and the providers. Built once from configuration.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use partita_db::{BookId, Db, DbError, Keys, Scope, Vault};
use partita_provider::Provider;
use partita_stripe::{Stripe, StripeOptions};
use partita_webhooks::sending::{Courier, EgressPolicy, SystemLookup};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::{self, SecretRefError};
use crate::guard::{Breaker, Guarded};
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
    pub wake: Wake,
    /// Hashes API keys.
    pub pepper: SecretString,
    /// Up to this amount, in minor units of whatever currency, a command that certainly had no effect is sent again
    /// under a new key; above it, two people decide.
    pub resend_up_to: i64,
    /// Encrypts what must not stand in the database in clear text.
    pub vault: Vault,
    /// Sends webhooks.
    pub courier: Courier,
    providers: Mutex<HashMap<BookId, Arc<dyn Provider>>>,
    /// By the address of the provider.
    breakers: Mutex<HashMap<String, Arc<Breaker>>>,
}

/// [`App::resend_up_to`] where nothing else is configured: 10,000.00 in most currencies.
pub const RESEND_UP_TO: i64 = 1_000_000;

/// Wakes whoever waits for work, all of them; who is at work looks again afterwards.
#[derive(Debug, Default)]
pub struct Wake(watch::Sender<u64>);

impl Wake {
    /// Something became due.
    pub fn now(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// To wait for it: `changed` returns when something became due since it returned before.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

/// What the parts are made with. Nothing of it is needed by tools that make no keys and touch no webhooks.
#[derive(Clone, Default)]
pub struct Secrets {
    /// Hashes API keys.
    pub pepper: SecretString,
    /// Encrypts what must not stand in the database in clear text.
    pub vault: Vault,
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
    ///
    /// # Panics
    /// When TLS cannot be set up: `main` installs its provider before anything else.
    pub fn new(db: Db, clock: Clock, secrets: Secrets, egress: EgressPolicy, resend_up_to: i64) -> Arc<Self> {
        let courier = Courier::try_new(egress, SystemLookup).expect("a TLS provider is installed");
        Arc::new(Self {
            keys: Keys::new(),
            db,
            clock,
            wake: Wake::default(),
            resend_up_to,
            pepper: secrets.pepper,
            vault: secrets.vault,
            courier,
            providers: Mutex::new(HashMap::new()),
            breakers: Mutex::new(HashMap::new()),
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
        let breaker = self.breaker(&connection.base_url);
        let provider: Arc<dyn Provider> = Arc::new(Guarded::new(Box::new(stripe), breaker, self.clock.clone()));
        self.providers.lock().expect("no code panics while holding it").insert(book, Arc::clone(&provider));
        Ok(provider)
    }

    /// Forgets how a book reaches its provider; the next use reads connection and secret again.
    pub fn forget_provider(&self, book: BookId) {
        self.providers.lock().expect("no code panics while holding it").remove(&book);
    }

    fn breaker(&self, address: &str) -> Arc<Breaker> {
        let mut breakers = self.breakers.lock().expect("no code panics while holding it");
        Arc::clone(breakers.entry(address.to_owned()).or_default())
    }

    fn known_provider(&self, book: BookId) -> Option<Arc<dyn Provider>> {
        self.providers.lock().expect("no code panics while holding it").get(&book).cloned()
    }
}
