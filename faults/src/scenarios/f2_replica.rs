//! F2: replicas are struck dead in the middle of whatever they do, one after the other, and come back. In a run of a minute
//! or more one also stands still for longer than its leases: the other takes over what it holds, and when it goes on it
//! must find that its attempts are not its own any more.

use std::time::{Duration, Instant};

use super::Scene;

/// Between two kills.
const EVERY: Duration = Duration::from_secs(2);

/// Longer than the lease of an attempt at the provider.
const STANDSTILL: Duration = Duration::from_secs(45);

/// One stands still in place of one of so many kills, the second one first.
const STANDS_STILL_IN: usize = 10;

/// A run that is long enough for it.
const LONG: Duration = Duration::from_mins(1);

pub(super) async fn strike(scene: &mut Scene) -> anyhow::Result<()> {
    let load = scene.load(24, 50)?;
    let (mut number, mut standstills) = (0, 0_u32);
    let is_long = scene.until.saturating_duration_since(Instant::now()) >= LONG - EVERY;
    while Instant::now() < scene.until {
        tokio::time::sleep(EVERY).await;
        let replicas = &mut scene.rig.replicas;
        let index = number % replicas.len();
        let replica = &mut replicas[index];
        number += 1;
        if is_long && number % STANDS_STILL_IN == 2 {
            replica.stand_still(true)?;
            tokio::time::sleep(STANDSTILL).await;
            replica.stand_still(false)?;
            standstills += 1;
            continue;
        }
        replica.kill().await?;
        replica.spawn()?;
        // The other one carries on; this one is not struck again before it was ready.
        replica.wait_until_ready().await?;
    }
    let made = load.stop().await;
    let kills: u64 = scene.rig.replicas.iter().map(crate::replica::Replica::kills).sum();
    scene.note("requests_made", made);
    scene.note("kills", kills);
    scene.note("standstills", standstills);
    Ok(())
}
