//! F17: most of the load that the machine takes, for long, while the provider fails three times in ten and one of the two
//! replicas is struck dead again and again. The other one lives through all of it: its memory and files are watched.

use std::time::{Duration, Instant};

use partita_simulator::{FaultPlan, WebhookPlan};
use serde_json::json;

use super::{Scene, f7_provider, most_in_ten_seconds};
use crate::history::quantile_ms;
use crate::load::Load;
use crate::replica::Usage;
use crate::report::ms;

/// Requests under way at once, at most.
const CLIENTS: usize = 32;

/// How long it is measured what the machine gets through.
const MEASURED: Duration = Duration::from_secs(10);

/// What the load takes of it; per cent.
const SHARE: u32 = 70;

/// Between two kills.
const EVERY: Duration = Duration::from_secs(10);

/// Between two looks at the replica that lives.
const LOOK: Duration = Duration::from_secs(1);

/// How much its memory may grow in an hour, per mille.
const GROWTH: i128 = 50;

pub(super) async fn strike(scene: &mut Scene) -> anyhow::Result<()> {
    let lasts = scene.until.saturating_duration_since(Instant::now());
    let most = most_in_ten_seconds(scene, CLIENTS, MEASURED).await?;
    let rate = (most * SHARE / 100).max(1);
    scene.rig.control.set_fault_plan(FaultPlan {
        seed: scene.rig.seed,
        writes: f7_provider::WRITES.into_iter().collect(),
        reads: f7_provider::READS.into_iter().collect(),
        webhooks: WebhookPlan { copies: 3, shuffled: true, ..WebhookPlan::default() },
        ..FaultPlan::default()
    })?;
    let history = std::sync::Arc::clone(&scene.rig.history);
    let (began, from) = (Instant::now(), history.now_ms());
    let load = Load::paced("soak", scene.rig.seed, CLIENTS, rate, &scene.market, |number| scene.rig.client(number))?;
    let (mut looks, mut kills, mut next_kill) = (Vec::<(u64, Usage)>::new(), 0_u64, Instant::now() + EVERY);
    while began.elapsed() < lasts {
        tokio::time::sleep(LOOK).await;
        looks.push((ms(began.elapsed()), scene.rig.replicas[0].usage()?));
        if Instant::now() >= next_kill {
            let replica = &mut scene.rig.replicas[1];
            replica.kill().await?;
            replica.spawn()?;
            replica.wait_until_ready().await?;
            kills += 1;
            next_kill = Instant::now() + EVERY;
        }
    }
    let to = history.now_ms();
    let made = load.stop().await;
    scene.note("most_in_ten_seconds", most);
    scene.note("asked_in_ten_seconds", rate);
    scene.note("requests_made", made);
    scene.note("kills", kills);

    // The first quarter warms up; the second is compared with the last.
    let quarter = (to - from) / 4;
    let (early, late) =
        (history.took_between(from + quarter, from + 2 * quarter), history.took_between(to - quarter, to));
    let (was, is) = (quantile_ms(&early, 990), quantile_ms(&late, 990));
    scene.note("p99_ms_second_and_last_quarter", json!([was, is]));
    scene.note("p50_ms_second_and_last_quarter", json!([quantile_ms(&early, 500), quantile_ms(&late, 500)]));
    if 10 * is > 12 * was {
        scene.found.add("bar", format!("p99 {is} ms at the end, {was} ms in the second quarter"));
    }
    memory(scene, &looks[looks.len() / 2..]);
    files(scene, &looks);
    Ok(())
}

/// The growth of the memory over these looks, with the error of the line through them.
fn memory(scene: &mut Scene, looks: &[(u64, Usage)]) {
    let points: Vec<(i128, i128)> =
        looks.iter().map(|(at, usage)| (i128::from(*at), i128::from(usage.resident_kib))).collect();
    let Some(line) = Line::through(&points) else { return };
    scene.note("resident_kib_mean_of_second_half", json!(i64::try_from(line.mean).unwrap_or(i64::MAX)));
    let hourly = |per_mille: i128| i64::try_from(per_mille).unwrap_or(i64::MAX);
    scene.note("resident_per_mille_an_hour", json!(hourly(line.growth)));
    scene.note("resident_per_mille_an_hour_error", json!(hourly(line.error)));
    if line.growth - 2 * line.error > GROWTH {
        scene
            .found
            .add("bar", format!("memory grows by {} per mille an hour, give or take {}", line.growth, line.error));
    }
}

fn files(scene: &mut Scene, looks: &[(u64, Usage)]) {
    let most = |looks: &[(u64, Usage)]| looks.iter().map(|(_, usage)| usage.open_files).max().unwrap_or(0);
    let third = looks.len() / 3;
    let (middle, end) = (most(&looks[third..2 * third]), most(&looks[2 * third..]));
    scene.note("most_open_files_second_and_last_third", json!([middle, end]));
    // Connections to clients and receivers come and go: a few more are no leak.
    if end > middle + middle / 5 + 4 {
        scene.found.add("bar", format!("{end} open files at the end, {middle} in the middle"));
    }
}

/// A straight line through points of milliseconds and a value, by least squares; growths in per mille of the mean an hour.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    mean: i128,
    growth: i128,
    /// The standard error of the growth.
    error: i128,
}

const HOUR_MS: i128 = 3_600_000;

impl Line {
    fn through(points: &[(i128, i128)]) -> Option<Self> {
        let count = i128::try_from(points.len()).ok().filter(|count| *count > 2)?;
        let mean = |of: fn(&(i128, i128)) -> i128| points.iter().map(of).sum::<i128>() / count;
        let (at, value) = (mean(|point| point.0), mean(|point| point.1));
        let sum = |of: &dyn Fn(i128, i128) -> i128| points.iter().map(|(x, y)| of(x - at, y - value)).sum::<i128>();
        let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
        if xx == 0 || value == 0 {
            return None;
        }
        let residual = (yy - xy * xy / xx).max(0);
        let hourly_error = u128::try_from(residual * HOUR_MS * HOUR_MS / ((count - 2) * xx)).ok()?.isqrt();
        let error = i128::try_from(hourly_error).ok()? * 1_000 / value;
        Some(Self { mean: value, growth: xy * HOUR_MS / xx * 1_000 / value, error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_its_growth_and_its_error() {
        let straight: Vec<(i128, i128)> = (0..=100).map(|n| (n * 36_000, 100_000 + n * 100)).collect();
        // Ten thousand in an hour, of a mean of 105,000.
        assert_eq!(Line::through(&straight), Some(Line { mean: 105_000, growth: 95, error: 0 }));
        let noisy: Vec<(i128, i128)> = (0..=100).map(|n| (n * 36_000, 100_000 + (n % 2) * 1_000)).collect();
        let line = Line::through(&noisy).expect("a line");
        assert!(line.growth.abs() <= 2 * line.error.max(1) && line.error > 0, "{line:?}");
        assert_eq!(Line::through(&straight[..2]), None);
    }
}
