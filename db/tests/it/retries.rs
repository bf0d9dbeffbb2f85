//! What is tried again, and how often.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use partita_db::{Db, DbError};
use tokio::sync::Barrier;

use crate::rig::{Rig, book, code, note};

/// A unit of work that fails so many times with this SQLSTATE after it has written; returns how often it ran.
async fn fail_times(db: &Db, times: u32, state: &'static str) -> (Result<(), DbError>, u32) {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let result = db
        .run_tx("fail", book(1), move |tx| {
            let run = counted.fetch_add(1, Ordering::SeqCst) + 1;
            Box::pin(async move {
                note(tx, 1).await?;
                if run <= times {
                    let raise = format!("do $$ begin raise exception 'as asked' using errcode = '{state}'; end $$");
                    sqlx::raw_sql(sqlx::AssertSqlSafe(raise)).execute(tx.conn()).await?;
                }
                Ok(())
            })
        })
        .await;
    (result, runs.load(Ordering::SeqCst))
}

#[tokio::test]
async fn collisions_repeat_the_whole_closure() {
    for state in ["40001", "40P01", "55P03"] {
        let rig = Rig::new().await;
        let (result, runs) = fail_times(&rig.db, 2, state).await;
        assert!(result.is_ok(), "{state}: {result:?}");
        assert_eq!((runs, rig.notes().await), (3, vec![1]), "{state}");
    }
}

#[tokio::test]
async fn patience_ends_after_five_tries() {
    let rig = Rig::new().await;
    let (result, runs) = fail_times(&rig.db, 100, "40001").await;
    assert_eq!(runs, 5);
    assert_eq!(code(&result.expect_err("it always fails")).as_deref(), Some("40001"));
    assert!(rig.notes().await.is_empty());
}

#[tokio::test]
async fn other_errors_are_not_repeated() {
    let rig = Rig::new().await;
    let (result, runs) = fail_times(&rig.db, 1, "P0001").await;
    assert_eq!((result.is_err(), runs), (true, 1));
}

#[tokio::test]
async fn an_error_inside_the_callers_own_is_found() {
    #[derive(thiserror::Error, Debug)]
    enum PaymentError {
        #[error("the payment could not be stored")]
        Store(#[source] sqlx::Error),
        #[error(transparent)]
        Query(#[from] sqlx::Error),
        #[error(transparent)]
        Db(#[from] DbError),
    }
    let rig = Rig::new().await;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    rig.db
        .run_tx("pay", book(1), move |tx| {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                let raise = "do $$ begin raise exception 'as asked' using errcode = '40001'; end $$";
                let raise = sqlx::raw_sql(raise).execute(tx.conn());
                match run {
                    0 => raise.await.map(drop).map_err(PaymentError::Store),
                    1 => Ok(raise.await.map(drop)?),
                    2 => Ok(raise.await.map(drop).map_err(DbError::from)?),
                    _ => Ok(()),
                }
            })
        })
        .await
        .expect("the fourth run succeeds");
    assert_eq!(runs.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_real_deadlock_is_resolved_by_running_again() {
    let rig = Rig::new().await;
    let both_hold_one = Arc::new(Barrier::new(2));
    let runs = Arc::new(AtomicU32::new(0));
    let add = |first: i32, second: i32| {
        let (db, barrier, runs) = (rig.db.clone(), Arc::clone(&both_hold_one), Arc::clone(&runs));
        tokio::spawn(async move {
            let tries = AtomicU32::new(0);
            db.run_tx("add to both", book(1), move |tx| {
                runs.fetch_add(1, Ordering::SeqCst);
                let first_try = tries.fetch_add(1, Ordering::SeqCst) == 0;
                let barrier = Arc::clone(&barrier);
                Box::pin(async move {
                    let add = "update counters set n = n + 1 where id = $1";
                    sqlx::query(add).bind(first).execute(tx.conn()).await?;
                    if first_try {
                        barrier.wait().await;
                    }
                    sqlx::query(add).bind(second).execute(tx.conn()).await?;
                    Ok::<_, DbError>(())
                })
            })
            .await
        })
    };
    let (one, two) = (add(1, 2), add(2, 1));
    one.await.expect("no panic").expect("committed");
    two.await.expect("no panic").expect("committed");
    assert_eq!(runs.load(Ordering::SeqCst), 3, "the victim ran twice");
    let sums: Vec<i32> =
        sqlx::query_scalar("select n from counters order by id").fetch_all(&mut rig.admin().await).await.expect("rows");
    assert_eq!(sums, [2, 2]);
}

#[tokio::test]
async fn a_lock_that_is_held_too_long_is_waited_for_again() {
    let rig = Rig::with(|options| options.lock_timeout = Duration::from_millis(60)).await;
    let mut admin = rig.admin().await;
    sqlx::raw_sql("begin; update counters set n = 10 where id = 1").execute(&mut admin).await.expect("locked");
    let db = rig.db.clone();
    let waiting = tokio::spawn(async move {
        db.run_tx("add", book(1), |tx| {
            Box::pin(async move {
                sqlx::query("update counters set n = n + 1 where id = 1").execute(tx.conn()).await?;
                Ok::<_, DbError>(())
            })
        })
        .await
    });
    tokio::time::sleep(Duration::from_millis(150)).await;
    sqlx::raw_sql("commit").execute(&mut admin).await.expect("released");
    waiting.await.expect("no panic").expect("the third or fourth try gets the lock");
    let n: i32 = sqlx::query_scalar("select n from counters where id = 1").fetch_one(&mut admin).await.expect("a row");
    assert_eq!(n, 11);
}
