//! Configuration: from the environment, from files named there, and from the command line. Checked once, at the start;
//! a wrong setting is refused with what to do about it. The only place that reads the environment.
//!
//! Secrets come from variables or files. A secret given as an option could be read by anyone who can list processes, so
//! the options that take secrets themselves are not shown in the help.

mod commands;
mod database;
mod webhooks;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use url::Url;

pub use commands::CommandArgs;
pub use database::{DatabaseArgs, DatabaseSettings, OwnerArgs};
pub use partita_webhooks::Network;
pub use webhooks::{EgressArgs, EncryptionArgs};

/// Fewest characters of a pepper: 32 hexadecimal digits are 128 bits.
const SHORTEST_PEPPER: usize = 32;
/// A file with a secret is small; anything larger is another file.
const LARGEST_SECRET_FILE: u64 = 64 * 1024;

/// Why the configuration cannot be used. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A setting that is needed is not there.
    #[error("{setting} is not set. {fix}")]
    Missing {
        /// The variable.
        setting: &'static str,
        /// What to do.
        fix: &'static str,
    },
    /// A value and a file with the value were both given.
    #[error("{setting} and {setting}_FILE are both set; remove one of them")]
    Twice {
        /// The variable.
        setting: &'static str,
    },
    /// A file with a secret cannot be used.
    #[error("{setting}_FILE cannot be used")]
    File {
        /// The variable without its `_FILE`.
        setting: &'static str,
        /// What is wrong.
        #[source]
        source: SecretRefError,
    },
    /// A value is not possible.
    #[error("{setting} is not usable: {reason}")]
    Invalid {
        /// The variable.
        setting: &'static str,
        /// What is wrong and what to do.
        reason: String,
    },
}

/// Why a reference to a secret leads nowhere. The texts name the reference, never the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretRefError {
    /// Neither `env:NAME` nor `file:/path`.
    #[error("a secret is referred to as env:NAME or file:/path")]
    BadForm,
    /// The variable is not there, or is not text.
    #[error("the environment variable {0} is not set")]
    NotSet(String),
    /// The file cannot be read.
    #[error("the file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is a variable or file, but nothing in it.
    #[error("{0} is empty")]
    Empty(String),
}

/// Reads a secret that is referred to as `env:NAME` or `file:/path`. White space around it is not part of it.
///
/// # Errors
/// [`SecretRefError`].
pub fn resolve_secret(reference: &str) -> Result<SecretString, SecretRefError> {
    match reference.split_once(':') {
        Some(("env", name)) if !name.is_empty() => {
            let text = variable(name).ok_or_else(|| SecretRefError::NotSet(name.to_owned()))?;
            secret_of(&text, name)
        }
        Some(("file", path)) if !path.is_empty() => secret_in_file(Path::new(path)),
        _ => Err(SecretRefError::BadForm),
    }
}

fn secret_in_file(path: &Path) -> Result<SecretString, SecretRefError> {
    let unreadable = |source| SecretRefError::Unreadable { path: path.to_owned(), source };
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > LARGEST_SECRET_FILE {
        return Err(unreadable(std::io::Error::other("it is too large to be a secret")));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    secret_of(&text, &path.display().to_string())
}

fn secret_of(text: &str, from: &str) -> Result<SecretString, SecretRefError> {
    match text.trim() {
        "" => Err(SecretRefError::Empty(from.to_owned())),
        secret => Ok(SecretString::from(secret)),
    }
}

/// An environment variable; none when it is not set or not text.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    Json,
    /// Text, for people.
    Plain,
}

/// Options of logs.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// How log lines look
    #[arg(long, env = "PARTITA_LOG_FORMAT", value_enum, default_value = "plain", help_heading = "Logs")]
    pub log_format: LogFormat,
    /// Which lines are logged: a level, or a filter such as warn,partita=debug
    #[arg(long, env = "PARTITA_LOG_LEVEL", default_value = "info", help_heading = "Logs")]
    pub log_level: String,
}

/// How and what to log.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
    /// Which lines.
    pub filter: String,
}

