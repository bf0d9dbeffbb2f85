//! Proxies that stand between two parties and make the weather: delay, reset, black hole, and between the service and
//! Postgres the loss of a commit or of its reply.
//!
//! A connection is one task that reads both sides in turn. What happens to a connection is thrown with dice of its own,
//! seeded by the proxy's seed and the connection's number; [`Weather`] can change while connections stand.

mod connection;
mod wire;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::dice::Dice;

/// What a proxy understands of what it forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Nothing: it forwards what it reads.
    Plain,
    /// Postgres' messages. Encryption is declined, or there would be nothing to understand.
    Postgres,
}

/// What happens on the way. Rates per mille. The default is fair weather.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weather {
    /// Each piece is held back up to so many milliseconds.
    pub latency_ms: u64,
    /// Of the client's pieces: the connection is reset in their place.
    pub cut_request: u16,
    /// Of the server's pieces: half of it goes through, then the connection is reset.
    pub cut_answer: u16,
    /// Of commits: forwarded, executed, and the connection is reset before the reply.
    pub eat_commit: u16,
    /// Of commits: the connection is reset in their place.
    pub drop_commit: u16,
    /// Nothing goes through, and nobody is told. What was sent meanwhile arrives when it clears, as with a network that
    /// sends again.
    pub black_hole: bool,
}

/// What a proxy did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Connections taken.
    pub connections: u64,
    /// Connections reset on the way, for whatever reason.
    pub resets: u64,
    /// Commits that were executed and whose reply was eaten.
    pub commits_eaten: u64,
    /// Commits that never arrived.
    pub commits_dropped: u64,
}

#[derive(Debug, Default)]
struct Counters {
    connections: AtomicU64,
    resets: AtomicU64,
    commits_eaten: AtomicU64,
    commits_dropped: AtomicU64,
}

/// What the connections of a proxy share.
#[derive(Debug)]
struct Shared {
    name: String,
    protocol: Protocol,
    seed: u64,
    upstreams: Mutex<Vec<SocketAddr>>,
    weather: watch::Sender<Weather>,
    /// Goes up when every connection that stands is to be reset.
    storm: watch::Sender<u64>,
    counters: Counters,
}

/// A running proxy on a loopback port of its own. Stops when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port and forwards to the first of `upstreams` that takes a connection, beginning with another
    /// one each time.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(name: &str, protocol: Protocol, upstreams: Vec<SocketAddr>, seed: u64) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            protocol,
            seed,
            upstreams: Mutex::new(upstreams),
            weather: watch::channel(Weather::default()).0,
            storm: watch::channel(0).0,
            counters: Counters::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather, for connections that stand too.
    pub fn set_weather(&self, weather: Weather) {
        self.shared.weather.send_replace(weather);
    }

    /// Resets every connection that stands.
    pub fn reset_all(&self) {
        self.shared.storm.send_modify(|storm| *storm += 1);
    }

    /// Forwards new connections elsewhere.
    pub fn set_upstreams(&self, upstreams: Vec<SocketAddr>) {
        *self.shared.upstreams.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = upstreams;
    }

    /// What it did so far.
    pub fn counts(&self) -> Counts {
        let counters = &self.shared.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            connections: read(&counters.connections),
            resets: read(&counters.resets),
            commits_eaten: read(&counters.commits_eaten),
            commits_dropped: read(&counters.commits_dropped),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.reset_all();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        send_at_once(&client);
        let number = shared.counters.connections.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(one(client, Arc::clone(&shared), number));
    }
}

async fn one(client: TcpStream, shared: Arc<Shared>, number: u64) {
    let mut storm = shared.storm.subscribe();
    let dice = Dice::new(shared.seed, &format!("{}/{number}", shared.name));
    let Some(server) = connect(&shared, number).await else {
        reset(&shared, &client);
        return;
    };
    let ended = {
        let run = connection::run(&client, &server, &shared, dice);
        tokio::select! {
            ended = run => ended,
            _ = storm.changed() => connection::End::Cut,
        }
    };
    if ended == connection::End::Cut {
        reset(&shared, &client);
        reset(&shared, &server);
    }
}

async fn connect(shared: &Shared, number: u64) -> Option<TcpStream> {
    let upstreams = shared.upstreams.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    let first = usize::try_from(number).unwrap_or(0).checked_rem(upstreams.len())?;
    for upstream in upstreams.iter().cycle().skip(first).take(upstreams.len()) {
        if let Ok(server) = TcpStream::connect(upstream).await {
            send_at_once(&server);
            return Some(server);
        }
    }
    None
}

/// Has small pieces leave without waiting for each other's receipt: a query is several, and each pair of them would cost
/// the 40 ms after which a kernel acknowledges what it has no answer to yet.
fn send_at_once(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "pieces of a connection wait for each other");
    }
}

/// Has the connection end with a reset instead of a goodbye when it is dropped.
fn reset(shared: &Shared, stream: &TcpStream) {
    shared.counters.resets.fetch_add(1, Ordering::Relaxed);
    if let Err(error) = stream.set_zero_linger() {
        tracing::debug!(%error, "a connection ends politely");
    }
}
