//! Batches, connections, books and single callers, in alternation with pgbench.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use partita_postgres::PrivateServer;

use crate::{
    Settings,
    database::{Database, Schema},
    median, micros, milliseconds,
    pgbench::{PGBENCH_CLIENTS, PgBench},
    scenario::{Fee, ONE, SCENARIOS, Sample, Scenario, TEN, THOUSAND, scenario},
};

pub(crate) async fn measure(server: &PrivateServer, settings: &Settings) -> Result<()> {
    let pgbench = PgBench::prepare(server, settings)?;
    let mut ledger = Database::prepare(server, settings, "ledger", Schema::Whole, &[ONE, TEN, THOUSAND]).await?;
    println!("{}", ledger.version().await?);
    let mut tpcb = Vec::new();
    let mut samples: BTreeMap<Scenario, Vec<Sample>> = BTreeMap::new();
    for round in 1..=settings.rounds {
        tpcb.push(pgbench.run()?);
        println!("round {round}: pgbench TPC-B, {PGBENCH_CLIENTS} clients: {} a second", tpcb[tpcb.len() - 1]);
        for scenario in SCENARIOS {
            let sample = ledger.run(scenario, None).await?;
            println!("  {scenario} | {:>6} charges a second", sample.per_second());
            samples.entry(scenario).or_default().push(sample);
        }
    }
    print_medians(&tpcb, &samples);
    half_load(&mut ledger, &samples).await?;
    ledger.verify().await
}

fn print_medians(tpcb: &[u64], samples: &BTreeMap<Scenario, Vec<Sample>>) {
    println!("\nmedians; pgbench TPC-B, {PGBENCH_CLIENTS} clients: {} a second\n", median(tpcb.to_vec()));
    println!("| batch x connections | books | fee | charges/s | x pgbench | p50 ms | p99 ms | WAL bytes a charge |");
    println!("|---|---|---|---|---|---|---|---|");
    for scenario in SCENARIOS {
        let Some(samples) = samples.get(&scenario) else { continue };
        let of = |value: &dyn Fn(&Sample) -> u64| median(samples.iter().map(value).collect());
        let ratios = samples.iter().zip(tpcb).map(|(s, tpcb)| s.per_second() * 100 / (*tpcb).max(1)).collect();
        let ratio = median(ratios);
        let [p50, p99] = [50, 99].map(|percent| of(&|s| micros(s.percentile(percent))));
        println!(
            "| {scenario} | {} | {}.{:02} | {} | {} | {} |",
            of(&Sample::per_second),
            ratio / 100,
            ratio % 100,
            milliseconds(p50),
            milliseconds(p99),
            of(&|s| s.wal_bytes / s.charges.max(1)),
        );
    }
}

/// Batches of 64 that arrive at half the rate one connection can carry.
async fn half_load(ledger: &mut Database, samples: &BTreeMap<Scenario, Vec<Sample>>) -> Result<()> {
    let scenario = scenario(64, 1, ONE, Fee::Hot);
    let full = median(samples[&scenario].iter().map(Sample::per_second).collect());
    let unloaded = median(samples[&scenario].iter().map(|s| micros(s.percentile(50))).collect());
    let pace = Duration::from_micros(2 * 64 * 1_000_000 / full.max(1));
    let sample = ledger.run(scenario, Some(pace)).await?;
    let [p50, p99] = [50, 99].map(|percent| micros(sample.percentile(percent)));
    println!(
        "\nhalf load, 64 x 1 at {} charges a second: p50 {} ms, p99 {} ms; a call alone takes {} ms",
        sample.per_second(),
        milliseconds(p50),
        milliseconds(p99),
        milliseconds(unloaded)
    );
    Ok(())
}
