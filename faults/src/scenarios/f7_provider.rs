//! F7: three of ten answers of the provider are wrong in one of twelve ways, webhooks come shuffled and several times;
//! then the provider heals and the clocks run on. Every operation must end, each with one effect or none.

use std::path::Path;
use std::time::{Duration, Instant};

use partita_simulator::{FaultKind, FaultPlan, WebhookPlan};
use serde_json::Map;

use super::Fault;
use crate::check::{self, Findings};
use crate::driven::{self, DAY, Driven};
use crate::load::{Amount, Load};
use crate::report::{Report, ms};

/// Payments under way at once.
const CLIENTS: usize = 8;

/// How long operations may take, by the driven clock, once the provider has healed: keys expire after one day.
const QUIET_WITHIN: i64 = 3 * DAY;

/// What goes wrong, per mille; together 300.
pub(super) const WRITES: [(FaultKind, u16); 12] = [
    (FaultKind::RateLimited, 30),
    (FaultKind::KeyInUse, 20),
    (FaultKind::ErrorBefore, 30),
    (FaultKind::ErrorAfter, 30),
    (FaultKind::HangBefore, 20),
    (FaultKind::HangAfter, 30),
    (FaultKind::AnswerLost, 30),
    (FaultKind::Garbage, 20),
    (FaultKind::Doubled, 20),
    (FaultKind::UnknownWord, 30),
    (FaultKind::Repeated, 20),
    (FaultKind::WebhookFirst, 20),
];

/// What goes wrong with reads, per mille.
pub(super) const READS: [(FaultKind, u16); 5] = [
    (FaultKind::RateLimited, 20),
    (FaultKind::ErrorBefore, 20),
    (FaultKind::AnswerLost, 20),
    (FaultKind::Garbage, 20),
    (FaultKind::UnknownWord, 20),
];

pub(super) async fn run(seed: u64, lasts: Duration, folder: &Path) -> anyhow::Result<Report> {
    let server = driven::server(folder).await?;
    let rig = Driven::start(&server, folder, "faulty").await?;
    let market = rig.market().await?;
    rig.control.set_fault_plan(FaultPlan {
        seed,
        writes: WRITES.into_iter().collect(),
        reads: READS.into_iter().collect(),
        webhooks: WebhookPlan { copies: 3, shuffled: true, ..WebhookPlan::default() },
        ..FaultPlan::default()
    })?;
    let began = Instant::now();
    let amount = Amount { clients: CLIENTS, pause_ms: 0 };
    let load = Load::start("load", seed, amount, &market, |number| rig.client(number))?;
    // While the load runs there is always something left to do: one batch at a time, and webhooks beside it.
    rig.control.deliver_in_background(true);
    while began.elapsed() < lasts {
        tokio::time::sleep(Duration::from_millis(100)).await;
        rig.step().await?;
        rig.move_clocks(1).await?;
    }
    let made = load.stop().await;
    rig.control.deliver_in_background(false);
    let lasted_ms = ms(began.elapsed());
    let report = heal_and_check(Fault::Provider, seed, lasted_ms, made, rig).await;
    server.shutdown().await?;
    report
}

/// The provider heals, the clocks run on, everything ends, and is checked.
pub(super) async fn heal_and_check(
    fault: Fault,
    seed: u64,
    lasted_ms: u64,
    made: u64,
    rig: Driven,
) -> anyhow::Result<Report> {
    rig.control.clear_faults();
    let (mut found, mut done) = (Findings::default(), Map::new());
    let quiet = rig.quiet_within(QUIET_WITHIN).await?;
    if quiet.is_none() {
        for (count, what) in check::open_work(&rig.admin).await? {
            found.add("I7", format!("{count} {what}"));
        }
    }
    // What settles by the day: availability, transfers, reversals.
    for _ in 0..5 {
        rig.move_clocks(DAY).await?;
        rig.settle().await?;
    }
    check::left_to_people(&rig.admin, &mut found).await?;
    let (effects, movements) = rig.check(&mut found).await?;
    done.insert("requests_made".into(), made.into());
    done.insert("effects_at_the_provider".into(), effects.into());
    done.insert("movements_compared".into(), movements.into());
    done.insert("quiet_after_driven_seconds".into(), quiet.into());
    let requests = rig.history.totals();
    rig.stop().await;
    let ((fault, title), quiet_after_ms) = (fault.name(), quiet.map(|seconds| seconds.unsigned_abs() * 1_000));
    Ok(Report { fault, title, seed, lasted_ms, quiet_after_ms, requests, done, violations: found.into_violations() })
}
