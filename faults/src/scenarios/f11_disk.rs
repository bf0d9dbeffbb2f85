//! F11: the disk of Postgres is full for a minute, and has room again. Nothing is acknowledged that is not kept, requests
//! are told to come again, the service is not ready and does not die; when there is room, everything goes on by itself,
//! though Postgres may have stopped meanwhile.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use super::Scene;
use crate::report::ms;
use crate::servers;

/// The size of the disk.
pub(super) const MEBIBYTES: u64 = 320;

/// How long it is full at most; a shorter run is full for half of its time.
const FULL: Duration = Duration::from_mins(1);

/// How soon a request must succeed once there is room: Postgres has to recover first, and who brings it back waits
/// between two tries.
const RECOVERED_WITHIN: Duration = Duration::from_secs(30);

/// A standby that is gone for good: no segment of WAL may be used again, so that each new one needs room.
const GONE: &str = "gone";

/// What was seen while the disk was full.
#[derive(Default)]
struct Seen {
    ready: u64,
    not_ready: u64,
    not_ready_after: Option<Duration>,
    /// Each life of Postgres.
    postmasters: BTreeSet<i32>,
}

pub(super) async fn strike(scene: &mut Scene) -> anyhow::Result<()> {
    let load = scene.load(8, 100)?;
    let lasts = scene.until.saturating_duration_since(Instant::now());
    tokio::time::sleep(lasts / 4).await;
    let from_ms = scene.rig.history.now_ms();
    let (began, until) = (Instant::now(), Instant::now() + FULL.min(lasts / 2));
    let mut seen = Seen::default();
    keep_wal(scene).await?;
    while Instant::now() < until {
        // Postgres gives back what it no longer needs: the ballast takes it.
        let disk = scene.rig.disk.as_ref().context("a disk of its own")?;
        tokio::task::block_in_place(|| disk.fill())?;
        look(scene, began, &mut seen).await?;
        // Data run out first; in the second half WAL does, too, without which Postgres cannot go on.
        if began.elapsed() > (until - began) / 2 && told(scene, "PANIC:")? == 0 {
            next_segment(scene).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let acknowledged_while_full = scene.rig.history.totals().ok;
    scene.rig.disk.as_ref().context("a disk of its own")?.free()?;
    let (freed, to_ms) = (Instant::now(), scene.rig.history.now_ms());
    while scene.rig.history.totals().ok == acknowledged_while_full && freed.elapsed() < 4 * RECOVERED_WITHIN {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let recovered = freed.elapsed();
    look(scene, began, &mut seen).await?;
    let_wal_go(scene).await?;
    if recovered > RECOVERED_WITHIN {
        scene.found.add("I7", format!("{} ms until a request succeeded after there was room", ms(recovered)));
    }
    tokio::time::sleep(scene.until.saturating_duration_since(Instant::now())).await;
    let made = load.stop().await;
    let statuses = statuses(scene, from_ms, to_ms)?;
    // A request that took too long is told so: 504.
    let wrong = statuses.iter().filter(|status| **status >= 500 && !matches!(status, 503 | 504)).count();
    if wrong > 0 {
        scene
            .found
            .add("I7", format!("{wrong} answers of 500 or above that are not 503 or 504 while the disk was full"));
    }
    if seen.not_ready == 0 {
        scene.found.add("I7", "the service was ready all the time though nothing could be written");
    }
    let (panics, refused) = (told(scene, "PANIC:")?, told(scene, "No space left on device")?);
    if panics == 0 {
        scene.found.add("I7", "Postgres never ran out of WAL: the run proves half of it only");
    }
    scene.note("requests_made", made);
    scene.note("full_for_ms", to_ms - from_ms);
    scene.note("answers_503_while_full", statuses.iter().filter(|status| **status == 503).count());
    scene.note("not_ready_after_ms", seen.not_ready_after.map(ms));
    scene.note("looks_not_ready", seen.not_ready);
    scene.note("looks_ready", seen.ready);
    scene.note("writes_refused", refused);
    scene.note("postgres_panics", panics);
    scene.note("postmasters", seen.postmasters.len());
    scene.note("first_success_after_ms", ms(recovered));
    Ok(())
}

/// Whether the replicas say that they are ready, and that none has ended.
async fn look(scene: &mut Scene, began: Instant, seen: &mut Seen) -> anyhow::Result<()> {
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
    if let Ok(pid) = servers::postmaster(scene.rig.postgres_folder()) {
        seen.postmasters.insert(pid.as_raw_nonzero().get());
    }
    for replica in &mut scene.rig.replicas {
        if replica.ended_by_itself()? {
            scene.found.add("I7", "a replica ended by itself while the disk was full");
        }
        let answer = http.get(format!("http://{}/readyz", replica.address)).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            seen.ready += 1;
        } else {
            seen.not_ready += 1;
            seen.not_ready_after.get_or_insert_with(|| began.elapsed());
        }
    }
    Ok(())
}

async fn keep_wal(scene: &Scene) -> anyhow::Result<()> {
    let slot = sqlx::query("select pg_create_physical_replication_slot($1, true)").bind(GONE);
    slot.execute(&scene.rig.admin).await.context("a slot that keeps WAL")?;
    Ok(())
}

async fn let_wal_go(scene: &Scene) -> anyhow::Result<()> {
    let slot = sqlx::query("select pg_drop_replication_slot($1)").bind(GONE);
    slot.execute(&scene.rig.admin).await.context("WAL let go")?;
    Ok(())
}

/// Has Postgres begin a new segment of WAL, if it can.
async fn next_segment(scene: &Scene) {
    let switch = async {
        sqlx::query("select pg_logical_emit_message(true, 'full', '')").execute(&scene.rig.admin).await?;
        sqlx::query("select pg_switch_wal()").execute(&scene.rig.admin).await?;
        sqlx::query("select pg_logical_emit_message(true, 'full', '')").execute(&scene.rig.admin).await
    };
    if let Ok(Err(error)) = tokio::time::timeout(Duration::from_secs(5), switch).await {
        tracing::debug!(%error, "no more WAL");
    }
}

/// How often Postgres' log says something.
fn told(scene: &Scene, what: &str) -> anyhow::Result<usize> {
    let log = std::fs::read(scene.rig.postgres_folder().join("server.log")).context("Postgres' log")?;
    Ok(String::from_utf8_lossy(&log).matches(what).count())
}

/// The statuses of the answers in a part of the history.
fn statuses(scene: &Scene, from_ms: u64, to_ms: u64) -> anyhow::Result<Vec<u64>> {
    let text = std::fs::read_to_string(scene.rig.folder.join("history.jsonl")).context("the history")?;
    let mut statuses = Vec::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).context("a line of the history")?;
        let at = line["at_ms"].as_u64().unwrap_or(0);
        if (from_ms..to_ms).contains(&at) && line["kind"] != "invoke" {
            statuses.extend(line["status"].as_u64());
        }
    }
    Ok(statuses)
}
