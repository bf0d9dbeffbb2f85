//! How many charges a second the ledger posts, beside what `pgbench` gets from the same server in the same run.
//!
//! A *charge* is one sale split over three random sellers plus the platform's fee: one transaction, four postings. All
//! commits are durable, everything goes through [`Db::run_tx`](partita_db::Db::run_tx), nothing is truncated between
//! measurements, and the books are verified at the end.
//!
//! ```sh
//! cargo bench -p partita-ledger
//! LEDGER_BENCH_ROUNDS=1 LEDGER_BENCH_SECONDS=2 cargo bench -p partita-ledger   # a quick look
//! LEDGER_BENCH_VARIANTS=1 cargo bench -p partita-ledger                        # with and without chain and holds
//! LEDGER_BENCH_FILL=10000000 cargo bench -p partita-ledger                     # full tables; takes an hour and 10 GB
//! ```
//!
//! `LEDGER_BENCH_FOLDER`: where the private server keeps its data; it stays, and a filled database in it is used again
//! as it is. `LEDGER_BENCH_ROUNDS` (5): alternating rounds, of which medians are printed. `LEDGER_BENCH_SECONDS` (5): length of one
//! measurement. `LEDGER_BENCH_SCALE` (20): scale of pgbench's TPC-B. The server is always a private one with Postgres'
//! default settings.

#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

mod books;
mod client;
mod database;
mod fill;
mod pgbench;
mod scenario;
mod throughput;
mod variants;

use std::{env, time::Duration};

use anyhow::{Context, Result};
use partita_postgres::{PrivateServer, ServerOptions};

/// When every charge happened to the business, as the clock is not what is measured.
const NOON: jiff::Timestamp = jiff::Timestamp::constant(1_793_707_200, 0);

fn main() -> Result<()> {
    // `cargo test --benches` only wants to know that it runs.
    if env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let threads = std::thread::available_parallelism()?.get();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(run())
}

async fn run() -> Result<()> {
    let settings = Settings::from_environment()?;
    let kept = env::var_os("LEDGER_BENCH_FOLDER").map(std::path::PathBuf::from);
    let passing = || env::temp_dir().join(format!("partita-ledger-bench-{}", std::process::id()));
    let folder = kept.clone().unwrap_or_else(passing);
    let server = PrivateServer::start(ServerOptions::new(&folder)).await?;
    println!("{} rounds of {} s a measurement\n", settings.rounds, settings.seconds);
    let measured = match &settings {
        Settings { fill: 1.., .. } => fill::measure(&server, &settings).await,
        Settings { variants: 1.., .. } => variants::measure(&server, &settings).await,
        Settings { .. } => throughput::measure(&server, &settings).await,
    };
    server.shutdown().await?;
    if kept.is_none() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    measured
}

struct Settings {
    rounds: u32,
    seconds: u64,
    scale: u32,
    variants: u32,
    fill: i64,
}

impl Settings {
    fn from_environment() -> Result<Self> {
        fn number<T: std::str::FromStr>(name: &str, default: T) -> Result<T> {
            match env::var(name) {
                Err(_) => Ok(default),
                Ok(text) => text.parse().ok().with_context(|| format!("{name} is not a number: {text:?}")),
            }
        }
        Ok(Self {
            rounds: number("LEDGER_BENCH_ROUNDS", 5)?,
            seconds: number("LEDGER_BENCH_SECONDS", 5)?,
            scale: number("LEDGER_BENCH_SCALE", 20)?,
            variants: number("LEDGER_BENCH_VARIANTS", 0)?,
            fill: number("LEDGER_BENCH_FILL", 0)?,
        })
    }

    /// The length of one measurement.
    fn length(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn milliseconds(micros: u64) -> String {
    format!("{}.{:02}", micros / 1_000, micros % 1_000 / 10)
}
