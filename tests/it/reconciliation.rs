//! Reconciliation and `verify`: what agrees is silent, each planted difference has its name, and nothing is adjusted.

use std::collections::BTreeSet;

use jiff::Timestamp;
use partita::worker;
use serde_json::{Value, json};

use crate::support::{cart, item, taxed};
use crate::test_app::{DAY, TestApp, text};

/// A payment that went its whole way: charged, released, transferred, paid out.
async fn story(t: &TestApp) -> Value {
    t.control.set_fees("eur", 250, 20).await.expect("2.5 % + 0.20");
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "daily").await;
    t.top_up("float", 200_00, "EUR").await;
    let payment = t.pay(cart("order-1", "EUR", &[taxed(&a, 60_00, 12_00)])).await;
    t.advance(6 * DAY).await;
    payment
}

/// The kinds of the breaks of a fresh run, and the run itself checked against them.
async fn breaks(t: &TestApp) -> Vec<Value> {
    let run = t.send("POST", "/v1/reconciliation/runs", None, Some(json!({}))).await.expect(201);
    assert_eq!((&run["status"], &run["error"]), (&json!("succeeded"), &Value::Null));
    let breaks = run["breaks"].as_array().expect("a list").clone();
    assert_eq!(run["break_count"], json!(breaks.len()));
    let listed = t.list(&format!("/v1/reconciliation/runs/{}/breaks", text(&run["id"]))).await;
    assert_eq!(listed.len(), breaks.len());
    breaks
}

fn kinds(breaks: &[Value]) -> BTreeSet<String> {
    breaks.iter().map(|found| text(&found["kind"])).collect()
}

fn only(kind: &str) -> BTreeSet<String> {
    BTreeSet::from([kind.to_owned()])
}

