//! What a run stands on: a Postgres for the service and another for the provider, the provider, replicas of the service
//! as processes of their own, and proxies between all of them.
//!
//! ```text
//! clients ─────────────> replica 1, 2 ── to_postgres ──> Postgres
//!                          ^      └───── to_provider ──> simulator ──> its own Postgres
//!                          └── to_service ── webhooks ──────┘
//! ```
//!
//! The replicas run on their database's clock, since `partita serve` takes no other, and so does the simulator: charges
//! settle at once (`settlement_days` 0) instead of after days. What needs days is tested where clocks are driven:
//! [`crate::driven`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use partita::app::{App, RESEND_UP_TO};
use partita::clock::Clock;
use partita::platforms::{self, Book, ProviderConnection, SCOPES};
use partita_db::{Db, DbOptions};
use partita_postgres::{PrivateServer, Role, ServerOptions};
use partita_simulator::{ClockMode, Control, NewEndpoint, Settings, Simulator, SimulatorOptions};
use partita_webhooks::WebhookSecret;
use partita_webhooks::endpoint::EndpointKind;
use partita_webhooks::sending::EgressPolicy;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::client::Client;
use crate::history::History;
use crate::market::Market;
use crate::previous;
use crate::proxy::{Protocol, Proxy, Weather};
use crate::replica::{Launch, Replica, secrets};
use crate::servers::backup::Archive;
use crate::servers::clocks::WrongClock;
use crate::servers::disk::SmallDisk;
use crate::servers::{self, Server, at_port};

/// The service's database.
const DATABASE: &str = "partita";
/// The provider's database.
const PROVIDER_DATABASE: &str = "provider";
/// The provider's key.
pub(crate) const PROVIDER_KEY: &str = "sk_test_of_the_simulator";
/// What API keys are hashed with.
pub(crate) const PEPPER: &str = "a pepper for the faults, long enough for them";
/// What webhooks of the platform's and of connected accounts are signed with.
pub(crate) const WEBHOOK_SECRETS: [&str; 2] = ["whsec_of_the_platform", "whsec_of_connected_accounts"];
/// Connections of each replica to its database.
pub(crate) const CONNECTIONS: u32 = 12;

/// What the service stands on, where a fault needs something else than usual.
#[derive(Debug, Default)]
pub struct Ground {
    /// Its Postgres is on a disk of its own of so many mebibytes.
    pub disk_mebibytes: Option<u64>,
    /// Its Postgres archives WAL, a segment after so many seconds at the latest.
    pub archive_seconds: Option<u32>,
    /// Each replica has a clock of its own.
    pub clocks: bool,
    /// The program of an older release makes the schema, the platform and the first replicas.
    pub previous: Option<PathBuf>,
}

/// A running rig.
#[derive(Debug)]
pub struct Rig {
    /// Decides every chance.
    pub seed: u64,
    /// Where logs and history are.
    pub folder: PathBuf,
    /// Between the replicas and Postgres.
    pub to_postgres: Proxy,
    /// Between the replicas and the provider.
    pub to_provider: Proxy,
    /// Between the provider and the replicas: webhooks.
    pub to_service: Proxy,
    /// The replicas.
    pub replicas: Vec<Replica>,
    /// Control over the provider.
    pub control: Control,
    /// The service's database, as its superuser.
    pub admin: PgPool,
    /// The provider's database, as its superuser.
    pub provider_admin: PgPool,
    /// The book that the load is in.
    pub book: Book,
    /// What clients did.
    pub history: Arc<History>,
    /// The clocks of the replicas, if they have their own.
    pub clocks: Vec<WrongClock>,
    /// Where the service's Postgres archives to, if it does.
    pub archive: Option<Archive>,
    api_key: String,
    /// The service's parts in this process, past every proxy, for the checks.
    app_url: String,
    /// The server that has taken over from `postgres`.
    successor: Option<Server>,
    postgres: PrivateServer,
    provider_postgres: PrivateServer,
    simulator: Simulator,
    /// The disk of the service's Postgres, if it has its own; it goes after the server.
    pub disk: Option<SmallDisk>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").finish_non_exhaustive()
    }
}

/// What stands in the databases before a replica starts.
pub(crate) struct Prepared {
    pub(crate) book: Book,
    pub(crate) api_key: String,
    /// Tokens of the platform's and of the Connect endpoint, each with its secret.
    pub(crate) endpoints: [(String, String); 2],
}

