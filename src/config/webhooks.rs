//! Where webhooks may be sent, and what encrypts signing secrets in the database.

use std::path::PathBuf;

use clap::Args;
use partita_db::Vault;
use partita_webhooks::Network;
use partita_webhooks::sending::EgressPolicy;
use secrecy::SecretString;

use super::{ConfigError, one_secret};

const SETTING: &str = "PARTITA_ENCRYPTION_KEY";

/// Options of encryption at rest.
#[derive(Debug, Clone, Args)]
pub struct EncryptionArgs {
    /// Key that encrypts signing secrets in the database
    #[arg(long, env = "PARTITA_ENCRYPTION_KEY", hide = true, hide_env_values = true)]
    pub encryption_key: Option<SecretString>,
    /// File with the key that encrypts signing secrets in the database (or set PARTITA_ENCRYPTION_KEY): 64 hexadecimal digits
    #[arg(long, env = "PARTITA_ENCRYPTION_KEY_FILE", value_name = "FILE", help_heading = "Security")]
    pub encryption_key_file: Option<PathBuf>,
}

impl EncryptionArgs {
    /// The vault with the keys.
    ///
    /// # Errors
    /// [`ConfigError`] when there is none, or what there is is no key.
    pub fn vault(&self) -> Result<Vault, ConfigError> {
        let text = one_secret(SETTING, self.encryption_key.as_ref(), self.encryption_key_file.as_deref())?;
        let text = text.ok_or(ConfigError::Missing {
            setting: SETTING,
            fix: "Make one with `openssl rand -hex 32`, keep it with your secrets and apart from the backups, and set \
                  PARTITA_ENCRYPTION_KEY or PARTITA_ENCRYPTION_KEY_FILE. Without it no webhook can be signed or checked.",
        })?;
        Vault::parse(&text).map_err(|error| ConfigError::Invalid {
            setting: SETTING,
            reason: format!("{error}. Make one with `openssl rand -hex 32`"),
        })
    }
}

/// Options of outgoing webhooks.
#[derive(Debug, Clone, Args)]
pub struct EgressArgs {
    /// Ports that webhooks may be sent to
    #[arg(
        long,
        env = "PARTITA_WEBHOOK_PORTS",
        value_name = "PORTS",
        value_delimiter = ',',
        default_value = "443",
        help_heading = "Webhooks out"
    )]
    pub webhook_ports: Vec<u16>,
    /// Networks of yours that webhooks may be sent to although they are not public, also by http and to any port
    #[arg(
        long,
        env = "PARTITA_WEBHOOK_NETWORKS",
        value_name = "NETWORKS",
        value_delimiter = ',',
        help_heading = "Webhooks out"
    )]
    pub webhook_networks: Vec<Network>,
}

impl EgressArgs {
    /// Where webhooks may be sent.
    pub fn policy(&self) -> EgressPolicy {
        EgressPolicy::new(self.webhook_ports.clone(), self.webhook_networks.clone())
    }
}
