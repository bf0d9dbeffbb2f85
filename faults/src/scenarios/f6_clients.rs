//! F6: clients ask and are gone, by a reset, after 0 to 50 ms; Postgres is 20 ms away, so that they leave in the middle of
//! whatever the service does with the database. Then they ask again and stay.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Scene;
use crate::dice::Dice;
use crate::proxy::Weather;

/// Clients at once.
const CLIENTS: usize = 16;

/// Between two requests of a client: what is left must be done by somebody, and is asked for again afterwards.
const PAUSE: Duration = Duration::from_secs(1);

/// A request that somebody goes away from.
struct Asked {
    key: String,
    path: &'static str,
    body: Value,
}

pub(super) async fn strike(scene: &mut Scene) -> anyhow::Result<()> {
    scene.rig.to_postgres.set_weather(Weather { latency_ms: 20, ..Weather::default() });
    let mut leaving = JoinSet::new();
    for number in 0..CLIENTS {
        let mut dice = Dice::new(scene.rig.seed, &format!("leaving {number}"));
        let address = scene.rig.replicas[number % scene.rig.replicas.len()].address;
        let (market, authorization, until) = (scene.market.clone(), scene.rig.authorization(), scene.until);
        leaving.spawn(async move {
            let mut asked = Vec::new();
            while Instant::now() < until {
                let key = format!("leaving-{number}-{}", asked.len());
                let deed = market.payment(&mut dice, &key);
                let request = Asked { key, path: deed.path, body: deed.body };
                // A connection that is refused is a client that left early.
                let _left = ask_and_leave(address, &authorization, &request, dice.below(51)).await;
                asked.push(request);
                tokio::time::sleep(PAUSE).await;
            }
            asked
        });
    }
    let asked: Vec<Asked> = leaving.join_all().await.into_iter().flatten().collect();
    scene.rig.to_postgres.set_weather(Weather::default());
    scene.note("requests_left", asked.len());
    // Every request was perhaps taken: asked again under its key it has one effect and one answer.
    let mut staying = JoinSet::new();
    let share = asked.len().div_ceil(CLIENTS).max(1);
    for (number, chunk) in asked.chunks(share).enumerate() {
        let client = scene.rig.client(number)?;
        let chunk: Vec<(String, &'static str, Value)> =
            chunk.iter().map(|asked| (asked.key.clone(), asked.path, asked.body.clone())).collect();
        staying.spawn(async move {
            for (key, path, body) in chunk {
                client.post(path, &key, &body).await;
            }
        });
    }
    staying.join_all().await;
    Ok(())
}

async fn ask_and_leave(
    address: std::net::SocketAddr,
    authorization: &str,
    asked: &Asked,
    after_ms: u64,
) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let body = asked.body.to_string();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: {address}\r\nauthorization: {authorization}\r\nidempotency-key: {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        asked.path,
        asked.key,
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    tokio::time::sleep(Duration::from_millis(after_ms)).await;
    stream.set_zero_linger()
}
