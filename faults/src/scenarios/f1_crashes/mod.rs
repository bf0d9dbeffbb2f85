//! F1: a process dies at a crash point, by `abort`, while it is at work on one kind of operation; then the next process
//! at the next point. Each pair of point and kind is one run; the leases of what the dead ones held run out side by side.
//! Whoever asked asks again at the end, under the same keys.
//!
//! First come the points that a worker passes: there is one process, armed for one death, and its successor finds what it
//! left. Then those that only requests pass: the process that dies has no worker, and a healthy one beside it takes over.
//! At last one stands still past its lease instead of dying ([`still`]), and `partita migrate` is killed ([`migrations`]).

mod ground;
mod migrations;
mod pairs;
mod provoke;
mod recovery;
mod still;

use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::StreamExt as _;
use rustix::process::Signal;
use serde_json::Value;

use self::ground::{Ground, Request};
use self::pairs::{Kind, POINTS, Pair, Way};
use super::{PATIENCE, Scene, wait_until_quiet};
use crate::dice::Dice;
use crate::rig::Rig;

/// The replica that dies; the other one stays well.
const MORTAL: usize = 0;

/// The one that stays well.
const HEALTHY: usize = 1;

/// How long a process may take to reach its point.
const DIES_WITHIN: Duration = Duration::from_secs(20);

/// How often one looks whether it did.
const LOOKS_EVERY: Duration = Duration::from_millis(20);

/// Requests that are asked again at once.
const AT_ONCE: usize = 6;

/// A run: the process died at its point.
#[derive(Debug)]
struct Struck {
    kind: Kind,
    /// As it was armed.
    point: String,
    way: Way,
    /// None when it died before anything was asked, of what another one had left.
    asked: Option<Request>,
    /// When; milliseconds since 1970.
    at_ms: i64,
}

/// What was struck, for [`judge`].
pub(super) struct Aftermath {
    struck: Vec<Struck>,
    /// When a process with a worker died or was killed; milliseconds since 1970.
    deaths: Vec<i64>,
    ground: Ground,
}

pub(super) async fn strike(scene: &mut Scene) -> anyhow::Result<Aftermath> {
    let mut pairs = Pair::all();
    shuffle(&mut pairs, &mut Dice::new(scene.rig.seed, "pairs"));
    for index in [MORTAL, HEALTHY] {
        live(&mut scene.rig, index, Vec::new()).await?;
    }
    let mut ground = Ground::lay(scene, &pairs).await.context("the ground")?;
    let left = wait_until_quiet(scene, PATIENCE).await?;
    anyhow::ensure!(left.is_empty(), "it was not quiet before the first death: {left:?}");
    recovery::keep_claims(&scene.rig).await?;
    let (by_worker, by_request): (Vec<Pair>, Vec<Pair>) =
        pairs.iter().copied().partition(|pair| pair.is_passed_by_worker());

    let (mut struck, mut missed, mut out_of_time) = (Vec::new(), Vec::new(), 0_usize);
    let mut deaths = Vec::new();
    scene.rig.replicas[HEALTHY].kill().await?;
    let mut healthy = false;
    for (number, pair) in by_worker.into_iter().chain(by_request).enumerate() {
        if Instant::now() > scene.until {
            out_of_time += 1;
            continue;
        }
        if !healthy && !pair.is_passed_by_worker() {
            live(&mut scene.rig, HEALTHY, Vec::new()).await?;
            healthy = true;
        }
        let one = strike_one(scene, &mut ground, number, pair).await.with_context(|| pair.armed())?;
        if pair.is_passed_by_worker() {
            // One that did not die at its point is killed for the next one.
            deaths.push(one.as_ref().map_or_else(now_ms, |one| one.at_ms));
        }
        match one {
            Some(one) => struck.push(one),
            None => missed.push(format!("{} of {}", pair.armed(), pair.kind.command())),
        }
    }
    for index in [MORTAL, HEALTHY] {
        live(&mut scene.rig, index, Vec::new()).await?;
    }
    ask_again(scene, &ground, &struck).await?;
    let stale = still::stand(scene, &mut ground).await.context("standing still")?;
    let migrated = migrations::kill(scene).await.context("migrations")?;

    let never = POINTS.len() * Kind::ALL.len() - pairs.len();
    scene.note("points", POINTS.len());
    scene.note("kinds_of_operations", Kind::ALL.len());
    scene.note("pairs_that_cannot_be", never);
    scene.note("deaths_at_a_point", struck.len());
    scene.note("points_that_were_died_at", distinct(struck.iter().map(|one| one.point.as_str())));
    scene.note("pairs_without_a_death", missed);
    scene.note("pairs_out_of_time", out_of_time);
    scene.note("stale_answers_not_taken", stale);
    scene.note("deaths_of_migrations", migrated);
    Ok(Aftermath { struck, deaths, ground })
}

fn now_ms() -> i64 {
    partita::clock::system_now().as_millisecond()
}

/// How many different points there are, whatever they were armed for.
fn distinct<'a>(armed: impl Iterator<Item = &'a str>) -> usize {
    let mut points: Vec<&str> = armed.map(|name| name.split('/').next().unwrap_or(name)).collect();
    points.sort_unstable();
    points.dedup();
    points.len()
}