impl LogArgs {
    /// The checked settings; the filter itself is checked when logs are set up.
    pub fn settings(&self) -> LogSettings {
        LogSettings { format: self.log_format, filter: self.log_level.clone() }
    }
}

/// Options of API keys.
#[derive(Debug, Clone, Args)]
pub struct PepperArgs {
    /// Secret that API keys are hashed with
    #[arg(long, env = "PARTITA_PEPPER", hide = true, hide_env_values = true)]
    pub pepper: Option<SecretString>,
    /// File with the secret that API keys are hashed with (or set PARTITA_PEPPER); at least 32 characters, never changed
    #[arg(long, env = "PARTITA_PEPPER_FILE", value_name = "FILE", help_heading = "Security")]
    pub pepper_file: Option<PathBuf>,
}

impl PepperArgs {
    /// The pepper.
    ///
    /// # Errors
    /// [`ConfigError`] when there is none, or one that is too short or too plain to protect anything.
    pub fn secret(&self) -> Result<SecretString, ConfigError> {
        let pepper = one_secret("PARTITA_PEPPER", self.pepper.as_ref(), self.pepper_file.as_deref())?;
        let pepper = pepper.ok_or(ConfigError::Missing {
            setting: "PARTITA_PEPPER",
            fix: "Make one with `openssl rand -hex 32`, keep it with your secrets, and set PARTITA_PEPPER or \
                  PARTITA_PEPPER_FILE. Keep it for good: with another pepper no API key works any more.",
        })?;
        check_pepper(&pepper)?;
        Ok(pepper)
    }
}

/// Refuses a pepper that could be guessed.
///
/// # Errors
/// [`ConfigError::Invalid`].
pub fn check_pepper(pepper: &SecretString) -> Result<(), ConfigError> {
    let text = pepper.expose_secret();
    let length = text.chars().count();
    let distinct = text.chars().collect::<std::collections::HashSet<_>>().len();
    if length >= SHORTEST_PEPPER && distinct >= 8 {
        return Ok(());
    }
    Err(ConfigError::Invalid {
        setting: "PARTITA_PEPPER",
        reason: format!(
            "it has {length} characters, {distinct} of them different; it needs at least {SHORTEST_PEPPER} random ones. \
             Make one with `openssl rand -hex 32`"
        ),
    })
}

/// Options of the HTTP server.
#[derive(Debug, Clone, Args)]
pub struct HttpArgs {
    /// Address and port to serve on
    #[arg(
        long,
        env = "PARTITA_BIND",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080",
        help_heading = "Server"
    )]
    pub bind: SocketAddr,
    /// Address and port for metrics and health; keep it private
    #[arg(
        long,
        env = "PARTITA_ADMIN_BIND",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:9090",
        help_heading = "Server"
    )]
    pub admin_bind: SocketAddr,
    /// Address under which the outside reaches this service [default: http:// and the bound address]
    #[arg(long, env = "PARTITA_PUBLIC_URL", value_name = "URL", help_heading = "Server")]
    pub public_url: Option<Url>,
    /// Connections of clients held at once
    #[arg(
        long,
        env = "PARTITA_MAX_CONNECTIONS",
        value_name = "NUMBER",
        default_value = "1024",
        help_heading = "Server"
    )]
    pub max_connections: NonZeroU32,
    /// Seconds between "not ready" and the end of accepting, for balancers to notice
    #[arg(long, env = "PARTITA_SHUTDOWN_DELAY", value_name = "SECONDS", default_value = "0", value_parser = clap::value_parser!(u64).range(0..=60), help_heading = "Server")]
    pub shutdown_delay: u64,
    /// Seconds that requests under way get to end at shutdown
    #[arg(long, env = "PARTITA_DRAIN", value_name = "SECONDS", default_value = "25", value_parser = clap::value_parser!(u64).range(0..=25), help_heading = "Server")]
    pub drain: u64,
    /// Requests a second that each API key may make; 0 for no limit
    #[arg(long, env = "PARTITA_KEY_RATE", value_name = "NUMBER", default_value = "100", help_heading = "Limits")]
    pub key_rate: u32,
    /// Requests that each API key may make at once
    #[arg(long, env = "PARTITA_KEY_BURST", value_name = "NUMBER", default_value = "200", help_heading = "Limits")]
    pub key_burst: NonZeroU32,
    /// Requests a second that each client address may make, valid key or not; 0 for no limit
    #[arg(long, env = "PARTITA_ADDRESS_RATE", value_name = "NUMBER", default_value = "300", help_heading = "Limits")]
    pub address_rate: u32,
    /// Requests that each client address may make at once
    #[arg(long, env = "PARTITA_ADDRESS_BURST", value_name = "NUMBER", default_value = "600", help_heading = "Limits")]
    pub address_burst: NonZeroU32,
    /// Networks of proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8,::1
    #[arg(
        long,
        env = "PARTITA_TRUSTED_PROXIES",
        value_name = "NETWORKS",
        value_delimiter = ',',
        help_heading = "Limits"
    )]
    pub trusted_proxies: Vec<Network>,
    /// Run the worker in this process too
    #[arg(long, env = "PARTITA_WITH_WORKER", value_name = "BOOL", default_value = "true", action = clap::ArgAction::Set, help_heading = "Server")]
    pub with_worker: bool,
}

