//! F4: connections are reset, one in twenty pieces and all at once; black holes swallow what is sent; packets are lost.
//! Towards Postgres and towards the provider, one after the other.
//!
//! A proxy's black hole holds everything back and delivers it when it clears. The kernel's, and the loss of packets, need a
//! network namespace of the run's own: `unshare -n sh -c 'ip link set lo up; ..'`. Elsewhere they are left out, and the
//! report says so.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::Scene;
use crate::dice::Dice;
use crate::loss::Loss;
use crate::proxy::Weather;
use crate::report::ms;
use crate::rig::CONNECTIONS;

/// How long resets and losses last.
const SPELL: Duration = Duration::from_secs(8);

/// How long a black hole lasts in a run that is long enough, and in one that is not.
const HOLES: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(4)];

/// A run that is long enough.
const LONG: Duration = Duration::from_mins(2);

/// The longest that a request may take: what the service allows itself, and a second.
const LONGEST_MS: u64 = 31_000;

/// How soon all connections of every replica must be of use again.
const RECOVERED_WITHIN: Duration = Duration::from_secs(15);

/// What is lost of the packets, per mille.
const LOST: u16 = 50;

/// Whom the replicas reach through a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Towards {
    Postgres,
    Provider,
}

impl Towards {
    fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Provider => "the_provider",
        }
    }

    fn proxy(self, scene: &Scene) -> &crate::proxy::Proxy {
        match self {
            Self::Postgres => &scene.rig.to_postgres,
            Self::Provider => &scene.rig.to_provider,
        }
    }
}

pub(super) async fn strike(scene: &mut Scene) -> anyhow::Result<()> {
    let left = scene.until.saturating_duration_since(Instant::now());
    let hole = if left >= LONG { HOLES[0] } else { HOLES[1] };
    let loses = Loss::is_possible().await;
    let load = scene.load(24, 50)?;
    let mut dice = Dice::new(scene.rig.seed, "weather");
    let mut rounds = 0_u64;
    // Every kind at least once.
    while rounds == 0 || Instant::now() < scene.until {
        for towards in [Towards::Postgres, Towards::Provider] {
            cuts(scene, towards, &mut dice).await;
            storm(scene, towards).await;
            black_hole(scene, towards, hole, rounds).await?;
            if loses {
                lost(scene, towards, LOST, SPELL, "lost_packets").await?;
                dead_line(scene, towards, hole, rounds).await?;
            }
        }
        rounds += 1;
    }
    let made = load.stop().await;
    let longest = scene.rig.history.totals().longest_ms;
    if longest > LONGEST_MS {
        scene.found.add("bar", format!("a request hung for {longest} ms"));
    }
    scene.note("requests_made", made);
    scene.note("rounds", rounds);
    scene.note("black_holes_of_ms", ms(hole));
    scene.note("resets_towards_postgres", scene.rig.to_postgres.counts().resets);
    scene.note("resets_towards_the_provider", scene.rig.to_provider.counts().resets);
    if !loses {
        scene.note("loss", "left out: it needs nft and a network namespace of its own");
    }
    Ok(())
}

/// One in twenty pieces, either way, is cut.
async fn cuts(scene: &Scene, towards: Towards, dice: &mut Dice) {
    let latency_ms = dice.below(30);
    let weather = Weather { cut_request: 25, cut_answer: 25, latency_ms, ..Weather::default() };
    towards.proxy(scene).set_weather(weather);
    tokio::time::sleep(SPELL).await;
    towards.proxy(scene).set_weather(Weather::default());
}

/// Every connection that stands is reset, ten times.
async fn storm(scene: &Scene, towards: Towards) {
    for _ in 0..10 {
        towards.proxy(scene).reset_all();
        tokio::time::sleep(SPELL / 20).await;
    }
}

async fn black_hole(scene: &mut Scene, towards: Towards, lasts: Duration, round: u64) -> anyhow::Result<()> {
    towards.proxy(scene).set_weather(Weather { black_hole: true, ..Weather::default() });
    tokio::time::sleep(lasts).await;
    towards.proxy(scene).set_weather(Weather::default());
    recovers(scene, towards, &format!("after_a_black_hole_{round}")).await
}

/// Nothing arrives, and the kernel sends again after ever longer pauses.
async fn dead_line(scene: &mut Scene, towards: Towards, lasts: Duration, round: u64) -> anyhow::Result<()> {
    lost(scene, towards, 1_000, lasts, "packets_of_a_dead_line").await?;
    recovers(scene, towards, &format!("after_a_dead_line_{round}")).await
}

async fn lost(scene: &mut Scene, towards: Towards, per_mille: u16, lasts: Duration, name: &str) -> anyhow::Result<()> {
    let loss = Loss::begin(towards.proxy(scene).address().port(), per_mille).await?;
    tokio::time::sleep(lasts).await;
    let count = loss.end().await?;
    let name = format!("{name}_towards_{}", towards.name());
    let before = scene.done.get(&name).and_then(serde_json::Value::as_u64).unwrap_or(0);
    scene.note(&name, before + count);
    Ok(())
}

/// How long it takes until every replica has answered as many payments at once as it has connections.
async fn recovers(scene: &mut Scene, towards: Towards, after: &str) -> anyhow::Result<()> {
    let healed = Instant::now();
    let mut dice = Dice::new(scene.rig.seed, after);
    let mut asking = JoinSet::new();
    for (replica, base) in scene.rig.bases().into_iter().enumerate() {
        for number in 0..CONNECTIONS {
            let key = format!("{after}-{}-{replica}-{number}", towards.name());
            let (client, deed) = (scene.rig.client_of(0, vec![base.clone()])?, scene.market.payment(&mut dice, &key));
            asking.spawn(async move { client.post(deed.path, &key, &deed.body).await.map(|_| healed.elapsed()) });
        }
    }
    let mut slowest = Duration::ZERO;
    while let Some(took) = asking.join_next().await {
        slowest = slowest.max(took?.context("no answer")?);
    }
    if slowest > RECOVERED_WITHIN {
        let detail = format!("{} ms until every replica was whole {after} towards {}", ms(slowest), towards.name());
        scene.found.add("bar", detail);
    }
    scene.note(&format!("whole_{after}_towards_{}_ms", towards.name()), ms(slowest));
    Ok(())
}
