//! The service in this process with a clock that is driven, for what takes hours and days: keys that are forgotten,
//! look-ups minutes apart, webhooks three days late.
//!
//! `partita serve` takes the database's clock alone, so that what needs another runs here: the same code, the same HTTP
//! towards the provider and from its webhooks, one clock for both, and work that is done only when [`Driven::settle`]
//! is called. Nothing is killed here; that is for processes ([`crate::rig`]).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use partita::app::{App, RESEND_UP_TO};
use partita::clock::{Clock, DrivenClock};
use partita::config::RateSettings;
use partita::http::{self, Shared};
use partita::platforms::{self, Book, ProviderConnection, SCOPES};
use partita::telemetry::Metrics;
use partita::{web, worker};
use partita_db::{Db, DbOptions};
use partita_postgres::{PrivateServer, Role, ServerOptions};
use partita_simulator::{ClockMode, Control, NewEndpoint, Settings, Simulator, SimulatorOptions};
use partita_webhooks::WebhookSecret;
use partita_webhooks::endpoint::EndpointKind;
use partita_webhooks::sending::EgressPolicy;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::check::{self, Findings, Places};
use crate::client::Client;
use crate::history::History;
use crate::market::Market;
use crate::replica::secrets;

/// When the clock begins.
const START: &str = "2026-03-02T09:00:00Z";
/// The provider's key.
const PROVIDER_KEY: &str = "sk_test_of_the_simulator";
/// What API keys are hashed with.
const PEPPER: &str = "a pepper for the faults, long enough for them";
/// Connections to the service's database.
const CONNECTIONS: u32 = 24;
/// How long work waits for a connection. The database is not what is struck here: a machine with more to do than it can
/// must not look like one that fails.
const CONNECTED_WITHIN: Duration = Duration::from_mins(1);
/// Seconds of a day.
pub(crate) const DAY: i64 = 86_400;

/// The service and its provider on one driven clock.
pub(crate) struct Driven {
    pub(crate) app: Arc<App>,
    pub(crate) book: Book,
    pub(crate) control: Control,
    pub(crate) history: Arc<History>,
    pub(crate) admin: PgPool,
    pub(crate) provider_admin: PgPool,
    base: String,
    api_key: String,
    clock: DrivenClock,
    simulator: Simulator,
    stop: CancellationToken,
}

impl Driven {
    /// Starts on two databases of a server, named after `name`.
    ///
    /// # Errors
    /// With what could not be started.
    pub(crate) async fn start(server: &PrivateServer, folder: &Path, name: &str) -> anyhow::Result<Self> {
        let (database, provider) = (format!("{name}_service"), format!("{name}_provider"));
        let cluster = server.cluster();
        cluster.create_database(&database, Role::Owner).await?;
        cluster.create_database(&provider, Role::Simulator).await?;
        partita_db::migrate(&cluster.url(Role::Owner, &database), &partita::MIGRATOR).await?;
        let start: Timestamp = START.parse().context("a time")?;
        let simulator = Simulator::start(SimulatorOptions {
            secret_key: PROVIDER_KEY.to_owned(),
            clock: ClockMode::Manual(start.as_second()),
            background_webhooks: false,
            ..SimulatorOptions::new(cluster.url(Role::Simulator, &provider))
        })
        .await?;
        let control = simulator.control();
        // A request that hangs breaks off before the service's own patience of half a minute ends.
        control.set_settings(Settings { hang_ms: 50, ..control.settings() }).await?;
        let options = DbOptions {
            max_connections: CONNECTIONS,
            acquire_timeout: CONNECTED_WITHIN,
            ..DbOptions::new(cluster.url(Role::App, &database))
        };
        let clock = DrivenClock::new(start);
        let app = App::new(
            Db::connect(&options).await?,
            Clock::Driven(clock.clone()),
            secrets(PEPPER)?,
            EgressPolicy::default(),
            RESEND_UP_TO,
        );
        let (book, api_key) = make_platform(&app, &simulator, folder).await?;
        let stop = CancellationToken::new();
        let base = serve(&app, &stop).await?;
        register_endpoints(&app, &book, &control, &base).await?;
        Ok(Self {
            app,
            book,
            control,
            history: Arc::new(History::begin(&folder.join(format!("{name}.jsonl")))?),
            admin: PgPool::connect(&cluster.url(Role::Admin, &database)).await?,
            provider_admin: PgPool::connect(&cluster.url(Role::Admin, &provider)).await?,
            base,
            api_key,
            clock,
            simulator,
            stop,
        })
    }

