//! Databases for tests: one shared server that stays up for the next run, a migrated template made once, and a copy of
//! it for each test.
//!
//! Nothing needs to be configured. The server lies in the temporary folder, under a name made from the path of the
//! checkout and the user, so that two checkouts do not meet; it stops when no test has used it for some minutes. It runs without `fsync`.
//!
//! `PARTITA_TEST_OWNER_URL` names another server to use instead: the URL of a superuser of a *throw-away* server, for the
//! tests make the roles `partita_owner`, `partita_app` and `partita_simulator` there. If these exist and were not made
//! by tests, the tests refuse to go on.
//!
//! Test databases are named `partita_test_<process>_<seconds>_<random>`, templates `partita_template_<hash>`. A test's
//! database is dropped when its [`TestDatabase`] is; what a killed run left is swept away by the next one.

use std::{
    env,
    fmt::Write as _,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::mpsc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::process::{Pid, test_kill_process};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, postgres::PgConnectOptions};
use tokio::sync::OnceCell;

use crate::{
    account::Account,
    cluster::{self, Cluster, Role},
    error::Error,
    passwords::Passwords,
    server::{Lifetime, PrivateServer, ServerOptions},
};

/// The variable that names a server to use instead of the private one.
pub const SERVER_VARIABLE: &str = "PARTITA_TEST_OWNER_URL";

const IDLE_MINUTES: u32 = 10;
const HEARTBEAT: Duration = Duration::from_secs(20);
/// A database that nobody is connected to is a leftover when it is this old, even if its process seems to live.
const LEFTOVER_AFTER_SECONDS: u64 = 3600;
/// More templates than a checkout has kinds of schema; the oldest go.
const KEPT_TEMPLATES: i64 = 24;
/// Held while roles and templates are made.
const ADVISORY_LOCK: i64 = 0x7061_7274_6974_6174;
const TEST_MARK: &str = "made by the tests of partita";

/// A database of its own for one test.
#[derive(Debug)]
pub struct TestDatabase {
    /// Its name.
    pub name: String,
    /// The URL of the role that owns it and runs migrations.
    pub owner_url: String,
    /// The URL of the role that the service uses; the owner's for a simulator's database.
    pub app_url: String,
    template: String,
    server: &'static TestServer,
}

impl TestDatabase {
    /// A copy of the template named by `template_key`, owned by `partita_owner`.
    ///
    /// The first to ask for that key makes the template: an empty database, on which `migrate` is called with the
    /// owner's URL. `migrate` must close its connections before it returns. Everything that changes what `migrate`
    /// does must change the key; a hash of the migrations is a good one.
    ///
    /// # Errors
    /// If there is no server, or `migrate` fails.
    pub async fn create<M, F, E>(migrate: M, template_key: &str) -> Result<Self, Error>
    where
        M: FnOnce(String) -> F,
        F: Future<Output = Result<(), E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self::copy_template(Role::Owner, Role::App, migrate, template_key).await
    }

    /// The same for the simulator's own database: owned by `partita_simulator`, which no other role can reach.
    ///
    /// # Errors
    /// As [`TestDatabase::create`].
    pub async fn create_for_simulator<M, F, E>(migrate: M, template_key: &str) -> Result<Self, Error>
    where
        M: FnOnce(String) -> F,
        F: Future<Output = Result<(), E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self::copy_template(Role::Simulator, Role::Simulator, migrate, template_key).await
    }

    /// The URL of a role on this database; [`Role::Admin`] is the superuser.
    pub fn url(&self, role: Role) -> String {
        self.server.cluster.url(role, &self.name)
    }

    /// Drops the template this database was copied from, for a key that nobody will ask for again.
    ///
    /// # Errors
    /// If the server refuses, for instance because a copy is just being made.
    pub async fn drop_template(&self) -> Result<(), Error> {
        self.server.cluster.drop_database(&self.template).await.map(drop)
    }

    async fn copy_template<M, F, E>(owner: Role, user: Role, migrate: M, template_key: &str) -> Result<Self, Error>
    where
        M: FnOnce(String) -> F,
        F: Future<Output = Result<(), E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let server = TestServer::get().await?;
        let mut admin = server.cluster.connect_as_admin().await?;
        let template = server.template(&mut admin, owner, migrate, template_key).await?;
        let name = new_database_name();
        cluster::create_database(&mut admin, &name, owner, Some(&template)).await?;
        cluster::close(admin).await;
        Ok(Self {
            owner_url: server.cluster.url(owner, &name),
            app_url: server.cluster.url(user, &name),
            name,
            template,
            server,
        })
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // Dropping a database takes a checkpoint, which the test need not wait for. If the process ends before, the
        // next run sweeps.
        drop(self.server.leftovers.send(std::mem::take(&mut self.name)));
    }
}

