//! What a handler works with: one database transaction, who asks, and what time it is.

use std::sync::Arc;

use serde_json::Value;
use sqlx::{Postgres, Transaction};

use crate::error::ApiError;
use crate::faults::Faults;
use crate::settings::Settings;
use crate::webhooks::Endpoint;

/// The handler's answer: an object as Stripe shows it, not expanded.
pub(crate) type Answer = Result<Value, ApiError>;

/// Which request caused an event; both empty for what the clock brings.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestInfo {
    pub(crate) id: Option<String>,
    pub(crate) idempotency_key: Option<String>,
}

/// An event that will be written with the transaction.
#[derive(Debug)]
pub(crate) struct NewEvent {
    pub(crate) account: String,
    pub(crate) kind: &'static str,
    pub(crate) object: Value,
    pub(crate) previous: Option<Value>,
}

/// One unit of work.
pub(crate) struct Cx {
    /// The open database transaction; dropped without [`Cx::commit`], it is undone.
    pub(crate) conn: Transaction<'static, Postgres>,
    /// The platform's account.
    pub(crate) platform: Arc<str>,
    /// The account acted for: the platform's, or the one named by `Stripe-Account`.
    pub(crate) account: String,
    /// Seconds.
    pub(crate) now: i64,
    pub(crate) settings: Arc<Settings>,
    pub(crate) endpoints: Arc<Vec<Endpoint>>,
    pub(crate) faults: Arc<Faults>,
    /// Where the hosted pages stand.
    pub(crate) base_url: Arc<str>,
    pub(crate) request: RequestInfo,
    pub(crate) events: Vec<NewEvent>,
}

impl Cx {
    /// Writes the events and commits.
    pub(crate) async fn commit(mut self) -> Result<(), ApiError> {
        crate::events::write(&mut self).await?;
        self.conn.commit().await?;
        Ok(())
    }

    /// Announces something that happened on `account`; `object` is shown as it is now.
    pub(crate) fn emit(&mut self, account: &str, kind: &'static str, object: &Value) {
        self.emit_change(account, kind, object, None);
    }

    /// As [`Cx::emit`], with the former values of what changed.
    pub(crate) fn emit_change(&mut self, account: &str, kind: &'static str, object: &Value, previous: Option<Value>) {
        self.events.push(NewEvent { account: account.to_owned(), kind, object: object.clone(), previous });
    }
}
