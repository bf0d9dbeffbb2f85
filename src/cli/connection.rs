//! How commands reach the database: by what was given, or that of the demo that runs on this machine.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use partita_db::{Db, DbError, DbOptions, Scope};
use partita_webhooks::sending::EgressPolicy;
use secrecy::{ExposeSecret as _, SecretString};

use super::output;
use crate::app::{App, RESEND_UP_TO, Secrets};
use crate::clock::{Clock, DatabaseClock};
use crate::config::{ConfigError, DatabaseArgs, EncryptionArgs, LogFormat, LogSettings, PepperArgs};
use crate::{demo, platforms, telemetry};

/// SQLSTATE of a table that is not there.
const UNDEFINED_TABLE: &str = "42P01";

const NO_DATABASE: &str = "Give the URL of your own Postgres under the application's role (DATABASE_URL or \
    DATABASE_URL_FILE), after `partita migrate` made the schema as the owner; or run `partita demo`, which brings a \
    private Postgres and a simulated provider, and needs no configuration";

/// Options of commands for people: they log little.
#[derive(Debug, Clone, Args)]
pub(super) struct QuietLogArgs {
    /// Which log lines are shown: a level, or a filter such as warn,partita=debug
    // The provider's types warn of words that are newer than they are; nothing follows for a person.
    #[arg(long, env = "PARTITA_LOG_LEVEL", default_value = "warn,stripe_shared=error", help_heading = "Logs")]
    log_level: String,
}

impl QuietLogArgs {
    pub(super) fn set_up(&self) -> anyhow::Result<()> {
        let settings = LogSettings { format: LogFormat::Plain, filter: self.log_level.clone() };
        Ok(telemetry::init_logs(&settings)?)
    }
}

/// Options of commands that work on the database and are not the service.
#[derive(Debug, Clone, Args)]
pub(super) struct ToolArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Where the demo keeps its data: without a database's URL, the command works on the demo that runs there
    #[arg(long, env = "PARTITA_DATA", value_name = "DIR", help_heading = "Database")]
    data: Option<PathBuf>,
    #[command(flatten)]
    log: QuietLogArgs,
}

impl ToolArgs {
    /// The service's parts, for a command that needs no secrets.
    pub(super) async fn connect(&self) -> anyhow::Result<Arc<App>> {
        self.connect_as(|_| Ok(Secrets::default())).await
    }

    /// The service's parts, for a command that makes API keys.
    pub(super) async fn connect_with_pepper(&self, pepper: &PepperArgs) -> anyhow::Result<Arc<App>> {
        let pepper = |of_demo: Option<Secrets>| match of_demo {
            Some(secrets) => Ok(secrets),
            None => Ok(Secrets { pepper: pepper.secret()?, ..Secrets::default() }),
        };
        self.connect_as(pepper).await
    }

    /// The service's parts, for a command that stores signing secrets.
    pub(super) async fn connect_with_vault(&self, encryption: &EncryptionArgs) -> anyhow::Result<Arc<App>> {
        let vault = |of_demo: Option<Secrets>| match of_demo {
            Some(secrets) => Ok(secrets),
            None => Ok(Secrets { vault: encryption.vault()?, ..Secrets::default() }),
        };
        self.connect_as(vault).await
    }

    async fn connect_as(
        &self,
        secrets: impl FnOnce(Option<Secrets>) -> Result<Secrets, ConfigError>,
    ) -> anyhow::Result<Arc<App>> {
        self.log.set_up()?;
        let settings = self.database.settings()?;
        let (url, secrets) = match settings.url {
            Some(url) => (url, secrets(None)?),
            None => match demo::find_running(self.data.as_deref())? {
                Some(running) => {
                    output::note(&format!("(the demo in {})", running.folder.display()));
                    (running.database_url, secrets(Some(running.secrets))?)
                }
                None => return Err(no_database().into()),
            },
        };
        let db = connect(&url, 4).await?;
        // Read once: a command is over before the two clocks are apart.
        let clock = DatabaseClock::start(&db).await?;
        let app = App::new(db, Clock::Database(clock), secrets, EgressPolicy::default(), RESEND_UP_TO);
        check_schema(&app).await?;
        Ok(app)
    }
}

/// The refusal of a command that needs a database and has none.
pub(super) fn no_database() -> ConfigError {
    ConfigError::Missing { setting: "DATABASE_URL", fix: NO_DATABASE }
}

/// Opens the pool.
pub(crate) async fn connect(url: &SecretString, connections: u32) -> anyhow::Result<Db> {
    let options = DbOptions { max_connections: connections, ..DbOptions::new(url.expose_secret()) };
    Db::connect(&options).await.map_err(|error| match error {
        // Says itself what to do.
        DbError::RoleTooStrong { .. } => error.into(),
        error => anyhow::Error::new(error).context(
            "the database cannot be used; does the server of DATABASE_URL run, and are role and password right?",
        ),
    })
}

/// Fails early, and with what to do, where the schema was never made.
pub(super) async fn check_schema(app: &Arc<App>) -> anyhow::Result<()> {
    let read = app
        .db
        .read("look for the schema", Scope::Routing, |tx| Box::pin(async move { platforms::list_books(tx).await }))
        .await;
    match read {
        Err(error) if is_missing_table(&error) => {
            Err(error).context("the database has no schema yet; run `partita migrate` as its owner first")
        }
        read => read.map(drop).context("the database cannot be read"),
    }
}

fn is_missing_table(error: &DbError) -> bool {
    let DbError::Sqlx(sqlx::Error::Database(error)) = error else { return false };
    error.code().is_some_and(|code| code == UNDEFINED_TABLE)
}
