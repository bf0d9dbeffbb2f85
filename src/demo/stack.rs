//! What the demo runs beside Postgres: the simulator, the database of the service, the service on the machine's clock.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use partita_db::Db;
use partita_postgres::{PrivateServer, Role};
use partita_simulator::{ClockMode, Control, NewEndpoint, Simulator, SimulatorError, SimulatorOptions};
use secrecy::SecretString;

use super::DemoOptions;
use super::marketplace::{NEWCOMER, REFERENCE};
use super::place::{Marketplace, Place, PortNumbers, RunningFile};
use crate::app::{App, RESEND_UP_TO, Secrets};
use crate::cli::service::{Listeners, Service, ServiceOptions, listen};
use crate::clock::Clock;
use crate::config::RateSettings;
use crate::platforms::{self, Mode, ProviderConnection};
use crate::sellers::{self, NewOnboardingLink};
use crate::stage::{egress, loopback};
use crate::telemetry::Metrics;

/// The service's database.
pub(super) const DATABASE: &str = "partita";
/// The simulator's.
pub(super) const SIMULATOR_DATABASE: &str = "partita_simulator";
const CONNECTIONS: u32 = 12;
const MAX_CONNECTIONS: usize = 256;
/// What a person's request gets to end when the demo stops.
const DRAIN: Duration = Duration::from_secs(5);
/// The provider's name in the books.
const PROVIDER: &str = "stripe";

/// The ports: sockets that listen already, so that nobody can take them between two services.
#[derive(Debug)]
pub(super) struct Ports {
    main: std::net::TcpListener,
    admin: std::net::TcpListener,
    /// The one to try, and whether no other will do.
    simulator: (u16, bool),
    /// What is counted by whichever service listens.
    metrics: Metrics,
}

impl Ports {
    /// Those that were asked for; else those of the last time; else free ones.
    pub(super) fn choose(options: &DemoOptions, known: Option<PortNumbers>) -> anyhow::Result<Self> {
        Ok(Self {
            main: socket(options.port, known.map(|ports| ports.service), "--port")?,
            admin: socket(options.admin_port, known.map(|ports| ports.admin), "--admin-port")?,
            simulator: match options.simulator_port {
                Some(port) => (port, true),
                None => (known.map_or(0, |ports| ports.simulator), false),
            },
            metrics: Metrics::install()?,
        })
    }

    /// Scheme, host and port of the service.
    pub(super) fn origin(&self) -> anyhow::Result<String> {
        Ok(format!("http://{}", self.main.local_addr()?))
    }

    fn listeners(&self) -> anyhow::Result<Listeners> {
        Ok(Listeners { main: Some(self.main.try_clone()?), admin: self.admin.try_clone()? })
    }
}

fn socket(asked: Option<u16>, known: Option<u16>, option: &str) -> anyhow::Result<std::net::TcpListener> {
    if let Some(port) = asked {
        return listen(loopback(port), option);
    }
    let known = known.and_then(|port| listen(loopback(port), option).ok());
    known.map_or_else(|| listen(loopback(0), option), Ok)
}

/// Starts the simulator on its port.
pub(super) async fn start_simulator(
    place: &Place,
    server: &PrivateServer,
    ports: &Ports,
    clock: ClockMode,
) -> anyhow::Result<Simulator> {
    let (port, only_this) = ports.simulator;
    let options = SimulatorOptions {
        bind: loopback(port),
        secret_key: place.secret_key()?.0,
        background_webhooks: clock == ClockMode::System,
        clock,
        ..SimulatorOptions::new(server.cluster().url(Role::Simulator, SIMULATOR_DATABASE))
    };
    let anywhere = SimulatorOptions { bind: loopback(0), ..options.clone() };
    let started = match Simulator::start(options).await {
        Err(SimulatorError::Listen { .. }) if !only_this => Simulator::start(anywhere).await,
        started => started,
    };
    started.context("the simulated provider cannot start; choose another port with --simulator-port if that is why")
}

/// Brings the service's database up to date and opens it under the application's role.
pub(super) async fn open_database(server: &PrivateServer) -> anyhow::Result<Db> {
    let owner = server.cluster().url(Role::Owner, DATABASE);
    partita_db::migrate(&owner, &crate::MIGRATOR).await.context("the demo's database cannot be brought up to date")?;
    let app = SecretString::from(server.cluster().url(Role::App, DATABASE));
    crate::cli::connect(&app, CONNECTIONS).await
}

