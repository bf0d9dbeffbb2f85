//! A process that stands still for longer than its lease, with the provider's answer in its hands, and goes on as if
//! nothing had been: by then another one has sent the command again and waits. What the first was told (429: no effect) is
//! not true of the second attempt any more, and must not be taken for its end.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use partita_simulator::{Fault, FaultKind, Settings};

use super::ground::Ground;
use super::pairs::Kind;
use super::{HEALTHY, MORTAL, live};
use crate::check::count;
use crate::scenarios::Scene;

/// Those whose place at the provider is nobody else's.
const KINDS: [Kind; 4] = [Kind::Account, Kind::Payment, Kind::Refund, Kind::TopUp];

/// Longer than the lease of 40 s, by what it takes to be noticed.
const STANDS_STILL_MS: u64 = 46_000;

/// How long the provider keeps the second attempt: it must still be under way when the first one goes on.
const HANGS_MS: u32 = 14_000;

/// From the first request until everyone goes on and is through.
const OVER_AFTER: Duration = Duration::from_secs(62);

/// Has one attempt of each kind overtaken; how many answers came too late and were not taken.
///
/// # Errors
/// When replicas do not come back or the database cannot be asked.
pub(super) async fn stand(scene: &mut Scene, ground: &mut Ground) -> anyhow::Result<i64> {
    let armed: Vec<String> =
        KINDS.iter().map(|kind| format!("after_call/{}=1*sleep({STANDS_STILL_MS})", kind.command())).collect();
    // Whoever sleeps has a thread to itself.
    let environment = [
        ("FAILPOINTS", armed.join(";")),
        ("PARTITA_WITH_WORKER", "false".to_owned()),
        ("TOKIO_WORKER_THREADS", "16".to_owned()),
    ];
    let environment = environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    live(&mut scene.rig, MORTAL, environment).await?;
    let before = count(&scene.rig.admin, OVERTAKEN).await?;
    let control = &scene.rig.control;
    let hang_ms = control.settings().hang_ms;
    control.set_settings(Settings { hang_ms: HANGS_MS, ..control.settings() }).await?;
    // Their webhooks would end them before anybody goes on.
    control.deliver_in_background(false);
    for kind in KINDS {
        for fault in [FaultKind::RateLimited, FaultKind::HangAfter] {
            let path = kind.provider_path().to_owned();
            control.plan_fault(Fault { kind: fault, method: "POST".to_owned(), path, times: 1 });
        }
    }
    let began = Instant::now();
    let mut requests = Vec::new();
    for kind in KINDS {
        requests.push(ground.request(scene, kind, &format!("still-{}", kind.command()))?);
    }
    let (mortal, healthy) = (scene.rig.client(MORTAL)?, scene.rig.client(HEALTHY)?);
    let asking = requests.iter().map(|request| mortal.post_once(&request.path, &request.key, &request.body));
    futures::stream::iter(asking).buffer_unordered(KINDS.len()).count().await;
    tokio::time::sleep(OVER_AFTER.saturating_sub(began.elapsed())).await;
    control.clear_faults();
    control.set_settings(Settings { hang_ms, ..control.settings() }).await?;
    control.deliver_in_background(true);
    for request in &requests {
        healthy.post(&request.path, &request.key, &request.body).await;
    }
    live(&mut scene.rig, MORTAL, Vec::new()).await?;
    let overtaken = count(&scene.rig.admin, OVERTAKEN).await? - before;
    if overtaken == 0 {
        scene.found.add("I10", "nobody was overtaken while it stood still: the run proves nothing about it");
    }
    Ok(overtaken)
}

/// First attempts that live on without an answer of theirs, while the second has one.
const OVERTAKEN: &str = "
    select count(*) from operations o
    where exists (select from provider_answers a where a.book_id = o.book_id and a.operation_id = o.id and a.attempt = 2)
        and not exists (select from provider_answers a where a.book_id = o.book_id and a.operation_id = o.id and a.attempt = 1)
        and exists (select from idempotency_keys k where k.book_id = o.book_id and k.object_id = o.object_id
                    and k.key like 'still-%')";
