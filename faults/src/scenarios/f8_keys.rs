//! F8: no answer of the provider's comes through, half of the commands had their effect; the service stands still for 25
//! hours, in which the provider forgets every key. Whoever then sends again what may have struck strikes twice.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use partita_simulator::{FaultKind, FaultPlan};
use serde_json::Value;

use super::{Fault, f7_provider};
use crate::dice::Dice;
use crate::driven::{self, Driven};
use crate::report::{Report, ms};

/// Longer than the provider keeps keys; seconds.
const STANDSTILL: i64 = 25 * 3_600;

/// Payments for each second that the run may last.
const PAYMENTS_A_SECOND: u64 = 4;

/// Payments at once.
const AT_ONCE: usize = 8;

/// What becomes of every command, per mille.
const WRITES: [(FaultKind, u16); 5] = [
    (FaultKind::HangBefore, 250),
    (FaultKind::HangAfter, 250),
    (FaultKind::AnswerLost, 150),
    (FaultKind::ErrorBefore, 200),
    (FaultKind::ErrorAfter, 150),
];

pub(super) async fn run(seed: u64, lasts: Duration, folder: &Path) -> anyhow::Result<Report> {
    let server = driven::server(folder).await?;
    let rig = Driven::start(&server, folder, "forgotten").await?;
    let market = rig.market().await?;
    rig.control.set_fault_plan(FaultPlan {
        seed,
        writes: WRITES.into_iter().collect(),
        // The webhooks of what struck are lost with everything else: only a look-up finds it.
        ..FaultPlan::default()
    })?;
    let (began, mut dice) = (Instant::now(), Dice::new(seed, "payments"));
    let payments: Vec<(String, Value)> = (0..(lasts.as_secs() * PAYMENTS_A_SECOND).max(12))
        .map(|number| (format!("payment-{number}"), market.payment(&mut dice, &format!("payment-{number}")).body))
        .collect();
    let made = u64::try_from(payments.len()).unwrap_or(0);
    for chunk in payments.chunks(AT_ONCE) {
        let asking = chunk.iter().enumerate().map(|(number, (key, body))| {
            let client = rig.client(number);
            async move { client?.post("/v1/payments", key, body).await.context("no answer") }
        });
        futures::future::try_join_all(asking).await?;
    }
    forget_webhooks(&rig).await?;
    rig.control.clear_faults();
    rig.move_clocks(STANDSTILL).await?;
    let lasted_ms = ms(began.elapsed());
    let report = f7_provider::heal_and_check(Fault::Keys, seed, lasted_ms, made, rig).await;
    server.shutdown().await?;
    report
}

async fn forget_webhooks(rig: &Driven) -> anyhow::Result<()> {
    sqlx::query("update deliveries set state = 'abandoned' where state = 'pending'")
        .execute(&rig.provider_admin)
        .await?;
    Ok(())
}
