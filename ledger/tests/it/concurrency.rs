//! Many clients at once.

use std::sync::Arc;

use futures::future::join_all;
use partita_ledger::{HoldOutcome, NewCapture, NewPosting, NewTransaction, PostOutcome, PostRefusal, VoidOutcome};
use partita_postgres::Role;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};

use crate::support::{TestLedger, account, key};

const CLIENTS: u64 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_drain_a_seller_stop_exactly_at_the_floor() {
    const FUNDS: i64 = 1_000;
    let ledger = Arc::new(TestLedger::start().await);
    let (book, shop) = ledger.shop().await;
    ledger.post_one(book, ledger.transfer(shop.provider, shop.seller, FUNDS)).await;

    // Each asks for large bites, several a call, until one is refused, and then for the crumbs.
    let drain = |client: usize| {
        let ledger = Arc::clone(&ledger);
        tokio::spawn(async move {
            let mut taken = 0;
            for (bite, a_call) in [(37, 1 + client % 3), (5, 4), (1, 1)] {
                loop {
                    let take = || ledger.transfer(shop.seller, shop.provider, bite);
                    let slice: Vec<_> = std::iter::repeat_with(take).take(a_call).collect();
                    let outcomes = ledger.post(book, slice).await.expect("a call of post");
                    let posted = outcomes.iter().filter(|o| matches!(o, PostOutcome::Posted { .. })).count();
                    let short = |o: &&PostOutcome| {
                        matches!(o, PostOutcome::Refused(PostRefusal::InsufficientFunds { available, .. })
                            if (0..bite).contains(available))
                    };
                    assert_eq!(posted + outcomes.iter().filter(short).count(), a_call, "{outcomes:?}");
                    taken += bite * i64::try_from(posted).expect("a few");
                    if posted < a_call {
                        break;
                    }
                }
            }
            taken
        })
    };
    let taken = join_all((0..8).map(drain)).await;
    let taken: i64 = taken.into_iter().map(|taken| taken.expect("a client ends well")).sum();
    assert_eq!(taken, FUNDS);
    assert_eq!(ledger.balance(book, shop.seller).await, 0);
    assert_eq!(ledger.verify(book).await, []);
}

