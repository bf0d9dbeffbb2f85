//! F12: the machine of the primary is lost under load, and a standby takes over. While it is not promoted yet, the way to
//! Postgres leads to it already, as it does where a balancer is quicker than the promotion.
//!
//! With synchronous replication nothing that was acknowledged may be lost. Without, the standby is held back for some
//! seconds before the loss, so that there is something to lose: then every loss must be told, and nothing done twice.

use std::time::{Duration, Instant};

use super::Scene;
use crate::check;
use crate::forgotten::Forgotten;
use crate::proxy::{Protocol, Proxy, Weather};
use crate::report::ms;
use crate::servers::Server;
use crate::servers::backup::{self, STANDBY};

/// How long a standby that is behind was held back.
const BEHIND: Duration = Duration::from_secs(5);

/// How long the way leads to a standby that is not promoted yet.
const NOT_PROMOTED: Duration = Duration::from_secs(1);

/// How soon a request must succeed after the promotion: first the provider is asked what the standby lacks.
const RECOVERED_WITHIN: Duration = Duration::from_secs(20);

/// How long a standby may take until it streams.
const STREAMS_WITHIN: Duration = Duration::from_mins(1);

/// With a synchronous standby.
pub(super) async fn strike(scene: &mut Scene) -> anyhow::Result<()> {
    let (load, made) = (scene.load(8, 100)?, Instant::now());
    let (_stream, standby) = make_standby(scene).await?;
    scene.note("standby_made_in_ms", ms(made.elapsed()));
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("alter system set synchronous_standby_names = '{STANDBY}'")))
        .execute(&scene.rig.admin)
        .await?;
    sqlx::query("select pg_reload_conf()").execute(&scene.rig.admin).await?;
    wait_until_it_streams(scene, "sync").await?;
    let rest = scene.until.saturating_duration_since(Instant::now());
    tokio::time::sleep(rest / 2).await;
    let before = scene.rig.history.totals().ok;
    let promoted = fail_over(scene, standby).await?;
    let ok = scene.rig.history.totals().ok;
    while scene.rig.history.totals().ok == ok && promoted.elapsed() < 3 * RECOVERED_WITHIN {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let recovered = promoted.elapsed();
    if recovered > RECOVERED_WITHIN {
        scene.found.add("I7", format!("{} ms until a request succeeded after the promotion", ms(recovered)));
    }
    scene.note("first_success_after_ms", ms(recovered));
    tokio::time::sleep(scene.until.saturating_duration_since(Instant::now())).await;
    let made = load.stop().await;
    scene.note("requests_made", made);
    scene.note("acknowledged_before_the_loss", before);
    Ok(())
}

/// With a standby that is behind. No request succeeds after it: its book is halted.
pub(super) async fn strike_behind(scene: &mut Scene) -> anyhow::Result<()> {
    let load = scene.load(8, 100)?;
    let (stream, standby) = make_standby(scene).await?;
    wait_until_it_streams(scene, "async").await?;
    let rest = scene.until.saturating_duration_since(Instant::now());
    tokio::time::sleep(rest / 2).await;
    // It clears only when there is nobody left to send: the standby is cut from what it has not got.
    stream.set_weather(Weather { black_hole: true, ..Weather::default() });
    tokio::time::sleep(BEHIND).await;
    let before = scene.rig.history.totals().ok;
    fail_over(scene, standby).await?;
    drop(stream);
    tokio::time::sleep(scene.until.saturating_duration_since(Instant::now())).await;
    let made = load.stop().await;
    let forgotten = Forgotten::find(&scene.rig).await?;
    if forgotten.acknowledged.is_empty() {
        scene.found.add("I3", "no acknowledgement was lost: the run proves nothing");
    }
    scene.note("requests_made", made);
    scene.note("acknowledged_before_the_loss", before);
    scene.forgotten = Some(forgotten);
    Ok(())
}

/// A standby, and the proxy through which it streams.
async fn make_standby(scene: &Scene) -> anyhow::Result<(Proxy, Server)> {
    let rig = &scene.rig;
    let stream = Proxy::start("stream", Protocol::Plain, vec![rig.postgres_address()], rig.seed).await?;
    let folder = rig.folder.join("standby");
    let standby = backup::start_standby(&rig.admin_url(), stream.address().port(), &folder).await?;
    Ok((stream, standby))
}

async fn wait_until_it_streams(scene: &Scene, state: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + STREAMS_WITHIN;
    let streams = "select count(*) from pg_stat_replication
                   where application_name = $1 and state = 'streaming' and sync_state = $2";
    loop {
        let count: i64 = sqlx::query_scalar(streams).bind(STANDBY).bind(state).fetch_one(&scene.rig.admin).await?;
        if count == 1 {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < deadline, "the standby does not stream after {STREAMS_WITHIN:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The primary is lost, the standby takes over; when it was promoted.
async fn fail_over(scene: &mut Scene, mut standby: Server) -> anyhow::Result<Instant> {
    let lost = Instant::now();
    scene.rig.lose_postgres()?;
    scene.rig.lead_to(standby.port());
    tokio::time::sleep(NOT_PROMOTED).await;
    standby.promote().await?;
    let promoted = Instant::now();
    scene.note("promoted_after_ms", ms(lost.elapsed()));
    scene.rig.take_over(standby).await?;
    let timeline = check::count(
        &scene.rig.admin,
        "select ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint",
    )
    .await?;
    anyhow::ensure!(timeline > 1, "the standby went on as if nothing had happened");
    scene.note("timeline", timeline);
    Ok(promoted)
}
