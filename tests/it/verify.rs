//! Verify is always on: what it finds is kept, told, and halts the movement of money if the books cannot be trusted.

use partita::verify::{self, Depth, Kind, Report, VerifyError};
use partita::worker;
use serde_json::{Value, json};

use crate::support::{cart, taxed};
use crate::test_app::TestApp;

const DAY: i64 = 86_400;
const A_BALANCE: &str = "(account, stripe) = (select account, stripe from ledger_balances order by 1, 2 limit 1)";

/// A seller, a float and a paid cart whose money has arrived; and the seller.
async fn story(t: &TestApp) -> (Value, Value) {
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    t.top_up("float", 200_00, "EUR").await;
    let payment = t.pay(cart("order-1", "EUR", &[taxed(&a, 60_00, 12_00)])).await;
    t.advance(6 * DAY).await;
    (a, payment)
}

async fn check(t: &TestApp, depth: Depth) -> Report {
    verify::check(&t.app, t.book.id, depth).await.expect("verified")
}

fn codes(report: &Report) -> Vec<(&'static str, Kind)> {
    let mut codes: Vec<_> = report.findings.iter().map(|finding| (finding.code, finding.kind)).collect();
    codes.dedup();
    codes
}

async fn is_halted(t: &TestApp) -> bool {
    t.count("select count(*) from halted_books").await == 1
}

async fn break_a_balance(t: &TestApp) {
    assert_eq!(t.tamper(&format!("update ledger_balances set credits = credits + 1 where {A_BALANCE}")).await, 1);
}

