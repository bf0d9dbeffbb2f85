//! A balancer as operators put one in front of replicas: each request goes to a replica that says that it is ready.
//!
//! It asks every replica several times a second. A replica that cannot be connected to has taken nothing, so the next one
//! is tried; what was sent is never sent again. What a client then sees of a replica's end is counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Between two questions whether a replica is ready.
const ASKED_EVERY: Duration = Duration::from_millis(100);

/// How long a replica may take to say that it is ready.
const READY_WITHIN: Duration = Duration::from_secs(3);

/// The largest body that is forwarded.
const LARGEST_BODY: usize = 1 << 20;

/// Headers that belong to one connection.
const OF_A_CONNECTION: [HeaderName; 4] =
    [header::HOST, header::CONTENT_LENGTH, header::CONNECTION, header::TRANSFER_ENCODING];

/// What clients saw of replicas that came and went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Seen {
    /// Requests forwarded.
    pub forwarded: u64,
    /// Connections that a replica refused, after which the next one was tried: clients see nothing of these.
    pub passed_over: u64,
    /// Requests whose answer broke off: answered 502.
    pub broken: u64,
    /// Requests while no replica was ready: answered 503.
    pub nobody_ready: u64,
}

#[derive(Debug)]
struct Shared {
    http: reqwest::Client,
    replicas: Vec<SocketAddr>,
    ready: Vec<AtomicBool>,
    next: AtomicUsize,
    forwarded: AtomicU64,
    passed_over: AtomicU64,
    broken: AtomicU64,
    nobody_ready: AtomicU64,
}

/// A running balancer on a loopback port of its own. Stops when it is dropped.
#[derive(Debug)]
pub struct Balancer {
    address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl Balancer {
    /// Stands in front of these replicas.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(replicas: Vec<SocketAddr>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port for the balancer")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            http: reqwest::Client::builder().no_proxy().build()?,
            ready: replicas.iter().map(|_| AtomicBool::new(false)).collect(),
            replicas,
            next: AtomicUsize::new(0),
            forwarded: AtomicU64::new(0),
            passed_over: AtomicU64::new(0),
            broken: AtomicU64::new(0),
            nobody_ready: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        for index in 0..shared.replicas.len() {
            tasks.spawn(ask(Arc::clone(&shared), index));
        }
        let router = Router::new().fallback(forward).with_state(Arc::clone(&shared));
        tasks.spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the balancer ended");
            }
        });
        Ok(Self { address, shared, _tasks: tasks })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many replicas are ready, as far as it knows.
    pub fn ready(&self) -> usize {
        self.shared.ready.iter().filter(|ready| ready.load(Ordering::SeqCst)).count()
    }

    /// What clients saw.
    pub fn seen(&self) -> Seen {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Seen {
            forwarded: read(&self.shared.forwarded),
            passed_over: read(&self.shared.passed_over),
            broken: read(&self.shared.broken),
            nobody_ready: read(&self.shared.nobody_ready),
        }
    }
}

async fn ask(shared: Arc<Shared>, index: usize) {
    let url = format!("http://{}/readyz", shared.replicas[index]);
    loop {
        let answer = shared.http.get(&url).timeout(READY_WITHIN).send().await;
        let is_ready = answer.is_ok_and(|answer| answer.status().is_success());
        shared.ready[index].store(is_ready, Ordering::SeqCst);
        tokio::time::sleep(ASKED_EVERY).await;
    }
}

async fn forward(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let count = shared.replicas.len();
    let first = shared.next.fetch_add(1, Ordering::Relaxed) % count;
    let path = parts.uri.path_and_query().map_or("/", axum::http::uri::PathAndQuery::as_str);
    for index in (first..first + count).map(|index| index % count) {
        if !shared.ready[index].load(Ordering::SeqCst) {
            continue;
        }
        let url = format!("http://{}{path}", shared.replicas[index]);
        let mut headers = parts.headers.clone();
        for name in &OF_A_CONNECTION {
            headers.remove(name);
        }
        let sent = shared.http.request(parts.method.clone(), url).headers(headers).body(body.clone()).send().await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) if error.is_connect() => {
                shared.passed_over.fetch_add(1, Ordering::Relaxed);
                shared.ready[index].store(false, Ordering::SeqCst);
                continue;
            }
            Err(error) => return broken(&shared, &error),
        };
        shared.forwarded.fetch_add(1, Ordering::Relaxed);
        let (status, headers) = (answer.status(), answer.headers().clone());
        return match answer.bytes().await {
            Ok(bytes) => answered(status, &headers, Body::from(bytes)),
            Err(error) => broken(&shared, &error),
        };
    }
    shared.nobody_ready.fetch_add(1, Ordering::Relaxed);
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}

fn broken(shared: &Shared, error: &reqwest::Error) -> Response {
    tracing::warn!(?error, "an answer broke off");
    shared.broken.fetch_add(1, Ordering::Relaxed);
    StatusCode::BAD_GATEWAY.into_response()
}

fn answered(status: StatusCode, headers: &HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in headers.iter().filter(|(name, _)| !OF_A_CONNECTION.contains(name)) {
        response.headers_mut().append(name, value.clone());
    }
    response
}
