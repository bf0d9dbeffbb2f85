//! What the chain and what holds cost: the same measurement on databases whose posting function lacks them.

use std::collections::BTreeMap;

use anyhow::Result;
use partita_postgres::PrivateServer;

use crate::{
    Settings,
    database::{Database, Schema},
    median,
    scenario::{Fee, ONE, Scenario, scenario},
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
    let mut rates: BTreeMap<(Scenario, &str), Vec<u64>> = BTreeMap::new();
    for round in 1..=settings.rounds {
        println!("round {round}");
        // Nobody always comes first.
        variants.rotate_left(1);
        for scenario in SCENARIOS {
            for (name, database) in &mut variants {
                let rate = database.run(scenario, None).await?.per_second();
                println!("  {scenario} | {name:<9} | {rate:>6} charges a second");
                rates.entry((scenario, *name)).or_default().push(rate);
            }
        }
    }
    println!("\n| batch x connections | books | fee | charges/s | without chain | of it | before holds | of it |");
    println!("|---|---|---|---|---|---|---|---|");
    for scenario in SCENARIOS {
        let of = |name| &rates[&(scenario, name)];
        // Per round, as the machine may have other work: the whole as per mille of the variant.
        let part = |name| {
            let rounds = of("whole").iter().zip(of(name)).map(|(whole, other)| whole * 1_000 / (*other).max(1));
            let part = median(rounds.collect());
            format!("{} | {}.{} %", median(of(name).clone()), part / 10, part % 10)
        };
        println!("| {scenario} | {} | {} | {} |", median(of("whole").clone()), part("unchained"), part("unheld"));
    }
    for (name, database) in &mut variants {
        if *name == "whole" {
            database.verify().await?;
        }
    }
    Ok(())
}
