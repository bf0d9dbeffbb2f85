//! The private server's life: make, start or adopt, stop.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::{
    account::Account,
    binaries::{Binaries, Search},
    cluster::{self, Cluster, Role},
    error::{Error, Trying},
    folder::{Folder, Lock},
    passwords::{Passwords, private_file},
    postmaster::{Postmaster, Status},
    supervisor,
};

/// Crash recovery of a large cluster takes a while.
const READY_WITHIN: Duration = Duration::from_mins(2);
const STOPPED_WITHIN: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(20);
/// How often another port is tried when someone took the free one just found.
const PORT_TRIES: u32 = 5;
const OWNER_TRIES: u32 = 10;
/// The log is set aside at the next start when it is larger.
const LOG_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// How long the server lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as we do: one process owns the folder, and the server stops with it.
    Owned,
    /// Any number of processes use it; it stops when none has used it for this many minutes.
    Shared {
        /// Whole minutes, at least one.
        idle_minutes: u32,
    },
}

/// How to run the private server.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The data folder; made if it is missing. See [`default_data_folder`](crate::default_data_folder).
    pub folder: PathBuf,
    /// The loopback port; a free one if `None`.
    pub port: Option<u16>,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// Where to look for the binaries.
    pub search: Search,
    /// Further settings of `postgresql.conf`, as name and value.
    pub settings: Vec<(String, String)>,
}

impl ServerOptions {
    /// An owned server on a free port.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            port: None,
            lifetime: Lifetime::Owned,
            search: Search::from_environment(),
            settings: Vec::new(),
        }
    }
}

/// A running private server. When it is dropped the server stops soon after (unless it is shared);
/// [`PrivateServer::shutdown`] waits for it.
#[derive(Debug)]
pub struct PrivateServer {
    cluster: Cluster,
    folder: Folder,
    /// The shell; absent if another process started a shared server. Its standard input is what keeps it.
    shell: Option<Child>,
    lifetime: Lifetime,
    /// Held for as long as we own the folder. Declared last: the shell's pipe must close first.
    _owner: Option<fs::File>,
}

impl PrivateServer {
    /// Makes the cluster if there is none, starts it or adopts the one a killed run left behind, and sees to its
    /// roles.
    ///
    /// # Errors
    /// [`Error::NotFound`] without binaries, [`Error::InUse`] if another process owns the folder, and others.
    pub async fn start(options: ServerOptions) -> Result<Self, Error> {
        let account = Account::for_server()?;
        let all = Binaries::find_all(&options.search)?;
        let folder = Folder::prepare(&options.folder, &account)?;
        let owner = match options.lifetime {
            Lifetime::Owned => Some(become_owner(&folder).await?),
            Lifetime::Shared { .. } => None,
        };
        let start = folder.lock(Lock::Start).await?;
        let binaries = pick(&all, &folder)?;
        let passwords = passwords(&folder)?;
        let starter = Starter { account, binaries, folder, passwords, options };
        if !starter.folder.cluster().exists() {
            starter.initialise().await?;
        }
        let (cluster, shell) = starter.run().await?;
        let mut admin = cluster.connect_as_admin().await?;
        let roles = cluster::ensure_roles(&mut admin, &starter.passwords).await;
        cluster::close(admin).await;
        let Starter { folder, options, .. } = starter;
        let server = Self { cluster, folder, shell, lifetime: options.lifetime, _owner: owner };
        drop(start);
        roles.map(|()| server)
    }

    /// Its roles and databases.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The data folder, with `server.log` in it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The number of the process between us and Postgres, if we started one.
    pub fn supervisor_pid(&self) -> Option<u32> {
        self.shell.as_ref().map(Child::id)
    }

    /// Says that a shared server is still in use. Call it more often than its idle time.
    pub fn touch(&self) -> Result<(), Error> {
        touch(&self.folder).map(drop)
    }

