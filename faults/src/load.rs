//! The load: clients that act for buyers until they are told to stop.

use std::sync::Arc;
use std::time::Duration;

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
        let (stop, mut clients) = (CancellationToken::new(), JoinSet::new());
        for number in 0..amount.clients {
            let dice = Dice::new(seed, &format!("{name}/client {number}"));
            let pause = Duration::from_millis(amount.pause_ms);
            let (market, prefix) = (Arc::clone(market), format!("{name}-{number}"));
            clients.spawn(buy(client(number)?, market, dice, prefix, pause, stop.clone()));
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
    pause: Duration,
    stop: CancellationToken,
) -> u64 {
    let mut made = 0;
    while !stop.is_cancelled() {
        let key = format!("{prefix}-{made}");
        let deed = market.deed(&mut dice, &key);
        if let Some(answer) = client.post(deed.path, &key, &deed.body).await {
            market.learn(&deed, &answer.json());
        }
        made += 1;
        tokio::time::sleep(pause).await;
    }
    made
}
