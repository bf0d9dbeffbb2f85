//! The load: clients that act for buyers until they are told to stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::dice::Dice;
use crate::market::Market;

/// A running load.
#[derive(Debug)]
pub struct Load {
    clients: JoinSet<u64>,
    stop: CancellationToken,
}

/// How much load.
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    /// Requests under way at once.
    pub clients: usize,
    /// The pause of each client between two requests; milliseconds.
    pub pause_ms: u64,
}

/// When a client begins its next request.
#[derive(Debug, Clone)]
enum Pace {
    /// So long after the one before.
    Pause(Duration),
    /// When a ticket is there.
    Tickets(Arc<Semaphore>),
}

impl Pace {
    async fn next(&self) {
        match self {
            Self::Pause(pause) => tokio::time::sleep(*pause).await,
            Self::Tickets(tickets) => {
                let ticket = tickets.acquire().await.expect("the semaphore is never closed");
                ticket.forget();
            }
        }
    }
}

impl Load {
    /// Starts clients, made by `client` from their numbers. `name` makes their keys differ from those of other loads.
    ///
    /// # Errors
    /// When a client cannot be made.
    pub fn start(
        name: &str,
        seed: u64,
        amount: Amount,
        market: &Arc<Market>,
        client: impl Fn(usize) -> anyhow::Result<Client>,
    ) -> anyhow::Result<Self> {
        let pace = Pace::Pause(Duration::from_millis(amount.pause_ms));
        Self::start_at(name, seed, amount.clients, pace, market, client)
    }

    /// Starts clients that together begin so many requests in ten seconds, whether earlier ones were answered or not, as
    /// far as there are clients; what they are behind with, up to one request each, they catch up.
    ///
    /// # Errors
    /// As [`Load::start`].
    pub fn paced(
        name: &str,
        seed: u64,
        clients: usize,
        in_ten_seconds: u32,
        market: &Arc<Market>,
        client: impl Fn(usize) -> anyhow::Result<Client>,
    ) -> anyhow::Result<Self> {
        let tickets = Arc::new(Semaphore::new(0));
        let load = Self::start_at(name, seed, clients, Pace::Tickets(Arc::clone(&tickets)), market, client)?;
        let every = Duration::from_secs(10) / in_ten_seconds.max(1);
        let stop = load.stop.clone();
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(every);
            while stop.run_until_cancelled(ticks.tick()).await.is_some() {
                if tickets.available_permits() < clients {
                    tickets.add_permits(1);
                }
            }
        });
        Ok(load)
    }

    fn start_at(
        name: &str,
        seed: u64,
        number_of_clients: usize,
        pace: Pace,
        market: &Arc<Market>,
        client: impl Fn(usize) -> anyhow::Result<Client>,
    ) -> anyhow::Result<Self> {
        let (stop, mut clients) = (CancellationToken::new(), JoinSet::new());
        for number in 0..number_of_clients {
            let dice = Dice::new(seed, &format!("{name}/client {number}"));
            let (market, prefix) = (Arc::clone(market), format!("{name}-{number}"));
            clients.spawn(buy(client(number)?, market, dice, prefix, pace.clone(), stop.clone()));
        }
        Ok(Self { clients, stop })
    }

    /// Lets each client finish what it is at; how many requests they made.
    pub async fn stop(mut self) -> u64 {
        self.stop.cancel();
        let mut made = 0;
        while let Some(count) = self.clients.join_next().await {
            made += count.unwrap_or(0);
        }
        made
    }
}

async fn buy(
    client: Client,
    market: Arc<Market>,
    mut dice: Dice,
    prefix: String,
    pace: Pace,
    stop: CancellationToken,
) -> u64 {
    let mut made = 0;
    while stop.run_until_cancelled(pace.next()).await.is_some() {
        let key = format!("{prefix}-{made}");
        let deed = market.deed(&mut dice, &key);
        if let Some(answer) = client.post(deed.path, &key, &deed.body).await {
            market.learn(&deed, &answer.json());
        }
        made += 1;
    }
    made
}
