//! The service as a process of its own, to be killed.
//!
//! It is this very program under the name `partita`: then it runs the service's own `main`, so that what is killed is
//! built from the same sources as what checks it, and no stale binary can be tested by mistake.

use std::ffi::OsString;
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use partita::app::Secrets;
use partita_db::Vault;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use secrecy::SecretString;
use tokio::process::{Child, Command};

/// What every process and every app of the faults encrypts with.
pub(crate) const ENCRYPTION_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// What a service of the faults hashes and encrypts with.
pub(crate) fn secrets(pepper: &str) -> anyhow::Result<Secrets> {
    let vault = Vault::parse(&SecretString::from(ENCRYPTION_KEY)).context("a key")?;
    Ok(Secrets { pepper: SecretString::from(pepper), vault })
}

/// The name under which this program is the service.
pub const SERVICE: &str = "partita";

/// How long a replica may take until it is ready.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// How long a replica may take to stop: it drains for 25 s at most.
const STOPPED_WITHIN: Duration = Duration::from_secs(40);

/// What a process takes of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Memory that is resident; KiB.
    pub resident_kib: u64,
    /// File descriptors.
    pub open_files: usize,
}

/// How a replica is started, each time.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program; its other name makes it the service.
    pub program: PathBuf,
    /// Its database, through the proxy.
    pub database_url: String,
    /// What API keys are hashed with.
    pub pepper: String,
    /// Connections to the database.
    pub connections: u32,
    /// Where its log goes.
    pub log: PathBuf,
    /// Seconds between "not ready" and the end of accepting.
    pub shutdown_delay: u64,
    /// Variables of its environment beside those of the service.
    pub environment: Vec<(String, OsString)>,
}

/// A running replica, or one between two lives.
#[derive(Debug)]
pub struct Replica {
    launch: Launch,
    /// Where clients and webhooks reach it.
    pub address: SocketAddr,
    admin: SocketAddr,
    child: Option<Child>,
    kills: u64,
    environment: Vec<(String, String)>,
}

impl Replica {
    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// When it cannot be started or does not become ready.
    pub async fn start(launch: Launch) -> anyhow::Result<Self> {
        let (address, admin) = (free_address()?, free_address()?);
        let mut replica = Self { launch, address, admin, child: None, kills: 0, environment: Vec::new() };
        replica.spawn()?;
        replica.wait_until_ready().await?;
        Ok(replica)
    }

    /// What else its next lives find in their environment, in place of what was set before.
    pub fn set_environment(&mut self, environment: Vec<(String, String)>) {
        self.environment = environment;
    }

