//! One unit of work: committed whole or not at all, whatever its caller and its closure do.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use partita_db::DbError;
use sqlx::Connection;

use crate::rig::{Rig, book, code, note, read_notes};

#[tokio::test]
async fn work_is_committed_and_returns_its_value_and_number() {
    let rig = Rig::new().await;
    let (xid, seen): (Option<u64>, String) = rig
        .db
        .run_tx("note", book(1), |tx| {
            Box::pin(async move {
                note(tx, 1).await?;
                let seen = sqlx::query_scalar("select pg_current_xact_id()::text").fetch_one(tx.conn()).await?;
                Ok::<_, DbError>((tx.xid(), seen))
            })
        })
        .await
        .expect("committed");
    assert_eq!(xid.map(|xid| xid.to_string()), Some(seen));
    assert_eq!(rig.notes().await, [1]);
}

#[tokio::test]
async fn an_error_rolls_back_and_names_the_constraint() {
    let rig = Rig::new().await;
    let error = rig
        .db
        .run_tx("note twice", book(1), |tx| {
            Box::pin(async move {
                note(tx, 1).await?;
                note(tx, 1).await
            })
        })
        .await
        .expect_err("the second violates the key");
    assert_eq!(error.constraint(), Some("notes_once"));
    assert!(!error.is_retryable());
    assert!(rig.notes().await.is_empty());
}