async fn mend_the_balance(t: &TestApp) {
    assert_eq!(t.tamper(&format!("update ledger_balances set credits = credits - 1 where {A_BALANCE}")).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_book_that_contradicts_itself_starts_no_movement_of_money() {
    let t = TestApp::new().await;
    let (a, payment) = story(&t).await;
    let second = cart("order-2", "EUR", &[taxed(&a, 30_00, 6_00)]);
    let done = t.post("/v1/payments", "order-2", second.clone()).await;
    assert_eq!(done.status, 201);
    assert!(check(&t, Depth::Complete).await.is_clean());
    break_a_balance(&t).await;
    assert_eq!(codes(&check(&t, Depth::Complete).await), [("I2", Kind::Integrity)]);
    assert!(is_halted(&t).await);

    let refund = json!({"payment": payment["id"], "amount": 10_00});
    let top_up = json!({"amount": 5_00, "currency": "EUR", "reference": "more"});
    for (path, key, body) in [
        ("/v1/payments", "order-3", cart("order-3", "EUR", &[taxed(&a, 10_00, 0)])),
        ("/v1/refunds", "ret-1", refund.clone()),
        ("/v1/top_ups", "more", top_up),
    ] {
        let refused = t.post(path, key, body).await;
        assert_eq!(refused.headers["retry-after"], "300", "{path}");
        assert_eq!(refused.expect(503)["code"], "money_movement_halted", "{path}");
    }
    // What was answered before is answered again; what moves no money goes on.
    let again = t.post("/v1/payments", "order-2", second).await;
    assert_eq!((again.status, again.bytes), (201, done.bytes));
    t.seller("B", "DE", "EUR", "manual").await;
    assert_eq!(t.get("/v1/payments").await["data"].as_array().map(Vec::len), Some(2));
    let ready = t.send("GET", "/readyz", None, None).await;
    assert_eq!((ready.status, ready.text().contains("halted in 1 book")), (200, true));

    // The second payment's money arrives: that is booked, the transfer waits.
    let transfers = t.count("select count(*) from transfers").await;
    t.advance(6 * DAY).await;
    assert_eq!(t.count("select count(*) from transfers").await, transfers);
    assert_eq!(t.count("select count(*) from provider_movements where state = 'pending'").await, 0);

    mend_the_balance(&t).await;
    let cleared = verify::clear_halt(&t.app, t.book.id, "J. Doe", "restored, ticket 4711").await;
    assert!(cleared.expect("nothing is found any more").is_clean());
    assert!(!is_halted(&t).await);
    t.post("/v1/refunds", "ret-1", refund).await.expect(201);
    t.advance(DAY).await;
    assert!(t.count("select count(*) from transfers").await > transfers, "what waited was sent");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halt_is_cleared_by_a_person_and_only_when_nothing_is_found() {
    let t = TestApp::new().await;
    story(&t).await;
    let clear = async || verify::clear_halt(&t.app, t.book.id, "J. Doe", "looked at it").await;
    assert!(matches!(clear().await, Err(VerifyError::NotHalted)));
    break_a_balance(&t).await;
    check(&t, Depth::Complete).await;
    check(&t, Depth::Complete).await;
    assert!(matches!(clear().await, Err(VerifyError::NotClean { findings: 1 })));
    assert!(is_halted(&t).await);
    mend_the_balance(&t).await;
    // A clean run alone lifts nothing.
    assert!(check(&t, Depth::Complete).await.is_clean());
    assert!(is_halted(&t).await);
    clear().await.expect("nothing is found any more");
    assert!(matches!(clear().await, Err(VerifyError::NotHalted)));
    let kept = "select count(*) from halt_clearances where actor = 'J. Doe' and reason = 'looked at it'";
    assert_eq!(t.count(kept).await, 1);
    // Told once, however often it was found; and that it was cleared.
    let told = t.list("/v1/events").await;
    let of_verify = |kind: &str| told.iter().filter(|event| event["type"] == kind).count();
    assert_eq!((of_verify("verify.violation"), of_verify("verify.cleared")), (1, 1));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_invariant_says_of_which_kind_it_is_and_only_integrity_halts() {
    let of_top_up = "operation_id = (select id from operations where kind = 'create_top_up')";
    // Whatever is planted is of one statement; the stuck command needs its history to go with it.
    let stuck = "with history as (
            update operation_history set to_state = 'unknown' where to_state = 'succeeded' and {of} returning operation_id
        )
        update operations o set state = 'unknown', next_attempt_at = o.next_attempt_at - interval '40 days',
               updated_at = o.updated_at - interval '40 days'
        from history where o.id = history.operation_id";
    let plants: [(&str, &[(&str, Kind)]); 7] = [
        (
            "update ledger_postings set amount = -amount where ordinal = 1 and seq = 1",
            &[("I1", Kind::Integrity), ("I6", Kind::Integrity), ("I2", Kind::Integrity)],
        ),
        ("update ledger_balances set debits = debits + 1 where stripe = 0", &[("I2", Kind::Integrity)]),
        ("update ledger_transactions set actor = actor + 1 where seq = 1", &[("I6", Kind::Integrity)]),
        ("update payment_lines set tax_amount = tax_amount + 1", &[("I11", Kind::Agreement)]),
        ("update payments set status = 'processing'", &[("I8", Kind::Agreement)]),
        (stuck, &[("I7", Kind::Liveness)]),
        ("update transfers set payment_id = gen_random_uuid()", &[("I9", Kind::Integrity)]),
    ];
    for (plant, expected) in plants {
        let t = TestApp::new().await;
        let (_, payment) = story(&t).await;
        t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"], "amount": 10_00})).await.expect(201);
        t.settle().await;
        let plant = plant.replace("{of}", of_top_up);
        if plant.contains("-amount") {
            // Constraints stand even against a superuser.
            t.tamper("alter table ledger_postings drop constraint ledger_postings_amount_positive").await;
        }
        assert!(t.tamper(&plant).await > 0, "{plant}");
        let report = check(&t, Depth::Complete).await;
        for (code, kind) in expected {
            assert!(codes(&report).contains(&(code, *kind)), "{plant}: {:#?}", report.findings);
        }
        let integrity = expected.iter().any(|(_, kind)| *kind == Kind::Integrity);
        assert_eq!(is_halted(&t).await, integrity, "{plant}: {:#?}", report.findings);
        t.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_stands_twice_is_found_when_its_index_is_gone() {
    let t = TestApp::new().await;
    story(&t).await;
    t.tamper("alter table provider_movements drop constraint provider_movements_key_unique cascade").await;
    let doubled = "update provider_movements set key = (select min(key) from provider_movements)";
    assert!(t.tamper(doubled).await > 1);
    assert!(codes(&check(&t, Depth::Complete).await).contains(&("unique", Kind::Integrity)));
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_verifies_what_is_new_and_anchors_what_moved() {
    let t = TestApp::new().await;
    let (a, _) = story(&t).await;
    worker::verify_new(&t.app).await.expect("verified");
    let first = check(&t, Depth::New).await;
    assert_eq!((first.decisions, first.is_clean()), (0, true));
    t.pay(cart("order-2", "EUR", &[taxed(&a, 30_00, 0)])).await;
    let second = check(&t, Depth::New).await;
    assert!(second.decisions > 0 && second.position != first.position);

    worker::anchor_books(&t.app).await.expect("anchored");
    worker::anchor_books(&t.app).await.expect("nothing moved");
    assert_eq!(t.count("select count(*) from ledger_anchors where book_id = 1").await, 1);

    t.pay(cart("order-3", "EUR", &[taxed(&a, 20_00, 0)])).await;
    let newest =
        "(book_id, lane, seq) = (select book_id, lane, seq from ledger_transactions order by recorded_at desc limit 1)";
    t.tamper(&format!("update ledger_transactions set actor = actor + 1 where {newest}")).await;
    worker::verify_new(&t.app).await.expect("verified");
    assert!(is_halted(&t).await);
    let broken =
        "select count(*) from verify_runs where depth = 'new' and not clean and findings @> '[{\"code\": \"I6\"}]'";
    assert_eq!(t.count(broken).await, 1);
    t.tamper(&format!("update ledger_transactions set actor = actor - 1 where {newest}")).await;
    verify::clear_halt(&t.app, t.book.id, "J. Doe", "mended").await.expect("clean again");
    t.finish().await;
}
