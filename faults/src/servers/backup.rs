//! Base backups, an archive of WAL, and what is made of them: a standby, or a server as of a point in time.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use partita_postgres::{Account, Binaries};
use tokio::process::Command;

use super::{CLUSTER, Server, at_port};

/// The name under which a standby streams: what `synchronous_standby_names` lists.
pub const STANDBY: &str = "standby";

/// Settings under which a standby and a restored server wait for nobody and write no archive of their own.
const ALONE: [(&str, &str); 3] = [("synchronous_standby_names", ""), ("archive_mode", "off"), ("archive_command", "")];

/// Whether a base backup is to follow the server that it is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It is kept.
    Keep,
    /// It becomes a standby: with `standby.signal` and the way back to where it came from.
    Follow,
}

/// Takes a base backup of the server that the superuser reaches at this URL into `folder`, which must not be there.
///
/// # Errors
/// With what `pg_basebackup` says.
pub async fn take(admin_url: &str, folder: &Path, purpose: Purpose) -> anyhow::Result<()> {
    let (account, binaries) = (Account::for_server()?, Binaries::find()?);
    make_folder(&account, folder)?;
    let url = url::Url::parse(admin_url)?;
    let from = format!(
        "host=127.0.0.1 port={} user={} application_name={STANDBY} sslmode=disable",
        url.port().context("a URL with a port")?,
        url.username()
    );
    let mut command = account.command(&beside_the_server(&binaries, "pg_basebackup")?);
    command.env("PGPASSWORD", url.password().context("a URL with a password")?);
    command.args(["--checkpoint=fast", "--wal-method=stream", "--dbname", &from, "--pgdata"]);
    command.arg(folder.join(CLUSTER));
    if purpose == Purpose::Follow {
        command.arg("--write-recovery-conf");
    }
    run(command, "pg_basebackup").await
}

/// A standby made of a base backup, which streams from the server at `through` (a proxy before the primary).
///
/// # Errors
/// When it cannot be made or started.
pub async fn start_standby(admin_url: &str, through: u16, folder: &Path) -> anyhow::Result<Server> {
    take(&at_port(admin_url, through)?, folder, Purpose::Follow).await?;
    Server::start(folder, admin_url, &ALONE).await
}

/// A folder that WAL is archived to.
#[derive(Debug, Clone)]
pub struct Archive {
    folder: PathBuf,
}

impl Archive {
    /// Makes an empty archive.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn make(folder: &Path) -> anyhow::Result<Self> {
        make_folder(&Account::for_server()?, folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The settings of a server that archives here, a segment at the latest after so many seconds.
    pub fn settings(&self, timeout_seconds: u32) -> Vec<(String, String)> {
        let folder = self.folder.display();
        // Whole or not at all: a copy is only called by its name once it is complete.
        let command = format!("test ! -f {folder}/%f && cp %p {folder}/%f.part && mv {folder}/%f.part {folder}/%f");
        [("archive_mode", "on"), ("archive_command", &command), ("archive_timeout", &timeout_seconds.to_string())]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    /// Makes a server of a base backup and this archive, as of a point in time, and waits until it takes writes.
    ///
    /// # Errors
    /// When the point is not in the archive, or the server does not start.
    pub async fn restore(&self, base: &Path, folder: &Path, admin_url: &str, point: &str) -> anyhow::Result<Server> {
        let account = Account::for_server()?;
        make_folder(&account, folder)?;
        let mut copy = account.command(Path::new("cp"));
        copy.args(["--archive", "--"]).arg(base.join(CLUSTER)).arg(folder.join(CLUSTER));
        run(copy, "cp").await?;
        let signal = folder.join(CLUSTER).join("recovery.signal");
        std::fs::write(&signal, "").context("the mark of a recovery")?;
        account.own(&signal)?;
        let restore = format!("cp {}/%f %p", self.folder.display());
        let mut settings = Vec::from(ALONE);
        settings.extend([
            ("restore_command", restore.as_str()),
            ("recovery_target_time", point),
            ("recovery_target_action", "promote"),
        ]);
        let mut server = Server::start(folder, admin_url, &settings).await?;
        server.wait_until_primary().await?;
        Ok(server)
    }
}

/// A program that comes with the server, where its own programs may be links.
fn beside_the_server(binaries: &Binaries, name: &str) -> anyhow::Result<PathBuf> {
    let here = binaries.program(name);
    if here.is_file() {
        return Ok(here);
    }
    let server = std::fs::canonicalize(binaries.program("postgres")).context("the server's program")?;
    Ok(server.with_file_name(name))
}

fn make_folder(account: &Account, folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("the folder {}", folder.display()))?;
    Ok(account.own(folder)?)
}

async fn run(command: std::process::Command, name: &'static str) -> anyhow::Result<()> {
    let output =
        Command::from(command).kill_on_drop(true).output().await.with_context(|| format!("{name} does not run"))?;
    anyhow::ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