#[tokio::test]
async fn a_refusal_that_is_no_error_of_the_database_rolls_back_too() {
    #[derive(thiserror::Error, Debug)]
    enum Refused {
        #[error("insufficient funds")]
        InsufficientFunds,
        #[error(transparent)]
        Db(#[from] DbError),
    }
    let rig = Rig::with(|options| options.max_connections = 1).await;
    let result = rig
        .db
        .run_tx("refuse", book(1), |tx| {
            Box::pin(async move {
                note(tx, 1).await?;
                Err::<(), _>(Refused::InsufficientFunds)
            })
        })
        .await;
    assert!(matches!(result, Err(Refused::InsufficientFunds)), "{result:?}");
    rig.db.run_tx("note", book(1), |tx| Box::pin(note(tx, 2))).await.expect("the connection works on");
    assert_eq!(rig.notes().await, [2]);
}

#[tokio::test]
async fn a_swallowed_error_is_not_taken_for_success() {
    let rig = Rig::with(|options| options.max_connections = 1).await;
    let result = rig
        .db
        .run_tx("swallow", book(1), |tx| {
            Box::pin(async move {
                note(tx, 1).await?;
                let swallowed = note(tx, 1).await;
                assert!(swallowed.is_err());
                Ok::<_, DbError>(())
            })
        })
        .await;
    assert!(matches!(result, Err(DbError::AbortedTransaction { name: "swallow", .. })), "{result:?}");
    assert!(rig.notes().await.is_empty());
    assert!(read_notes(&rig.db).await.expect("the pool works on").is_empty());

    let read = rig
        .db
        .read("swallow too", book(1), |tx| {
            Box::pin(async move {
                let swallowed = sqlx::query("select 1 / 0").execute(tx.conn()).await;
                assert!(swallowed.is_err());
                Ok::<_, DbError>(())
            })
        })
        .await;
    assert!(matches!(read, Err(DbError::AbortedTransaction { .. })), "{read:?}");
}

#[tokio::test]
async fn a_closure_that_ends_its_transaction_is_found_out() {
    let rig = Rig::new().await;
    let plain = rig
        .db
        .run_tx("commit", book(1), |tx| {
            Box::pin(async move {
                sqlx::raw_sql("commit").execute(tx.conn()).await?;
                Ok::<_, DbError>(())
            })
        })
        .await;
    assert!(matches!(plain, Err(DbError::TransactionEnded { name: "commit" })), "{plain:?}");
    let nested = rig
        .db
        .run_tx("nested", book(1), |tx| {
            Box::pin(async move {
                tx.conn().begin().await?.commit().await?;
                Ok::<_, DbError>(())
            })
        })
        .await;
    assert!(matches!(nested, Err(DbError::TransactionEnded { .. })), "{nested:?}");
}

#[tokio::test]
async fn a_savepoint_saves_the_rest() {
    let rig = Rig::new().await;
    rig.db
        .run_tx("savepoint", book(1), |tx| {
            Box::pin(async move {
                note(tx, 1).await?;
                sqlx::raw_sql("savepoint attempt").execute(tx.conn()).await?;
                assert!(note(tx, 1).await.is_err());
                sqlx::raw_sql("rollback to savepoint attempt").execute(tx.conn()).await?;
                note(tx, 2).await
            })
        })
        .await
        .expect("committed");
    assert_eq!(rig.notes().await, [1, 2]);
}

#[tokio::test]
async fn a_read_cannot_write_and_sees_one_state() {
    let rig = Rig::new().await;
    let error = rig.db.read("write", book(1), |tx| Box::pin(note(tx, 1))).await.expect_err("read only");
    assert_eq!(code(&error).as_deref(), Some("25006"));
    let db = rig.db.clone();
    let (before, after, xid) = rig
        .db
        .read("two looks", book(1), move |tx| {
            let db = db.clone();
            Box::pin(async move {
                let count = "select count(*) from notes";
                let before: i64 = sqlx::query_scalar(count).fetch_one(tx.conn()).await?;
                db.run_tx("meanwhile", book(1), |tx| Box::pin(note(tx, 1))).await?;
                let after: i64 = sqlx::query_scalar(count).fetch_one(tx.conn()).await?;
                Ok::<_, DbError>((before, after, tx.xid()))
            })
        })
        .await
        .expect("read");
    assert_eq!((before, after, xid), (0, 0, None));
    assert_eq!(rig.notes().await, [1]);
}

#[tokio::test]
async fn a_dropped_caller_neither_leaks_a_transaction_nor_loses_the_work() {
    let rig = Rig::with(|options| options.max_connections = 3).await;
    let mut callers = Vec::new();
    for n in 0..200_i32 {
        let db = rig.db.clone();
        let caller = tokio::spawn(async move {
            db.run_tx("slow note", book(1), move |tx| {
                Box::pin(async move {
                    note(tx, n).await?;
                    sqlx::query("select pg_sleep(0.002)").execute(tx.conn()).await?;
                    Ok::<_, DbError>(())
                })
            })
            .await
        });
        callers.push(caller);
        // Each is dropped at another moment: before its BEGIN, in a statement, at its COMMIT, or never.
        if n % 4 == 0 {
            tokio::time::sleep(Duration::from_micros(u64::from(n.unsigned_abs()) * 37)).await;
            for caller in callers.iter().rev().take(3) {
                caller.abort();
            }
        }
    }
    let (mut acknowledged, mut dropped) = (0, 0);
    for caller in callers {
        match caller.await {
            Ok(result) => {
                result.expect("committed");
                acknowledged += 1;
            }
            Err(join) => {
                assert!(join.is_cancelled());
                dropped += 1;
            }
        }
    }
    assert!(dropped > 20, "only {dropped} callers were dropped, {acknowledged} were not");
    // The pool closes once every unit under way has ended.
    rig.db.close().await;
    assert_eq!(rig.idle_in_transaction().await, 0);
    assert!(rig.notes().await.len() >= acknowledged);
}

#[tokio::test]
async fn work_goes_on_when_its_caller_is_gone() {
    let rig = Rig::with(|options| options.max_connections = 1).await;
    let inside = Arc::new(tokio::sync::Notify::new());
    let (db, entered) = (rig.db.clone(), Arc::clone(&inside));
    let caller = tokio::spawn(async move {
        db.run_tx("slow note", book(1), move |tx| {
            let entered = Arc::clone(&entered);
            Box::pin(async move {
                note(tx, 1).await?;
                entered.notify_one();
                sqlx::query("select pg_sleep(0.2)").execute(tx.conn()).await?;
                note(tx, 2).await
            })
        })
        .await
    });
    inside.notified().await;
    caller.abort();
    assert!(caller.await.is_err_and(|join| join.is_cancelled()));
    // There is one connection, so this waits for the work.
    assert_eq!(read_notes(&rig.db).await.expect("a connection without a transaction"), [1, 2]);
    assert_eq!(rig.idle_in_transaction().await, 0);
}

#[tokio::test]
async fn a_panic_goes_on_in_the_caller_and_the_connection_is_closed() {
    let rig = Rig::with(|options| options.max_connections = 1).await;
    let first = backend(&rig).await;
    let calls = Arc::new(AtomicI32::new(0));
    let counted = Arc::clone(&calls);
    let work = rig.db.run_tx("panic", book(1), move |tx| {
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            note(tx, 1).await?;
            assert!(tx.xid().is_none(), "a defect");
            Ok::<_, DbError>(())
        })
    });
    let panic = AssertUnwindSafe(work).catch_unwind().await.expect_err("it goes on");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"a defect"));
    assert_eq!(calls.load(Ordering::SeqCst), 1, "a panic is not repeated");
    assert!(rig.notes().await.is_empty());
    assert_ne!(backend(&rig).await, first);
}

#[tokio::test]
async fn a_panic_before_the_future_is_made_is_the_same() {
    let rig = Rig::new().await;
    let work = rig.db.run_tx::<(), DbError, _>("panic", book(1), |_| panic!("at once"));
    let panic = AssertUnwindSafe(work).catch_unwind().await.expect_err("it goes on");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"at once"));
    assert_eq!(rig.idle_in_transaction().await, 0);
}

async fn backend(rig: &Rig) -> i32 {
    rig.db
        .read("backend", book(1), |tx| {
            Box::pin(async move {
                Ok::<_, DbError>(sqlx::query_scalar("select pg_backend_pid()").fetch_one(tx.conn()).await?)
            })
        })
        .await
        .expect("read")
}
