//! What the tests of the database share: a migrated database of one's own, and short forms of the calls.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, Db, DbError, DbOptions, Scope, Tx};
use partita_postgres::testing::TestDatabase;
use partita_webhooks::inbox::{self, InboxError, InboxEvent, InboxKey, NewInboxEvent, Stored};
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// A database of one test's own with every migration, and the pool under the application's role.
pub(crate) struct TestDb {
    pub(crate) db: Db,
    database: TestDatabase,
}

impl TestDb {
    pub(crate) async fn create() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
        let migrator = Migrator::new(folder).await.expect("the migrations can be read");
        let checksums: Vec<String> = migrator.iter().map(|migration| hex::encode(&migration.checksum)).collect();
        let migrate = async |owner_url: String| partita_db::migrate(&owner_url, &migrator).await;
        let database = TestDatabase::create(migrate, &checksums.concat()).await.expect("a test database");
        let db = Db::connect(&DbOptions::new(database.app_url.clone())).await.expect("a connection");
        Self { db, database }
    }

    /// Closes the pool; the database is dropped afterwards.
    pub(crate) async fn close(self) {
        self.db.close().await;
    }

    /// Runs a unit of work in the book.
    pub(crate) async fn in_book<T, F>(&self, number: i32, work: F) -> T
    where
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T, InboxError>> + Send + Sync + 'static,
        T: Send + 'static,
    {
        self.db.run_tx("test", Scope::Book(book(number)), work).await.expect("the work succeeds")
    }

    /// Runs a unit of work in the book up to its last statement, and keeps its transaction open.
    pub(crate) async fn hold<T, F>(&self, number: i32, work: F) -> Held
    where
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T, InboxError>> + Send + Sync + 'static,
        T: Send + 'static,
    {
        let (work, release) = (Arc::new(work), Arc::new(Notify::new()));
        let (reached, mut reached_end) = mpsc::unbounded_channel();
        let (db, released) = (self.db.clone(), release.clone());
        let task = tokio::spawn(async move {
            db.run_tx("held", Scope::Book(book(number)), move |tx| {
                let (work, released, reached) = (work.clone(), released.clone(), reached.clone());
                Box::pin(async move {
                    work(tx).await?;
                    reached.send(()).expect("the test waits");
                    released.notified().await;
                    Ok::<_, InboxError>(())
                })
            })
            .await
            .expect("the work succeeds");
        });
        reached_end.recv().await.expect("the work gets to its end");
        Held { release, task }
    }

    /// Waits until so many sessions of this database wait for a lock.
    pub(crate) async fn until_sessions_wait_for_a_lock(&self, sessions: i64) {
        let mut owner = self.owner().await;
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            let waiting: i64 = sqlx::query_scalar(
                "select count(distinct pid) from pg_locks join pg_stat_activity using (pid)
                 where pg_stat_activity.datname = current_database() and not granted",
            )
            .fetch_one(&mut owner)
            .await
            .expect("sessions can be seen");
            if waiting >= sessions {
                return;
            }
        }
        panic!("fewer than {sessions} sessions wait for a lock");
    }

    /// Runs a statement as the owner of the tables, in the book; the constraint that refused it.
    pub(crate) async fn refused_to_owner(&self, number: i32, sql: &'static str) -> Option<String> {
        let mut owner = self.owner().await;
        let set_book = format!("set partita.book = '{number}'");
        sqlx::query(AssertSqlSafe(set_book)).execute(&mut owner).await.expect("a setting can be set");
        let refused = sqlx::query(sql).execute(&mut owner).await.expect_err(sql);
        DbError::from(refused).constraint().map(str::to_owned)
    }

    async fn owner(&self) -> PgConnection {
        PgConnection::connect(&self.database.owner_url).await.expect("a connection")
    }
}

/// A transaction that stays open until it is released.
pub(crate) struct Held {
    release: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Held {
    /// Lets it commit.
    pub(crate) async fn release(self) {
        self.release.notify_one();
        self.task.await.expect("the work succeeds");
    }
}

/// The database's code for the error, `42501` for a missing right.
pub(crate) fn sql_state(error: &InboxError) -> Option<String> {
    match error {
        InboxError::Db(DbError::Sqlx(sqlx::Error::Database(error))) => error.code().map(Into::into),
        _ => None,
    }
}

/// The constraint that was violated.
pub(crate) fn constraint(error: &InboxError) -> Option<&str> {
    match error {
        InboxError::Db(error) => error.constraint(),
        _ => None,
    }
}

pub(crate) const LEASE: Duration = Duration::from_mins(1);

pub(crate) fn book(number: i32) -> BookId {
    BookId::try_new(number).expect("a small positive number")
}

/// An instant of the business clock, `seconds` after the test's beginning.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_763_796_000).expect("a time of our century") + SignedDuration::from_secs(seconds)
}

pub(crate) fn key(event_id: &str) -> InboxKey {
    InboxKey { provider: "stripe".into(), account: String::new(), event_id: event_id.into() }
}

pub(crate) fn event(event_id: &str) -> NewInboxEvent {
    NewInboxEvent {
        key: key(event_id),
        kind: "charge.succeeded".into(),
        livemode: false,
        created_at: at(-1),
        raw: format!(r#"{{"id":"{event_id}"}}"#).into_bytes(),
    }
}

pub(crate) async fn store(db: &Db, book: BookId, event: &NewInboxEvent, now: Timestamp) -> Stored {
    let event = event.clone();
    db.run_tx("store", Scope::Book(book), move |tx| {
        let event = event.clone();
        Box::pin(async move { inbox::store(tx, &event, now).await })
    })
    .await
    .expect("storing works")
}

pub(crate) async fn claim_books(db: &Db, now: Timestamp, lease: Duration) -> Vec<BookId> {
    db.run_tx("claim books", Scope::Routing, move |tx| Box::pin(inbox::claim_books(tx, 10, now, lease)))
        .await
        .expect("claiming works")
}

pub(crate) async fn settle(db: &Db, book: BookId) -> Option<Timestamp> {
    db.run_tx("settle", Scope::Book(book), |tx| Box::pin(inbox::settle(tx))).await.expect("settling works")
}

/// Claims and applies up to ten events; the ids in the order in which they were given.
pub(crate) async fn apply_batch(db: &Db, book: BookId, now: Timestamp) -> Vec<String> {
    let events: Vec<InboxEvent> = db
        .run_tx("apply", Scope::Book(book), move |tx| {
            Box::pin(async move {
                let events = inbox::claim_due(tx, 10, now).await?;
                let keys: Vec<InboxKey> = events.iter().map(|event| event.key.clone()).collect();
                inbox::mark_applied(tx, &keys, now).await?;
                Ok::<_, InboxError>(events)
            })
        })
        .await
        .expect("applying works");
    events.into_iter().map(|event| event.key.event_id).collect()
}

/// Runs one statement as the application's role in the scope and tells what the database said.
pub(crate) async fn run_sql(db: &Db, scope: Scope, sql: &'static str) -> Result<u64, InboxError> {
    db.run_tx("sql", scope, move |tx: &mut Tx| {
        Box::pin(async move { Ok(sqlx::query(sql).execute(tx.conn()).await?.rows_affected()) })
    })
    .await
}

/// Reads one number in the scope.
pub(crate) async fn number(db: &Db, scope: Scope, sql: &'static str) -> i64 {
    db.run_tx("number", scope, move |tx: &mut Tx| {
        Box::pin(async move { Ok::<_, InboxError>(sqlx::query_scalar(sql).fetch_one(tx.conn()).await?) })
    })
    .await
    .expect("the question can be answered")
}