/// The server all tests of a process share.
#[derive(Debug)]
struct TestServer {
    cluster: Cluster,
    leftovers: mpsc::Sender<String>,
}

static SERVER: OnceCell<TestServer> = OnceCell::const_new();

impl TestServer {
    async fn get() -> Result<&'static Self, Error> {
        SERVER.get_or_try_init(Self::start).await
    }

    async fn start() -> Result<Self, Error> {
        let given = env::var(SERVER_VARIABLE).ok().filter(|url| !url.is_empty());
        let (cluster, private) = if let Some(url) = given {
            (given_cluster(&url).await?, None)
        } else {
            let server = private_server().await?;
            (server.cluster().clone(), Some(server))
        };
        let leftovers = spawn_janitor(cluster.clone(), private.is_some());
        if let Some(server) = private {
            spawn_heart(server);
        }
        Ok(Self { cluster, leftovers })
    }

    /// The template's name, once it is there.
    async fn template<M, F, E>(
        &self,
        admin: &mut PgConnection,
        owner: Role,
        migrate: M,
        key: &str,
    ) -> Result<String, Error>
    where
        M: FnOnce(String) -> F,
        F: Future<Output = Result<(), E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let name = format!("partita_template_{}", short_hash(&[owner.name(), key]));
        if cluster::database_exists(admin, &name).await? {
            return Ok(name);
        }
        lock(admin).await?;
        let made = self.make_template(admin, &name, owner, migrate).await;
        unlock(admin).await?;
        made.map(|()| name)
    }

    async fn make_template<M, F, E>(
        &self,
        admin: &mut PgConnection,
        name: &str,
        owner: Role,
        migrate: M,
    ) -> Result<(), Error>
    where
        M: FnOnce(String) -> F,
        F: Future<Output = Result<(), E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if cluster::database_exists(admin, name).await? {
            return Ok(());
        }
        drop_old_templates(admin).await?;
        let draft = format!("{name}_new");
        cluster::drop_database(admin, &draft).await?;
        cluster::create_database(admin, &draft, owner, None).await?;
        if let Err(error) = migrate(self.cluster.url(owner, &draft)).await {
            cluster::drop_database(admin, &draft).await?;
            return Err(Error::Migrate(error.into()));
        }
        cluster::run(admin, format!("alter database {draft} rename to {name}")).await
    }
}

/// The private server of this checkout and user.
async fn private_server() -> Result<PrivateServer, Error> {
    let mut options = ServerOptions::new(private_folder(&Account::for_server()?));
    options.lifetime = Lifetime::Shared { idle_minutes: IDLE_MINUTES };
    // Many test binaries at once, each test with a pool or two.
    options.settings.push(("max_connections".to_owned(), "600".to_owned()));
    // A test database is dropped in 10 ms instead of 400 ms. Nothing outlives the system's crash: its next start has
    // another folder.
    options.settings.push(("fsync".to_owned(), "off".to_owned()));
    PrivateServer::start(options).await
}

/// In the temporary folder if the server's user can reach it.
fn private_folder(account: &Account) -> PathBuf {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).as_os_str().as_bytes();
    let user = rustix::process::geteuid().as_raw().to_string();
    // Linux only; elsewhere the temporary folder is emptied at the start of the system.
    let boot = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let name = format!("partita-test-{}", short_hash_of(&[checkout, user.as_bytes(), &boot]));
    let temporary = Some(env::temp_dir()).filter(|folder| account.obstacle(folder).is_none());
    temporary.unwrap_or_else(|| PathBuf::from("/tmp")).join(name)
}

/// A server that someone gave us. The passwords follow from its URL's, so that all test processes agree on them.
async fn given_cluster(url: &str) -> Result<Cluster, Error> {
    let admin = PgConnectOptions::from_str(url)?;
    let passwords = Passwords::made_by(|role| short_hash(&["partita test role", role.name(), url]));
    let cluster = Cluster::new(admin, passwords.clone());
    let mut admin = cluster.connect_as_admin().await?;
    lock(&mut admin).await?;
    let made = ensure_test_roles(&mut admin, &passwords).await;
    unlock(&mut admin).await?;
    cluster::close(admin).await;
    made.map(|()| cluster)
}

