//! `Ledger::post`: many callers, few calls.

use std::sync::Arc;

use futures::{FutureExt, future::join_all};
use partita_ledger::{Ledger, LedgerError, LedgerOptions, NewTransaction, PostOutcome, PostRefusal};
use partita_postgres::Role;
use sqlx::Executor;

use crate::support::TestLedger;

fn posted(outcome: &Result<PostOutcome, Arc<LedgerError>>) -> bool {
    matches!(outcome, Ok(PostOutcome::Posted { .. }))
}

async fn calls(ledger: &TestLedger) -> i64 {
    let mut admin = ledger.connect(Role::Admin).await;
    let count = sqlx::query_scalar("select count(*) from ledger_transactions where in_call = 0");
    count.fetch_one(&mut admin).await.expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_share_calls_and_each_gets_its_own_outcome() {
    let test = TestLedger::start().await;
    let (book, shop) = test.shop().await;
    let (other_book, other) = test.shop().await;
    let ledger = Ledger::new(test.db.clone(), LedgerOptions::default());
    test.post_one(book, test.transfer(shop.provider, shop.seller, 100)).await;
    // 100 callers want one each, and 100 more want what is not there; another book posts meanwhile.
    let take = |amount| ledger.post(book, test.transfer(shop.seller, shop.provider, amount));
    let elsewhere = || ledger.post(other_book, test.transfer(other.provider, other.fees, 1));
    let ones = join_all((0..100).map(|_| take(1)));
    let much = join_all((0..100).map(|_| take(101)));
    let elsewhere = join_all((0..50).map(|_| elsewhere()));
    let (ones, much, elsewhere) = futures::join!(ones, much, elsewhere);
    assert!(ones.iter().all(posted) && elsewhere.iter().all(posted));
    let short = |o: &Result<PostOutcome, _>| {
        matches!(o, Ok(PostOutcome::Refused(PostRefusal::InsufficientFunds { needed: 101, .. })))
    };
    assert!(much.iter().all(short), "{much:?}");
    assert_eq!(test.balance(book, shop.seller).await, 0);
    assert!(calls(&test).await < 100, "{} calls for 250 callers", calls(&test).await);
    assert_eq!(test.verify(book).await, []);
    assert_eq!(test.verify(other_book).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_neither_loses_nor_doubles_what_was_queued() {
    let test = TestLedger::start().await;
    let (book, shop) = test.shop().await;
    let ledger = Ledger::new(test.db.clone(), LedgerOptions { lanes: 1, ..LedgerOptions::default() });
    let transactions: Vec<_> = (0..200).map(|_| test.transfer(shop.provider, shop.fees, 1)).collect();
    for (place, transaction) in transactions.iter().enumerate() {
        let (ledger, transaction) = (ledger.clone(), transaction.clone());
        let mut asked = Box::pin(async move { ledger.post(book, transaction).await });
        // One poll queues it; every other caller leaves at once.
        assert!(asked.as_mut().now_or_never().is_none());
        if place % 2 == 0 {
            tokio::spawn(asked);
        }
        // A task that never yields is told to by tokio: a poll would then not get as far as the queue.
        tokio::task::yield_now().await;
    }
    // Those who come back with the same source, under another id, find their transaction.
    let again = join_all(transactions.iter().map(|transaction| {
        let again = NewTransaction { id: test.id(), ..transaction.clone() };
        ledger.post(book, again)
    }));
    for (outcome, transaction) in again.await.into_iter().zip(&transactions) {
        assert!(matches!(outcome, Ok(PostOutcome::Replayed { id, .. }) if id == transaction.id), "{outcome:?}");
    }
    assert_eq!(test.balance(book, shop.fees).await, 200);
    assert_eq!(test.verify(book).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_culprit_does_not_spoil_the_others() {
    let test = TestLedger::start().await;
    let (book, shop) = test.shop().await;
    let ledger = Ledger::new(test.db.clone(), LedgerOptions { lanes: 1, ..LedgerOptions::default() });
    let first = test.transfer(shop.provider, shop.fees, 1);
    assert!(posted(&ledger.post(book, first.clone()).await));
    // The same id under another source raises: the whole call is rolled back.
    let culprit = NewTransaction { source: test.id(), ..first };
    let mut slice: Vec<_> = (0..20).map(|_| test.transfer(shop.provider, shop.fees, 1)).collect();
    slice.insert(10, culprit);
    let outcomes = join_all(slice.into_iter().map(|transaction| ledger.post(book, transaction))).await;
    for (place, outcome) in outcomes.iter().enumerate() {
        if place == 10 {
            let error = outcome.as_ref().expect_err("an id that was used before");
            assert!(matches!(**error, LedgerError::DuplicateId), "{error}");
        } else {
            assert!(posted(outcome), "{place}: {outcome:?}");
        }
    }
    assert_eq!(test.balance(book, shop.fees).await, 21);
    assert_eq!(test.verify(book).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_makes_callers_wait_and_loses_none() {
    let test = TestLedger::start().await;
    let (book, shop) = test.shop().await;
    let options = LedgerOptions { lanes: 1, connections: 1, queue: 3, batch: 2 };
    let ledger = Ledger::new(test.db.clone(), options);
    let mut waiting = Vec::new();
    for _ in 0..5 {
        let mut asked = Box::pin(ledger.post(book, test.transfer(shop.provider, shop.fees, 1)));
        assert!(asked.as_mut().now_or_never().is_none());
        waiting.push(asked);
    }
    // The last two were not queued yet: leaving, they leave nothing behind.
    waiting.truncate(3);
    assert!(join_all(waiting).await.iter().all(posted));
    assert_eq!(test.balance(book, shop.fees).await, 3);
    let more = join_all((0..30).map(|_| ledger.post(book, test.transfer(shop.provider, shop.fees, 1))));
    assert!(more.await.iter().all(posted));
    assert_eq!(test.balance(book, shop.fees).await, 33);
    assert_eq!(test.verify(book).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_book_that_is_not_open_is_told_to_every_caller() {
    let test = TestLedger::start().await;
    let (_, shop) = test.shop().await;
    let nowhere = partita_db::BookId::try_new(77).expect("a book");
    let mut transaction = test.transfer(shop.provider, shop.fees, 1);
    for posting in &mut transaction.postings {
        posting.debit = crate::support::key(nowhere, "EUR", 1);
        posting.credit = crate::support::key(nowhere, "EUR", 2);
    }
    let ledger = Ledger::new(test.db.clone(), LedgerOptions::default());
    let outcomes = join_all((0..5).map(|_| ledger.post(nowhere, transaction.clone()))).await;
    for outcome in outcomes {
        let error = outcome.expect_err("the book is not open");
        assert!(matches!(*error, LedgerError::BookNotOpen { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_survives_a_database_that_goes_away() {
    let test = TestLedger::start().await;
    let (book, shop) = test.shop().await;
    let ledger = Ledger::new(test.db.clone(), LedgerOptions::default());
    let transactions: Vec<_> = (0..300).map(|_| test.transfer(shop.provider, shop.fees, 1)).collect();
    let asked = join_all(transactions.iter().map(|transaction| ledger.post(book, transaction.clone())));
    let mut admin = test.connect(Role::Admin).await;
    let cut = async {
        for _ in 0..20 {
            let cut = "select pg_terminate_backend(pid) from pg_stat_activity
                       where datname = current_database() and usename = 'partita_app'";
            admin.execute(cut).await.expect("the superuser may");
        }
    };
    let (_, ()) = futures::join!(asked, cut);
    // Whatever each was told, bringing it again finds or posts it once.
    let again = join_all(transactions.iter().map(|transaction| {
        let again = NewTransaction { id: test.id(), ..transaction.clone() };
        ledger.post(book, again)
    }));
    assert!(again.await.iter().all(|o| matches!(o, Ok(PostOutcome::Posted { .. } | PostOutcome::Replayed { .. }))));
    assert_eq!(test.balance(book, shop.fees).await, 300);
    assert_eq!(test.verify(book).await, []);
}
