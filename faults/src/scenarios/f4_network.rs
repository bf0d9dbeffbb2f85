//! F4: connections are reset, one in twenty pieces and all at once, and black holes swallow what is sent, towards
//! Postgres and towards the provider.

use std::time::{Duration, Instant};

use super::Scene;
use crate::dice::Dice;
use crate::proxy::{Proxy, Weather};

/// How long each kind of weather lasts.
const SPELL: Duration = Duration::from_secs(4);

/// The longest that a request may take: the hole, and what the service itself waits for.
const LONGEST_MS: u64 = 45_000;

pub(super) async fn strike(scene: &mut Scene) -> anyhow::Result<()> {
    let load = scene.load(24, 50)?;
    let mut dice = Dice::new(scene.rig.seed, "weather");
    let (mut storms, mut holes) = (0_u32, 0_u32);
    for spell in 0_u32.. {
        if Instant::now() > scene.until {
            break;
        }
        let rig = &scene.rig;
        // Each kind in turn, so that a short run has all; towards Postgres twice as often as towards the provider.
        let proxy: &Proxy = if spell / 3 % 3 == 2 { &rig.to_provider } else { &rig.to_postgres };
        let latency_ms = dice.below(30);
        match (spell + spell / 3) % 3 {
            0 => {
                proxy.set_weather(Weather { cut_request: 25, cut_answer: 25, latency_ms, ..Weather::default() });
                tokio::time::sleep(SPELL).await;
            }
            1 => {
                storms += 1;
                for _ in 0..10 {
                    proxy.reset_all();
                    tokio::time::sleep(SPELL / 20).await;
                }
            }
            _ => {
                holes += 1;
                proxy.set_weather(Weather { black_hole: true, ..Weather::default() });
                tokio::time::sleep(SPELL).await;
            }
        }
        proxy.set_weather(Weather::default());
        tokio::time::sleep(SPELL / 5).await;
    }
    let made = load.stop().await;
    let longest = scene.rig.history.totals().longest_ms;
    if longest > LONGEST_MS {
        scene.found.add("I7", format!("a request hung for {longest} ms"));
    }
    scene.note("requests_made", made);
    scene.note("storms", storms);
    scene.note("black_holes", holes);
    scene.note("resets_towards_postgres", scene.rig.to_postgres.counts().resets);
    scene.note("resets_towards_the_provider", scene.rig.to_provider.counts().resets);
    Ok(())
}
