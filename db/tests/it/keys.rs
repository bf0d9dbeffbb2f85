//! Keys are unique across tasks, allocators and runs.

use std::collections::HashSet;

use partita_db::{DbError, Keys, Scope};

use crate::rig::Rig;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keys_are_never_given_twice() {
    let rig = Rig::new().await;
    let allocators = [Keys::new(), Keys::new()];
    let mut tasks = Vec::new();
    for task in 0..16_usize {
        let (keys, db) = (allocators[task % 2].clone(), rig.db.clone());
        tasks.push(tokio::spawn(async move {
            let mut got = Vec::new();
            for _ in 0..10 {
                let keys = keys.clone();
                let batch = db.run_tx("take keys", Scope::Routing, move |tx| {
                    let keys = keys.clone();
                    Box::pin(async move {
                        let mut batch = Vec::new();
                        for _ in 0..70 {
                            batch.push(keys.next(tx).await?);
                        }
                        Ok::<_, DbError>(batch)
                    })
                });
                got.extend(batch.await.expect("keys"));
            }
            got
        }));
    }
    let (mut count, mut all) = (0, HashSet::new());
    for task in tasks {
        let got = task.await.expect("no panic");
        count += got.len();
        all.extend(got);
    }
    assert_eq!(count, 16 * 10 * 70);
    assert_eq!(count, all.len());
    assert!(all.iter().all(|key| *key >= 1_000));
}

#[tokio::test]
async fn a_missing_sequence_is_an_error_and_not_a_loop() {
    let rig = Rig::new().await;
    sqlx::raw_sql("drop sequence internal_keys").execute(&mut rig.admin().await).await.expect("dropped");
    let keys = Keys::new();
    let asked = rig.db.run_tx("take a key", Scope::Routing, move |tx| {
        let keys = keys.clone();
        Box::pin(async move { keys.next(tx).await })
    });
    assert!(asked.await.is_err());
}
