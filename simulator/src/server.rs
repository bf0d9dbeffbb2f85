//! Starting and stopping.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::{App, Parts};
use crate::clock::{Clock, ClockMode, system_now};
use crate::context::RequestInfo;
use crate::control::{self, Control, ControlError};
use crate::ids::new_id;
use crate::resources::onboarding;
use crate::settings::Settings;
use crate::uploads::LARGEST_FORM;
use crate::webhooks::{self, Round};
use crate::{MIGRATOR, control_http, idempotency, jobs, pipeline};

/// The largest request body, in bytes.
const LARGEST_BODY: usize = 256 * 1024;

/// How often what is due is looked for when nothing wakes the worker.
const TICK: Duration = Duration::from_millis(200);

/// How long open connections may take to end at shutdown.
const GRACE: Duration = Duration::from_secs(3);

/// What a simulator is started with.
#[derive(Debug, Clone)]
pub struct SimulatorOptions {
    /// Its own database; migrated at start. One simulator at a time owns it.
    pub database_url: String,
    /// Address to listen on; port 0 takes a free one.
    pub bind: SocketAddr,
    /// The platform's secret key, as `sk_test_..`.
    pub secret_key: String,
    /// The clock to start with.
    pub clock: ClockMode,
    /// The platform's country, ISO 3166 alpha-2; decides its default currency.
    pub country: String,
    /// Whether webhooks are delivered in the background as they fall due; otherwise only by
    /// [`Control::flush_webhooks`].
    pub background_webhooks: bool,
    /// The most database connections.
    pub max_connections: u32,
}

impl SimulatorOptions {
    /// A simulator on a free loopback port, on the machine's clock, with the key `sk_test_simulator`.
    pub fn new(database_url: impl Into<String>) -> Self {
        Self {
            database_url: database_url.into(),
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            secret_key: "sk_test_simulator".into(),
            clock: ClockMode::System,
            country: "DE".into(),
            background_webhooks: true,
            max_connections: 10,
        }
    }
}

