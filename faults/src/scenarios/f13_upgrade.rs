//! F13: from the previous release to this one under load, and back. The old replicas go on while the schema becomes the new
//! one; then one replica after the other is asked to stop, says for two seconds that it is not ready, ends what it is at,
//! and comes back as the new release. Then the same way back: the old release on the new schema, and on what the new one
//! wrote.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{Scene, most_in_ten_seconds};
use crate::balancer::Balancer;
use crate::history::{Took, quantile_ms, statuses};
use crate::load::Load;
use crate::previous;
use crate::report::ms;

/// Requests under way at once, at most.
const CLIENTS: usize = 32;

/// What the design asks for: requests in ten seconds.
const DESIGNED: u32 = 2_000;

/// Of what the machine gets through, the load takes so many per cent.
const SHARE: u32 = 50;

/// How long it is measured what the machine gets through.
const MEASURED: Duration = Duration::from_secs(10);

/// Seconds for which a replica that stops says that it is not ready.
const SHUTDOWN_DELAY: u64 = 2;

/// The pause between two exchanges.
const BETWEEN: Duration = Duration::from_secs(2);

/// The longest that anything may wait for a lock.
const LONGEST_LOCK_MS: i64 = 2_000;

/// Answers that are no failure of the upgrade: done, declined, under way, refused.
const EXPECTED: [u16; 3] = [402, 409, 422];

pub(super) async fn strike(scene: &mut Scene, previous: &Path) -> anyhow::Result<()> {
    let this = std::env::current_exe().context("where this program is")?;
    let stretch = scene.until.saturating_duration_since(Instant::now()) / 4;
    let schema_before = schema(&scene.rig.admin).await?;
    let most = most_in_ten_seconds(scene, CLIENTS, MEASURED).await?;
    let rate = (most * SHARE / 100).clamp(1, DESIGNED);
    let addresses = scene.rig.replicas.iter().map(|replica| replica.address).collect();
    let balancer = Balancer::start(addresses).await?;
    for replica in &mut scene.rig.replicas {
        // Those that run were started without the pause; it is part of how they are asked to stop from here on.
        replica.stop().await?;
        replica.become_program(previous.to_owned(), SHUTDOWN_DELAY);
        replica.spawn()?;
        replica.wait_until_ready().await?;
    }
    wait_for(&balancer, scene.rig.replicas.len()).await?;
    let waits = LockWaits::watch(scene.rig.admin.clone());
    let base = format!("http://{}", balancer.address());
    let load = Load::paced("upgrade", scene.rig.seed, CLIENTS, rate, &scene.market, |number| {
        scene.rig.client_of(number, vec![base.clone()])
    })?;
    let mut stretches = Stretches::default();
    stretches.rest(scene, "old", stretch).await;

    let from = scene.rig.history.now_ms();
    let began = Instant::now();
    previous::migrate(&this, &scene.rig.owner_url()).await.context("the new schema")?;
    let migration_ms = ms(began.elapsed());
    tokio::time::sleep(BETWEEN).await;
    stretches.end(scene, "migration", from);
    let lock_in_migration = waits.longest_ms();
    stretches.rest(scene, "old on the new schema", stretch).await;

    let mut stops = Vec::new();
    let from = scene.rig.history.now_ms();
    exchange(scene, &balancer, &this, &mut stops).await.context("forth")?;
    stretches.end(scene, "exchange", from);
    stretches.rest(scene, "new", stretch).await;

    let from = scene.rig.history.now_ms();
    exchange(scene, &balancer, previous, &mut stops).await.context("back")?;
    stretches.end(scene, "exchange back", from);
    stretches.rest(scene, "old again", stretch).await;

    let made = load.stop().await;
    scene.note("requests_made", made);
    scene.note("most_in_ten_seconds", most);
    scene.note("asked_in_ten_seconds", rate);
    scene.note("schema", format!("{schema_before} to {}", schema(&scene.rig.admin).await?));
    scene.note("migration_ms", migration_ms);
    scene.note("stopped_within_ms", stops);
    scene.note("longest_lock_wait_in_migration_ms", lock_in_migration);
    scene.note("longest_lock_wait_ms", waits.longest_ms());
    scene.note("balancer", serde_json::to_value(balancer.seen())?);
    let locks = waits.longest_ms();
    if locks > LONGEST_LOCK_MS {
        scene.found.add("bar", format!("something waited {locks} ms for a lock"));
    }
    let seen = balancer.seen();
    if seen.broken + seen.nobody_ready > 0 {
        scene.found.add("bar", format!("clients saw replicas come and go: {seen:?}"));
    }
    stretches.judge(scene);
    Ok(())
}