/// How to serve.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Where to serve.
    pub bind: SocketAddr,
    /// Where to serve metrics and health.
    pub admin_bind: SocketAddr,
    /// Address under which the outside reaches this service, without a slash at its end; none: where it is bound.
    pub public_url: Option<Url>,
    /// Connections of clients held at once.
    pub max_connections: usize,
    /// Between "not ready" and the end of accepting.
    pub shutdown_delay: Duration,
    /// What requests under way get to end at shutdown.
    pub drain: Duration,
    /// Rate limits.
    pub rates: RateSettings,
    /// Whether the worker runs in this process too.
    pub with_worker: bool,
}

/// Who may call how often.
#[derive(Debug, Clone, Default)]
pub struct RateSettings {
    /// For each API key; none: no limit.
    pub per_key: Option<Rate>,
    /// For each client address; none: no limit.
    pub per_address: Option<Rate>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
}

/// A rate of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second, in the long run.
    pub per_second: NonZeroU32,
    /// Requests at once, after a pause.
    pub burst: NonZeroU32,
}

impl HttpArgs {
    /// The checked settings.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn settings(&self) -> Result<HttpSettings, ConfigError> {
        if let Some(url) = &self.public_url {
            check_public_url(url)?;
        }
        let rate = |per_second, burst| NonZeroU32::new(per_second).map(|per_second| Rate { per_second, burst });
        Ok(HttpSettings {
            bind: self.bind,
            admin_bind: self.admin_bind,
            public_url: self.public_url.clone(),
            max_connections: usize::try_from(self.max_connections.get()).unwrap_or(usize::MAX),
            shutdown_delay: Duration::from_secs(self.shutdown_delay),
            drain: Duration::from_secs(self.drain),
            rates: RateSettings {
                per_key: rate(self.key_rate, self.key_burst),
                per_address: rate(self.address_rate, self.address_burst),
                trusted_proxies: self.trusted_proxies.clone(),
            },
            with_worker: self.with_worker,
        })
    }
}

fn check_public_url(url: &Url) -> Result<(), ConfigError> {
    let plain =
        url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    if matches!(url.scheme(), "http" | "https") && url.path() == "/" && plain {
        return Ok(());
    }
    Err(ConfigError::Invalid {
        setting: "PARTITA_PUBLIC_URL",
        reason: "give scheme, host and port only, such as https://pay.market.example".to_owned(),
    })
}

fn check_database_url(setting: &'static str, url: &SecretString) -> Result<(), ConfigError> {
    let scheme = url.expose_secret().split("://").next().unwrap_or_default();
    if matches!(scheme, "postgres" | "postgresql") {
        return Ok(());
    }
    // The value is not repeated: it holds a password.
    Err(ConfigError::Invalid { setting, reason: "give postgres://role:password@host:port/database".to_owned() })
}