/// Starts the service on the demo's ports.
pub(super) fn start_service(app: Arc<App>, ports: &Ports, with_worker: bool) -> anyhow::Result<Service> {
    let options = ServiceOptions {
        public_origin: ports.origin()?,
        max_connections: MAX_CONNECTIONS,
        shutdown_delay: Duration::ZERO,
        drain: DRAIN,
        // On loopback there is nobody to hold back, and everybody to try a load.
        rates: RateSettings::default(),
        with_worker,
    };
    Service::start(app, ports.listeners()?, ports.metrics.clone(), &options)
}

/// Where the demo's marketplace reaches its provider.
pub(super) fn connection(place: &Place, simulator: &Simulator) -> anyhow::Result<ProviderConnection> {
    Ok(ProviderConnection {
        provider: PROVIDER.to_owned(),
        base_url: simulator.base_url(),
        secret_ref: place.secret_key()?.1,
    })
}

/// Points the simulator's webhooks to where the service listens now.
async fn redirect_webhooks(control: &Control, origin: &str) -> anyhow::Result<()> {
    for endpoint in control.endpoints() {
        let path = url::Url::parse(&endpoint.url)?.path().to_owned();
        let url = format!("{origin}{path}");
        if url != endpoint.url {
            control.remove_endpoint(&endpoint.id).await?;
            let moved = NewEndpoint {
                url,
                secret: Some(endpoint.secret),
                connect: endpoint.connect,
                enabled_events: endpoint.enabled_events,
            };
            control.register_endpoint(moved).await?;
        }
    }
    Ok(())
}

/// The running demo.
pub(super) struct Stack {
    app: Arc<App>,
    simulator: Simulator,
    service: Service,
    origin: String,
    /// Where it listens.
    pub(super) ports: PortNumbers,
    /// What other commands need to reach it.
    pub(super) running: RunningFile,
}

impl Stack {
    /// Starts simulator and service, on the machine's clock.
    pub(super) async fn start(
        place: &Place,
        server: &PrivateServer,
        ports: &Ports,
        marketplace: &Marketplace,
    ) -> anyhow::Result<Self> {
        let simulator = start_simulator(place, server, ports, ClockMode::System).await?;
        let db = open_database(server).await?;
        let secrets = Secrets { pepper: SecretString::from(marketplace.pepper.clone()), vault: place.vault()? };
        let app = App::new(db, Clock::System, secrets, egress(), RESEND_UP_TO);
        // It may listen elsewhere than the last time.
        let book = platforms::book_of(&app, REFERENCE, Mode::Test).await?;
        platforms::connect_provider(&app, book.id, connection(place, &simulator)?).await?;
        let origin = ports.origin()?;
        let service = start_service(Arc::clone(&app), ports, true)?;
        redirect_webhooks(&simulator.control(), &origin).await?;
        Ok(Self {
            ports: PortNumbers {
                service: ports.main.local_addr()?.port(),
                admin: ports.admin.local_addr()?.port(),
                simulator: url::Url::parse(&simulator.base_url())?.port().unwrap_or_default(),
            },
            running: RunningFile {
                database_url: server.cluster().url(Role::App, DATABASE),
                pepper: marketplace.pepper.clone(),
                encryption_key: place.encryption_key()?,
            },
            app,
            simulator,
            service,
            origin,
        })
    }

    /// A new onboarding link for the shop that has not finished.
    pub(super) async fn onboarding_link(&self, made: &Marketplace) -> anyhow::Result<String> {
        let book = platforms::book_of(&self.app, REFERENCE, Mode::Test).await?;
        let return_url = format!("{}/", self.origin);
        let input = NewOnboardingLink { refresh_url: return_url.clone(), return_url, locale: None };
        let link = sellers::create_link(&self.app, book.id, made.sellers[NEWCOMER], input).await?;
        Ok(format!("{}/onboarding/{}", self.origin, link.token))
    }

    /// Waits until a part of the service ends by itself.
    pub(super) async fn broken(&mut self) -> anyhow::Error {
        self.service.broken().await
    }

    /// Stops everything, the provider last.
    pub(super) async fn stop(self) {
        self.service.stop().await;
        self.simulator.shutdown().await;
        self.app.db.close().await;
    }
}