/// Moves both clocks and lets the worker work, without a single webhook.
async fn advance_without_webhooks(t: &TestApp, seconds: i64) {
    let mut left = seconds;
    while left > 0 {
        let now = t.control.advance(left.min(DAY)).await.expect("advanced");
        t.clock.set(Timestamp::from_second(now).expect("a time"));
        worker::drain(&t.app).await.expect("drained");
        left -= DAY;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_over_agreeing_books_matches_everything_and_says_what_it_saw() {
    let t = TestApp::new().await;
    story(&t).await;
    let run = t.send("POST", "/v1/reconciliation/runs", None, None).await.expect(201);
    assert_eq!((&run["break_count"], &run["accounts"], &run["adopted"]), (&json!(0), &json!(2), &json!(0)));
    assert_eq!(run["matched"], json!(t.count("select count(*) from provider_movements").await));
    let balances = run["balances"].as_array().expect("a list");
    assert_eq!(balances.len(), 2, "the platform's euros and the seller's");
    for row in balances {
        for state in row["states"].as_array().expect("a list") {
            assert_eq!(state["ledger"], state["provider"], "{row}");
        }
    }
    let again = t.get(&format!("/v1/reconciliation/runs/{}", text(&run["id"]))).await;
    assert_eq!(again, run);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_planted_difference_has_its_name_and_nothing_is_adjusted() {
    let t = TestApp::new().await;
    story(&t).await;
    let charge = "account = '' and kind = 'charge'";
    let table = [
        (
            "fee_mismatch",
            format!("update provider_movements set fee = fee + 1, amount = amount + 1 where {charge}"),
            format!("update provider_movements set fee = fee - 1, amount = amount - 1 where {charge}"),
        ),
        (
            "currency_mismatch",
            format!("update provider_movements set currency = 'USD' where {charge}"),
            format!("update provider_movements set currency = 'EUR' where {charge}"),
        ),
        (
            "amount_mismatch",
            "update ledger_postings set amount = amount + 1 where ordinal = 1 and (book_id, lane, seq) in
                 (select book_id, lane, seq from ledger_transactions where kind = 1)"
                .to_owned(),
            "update ledger_postings set amount = amount - 1 where ordinal = 1 and (book_id, lane, seq) in
                 (select book_id, lane, seq from ledger_transactions where kind = 1)"
                .to_owned(),
        ),
        (
            "missing_at_provider",
            "insert into provider_movements (book_id, key, provider, account, movement_id, kind, amount, fee, net, currency,
                                             state, available_on, created_on, object_type)
             select book_id, 1, provider, account, 'txn_nobody_made', kind, amount, fee, net, currency, state, available_on,
                    created_on, object_type
             from provider_movements where account = '' and kind = 'charge'"
                .to_owned(),
            "delete from provider_movements where movement_id = 'txn_nobody_made'".to_owned(),
        ),
        (
            "balance_mismatch",
            "update ledger_balances set debits = debits + 5 where (book_id, account, stripe) in (
                 select b.book_id, b.account, b.stripe from ledger_balances b
                 join ledger_accounts a on a.book_id = b.book_id and a.account = b.account
                 where a.path = 'prov.available' order by b.stripe limit 1)"
                .to_owned(),
            "update ledger_balances set debits = debits - 5 where (book_id, account, stripe) in (
                 select b.book_id, b.account, b.stripe from ledger_balances b
                 join ledger_accounts a on a.book_id = b.book_id and a.account = b.account
                 where a.path = 'prov.available' order by b.stripe limit 1)"
                .to_owned(),
        ),
    ];
    for (kind, plant, undo) in table {
        assert_eq!(t.tamper(&plant).await, 1, "{kind}");
        let balances = t.balances().await;
        let found = breaks(&t).await;
        assert_eq!(kinds(&found), only(kind), "{found:#?}");
        let again = breaks(&t).await;
        assert_eq!(kinds(&again), only(kind), "nothing was adjusted");
        assert_eq!(t.balances().await, balances, "{kind}: nothing was adjusted");
        assert_eq!(t.tamper(&undo).await, 1, "{kind}");
        assert_eq!(breaks(&t).await, Vec::<Value>::new(), "{kind}");
    }
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_do_at_the_provider_is_missing_in_the_ledger_and_stays_so() {
    let t = TestApp::new().await;
    story(&t).await;
    let before = t.balances().await;
    t.at_provider("POST", "/v1/topups", &[("amount", "7000"), ("currency", "eur")]).await;
    let form = [
        ("amount", "5000"),
        ("currency", "eur"),
        ("confirm", "true"),
        ("payment_method", "pm_card_bypassPending"),
        ("automatic_payment_methods[enabled]", "true"),
        ("automatic_payment_methods[allow_redirects]", "never"),
    ];
    t.at_provider("POST", "/v1/payment_intents", &form).await;
    t.settle().await;
    let young = breaks(&t).await;
    assert_eq!(
        kinds(&young),
        BTreeSet::from(["timing".to_owned(), "balance_mismatch".to_owned()]),
        "may be on its way: {young:#?}"
    );
    t.advance(121).await;
    t.control.create_payout(None, 10_00, "eur").await.expect("paid out");
    t.advance(121).await;
    let found = breaks(&t).await;
    assert_eq!(kinds(&found), BTreeSet::from(["missing_in_ledger".to_owned(), "balance_mismatch".to_owned()]));
    let missing: Vec<i64> = found
        .iter()
        .filter(|b| b["kind"] == "missing_in_ledger")
        .map(|b| b["provider_amount"].as_i64().expect("minor"))
        .collect();
    assert_eq!(missing.iter().sum::<i64>(), 70_00 + 50_00 - 1_45 - 10_00, "{found:#?}");
    assert_eq!(t.balances().await, before, "never adjusted");
    assert!(t.findings().await.is_empty(), "the books themselves are whole");
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_movement_whose_row_was_deleted_is_found_on_both_sides() {
    let t = TestApp::new().await;
    story(&t).await;
    // Of a transfer the platform's own side is gone; the object knows that it is done, so nobody books it again.
    assert_eq!(t.tamper("delete from provider_movements where account = '' and kind = 'transfer'").await, 1);
    let found = breaks(&t).await;
    assert_eq!(kinds(&found), only("missing_in_ledger"), "{found:#?}");
    assert_eq!(breaks(&t).await.len(), found.len());
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_became_usable_unnoticed_is_booked_by_the_run() {
    let t = TestApp::new().await;
    t.control.set_fees("eur", 0, 0).await.expect("free of charge");
    let a = t.seller("A", "DE", "EUR", "manual").await;
    t.pay(cart("order-1", "EUR", &[item(&a, 60_00)])).await;
    t.control.advance(4 * DAY).await.expect("the provider's clock alone");
    assert_eq!(breaks(&t).await, Vec::<Value>::new());
    assert_eq!(t.balances().await["prov.available EUR"], 60_00);
    t.clock.set(Timestamp::from_second(t.control.now()).expect("a time"));
    t.settle().await;
    assert_eq!(t.balances().await["conn.available.A EUR"], 60_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_the_ledger_has_in_another_state_is_a_matter_of_timing() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    t.pay(cart("order-1", "EUR", &[item(&a, 60_00)])).await;
    // The movement is marked, its booking is missing: nobody looks at it again.
    assert_eq!(t.tamper("update provider_movements set state = 'available'").await, 1);
    t.control.advance(4 * DAY).await.expect("advanced");
    let found = breaks(&t).await;
    assert_eq!(kinds(&found), BTreeSet::from(["timing".to_owned(), "balance_mismatch".to_owned()]), "{found:#?}");
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_webhook_lost_reconciliation_learns_the_rest() {
    let t = TestApp::new().await;
    t.control.set_fees("eur", 250, 20).await.expect("2.5 % + 0.20");
    let a = t.seller("A", "DE", "EUR", "daily").await;
    let body = json!({"reference": "float", "amount": 200_00, "currency": "EUR"});
    t.post("/v1/top_ups", "float", body).await.expect(201);
    t.post("/v1/payments", "order-1", cart("order-1", "EUR", &[item(&a, 60_00)])).await.expect(201);
    advance_without_webhooks(&t, 6 * DAY).await;
    assert_eq!(t.count("select count(*) from payouts").await, 0, "nobody told us");
    let run = t.send("POST", "/v1/reconciliation/runs", None, None).await.expect(201);
    assert_eq!((&run["break_count"], &run["adopted"]), (&json!(0), &json!(2)), "the top-up and the payout: {run:#}");
    assert_eq!(t.list("/v1/top_ups").await[0]["status"], "succeeded");
    let payouts = t.list("/v1/payouts").await;
    assert_eq!((payouts.len(), &payouts[0]["amount"]), (1, &json!(60_00)));
    assert_eq!(t.reconcile().await.adopted, 0);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_reserves_for_a_seller_below_zero_is_booked() {
    let t = TestApp::new().await;
    let payment = story(&t).await;
    let refund = json!({"payment": payment["id"], "lines": [{"line": 0, "amount": 25_00}]});
    t.post("/v1/refunds", "ret-1", refund).await.expect(201);
    t.settle().await;
    assert_eq!(t.reconcile().await.breaks, 0);
    let balances = t.balances().await;
    assert_eq!((balances["prov.reserved EUR"], balances["conn.available.A EUR"]), (22_50, -22_50));
    let platform = t.control.balance(None).await.expect("a balance");
    assert_eq!(platform["connect_reserved"][0]["amount"], json!(22_50));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_each_planted_contradiction_and_nothing_else() {
    let t = TestApp::new().await;
    let payment = story(&t).await;
    t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"], "amount": 30_00})).await.expect(201);
    t.settle().await;
    t.reconcile().await;
    assert_eq!(t.findings().await, Vec::<String>::new());
    let charge = "(book_id, lane, seq) = (select book_id, lane, seq from ledger_transactions where kind = 1)";
    let one_balance = "(account, stripe) = (select account, stripe from ledger_balances order by 1, 2 limit 1)";
    let table: Vec<(String, String, &[&str])> = vec![
        (
            format!("update ledger_postings set amount = amount + 1 where ordinal = 1 and {charge}"),
            format!("update ledger_postings set amount = amount - 1 where ordinal = 1 and {charge}"),
            &["ledger: lane", "ledger: account"],
        ),
        (
            format!("update ledger_balances set credits = credits + 1 where {one_balance}"),
            format!("update ledger_balances set credits = credits - 1 where {one_balance}"),
            &["ledger: account"],
        ),
        (
            "update ledger_transactions set actor = actor + 1 where kind = 1".into(),
            "update ledger_transactions set actor = actor - 1 where kind = 1".into(),
            &["ledger: lane"],
        ),
        (
            "update payment_lines set tax_amount = tax_amount + 1".into(),
            "update payment_lines set tax_amount = tax_amount - 1".into(),
            &["lines and taxes sum"],
        ),
        (
            "update payment_lines set returned_commission = returned_commission - 1".into(),
            "update payment_lines set returned_commission = returned_commission + 1".into(),
            &["refunds of a line"],
        ),
        (
            "update payments set refunded_amount = refunded_amount - 1".into(),
            "update payments set refunded_amount = refunded_amount + 1".into(),
            &["refunds of a payment"],
        ),
        (
            "update transfers set reversed_amount = reversed_amount - 1".into(),
            "update transfers set reversed_amount = reversed_amount + 1".into(),
            &["reversals of a transfer"],
        ),
        (
            "update payments set status = 'processing'".into(),
            "update payments set status = 'succeeded'".into(),
            &["the newest event"],
        ),
        (
            "update operations set state = 'failed' where kind = 'create_refund'".into(),
            "update operations set state = 'succeeded' where kind = 'create_refund'".into(),
            &["operations went only where they may"],
        ),
        (
            "update operation_history set from_state = 'failed' where to_state = 'succeeded' and operation_id =
                 (select id from operations where kind = 'create_refund')"
                .into(),
            "update operation_history set from_state = 'submitting' where to_state = 'succeeded' and operation_id =
                 (select id from operations where kind = 'create_refund')"
                .into(),
            &["operations went only where they may"],
        ),
    ];
    for (plant, undo, expected) in table {
        assert_eq!(t.tamper(&plant).await, 1, "{plant}");
        let findings = t.findings().await;
        for start in expected {
            assert!(findings.iter().any(|finding| finding.starts_with(start)), "{plant}: {findings:#?}");
        }
        assert!(
            findings.iter().all(|finding| expected.iter().any(|start| finding.starts_with(start))),
            "{plant}: {findings:#?}"
        );
        assert_eq!(t.tamper(&undo).await, 1, "{undo}");
        assert_eq!(t.findings().await, Vec::<String>::new(), "{undo}");
    }
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_what_was_deleted_and_money_stuck_in_clearing() {
    let t = TestApp::new().await;
    let payment = story(&t).await;
    t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"], "amount": 30_00})).await.expect(201);
    t.settle().await;
    for (damage, expected) in [
        ("update ledger_lanes set head = sha256(head) where seq > 0", "ledger: lane"),
        (
            "delete from state_history where to_state = 'succeeded' and object_type = 'payment' and sequence = 2",
            "every change of state",
        ),
        ("delete from outbox where object_type = 'transfer' and sequence = 1", "every change of state"),
        ("delete from ledger_transactions where kind = 21", "every movement is booked"),
        (
            "delete from ledger_postings where (book_id, lane, seq) in (select book_id, lane, seq from ledger_transactions where kind = 11)",
            "clearing is zero",
        ),
    ] {
        assert!(t.tamper(damage).await > 0, "{damage}");
        let findings = t.findings().await;
        assert!(findings.iter().any(|finding| finding.starts_with(expected)), "{damage}: {findings:#?}");
    }
    t.close().await;
}
