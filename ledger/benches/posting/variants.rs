//! What the chain and what holds cost: the same measurement on databases whose posting function lacks them.

use std::collections::BTreeMap;

use anyhow::Result;
use partita_postgres::PrivateServer;

use crate::{
    Settings,
    database::{Database, Schema},
    median,
    scenario::{Fee, ONE, Sample, Scenario, scenario},
};

const SCENARIOS: [Scenario; 4] = [
    scenario(1, 1, ONE, Fee::Hot),
    scenario(64, 1, ONE, Fee::Hot),
    scenario(256, 1, ONE, Fee::Hot),
    scenario(64, 2, ONE, Fee::Hot),
];

pub(crate) async fn measure(server: &PrivateServer, settings: &Settings) -> Result<()> {
    let mut variants = Vec::new();
    for (name, schema) in
        [("whole", Schema::Whole), ("unchained", Schema::WithoutChain), ("unheld", Schema::BeforeHolds)]
    {
        variants.push((name, Database::prepare(server, settings, name, schema, &[ONE]).await?));
    }
    let mut samples: BTreeMap<(Scenario, &str), Vec<Sample>> = BTreeMap::new();
    for round in 1..=settings.rounds {
        println!("round {round}");
        // Nobody always comes first.
        variants.rotate_left(1);
        for scenario in SCENARIOS {
            for (name, database) in &mut variants {
                let sample = database.run(scenario, None).await?;
                println!(
                    "  {scenario} | {name:<9} | {:>6} charges a second | {:>7} ns of the server a charge",
                    sample.per_second(),
                    sample.server_nanos()
                );
                samples.entry((scenario, *name)).or_default().push(sample);
            }
        }
    }
    println!("\nrate\n");
    print(&samples, "charges/s", Sample::per_second);
    println!("\nprocessor time of the server's sessions\n");
    print(&samples, "ns a charge", Sample::server_nanos);
    for (name, database) in &mut variants {
        if *name == "whole" {
            database.verify().await?;
        }
    }
    Ok(())
}

/// Medians, and the whole as per mille of each variant: the median of the rounds' own ratios, as the machine may have other
/// work.
fn print(samples: &BTreeMap<(Scenario, &str), Vec<Sample>>, unit: &str, value: fn(&Sample) -> u64) {
    println!("| batch x connections | books | fee | {unit} | without chain | of it | before holds | of it |");
    println!("|---|---|---|---|---|---|---|---|");
    for scenario in SCENARIOS {
        let of = |name| -> Vec<u64> { samples[&(scenario, name)].iter().map(value).collect() };
        let part = |name| {
            let rounds = of("whole").into_iter().zip(of(name)).map(|(whole, other)| whole * 1_000 / other.max(1));
            let part = median(rounds.collect());
            format!("{} | {}.{} %", median(of(name)), part / 10, part % 10)
        };
        println!("| {scenario} | {} | {} | {} |", median(of("whole")), part("unchained"), part("unheld"));
    }
}
