//! Lines whose share waits by itself: until some days after delivery, or until somebody releases it. Held, released, refunded,
//! disputed and failed meanwhile; worked out to the cent.

use partita::worker;
use serde_json::{Value, json};

use crate::debts::end_of_day;
use crate::disputes::{assert_balances, at_provider, dispute_at_provider, disputed, paid, worked_cart};
use crate::reserves::{amounts, keep_back, market, ten_per_cent};
use crate::support::{cart, item, taxed};
use crate::test_app::{Answer, DAY, TestApp, text};

pub(crate) fn line_path(payment: &Value, line: i32, what: &str) -> String {
    format!("/v1/payments/{}/lines/{line}/{what}", text(&payment["id"]))
}

pub(crate) async fn hold(t: &TestApp, payment: &Value, line: i32, key: &str) -> Answer {
    t.post(&line_path(payment, line, "hold"), key, json!({"reason": "the buyer says that it never came"})).await
}

pub(crate) async fn release(t: &TestApp, payment: &Value, line: i32, key: &str) -> Answer {
    t.post(&line_path(payment, line, "release"), key, json!({})).await
}

/// The types of the events of lines, oldest first.
pub(crate) async fn told(t: &TestApp) -> Vec<String> {
    let mut kinds: Vec<String> = t.list("/v1/events").await.iter().map(|event| text(&event["type"])).collect();
    kinds.retain(|kind| kind.starts_with("payment_line."));
    kinds.reverse();
    kinds
}

async fn line_of(t: &TestApp, payment: &Value, line: usize) -> Value {
    t.payment(payment).await["lines"][line]["release"].clone()
}

/// The worked cart, usable, with A's 54.00 sent and B's 36.00 waiting.
fn b_waits() -> Vec<(&'static str, i64)> {
    vec![
        ("bank", -100_00),
        ("prov.available", 162_80),
        ("sel.B.pending", 36_00),
        ("tax.payable", 20_00),
        ("rev.commission", 10_00),
        ("exp.processing", 3_20),
        ("conn.available.A", 54_00),
        ("owner.A", 54_00),
    ]
}

