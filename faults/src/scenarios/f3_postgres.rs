//! F3: Postgres is struck dead under load. Its own supervisor brings it back; the service must not need a restart.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

use super::Scene;
use crate::report::ms;

/// Between two kills, from the first answer after one.
const EVERY: Duration = Duration::from_secs(4);

/// The private server gives up on a Postgres that dies more often.
const MOST_KILLS: usize = 20;

/// How soon a request must succeed once Postgres takes connections again.
const RECOVERED_WITHIN: Duration = Duration::from_secs(10);

pub(super) async fn strike(scene: &mut Scene) -> anyhow::Result<()> {
    let load = scene.load(24, 50)?;
    let (mut kills, mut slowest) = (0, Duration::ZERO);
    while Instant::now() < scene.until && kills < MOST_KILLS {
        tokio::time::sleep(EVERY).await;
        kill_postmaster(scene)?;
        kills += 1;
        let accepting = wait_until_accepting(scene).await?;
        let before = scene.rig.history.totals().ok;
        while scene.rig.history.totals().ok == before && accepting.elapsed() < 3 * RECOVERED_WITHIN {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        slowest = slowest.max(accepting.elapsed());
    }
    if slowest > RECOVERED_WITHIN {
        scene.found.add("I7", format!("{} ms until a request succeeded after Postgres was back", ms(slowest)));
    }
    let made = load.stop().await;
    scene.note("requests_made", made);
    scene.note("kills", kills);
    scene.note("slowest_first_success_ms", ms(slowest));
    Ok(())
}

fn kill_postmaster(scene: &Scene) -> anyhow::Result<()> {
    let file = scene.rig.postgres_folder().join("cluster/postmaster.pid");
    let text = std::fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
    let pid = text.lines().next().and_then(|line| line.trim().parse().ok()).and_then(Pid::from_raw);
    kill_process(pid.context("the pid of the private server")?, Signal::KILL).context("kill -9")
}

/// When Postgres answers again.
async fn wait_until_accepting(scene: &Scene) -> anyhow::Result<Instant> {
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        if sqlx::query("select 1").execute(&scene.rig.admin).await.is_ok() {
            return Ok(Instant::now());
        }
        anyhow::ensure!(Instant::now() < deadline, "Postgres does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
