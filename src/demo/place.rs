//! The demo's folder: where it is, what is in it, who uses it.
//!
//! The private server makes the folder, closes it to others and holds two locks in it: `owner.lock` as long as the demo
//! lives, `supervisor.lock` as long as Postgres may run.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use partita_db::Vault;
use partita_postgres::{Account, Error, PrivateServer, ServerOptions, default_data_folder};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::below;
use crate::app::Secrets;
use crate::id::{PaymentId, SellerId, random_hex};

const STATE: &str = "state.json";
const RUNNING: &str = "running.json";
const SECRET_KEY: &str = "simulator.key";
const ENCRYPTION_KEY: &str = "encryption.key";
const OWNER_LOCK: &str = "owner.lock";
const SUPERVISOR_LOCK: &str = "supervisor.lock";
/// How long Postgres may take to stop after its owner was killed.
const STOPPED_WITHIN: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(100);

/// What is remembered from one start to the next.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// What was made the first time.
    pub(super) marketplace: Marketplace,
    /// Where it listened the last time.
    pub(super) ports: PortNumbers,
}

/// The complete marketplace.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Marketplace {
    /// The printed API key; the database has its hash only.
    pub(super) api_key: String,
    /// What API keys are hashed with.
    pub(super) pepper: String,
    /// The sellers, in the order of their shops.
    pub(super) sellers: [SellerId; 4],
    /// A payment with a refund, to look at.
    pub(super) example: PaymentId,
}

impl fmt::Debug for Marketplace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Marketplace").field("sellers", &self.sellers).finish_non_exhaustive()
    }
}

/// Loopback ports.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PortNumbers {
    /// Of the service.
    pub(super) service: u16,
    /// For metrics and health.
    pub(super) admin: u16,
    /// Of the simulator.
    pub(super) simulator: u16,
}

/// What commands need to work on a running demo.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunningFile {
    /// The database under the application's role.
    pub(super) database_url: String,
    /// What API keys are hashed with.
    pub(super) pepper: String,
    /// What signing secrets are encrypted with.
    pub(super) encryption_key: String,
}

/// A demo that runs on this machine.
pub struct Running {
    /// Its folder.
    pub folder: PathBuf,
    /// Its database, under the application's role.
    pub database_url: SecretString,
    /// What its API keys are hashed with, and its signing secrets encrypted.
    pub secrets: Secrets,
}

/// The demo's folder, in use by us.
#[derive(Debug)]
pub(super) struct Place {
    folder: PathBuf,
}

/// Starts the private server in the first folder that can be one, and so makes the folder ours.
pub(super) async fn open(data: Option<&Path>) -> anyhow::Result<(Place, PrivateServer)> {
    let mut candidates = candidates(data)?.into_iter().peekable();
    while let Some(folder) = candidates.next() {
        match PrivateServer::start(ServerOptions::new(&folder)).await {
            Ok(server) => return Ok((Place { folder }, server)),
            Err(error) if candidates.peek().is_some() && cannot_be_made(&error) => {
                tracing::warn!(folder = %folder.display(), %error, "the usual data folder cannot be used");
            }
            Err(error @ Error::InUse { .. }) => {
                return Err(anyhow::Error::new(error).context("a demo is running already"));
            }
            // Says itself what was looked for, where, and what to do.
            Err(error) => return Err(error.into()),
        }
    }
    bail!("there is no folder for the data: name one with --data or PARTITA_DATA")
}

/// The folders that the demo may be in, the best first. A home that cannot be written is common for service users: then
/// the folder for temporary files has to do, under a name of the user's own.
fn candidates(data: Option<&Path>) -> anyhow::Result<Vec<PathBuf>> {
    if let Some(data) = data.filter(|data| !data.as_os_str().is_empty()) {
        let data = std::path::absolute(data).with_context(|| format!("{} is no folder", data.display()))?;
        return Ok(vec![below(&data)]);
    }
    let usual = match default_data_folder() {
        Ok(data) => Some(below(&data)),
        Err(Error::NoDataFolder) => None,
        Err(error) => return Err(error.into()),
    };
    let user = Account::for_server()?;
    let temporary = std::env::temp_dir().join(format!("partita-demo-{}", user.name()));
    Ok(usual.into_iter().chain([temporary]).collect())
}

fn cannot_be_made(error: &Error) -> bool {
    let Error::Io { source, .. } = error else { return false };
    matches!(
        source.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::NotADirectory
    )
}

impl Place {
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is remembered; none before the marketplace is complete.
    pub(super) fn read_state(&self) -> anyhow::Result<Option<State>> {
        read_json(&self.folder.join(STATE))
    }

    pub(super) fn write_state(&self, state: &State) -> anyhow::Result<()> {
        write_json(&self.folder.join(STATE), state)
    }

    pub(super) fn write_running(&self, running: &RunningFile) -> anyhow::Result<()> {
        write_json(&self.folder.join(RUNNING), running)
    }

    /// Takes back what a run has said, also one that was killed.
    pub(super) fn forget_running(&self) {
        if let Err(error) = fs::remove_file(self.folder.join(RUNNING))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "a file of the last run cannot be removed");
        }
    }

    /// The simulator's secret key, made the first time, and how the service refers to it.
    pub(super) fn secret_key(&self) -> anyhow::Result<(String, String)> {
        let file = self.folder.join(SECRET_KEY);
        let key = read_or_make(&file, || format!("sk_test_{}", random_hex::<16>()))?;
        Ok((key, format!("file:{}", file.display())))
    }

    /// What signing secrets are encrypted with, made the first time.
    pub(super) fn encryption_key(&self) -> anyhow::Result<String> {
        read_or_make(&self.folder.join(ENCRYPTION_KEY), random_hex::<32>)
    }

    /// The same as a vault.
    pub(super) fn vault(&self) -> anyhow::Result<Vault> {
        vault_of(self.encryption_key()?)
    }
}

