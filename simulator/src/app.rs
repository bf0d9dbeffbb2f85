//! What the running simulator holds.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, RwLock};

use sqlx::PgPool;
use tokio::sync::{Mutex, Notify};

use crate::clock::Clock;
use crate::context::{Cx, RequestInfo};
use crate::error::ApiError;
use crate::faults::Faults;
use crate::settings::Settings;
use crate::webhooks::Endpoint;

/// The running simulator's state. What is read with every request is kept here and written through to the database;
/// one process owns a database.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) pool: PgPool,
    pub(crate) clock: Clock,
    pub(crate) platform: Arc<str>,
    pub(crate) secret_key: String,
    pub(crate) base_url: Arc<str>,
    pub(crate) http: reqwest::Client,
    /// Held during a round of webhook deliveries.
    pub(crate) delivering: Mutex<()>,
    /// Held while what is due is done.
    pub(crate) doing: Mutex<()>,
    pub(crate) faults: Arc<Faults>,
    /// The platform's country.
    pub(crate) country: String,
    /// Whether the worker delivers webhooks as they fall due.
    pub(crate) background_webhooks: AtomicBool,
    /// Wakes the worker.
    pub(crate) wake: Notify,
    settings: RwLock<Arc<Settings>>,
    endpoints: RwLock<Arc<Vec<Endpoint>>>,
}

/// Everything an [`App`] is made of that is not empty at first.
pub(crate) struct Parts {
    pub(crate) pool: PgPool,
    pub(crate) clock: Clock,
    pub(crate) platform: String,
    pub(crate) secret_key: String,
    pub(crate) base_url: String,
    pub(crate) http: reqwest::Client,
    pub(crate) country: String,
    pub(crate) background_webhooks: bool,
    pub(crate) settings: Settings,
    pub(crate) endpoints: Vec<Endpoint>,
}

impl App {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            pool: parts.pool,
            clock: parts.clock,
            platform: parts.platform.into(),
            secret_key: parts.secret_key,
            base_url: parts.base_url.into(),
            http: parts.http,
            delivering: Mutex::new(()),
            doing: Mutex::new(()),
            faults: Arc::default(),
            country: parts.country,
            background_webhooks: AtomicBool::new(parts.background_webhooks),
            wake: Notify::new(),
            settings: RwLock::new(Arc::new(parts.settings)),
            endpoints: RwLock::new(Arc::new(parts.endpoints)),
        }
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    pub(crate) fn keep_settings(&self, settings: Settings) {
        *self.settings.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(settings);
    }

    pub(crate) fn endpoints(&self) -> Arc<Vec<Endpoint>> {
        self.endpoints.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    pub(crate) fn keep_endpoints(&self, endpoints: Vec<Endpoint>) {
        *self.endpoints.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(endpoints);
    }

    /// Opens a unit of work for an account; for the platform's when none is named.
    pub(crate) async fn open(&self, account: Option<&str>, request: RequestInfo) -> Result<Cx, ApiError> {
        Ok(Cx {
            conn: self.pool.begin().await?,
            platform: self.platform.clone(),
            account: account.unwrap_or(&self.platform).to_owned(),
            now: self.clock.now(),
            settings: self.settings(),
            endpoints: self.endpoints(),
            faults: self.faults.clone(),
            base_url: self.base_url.clone(),
            request,
            events: Vec::new(),
        })
    }
}
