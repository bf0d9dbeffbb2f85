//! Where the database is, for each of its two roles.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::Args;
use secrecy::SecretString;

use super::{ConfigError, check_database_url, one_secret};

/// Options of the database for the service, its worker and the tools.
#[derive(Debug, Clone, Args)]
pub struct DatabaseArgs {
    /// URL of the database under the application's role
    #[arg(long, env = "DATABASE_URL", hide = true, hide_env_values = true)]
    pub database_url: Option<SecretString>,
    /// File with the URL of the database under the application's role (or set DATABASE_URL)
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE", help_heading = "Database")]
    pub database_url_file: Option<PathBuf>,
    /// Most connections to the database
    #[arg(
        long,
        env = "PARTITA_DATABASE_CONNECTIONS",
        value_name = "NUMBER",
        default_value = "16",
        help_heading = "Database"
    )]
    pub database_connections: NonZeroU32,
}

/// Where the database is.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// URL under the application's role; none: not set.
    pub url: Option<SecretString>,
    /// Most connections.
    pub connections: NonZeroU32,
}

impl DatabaseArgs {
    /// The checked settings.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn settings(&self) -> Result<DatabaseSettings, ConfigError> {
        let url = one_secret("DATABASE_URL", self.database_url.as_ref(), self.database_url_file.as_deref())?;
        if let Some(url) = &url {
            check_database_url("DATABASE_URL", url)?;
        }
        Ok(DatabaseSettings { url, connections: self.database_connections })
    }
}

/// Options of the role that owns the schema, for migrations only.
#[derive(Debug, Clone, Args)]
pub struct OwnerArgs {
    /// URL of the database under the owner's role
    #[arg(long, env = "PARTITA_OWNER_URL", hide = true, hide_env_values = true)]
    pub owner_url: Option<SecretString>,
    /// File with the URL of the database under the role that owns the schema (or set PARTITA_OWNER_URL)
    #[arg(long, env = "PARTITA_OWNER_URL_FILE", value_name = "FILE", help_heading = "Database")]
    pub owner_url_file: Option<PathBuf>,
}

impl OwnerArgs {
    /// The owner's URL, if one was given.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn url(&self) -> Result<Option<SecretString>, ConfigError> {
        let url = one_secret("PARTITA_OWNER_URL", self.owner_url.as_ref(), self.owner_url_file.as_deref())?;
        if let Some(url) = &url {
            check_database_url("PARTITA_OWNER_URL", url)?;
        }
        Ok(url)
    }
}
