//! Time limits, killed sessions and the pool.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use partita_db::DbError;

use crate::rig::{Rig, book, code, note, read_notes};

#[tokio::test]
async fn a_statement_timeout_does_not_poison_the_connection() {
    let rig = Rig::with(|options| {
        options.max_connections = 1;
        options.statement_timeout = Duration::from_millis(100);
    })
    .await;
    let error = rig
        .db
        .run_tx("sleep", book(1), |tx| {
            Box::pin(async move {
                note(tx, 1).await?;
                sqlx::query("select pg_sleep(5)").execute(tx.conn()).await?;
                Ok::<_, DbError>(())
            })
        })
        .await
        .expect_err("the server ends the statement");
    assert_eq!(code(&error).as_deref(), Some("57014"));
    rig.db.run_tx("note", book(1), |tx| Box::pin(note(tx, 2))).await.expect("the connection works on");
    assert_eq!(rig.notes().await, [2]);
    assert_eq!(rig.idle_in_transaction().await, 0);
}

#[tokio::test]
async fn the_statement_timeout_does_not_strike_the_commit() {
    let rig = Rig::with(|options| options.statement_timeout = Duration::from_millis(100)).await;
    rig.db
        .run_tx("slow commit", book(1), |tx| {
            Box::pin(async move {
                sqlx::query("insert into slow_at_commit values (1)").execute(tx.conn()).await?;
                Ok::<_, DbError>(())
            })
        })
        .await
        .expect("the commit takes longer than a statement may");
}

#[tokio::test]
async fn a_session_killed_in_the_middle_is_replaced_and_the_work_runs_again() {
    let rig = Rig::new().await;
    let runs = Arc::new(AtomicU32::new(0));
    let (counted, killer) = (Arc::clone(&runs), rig.db.clone());
    rig.db
        .run_tx("note", book(1), move |tx| {
            let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
            let killer = killer.clone();
            Box::pin(async move {
                note(tx, 1).await?;
                if first {
                    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(tx.conn()).await?;
                    kill(&killer, pid).await?;
                }
                note(tx, 2).await
            })
        })
        .await
        .expect("the second run commits");
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    assert_eq!(rig.notes().await, [1, 2]);
}

#[tokio::test]
async fn a_session_killed_just_before_the_commit_is_asked_about_and_the_work_runs_again() {
    let rig = Rig::new().await;
    let runs = Arc::new(AtomicU32::new(0));
    let (counted, killer) = (Arc::clone(&runs), rig.db.clone());
    rig.db
        .run_tx("note", book(1), move |tx| {
            let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
            let killer = killer.clone();
            Box::pin(async move {
                note(tx, 1).await?;
                let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(tx.conn()).await?;
                if first {
                    kill(&killer, pid).await?;
                }
                Ok::<_, DbError>(())
            })
        })
        .await
        .expect("the second run commits");
    assert_eq!((runs.load(Ordering::SeqCst), rig.notes().await), (2, vec![1]));
}

/// A role may end its own sessions. The wait lets the session die before its owner goes on.
async fn kill(db: &partita_db::Db, pid: i32) -> Result<(), DbError> {
    db.read("kill", book(1), move |tx| {
        Box::pin(async move {
            sqlx::query("select pg_terminate_backend($1, 5000)").bind(pid).execute(tx.conn()).await?;
            Ok(())
        })
    })
    .await
}

#[tokio::test]
async fn a_pool_of_dead_connections_recovers_at_once() {
    let rig = Rig::with(|options| options.max_connections = 8).await;
    let all_at_once = Arc::new(tokio::sync::Barrier::new(8));
    let mut units = Vec::new();
    for _ in 0..8 {
        let (db, barrier) = (rig.db.clone(), Arc::clone(&all_at_once));
        units.push(tokio::spawn(async move {
            db.read("open", book(1), move |tx| {
                let barrier = Arc::clone(&barrier);
                Box::pin(async move {
                    sqlx::query("select 1").execute(tx.conn()).await?;
                    barrier.wait().await;
                    Ok::<_, DbError>(())
                })
            })
            .await
        }));
    }
    for unit in units {
        unit.await.expect("no panic").expect("read");
    }
    assert_eq!(rig.db.connections().0, 8);
    let killed: i64 = sqlx::query_scalar(
        "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity
          where datname = current_database() and usename = 'partita_app'",
    )
    .fetch_one(&mut rig.admin().await)
    .await
    .expect("a row");
    assert_eq!(killed, 8);
    assert!(read_notes(&rig.db).await.expect("a fresh connection is found").is_empty());
}

#[tokio::test]
async fn the_session_is_set_up_as_the_documents_say() {
    let rig = Rig::new().await;
    let settings: Vec<String> = rig
        .db
        .run_tx("settings", book(7), |tx| {
            Box::pin(async move {
                Ok::<_, DbError>(
                    sqlx::query_scalar(
                        "select current_setting(name) from unnest(array[
                            'idle_in_transaction_session_timeout', 'TimeZone', 'application_name',
                            'transaction_isolation', 'statement_timeout', 'lock_timeout', 'partita.book']) name",
                    )
                    .fetch_all(tx.conn())
                    .await?,
                )
            })
        })
        .await
        .expect("read");
    assert_eq!(settings, ["10s", "UTC", "partita", "read committed", "5s", "2s", "7"]);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_as_that_and_not_as_a_full_pool() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let url = format!("postgres://partita_app:secret@127.0.0.1:{port}/partita");
    let error = partita_db::Db::connect(&partita_db::DbOptions::new(url)).await.expect_err("nobody listens");
    let mut told = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        told = format!("{told}: {next}");
        cause = next.source();
    }
    assert!(told.contains("refused"), "{told}");
    assert!(!told.contains("secret"), "{told}");
}
