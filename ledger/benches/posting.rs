//! How many charges a second the ledger posts, beside what `pgbench` gets from the same server in the same run.
//!
//! A *charge* is one sale split over three random sellers plus the platform's fee: one transaction, four postings. All
//! commits are durable, everything goes through [`Db::run_tx`], nothing is truncated between measurements, and the books
//! are verified at the end.
//!
//! ```sh
//! cargo bench -p partita-ledger
//! LEDGER_BENCH_ROUNDS=1 LEDGER_BENCH_SECONDS=2 cargo bench -p partita-ledger   # a quick look
//! ```
//!
//! `LEDGER_BENCH_ROUNDS` (5): alternating rounds, of which medians are printed. `LEDGER_BENCH_SECONDS` (5): length of one
//! measurement. `LEDGER_BENCH_SCALE` (20): scale of pgbench's TPC-B. The server is always a private one with Postgres'
//! default settings.

#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::{
    collections::BTreeMap,
    env,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use partita_db::{BookId, Db, DbOptions, Scope};
use partita_ledger::{
    AccountClass, AccountKey, Floors, LedgerError, NewAccount, NewPosting, NewTransaction, NormalSide, PostOutcome,
};
use partita_postgres::{Binaries, PrivateServer, Role, ServerOptions};
use partita_provider::Currency;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sqlx::{Connection, Executor, PgConnection};

const MIGRATION: &str = include_str!("../../migrations/0001_ledger.sql");
/// When every charge happened to the business, as the clock is not what is measured.
const NOON: jiff::Timestamp = jiff::Timestamp::constant(1_793_707_200, 0);
const PGBENCH_CLIENTS: &str = "8";
/// Accounts of a book by number: the provider's money, the one fee account, then sellers, then fee accounts to spread.
const PROVIDER: u64 = 0;
const HOT_FEE: u64 = 1;
const FIRST_SELLER: u64 = 2;

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
    let folder = env::temp_dir().join(format!("partita-ledger-bench-{}", std::process::id()));
    let server = PrivateServer::start(ServerOptions::new(&folder)).await?;
    let measured = measure(&server, &settings).await;
    server.shutdown().await?;
    std::fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    measured
}

struct Settings {
    rounds: u32,
    seconds: u64,
    scale: u32,
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
        })
    }
}

/// Which books a measurement posts to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Books {
    first: i32,
    count: i32,
    sellers: u64,
}

const ONE: Books = Books { first: 1, count: 1, sellers: 10_000 };
const TEN: Books = Books { first: 2, count: 10, sellers: 10_000 };
const THOUSAND: Books = Books { first: 12, count: 1_000, sellers: 100 };

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fee {
    /// Every charge credits one striped account.
    Hot,
    /// Every charge credits one of as many single-row accounts as there are sellers.
    Uniform,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Scenario {
    batch: usize,
    connections: usize,
    books: Books,
    fee: Fee,
}

const fn scenario(batch: usize, connections: usize, books: Books, fee: Fee) -> Scenario {
    Scenario { batch, connections, books, fee }
}

const SCENARIOS: [Scenario; 16] = [
    scenario(1, 1, ONE, Fee::Hot),
    scenario(16, 1, ONE, Fee::Hot),
    scenario(64, 1, ONE, Fee::Hot),
    scenario(256, 1, ONE, Fee::Hot),
    scenario(64, 1, ONE, Fee::Uniform),
    scenario(1, 8, ONE, Fee::Hot),
    scenario(1, 64, ONE, Fee::Hot),
    scenario(8, 8, ONE, Fee::Hot),
    scenario(16, 4, ONE, Fee::Hot),
    scenario(32, 2, ONE, Fee::Hot),
    scenario(64, 2, ONE, Fee::Hot),
    scenario(64, 2, ONE, Fee::Uniform),
    scenario(256, 2, ONE, Fee::Hot),
    scenario(64, 1, TEN, Fee::Hot),
    scenario(64, 2, TEN, Fee::Hot),
    scenario(64, 2, THOUSAND, Fee::Hot),
];

impl std::fmt::Display for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fee = if self.fee == Fee::Hot { "hot" } else { "uniform" };
        let Self { batch, connections, books, .. } = self;
        write!(f, "{batch:>5} x {connections:<2} | {:>5} | {fee:<7}", books.count)
    }
}

