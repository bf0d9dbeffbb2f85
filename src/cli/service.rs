//! The running service: the main port, the admin port, the worker and the upkeep between them; started together and
//! stopped in order.

use std::io;
use std::net::{SocketAddr, TcpListener as Socket};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::clock::Clock;
use crate::config::RateSettings;
use crate::http::router::{admin_router, main_router};
use crate::http::server::{self, ServerOptions};
use crate::http::{HttpState, Shared};
use crate::telemetry::Metrics;
use crate::{web, worker};

/// Between two rounds of moving measurements on and forgetting idle clients.
const UPKEEP: Duration = Duration::from_secs(5);
/// Connections to the admin port held at once.
const ADMIN_CONNECTIONS: usize = 64;

/// How to run.
#[derive(Debug, Clone)]
pub(crate) struct ServiceOptions {
    /// Scheme, host and port under which the outside reaches this service.
    pub(crate) public_origin: String,
    /// Connections of clients held at once.
    pub(crate) max_connections: usize,
    /// Between "not ready" and the end of accepting.
    pub(crate) shutdown_delay: Duration,
    /// What requests under way get to end at shutdown.
    pub(crate) drain: Duration,
    /// Rate limits.
    pub(crate) rates: RateSettings,
    /// Whether the worker runs here.
    pub(crate) with_worker: bool,
}

/// Where to listen.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// For clients; none: not at all.
    pub(crate) main: Option<Socket>,
    /// For metrics and health.
    pub(crate) admin: Socket,
}

/// Listens on an address; port 0 takes a free one.
///
/// # Errors
/// With what to do about it, when the address is taken or not ours.
pub(crate) fn listen(address: SocketAddr, option: &str) -> anyhow::Result<Socket> {
    let socket = Socket::bind(address).map_err(|error| {
        let fix = match error.kind() {
            io::ErrorKind::AddrInUse => "another process listens there; stop it or choose another port",
            io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; choose a higher one",
            _ => "choose another address",
        };
        anyhow::Error::new(error).context(format!("cannot listen on {address}: {fix} with {option}"))
    })?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The running service.
pub(crate) struct Service {
    state: HttpState,
    servers: JoinSet<()>,
    background: JoinSet<()>,
    stop_serving: CancellationToken,
    stop_background: CancellationToken,
    shutdown_delay: Duration,
}

impl Service {
    /// Starts everything.
    ///
    /// # Errors
    /// What the system says of the sockets.
    pub(crate) fn start(
        app: Arc<App>,
        listeners: Listeners,
        metrics: Metrics,
        options: &ServiceOptions,
    ) -> anyhow::Result<Self> {
        let state = Shared::new(Arc::clone(&app), metrics, &options.rates, options.public_origin.clone());
        let (stop_serving, stop_background) = (CancellationToken::new(), CancellationToken::new());
        let (mut servers, mut background) = (JoinSet::new(), JoinSet::new());
        if let Some(main) = listeners.main {
            let listener = TcpListener::from_std(main).context("the main port cannot be used")?;
            let limits = ServerOptions { max_connections: options.max_connections, drain: options.drain };
            let router = main_router(Arc::clone(&state), web::router());
            servers.spawn(server::serve(listener, router, limits, stop_serving.clone()));
        }
        let listener = TcpListener::from_std(listeners.admin).context("the admin port cannot be used")?;
        let limits = ServerOptions { max_connections: ADMIN_CONNECTIONS, drain: options.drain };
        servers.spawn(server::serve(listener, admin_router(Arc::clone(&state)), limits, stop_serving.clone()));
        if let Clock::Database(clock) = &app.clock {
            background.spawn(clock.clone().follow(app.db.clone(), stop_background.clone()));
        }
        if options.with_worker {
            background.spawn(worker::run(app, stop_background.clone()));
        }
        background.spawn(keep_up(Arc::clone(&state), stop_background.clone()));
        Ok(Self { state, servers, background, stop_serving, stop_background, shutdown_delay: options.shutdown_delay })
    }

    /// Waits until one of its parts ends without being asked to, which only a defect makes it do.
    pub(crate) async fn broken(&mut self) -> anyhow::Error {
        let ended = tokio::select! {
            Some(ended) = self.servers.join_next() => ended,
            Some(ended) = self.background.join_next() => ended,
        };
        match ended {
            Ok(()) => anyhow::anyhow!("a part of the service ended by itself"),
            Err(error) => anyhow::Error::new(error).context("a part of the service ended by itself"),
        }
    }

    /// Stops in order: no longer ready, no longer accepting, requests under way end, then the worker.
    pub(crate) async fn stop(mut self) {
        self.state.readiness.stop();
        tokio::time::sleep(self.shutdown_delay).await;
        self.stop_serving.cancel();
        while self.servers.join_next().await.is_some() {}
        self.stop_background.cancel();
        while self.background.join_next().await.is_some() {}
    }
}

async fn keep_up(state: HttpState, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(UPKEEP)).await.is_some() {
        state.metrics.run_upkeep();
        state.limits.forget_idle();
    }
}
