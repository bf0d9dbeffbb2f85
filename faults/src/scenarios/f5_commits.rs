//! F5: one commit in ten is executed and its reply eaten, one in fifty never arrives; the connection dies either way.
//! Whoever takes a lost reply for a failure does something twice, or tells a client that nothing happened.

use std::time::{Duration, Instant};

use super::Scene;
use crate::proxy::Weather;

pub(super) async fn strike(scene: &mut Scene) -> anyhow::Result<()> {
    scene.rig.to_postgres.set_weather(Weather { eat_commit: 100, drop_commit: 20, ..Weather::default() });
    let load = scene.load(24, 50)?;
    while Instant::now() < scene.until {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let made = load.stop().await;
    let counts = scene.rig.to_postgres.counts();
    scene.note("requests_made", made);
    scene.note("commits_eaten", counts.commits_eaten);
    scene.note("commits_dropped", counts.commits_dropped);
    if counts.commits_eaten == 0 {
        scene.found.add("I3", "no commit was eaten: the run proves nothing");
    }
    Ok(())
}
