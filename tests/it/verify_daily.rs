//! Verification that nobody asks for: what is new every minute, everything once a day.

use jiff::SignedDuration;
use partita::verify::{self, Kind};
use partita::worker;
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::support::{cart, taxed};
use crate::test_app::TestApp;

const DAY: i64 = 86_400;

/// What is broken, how, and whether the worker halts the book for it.
const PLANTS: [(&str, &str, bool); 8] = [
    ("I5", "update provider_movements set key = -key where object_type = 'payment'", false),
    ("I5", "update ledger_accounts set path = 'clr.' || path where path = 'rev.commission'", false),
    ("I8", "update payments set status = 'processing'", false),
    ("I8", "delete from outbox where event_type = 'payment.created'", false),
    ("I9", "update transfers set payment_id = gen_random_uuid()", true),
    ("I11", "update payment_lines set tax_amount = tax_amount + 1", false),
    ("I11", "update payments set refunded_amount = refunded_amount + 1", false),
    ("I11", "update payment_lines set commission = commission + 1000", false),
];

/// A paid cart whose seller has got its share, and ten of it given back.
async fn story(t: &TestApp) -> Value {
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    t.top_up("float", 200_00, "EUR").await;
    let payment = t.pay(cart("order-1", "EUR", &[taxed(&a, 60_00, 12_00)])).await;
    t.advance(6 * DAY).await;
    t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"], "amount": 10_00})).await.expect(201);
    t.settle().await;
    payment
}

/// Lets a day pass without doing what is due in it but verification.
async fn next_day(t: &TestApp) -> usize {
    t.clock.set(t.clock.now() + SignedDuration::from_secs(DAY));
    worker::verify_complete(&t.app).await.expect("the queue")
}

/// Everything was written a day ago, as far as the database tells.
async fn age(t: &TestApp) {
    for table in ["outbox", "state_history", "operation_history", "provider_movements"] {
        t.tamper(&format!("update {table} set recorded_at = recorded_at - interval '1 day'")).await;
    }
}

async fn is_halted(t: &TestApp) -> bool {
    t.count("select count(*) from halted_books where book_id = 1").await == 1
}

async fn told(t: &TestApp) -> i64 {
    t.count("select count(*) from outbox where event_type = 'verify.violation'").await
}

/// Invariants that stored runs of a depth found broken.
async fn found(t: &TestApp, depth: &str) -> Vec<String> {
    let admin = sqlx::PgPool::connect(&t.database.url(partita_postgres::Role::Admin)).await.expect("admin");
    let codes = sqlx::query_scalar(
        "select distinct f ->> 'code' from verify_runs, jsonb_array_elements(findings) f where depth = $1 order by 1",
    )
    .bind(depth)
    .fetch_all(&admin)
    .await
    .expect("runs");
    admin.close().await;
    codes
}