    /// A client.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn client(&self, number: usize) -> anyhow::Result<Client> {
        Ok(Client::try_new(number, vec![self.base.clone()], self.api_key.clone(), Arc::clone(&self.history))?)
    }

    /// A marketplace whose sellers may be paid.
    ///
    /// # Errors
    /// When the service does not do what it should in fair weather.
    pub(crate) async fn market(&self) -> anyhow::Result<Arc<Market>> {
        let client = self.client(0)?;
        let market = Market::open(&client, &self.control).await?;
        self.settle().await?;
        market.wait_until_open(&client).await?;
        Ok(Arc::new(market))
    }

    /// Delivers webhooks and does what is due, until nothing is left at this time.
    ///
    /// # Errors
    /// When the queues cannot be read.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        loop {
            let delivered = self.control.flush_webhooks().await?;
            let done = worker::drain(&self.app).await?;
            if delivered.delivered == 0 && done == 0 {
                return Ok(());
            }
        }
    }

    /// Does one batch of what is due.
    ///
    /// # Errors
    /// When the queues cannot be read.
    pub(crate) async fn step(&self) -> anyhow::Result<()> {
        worker::step(&self.app).await?;
        Ok(())
    }

    /// Does everything that is due without asking for webhooks.
    ///
    /// # Errors
    /// When the queues cannot be read.
    pub(crate) async fn work(&self) -> anyhow::Result<()> {
        worker::drain(&self.app).await?;
        Ok(())
    }

    /// Moves both clocks.
    ///
    /// # Errors
    /// What the provider says.
    pub(crate) async fn move_clocks(&self, seconds: i64) -> anyhow::Result<()> {
        let now = self.control.advance(seconds).await?;
        self.clock.set(Timestamp::from_second(now)?);
        Ok(())
    }

    /// Lets time pass in growing steps, up to `most` seconds, until nothing is open; how many seconds it took, if it
    /// became so.
    ///
    /// # Errors
    /// When the databases cannot be asked.
    pub(crate) async fn quiet_within(&self, most: i64) -> anyhow::Result<Option<i64>> {
        let (mut passed, mut step) = (0, 1);
        loop {
            self.settle().await?;
            if check::open_work(&self.admin).await?.is_empty() {
                return Ok(Some(passed));
            }
            if passed >= most {
                return Ok(None);
            }
            self.move_clocks(step).await?;
            passed += step;
            step = (step * 2).min(3_600);
        }
    }

    /// Checks everything that must hold; effects and movements that were compared.
    ///
    /// # Errors
    /// When it cannot be found out.
    pub(crate) async fn check(&self, found: &mut Findings) -> anyhow::Result<(usize, usize)> {
        let places =
            Places { admin: &self.admin, provider: &self.provider_admin, control: &self.control, book: self.book.id };
        check::books(&self.app, &places, found).await?;
        check::acknowledgements(&self.client(0)?, &self.history.acknowledged(), found).await?;
        let effects = check::effects(&self.control, found).await?;
        let movements = check::agreement(&self.app, &places, found).await?;
        Ok((effects, movements))
    }

    /// Stops everything.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.simulator.shutdown().await;
        self.admin.close().await;
        self.provider_admin.close().await;
        self.app.db.close().await;
    }
}

/// A private Postgres for driven services.
///
/// # Errors
/// When it cannot be started.
pub(crate) async fn server(folder: &Path) -> anyhow::Result<PrivateServer> {
    std::fs::create_dir_all(folder).with_context(|| format!("the folder {}", folder.display()))?;
    PrivateServer::start(ServerOptions::new(folder.join("postgres"))).await.context("a private Postgres")
}

async fn make_platform(app: &Arc<App>, simulator: &Simulator, folder: &Path) -> anyhow::Result<(Book, String)> {
    let secret = folder.join("provider.key");
    std::fs::write(&secret, PROVIDER_KEY).context("the provider's key")?;
    let books = platforms::create(app, "market", "Marketplace").await?;
    let book = books.into_iter().next().context("a platform has books")?;
    let connection = ProviderConnection {
        provider: "stripe".to_owned(),
        base_url: simulator.base_url(),
        secret_ref: format!("file:{}", secret.display()),
    };
    platforms::connect_provider(app, book.id, connection).await?;
    let scopes = SCOPES.iter().map(ToString::to_string).collect();
    let (_, api_key) = platforms::create_key(app, &book, "faults", scopes, None).await?;
    Ok((book, api_key))
}

async fn register_endpoints(app: &Arc<App>, book: &Book, control: &Control, base: &str) -> anyhow::Result<()> {
    for (kind, secret) in
        [(EndpointKind::Platform, "whsec_of_the_platform"), (EndpointKind::Connect, "whsec_of_connected_accounts")]
    {
        let token = platforms::open_webhook_endpoint(app, book, kind, WebhookSecret::parse(secret)?).await?;
        let endpoint = NewEndpoint {
            url: format!("{base}/webhooks/stripe/{token}"),
            secret: Some(secret.to_owned()),
            connect: kind == EndpointKind::Connect,
            enabled_events: Vec::new(),
        };
        control.register_endpoint(endpoint).await?;
    }
    Ok(())
}

async fn serve(app: &Arc<App>, stop: &CancellationToken) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let rates = RateSettings { per_key: None, per_address: None, trusted_proxies: Vec::new() };
    let state = Shared::new(Arc::clone(app), Metrics::detached()?, &rates, base.clone());
    let router = http::router::main_router(state, web::router());
    let options = http::server::ServerOptions { max_connections: 512, drain: Duration::from_secs(1) };
    tokio::spawn(http::server::serve(listener, router, options, stop.clone()));
    Ok(base)
}