/// What one measurement gave.
#[derive(Clone, Debug)]
struct Sample {
    charges: u64,
    elapsed: Duration,
    latencies: Vec<Duration>,
    wal_bytes: u64,
}

impl Sample {
    fn per_second(&self) -> u64 {
        self.charges * 1_000_000 / u64::try_from(self.elapsed.as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// The latency that this many of a hundred calls stay under.
    fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

struct Bench {
    db: Db,
    admin: PgConnection,
    ids: Arc<AtomicI64>,
    length: Duration,
}

async fn measure(server: &PrivateServer, settings: &Settings) -> Result<()> {
    let pgbench = PgBench::prepare(server, settings)?;
    let mut bench = Bench::prepare(server, settings).await?;
    let version: String = sqlx::query_scalar("select version()").fetch_one(&mut bench.admin).await?;
    println!("{version}\n{} rounds of {} s a measurement\n", settings.rounds, settings.seconds);
    let mut tpcb = Vec::new();
    let mut samples: BTreeMap<Scenario, Vec<Sample>> = BTreeMap::new();
    for round in 1..=settings.rounds {
        tpcb.push(pgbench.run()?);
        println!("round {round}: pgbench TPC-B, {PGBENCH_CLIENTS} clients: {} a second", tpcb[tpcb.len() - 1]);
        for scenario in SCENARIOS {
            let sample = bench.closed_loop(scenario).await?;
            println!("  {scenario} | {:>6} charges a second", sample.per_second());
            samples.entry(scenario).or_default().push(sample);
        }
    }
    print_medians(&tpcb, &samples);
    bench.half_load(&samples).await?;
    bench.verify().await
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
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

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn milliseconds(micros: u64) -> String {
    format!("{}.{:02}", micros / 1_000, micros % 1_000 / 10)
}

impl Bench {
    async fn prepare(server: &PrivateServer, settings: &Settings) -> Result<Self> {
        let cluster = server.cluster();
        cluster.create_database("ledger", Role::Owner).await?;
        let mut owner = PgConnection::connect(&cluster.url(Role::Owner, "ledger")).await?;
        owner.execute(MIGRATION).await?;
        owner.close().await?;
        let options = DbOptions { max_connections: 64, ..DbOptions::new(cluster.url(Role::App, "ledger")) };
        let bench = Self {
            db: Db::connect(&options).await?,
            admin: PgConnection::connect(&cluster.url(Role::Admin, "ledger")).await?,
            ids: Arc::new(AtomicI64::new(1)),
            length: Duration::from_secs(settings.seconds),
        };
        for books in [ONE, TEN, THOUSAND] {
            for book in books.first..books.first + books.count {
                open(&bench.db, book_id(book), books.sellers).await?;
            }
        }
        let mut admin = PgConnection::connect(&cluster.url(Role::Admin, "ledger")).await?;
        admin.execute("vacuum analyze").await?;
        Ok(bench)
    }

    async fn wal_position(&mut self) -> Result<u64> {
        let bytes: i64 =
            sqlx::query_scalar("select (pg_current_wal_lsn() - '0/0')::bigint").fetch_one(&mut self.admin).await?;
        Ok(bytes.unsigned_abs())
    }

    /// Every connection posts its next batch when the last one is committed.
    async fn closed_loop(&mut self, scenario: Scenario) -> Result<Sample> {
        self.run(scenario, None).await
    }

    async fn run(&mut self, scenario: Scenario, pace: Option<Duration>) -> Result<Sample> {
        let wal = self.wal_position().await?;
        let start = Instant::now();
        let clients = (0..scenario.connections).map(|_| {
            let client = Client::new(self.db.clone(), Arc::clone(&self.ids), scenario);
            tokio::spawn(client.post_until(start, self.length, pace))
        });
        let mut latencies = Vec::new();
        for client in try_join_all(clients).await? {
            latencies.extend(client?);
        }
        let elapsed = start.elapsed();
        let wal_bytes = self.wal_position().await? - wal;
        let charges = u64::try_from(latencies.len() * scenario.batch)?;
        Ok(Sample { charges, elapsed, latencies, wal_bytes })
    }

    /// Batches of 64 that arrive at half the rate one connection can carry.
    async fn half_load(&mut self, samples: &BTreeMap<Scenario, Vec<Sample>>) -> Result<()> {
        let scenario = scenario(64, 1, ONE, Fee::Hot);
        let full = median(samples[&scenario].iter().map(Sample::per_second).collect());
        let unloaded = median(samples[&scenario].iter().map(|s| micros(s.percentile(50))).collect());
        let pace = Duration::from_micros(2 * 64 * 1_000_000 / full.max(1));
        let sample = self.run(scenario, Some(pace)).await?;
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

    /// Every book is intact, and holds every charge that was acknowledged.
    async fn verify(&mut self) -> Result<()> {
        let start = Instant::now();
        for books in [ONE, TEN, THOUSAND] {
            for book in books.first..books.first + books.count {
                let verified: Result<_, LedgerError> = self
                    .db
                    .read("verify", Scope::Book(book_id(book)), |tx| {
                        Box::pin(async move { partita_ledger::verify(tx).await })
                    })
                    .await;
                let violations = verified?;
                ensure!(violations.is_empty(), "book {book}: {violations:?}");
            }
        }
        let posted: i64 =
            sqlx::query_scalar("select count(*) from ledger_transactions").fetch_one(&mut self.admin).await?;
        let asked = self.ids.load(Ordering::Relaxed) - 1;
        ensure!(posted == asked, "{asked} charges were acknowledged, {posted} are there");
        println!("verified {posted} charges in {} books in {} s", 1_011, start.elapsed().as_secs());
        Ok(())
    }
}

fn book_id(book: i32) -> BookId {
    BookId::try_new(book).expect("books are numbered from 1 to 1011")
}

fn key(book: BookId, number: u64) -> AccountKey {
    let eur = Currency::parse("EUR").expect("EUR is current");
    AccountKey::new(book, eur, number).expect("accounts are numbered from 0 to 20001")
}

async fn open(db: &Db, book: BookId, sellers: u64) -> Result<()> {
    let account = |number, normal_side, class| NewAccount {
        key: key(book, number),
        path: format!("account.{number}"),
        normal_side,
        class,
    };
    let mut accounts = vec![
        account(PROVIDER, NormalSide::Debit, AccountClass::Striped),
        account(HOT_FEE, NormalSide::Credit, AccountClass::Striped),
    ];
    let floored = AccountClass::Floored { floor: 0 };
    let sellers_end = FIRST_SELLER + sellers;
    accounts.extend((FIRST_SELLER..sellers_end).map(|n| account(n, NormalSide::Credit, floored)));
    accounts.extend((sellers_end..sellers_end + sellers).map(|n| account(n, NormalSide::Credit, AccountClass::Single)));
    let opened: Result<(), LedgerError> = db
        .run_tx("open", Scope::Book(book), move |tx| {
            let accounts = accounts.clone();
            Box::pin(async move {
                partita_ledger::open_book(tx, book).await?;
                partita_ledger::open_accounts(tx, &accounts).await
            })
        })
        .await;
    Ok(opened?)
}

/// One connection's worth of buyers.
struct Client {
    db: Db,
    ids: Arc<AtomicI64>,
    scenario: Scenario,
    random: StdRng,
}

impl Client {
    fn new(db: Db, ids: Arc<AtomicI64>, scenario: Scenario) -> Self {
        Self { db, ids, scenario, random: StdRng::from_rng(&mut rand::rng()) }
    }

    /// Posts batch after batch and gives the latency of each, from when it was due.
    async fn post_until(mut self, start: Instant, length: Duration, pace: Option<Duration>) -> Result<Vec<Duration>> {
        let mut latencies = Vec::new();
        let mut due = start;
        while start.elapsed() < length {
            let books = self.scenario.books;
            let book = book_id(self.random.random_range(books.first..books.first + books.count));
            let slice: Arc<Vec<_>> = Arc::new((0..self.scenario.batch).map(|_| self.charge(book)).collect());
            match pace {
                None => due = Instant::now(),
                Some(pace) => {
                    due += pace;
                    tokio::time::sleep_until(due.into()).await;
                }
            }
            let posted: Result<Vec<_>, LedgerError> = self
                .db
                .run_tx("charge", Scope::Book(book), move |tx| {
                    let slice = Arc::clone(&slice);
                    Box::pin(async move { partita_ledger::post(tx, &slice).await })
                })
                .await;
            let outcomes = posted?;
            latencies.push(due.elapsed());
            ensure!(outcomes.iter().all(|o| matches!(o, PostOutcome::Posted { .. })), "not posted: {outcomes:?}");
        }
        Ok(latencies)
    }

    fn charge(&mut self, book: BookId) -> NewTransaction {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let sellers = self.scenario.books.sellers;
        let fee = match self.scenario.fee {
            Fee::Hot => HOT_FEE,
            Fee::Uniform => FIRST_SELLER + sellers + self.random.random_range(0..sellers),
        };
        let sellers = [(); 3].map(|()| FIRST_SELLER + self.random.random_range(0..sellers));
        let debit = key(book, PROVIDER);
        let posting = |number, amount| NewPosting { debit, credit: key(book, number), amount, subject: id };
        let mut postings = sellers.map(|seller| posting(seller, self.random.random_range(100..10_000))).to_vec();
        postings.push(posting(fee, 100));
        NewTransaction { id, kind: 1, source: id, actor: 1, effective_at: NOON, floors: Floors::Respect, postings }
    }
}

/// The URL without the parameters that only sqlx knows.
fn libpq_url(url: &str) -> String {
    url.split('?').next().unwrap_or(url).to_owned()
}

/// pgbench's TPC-B on a database of its own.
struct PgBench {
    program: std::path::PathBuf,
    url: String,
    seconds: String,
}

impl PgBench {
    fn prepare(server: &PrivateServer, settings: &Settings) -> Result<Self> {
        let bench = Self {
            program: Self::program()?,
            url: libpq_url(&server.cluster().url(Role::Admin, "postgres")),
            seconds: settings.seconds.to_string(),
        };
        bench.output(&["-i", "-q", "-s", &settings.scale.to_string()])?;
        Ok(bench)
    }

    /// Beside the server's own programs, wherever a link to these leads.
    fn program() -> Result<std::path::PathBuf> {
        let server = Binaries::find()?.program("postgres").canonicalize()?;
        let beside = server.with_file_name("pgbench");
        Ok(if beside.is_file() { beside } else { "pgbench".into() })
    }

    /// Transactions a second.
    fn run(&self) -> Result<u64> {
        let output = self.output(&["-n", "-c", PGBENCH_CLIENTS, "-j", "2", "-T", &self.seconds])?;
        let line = output.lines().find_map(|line| line.strip_prefix("tps = ")).context("pgbench names no rate")?;
        let whole = line.split(['.', ' ']).next().context("pgbench names no rate")?;
        whole.parse().with_context(|| format!("pgbench's rate is {line:?}"))
    }

    fn output(&self, arguments: &[&str]) -> Result<String> {
        let program = self.program.display();
        let output = Command::new(&self.program).args(arguments).arg(&self.url).output();
        let output = output.with_context(|| format!("{program} does not start"))?;
        ensure!(output.status.success(), "pgbench {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }
}
