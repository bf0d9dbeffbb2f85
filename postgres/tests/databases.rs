//! Databases for tests, on the shared server.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use partita_postgres::{Role, testing::TestDatabase};
use sqlx::{Connection, PgConnection};

static MIGRATIONS: AtomicUsize = AtomicUsize::new(0);

async fn migrate(owner_url: String) -> Result<(), sqlx::Error> {
    MIGRATIONS.fetch_add(1, Ordering::SeqCst);
    let mut owner = PgConnection::connect(&owner_url).await?;
    sqlx::raw_sql("create table things (n int); grant select on things to public").execute(&mut owner).await?;
    owner.close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_databases_at_once_come_from_one_migration() {
    let key = format!("many {}", rand::random::<u64>());
    let databases = (0..12).map(|_| {
        let key = key.clone();
        tokio::spawn(async move { TestDatabase::create(migrate, &key).await })
    });
    let mut made = Vec::new();
    for database in databases.collect::<Vec<_>>() {
        made.push(database.await.expect("no panic").expect("a database"));
    }
    assert_eq!(MIGRATIONS.load(Ordering::SeqCst), 1, "the template is made once");
    let mut owner = PgConnection::connect(&made[0].owner_url).await.expect("the owner");
    sqlx::raw_sql("insert into things values (1)").execute(&mut owner).await.expect("its own table");
    for (database, expected) in made.iter().zip([1_i64].into_iter().chain(std::iter::repeat(0))) {
        let mut app = PgConnection::connect(&database.app_url).await.expect("the application");
        let (rows, user): (i64, String) = sqlx::query_as("select count(*), current_user::text from things")
            .fetch_one(&mut app)
            .await
            .expect("granted");
        assert_eq!((rows, user.as_str()), (expected, "partita_app"));
    }
    made[0].drop_template().await.expect("nobody asks for that key again");
}

#[tokio::test]
async fn a_simulators_database_is_closed_to_the_service() {
    let simulator = TestDatabase::create_for_simulator(migrate_simulator, "simulator 1").await.expect("a database");
    assert_eq!(simulator.app_url, simulator.owner_url);
    let mut owner = PgConnection::connect(&simulator.owner_url).await.expect("the simulator");
    let user: String = sqlx::query_scalar("select current_user::text").fetch_one(&mut owner).await.expect("a row");
    assert_eq!(user, "partita_simulator");
    assert!(PgConnection::connect(&simulator.url(Role::App)).await.is_err());
}

async fn migrate_simulator(owner_url: String) -> Result<(), sqlx::Error> {
    let mut owner = PgConnection::connect(&owner_url).await?;
    sqlx::raw_sql("create table effects (n int)").execute(&mut owner).await?;
    owner.close().await
}

#[tokio::test]
async fn a_database_goes_with_its_test() {
    let database = TestDatabase::create_for_simulator(migrate_simulator, "simulator 1").await.expect("a database");
    let url = database.owner_url.clone();
    let connected = PgConnection::connect(&url).await.expect("it is there");
    drop(database);
    let deadline = Instant::now() + Duration::from_mins(1);
    while PgConnection::connect(&url).await.is_ok() {
        assert!(Instant::now() < deadline, "it is still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(connected);
}

#[tokio::test]
async fn a_migration_that_fails_leaves_no_template() {
    let key = format!("broken {}", rand::random::<u64>());
    let broken = TestDatabase::create(|_| async { Err::<(), _>("no such table") }, &key).await;
    assert!(matches!(broken, Err(partita_postgres::Error::Migrate(_))), "{broken:?}");
    let whole = TestDatabase::create(migrate_simulator, &key).await.expect("the next one makes it");
    whole.drop_template().await.expect("nobody asks for that key again");
}