impl Rig {
    /// Starts everything in a folder that is empty, in fair weather.
    ///
    /// # Errors
    /// With what could not be started.
    pub async fn start(seed: u64, folder: &Path, replicas: usize, ground: &Ground) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("the folder {}", folder.display()))?;
        let disk = match ground.disk_mebibytes {
            Some(size) => Some(SmallDisk::mount(&folder.join("disk.img"), &folder.join("postgres"), size).await?),
            None => None,
        };
        let archive = ground.archive_seconds.map(|_| Archive::make(&folder.join("archive"))).transpose()?;
        let settings = archive.as_ref().zip(ground.archive_seconds).map(|(archive, after)| archive.settings(after));
        let settings = settings.unwrap_or_default();
        let postgres = start_postgres(&folder.join("postgres"), DATABASE, Role::Owner, settings).await?;
        let provider_folder = folder.join("provider");
        let provider_postgres =
            start_postgres(&provider_folder, PROVIDER_DATABASE, Role::Simulator, Vec::new()).await?;
        let owner = postgres.cluster().url(Role::Owner, DATABASE);
        match &ground.previous {
            None => partita_db::migrate(&owner, &partita::MIGRATOR).await.context("the service's schema")?,
            Some(program) => previous::migrate(program, &owner).await?,
        }
        let simulator = start_simulator(&provider_postgres, PROVIDER_DATABASE).await?;
        let control = simulator.control();

        let to_provider = Proxy::start("provider", Protocol::Plain, vec![address_of(&simulator)?], seed).await?;
        let port = loopback(postgres.cluster().port());
        let to_postgres = Proxy::start("postgres", Protocol::Postgres, vec![port], seed).await?;
        let to_service = Proxy::start("service", Protocol::Plain, Vec::new(), seed).await?;

        let app_url = postgres.cluster().url(Role::App, DATABASE);
        let provider_url = format!("http://{}", to_provider.address());
        let prepared = match &ground.previous {
            None => prepare(&app_url, "market", &provider_url, folder).await?,
            Some(program) => previous::prepare(program, &app_url, &provider_url, folder).await?,
        };
        let program = match &ground.previous {
            None => std::env::current_exe().context("where this program is")?,
            Some(program) => program.clone(),
        };
        register_endpoints(&control, &to_service, prepared.endpoints).await?;
        let (mut running, mut clocks) = (Vec::new(), Vec::new());
        for number in 0..replicas {
            let mut environment = Vec::new();
            if ground.clocks {
                let clock = WrongClock::make(folder.join(format!("clock-{number}")))?;
                environment = clock.environment();
                clocks.push(clock);
            }
            let launch = Launch {
                program: program.clone(),
                database_url: at_port(&app_url, to_postgres.address().port())?,
                pepper: PEPPER.to_owned(),
                connections: CONNECTIONS,
                log: folder.join(format!("replica-{number}.log")),
                environment,
                shutdown_delay: 0,
            };
            running.push(Replica::start(launch).await?);
        }
        to_service.set_upstreams(running.iter().map(|replica| replica.address).collect());
        Ok(Self {
            seed,
            folder: folder.to_owned(),
            to_postgres,
            to_provider,
            to_service,
            replicas: running,
            control,
            admin: superuser(&postgres, DATABASE).await?,
            provider_admin: superuser(&provider_postgres, PROVIDER_DATABASE).await?,
            book: prepared.book,
            history: Arc::new(History::begin(&folder.join("history.jsonl"))?),
            clocks,
            archive,
            disk,
            api_key: prepared.api_key,
            app_url,
            successor: None,
            postgres,
            provider_postgres,
            simulator,
        })
    }

    /// A client of the replicas.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn client(&self, number: usize) -> anyhow::Result<Client> {
        self.client_of(number, self.bases())
    }

    /// A client of whatever listens at these base addresses.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn client_of(&self, number: usize, bases: Vec<String>) -> anyhow::Result<Client> {
        Ok(Client::try_new(number, bases, self.api_key.clone(), Arc::clone(&self.history))?)
    }

    /// The base addresses of the replicas.
    pub fn bases(&self) -> Vec<String> {
        self.replicas.iter().map(|replica| format!("http://{}", replica.address)).collect()
    }

    /// The service's database under the role that owns its schema.
    pub fn owner_url(&self) -> String {
        self.postgres.cluster().url(Role::Owner, DATABASE)
    }

    /// Another provider on the provider's server.
    pub(crate) async fn another_provider(&self, name: &str) -> anyhow::Result<(Simulator, PgPool)> {
        let database = format!("{PROVIDER_DATABASE}_{name}");
        self.provider_postgres.cluster().create_database(&database, Role::Simulator).await?;
        let simulator = start_simulator(&self.provider_postgres, &database).await?;
        Ok((simulator, superuser(&self.provider_postgres, &database).await?))
    }

    /// Another platform in the service's database.
    pub(crate) async fn another_platform(&self, name: &str, provider_url: &str) -> anyhow::Result<Prepared> {
        prepare(&self.app_url, name, provider_url, &self.folder).await
    }

    /// What a raw client sends before its body.
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.api_key)
    }

    /// A marketplace whose sellers may be paid.
    ///
    /// # Errors
    /// When the service does not do what it should in fair weather.
    pub async fn market(&self) -> anyhow::Result<Arc<Market>> {
        let client = self.client(0)?;
        let market = Market::open(&client, &self.control).await?;
        market.wait_until_open(&client).await?;
        Ok(Arc::new(market))
    }

    /// The service's parts in this process, past every proxy.
    ///
    /// # Errors
    /// When the database cannot be opened.
    pub async fn app(&self) -> anyhow::Result<Arc<App>> {
        open_app(&self.app_url).await
    }

    /// Fair weather everywhere, no planned faults, right clocks, a disk with room, every replica running.
    ///
    /// # Errors
    /// When a replica does not come back.
    pub async fn heal(&mut self) -> anyhow::Result<()> {
        for proxy in [&self.to_postgres, &self.to_provider, &self.to_service] {
            proxy.set_weather(Weather::default());
        }
        self.control.clear_faults();
        for clock in &self.clocks {
            clock.set(0)?;
        }
        if let Some(disk) = &self.disk {
            disk.free()?;
        }
        for replica in &mut self.replicas {
            if replica.ended_by_itself()? {
                replica.spawn()?;
            }
            replica.wait_until_ready().await?;
        }
        Ok(())
    }

    /// The service's database.
    pub fn database(&self) -> &'static str {
        DATABASE
    }

    /// The URL under which a role reaches a database of the service's Postgres, past every proxy.
    pub fn url(&self, role: Role, database: &str) -> String {
        self.postgres.cluster().url(role, database)
    }

    /// Makes another database beside the service's, for the owner of schemas.
    ///
    /// # Errors
    /// What the server says.
    pub async fn create_database(&self, name: &str) -> anyhow::Result<()> {
        self.postgres.cluster().create_database(name, Role::Owner).await?;
        Ok(())
    }

    /// Where Postgres keeps its files: the one that the service uses.
    pub fn postgres_folder(&self) -> &Path {
        self.successor.as_ref().map_or_else(|| self.postgres.folder(), Server::folder)
    }

    /// The URL of the superuser on the service's first Postgres.
    pub fn admin_url(&self) -> String {
        self.postgres.cluster().url(Role::Admin, DATABASE)
    }

    /// Where the service's first Postgres listens.
    pub fn postgres_address(&self) -> SocketAddr {
        loopback(self.postgres.cluster().port())
    }

    /// Strikes the machine dead that the service's first Postgres runs on.
    ///
    /// # Errors
    /// What the system says.
    pub fn lose_postgres(&self) -> anyhow::Result<()> {
        servers::lose_machine(self.postgres.folder(), self.postgres.supervisor_pid())
    }

    /// From now on the way to Postgres leads to this port; who is on the old way is cut off.
    pub fn lead_to(&self, port: u16) {
        self.to_postgres.set_upstreams(vec![loopback(port)]);
        self.to_postgres.reset_all();
    }

    /// Has another server be the service's Postgres, for the checks too.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn take_over(&mut self, successor: Server) -> anyhow::Result<()> {
        self.lead_to(successor.port());
        self.app_url = at_port(&self.app_url, successor.port())?;
        self.admin = superuser_at(successor.admin_url()).await?;
        self.successor = Some(successor);
        Ok(())
    }

    /// Stops everything.
    ///
    /// # Errors
    /// When something does not stop.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        for replica in &mut self.replicas {
            replica.kill().await?;
        }
        self.admin.close().await;
        self.provider_admin.close().await;
        self.simulator.shutdown().await;
        self.provider_postgres.shutdown().await?;
        if let Some(successor) = self.successor {
            successor.stop().await?;
        }
        self.postgres.shutdown().await?;
        Ok(())
    }
}

