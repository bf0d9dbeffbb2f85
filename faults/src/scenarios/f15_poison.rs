//! F15: three platforms on the same replicas. One has ten times the load of the others, and one of its two webhook
//! endpoints keeps every delivery for thirty seconds. The others must hardly feel it, and every endpoint that answers must
//! get its events in time.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Scene, most_in_ten_seconds};
use crate::client::Client;
use crate::history::{History, Took, quantile_ms};
use crate::load::Load;
use crate::neighbour::Neighbour;
use crate::sink::Sink;

/// Platforms beside the loud one.
const QUIET: [&str; 2] = ["quiet_1", "quiet_2"];

/// Requests under way at once of a platform, at most.
const CLIENTS: usize = 16;

/// How long it is measured what the machine gets through.
const MEASURED: Duration = Duration::from_secs(10);

/// A platform's usual share of what the machine gets through; per cent.
const SHARE: u32 = 2;

/// What the loud one has of it.
const LOUD: u32 = 10;

/// How long the endpoint keeps each delivery.
const HANGS: Duration = Duration::from_secs(30);

/// How late an event may come to an endpoint that answers.
const LAG_MS: u64 = 5_000;

/// How long events may still be on their way after the load.
const ARRIVED_WITHIN: Duration = Duration::from_mins(2);

pub(super) async fn strike(scene: &mut Scene) -> anyhow::Result<()> {
    let lasts = scene.until.saturating_duration_since(Instant::now());
    let mut quiet = Vec::new();
    for name in QUIET {
        let neighbour = Neighbour::move_in(&scene.rig, name).await?;
        let market = neighbour.market().await?;
        quiet.push((neighbour, market));
    }

    let (poisoned, beside_it) = (Sink::start().await?, Sink::start().await?);
    poisoned.hang(Some(HANGS));
    let loud = scene.rig.client(0)?;
    endpoint(&loud, &beside_it).await?;
    let mut sinks = vec![("loud".to_owned(), beside_it)];
    for (neighbour, _) in &quiet {
        let sink = Sink::start().await?;
        endpoint(&neighbour.client(0)?, &sink).await?;
        sinks.push((neighbour.name.clone(), sink));
    }
    // With the endpoints that answer: telling them is part of what a payment costs.
    let most = most_in_ten_seconds(scene, CLIENTS, MEASURED).await?;
    let usual = (most * SHARE / 100).max(1);

    // As usual, without the poison.
    let (before, _) = stretch(scene, &quiet, "usual", usual, usual, lasts / 3).await?;
    endpoint(&loud, &poisoned).await?;
    let (during, since) = stretch(scene, &quiet, "poison", usual, usual * LOUD, lasts * 2 / 3).await?;
    arrived(scene, &sinks).await?;

    let mut told = Vec::<Value>::new();
    for (name, sink) in &sinks {
        let lags: Vec<u64> = sink.came().iter().filter(|came| came.happened >= since).map(|came| came.lag_ms).collect();
        let longest = lags.iter().copied().max().unwrap_or(0);
        let late = lags.iter().filter(|lag| **lag > LAG_MS).count();
        if late > 0 {
            scene
                .found
                .add("bar", format!("{late} of {} events came late to {name}, {longest} ms at most", lags.len()));
        }
        told.push(json!({"endpoint": name, "events": lags.len(), "longest_lag_ms": longest, "late": late}));
    }
    scene.note("endpoints_that_answer", told);
    scene.note("deliveries_to_the_one_that_hangs", poisoned.came().len());
    let mut told = Vec::<Value>::new();
    for ((neighbour, _), (before, during)) in quiet.iter().zip(before.iter().zip(&during)) {
        let (was, is) = (quantile_ms(before, 990), quantile_ms(during, 990));
        if 2 * is > 3 * was {
            scene.found.add("bar", format!("{}: p99 {is} ms, {was} ms as usual", neighbour.name));
        }
        told.push(json!({
            "platform": neighbour.name, "tries": [before.len(), during.len()], "p99_ms": [was, is],
            "p50_ms": [quantile_ms(before, 500), quantile_ms(during, 500)],
        }));
    }
    scene.note("quiet_platforms_before_and_during", told);
    scene.note("most_in_ten_seconds", most);
    scene.note("usual_in_ten_seconds", usual);
    // The receiver gets well, and stays until everything is quiet.
    poisoned.hang(None);
    scene.sinks.extend(sinks.into_iter().map(|(_, sink)| sink).chain([poisoned]));
    scene.neighbours.extend(quiet.into_iter().map(|(neighbour, _)| neighbour));
    Ok(())
}

/// Has a receiver get every event of a platform. Without a key: its secret is shown once.
async fn endpoint(client: &Client, sink: &Sink) -> anyhow::Result<()> {
    let made = client.tell("/v1/webhook_endpoints", &json!({"url": sink.url(), "events": ["*"]})).await?;
    anyhow::ensure!(made.status < 300, "an endpoint: {}", String::from_utf8_lossy(&made.bytes));
    Ok(())
}

/// Loads every platform for a while; what the quiet ones' tries took, and when it began.
async fn stretch(
    scene: &Scene,
    quiet: &[(Neighbour, std::sync::Arc<crate::market::Market>)],
    name: &str,
    usual: u32,
    loud: u32,
    lasts: Duration,
) -> anyhow::Result<(Vec<Vec<Took>>, Timestamp)> {
    let (seed, since) = (scene.rig.seed, partita::clock::system_now());
    let from: Vec<u64> = quiet.iter().map(|(neighbour, _)| neighbour.history.now_ms()).collect();
    let mut loads = vec![Load::paced(name, seed, CLIENTS, loud, &scene.market, |number| scene.rig.client(number))?];
    for (neighbour, market) in quiet {
        loads.push(Load::paced(name, seed, CLIENTS, usual, market, |number| neighbour.client(number))?);
    }
    tokio::time::sleep(lasts).await;
    for load in loads {
        load.stop().await;
    }
    let took = |(history, from): (&History, u64)| history.took_between(from, history.now_ms());
    let took = quiet.iter().map(|(neighbour, _)| neighbour.history.as_ref()).zip(from).map(took).collect();
    Ok((took, since))
}

/// Waits until nothing is on its way to the receivers that answer.
async fn arrived(scene: &mut Scene, sinks: &[(String, Sink)]) -> anyhow::Result<()> {
    let urls: Vec<String> = sinks.iter().map(|(_, sink)| sink.url()).collect();
    let deadline = Instant::now() + ARRIVED_WITHIN;
    loop {
        let open: i64 =
            sqlx::query_scalar(ON_THEIR_WAY).bind(&urls).fetch_one(&scene.rig.admin).await.context("deliveries")?;
        if open == 0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            scene.found.add("bar", format!("{open} deliveries to receivers that answer did not arrive"));
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

const ON_THEIR_WAY: &str = "
    select (select count(*) from event_fanout)
         + (select count(*) from webhook_deliveries d join webhook_endpoints e on e.book_id = d.book_id and e.id = d.endpoint_id
            where e.url = any($1) and d.status in ('pending', 'sending'))";