    /// Stops an owned server and waits until it has. A shared one stays.
    ///
    /// # Errors
    /// [`Error::TooSlow`] if it does not stop.
    pub async fn shutdown(mut self) -> Result<(), Error> {
        if self.lifetime != Lifetime::Owned {
            return Ok(());
        }
        let Some(mut shell) = self.shell.take() else { return Ok(()) };
        drop(shell.stdin.take());
        let deadline = Instant::now() + STOPPED_WITHIN;
        loop {
            if shell.try_wait().trying(|| "wait for the database to stop".to_owned())?.is_some() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(too_slow("stop", &self.folder, STOPPED_WITHIN));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// All that is needed between the lock and the running server.
struct Starter {
    account: Account,
    binaries: Binaries,
    folder: Folder,
    passwords: Passwords,
    options: ServerOptions,
}

impl Starter {
    /// Makes the cluster in a draft folder and moves it in place whole, so that a killed run leaves none that is half
    /// made.
    async fn initialise(&self) -> Result<(), Error> {
        let draft = self.folder.draft();
        let with_utf8 = self.initdb(&draft, "C.UTF-8").await;
        if with_utf8.is_err() {
            // Not every system has that locale; the order of bytes is the same, upper and lower case beyond ASCII not.
            self.initdb(&draft, "C").await?;
        }
        let cluster = self.folder.cluster();
        fs::rename(&draft, &cluster).trying(|| format!("move the new cluster to {}", cluster.display()))
    }

    async fn initdb(&self, draft: &Path, locale: &str) -> Result<(), Error> {
        if draft.exists() {
            fs::remove_dir_all(draft).trying(|| format!("remove {}", draft.display()))?;
        }
        let password_file = self.folder.path().join("password.new");
        private_file(&password_file)
            .and_then(|mut file| std::io::Write::write_all(&mut file, self.passwords.of(Role::Admin).as_bytes()))
            .trying(|| format!("write {}", password_file.display()))?;
        self.account.own(&password_file)?;
        let mut command = self.account.command(&self.binaries.program("initdb"));
        command
            .arg("--pgdata")
            .arg(draft)
            .arg("--username")
            .arg(Role::Admin.name())
            .arg("--pwfile")
            .arg(&password_file)
            .args(["--auth=scram-sha-256", "--encoding=UTF8", "--data-checksums"])
            .arg(format!("--locale={locale}"))
            .stdin(Stdio::null());
        let output = tokio::process::Command::from(command).output().await;
        fs::remove_file(&password_file).trying(|| format!("remove {}", password_file.display()))?;
        let output = output.trying(|| "run initdb".to_owned())?;
        if output.status.success() {
            return Ok(());
        }
        Err(Error::Failed {
            program: "initdb",
            folder: self.folder.path().to_owned(),
            output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    /// Adopts the server that is there, or starts one.
    async fn run(&self) -> Result<(Cluster, Option<Child>), Error> {
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            // A stop that the last owner's shell, or the reaper, has begun is waited for.
            let unsupervised = self.folder.try_lock(Lock::Supervisor)?;
            match (Postmaster::of(&self.folder.cluster()), unsupervised) {
                (None, Some(lock)) => return self.launch(lock).await,
                (Some(Postmaster { port, status: Status::Ready }), Some(lock)) => return self.adopt(port, lock),
                (Some(Postmaster { port, status: Status::Ready }), None)
                    if self.options.lifetime != Lifetime::Owned && touch(&self.folder)? =>
                {
                    return Ok((self.cluster(port), None));
                }
                _ => {}
            }
            tokio::time::sleep(POLL).await;
        }
        Err(too_slow("get ready", &self.folder, READY_WITHIN))
    }

    fn adopt(&self, port: u16, lock: fs::File) -> Result<(Cluster, Option<Child>), Error> {
        tracing::info!(port, "adopting the private database that a killed run left behind");
        let shell = match self.options.lifetime {
            Lifetime::Owned => supervisor::adopt(&self.account, &self.folder, &self.binaries, lock)?,
            Lifetime::Shared { idle_minutes } => self.share(idle_minutes, None, lock)?,
        };
        Ok((self.cluster(port), Some(shell)))
    }

    async fn launch(&self, lock: fs::File) -> Result<(Cluster, Option<Child>), Error> {
        rotate_log(&self.folder)?;
        let mut tries = 1;
        loop {
            let port = self.options.port.map_or_else(free_port, Ok)?;
            let log_start = fs::metadata(self.folder.log()).map_or(0, |log| log.len());
            let shell = self.spawn(port, &lock)?;
            if let Some(shell) = self.wait_until_ready(shell, port).await? {
                return Ok((self.cluster(port), Some(shell)));
            }
            let output = log_since(&self.folder, log_start);
            let taken = output.contains("could not bind");
            if !taken || self.options.port.is_some() || tries == PORT_TRIES {
                return Err(Error::Failed { program: "postgres", folder: self.folder.path().to_owned(), output });
            }
            tries += 1;
        }
    }

    fn spawn(&self, port: u16, lock: &fs::File) -> Result<Child, Error> {
        let server = self.server_command(port);
        let lock = lock.try_clone().trying(|| "share the supervisor's lock".to_owned())?;
        match self.options.lifetime {
            Lifetime::Owned => supervisor::own(&self.account, &self.folder, &self.binaries, &server, lock),
            Lifetime::Shared { idle_minutes } => self.share(idle_minutes, Some(&server), lock),
        }
    }

    fn share(&self, idle_minutes: u32, server: Option<&Command>, lock: fs::File) -> Result<Child, Error> {
        make_heartbeat(&self.folder)?;
        supervisor::share(&self.account, &self.folder, &self.binaries, idle_minutes.max(1), server, lock)
    }

    fn server_command(&self, port: u16) -> Command {
        let mut server = Command::new(self.binaries.program("postgres"));
        server.arg("-D").arg(self.folder.cluster());
        let fixed = [
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("port", port.to_string()),
            ("unix_socket_directories", String::new()),
            ("shared_buffers", "128MB".to_owned()),
            ("timezone", "UTC".to_owned()),
            ("log_timezone", "UTC".to_owned()),
            ("cluster_name", "partita".to_owned()),
        ];
        let fixed = fixed.iter().map(|(name, value)| (*name, value.as_str()));
        let further = self.options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in fixed.chain(further) {
            server.arg("-c").arg(format!("{name}={value}"));
        }
        server
    }

    /// The shell once the server is ready, `None` if it gave up.
    async fn wait_until_ready(&self, mut shell: Child, port: u16) -> Result<Option<Child>, Error> {
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            let ready = Postmaster { port, status: Status::Ready };
            if Postmaster::of(&self.folder.cluster()) == Some(ready) {
                return Ok(Some(shell));
            }
            if shell.try_wait().trying(|| "wait for the database".to_owned())?.is_some() {
                return Ok(None);
            }
            tokio::time::sleep(POLL).await;
        }
        Err(too_slow("get ready", &self.folder, READY_WITHIN))
    }

    fn cluster(&self, port: u16) -> Cluster {
        let admin = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(port)
            .username(Role::Admin.name())
            .password(self.passwords.of(Role::Admin))
            .database("postgres")
            .ssl_mode(PgSslMode::Disable);
        Cluster::new(admin, self.passwords.clone())
    }
}

/// The owner's lock. Where processes are started at the same moment, each holds a copy of all files of its parent for an
/// instant, so a lock that was just given up is asked for a few times.
async fn become_owner(folder: &Folder) -> Result<fs::File, Error> {
    for _ in 0..OWNER_TRIES {
        if let Some(lock) = folder.try_lock(Lock::Owner)? {
            return Ok(lock);
        }
        tokio::time::sleep(POLL).await;
    }
    Err(Error::InUse { folder: folder.path().to_owned() })
}

/// The binaries that can open the cluster, or the newest if there is none yet.
fn pick(all: &[Binaries], folder: &Folder) -> Result<Binaries, Error> {
    let version = fs::read_to_string(folder.cluster().join("PG_VERSION")).ok();
    let found = match version.as_deref().map(str::trim).and_then(|version| version.parse::<u32>().ok()) {
        None => all.first(),
        Some(major) => match all.iter().find(|binaries| binaries.major() == major) {
            None => {
                return Err(Error::WrongMajor {
                    folder: folder.path().to_owned(),
                    found: major,
                    available: all.iter().map(Binaries::major).collect(),
                });
            }
            found => found,
        },
    };
    Ok(found.expect("the search gives at least one").clone())
}

/// The passwords of the folder, made before its cluster.
fn passwords(folder: &Folder) -> Result<Passwords, Error> {
    let file = folder.passwords();
    match Passwords::read(&file)? {
        Some(passwords) => Ok(passwords),
        None if folder.cluster().exists() => Err(Error::PasswordsLost { file }),
        None => {
            let passwords = Passwords::random();
            passwords.write(&file)?;
            Ok(passwords)
        }
    }
}

fn free_port() -> Result<u16, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    Ok(address.trying(|| "find a free port".to_owned())?.port())
}

/// Touches the heartbeat; false if the reaper has taken it away and the server may be about to stop. One that neither
/// has was swept away with other temporary files, and is made again.
fn touch(folder: &Folder) -> Result<bool, Error> {
    let beat = folder.heartbeat();
    match fs::File::options().write(true).open(&beat) {
        Ok(file) => {
            file.set_modified(SystemTime::now()).trying(|| format!("touch {}", beat.display()))?;
            Ok(true)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let taken = folder.taken_heartbeat().exists();
            if !taken {
                make_heartbeat(folder)?;
            }
            Ok(!taken)
        }
        Err(error) => Err(error).trying(|| format!("open {}", beat.display())),
    }
}

fn make_heartbeat(folder: &Folder) -> Result<(), Error> {
    let beat = folder.heartbeat();
    let made = fs::File::create(&beat).and_then(|file| file.set_modified(SystemTime::now()));
    made.trying(|| format!("make {}", beat.display()))
}

fn rotate_log(folder: &Folder) -> Result<(), Error> {
    let log = folder.log();
    if fs::metadata(&log).is_ok_and(|data| data.len() > LOG_LIMIT_BYTES) {
        fs::rename(&log, log.with_extension("log.1")).trying(|| format!("set {} aside", log.display()))?;
    }
    Ok(())
}

fn log_since(folder: &Folder, start: u64) -> String {
    let bytes = fs::read(folder.log()).unwrap_or_default();
    let start = usize::try_from(start).unwrap_or(0);
    String::from_utf8_lossy(bytes.get(start..).unwrap_or_default()).trim().to_owned()
}

fn too_slow(what: &'static str, folder: &Folder, within: Duration) -> Error {
    Error::TooSlow { what, folder: folder.path().to_owned(), seconds: within.as_secs() }
}