async fn start_postgres(
    folder: &Path,
    database: &str,
    owner: Role,
    settings: Vec<(String, String)>,
) -> anyhow::Result<PrivateServer> {
    let options = ServerOptions { settings, ..ServerOptions::new(folder) };
    let server = PrivateServer::start(options).await.context("a private Postgres")?;
    server.cluster().create_database(database, owner).await?;
    Ok(server)
}

async fn start_simulator(postgres: &PrivateServer, database: &str) -> anyhow::Result<Simulator> {
    let simulator = Simulator::start(SimulatorOptions {
        secret_key: PROVIDER_KEY.to_owned(),
        clock: ClockMode::System,
        ..SimulatorOptions::new(postgres.cluster().url(Role::Simulator, database))
    })
    .await
    .context("the provider")?;
    let control = simulator.control();
    // Funds are there at once, and a request that hangs does so for less than the service waits.
    control.set_settings(Settings { settlement_days: 0, hang_ms: 2_000, ..control.settings() }).await?;
    Ok(simulator)
}

/// Has a provider send its webhooks to the replicas.
///
/// # Errors
/// What the provider says.
pub(crate) async fn register_endpoints(
    control: &Control,
    to_service: &Proxy,
    endpoints: [(String, String); 2],
) -> anyhow::Result<()> {
    for ((token, secret), connect) in endpoints.into_iter().zip([false, true]) {
        let url = format!("http://{}/webhooks/stripe/{token}", to_service.address());
        let endpoint = NewEndpoint { url, secret: Some(secret), connect, enabled_events: Vec::new() };
        control.register_endpoint(endpoint).await?;
    }
    Ok(())
}