fn shuffle<T>(items: &mut [T], dice: &mut Dice) {
    for end in (1..items.len()).rev() {
        items.swap(end, dice.index(end + 1));
    }
}

/// Gives a replica a new life in this environment, and waits until it is ready.
async fn live(rig: &mut Rig, index: usize, environment: Vec<(String, String)>) -> anyhow::Result<()> {
    reborn(rig, index, environment).await?;
    rig.replicas[index].wait_until_ready().await
}

async fn reborn(rig: &mut Rig, index: usize, environment: Vec<(String, String)>) -> anyhow::Result<()> {
    let always = [("PARTITA_WEBHOOK_NETWORKS", "127.0.0.0/8"), ("PARTITA_RESEND_UP_TO", "0")];
    let always = always.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let replica = &mut rig.replicas[index];
    replica.kill().await?;
    replica.set_environment(always.chain(environment).collect());
    replica.spawn()
}

/// Has a process die at a point; none when it did not.
async fn strike_one(
    scene: &mut Scene,
    ground: &mut Ground,
    number: usize,
    pair: Pair,
) -> anyhow::Result<Option<Struck>> {
    let point = pair.armed();
    let logged = scene.rig.replicas[MORTAL].log()?.len();
    if pair.point.way == Way::Told {
        // The inbox of a book is one piece of work: a dead one's lease would have every pair wait for it.
        provoke::forget_inbox_lease(&scene.rig).await?;
    }
    let environment = vec![
        ("FAILPOINTS".to_owned(), format!("{point}=1*return")),
        ("PARTITA_WITH_WORKER".to_owned(), pair.is_passed_by_worker().to_string()),
    ];
    reborn(&mut scene.rig, MORTAL, environment).await?;
    let mut asked = None;
    let early = scene.rig.replicas[MORTAL].wait_until_ready_or_dead().await?;
    let status = if early.is_some() {
        early
    } else {
        let request = ground.request(scene, pair.kind, &format!("pair-{number}"))?;
        asked = Some(request.clone());
        // Nobody goes on for one that is dead: what it left has only its successor.
        let dead = scene.rig.replicas[MORTAL].dead(LOOKS_EVERY)?;
        tokio::select! {
            done = provoke::provoke(scene, ground, pair, &request) => done?,
            () = dead => {}
        }
        wait_for_death(scene).await?
    };
    let at_ms = now_ms();
    provoke::calm(scene).await?;
    let Some(status) = status else { return Ok(None) };
    let log = scene.rig.replicas[MORTAL].log()?;
    let told = log.get(logged..).is_some_and(|log| log.contains(&format!("point=\"{point}\"")));
    if status.signal() != Some(Signal::ABORT.as_raw()) || !told {
        scene.found.add("I7", format!("a process ended by itself before {point}: {status}"));
        return Ok(None);
    }
    Ok(Some(Struck { kind: pair.kind, point, way: pair.point.way, asked, at_ms }))
}

/// How the mortal one ended, if it did in time. Webhooks that failed are sent again meanwhile.
async fn wait_for_death(scene: &mut Scene) -> anyhow::Result<Option<std::process::ExitStatus>> {
    let deadline = Instant::now() + DIES_WITHIN;
    while Instant::now() < deadline {
        if let Some(status) = scene.rig.replicas[MORTAL].ended()? {
            return Ok(Some(status));
        }
        tokio::time::sleep(LOOKS_EVERY).await;
    }
    Ok(None)
}

/// Everyone whose process died asks again under the same key, until there is an answer.
async fn ask_again(scene: &mut Scene, ground: &Ground, struck: &[Struck]) -> anyhow::Result<()> {
    let client = scene.rig.client(MORTAL)?;
    let asking = struck.iter().filter_map(|one| one.asked.as_ref()).map(|request| {
        let client = &client;
        async move { (request, client.post(&request.path, &request.key, &request.body).await) }
    });
    let answers: Vec<_> = futures::stream::iter(asking).buffer_unordered(AT_ONCE).collect().await;
    for (request, answer) in answers {
        if let Some(answer) = answer.filter(|answer| answer.status >= 400 && answer.status != 402) {
            let said = String::from_utf8_lossy(&answer.bytes);
            scene.found.add("I3", format!("{} was refused when it was asked again: {said}", request.key));
        }
    }
    provoke::approve_what_is_left(scene, ground).await
}

/// What only shows once everything is quiet: how long each struck operation took, and that every event reached the sink.
pub(super) async fn judge(scene: &mut Scene, aftermath: Aftermath) -> anyhow::Result<()> {
    let Aftermath { struck, deaths, ground } = aftermath;
    recovery::measure(scene, &struck, &deaths).await.context("recovery")?;
    recovery::events_arrived(scene, &ground.sink).await.context("the sink")?;
    if !struck.iter().any(|one| one.way == Way::Asked) {
        scene.found.add("I7", "no process died at its point: the run proves nothing");
    }
    Ok(())
}

/// The id in a body.
fn id_of(body: &Value) -> anyhow::Result<&str> {
    body["id"].as_str().context("an object has an id")
}