fn one_secret(
    setting: &'static str,
    value: Option<&SecretString>,
    file: Option<&Path>,
) -> Result<Option<SecretString>, ConfigError> {
    match (value, file) {
        (Some(_), Some(_)) => Err(ConfigError::Twice { setting }),
        (Some(value), None) if value.expose_secret().trim().is_empty() => Err(ConfigError::Invalid {
            setting,
            reason: "it is set but empty; give it a value or remove it".to_owned(),
        }),
        (Some(value), None) => Ok(Some(value.clone())),
        (None, Some(path)) => secret_in_file(path).map(Some).map_err(|source| ConfigError::File { setting, source }),
        (None, None) => Ok(None),
    }
}

/// One line of `config print`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// Its value as it is in force; secrets are not shown.
    pub value: String,
}

fn listed<T: ToString>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Everything that is configured, as it is in force, for people. Secrets are shown as `(set)` or `(not set)`.
#[expect(clippy::too_many_arguments, reason = "one for each group of options")]
pub fn print(
    log: &LogArgs,
    database: &DatabaseArgs,
    owner: &OwnerArgs,
    pepper: &PepperArgs,
    encryption: &EncryptionArgs,
    egress: &EgressArgs,
    http: &HttpArgs,
    commands: &CommandArgs,
) -> Vec<Setting> {
    let secret = |value: &Option<SecretString>| if value.is_some() { "(set)" } else { "(not set)" }.to_owned();
    let file = |path: &Option<PathBuf>| path.as_ref().map_or("(not set)".to_owned(), |path| path.display().to_string());
    let default_url = || format!("http://{}", http.bind);
    let format = if log.log_format == LogFormat::Json { "json" } else { "plain" };
    [
        ("DATABASE_URL", secret(&database.database_url)),
        ("DATABASE_URL_FILE", file(&database.database_url_file)),
        ("PARTITA_DATABASE_CONNECTIONS", database.database_connections.to_string()),
        ("PARTITA_OWNER_URL", secret(&owner.owner_url)),
        ("PARTITA_OWNER_URL_FILE", file(&owner.owner_url_file)),
        ("PARTITA_PEPPER", secret(&pepper.pepper)),
        ("PARTITA_PEPPER_FILE", file(&pepper.pepper_file)),
        ("PARTITA_ENCRYPTION_KEY", secret(&encryption.encryption_key)),
        ("PARTITA_ENCRYPTION_KEY_FILE", file(&encryption.encryption_key_file)),
        ("PARTITA_WEBHOOK_PORTS", listed(&egress.webhook_ports)),
        ("PARTITA_WEBHOOK_NETWORKS", listed(&egress.webhook_networks)),
        ("PARTITA_BIND", http.bind.to_string()),
        ("PARTITA_ADMIN_BIND", http.admin_bind.to_string()),
        ("PARTITA_PUBLIC_URL", http.public_url.as_ref().map_or_else(default_url, Url::to_string)),
        ("PARTITA_MAX_CONNECTIONS", http.max_connections.to_string()),
        ("PARTITA_SHUTDOWN_DELAY", http.shutdown_delay.to_string()),
        ("PARTITA_DRAIN", http.drain.to_string()),
        ("PARTITA_KEY_RATE", http.key_rate.to_string()),
        ("PARTITA_KEY_BURST", http.key_burst.to_string()),
        ("PARTITA_ADDRESS_RATE", http.address_rate.to_string()),
        ("PARTITA_ADDRESS_BURST", http.address_burst.to_string()),
        ("PARTITA_TRUSTED_PROXIES", listed(&http.trusted_proxies)),
        ("PARTITA_WITH_WORKER", http.with_worker.to_string()),
        ("PARTITA_RESEND_UP_TO", commands.resend_up_to.to_string()),
        ("PARTITA_LOG_FORMAT", format.to_owned()),
        ("PARTITA_LOG_LEVEL", log.log_level.clone()),
    ]
    .into_iter()
    .map(|(name, value)| Setting { name, value })
    .collect()
}

#[cfg(test)]
mod tests;