/// Exchanges one replica after the other.
async fn exchange(scene: &mut Scene, balancer: &Balancer, program: &Path, stops: &mut Vec<u64>) -> anyhow::Result<()> {
    let count = scene.rig.replicas.len();
    for replica in &mut scene.rig.replicas {
        stops.push(ms(replica.stop().await?));
        replica.become_program(program.to_owned(), SHUTDOWN_DELAY);
        replica.spawn()?;
        replica.wait_until_ready().await?;
        wait_for(balancer, count).await?;
        tokio::time::sleep(BETWEEN).await;
    }
    Ok(())
}

async fn wait_for(balancer: &Balancer, count: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while balancer.ready() < count {
        anyhow::ensure!(Instant::now() < deadline, "the balancer finds no replica ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The newest migration.
async fn schema(admin: &PgPool) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("select max(version) from _sqlx_migrations").fetch_one(admin).await?)
}

/// The longest wait for a lock that was seen, looked for twenty times a second.
struct LockWaits {
    longest_ms: Arc<AtomicI64>,
    stop: Arc<AtomicBool>,
}

impl LockWaits {
    fn watch(admin: PgPool) -> Self {
        let watched = Self { longest_ms: Arc::default(), stop: Arc::default() };
        let (longest, stop) = (Arc::clone(&watched.longest_ms), Arc::clone(&watched.stop));
        tokio::spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                if let Ok(waited) = sqlx::query_scalar::<_, i64>(LONGEST_WAIT).fetch_one(&admin).await {
                    longest.fetch_max(waited, Ordering::SeqCst);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        watched
    }

    fn longest_ms(&self) -> i64 {
        self.longest_ms.load(Ordering::SeqCst)
    }
}

impl Drop for LockWaits {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

const LONGEST_WAIT: &str = "
    select coalesce(max(extract(epoch from clock_timestamp() - waitstart) * 1000), 0)::bigint
    from pg_locks where not granted and waitstart is not null";

/// The parts of the run, in order.
#[derive(Default)]
struct Stretches(Vec<(&'static str, Vec<Took>)>);

impl Stretches {
    async fn rest(&mut self, scene: &Scene, name: &'static str, lasts: Duration) {
        let from = scene.rig.history.now_ms();
        tokio::time::sleep(lasts).await;
        self.end(scene, name, from);
    }

    fn end(&mut self, scene: &Scene, name: &'static str, from: u64) {
        let history = &scene.rig.history;
        self.0.push((name, history.took_between(from, history.now_ms())));
    }

    /// Compares every stretch with the first one.
    fn judge(&self, scene: &mut Scene) {
        let baseline = self.0.first().map_or(0, |(_, took)| quantile_ms(took, 990));
        let mut told = Vec::<Value>::new();
        for (name, took) in &self.0 {
            let (p50, p99, by_status) = (quantile_ms(took, 500), quantile_ms(took, 990), statuses(took));
            if p99 > 2 * baseline {
                scene.found.add("bar", format!("{name}: p99 {p99} ms, {baseline} ms before"));
            }
            let failed: BTreeMap<_, _> = by_status.iter().filter(|(status, _)| !is_expected(status)).collect();
            if !failed.is_empty() {
                scene.found.add("bar", format!("{name}: answers {failed:?}"));
            }
            told.push(json!({
                "name": name, "tries": took.len(), "p50_ms": p50, "p99_ms": p99, "statuses": by_status,
            }));
        }
        scene.note("stretches", told);
    }
}

fn is_expected(status: &str) -> bool {
    status.parse().is_ok_and(|status: u16| (200..300).contains(&status) || EXPECTED.contains(&status))
}
