//! Migrations run once, whoever starts at the same time, and give way to those who hold a lock.

use std::{borrow::Cow, time::Duration};

use partita_db::{DbError, migrate};
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

use crate::rig::Rig;

fn migrator(sql: &'static [&'static str]) -> Migrator {
    let migrations = sql.iter().zip(1..).map(|(sql, version)| {
        let kind = MigrationType::Simple;
        Migration::new(version, Cow::Borrowed("test"), kind, AssertSqlSafe(*sql).into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}

#[tokio::test]
async fn two_processes_at_once_migrate_once() {
    let rig = Rig::new().await;
    let url = rig.database.owner_url.clone();
    let runs = (0..4).map(|_| {
        let url = url.clone();
        tokio::spawn(async move { migrate(&url, &migrator(&["create table once (n int)"])).await })
    });
    for run in runs.collect::<Vec<_>>() {
        run.await.expect("no panic").expect("migrated");
    }
    let broken = migrate(&url, &migrator(&["create table once (n int)", "create table once (n int)"])).await;
    assert!(matches!(broken, Err(DbError::Migrate(_))), "{broken:?}");
}

#[tokio::test]
async fn a_migration_gives_way_and_comes_back() {
    let rig = Rig::new().await;
    let mut reader = PgConnection::connect(&rig.database.app_url).await.expect("the application");
    sqlx::raw_sql("begin; select n from counters").execute(&mut reader).await.expect("a read lock");
    let url = rig.database.owner_url.clone();
    let migrating =
        tokio::spawn(async move { migrate(&url, &migrator(&["alter table counters add column more int"])).await });
    tokio::time::sleep(Duration::from_millis(2_300)).await;
    assert!(!migrating.is_finished(), "it waits");
    sqlx::raw_sql("commit").execute(&mut reader).await.expect("released");
    migrating.await.expect("no panic").expect("migrated");
}
