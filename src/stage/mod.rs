//! A marketplace on one machine whose time is driven: service and simulator go by one clock, and after each step the
//! queues of both sides are emptied, so that nothing is waited for. For the demo's past and for scenarios.

mod client;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use jiff::Timestamp;
use partita_simulator::{Control, NewEndpoint};
use partita_webhooks::endpoint::EndpointKind;
use partita_webhooks::sending::EgressPolicy;

pub(crate) use self::client::{Client, text};
use crate::app::App;
use crate::cli::register_endpoint;
use crate::clock::DrivenClock;
use crate::id::random_hex;
use crate::platforms::{self, Book, Mode, ProviderConnection, SCOPES};
use crate::worker;

/// How often the queues of both sides are emptied after a step before something must be wrong.
const ROUNDS: u32 = 30;

/// Everything that happens by one clock.
pub(crate) struct Stage {
    /// The service.
    pub(crate) app: Arc<App>,
    /// Its clock.
    pub(crate) clock: DrivenClock,
    /// The simulator.
    pub(crate) control: Control,
}

/// A loopback address.
pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Webhooks may go to this machine, where whoever tries it listens, as well as to the public.
pub(crate) fn egress() -> EgressPolicy {
    let loopback = ["127.0.0.0/8", "::1"].map(|network| network.parse().expect("a network"));
    EgressPolicy::new(vec![443], loopback.to_vec())
}

impl Stage {
    /// Makes a platform with its test book connected to the simulator, and webhooks from there to `origin`; the book, and an
    /// API key with every scope.
    pub(crate) async fn open_platform(
        &self,
        reference: &str,
        name: &str,
        connection: ProviderConnection,
        origin: &str,
    ) -> anyhow::Result<(Book, String)> {
        let books = platforms::create(&self.app, reference, name).await?;
        let book = books.into_iter().find(|book| book.mode == Mode::Test).context("a platform has a test book")?;
        platforms::connect_provider(&self.app, book.id, connection).await?;
        for kind in [EndpointKind::Platform, EndpointKind::Connect] {
            let secret = format!("whsec_{}", random_hex::<32>());
            let address = register_endpoint(&self.app, &book, kind, &secret, origin).await?;
            let connect = kind == EndpointKind::Connect;
            let endpoint = NewEndpoint { url: address.url, secret: Some(secret), connect, enabled_events: Vec::new() };
            self.control.register_endpoint(endpoint).await?;
        }
        let key = self.open_key(&book, reference).await?;
        Ok((book, key))
    }

    /// An API key with every scope.
    pub(crate) async fn open_key(&self, book: &Book, name: &str) -> anyhow::Result<String> {
        let scopes = SCOPES.iter().map(ToString::to_string).collect();
        let (_, key) = platforms::create_key(&self.app, book, name, scopes, None).await?;
        Ok(key)
    }

    /// Moves both clocks to a time; what falls due at the provider on the way happens at its own time.
    pub(crate) async fn advance(&self, to: Timestamp) -> anyhow::Result<()> {
        let to = to.max(self.clock.now());
        self.control.set_time(to.as_second()).await?;
        self.clock.set(to);
        self.settle().await
    }

    /// Empties the queues of both sides.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        for _ in 0..ROUNDS {
            let sent = self.control.flush_webhooks().await?;
            ensure!(sent.failed == 0, "{} webhooks were not taken by the service", sent.failed);
            let done = worker::drain(&self.app).await?;
            if sent.delivered == 0 && done == 0 {
                return Ok(());
            }
        }
        bail!("the queues do not become empty")
    }
}