/// Why a simulator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The database cannot be reached or read.
    #[error("the simulator's database cannot be used")]
    Database(#[from] sqlx::Error),
    /// The database cannot be brought to this version's schema.
    #[error("the simulator's database cannot be migrated")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The address cannot be listened on.
    #[error("{address} cannot be listened on")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The client for webhooks cannot be made.
    #[error("the webhook client cannot be made")]
    Client(#[from] reqwest::Error),
    /// The stored switches cannot be read.
    #[error("the stored settings cannot be read")]
    Settings(#[from] serde_json::Error),
    /// The database could not be prepared.
    #[error("the simulator cannot be prepared")]
    Prepare(#[from] ControlError),
}

/// A running simulator. Stops when [`Simulator::shutdown`] is awaited, or with the process.
#[derive(Debug)]
pub struct Simulator {
    app: Arc<App>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    worker: JoinHandle<()>,
}

impl Simulator {
    /// Migrates the database, listens, and answers when it does.
    ///
    /// # Errors
    /// [`SimulatorError`].
    pub async fn start(options: SimulatorOptions) -> Result<Self, SimulatorError> {
        // reqwest has no TLS provider of its own here. Another one that the process has installed is as good.
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let pool = PgPoolOptions::new().max_connections(options.max_connections).connect(&options.database_url).await?;
        MIGRATOR.run(&pool).await?;
        idempotency::release_abandoned(&pool).await?;
        let listener = TcpListener::bind(options.bind)
            .await
            .map_err(|source| SimulatorError::Listen { address: options.bind, source })?;
        let address =
            listener.local_addr().map_err(|source| SimulatorError::Listen { address: options.bind, source })?;
        let app = Arc::new(load(pool, &options, address).await?);
        let control = Control { app: app.clone() };
        let mut cx = app.open(None, RequestInfo::default()).await.map_err(ControlError::from)?;
        control::prepare(&mut cx, &options.country).await.map_err(ControlError::from)?;
        cx.commit().await.map_err(ControlError::from)?;
        let (stop, stopped) = watch::channel(false);
        let server = tokio::spawn(listen(listener, router(app.clone(), control), stopped.clone()));
        let worker = tokio::spawn(work(app.clone(), stopped));
        Ok(Self { app, stop, server, worker })
    }

    /// Where it listens, as `http://127.0.0.1:12111`, without a slash at the end.
    pub fn base_url(&self) -> String {
        self.app.base_url.to_string()
    }

    /// The secret key it takes.
    pub fn secret_key(&self) -> &str {
        &self.app.secret_key
    }

    /// A handle for what no client of Stripe can do.
    pub fn control(&self) -> Control {
        Control { app: self.app.clone() }
    }

    /// Ends open requests and stops.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        if tokio::time::timeout(GRACE, &mut self.server).await.is_err() {
            self.server.abort();
        }
        if tokio::time::timeout(GRACE, &mut self.worker).await.is_err() {
            self.worker.abort();
        }
        self.app.pool.close().await;
    }
}

/// Reads what the database knows of an earlier run.
async fn load(pool: PgPool, options: &SimulatorOptions, address: SocketAddr) -> Result<App, SimulatorError> {
    sqlx::query("insert into simulator_state (singleton) values (true) on conflict do nothing").execute(&pool).await?;
    let platform: String = sqlx::query_scalar(
        "with known as (
             update platform set secret_key = $2 returning account
         ), made as (
             insert into platform (account, secret_key) select $1, $2 where not exists (select from platform)
             returning account
         )
         select account from known union all select account from made",
    )
    .bind(new_id("acct"))
    .bind(&options.secret_key)
    .fetch_one(&pool)
    .await?;
    let (stored_clock, settings): (Option<i64>, serde_json::Value) =
        sqlx::query_as("select clock_seconds, settings from simulator_state").fetch_one(&pool).await?;
    let driven = match options.clock {
        ClockMode::System => None,
        ClockMode::Manual(start) => Some(start.max(stored_clock.unwrap_or(start))),
    };
    sqlx::query("update simulator_state set clock_seconds = $1").bind(driven).execute(&pool).await?;
    if stored_clock.is_some_and(|stored| driven.is_none() && stored > system_now()) {
        tracing::warn!("the database was driven to a time ahead of the machine's clock");
    }
    let settings: Settings = serde_json::from_value(settings)?;
    let endpoints = control::load_endpoints(&pool).await?;
    let host = if address.ip().is_unspecified() { "127.0.0.1".to_owned() } else { address.ip().to_string() };
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build()?;
    Ok(App::new(Parts {
        pool,
        clock: Clock::new(driven),
        platform,
        secret_key: options.secret_key.clone(),
        base_url: format!("http://{host}:{}", address.port()),
        http,
        country: options.country.clone(),
        background_webhooks: options.background_webhooks,
        settings,
        endpoints,
    }))
}

fn router(app: Arc<App>, control: Control) -> Router {
    Router::new()
        .route("/connect/onboarding/{token}", get(onboarding::open).head(onboarding::peek).post(onboarding::submit))
        .fallback(api)
        .with_state(app)
        .merge(control_http::routes(control))
}

/// Every request to the API runs to its end in a task of its own: a client that goes away must not leave a database
/// transaction half way.
async fn api(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let largest = if parts.uri.path() == "/v1/files" { LARGEST_FORM } else { LARGEST_BODY };
    let Ok(body) = axum::body::to_bytes(body, largest).await else {
        return axum::http::StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let Ok(served) = tokio::spawn(pipeline::serve(app, parts, body)).await else {
        return axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if let Some(hang) = served.hang {
        // Dropped when the client goes away.
        tokio::time::sleep(hang).await;
    }
    served.response
}

async fn listen(listener: TcpListener, router: Router, mut stopped: watch::Receiver<bool>) {
    let until = async move {
        // An error means that the sender is gone: stop as well.
        let _stopped = stopped.wait_for(|stop| *stop).await;
    };
    // Answers are small: waiting to fill a packet would cost 40 ms each.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
    });
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(until).await {
        tracing::error!(%error, "the simulator stopped listening");
    }
}

/// Does what falls due and delivers webhooks, until stopped.
async fn work(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        if let Err(error) = jobs::run_due(&app).await {
            tracing::error!(message = %error.message, "what is due cannot be done");
        }
        if app.background_webhooks.load(std::sync::atomic::Ordering::Relaxed)
            && let Err(error) = webhooks::deliver(&app, Round::Due).await
        {
            tracing::error!(message = %error.message, "webhooks cannot be delivered");
        }
        // Nothing but timers and signals is cancelled here: database work is above.
        tokio::select! {
            () = app.wake.notified() => {}
            () = tokio::time::sleep(TICK) => {}
            _ = stopped.changed() => {}
        }
    }
}
