//! The ledger with many rows in it, beside an empty one. By hand: it takes long.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use partita_db::Scope;
use partita_ledger::{LedgerError, RollProgress, Verification};
use partita_postgres::PrivateServer;

use crate::{
    Settings,
    books::{FIRST_SELLER, HOT_FEE, PROVIDER, book_id, key},
    database::{Database, Schema},
    median, micros,
    scenario::{Fee, ONE, Sample, scenario},
};

/// Charges that a call of the filling takes.
const BATCH: usize = 1_000;

pub(crate) async fn measure(server: &PrivateServer, settings: &Settings) -> Result<()> {
    let mut full = Database::prepare(server, settings, "filled", Schema::Whole, &[ONE]).await?;
    let mut empty = Database::prepare(server, settings, "empty", Schema::Whole, &[ONE]).await?;
    let start = Instant::now();
    if full.fill(settings.fill, BATCH).await? {
        println!(
            "filled {} transactions, {} postings, in {} s",
            settings.fill,
            4 * settings.fill,
            start.elapsed().as_secs()
        );
        full.vacuum().await?;
    }
    let start = Instant::now();
    if !roll(&full).await?.finished {
        while !roll(&full).await?.finished {}
        full.vacuum().await?;
        println!("day sums and vacuum in {} s", start.elapsed().as_secs());
    }
    compare(&mut full, &mut empty, settings).await?;
    read_balances(&full).await?;
    let complete = timed("complete verify", &mut full, Verify::Complete).await?;
    full.note_verified(&complete).await?;
    full.run(scenario(64, 1, ONE, Fee::Hot), None).await?;
    while !roll(&full).await?.finished {}
    timed("incremental verify", &mut full, Verify::New).await?;
    Ok(())
}

/// 64 x 1 on both in alternation.
async fn compare(full: &mut Database, empty: &mut Database, settings: &Settings) -> Result<()> {
    let scenario = scenario(64, 1, ONE, Fee::Hot);
    let mut pairs = Vec::new();
    for round in 1..=settings.rounds {
        // Neither always comes first.
        let first = if round % 2 == 0 { empty.run(scenario, None).await? } else { full.run(scenario, None).await? };
        let second = if round % 2 == 0 { full.run(scenario, None).await? } else { empty.run(scenario, None).await? };
        let mut pair = [first, second];
        pair.rotate_left(usize::from(round % 2 == 0));
        println!(
            "round {round}: 64 x 1: filled {}, empty {} charges a second; {} and {} ns of the server a charge",
            pair[0].per_second(),
            pair[1].per_second(),
            pair[0].server_nanos(),
            pair[1].server_nanos()
        );
        pairs.push(pair);
    }
    for (unit, value) in [
        ("charges a second", Sample::per_second as fn(&Sample) -> u64),
        ("ns of the server's processor a charge", Sample::server_nanos),
    ] {
        let of = |which: usize| median(pairs.iter().map(|pair| value(&pair[which])).collect());
        let part = median(pairs.iter().map(|pair| value(&pair[0]) * 1_000 / value(&pair[1]).max(1)).collect());
        println!("medians: filled {}, empty {} {unit}; {}.{} % of the empty one", of(0), of(1), part / 10, part % 10);
    }
    println!();
    Ok(())
}

async fn roll(database: &Database) -> Result<RollProgress> {
    let rolled: Result<_, LedgerError> = database
        .db()
        .run_tx("roll", Scope::Book(book_id(ONE.first)), |tx| Box::pin(partita_ledger::roll_day_balances(tx, 10_000)))
        .await;
    Ok(rolled?)
}

async fn read_balances(database: &Database) -> Result<()> {
    let book = book_id(ONE.first);
    for (name, number) in [("provider", PROVIDER), ("hot fee", HOT_FEE), ("a seller", FIRST_SELLER)] {
        let account = key(book, number);
        let mut times = Vec::new();
        for _ in 0..500 {
            let read: Result<Duration, LedgerError> = database
                .db()
                .read("balance", Scope::Book(book), move |tx| {
                    Box::pin(async move {
                        let start = Instant::now();
                        partita_ledger::balances(tx, &[account]).await?;
                        Ok(start.elapsed())
                    })
                })
                .await;
            times.push(micros(read?));
        }
        times.sort_unstable();
        println!("current balance of {name}: p50 {} us, p99 {} us", times[250], times[495]);
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Verify {
    Complete,
    New,
}

async fn timed(name: &str, database: &mut Database, what: Verify) -> Result<Verification> {
    let before = resident("VmRSS")?;
    // Linux: the peak starts anew from here.
    std::fs::write("/proc/self/clear_refs", "5")?;
    let (served, worked) = (database.processor_time().await?, own_processor_time()?);
    let start = Instant::now();
    let verified: Result<_, LedgerError> = database
        .db()
        .read("verify", Scope::Book(book_id(ONE.first)), move |tx| {
            Box::pin(async move {
                match what {
                    Verify::Complete => partita_ledger::verify(tx).await,
                    Verify::New => partita_ledger::verify_new(tx).await,
                }
            })
        })
        .await;
    let verified = verified?;
    ensure!(verified.is_clean(), "{:?}", verified.violations);
    let elapsed = start.elapsed();
    let server = database.processor_time().await?.saturating_sub(served);
    let own = own_processor_time()?.saturating_sub(worked);
    println!(
        "{name}: {} postings in {} ms; processor time {} ms of the server, {} ms of the process; memory of the process {before} MB before, {} MB at its peak; load {}",
        verified.postings,
        elapsed.as_millis(),
        server.as_millis(),
        own.as_millis(),
        resident("VmHWM")?,
        std::fs::read_to_string("/proc/loadavg")?.trim_end()
    );
    Ok(verified)
}

/// A line of `/proc/self/status`, in megabytes.
fn resident(name: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context("the kernel tells no memory")?;
    let kilobytes: u64 = line.trim_matches(|c: char| !c.is_ascii_digit()).parse()?;
    Ok(kilobytes / 1_024)
}

/// Processor time of this process, in steps of ten milliseconds.
fn own_processor_time() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = text.rsplit_once(") ").context("the kernel tells no processor time")?;
    let ticks: u64 = fields.split(' ').skip(11).take(2).map(str::parse::<u64>).sum::<Result<_, _>>()?;
    Ok(Duration::from_millis(10 * ticks))
}
