//! Servers of Postgres beside the rig's own: a standby that takes over, one that is restored from a backup; and the
//! death of a whole machine with a server on it.
//!
//! Unlike the private server these are bare processes: nobody brings them back, and they end with the run.

pub mod backup;
pub mod clocks;
pub mod disk;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use partita_postgres::{Account, Binaries};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection as _, PgConnection};
use tokio::process::{Child, Command};

use crate::replica::free_address;

/// How long a server may take until it answers, and until it takes writes.
const READY_WITHIN: Duration = Duration::from_mins(2);

/// The folder of the data directory below a server's folder, as the private server has it.
const CLUSTER: &str = "cluster";

/// A running server.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    port: u16,
    /// The superuser's way in.
    admin_url: String,
    child: Child,
}

impl Server {
    /// Starts a server on the data below a folder and waits until it answers. `admin_url` is the superuser's URL of the
    /// server that the data come from; only its port is another here.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(folder: &Path, admin_url: &str, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let (account, binaries) = (Account::for_server()?, Binaries::find()?);
        let port = free_address()?.port();
        let log =
            File::options().create(true).append(true).open(folder.join("server.log")).context("a server's log")?;
        let port_text = port.to_string();
        let fixed = [
            ("listen_addresses", "127.0.0.1"),
            ("port", port_text.as_str()),
            ("unix_socket_directories", ""),
            ("shared_buffers", "128MB"),
            ("timezone", "UTC"),
            ("log_timezone", "UTC"),
            ("cluster_name", "partita"),
        ];
        let mut command = account.command(&binaries.program("postgres"));
        command.arg("-D").arg(folder.join(CLUSTER));
        for (name, value) in fixed.iter().chain(settings) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().context("a server's log")?).stderr(log);
        let child = Command::from(command).kill_on_drop(true).spawn().context("a server cannot be started")?;
        let mut server = Self { folder: folder.to_owned(), port, admin_url: at_port(admin_url, port)?, child };
        server.wait_until(|_in_recovery| true).await?;
        Ok(server)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder, with `server.log` in it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The superuser's URL.
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// Waits until it takes writes.
    ///
    /// # Errors
    /// When it does not.
    pub async fn wait_until_primary(&mut self) -> anyhow::Result<()> {
        self.wait_until(|in_recovery| !in_recovery).await
    }

    /// Makes the standby that it is the primary.
    ///
    /// # Errors
    /// What Postgres says.
    pub async fn promote(&mut self) -> anyhow::Result<()> {
        let mut admin = PgConnection::connect(&self.admin_url).await.context("the standby")?;
        let promoted: bool = sqlx::query_scalar("select pg_promote(true, 60)").fetch_one(&mut admin).await?;
        anyhow::ensure!(promoted, "the standby was not promoted");
        self.wait_until_primary().await
    }

    async fn wait_until(&mut self, state: impl Fn(bool) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(status) = self.child.try_wait()? {
                anyhow::bail!("a server ended by itself ({status}); see {}", self.folder.join("server.log").display());
            }
            if let Ok(mut admin) = PgConnection::connect(&self.admin_url).await
                && let Ok(in_recovery) = sqlx::query_scalar("select pg_is_in_recovery()").fetch_one(&mut admin).await
                && state(in_recovery)
            {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "a server is not there after {READY_WITHIN:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Stops it and waits until it has.
    ///
    /// # Errors
    /// What the system says.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().and_then(pid_of).context("a server that runs")?;
        // Fast: sessions are ended, nothing is lost.
        kill_process(pid, Signal::INT).context("a server cannot be told to stop")?;
        self.child.wait().await.context("a server does not stop")?;
        Ok(())
    }
}

/// Strikes a private server dead as the loss of its machine does: everything at once, with nobody left to bring it back.
///
/// # Errors
/// What the system says.
pub fn lose_machine(folder: &Path, supervisor: Option<u32>) -> anyhow::Result<()> {
    let postmaster = postmaster(folder)?;
    let mut doomed = Vec::from_iter(supervisor.and_then(pid_of));
    // Nothing new is born while they are counted.
    kill_process(postmaster, Signal::STOP).context("a postmaster cannot be held")?;
    doomed.extend(children_of(postmaster)?);
    doomed.push(postmaster);
    for pid in doomed {
        // One that has ended by itself meanwhile is dead too.
        if let Err(error) = kill_process(pid, Signal::KILL)
            && error != rustix::io::Errno::SRCH
        {
            return Err(error).context("kill -9");
        }
    }
    Ok(())
}

/// The postmaster of the server in this folder.
///
/// # Errors
/// When there is none.
pub fn postmaster(folder: &Path) -> anyhow::Result<Pid> {
    let file = folder.join(CLUSTER).join("postmaster.pid");
    let text = std::fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
    text.lines().next().and_then(|line| line.trim().parse().ok()).and_then(Pid::from_raw).context("a postmaster's pid")
}

fn children_of(parent: Pid) -> anyhow::Result<Vec<Pid>> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc").context("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()).and_then(pid_of) else {
            continue;
        };
        // After the name, which may contain anything and ends with a bracket: state, parent ..
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
        let of = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)).map(str::to_owned);
        if of.is_some_and(|of| of == parent.as_raw_nonzero().to_string()) {
            children.push(pid);
        }
    }
    Ok(children)
}

fn pid_of(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// The same URL with another port.
///
/// # Errors
/// When it is no URL that has one.
pub fn at_port(url: &str, port: u16) -> anyhow::Result<String> {
    let mut url = url::Url::parse(url)?;
    url.set_port(Some(port)).map_err(|()| anyhow::anyhow!("a URL with a port"))?;
    Ok(url.into())
}
