//! Migrations: the only place that opens the owner's URL.

use std::{str::FromStr, time::Duration};

use sqlx::{ConnectOptions, Connection, PgConnection, migrate::Migrator, postgres::PgConnectOptions};

use crate::error::{DbError, is_retryable};

/// A migration that waits longer for a table holds up everyone behind it, so it gives way and comes back.
const LOCK_TIMEOUT: &str = "2s";
const MAX_TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_millis(500);

/// Runs what is pending of the migrations, as the owner, on one direct connection (not through a pooler: migrations
/// hold an advisory lock, so that two processes that start at once do not collide).
///
/// # Errors
/// [`DbError::Migrate`] if a migration fails, or was changed after it was applied; [`DbError::Sqlx`] if the server
/// cannot be reached.
pub async fn migrate(owner_url: &str, migrator: &Migrator) -> Result<(), DbError> {
    let options = PgConnectOptions::from_str(owner_url)?
        .application_name("partita-migrate")
        .options([("lock_timeout", LOCK_TIMEOUT)])
        .disable_statement_logging();
    let mut tries = 1;
    loop {
        match run(&options, migrator).await {
            Err(error) if tries < MAX_TRIES && is_retryable(&error) => {
                tracing::info!(tries, %error, "the migrations wait for a lock; trying again");
                tokio::time::sleep(PAUSE).await;
                tries += 1;
            }
            result => return result,
        }
    }
}

/// On its own connection each time: the migrator does not give up its advisory lock when it fails.
async fn run(options: &PgConnectOptions, migrator: &Migrator) -> Result<(), DbError> {
    let mut connection = PgConnection::connect_with(options).await?;
    let result = migrator.run_direct(None, &mut connection, false).await;
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "the migration's connection was gone already");
    }
    Ok(result?)
}
