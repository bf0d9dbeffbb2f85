//! Receivers of outgoing webhooks: one that takes each event and notes how late it came, and one that hangs.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A delivery that came.
#[derive(Debug, Clone)]
pub struct Came {
    /// The event.
    pub event: String,
    /// When the event happened.
    pub happened: Timestamp,
    /// From the event to its coming; milliseconds.
    pub lag_ms: u64,
}

#[derive(Debug)]
struct Shared {
    hangs: watch::Sender<Option<Duration>>,
    came: Mutex<Vec<Came>>,
}

/// A running receiver on a loopback port of its own. Stops when it is dropped.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl Sink {
    /// Listens.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port for a receiver")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { hangs: watch::channel(None).0, came: Mutex::default() });
        let router = Router::new().route("/hooks", post(take)).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "a receiver ended");
            }
        });
        Ok(Self { address, shared, serving })
    }

    /// Where events are sent.
    pub fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }

    /// Keeps each delivery waiting so long before it answers; none: not at all. Those that wait are let go too.
    pub fn hang(&self, pause: Option<Duration>) {
        self.shared.hangs.send_replace(pause);
    }

    /// Everything that came, in the order in which it came.
    pub fn came(&self) -> Vec<Came> {
        self.shared.came.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(State(shared): State<Arc<Shared>>, body: Bytes) -> StatusCode {
    let Some(came) = read(&body) else { return StatusCode::BAD_REQUEST };
    shared.came.lock().unwrap_or_else(PoisonError::into_inner).push(came);
    let mut hangs = shared.hangs.subscribe();
    let pause = *hangs.borrow_and_update();
    if let Some(pause) = pause {
        // Until the time is over, or the receiver is well again.
        let _well = tokio::time::timeout(pause, hangs.changed()).await;
    }
    StatusCode::NO_CONTENT
}

fn read(body: &[u8]) -> Option<Came> {
    let event: Value = serde_json::from_slice(body).ok()?;
    let happened: Timestamp = event["timestamp"].as_str()?.parse().ok()?;
    let lag_ms = u64::try_from(Timestamp::now().duration_since(happened).as_millis()).unwrap_or(0);
    Some(Came { event: event["id"].as_str()?.to_owned(), happened, lag_ms })
}
