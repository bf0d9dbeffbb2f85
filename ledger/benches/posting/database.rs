//! A database that is measured.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use partita_db::{Db, DbOptions, Scope};
use partita_ledger::{Ledger, LedgerError, LedgerOptions, Verification};
use partita_postgres::{PrivateServer, Role};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::{
    Settings,
    books::{book_id, open},
    client::Client,
    scenario::{Books, Fee, ONE, Sample, Scenario, scenario},
};

const MIGRATIONS: [&str; 2] =
    [include_str!("../../../migrations/0001_ledger.sql"), include_str!("../../../migrations/0004_ledger_holds.sql")];
/// Over how many days the charges of a fill are spread.
const FILL_DAYS: i64 = 90;

/// What a database has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Schema {
    /// All migrations.
    Whole,
    /// All migrations, but the posting function leaves the heads of lanes alone.
    WithoutChain,
    /// The first migration only.
    BeforeHolds,
}

pub(crate) struct Database {
    db: Db,
    ledger: Ledger,
    admin: PgConnection,
    ids: Arc<AtomicI64>,
    length: Duration,
    books: &'static [Books],
}

impl Database {
    pub(crate) async fn prepare(
        server: &PrivateServer,
        settings: &Settings,
        name: &str,
        schema: Schema,
        books: &'static [Books],
    ) -> Result<Self> {
        let cluster = server.cluster();
        let is_new = cluster.create_database(name, Role::Owner).await?;
        if is_new {
            let mut owner = PgConnection::connect(&cluster.url(Role::Owner, name)).await?;
            let migrations = if schema == Schema::BeforeHolds { &MIGRATIONS[..1] } else { &MIGRATIONS[..] };
            for migration in migrations {
                owner.execute(*migration).await?;
            }
            change_function(&mut owner, schema).await?;
            owner.close().await?;
        }
        let options = DbOptions { max_connections: 64, ..DbOptions::new(cluster.url(Role::App, name)) };
        let db = Db::connect(&options).await?;
        let mut database = Self {
            ledger: Ledger::new(db.clone(), LedgerOptions::default()),
            db,
            admin: PgConnection::connect(&cluster.url(Role::Admin, name)).await?,
            ids: Arc::new(AtomicI64::new(1)),
            length: settings.length(),
            books,
        };
        if !is_new {
            let last = sqlx::query_scalar("select coalesce(max(id), 0) from ledger_transactions");
            let last: i64 = last.fetch_one(&mut database.admin).await?;
            database.ids.store(last + 1, Ordering::Relaxed);
            return Ok(database);
        }
        for book in database.all_books() {
            let sellers = books.iter().find(|b| (b.first..b.first + b.count).contains(&book)).map_or(0, |b| b.sellers);
            open(&database.db, book_id(book), sellers).await?;
        }
        database.vacuum().await?;
        Ok(database)
    }

    pub(crate) fn db(&self) -> &Db {
        &self.db
    }

    pub(crate) async fn version(&mut self) -> Result<String> {
        Ok(sqlx::query_scalar("select version()").fetch_one(&mut self.admin).await?)
    }

    pub(crate) async fn vacuum(&mut self) -> Result<()> {
        self.admin.execute("vacuum analyze").await?;
        Ok(())
    }

    fn all_books(&self) -> impl Iterator<Item = i32> + use<> {
        self.books.iter().flat_map(|books| books.first..books.first + books.count)
    }

    async fn wal_position(&mut self) -> Result<u64> {
        let bytes: i64 =
            sqlx::query_scalar("select (pg_current_wal_lsn() - '0/0')::bigint").fetch_one(&mut self.admin).await?;
        Ok(bytes.unsigned_abs())
    }

    fn client(&self, scenario: Scenario) -> Client {
        Client::new(self.db.clone(), self.ledger.clone(), Arc::clone(&self.ids), scenario)
    }