    /// Starts the process; nothing is waited for.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&mut self) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(&self.launch.log).context("the replica's log")?;
        let child =
            Command::new(&self.launch.program)
                .arg0(SERVICE)
                .arg("serve")
                .env("DATABASE_URL", &self.launch.database_url)
                .env("PARTITA_DATABASE_CONNECTIONS", self.launch.connections.to_string())
                .env("PARTITA_PEPPER", &self.launch.pepper)
                .env("PARTITA_ENCRYPTION_KEY", ENCRYPTION_KEY)
                .env("PARTITA_BIND", self.address.to_string())
                .env("PARTITA_ADMIN_BIND", self.admin.to_string())
                .env("PARTITA_SHUTDOWN_DELAY", self.launch.shutdown_delay.to_string())
                // Whoever gets webhooks listens on this machine.
                .env("PARTITA_WEBHOOK_NETWORKS", "127.0.0.0/8")
                // The load comes from one address with one key.
                .envs(["KEY", "ADDRESS"].into_iter().flat_map(|of| {
                    [(format!("PARTITA_{of}_RATE"), "100000"), (format!("PARTITA_{of}_BURST"), "100000")]
                }))
                .env("PARTITA_LOG_LEVEL", "info,stripe_shared=error")
                .envs(self.launch.environment.iter().map(|(name, value)| (name, value)))
                .envs(self.environment.iter().map(|(name, value)| (name, value)))
                .stdin(Stdio::null())
                .stdout(log.try_clone().context("the replica's log")?)
                .stderr(log)
                .kill_on_drop(true)
                .spawn()
                .context("a replica cannot be started")?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// When it ends, or takes too long.
    pub async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        match self.wait_until_ready_or_dead().await? {
            None => Ok(()),
            Some(status) => {
                anyhow::bail!("a replica ended by itself ({status}); see {}", self.launch.log.display())
            }
        }
    }

    /// Waits until it says that it is ready, or has ended; then how.
    ///
    /// # Errors
    /// When it takes too long.
    pub async fn wait_until_ready_or_dead(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
        let (url, deadline) = (format!("http://{}/readyz", self.address), Instant::now() + READY_WITHIN);
        loop {
            if let Some(status) = self.ended()? {
                return Ok(Some(status));
            }
            if client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(None);
            }
            anyhow::ensure!(Instant::now() < deadline, "a replica is not ready after {READY_WITHIN:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// `kill -9`, and waits until the process is gone.
    ///
    /// # Errors
    /// What the system says.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await.context("a replica cannot be killed")?;
            self.kills += 1;
        }
        Ok(())
    }

    /// Asks it to stop, as whoever runs it would, and waits until it has; how long that took.
    ///
    /// # Errors
    /// When it cannot be asked, does not end within [`STOPPED_WITHIN`], or ends as one that failed.
    pub async fn stop(&mut self) -> anyhow::Result<Duration> {
        let asked = Instant::now();
        self.signal(Signal::TERM)?;
        let mut child = self.child.take().context("a replica that runs")?;
        let ended = tokio::time::timeout(STOPPED_WITHIN, child.wait()).await;
        let status = ended.context("a replica does not stop")??;
        anyhow::ensure!(status.success(), "a replica that was asked to stop ended with {status}");
        Ok(asked.elapsed())
    }

    /// From its next start on it is this program, after so many seconds of saying that it is not ready at its end.
    pub fn become_program(&mut self, program: PathBuf, shutdown_delay: u64) {
        self.launch.program = program;
        self.launch.shutdown_delay = shutdown_delay;
    }

    /// What the process takes of the machine.
    ///
    /// # Errors
    /// When it does not run or the system does not tell.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        let pid = self.child.as_ref().and_then(Child::id).context("a replica that runs")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("/proc of a replica")?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        let resident_kib = resident.trim().trim_end_matches("kB").trim().parse().context("VmRSS")?;
        let open_files = std::fs::read_dir(format!("/proc/{pid}/fd")).context("/proc of a replica")?.count();
        Ok(Usage { resident_kib, open_files })
    }

    /// Has it stand still, as a machine does that swaps, or go on.
    ///
    /// # Errors
    /// What the system says.
    pub fn stand_still(&self, still: bool) -> anyhow::Result<()> {
        self.signal(if still { Signal::STOP } else { Signal::CONT })
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        kill_process(self.pid()?, signal).context("a replica cannot be signalled")
    }

    fn pid(&self) -> anyhow::Result<Pid> {
        let pid = self.child.as_ref().and_then(Child::id).and_then(|pid| i32::try_from(pid).ok());
        pid.and_then(Pid::from_raw).context("a replica that runs")
    }

    /// Ends when it has ended, looked at this often; how it did, [`Replica::ended`] tells.
    ///
    /// # Errors
    /// When it was not started.
    pub fn dead(&self, looks_every: Duration) -> anyhow::Result<impl Future<Output = ()> + use<>> {
        let pid = self.pid()?;
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(async move {
            while matches!(waitid(WaitId::Pid(pid), look), Ok(None)) {
                tokio::time::sleep(looks_every).await;
            }
        })
    }

    /// How often it was killed.
    pub fn kills(&self) -> u64 {
        self.kills
    }

    /// Whether it has ended though nobody killed it.
    ///
    /// # Errors
    /// What the system says.
    pub fn ended_by_itself(&mut self) -> anyhow::Result<bool> {
        Ok(self.ended()?.is_some())
    }

    /// How it ended, if it did though nobody killed it.
    ///
    /// # Errors
    /// What the system says.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(match &mut self.child {
            Some(child) => child.try_wait()?,
            None => None,
        })
    }

    /// What it has logged so far in all its lives.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self) -> anyhow::Result<String> {
        let log = std::fs::read(&self.launch.log).context("the replica's log")?;
        Ok(String::from_utf8_lossy(&log).into_owned())
    }
}

/// An address that nobody listens on. Another process could take it before the replica does; then the replica ends and
/// says so.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0").context("a free port")?.local_addr()?)
}
