//! The book of a transaction is that transaction's alone.

use partita_db::{BookId, DbError, Scope};

use crate::rig::{Rig, book, code, note};

#[tokio::test]
async fn a_book_sees_its_own_rows_only_and_writes_no_others() {
    let rig = Rig::with(|options| options.max_connections = 1).await;
    for number in [1, 2] {
        rig.db.run_tx("note", book(number), move |tx| Box::pin(note(tx, number))).await.expect("committed");
    }
    let seen: Vec<(BookId, i32)> = rig
        .db
        .read("read", book(2), |tx| {
            Box::pin(async move {
                Ok::<_, DbError>(sqlx::query_as("select book_id, n from notes").fetch_all(tx.conn()).await?)
            })
        })
        .await
        .expect("read");
    assert_eq!(seen, [(BookId::try_new(2).expect("a book"), 2)]);
    let error = rig
        .db
        .run_tx("foreign", book(1), |tx| {
            Box::pin(async move {
                sqlx::query("insert into notes values (2, 3)").execute(tx.conn()).await?;
                Ok::<_, DbError>(())
            })
        })
        .await
        .expect_err("the policy refuses");
    assert_eq!(code(&error).as_deref(), Some("42501"));
}

#[tokio::test]
async fn without_a_book_every_policy_raises() {
    let rig = Rig::with(|options| options.max_connections = 1).await;
    rig.db.run_tx("note", book(1), |tx| Box::pin(note(tx, 1))).await.expect("committed");
    // On the very connection that had a book a moment ago.
    let error = rig
        .db
        .read("no book", Scope::Routing, |tx| {
            Box::pin(async move {
                assert_eq!(tx.book(), None);
                Ok::<Vec<i32>, DbError>(sqlx::query_scalar("select n from notes").fetch_all(tx.conn()).await?)
            })
        })
        .await
        .expect_err("no rows, and not all rows: an error");
    assert_eq!(code(&error).as_deref(), Some("22P02"));
    let routed: i64 = rig
        .db
        .read("routing", Scope::Routing, |tx| {
            Box::pin(async move {
                Ok::<_, DbError>(sqlx::query_scalar("select count(*) from counters").fetch_one(tx.conn()).await?)
            })
        })
        .await
        .expect("a table without a policy");
    assert_eq!(routed, 2);
}