    /// Every connection or caller posts its next batch when the last one is committed, or at this pace.
    pub(crate) async fn run(&mut self, scenario: Scenario, pace: Option<Duration>) -> Result<Sample> {
        let wal = self.wal_position().await?;
        let served = self.processor_time().await?;
        let start = Instant::now();
        let clients =
            (0..scenario.connections).map(|_| tokio::spawn(self.client(scenario).post_until(start, self.length, pace)));
        let mut latencies = Vec::new();
        for client in try_join_all(clients).await? {
            latencies.extend(client?);
        }
        let elapsed = start.elapsed();
        let wal_bytes = self.wal_position().await? - wal;
        let charges = u64::try_from(latencies.len() * scenario.batch)?;
        let server = self.processor_time().await?.saturating_sub(served);
        Ok(Sample { charges, elapsed, latencies, wal_bytes, server })
    }

    /// Processor time of the sessions on this database, to the nanosecond; other work on the machine is not in it. Linux.
    pub(crate) async fn processor_time(&mut self) -> Result<Duration> {
        let sessions: Vec<i32> = sqlx::query_scalar(
            "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
        )
        .fetch_all(&mut self.admin)
        .await?;
        let mut time = Duration::ZERO;
        for pid in sessions {
            // One that has just ended has none.
            let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/schedstat")) else { continue };
            let nanos = text.split(' ').next().context("the kernel tells no processor time")?;
            time += Duration::from_nanos(nanos.parse()?);
        }
        Ok(time)
    }

    /// Posts charges until there are so many. False if there were.
    pub(crate) async fn fill(&mut self, charges: i64, batch: usize) -> Result<bool> {
        if self.ids.load(Ordering::Relaxed) > charges {
            return Ok(false);
        }
        let scenario = scenario(batch, 2, ONE, Fee::Hot);
        let clients = (0..scenario.connections).map(|_| tokio::spawn(self.client(scenario).fill(charges, FILL_DAYS)));
        for client in try_join_all(clients).await? {
            client?;
        }
        self.ids.store(charges + 1, Ordering::Relaxed);
        Ok(true)
    }

    pub(crate) async fn note_verified(&self, verification: &Verification) -> Result<()> {
        let verification = verification.clone();
        let noted: Result<bool, LedgerError> = self
            .db
            .run_tx("verified", Scope::Book(book_id(ONE.first)), move |tx| {
                let verification = verification.clone();
                Box::pin(async move { partita_ledger::record_verified(tx, &verification).await })
            })
            .await;
        ensure!(noted?, "it was not clean");
        Ok(())
    }

    /// Every book is intact, and holds every charge that was acknowledged.
    pub(crate) async fn verify(&mut self) -> Result<()> {
        let start = Instant::now();
        for book in self.all_books() {
            let verified: Result<_, LedgerError> = self
                .db
                .read("verify", Scope::Book(book_id(book)), |tx| {
                    Box::pin(async move { partita_ledger::verify(tx).await })
                })
                .await;
            let violations = verified?.violations;
            ensure!(violations.is_empty(), "book {book}: {violations:?}");
        }
        let posted: i64 =
            sqlx::query_scalar("select count(*) from ledger_transactions").fetch_one(&mut self.admin).await?;
        let asked = self.ids.load(Ordering::Relaxed) - 1;
        ensure!(posted == asked, "{asked} charges were acknowledged, {posted} are there");
        println!("verified {posted} charges in {} books in {} s", self.all_books().count(), start.elapsed().as_secs());
        Ok(())
    }
}

/// Puts a variant of `ledger_post` in its place.
async fn change_function(owner: &mut PgConnection, schema: Schema) -> Result<()> {
    if schema == Schema::Whole {
        return Ok(());
    }
    let text: String =
        sqlx::query_scalar("select pg_get_functiondef('ledger_post'::regproc)").fetch_one(&mut *owner).await?;
    let changed = if schema == Schema::WithoutChain {
        let (before, rest) = text.split_once("head = sha256(").context("the function links no head")?;
        let (_, after) = rest.split_once("where l.book_id = p_book and l.lane = o_lane").context("nor updates it")?;
        format!("{before}head = v_head where l.book_id = p_book and l.lane = o_lane{after}")
    } else {
        // Today's callers name captures; the body knows nothing of them.
        let changed = text.replacen("p_careful boolean, OUT", "p_careful boolean, t_captures bigint[], OUT", 1);
        ensure!(changed != text, "the function has another signature");
        changed
    };
    owner.execute(AssertSqlSafe(changed)).await?;
    Ok(())
}