async fn ensure_test_roles(admin: &mut PgConnection, passwords: &Passwords) -> Result<(), Error> {
    for role in Role::MADE {
        let mark: Option<Option<String>> = sqlx::query_scalar(
            "select shobj_description(oid, 'pg_authid') from pg_catalog.pg_roles where rolname = $1",
        )
        .bind(role.name())
        .fetch_optional(&mut *admin)
        .await?;
        match mark {
            None => {
                let name = role.name();
                cluster::run(admin, format!("create role {name}; comment on role {name} is '{TEST_MARK}'")).await?;
            }
            Some(mark) if mark.as_deref() == Some(TEST_MARK) => {}
            Some(_) => return Err(Error::ForeignRole { role: role.name() }),
        }
    }
    cluster::ensure_roles(admin, passwords).await
}

async fn lock(admin: &mut PgConnection) -> Result<(), Error> {
    sqlx::query("select pg_advisory_lock($1)").bind(ADVISORY_LOCK).execute(admin).await?;
    Ok(())
}

async fn unlock(admin: &mut PgConnection) -> Result<(), Error> {
    sqlx::query("select pg_advisory_unlock($1)").bind(ADVISORY_LOCK).execute(admin).await?;
    Ok(())
}

async fn drop_old_templates(admin: &mut PgConnection) -> Result<(), Error> {
    let old: Vec<String> = sqlx::query_scalar(
        "select datname::text
           from pg_catalog.pg_database
          where datname like 'partita\\_template\\_%'
          order by oid desc
         offset $1",
    )
    .bind(KEPT_TEMPLATES)
    .fetch_all(&mut *admin)
    .await?;
    for name in old {
        cluster::drop_database(admin, &name).await?;
    }
    Ok(())
}

/// Keeps the shared server up for as long as this process lives.
fn spawn_heart(server: PrivateServer) {
    thread::spawn(move || {
        loop {
            if let Err(error) = server.touch() {
                tracing::warn!(%error, "the test server cannot be told that it is in use");
            }
            thread::sleep(HEARTBEAT);
        }
    });
}

/// Drops databases in the background: first what earlier runs left, then what this one sends.
fn spawn_janitor(cluster: Cluster, private: bool) -> mpsc::Sender<String> {
    let (leftovers, received) = mpsc::channel::<String>();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::warn!(%error, "test databases will not be dropped by this run");
                return;
            }
        };
        if let Err(error) = runtime.block_on(sweep(&cluster, private)) {
            tracing::warn!(%error, "the sweep of old test databases failed");
        }
        for name in received {
            if let Err(error) = runtime.block_on(cluster.drop_database(&name)) {
                tracing::warn!(%error, name, "a test database was not dropped");
            }
        }
    });
    leftovers
}

/// Drops the test databases whose process is gone (which only the private server can know, for a given one may serve
/// other machines) or that are old, and that nobody is connected to.
async fn sweep(cluster: &Cluster, private: bool) -> Result<(), Error> {
    let mut admin = cluster.connect_as_admin().await?;
    let idle: Vec<String> = sqlx::query_scalar(
        "select d.datname::text
           from pg_catalog.pg_database d
          where d.datname like 'partita\\_test\\_%'
            and not exists (select from pg_catalog.pg_stat_activity a where a.datid = d.oid)",
    )
    .fetch_all(&mut admin)
    .await?;
    let now = unix_seconds();
    for name in idle {
        if is_leftover(&name, now, private) {
            cluster::drop_database(&mut admin, &name).await?;
        }
    }
    cluster::close(admin).await;
    Ok(())
}

fn is_leftover(name: &str, now: u64, private: bool) -> bool {
    let mut parts = name.trim_start_matches("partita_test_").split('_');
    let (Some(Ok(process)), Some(Ok(made))) =
        (parts.next().map(str::parse::<i32>), parts.next().map(str::parse::<u64>))
    else {
        return false;
    };
    let process_gone = Pid::from_raw(process).is_none_or(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH));
    now.saturating_sub(made) > LEFTOVER_AFTER_SECONDS || (private && process_gone)
}

fn new_database_name() -> String {
    format!("partita_test_{}_{}_{:08x}", std::process::id(), unix_seconds(), rand::random::<u32>())
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs())
}

fn short_hash(parts: &[&str]) -> String {
    short_hash_of(&parts.iter().map(|part| part.as_bytes()).collect::<Vec<_>>())
}

/// 64 bits of SHA-256 over the parts and their lengths, in hexadecimal digits.
fn short_hash_of(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::{is_leftover, new_database_name, unix_seconds};

    #[test]
    fn a_running_test_keeps_its_database_and_a_dead_one_does_not() {
        let ours = new_database_name();
        let now = unix_seconds();
        assert!(!is_leftover(&ours, now, true));
        assert!(is_leftover(&ours, now + 3_700, true));
        let dead = "partita_test_2147483646_1_0";
        assert!(is_leftover(dead, 2, true));
        assert!(!is_leftover(dead, 2, false), "another machine may know that process");
        assert!(!is_leftover("partita_test_other", now, true));
    }
}
