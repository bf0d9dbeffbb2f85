//! Lines whose share waits: how long it may be held, who else reckons with it, and what is refused.

use serde_json::{Value, json};

use crate::bank_payouts::by_bank;
use crate::destinations::sent;
use crate::held_lines::{hold, line_path, release, told};
use crate::reserves::market;
use crate::support::{cart, item, paid_with};
use crate::test_app::{DAY, TestApp, text};

async fn declare(t: &TestApp, policy: Value) -> Value {
    t.send("PUT", "/v1/release_policy", None, Some(policy)).await.expect(200)
}

async fn stuck(t: &TestApp) -> Vec<(String, String, i64)> {
    let all = t.list("/v1/stuck_money").await;
    let row = |one: &Value| (text(&one["cause"]), text(&one["status"]), one["amount"].as_i64().expect("an amount"));
    all.iter().map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_told_once_before_its_limit_once_at_it_and_waits_for_a_person() {
    let t = TestApp::new().await;
    let a = market(&t).await;
    partita::worker::schedule_stuck_money(&t.app).await.expect("scheduled");
    let payment = t.pay(cart("order-1", "EUR", &[item(&a, 60_00)])).await;
    hold(&t, &payment, 0, "hold").await.expect(200);
    t.advance(82 * DAY).await;
    assert_eq!(told(&t).await, ["payment_line.held"]);
    t.advance(DAY).await;
    assert_eq!(told(&t).await, ["payment_line.held", "payment_line.limit_near"]);
    t.advance(6 * DAY).await;
    assert_eq!(told(&t).await.len(), 2, "told once");
    assert!(stuck(&t).await.is_empty());
    t.advance(3 * DAY).await;
    let kinds = ["payment_line.held", "payment_line.limit_near", "payment_line.limit_reached"];
    assert_eq!(told(&t).await, kinds);
    assert_eq!(stuck(&t).await, [("held_too_long".to_owned(), "open".to_owned(), 54_00)]);
    assert_eq!(t.balances().await["sel.A.pending EUR"], 54_00, "it is kept");
    release(&t, &payment, 0, "release").await.expect(200);
    t.advance(2 * DAY).await;
    assert_eq!(stuck(&t).await, [("held_too_long".to_owned(), "cleared".to_owned(), 54_00)]);
    assert_eq!(t.balances().await["conn.available.A EUR"], 54_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_declared_so_it_is_released_at_the_limit_of_its_sellers_country() {
    let t = TestApp::new().await;
    let a = market(&t).await;
    let declared = declare(
        &t,
        json!({"release": {"from": "request"}, "countries": [{"country": "DE", "longest_hold_days": 10}],
               "warn_days": 3, "at_limit": "release"}),
    )
    .await;
    assert_eq!((&declared["version"], &declared["longest_hold_days"]), (&json!(1), &json!(90)));
    let payment = t.pay(cart("order-1", "EUR", &[item(&a, 60_00)])).await;
    // What is declared later holds for later payments.
    declare(&t, json!({"release": {"from": "available"}})).await;
    t.advance(6 * DAY).await;
    assert_eq!(told(&t).await, ["payment_line.waiting"]);
    t.advance(DAY).await;
    assert_eq!(told(&t).await, ["payment_line.waiting", "payment_line.limit_near"]);
    t.advance(2 * DAY).await;
    assert_eq!(t.balances().await["sel.A.pending EUR"], 54_00);
    t.advance(DAY).await;
    assert_eq!(t.balances().await["conn.available.A EUR"], 54_00);
    assert_eq!(told(&t).await, ["payment_line.waiting", "payment_line.limit_near", "payment_line.released"]);
    assert_eq!(t.payment(&payment).await["lines"][0]["release"]["released_amount"], 54_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn some_days_after_the_money_is_usable_and_at_once_where_a_line_says_so() {
    let t = TestApp::new().await;
    let a = market(&t).await;
    declare(&t, json!({"release": {"from": "available", "after_days": 5}})).await;
    let mut at_once = item(&a, 40_00);
    at_once["release"] = json!({"from": "available"});
    let payment = t.pay(cart("order-1", "EUR", &[item(&a, 60_00), at_once])).await;
    t.advance(4 * DAY).await;
    let usable = t.payment(&payment).await;
    assert_eq!((&usable["funds"], &usable["lines"][1]["release"]), (&json!("available"), &Value::Null));
    assert_eq!(t.balances().await["conn.available.A EUR"], 36_00);
    let at: jiff::Timestamp = text(&usable["lines"][0]["release"]["release_at"]).parse().expect("a time");
    let left = at.as_second() - t.clock.now().as_second();
    assert!((DAY..=5 * DAY).contains(&left), "{at}");
    t.advance(left - 60).await;
    assert_eq!(t.balances().await["sel.A.pending EUR"], 54_00);
    t.advance(60).await;
    assert_eq!(t.balances().await["conn.available.A EUR"], 90_00);
    assert_eq!(told(&t).await, ["payment_line.waiting", "payment_line.released"]);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_who_is_paid_by_bank_is_not_paid_what_waits() {
    let t = TestApp::new().await;
    let a = by_bank(&t).await;
    let payment = t.pay(cart("order-1", "EUR", &[item(&a, 40_00)])).await;
    hold(&t, &payment, 0, "hold").await.expect(200);
    t.advance(4 * DAY).await;
    assert_eq!(t.count("select count(*) from bank_payables").await, 0);
    release(&t, &payment, 0, "release").await.expect(200);
    t.settle().await;
    assert_eq!(t.count("select sum(amount)::bigint from bank_payables").await, 36_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_pays_itself_nothing_of_what_waits() {
    let t = TestApp::new().await;
    t.control.set_fees("eur", 0, 0).await.expect("free");
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let held = t.pay(cart("order-1", "EUR", &[item(&a, 60_00)])).await;
    hold(&t, &held, 0, "hold").await.expect(200);
    t.advance(4 * DAY).await;
    // Not usable yet: its commission must not stand for the 54.00 that wait.
    t.pay(cart("order-2", "EUR", &[item(&a, 60_00)])).await;
    let body = |amount: i64| json!({"reference": format!("own-{amount}"), "amount": amount, "currency": "EUR"});
    t.post("/v1/platform_payouts", "own-1", body(6_01)).await.expect(422);
    t.post("/v1/platform_payouts", "own-2", body(6_00)).await.expect(201);
    t.advance(4 * DAY).await;
    release(&t, &held, 0, "release").await.expect(200);
    t.settle().await;
    assert_eq!(t.balances().await["conn.available.A EUR"], 108_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_in_a_state_that_does_not_allow_it_is_refused_by_its_name() {
    let t = TestApp::new().await;
    let a = market(&t).await;
    let payment = t.pay(cart("order-1", "EUR", &[item(&a, 60_00), item(&a, 40_00)])).await;
    let conflict = async |path: String, key: &str, state: &str| {
        let counts = t.row_counts().await;
        let problem = t.post(&path, key, json!({})).await.expect(409);
        assert_eq!(problem["code"], "state_conflict");
        assert!(text(&problem["detail"]).contains(&format!(" is {state} ")), "{problem:#}");
        assert_eq!(t.row_counts().await, counts, "{path}: nothing was stored");
    };
    conflict(line_path(&payment, 0, "release"), "1", "waiting").await;
    hold(&t, &payment, 1, "hold").await.expect(200);
    conflict(line_path(&payment, 1, "hold"), "2", "held").await;
    t.advance(4 * DAY).await;
    conflict(line_path(&payment, 0, "hold"), "3", "released").await;
    conflict(line_path(&payment, 0, "release"), "4", "released").await;
    release(&t, &payment, 1, "release").await.expect(200);
    conflict(line_path(&payment, 1, "hold"), "5", "released").await;
    conflict(line_path(&payment, 1, "release"), "6", "released").await;
    let declined = paid_with(cart("order-2", "EUR", &[item(&a, 60_00)]), "pm_card_chargeDeclined");
    t.post("/v1/payments", "order-2", declined).await.expect(402);
    let failed = t.list("/v1/payments?status=failed").await.remove(0);
    conflict(line_path(&failed, 0, "hold"), "7", "failed").await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_with_its_place_and_changes_nothing() {
    let t = TestApp::new().await;
    let a = market(&t).await;
    let lines = [item(&a, 60_00), json!({"type": "platform", "amount": 5_00})];
    let payment = t.pay(cart("order-1", "EUR", &lines)).await;
    let direct = t.pay(sent("order-2", &[item(&a, 60_00)])).await;
    let counts = t.row_counts().await;
    let refused = async |path: &str, body: Value, pointer: &str, code: &str| {
        let method = if path.ends_with("policy") { "PUT" } else { "POST" };
        let problem = t.send(method, path, Some(&format!("{path}:{pointer}:{code}")), Some(body)).await;
        let error = problem.expect(422)["errors"][0].clone();
        assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!(code)), "{path}");
    };
    refused(&line_path(&payment, 1, "hold"), json!({}), "#", "not_allowed").await;
    refused(&line_path(&direct, 0, "hold"), json!({}), "#", "not_allowed").await;
    refused(&line_path(&direct, 0, "release"), json!({}), "#", "not_allowed").await;
    let later = json!({"delivered_at": "2026-03-03T09:00:00Z"});
    refused(&line_path(&payment, 0, "release"), later, "#/delivered_at", "out_of_range").await;
    let before = json!({"delivered_at": "2026-03-01T09:00:00Z"});
    refused(&line_path(&payment, 0, "release"), before, "#/delivered_at", "out_of_range").await;
    let with = |rule: Value, line: usize| {
        let mut lines = lines.clone();
        lines[line]["release"] = rule;
        cart("order-3", "EUR", &lines)
    };
    let days = json!({"from": "delivery", "after_days": 91});
    refused("/v1/payments", with(days, 0), "#/lines/0/release/after_days", "out_of_range").await;
    let request = json!({"from": "request", "after_days": 1});
    refused("/v1/payments", with(request, 0), "#/lines/0/release/after_days", "not_allowed").await;
    refused("/v1/payments", with(json!({"from": "delivery"}), 1), "#/lines/1/release", "not_allowed").await;
    let mut waits = with(json!({"from": "delivery", "after_days": 14}), 0);
    waits["charge_type"] = json!("destination");
    refused("/v1/payments", waits, "#/charge_type", "not_allowed").await;
    let policy = |more: Value| {
        let mut policy = json!({"release": {"from": "available"}});
        policy.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        policy
    };
    let path = "/v1/release_policy";
    refused(path, policy(json!({"longest_hold_days": 731})), "#/longest_hold_days", "out_of_range").await;
    refused(path, policy(json!({"warn_days": 0})), "#/warn_days", "out_of_range").await;
    let limit = |days: i32| json!({"country": "DE", "longest_hold_days": days});
    let twice = policy(json!({"countries": [limit(10), limit(20)]}));
    refused(path, twice, "#/countries/1/country", "not_allowed").await;
    let none = policy(json!({"countries": [limit(0)]}));
    refused(path, none, "#/countries/0/longest_hold_days", "out_of_range").await;
    let long = policy(json!({"release": {"from": "delivery", "after_days": 91}}));
    refused(path, long, "#/release/after_days", "out_of_range").await;
    t.post(&line_path(&payment, 7, "hold"), "no-such-line", json!({})).await.expect(404);
    t.post(&format!("/v1/payments/{}/lines/x/hold", text(&payment["id"])), "x", json!({})).await.expect(404);
    assert_eq!(t.row_counts().await, counts, "nothing was stored");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_wait_makes_separate_charges_of_declared_destinations() {
    let t = TestApp::new().await;
    let a = market(&t).await;
    t.send("PUT", "/v1/charge_policy", None, Some(json!({"charge_type": "destination"}))).await.expect(200);
    declare(&t, json!({"release": {"from": "delivery", "after_days": 3}})).await;
    let payment = t.pay(cart("order-1", "EUR", &[item(&a, 60_00)])).await;
    assert_eq!(payment["charge_type"], "separate");
    let explicit = sent("order-2", &[item(&a, 60_00)]);
    t.post("/v1/payments", "order-2", explicit).await.expect(422);
    t.advance(4 * DAY).await;
    let body = json!({"delivered_at": "2026-03-02T09:00:00Z"});
    t.post(&line_path(&payment, 0, "release"), "arrived", body).await.expect(200);
    t.settle().await;
    assert_eq!(t.balances().await["conn.available.A EUR"], 54_00, "its third day is over");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_in_part_leaves_less_to_wait_and_a_line_that_is_let_go_nothing() {
    let t = TestApp::new().await;
    let a = market(&t).await;
    let mut held = cart("order-1", "EUR", &[item(&a, 60_00), item(&a, 40_00)]);
    held["capture_method"] = json!("manual");
    for line in 0..2 {
        held["lines"][line]["release"] = json!({"from": "request"});
    }
    let payment = t.post("/v1/payments", "order-1", held).await.expect(201);
    assert_eq!(payment["lines"][0]["release"]["limit_at"], Value::Null, "nothing is charged yet");
    let part = json!({"lines": [{"line": 0, "amount": 30_00}]});
    t.post(&format!("/v1/payments/{}/capture", text(&payment["id"])), "capture", part).await.expect(200);
    t.advance(4 * DAY).await;
    assert_eq!(t.balances().await["sel.A.pending EUR"], 27_00);
    for line in 0..2 {
        release(&t, &payment, line, &format!("release-{line}")).await.expect(200);
    }
    t.settle().await;
    assert_eq!(t.balances().await["conn.available.A EUR"], 27_00);
    let shown = t.payment(&payment).await;
    let released = [0, 1].map(|line: usize| shown["lines"][line]["release"]["released_amount"].clone());
    assert_eq!(released, [json!(27_00), json!(0)]);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_sees_a_line_that_says_something_else_than_the_ledger() {
    let t = TestApp::new().await;
    let a = market(&t).await;
    let payment = t.pay(cart("order-1", "EUR", &[item(&a, 60_00)])).await;
    hold(&t, &payment, 0, "hold").await.expect(200);
    t.advance(4 * DAY).await;
    assert_eq!(t.findings().await, Vec::<String>::new());
    let done = "update line_releases set status = 'released', released_at = now(), released_amount = 5400";
    assert_eq!(t.tamper(done).await, 1);
    let findings = t.findings().await.join("\n");
    for invariant in [
        "what waits of a usable payment is what its waiting lines leave their sellers",
        "a line that was released is booked, and no other one",
        "the newest event of an object is of its present state",
    ] {
        assert!(findings.contains(invariant), "{invariant}: {findings}");
    }
    t.close().await;
}