/// Clients that hold, capture, void and take directly, all at once, stop exactly at the floor.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_drain_a_seller_with_holds_stop_exactly_at_the_floor() {
    const FUNDS: i64 = 600;
    let ledger = Arc::new(TestLedger::start().await);
    let (book, shop) = ledger.shop().await;
    ledger.post_one(book, ledger.transfer(shop.provider, shop.seller, FUNDS)).await;
    let drain = |client: u64| {
        let ledger = Arc::clone(&ledger);
        tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(client);
            let mut taken = 0;
            for bite in [23, 7, 1] {
                loop {
                    let take = ledger.transfer(shop.seller, shop.provider, bite);
                    if random.random_bool(0.5) {
                        match ledger.post_one(book, take).await {
                            PostOutcome::Posted { .. } => taken += bite,
                            PostOutcome::Refused(PostRefusal::InsufficientFunds { available, .. })
                                if (0..bite).contains(&available) =>
                            {
                                break;
                            }
                            other => panic!("{other:?}"),
                        }
                        continue;
                    }
                    let hold = ledger.new_hold(shop.seller, bite);
                    if !matches!(ledger.hold_one(book, hold.clone()).await, HoldOutcome::Placed { .. }) {
                        break;
                    }
                    if random.random_bool(0.3) {
                        let voided = ledger.void(book, hold.id).await;
                        assert!(matches!(voided, VoidOutcome::Voided { amount, .. } if amount == bite));
                        continue;
                    }
                    let capture = NewCapture { hold: hold.id, transaction: take };
                    let outcomes = ledger.capture(book, vec![capture]).await.expect("a call of capture");
                    assert!(matches!(outcomes[..], [PostOutcome::Posted { .. }]), "never refused: {outcomes:?}");
                    taken += bite;
                }
            }
            taken
        })
    };
    let taken = join_all((0..CLIENTS).map(drain)).await;
    let taken: i64 = taken.into_iter().map(|taken| taken.expect("a client ends well")).sum();
    let left = FUNDS - taken;
    // Whoever met another's hold gave up; what is left is free again.
    for _ in 0..left {
        let last = ledger.post_one(book, ledger.transfer(shop.seller, shop.provider, 1)).await;
        assert!(matches!(last, PostOutcome::Posted { .. }), "{last:?}");
    }
    assert_eq!(ledger.balance(book, shop.seller).await, 0);
    assert_eq!(ledger.verify(book).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_many_capture_at_once_gives_what_it_has() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    for _ in 0..10 {
        ledger.post_one(book, ledger.transfer(shop.provider, shop.seller, 10)).await;
        let hold = ledger.new_hold(shop.seller, 10);
        let placed = join_all((0..CLIENTS).map(|_| ledger.hold_one(book, hold.clone()))).await;
        let first = placed.iter().filter(|o| matches!(o, HoldOutcome::Placed { .. })).count();
        let replayed = placed.iter().filter(|o| matches!(o, HoldOutcome::Replayed { .. })).count();
        assert_eq!((first, replayed), (1, 7), "{placed:?}");
        let bites = join_all((0..CLIENTS).map(|_| async {
            let transaction = ledger.transfer(shop.seller, shop.provider, 3);
            ledger.capture(book, vec![NewCapture { hold: hold.id, transaction }]).await.expect("a call of capture")[0]
        }));
        let (bites, voided) = futures::join!(bites, ledger.void(book, hold.id));
        let captured = 3 * bites.iter().filter(|o| matches!(o, PostOutcome::Posted { .. })).count();
        let VoidOutcome::Voided { amount, .. } = voided else { panic!("one is always left: {voided:?}") };
        assert_eq!(usize::try_from(amount).expect("an amount") + captured, 10);
        let rest = ledger.post_one(book, ledger.transfer(shop.seller, shop.provider, amount)).await;
        assert!(matches!(rest, PostOutcome::Posted { .. }));
    }
    assert_eq!(ledger.verify(book).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_many_bring_at_once_is_posted_once() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    // Only striped accounts: nothing but the source itself makes these calls meet.
    for _ in 0..20 {
        let fact = ledger.transfer(shop.provider, shop.fees, 10);
        let bring = |_| {
            let alike = NewTransaction { id: ledger.id(), ..fact.clone() };
            ledger.post_one(book, alike)
        };
        let outcomes = join_all((0..CLIENTS).map(bring)).await;
        let posted = outcomes.iter().filter(|o| matches!(o, PostOutcome::Posted { .. })).count();
        let replayed = outcomes.iter().filter(|o| matches!(o, PostOutcome::Replayed { .. })).count();
        assert_eq!((posted, replayed), (1, 7), "{outcomes:?}");
    }
    assert_eq!(ledger.balance(book, shop.fees).await, 200);
    assert_eq!(ledger.verify(book).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_many_reverse_at_once_is_reversed_once() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    for _ in 0..10 {
        let original = ledger.transfer(shop.provider, shop.fees, 10);
        ledger.post_one(book, original.clone()).await;
        let outcomes = join_all((0..CLIENTS).map(|_| ledger.reverse(book, ledger.reversal(original.id)))).await;
        let outcomes: Vec<_> = outcomes.into_iter().map(|o| o.expect("a call of reverse")).collect();
        let posted = outcomes.iter().filter(|o| matches!(o, PostOutcome::Posted { .. })).count();
        let refused =
            outcomes.iter().filter(|o| matches!(o, PostOutcome::Refused(PostRefusal::AlreadyReversed { .. }))).count();
        assert_eq!((posted, refused), (1, 7), "{outcomes:?}");
    }
    assert_eq!(ledger.balance(book, shop.fees).await, 0);
    assert_eq!(ledger.verify(book).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_cross_each_other_neither_deadlock_nor_lose_anything() {
    use partita_ledger::{AccountClass::Single, NormalSide::Credit};
    let ledger = Arc::new(TestLedger::start().await);
    let book = ledger.book().await;
    let keys: Vec<_> = (0..6).map(|n| key(book, "EUR", n)).collect();
    let accounts = keys.iter().map(|k| account(*k, &format!("acc.{}", k.number()), Credit, Single)).collect();
    ledger.open(book, accounts).await;
    let client = |seed: u64| {
        let (ledger, keys) = (Arc::clone(&ledger), keys.clone());
        tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(seed);
            for _ in 0..40 {
                let mut slice = Vec::new();
                for _ in 0..random.random_range(1..5) {
                    let mut pick = keys.clone();
                    pick.shuffle(&mut random);
                    let mut transaction = ledger.transfer(pick[0], pick[1], 1);
                    transaction.postings.push(NewPosting { debit: pick[2], credit: pick[0], amount: 3, subject: 1 });
                    slice.push(transaction);
                }
                let outcomes = ledger.post(book, slice).await.expect("a call of post");
                assert!(outcomes.iter().all(|o| matches!(o, PostOutcome::Posted { .. })));
            }
        })
    };
    for ended in join_all((0..CLIENTS).map(client)).await {
        ended.expect("a client ends well");
    }
    let total: i128 = ledger.balances(book, keys.clone()).await.iter().map(partita_ledger::Balance::signed).sum();
    assert_eq!(total, 0);
    assert_eq!(ledger.verify(book).await, []);
    let mut admin = ledger.connect(Role::Admin).await;
    let deadlocks: i64 =
        sqlx::query_scalar("select deadlocks from pg_stat_database where datname = current_database()")
            .fetch_one(&mut admin)
            .await
            .expect("statistics");
    assert_eq!(deadlocks, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_clients_than_lanes_wait_for_one() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    ledger.tamper("delete from ledger_lanes where lane > 2; delete from ledger_day_positions where lane > 2").await;
    let outcomes =
        join_all((0..40).map(|_| ledger.post_one(book, ledger.transfer(shop.provider, shop.seller, 1)))).await;
    assert!(outcomes.iter().all(|o| matches!(o, PostOutcome::Posted { .. })));
    assert_eq!(ledger.balance(book, shop.seller).await, 40);
    assert_eq!(ledger.verify(book).await, []);
}
