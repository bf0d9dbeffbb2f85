//! F16: the drill. A base backup is taken under load, WAL is archived; the machine is lost; a fresh server is restored as
//! of a point in time; the service starts on it, and reconciliation names what the provider did since that point.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;

use super::Scene;
use crate::forgotten::Forgotten;
use crate::report::ms;
use crate::servers::backup::{self, Purpose};

/// How long a segment of WAL waits at most until it is archived.
pub(super) const ARCHIVE_SECONDS: u32 = 3;

/// How long the archive may take to have the point.
const ARCHIVED_WITHIN: Duration = Duration::from_mins(1);

pub(super) async fn strike(scene: &mut Scene) -> anyhow::Result<()> {
    let load = scene.load(8, 100)?;
    let lasts = scene.until.saturating_duration_since(Instant::now());
    tokio::time::sleep(lasts / 4).await;
    let (base, began) = (scene.rig.folder.join("base"), Instant::now());
    backup::take(&scene.rig.admin_url(), &base, Purpose::Keep).await?;
    scene.note("base_backup_ms", ms(began.elapsed()));
    tokio::time::sleep((scene.until - lasts / 3).saturating_duration_since(Instant::now())).await;
    let point: String = sqlx::query_scalar("select clock_timestamp()::text").fetch_one(&scene.rig.admin).await?;
    tokio::time::sleep(scene.until.saturating_duration_since(Instant::now())).await;
    // Nobody asks meanwhile, so that what was acknowledged after the point is known.
    let made = load.stop().await;
    wait_until_archived(scene, &point).await?;
    let archived: String =
        sqlx::query_scalar("select last_archived_time::text from pg_stat_archiver").fetch_one(&scene.rig.admin).await?;

    let (lost, lost_at) = (Instant::now(), jiff_now(scene).await?);
    scene.rig.lose_postgres()?;
    for replica in &mut scene.rig.replicas {
        replica.kill().await?;
    }
    let archive = scene.rig.archive.clone().context("an archive")?;
    let restored = archive.restore(&base, &scene.rig.folder.join("restored"), &scene.rig.admin_url(), &point).await?;
    scene.note("restored_after_ms", ms(lost.elapsed()));
    scene.rig.take_over(restored).await?;
    let forgotten = Forgotten::find(&scene.rig).await?;
    scene.note("reconciled_after_ms", ms(lost.elapsed()));
    for replica in &mut scene.rig.replicas {
        replica.spawn()?;
        replica.wait_until_ready().await?;
    }
    scene.note("rto_ms", ms(lost.elapsed()));
    scene.note("rpo_ms", milliseconds_between(&point, lost_at)?);
    scene.note("rpo_of_the_archive_ms", milliseconds_between(&archived, lost_at)?);
    if forgotten.acknowledged.is_empty() {
        scene.found.add("I3", "nothing was acknowledged after the point: the run proves nothing");
    }
    scene.note("requests_made", made);
    scene.forgotten = Some(forgotten);
    Ok(())
}

/// A point is only reached where something was written after it that is in the archive.
async fn wait_until_archived(scene: &Scene, point: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + ARCHIVED_WITHIN;
    // A segment that was archived after another one had been, after the point, holds more than the point.
    let archived = "select last_archived_time > $1::timestamptz + make_interval(secs => $2) from pg_stat_archiver";
    loop {
        // A segment is only filled where something is written.
        sqlx::query("select pg_logical_emit_message(false, 'drill', '')").execute(&scene.rig.admin).await?;
        let query = sqlx::query_scalar(archived).bind(point).bind(f64::from(2 * ARCHIVE_SECONDS));
        if query.fetch_one(&scene.rig.admin).await.is_ok_and(|archived: Option<bool>| archived == Some(true)) {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < deadline, "the archive has not got the point after {ARCHIVED_WITHIN:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn jiff_now(scene: &Scene) -> anyhow::Result<Timestamp> {
    let now: String = sqlx::query_scalar("select clock_timestamp()::text").fetch_one(&scene.rig.admin).await?;
    Ok(now.parse()?)
}

fn milliseconds_between(from: &str, to: Timestamp) -> anyhow::Result<i64> {
    Ok(i64::try_from(to.duration_since(from.parse()?).as_millis())?)
}
