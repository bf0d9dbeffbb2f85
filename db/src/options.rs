//! How the pool connects, and the limits of each transaction.

use std::{str::FromStr, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{ConnectOptions, postgres::PgConnectOptions};

use crate::error::DbError;

/// A connection that was idle for less is taken from the pool without a question to the server.
pub(crate) const PING_AFTER_IDLE: Duration = Duration::from_secs(1);

/// After this long without a statement the server itself ends a transaction, and the connection with it.
const IDLE_IN_TRANSACTION: &str = "10s";

/// How to connect as the application's role.
#[derive(Clone, Debug)]
pub struct DbOptions {
    /// The role's URL, `postgres://role:password@host:port/database`. Held as a secret: it is not printed.
    pub url: SecretString,
    /// Upper bound of open connections, 16 unless set.
    pub max_connections: u32,
    /// How long a unit of work waits for a free connection, or for a server that is starting up; 10 s unless set.
    pub acquire_timeout: Duration,
    /// The server ends a statement that runs longer; 5 s unless set. It does not strike the commit.
    pub statement_timeout: Duration,
    /// The server ends a wait for a lock that lasts longer, and the work is tried again; 2 s unless set.
    pub lock_timeout: Duration,
    /// How long a unit of work, and then its commit, may take before its connection is given up; 60 s unless set. Only a
    /// server that vanished without a word comes to that: no limit of its own ends anything then.
    pub work_timeout: Duration,
    /// Shown in `pg_stat_activity`; `partita` unless set.
    pub application_name: String,
}

impl DbOptions {
    /// The defaults for this URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: SecretString::from(url.into()),
            max_connections: 16,
            acquire_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(5),
            lock_timeout: Duration::from_secs(2),
            work_timeout: Duration::from_mins(1),
            application_name: "partita".to_owned(),
        }
    }

    /// sqlx itself asks for the time zone UTC and for UTF-8 in the start-up message.
    pub(crate) fn connect_options(&self) -> Result<PgConnectOptions, DbError> {
        Ok(PgConnectOptions::from_str(self.url.expose_secret())?
            .application_name(&self.application_name)
            .options([("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION)])
            .disable_statement_logging())
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            statement_timeout_ms: self.statement_timeout.as_millis(),
            lock_timeout_ms: self.lock_timeout.as_millis(),
            answer: self.work_timeout.min(ANSWER),
            work: self.work_timeout,
        }
    }
}

/// How long the server may take for what takes it no time.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);

/// What every transaction sets for itself, and how long it waits for a server that says nothing.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) statement_timeout_ms: u128,
    pub(crate) lock_timeout_ms: u128,
    /// What takes the server no time: beginning, rolling back, a question.
    pub(crate) answer: Duration,
    /// The work itself, and the commit.
    pub(crate) work: Duration,
}