async fn prepare(app_url: &str, name: &str, provider_url: &str, folder: &Path) -> anyhow::Result<Prepared> {
    let app = open_app(app_url).await?;
    let secret = folder.join("provider.key");
    std::fs::write(&secret, PROVIDER_KEY).context("the provider's key")?;
    let books = platforms::create(&app, name, "Marketplace").await?;
    let book = books.into_iter().next().context("a platform has books")?;
    let connection = ProviderConnection {
        provider: "stripe".to_owned(),
        base_url: provider_url.to_owned(),
        secret_ref: format!("file:{}", secret.display()),
    };
    platforms::connect_provider(&app, book.id, connection).await?;
    let scopes = SCOPES.iter().map(ToString::to_string).collect();
    let (_, api_key) = platforms::create_key(&app, &book, "faults", scopes, None).await?;
    let mut endpoints = Vec::new();
    for (kind, secret) in [EndpointKind::Platform, EndpointKind::Connect].into_iter().zip(WEBHOOK_SECRETS) {
        let token = platforms::open_webhook_endpoint(&app, &book, kind, WebhookSecret::parse(secret)?).await?;
        endpoints.push((token, secret.to_owned()));
    }
    app.db.close().await;
    let endpoints = endpoints.try_into().map_err(|_| anyhow::anyhow!("two endpoints"))?;
    Ok(Prepared { book, api_key, endpoints })
}

pub(crate) async fn open_app(url: &str) -> anyhow::Result<Arc<App>> {
    let options = DbOptions { max_connections: 4, ..DbOptions::new(url.to_owned()) };
    let db = Db::connect(&options).await.context("the application's role")?;
    Ok(App::new(db, Clock::System, secrets(PEPPER)?, EgressPolicy::default(), RESEND_UP_TO))
}

async fn superuser(server: &PrivateServer, database: &str) -> anyhow::Result<PgPool> {
    superuser_at(&server.cluster().url(Role::Admin, database)).await
}

async fn superuser_at(url: &str) -> anyhow::Result<PgPool> {
    let pool = PgPoolOptions::new().max_connections(2).acquire_timeout(Duration::from_secs(30));
    pool.connect(url).await.context("the superuser's way in")
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn address_of(simulator: &Simulator) -> anyhow::Result<SocketAddr> {
    simulator.base_url().trim_start_matches("http://").parse().context("where the provider listens")
}