/// How many contradictions of a kind are told by the metric.
async fn broken(t: &TestApp, kind: Kind) -> i64 {
    let counts = t
        .app
        .db
        .read("what is broken", partita_db::Scope::Book(t.book.id), |tx| Box::pin(verify::count_broken(tx)))
        .await
        .expect("counted");
    counts.into_iter().filter(|(of, _)| *of == kind).map(|(_, count)| count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_broken_is_found_within_a_day_without_anybody_asking() {
    for (code, plant, halts) in PLANTS {
        let t = TestApp::new().await;
        story(&t).await;
        verify::schedule(&t.app).await.expect("scheduled");
        assert_eq!(next_day(&t).await, 2, "the platform's two books");
        assert_eq!(found(&t, "complete").await, [""; 0], "{plant}");
        assert!(t.tamper(plant).await > 0, "{plant}");
        assert_eq!(worker::verify_complete(&t.app).await.expect("the queue"), 0, "not twice in a day");
        assert_eq!(next_day(&t).await, 2);
        assert!(found(&t, "complete").await.contains(&code.to_owned()), "{plant}");
        assert_eq!((is_halted(&t).await, told(&t).await), (halts, 1), "{plant}");
        // The same thing on the next day is no news.
        assert_eq!(next_day(&t).await, 2);
        assert_eq!(told(&t).await, 1, "{plant}");
        t.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_is_checked_every_minute() {
    for (code, plant, halts) in PLANTS {
        let t = TestApp::new().await;
        story(&t).await;
        worker::verify_new(&t.app).await.expect("verified");
        assert_eq!(found(&t, "new").await, [""; 0], "{plant}");
        assert!(t.tamper(plant).await > 0, "{plant}");
        worker::verify_new(&t.app).await.expect("verified");
        assert!(found(&t, "new").await.contains(&code.to_owned()), "{plant}");
        assert_eq!((is_halted(&t).await, told(&t).await), (halts, 1), "{plant}");
        t.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_object_is_looked_at_again_when_it_moves_and_stays_told_until_everything_is_clean() {
    let t = TestApp::new().await;
    let payment = story(&t).await;
    worker::verify_new(&t.app).await.expect("verified");
    age(&t).await;
    t.tamper("update payments set refunded_amount = refunded_amount + 1").await;
    worker::verify_new(&t.app).await.expect("verified");
    assert_eq!(found(&t, "new").await, [""; 0], "nothing changed that tells");
    t.post("/v1/refunds", "ret-2", json!({"payment": payment["id"], "amount": 5_00})).await.expect(201);
    t.settle().await;
    worker::verify_new(&t.app).await.expect("verified");
    assert_eq!(found(&t, "new").await, ["I11"]);
    assert_eq!((broken(&t, Kind::Agreement).await, told(&t).await, is_halted(&t).await), (1, 1, false));

    // It changes no more, and is as broken as before.
    age(&t).await;
    worker::verify_new(&t.app).await.expect("verified");
    let clean = "select count(*) from (select clean from verify_runs where book_id = 1 order by finished_at desc limit 1) x where clean";
    assert_eq!(t.count(clean).await, 1);
    assert_eq!((broken(&t, Kind::Agreement).await, told(&t).await), (1, 1));
    t.tamper("update payments set refunded_amount = refunded_amount - 1").await;
    verify::schedule(&t.app).await.expect("scheduled");
    assert_eq!(next_day(&t).await, 2);
    assert_eq!(broken(&t, Kind::Agreement).await, 0);
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn complete_runs_come_one_at_a_time_and_hold_up_nothing() {
    let t = TestApp::new().await;
    story(&t).await;
    verify::schedule(&t.app).await.expect("scheduled");
    verify::schedule(&t.app).await.expect("scheduled again, which changes nothing");
    assert_eq!(t.count("select count(distinct due_at) from due where kind = 'verify'").await, 2, "spread over the day");
    // Another process is at it.
    let mut other = sqlx::PgConnection::connect(&t.database.url(partita_postgres::Role::Admin)).await.expect("admin");
    let take = "select pg_advisory_lock(hashtextextended('partita complete verify', 0))";
    sqlx::query(take).execute(&mut other).await.expect("taken");
    assert_eq!(next_day(&t).await, 0);
    worker::verify_new(&t.app).await.expect("verified");
    assert_eq!(t.count("select count(*) from verify_runs where depth = 'complete'").await, 0);
    assert_eq!(t.count("select count(*) from verify_runs where depth = 'new'").await, 2);
    sqlx::query("select pg_advisory_unlock_all()").execute(&mut other).await.expect("released");
    other.close().await.expect("closed");
    t.clock.set(t.clock.now() + SignedDuration::from_mins(1));
    assert_eq!(worker::verify_complete(&t.app).await.expect("the queue"), 2);
    let rows = "select count(*) from verify_runs where depth = 'complete' and clean and (book_id <> 1 or postings > 0)";
    assert_eq!(t.count(rows).await, 2);
    t.close().await;
}