/// The same, B's line held by a person.
async fn b_is_held(t: &TestApp) -> Value {
    let payment = worked_cart(t, "pm_card_visa").await;
    let held = hold(t, &payment, 1, "hold").await.expect(200);
    assert_eq!(held["lines"][1]["release"]["status"], "held");
    assert_eq!(held["lines"][0]["release"], Value::Null);
    t.advance(4 * DAY).await;
    assert_balances(t, &b_waits()).await;
    assert_eq!(t.count("select count(*) from due where kind = 'rebalance'").await, 0, "nobody misses what waits");
    payment
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_goes_fourteen_days_after_delivery() {
    let t = TestApp::new().await;
    t.control.set_fees("eur", 250, 20).await.expect("2.5 % + 0.20");
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    t.top_up("float", 100_00, "EUR").await;
    let mut of_b = taxed(&b, 40_00, 8_00);
    of_b["release"] = json!({"from": "delivery", "after_days": 14});
    let payment = t.pay(cart("order-1", "EUR", &[taxed(&a, 60_00, 12_00), of_b])).await;
    t.advance(4 * DAY).await;
    assert_balances(&t, &b_waits()).await;
    t.advance(10 * DAY).await;
    assert_balances(&t, &b_waits()).await;

    let body = json!({"delivered_at": "2026-03-10T09:00:00Z"});
    let first = t.post(&line_path(&payment, 1, "release"), "arrived", body.clone()).await;
    let again = t.post(&line_path(&payment, 1, "release"), "arrived", body).await;
    assert_eq!((again.status, &again.bytes), (200, &first.bytes), "the same answer");
    assert_eq!(again.headers["idempotency-replayed"], "true");
    let shown = &first.json()["lines"][1]["release"];
    let dates = [&shown["delivered_at"], &shown["release_at"], &shown["limit_at"]];
    assert_eq!(dates, ["2026-03-10T09:00:00.000Z", "2026-03-24T09:00:00.000Z", "2026-05-31T09:00:00.000Z"]);
    let balance = t.get(&format!("/v1/sellers/{}/balance", text(&b["id"]))).await;
    assert_eq!(balance["balances"][0]["pending"], 36_00);
    let why = &balance["held_because"][0];
    assert_eq!((&why["why"], &why["amount"], &why["line"]), (&json!("line"), &json!(36_00), &json!(1)));
    assert_eq!((&why["payment"], &why["release_on"]), (&payment["id"], &json!("2026-03-24")));

    t.advance(7 * DAY).await;
    assert_balances(&t, &b_waits()).await;
    t.advance(DAY).await;
    assert_balances(&t, &paid()).await;
    let line = line_of(&t, &payment, 1).await;
    assert_eq!((&line["status"], &line["released_amount"]), (&json!("released"), &json!(36_00)));
    assert_eq!(told(&t).await, ["payment_line.waiting", "payment_line.scheduled", "payment_line.released"]);
    let story = t.get(&format!("/v1/payments/{}/timeline", text(&payment["id"]))).await;
    assert!(story.to_string().contains("The share of the line is its seller's to use."), "{story:#}");
    assert_eq!(t.count("select count(*) from due where kind in ('line_release', 'rebalance')").await, 0);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_releases_at_once_one_is_booked_and_the_others_are_told_the_state() {
    let t = TestApp::new().await;
    let payment = b_is_held(&t).await;
    let keys: Vec<String> = (0..20).map(|number| format!("release-{number}")).collect();
    let answers = futures::future::join_all(keys.iter().map(|key| release(&t, &payment, 1, key))).await;
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((done.len(), refused.len()), (1, 19));
    for answer in refused {
        assert_eq!(answer.expect(409)["detail"], "Line 1 is released and cannot be released.");
    }
    t.settle().await;
    assert_balances(&t, &paid()).await;
    assert_eq!(t.count("select count(*) from ledger_transactions where kind = 6").await, 1);
    assert_eq!(told(&t).await, ["payment_line.held", "payment_line.scheduled", "payment_line.released"]);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_released_before_its_payments_money_is_usable() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t, "pm_card_visa").await;
    hold(&t, &payment, 1, "hold").await.expect(200);
    let asked = release(&t, &payment, 1, "release").await.expect(200);
    assert_eq!((&asked["funds"], &asked["lines"][1]["release"]["status"]), (&json!("pending"), &json!("waiting")));
    t.settle().await;
    assert_eq!(t.balances().await["sel.B.pending EUR"], 36_00);
    let refused = sqlx::query("update line_releases set status = 'released', released_at = now(), released_amount = 0")
        .execute(&t.admin().await)
        .await
        .expect_err("the database keeps it, too");
    let refused = refused.as_database_error().expect("the database refuses");
    assert_eq!(refused.constraint(), Some("line_releases_not_before_available"));
    t.advance(4 * DAY).await;
    assert_balances(&t, &paid()).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_of_a_line_that_waits_is_taken_from_what_waits() {
    let t = TestApp::new().await;
    let payment = b_is_held(&t).await;
    // 20.00 of B's goods and their tax of 4.00; the commission on them is 2.00.
    let body = json!({"payment": payment["id"], "lines": [{"line": 1, "amount": 20_00}]});
    t.post("/v1/refunds", "ret-1", body).await.expect(201);
    t.settle().await;
    let refunded = [
        ("bank", -100_00),
        ("prov.available", 138_80),
        ("sel.B.pending", 18_00),
        ("tax.payable", 16_00),
        ("rev.commission", 8_00),
        ("exp.processing", 3_20),
        ("conn.available.A", 54_00),
        ("owner.A", 54_00),
    ];
    assert_balances(&t, &refunded).await;
    release(&t, &payment, 1, "release").await.expect(200);
    t.settle().await;
    let sent = [
        ("bank", -100_00),
        ("prov.available", 120_80),
        ("tax.payable", 16_00),
        ("rev.commission", 8_00),
        ("exp.processing", 3_20),
        ("conn.available.A", 54_00),
        ("owner.A", 54_00),
        ("conn.available.B", 18_00),
        ("owner.B", 18_00),
    ];
    assert_balances(&t, &sent).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dispute_holds_of_a_line_that_waits_goes_back_to_where_the_share_stands_when_it_is_won() {
    for is_released_meanwhile in [false, true] {
        let t = TestApp::new().await;
        let payment = b_is_held(&t).await;
        let dispute = dispute_at_provider(&t, at_provider(&payment)).await;
        t.settle().await;
        assert_balances(&t, &disputed()).await;
        if is_released_meanwhile {
            let released = release(&t, &payment, 1, "release").await.expect(200);
            assert_eq!(released["lines"][1]["release"]["released_amount"], 0, "the dispute has it");
            t.settle().await;
            assert_balances(&t, &disputed()).await;
        }
        t.control.decide_dispute(&dispute, "won").await.expect("decided");
        t.settle().await;
        let balances = t.balances().await;
        assert_eq!(balances["conn.available.A EUR"], 54_00, "{balances:#?}");
        if is_released_meanwhile {
            assert_eq!(balances["conn.available.B EUR"], 36_00, "{balances:#?}");
        } else {
            assert_eq!(balances["sel.B.pending EUR"], 36_00, "{balances:#?}");
            assert!(!balances.contains_key("conn.available.B EUR"), "{balances:#?}");
            release(&t, &payment, 1, "release").await.expect(200);
            t.settle().await;
            assert_eq!(t.balances().await["conn.available.B EUR"], 36_00);
        }
        t.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_dispute_takes_what_waits_and_nothing_is_left_to_release() {
    let t = TestApp::new().await;
    let payment = b_is_held(&t).await;
    let dispute = dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    t.control.decide_dispute(&dispute, "lost").await.expect("decided");
    t.settle().await;
    let balances = t.balances().await;
    assert!(balances.keys().all(|path| !path.starts_with("sel.") && !path.starts_with("conn.")), "{balances:#?}");
    let released = release(&t, &payment, 1, "release").await.expect(200);
    assert_eq!(released["lines"][1]["release"]["released_amount"], 0);
    assert_eq!(t.count("select count(*) from ledger_transactions where kind = 6").await, 0, "it moves nothing");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_fails_late_is_not_held_and_what_it_is_short_of_is_owed() {
    let t = TestApp::new().await;
    t.control.set_fees("eur", 250, 20).await.expect("2.5 % + 0.20");
    let rules = json!([{"price": {"percent_bps": 1_000}, "processor_fee": "seller"}]);
    let policy = json!({"reference": "fees", "name": "Fees", "default": true, "rules": rules});
    t.post("/v1/fee_policies", "fees", policy).await.expect(201);
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    t.top_up("float", 100_00, "EUR").await;
    let payment = t.pay(cart("order-1", "EUR", &[taxed(&a, 60_00, 12_00), taxed(&b, 40_00, 8_00)])).await;
    hold(&t, &payment, 1, "hold").await.expect(200);
    t.advance(4 * DAY).await;
    assert_eq!(t.balances().await["sel.B.pending EUR"], 34_72, "36 less 1.28 of the fee of 3.20");
    t.control.fail_payment(&text(&payment["provider"]["id"]), "insufficient_funds").await.expect("it has succeeded");
    t.settle().await;
    let line = line_of(&t, &payment, 1).await;
    assert_eq!((&line["status"], &line["released_amount"]), (&json!("released"), &json!(-1_28)));
    end_of_day(&t).await;
    let owed = [("bank", -100_00), ("prov.available", 96_80), ("sel.A.debt", 1_92), ("sel.B.debt", 1_28)];
    assert_balances(&t, &owed).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_or_a_dispute_that_races_a_release_leaves_nobody_with_both() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    t.top_up("float", 500_00, "EUR").await;
    let mut payments = Vec::new();
    for number in 0..9 {
        let payment = t.pay(cart(&format!("order-{number}"), "EUR", &[item(&a, 10_00), item(&a, 20_00)])).await;
        hold(&t, &payment, 1, &format!("hold-{number}")).await.expect(200);
        payments.push(payment);
    }
    t.advance(4 * DAY).await;
    for payment in &payments[6..] {
        t.control.open_dispute(at_provider(payment)).await.expect("disputed");
    }
    let refund = |payment: &Value| {
        let body = json!({"payment": payment["id"], "lines": [{"line": 1, "amount": 20_00}]});
        let key = format!("ret-{}", text(&payment["reference"]));
        let t = &t;
        async move { t.post("/v1/refunds", &key, body).await }
    };
    let keys: Vec<String> = (0..9).map(|number| format!("release-{number}")).collect();
    let releases = payments.iter().zip(&keys).map(|(payment, key)| release(&t, payment, 1, key));
    let (refunds, releases, one, other, hooks) = tokio::join!(
        futures::future::join_all(payments[..6].iter().map(refund)),
        futures::future::join_all(releases),
        worker::drain(&t.app),
        worker::drain(&t.app),
        t.control.flush_webhooks(),
    );
    one.expect("drained");
    other.expect("drained");
    hooks.expect("flushed");
    assert!(refunds.iter().all(|answer| answer.status < 300));
    assert!(releases.iter().all(|answer| answer.status == 200));
    t.settle().await;
    t.advance(DAY).await;
    let balances = t.balances().await;
    assert!(!balances.contains_key("sel.A.pending EUR"), "nothing waits any more: {balances:#?}");
    assert!(!balances.contains_key("sel.A.available EUR"), "nothing is owed either way: {balances:#?}");
    // Of six payments the first line; of the three that are disputed, nothing before it is decided.
    assert_eq!((balances["conn.available.A EUR"], balances["sel.A.held EUR"]), (60_00, 90_00), "{balances:#?}");
    assert_eq!(t.count("select count(*) from line_releases where status <> 'released'").await, 0);
    t.assert_no_double_effect().await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_has_a_reserve_of_its_own_when_it_is_released() {
    let t = TestApp::new().await;
    let a = market(&t).await;
    keep_back(&t, ten_per_cent()).await;
    let payment = t.pay(cart("order-1", "EUR", &[item(&a, 60_00), item(&a, 40_00)])).await;
    hold(&t, &payment, 1, "hold").await.expect(200);
    t.advance(4 * DAY).await;
    // Of 54.00 a tenth; the line that is held has none yet, and its refund of 10.00 (9.00 of A's) uses none.
    let body = json!({"payment": payment["id"], "lines": [{"line": 1, "amount": 10_00}]});
    t.post("/v1/refunds", "ret-1", body).await.expect(201);
    t.settle().await;
    let before = t.balances().await;
    assert_eq!((before["sel.A.reserve EUR"], before["sel.A.pending EUR"]), (5_40, 27_00), "{before:#?}");
    release(&t, &payment, 1, "release").await.expect(200);
    t.settle().await;
    let all: Vec<_> = t.list("/v1/reserves").await.iter().map(amounts).collect();
    assert_eq!(all, [[2_70, 0, 0], [5_40, 0, 0]]);
    let after = t.balances().await;
    assert_eq!((after["sel.A.reserve EUR"], after["conn.available.A EUR"]), (8_10, 72_90), "{after:#?}");
    // A dispute that is won makes no third one.
    let dispute = dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    t.control.decide_dispute(&dispute, "won").await.expect("decided");
    t.settle().await;
    assert_eq!(t.list("/v1/reserves").await.len(), 2);
    assert_eq!(t.balances().await["sel.A.reserve EUR"], 8_10);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn currencies_of_no_two_and_three_decimals() {
    for (country, currency, amount, share) in
        [("DE", "EUR", 10_00, 9_00), ("JP", "JPY", 10_00, 9_00), ("AE", "KWD", 10_000, 9_000)]
    {
        let t = TestApp::new().await;
        t.control.set_fees(&currency.to_lowercase(), 0, 0).await.expect("free");
        t.default_fee(1_000).await;
        let a = t.seller("A", country, currency, "manual").await;
        let payment = t.pay(cart("order-1", currency, &[item(&a, amount), item(&a, amount)])).await;
        hold(&t, &payment, 1, "hold").await.expect(200);
        t.advance(8 * DAY).await;
        let balances = t.balances().await;
        let of = |path: &str| balances.get(&format!("{path} {currency}")).copied().unwrap_or(0);
        assert_eq!((of("conn.available.A"), of("sel.A.pending")), (share, share), "{balances:#?}");
        release(&t, &payment, 1, "release").await.expect(200);
        t.settle().await;
        assert_eq!(t.balances().await[&format!("conn.available.A {currency}")], 2 * share);
        t.finish().await;
    }
}
