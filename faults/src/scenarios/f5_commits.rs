//! F5: one commit in ten is executed and its reply eaten, one in fifty never arrives; the connection dies either way.
//! Whoever takes a lost reply for a failure does something twice, or tells a client that nothing happened. Most of what is
//! asked for carries a key, and survives that; so some things are asked for without one, once.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Scene;
use crate::client::Client;
use crate::proxy::Weather;

/// Between two requests without a key.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn strike(scene: &mut Scene) -> anyhow::Result<()> {
    scene.rig.to_postgres.set_weather(Weather { eat_commit: 100, drop_commit: 20, ..Weather::default() });
    let load = scene.load(24, 50)?;
    let asked = ask_without_a_key(&scene.rig.client(0)?, scene.until).await;
    let made = load.stop().await;
    for (reference, status) in &asked {
        // Refused, or not answered, because of what it had done itself.
        if *status != Some(201) && is_there(scene, reference).await? {
            let told = status.map_or_else(|| "nothing".to_owned(), |status| status.to_string());
            scene.found.add("I3", format!("{reference} was asked for once and made, and answered {told}"));
        }
    }
    let counts = scene.rig.to_postgres.counts();
    scene.note("requests_made", made);
    scene.note("requests_without_a_key", asked.len());
    scene.note("commits_eaten", counts.commits_eaten);
    scene.note("commits_dropped", counts.commits_dropped);
    if counts.commits_eaten == 0 {
        scene.found.add("I3", "no commit was eaten: the run proves nothing");
    }
    Ok(())
}

/// Makes one fee policy after the other; their references, with the statuses of the answers.
async fn ask_without_a_key(client: &Client, until: Instant) -> Vec<(String, Option<u16>)> {
    let mut asked = Vec::new();
    while Instant::now() < until {
        let reference = format!("unkeyed-{}", asked.len());
        let body = json!({"reference": reference, "name": "once", "default": false, "percent_bps": 500});
        let answer = client.tell("/v1/fee_policies", &body).await;
        asked.push((reference, answer.ok().map(|answer| answer.status)));
        tokio::time::sleep(PAUSE).await;
    }
    asked
}

async fn is_there(scene: &Scene, reference: &str) -> anyhow::Result<bool> {
    let there = sqlx::query_scalar("select exists (select from fee_policies where reference = $1)").bind(reference);
    Ok(there.fetch_one(&scene.rig.admin).await?)
}