fn vault_of(key: String) -> anyhow::Result<Vault> {
    Vault::parse(&SecretString::from(key))
        .context("the demo's encryption key is unusable; `partita demo reset` removes it")
}

/// A secret in a file of its own, made the first time.
fn read_or_make(file: &Path, make: impl FnOnce() -> String) -> anyhow::Result<String> {
    match fs::read_to_string(file) {
        Ok(secret) => Ok(secret),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = make();
            write_private(file, secret.as_bytes())?;
            Ok(secret)
        }
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", file.display())),
    }
}

/// The demo that runs on this machine with this folder for data, if one does and has said so.
///
/// # Errors
/// When its folder cannot be read.
pub fn find_running(data: Option<&Path>) -> anyhow::Result<Option<Running>> {
    for folder in candidates(data)? {
        if !is_held(&folder.join(OWNER_LOCK))? {
            continue;
        }
        if let Some(running) = read_json::<RunningFile>(&folder.join(RUNNING))? {
            return Ok(Some(Running {
                folder,
                database_url: SecretString::from(running.database_url),
                secrets: Secrets {
                    pepper: SecretString::from(running.pepper),
                    vault: vault_of(running.encryption_key)?,
                },
            }));
        }
    }
    Ok(None)
}

/// Removes the demo's folder and says which one that was; none if there was nothing.
///
/// # Errors
/// While a demo runs there, and when the folder cannot be removed.
pub async fn reset(data: Option<&Path>) -> anyhow::Result<Option<PathBuf>> {
    for folder in candidates(data)? {
        if !folder.exists() {
            continue;
        }
        if is_held(&folder.join(OWNER_LOCK))? {
            bail!("a demo runs in {}; stop it with Ctrl-C first", folder.display());
        }
        wait_for_server(&folder).await?;
        fs::remove_dir_all(&folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
        return Ok(Some(folder));
    }
    Ok(None)
}

/// Waits for a Postgres that stops because its demo was killed a moment ago.
async fn wait_for_server(folder: &Path) -> anyhow::Result<()> {
    let stopped = async {
        while is_held(&folder.join(SUPERVISOR_LOCK))? {
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    };
    tokio::time::timeout(STOPPED_WITHIN, stopped)
        .await
        .unwrap_or_else(|_| bail!("Postgres in {} does not stop", folder.display()))
}

/// Whether somebody holds a lock; one that nobody made is not held.
fn is_held(lock: &Path) -> anyhow::Result<bool> {
    let file = match File::open(lock) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(false),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be opened", lock.display())),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("{} cannot be locked", lock.display())),
    }
}

/// Whether there is nothing of ours: not there, or in a folder that is another user's.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory)
}

fn read_json<T: DeserializeOwned>(file: &Path) -> anyhow::Result<Option<T>> {
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", file.display())),
    };
    let value = serde_json::from_slice(&text)
        .with_context(|| format!("{} is not of this release; `partita demo reset` removes it", file.display()))?;
    Ok(Some(value))
}

fn write_json(file: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    write_private(file, &serde_json::to_vec_pretty(value)?)
}

/// Writes a file that only its owner can read, whole or not at all.
fn write_private(file: &Path, content: &[u8]) -> anyhow::Result<()> {
    let draft = file.with_extension("new");
    let write = || {
        let mut out = File::options().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        out.write_all(content)?;
        out.sync_all()?;
        fs::rename(&draft, file)
    };
    write().with_context(|| format!("{} cannot be written", file.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn files_with_secrets_are_the_owners_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place { folder: folder.path().to_owned() };
        let (key, reference) = place.secret_key().expect("written");
        assert!(key.starts_with("sk_test_"));
        assert_eq!(place.secret_key().expect("read").0, key);
        let file = reference.strip_prefix("file:").expect("a file");
        assert_eq!(fs::metadata(file).expect("there").mode() & 0o777, 0o600);
    }

    #[test]
    fn a_demo_runs_while_its_lock_is_held_and_it_has_said_so() {
        let data = tempfile::tempdir().expect("a folder");
        let folder = below(data.path());
        fs::create_dir(&folder).expect("ours");
        let find = || find_running(Some(data.path())).expect("readable").is_some();
        let place = Place { folder: folder.clone() };
        let running = RunningFile {
            database_url: "postgres://x".to_owned(),
            pepper: "p".to_owned(),
            encryption_key: place.encryption_key().expect("made"),
        };
        place.write_running(&running).expect("written");
        assert!(!find(), "nobody holds the lock");
        let lock = File::create(folder.join(OWNER_LOCK)).expect("ours");
        lock.try_lock().expect("free");
        assert!(find());
        place.forget_running();
        assert!(!find(), "it has not said so");
    }

    #[tokio::test]
    async fn only_a_demo_that_does_not_run_is_removed() {
        let data = tempfile::tempdir().expect("a folder");
        assert_eq!(reset(Some(data.path())).await.expect("nothing to do"), None);
        let folder = below(data.path());
        fs::create_dir(&folder).expect("ours");
        let lock = File::create(folder.join(OWNER_LOCK)).expect("ours");
        lock.try_lock().expect("free");
        assert!(reset(Some(data.path())).await.is_err());
        drop(lock);
        assert_eq!(reset(Some(data.path())).await.expect("removed"), Some(folder.clone()));
        assert!(!folder.exists() && data.path().exists());
    }
}
