//! F10: one replica's clock is ten minutes ahead, the other's ten minutes behind, and in the middle the first one's is set
//! back by an hour. The service must not notice: its time is the database's, and so is the time by which it judges
//! whether a webhook's signature is too old.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use partita_simulator::sign;

use super::Scene;
use crate::check;

/// How far the clocks are off; seconds.
const OFF: i64 = 600;

/// How far the first one is set back; seconds.
const BACK: i64 = 3_600;

/// How old a signature may be, and how far in the future; seconds.
const TOLERANCE: i64 = 300;

/// On both sides of the tolerance, with room for a slow machine; seconds.
const ROOM: i64 = 60;

/// The longest that a change's business time may be from the time at which it was written; seconds. A unit of work takes
/// its time before it waits for locks and tries again.
const APART: i64 = 60;

/// What the platform's endpoint signs with.
const SECRET: &str = "whsec_of_the_platform";

const WRONG_TIMES: &str = "
    select count(*) from (
        select at, recorded_at from state_history union all select occurred_at, recorded_at from outbox
    ) as changes
    where abs(extract(epoch from at - recorded_at)) > $1";

pub(super) async fn strike(scene: &mut Scene) -> anyhow::Result<()> {
    let [first, second] = scene.rig.clocks.as_slice() else { anyhow::bail!("two replicas with clocks of their own") };
    first.set(OFF)?;
    second.set(-OFF)?;
    let load = scene.load(8, 100)?;
    let half = scene.until.saturating_duration_since(Instant::now()) / 2;
    tokio::time::sleep(half).await;
    let mut judged = signatures(scene, "apart").await?;
    scene.rig.clocks[0].set(OFF - BACK)?;
    tokio::time::sleep(half).await;
    judged += signatures(scene, "set back").await?;
    let made = load.stop().await;
    let wrong: i64 = sqlx::query_scalar(WRONG_TIMES).bind(APART).fetch_one(&scene.rig.admin).await?;
    if wrong > 0 {
        scene.found.add("I8", format!("{wrong} changes and events have another time than the database's"));
    }
    let refused = webhooks_refused(scene).await?;
    if refused > 0 {
        scene.found.add("I7", format!("{refused} webhooks with fresh signatures were not taken at once"));
    }
    scene.note("requests_made", made);
    scene.note("seconds_ahead_and_behind", OFF);
    scene.note("seconds_set_back", BACK);
    scene.note("signatures_judged", judged);
    scene.note("fresh_webhooks_refused", refused);
    scene.note("changes_with_another_time", wrong);
    Ok(())
}

/// Signatures on both sides of the tolerance, sent to each replica itself: how many were judged.
async fn signatures(scene: &mut Scene, when: &str) -> anyhow::Result<usize> {
    let endpoints = scene.rig.control.endpoints();
    let endpoint = endpoints.iter().find(|endpoint| !endpoint.connect).context("the platform's endpoint")?;
    let path = url::Url::parse(&endpoint.url)?.path().to_owned();
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
    let mut judged = 0;
    for (number, replica) in scene.rig.replicas.iter().enumerate() {
        for (age, taken) in [
            (0, true),
            (TOLERANCE - ROOM, true),
            (TOLERANCE + ROOM, false),
            (-(TOLERANCE - ROOM), true),
            (-(TOLERANCE + ROOM), false),
        ] {
            let now = check::count(&scene.rig.admin, "select extract(epoch from clock_timestamp())::bigint").await?;
            // Of a type that means nothing: it is stored and set aside.
            let body = format!(
                r#"{{"id":"evt_{}_{number}_{judged}","object":"event","type":"plan.created","created":{now},"livemode":false,"api_version":"2025-11-17.clover","data":{{"object":{{"id":"plan_1","object":"plan"}}}}}}"#,
                when.replace(' ', "_")
            );
            let signature = sign(SECRET, now - age, body.as_bytes());
            let url = format!("http://{}{path}", replica.address);
            let answer = http.post(url).header("Stripe-Signature", signature).body(body).send().await?.status();
            if answer.is_success() != taken {
                let sentence = format!("replica {number}, {when}: a signature {age} s old was answered {answer}");
                scene.found.add("I8", sentence);
            }
            judged += 1;
        }
    }
    Ok(judged)
}

/// Webhooks of the provider that were not taken at their first try, each of which was signed a moment before.
async fn webhooks_refused(scene: &Scene) -> anyhow::Result<usize> {
    let deliveries = scene.rig.control.deliveries().await?;
    Ok(deliveries.iter().filter(|delivery| delivery.attempts > 1 || delivery.last_status == Some(400)).count())
}
