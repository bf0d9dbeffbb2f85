//! A database of its own for each test.

use partita_db::{BookId, Db, DbError, DbOptions, Scope, Tx};
use partita_postgres::{Role, testing::TestDatabase};
use sqlx::{Connection, PgConnection};

pub(crate) const SCHEMA: &str = "
    create table notes (
        book_id integer not null,
        n       integer not null,
        constraint notes_once unique (book_id, n)
    );
    alter table notes enable row level security, force row level security;
    create policy notes_book on notes using (book_id = current_setting('partita.book')::integer);
    grant select, insert, update on notes to partita_app;

    create table counters (id integer primary key, n integer not null default 0);
    insert into counters (id) values (1), (2);
    grant select, insert, update on counters to partita_app;

    -- Takes its time at the commit.
    create table slow_at_commit (n integer not null);
    grant select, insert on slow_at_commit to partita_app;
    create function slow_at_commit() returns trigger language plpgsql as $$
        begin perform pg_sleep(0.4); return null; end $$;
    create constraint trigger slow_at_commit after insert on slow_at_commit
        deferrable initially deferred for each row execute function slow_at_commit();

    create sequence internal_keys as bigint increment by 1000 start 1000;
    grant usage on sequence internal_keys to partita_app;
";

pub(crate) struct Rig {
    pub(crate) database: TestDatabase,
    pub(crate) db: Db,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut DbOptions)) -> Self {
        let database = TestDatabase::create(migrate, SCHEMA).await.expect("a test database");
        let mut options = DbOptions::new(database.app_url.as_str());
        change(&mut options);
        let db = Db::connect(&options).await.expect("the weak role is accepted");
        Self { database, db }
    }

    /// A connection beside the pool, as the superuser, who sees every book.
    pub(crate) async fn admin(&self) -> PgConnection {
        PgConnection::connect(&self.database.url(Role::Admin)).await.expect("the superuser")
    }

    pub(crate) async fn notes(&self) -> Vec<i32> {
        let mut admin = self.admin().await;
        sqlx::query_scalar("select n from notes order by n").fetch_all(&mut admin).await.expect("rows")
    }

    /// Sessions of the application that stand in a transaction without doing anything.
    pub(crate) async fn idle_in_transaction(&self) -> i64 {
        let mut admin = self.admin().await;
        sqlx::query_scalar(
            "select count(*) from pg_stat_activity
              where datname = current_database() and state like 'idle in transaction%'",
        )
        .fetch_one(&mut admin)
        .await
        .expect("a row")
    }
}

async fn migrate(owner_url: String) -> Result<(), sqlx::Error> {
    let mut owner = PgConnection::connect(&owner_url).await?;
    sqlx::raw_sql(SCHEMA).execute(&mut owner).await?;
    owner.close().await
}

pub(crate) fn book(number: i32) -> Scope {
    Scope::Book(BookId::try_new(number).expect("a small number"))
}

pub(crate) async fn note(tx: &mut Tx, n: i32) -> Result<(), DbError> {
    let book = tx.book();
    sqlx::query("insert into notes (book_id, n) values ($1, $2)").bind(book).bind(n).execute(tx.conn()).await?;
    Ok(())
}

pub(crate) fn code(error: &DbError) -> Option<String> {
    match error {
        DbError::Sqlx(sqlx::Error::Database(error)) => error.code().map(Into::into),
        _ => None,
    }
}

/// The notes a fresh unit of work of book 1 can read.
pub(crate) async fn read_notes(db: &Db) -> Result<Vec<i32>, DbError> {
    db.read("read_notes", book(1), |tx| {
        Box::pin(async move { Ok(sqlx::query_scalar("select n from notes order by n").fetch_all(tx.conn()).await?) })
    })
    .await
}
