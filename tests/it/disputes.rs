//! Disputes: taken, held, answered, won, lost, in part, before the money was usable, and in any order.

use partita_simulator::{FaultKind, NewDispute};
use serde_json::{Value, json};

use crate::support::{cart, paid_with, taxed};
use crate::test_app::{DAY, TestApp, text};

pub(crate) type Rows<'a> = Vec<(&'a str, i64)>;

/// EUR 120.00 = A 60 and tax 12, B 40 and tax 8; commission 10 %, processor's fee 3.20; topped up with 100.
pub(crate) async fn worked_cart(t: &TestApp, card: &str) -> Value {
    t.control.set_fees("eur", 250, 20).await.expect("2.5 % + 0.20");
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    t.top_up("float", 100_00, "EUR").await;
    t.pay(paid_with(cart("order-1", "EUR", &[taxed(&a, 60_00, 12_00), taxed(&b, 40_00, 8_00)]), card)).await
}

/// The same, with the sellers paid.
pub(crate) async fn paid_cart(t: &TestApp) -> Value {
    let payment = worked_cart(t, "pm_card_visa").await;
    t.advance(4 * DAY).await;
    assert_balances(t, &paid()).await;
    payment
}

pub(crate) fn paid() -> Rows<'static> {
    vec![
        ("bank", -100_00),
        ("prov.available", 126_80),
        ("tax.payable", 20_00),
        ("rev.commission", 10_00),
        ("exp.processing", 3_20),
        ("conn.available.A", 54_00),
        ("owner.A", 54_00),
        ("conn.available.B", 36_00),
        ("owner.B", 36_00),
    ]
}

pub(crate) async fn assert_balances(t: &TestApp, rows: &[(&str, i64)]) {
    let expected = rows.iter().map(|(path, amount)| (format!("{path} EUR"), *amount)).collect();
    assert_eq!(t.balances().await, expected);
}

pub(crate) fn at_provider(payment: &Value) -> NewDispute {
    NewDispute::of(payment["provider"]["id"].as_str().expect("an id"))
}

/// Lets the buyer's bank dispute the payment; the provider's dispute.
pub(crate) async fn dispute_at_provider(t: &TestApp, dispute: NewDispute) -> String {
    text(&t.control.open_dispute(dispute).await.expect("disputed")["id"])
}

/// The only dispute there is.
pub(crate) async fn the_dispute(t: &TestApp) -> Value {
    let mut all = t.list("/v1/disputes").await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

pub(crate) async fn declare(t: &TestApp, policy: Value) {
    t.send("PUT", "/v1/dispute_policy", None, Some(policy)).await.expect(200);
}

/// The types of the events of the dispute, oldest first.
pub(crate) async fn told(t: &TestApp) -> Vec<String> {
    let mut kinds: Vec<String> = t.list("/v1/events").await.iter().map(|event| text(&event["type"])).collect();
    kinds.retain(|kind| kind.starts_with("dispute."));
    kinds.reverse();
    kinds
}

/// Balances while all of the worked cart is disputed and the sellers had been paid.
pub(crate) fn disputed() -> Rows<'static> {
    vec![
        ("bank", -100_00),
        ("prov.available", 81_80),
        ("dsp.receivable", 120_00),
        ("exp.dispute_fee", 15_00),
        ("sel.A.held", 54_00),
        ("sel.B.held", 36_00),
        ("tax.payable", 20_00),
        ("rev.commission", 10_00),
        ("exp.processing", 3_20),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_holds_what_sellers_were_paid_and_a_win_pays_them_again() {
    let t = TestApp::new().await;
    let payment = paid_cart(&t).await;
    let id = dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    assert_balances(&t, &disputed()).await;
    let shown = the_dispute(&t).await;
    assert_eq!((&shown["status"], &shown["reason"]), (&json!("needs_response"), &json!("fraudulent")));
    assert_eq!(
        (&shown["amount"], &shown["withdrawn_amount"], &shown["fee"]),
        (&json!(120_00), &json!(120_00), &json!(15_00))
    );
    assert_eq!(shown["payment"], payment["id"]);
    assert_eq!((&shown["lines"][0]["held"], &shown["lines"][1]["held"]), (&json!(54_00), &json!(36_00)));
    assert_eq!(shown["policy"]["version"], json!(0));
    assert_eq!(t.reconcile().await.breaks, 0, "the provider's movements are known");

    // What the bank has taken cannot be given back too.
    let counts = t.row_counts().await;
    for what in [json!({}), json!({"amount": 1}), json!({"lines": [{"line": 0, "amount": 1}]})] {
        let mut body = what;
        body["payment"] = payment["id"].clone();
        let problem = t.post("/v1/refunds", "ret-1", body.clone()).await.expect(409);
        assert_eq!(problem["code"], "payment_disputed", "{body}");
    }
    assert_eq!(t.row_counts().await, counts, "nothing was stored");

    t.control.decide_dispute(&id, "won").await.expect("decided");
    t.settle().await;
    assert_balances(&t, &paid()).await;
    let won = the_dispute(&t).await;
    assert_eq!((&won["status"], &won["reinstated_amount"], &won["fee"]), (&json!("won"), &json!(120_00), &json!(0)));
    assert_eq!(won["lines"][0]["held"], json!(0));
    assert_eq!(
        told(&t).await,
        ["dispute.opened", "dispute.funds_withdrawn", "dispute.funds_reinstated", "dispute.won"]
    );
    let story = t.get(&format!("/v1/payments/{}/timeline", text(&payment["id"]))).await;
    let steps = story["data"].as_array().expect("steps");
    assert!(steps.iter().any(|step| step["text"] == "The buyer's bank disputes the payment: fraudulent."), "{story:#}");
    // And what was won can be refunded.
    t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"]})).await.expect(201);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_at_the_sellers_cost_with_relief_and_the_fee_passed_on() {
    let t = TestApp::new().await;
    declare(&t, json!({"liability": "sellers", "hold": "shares", "tax_relief": true, "fee": "sellers"})).await;
    let payment = paid_cart(&t).await;
    let id = dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    assert_balances(&t, &disputed()).await;
    t.control.decide_dispute(&id, "lost").await.expect("decided");
    t.settle().await;
    assert_balances(
        &t,
        &[
            ("bank", -100_00),
            ("prov.available", 81_80),
            ("sel.A.available", -9_00),
            ("sel.B.available", -6_00),
            ("exp.processing", 3_20),
        ],
    )
    .await;
    let lost = the_dispute(&t).await;
    assert_eq!((&lost["status"], &lost["policy"]["version"]), (&json!("lost"), &json!(1)));
    assert_eq!(t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"]})).await.status, 409);
    // The next sale makes up for the fee.
    let a = t.list("/v1/sellers").await.into_iter().find(|seller| seller["reference"] == "A").expect("A");
    t.pay(cart("order-2", "EUR", &[taxed(&a, 60_00, 12_00)])).await;
    t.advance(4 * DAY).await;
    assert_eq!(t.balances().await.get("owner.A EUR"), Some(&45_00), "54 less 9");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_at_the_platforms_cost_pays_the_sellers_again() {
    let t = TestApp::new().await;
    declare(&t, json!({"liability": "platform", "hold": "shares", "tax_relief": true, "fee": "platform"})).await;
    let payment = paid_cart(&t).await;
    let id = dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    // A later declaration does not concern what is open.
    declare(&t, json!({"liability": "sellers", "hold": "nothing", "tax_relief": false, "fee": "sellers"})).await;
    t.control.decide_dispute(&id, "lost").await.expect("decided");
    t.settle().await;
    let mut expected = paid();
    expected[1] = ("prov.available", -8_20);
    expected.extend([("exp.dispute_loss", 120_00), ("exp.dispute_fee", 15_00)]);
    assert_balances(&t, &expected).await;
    t.top_up("cover", 100_00, "EUR").await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_held_sellers_keep_what_they_have_until_it_is_lost() {
    let t = TestApp::new().await;
    declare(&t, json!({"liability": "sellers", "hold": "nothing", "tax_relief": true, "fee": "platform"})).await;
    let payment = paid_cart(&t).await;
    let id = dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    let mut expected = paid();
    expected[1] = ("prov.available", -8_20);
    expected.extend([("dsp.receivable", 120_00), ("exp.dispute_fee", 15_00)]);
    assert_balances(&t, &expected).await;
    t.control.decide_dispute(&id, "lost").await.expect("decided");
    t.settle().await;
    assert_balances(
        &t,
        &[("bank", -100_00), ("prov.available", 81_80), ("exp.dispute_fee", 15_00), ("exp.processing", 3_20)],
    )
    .await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_first_heard_of_when_it_is_lost_is_booked_whole_and_repeated_news_changes_nothing() {
    let t = TestApp::new().await;
    let payment = paid_cart(&t).await;
    let more = NewDispute { amount: Some(125_00), ..at_provider(&payment) };
    let id = dispute_at_provider(&t, more).await;
    t.control.decide_dispute(&id, "lost").await.expect("decided");
    t.settle().await;
    // Without relief the tax of 20 is the platform's loss, and so is what goes beyond the charge.
    let lost = [
        ("bank", -100_00),
        ("prov.available", 76_80),
        ("tax.payable", 20_00),
        ("exp.dispute_loss", 25_00),
        ("exp.dispute_fee", 15_00),
        ("exp.processing", 3_20),
    ];
    assert_balances(&t, &lost).await;
    let sequence = ["dispute.opened", "dispute.funds_withdrawn", "dispute.lost"];
    assert_eq!(told(&t).await, sequence);

    // The same news again, newest first, under other ids.
    let events = t.at_provider("GET", "/v1/events?limit=100", &[]).await["data"].clone();
    let mut again = 0;
    for (number, event) in events.as_array().expect("a list").iter().enumerate() {
        if text(&event["type"]).starts_with("charge.dispute.") {
            let mut copy = event.clone();
            copy["id"] = json!(format!("evt_again{number}"));
            assert_eq!(t.webhook(0, &copy).await.status, 200);
            again += 1;
        }
    }
    assert_eq!(again, 3);
    t.settle().await;
    assert_balances(&t, &lost).await;
    assert_eq!(told(&t).await, sequence);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_spread_over_the_lines_and_the_rest_can_be_refunded() {
    let t = TestApp::new().await;
    let payment = paid_cart(&t).await;
    let part = NewDispute { amount: Some(30_00), reason: "product_not_received".into(), ..at_provider(&payment) };
    let id = dispute_at_provider(&t, part).await;
    t.settle().await;
    let shown = the_dispute(&t).await;
    let line = |number: usize| {
        let line = &shown["lines"][number];
        ["amount", "tax_amount", "commission", "held"].map(|field| line[field].as_i64().expect("minor units"))
    };
    assert_eq!((line(0), line(1)), ([15_00, 3_00, 1_50, 13_50], [10_00, 2_00, 1_00, 9_00]));
    let refund = |amount: i64| json!({"payment": payment["id"], "amount": amount});
    assert_eq!(t.post("/v1/refunds", "too-much", refund(90_01)).await.expect(409)["code"], "payment_disputed");
    t.post("/v1/refunds", "rest", refund(90_00)).await.expect(201);
    t.settle().await;
    t.control.decide_dispute(&id, "lost").await.expect("decided");
    t.settle().await;
    let balances = t.balances().await;
    let of = |path: &str| balances.get(&format!("{path} EUR")).copied().unwrap_or(0);
    assert_eq!((of("exp.dispute_loss"), of("tax.payable"), of("rev.commission")), (5_00, 5_00, 0));
    assert_eq!((of("sel.A.held"), of("sel.B.held"), of("dsp.receivable")), (0, 0, 0));
    assert_eq!(of("prov.available") + of("prov.reserved"), 81_80);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_after_a_refund_is_all_that_a_dispute_can_take_from_sellers() {
    let t = TestApp::new().await;
    declare(&t, json!({"liability": "sellers", "hold": "shares", "tax_relief": true, "fee": "platform"})).await;
    let payment = paid_cart(&t).await;
    t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"], "lines": [{"line": 0, "amount": 25_00}]}))
        .await
        .expect(201);
    t.settle().await;
    let id = dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    let shown = the_dispute(&t).await;
    assert_eq!((&shown["lines"][0]["held"], &shown["lines"][1]["held"]), (&json!(31_50), &json!(36_00)));
    t.control.decide_dispute(&id, "lost").await.expect("decided");
    t.settle().await;
    // The bank took 120 of a charge of which 90 were left.
    assert_eq!(t.balances().await.get("exp.dispute_loss EUR"), Some(&30_00));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_before_the_money_is_usable_holds_the_pending_shares() {
    let t = TestApp::new().await;
    worked_cart(&t, "pm_card_createDispute").await;
    t.settle().await;
    let balances = t.balances().await;
    let of = |path: &str| balances.get(&format!("{path} EUR")).copied().unwrap_or(0);
    assert_eq!((of("sel.A.pending"), of("sel.A.held"), of("sel.B.held")), (0, 54_00, 36_00));
    t.advance(4 * DAY).await;
    assert!(t.list("/v1/transfers").await.is_empty(), "what is held is not sent");
    let id = text(&the_dispute(&t).await["provider"]["id"]);
    t.control.decide_dispute(&id, "won").await.expect("decided");
    t.settle().await;
    assert_balances(&t, &paid()).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_win_while_the_money_is_pending_gives_the_pending_shares_back() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t, "pm_card_visa").await;
    let id = dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    t.control.decide_dispute(&id, "won").await.expect("decided");
    t.settle().await;
    assert_eq!(t.balances().await.get("sel.A.pending EUR"), Some(&54_00));
    t.advance(4 * DAY).await;
    assert_balances(&t, &paid()).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_goes_out_once_and_its_answer_is_kept() {
    let t = TestApp::new().await;
    let payment = paid_cart(&t).await;
    dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    let path = format!("/v1/disputes/{}/evidence", text(&the_dispute(&t).await["id"]));
    for (body, pointer) in [
        (json!({}), "#"),
        (json!({"product_description": " "}), "#/product_description"),
        (json!({"hearsay": "x"}), "#/hearsay"),
        (json!({"uncategorized_text": "x".repeat(20_001)}), "#/uncategorized_text"),
    ] {
        let problem = t.post(&path, "bad", body).await.expect(422);
        assert_eq!(problem["errors"][0]["pointer"], json!(pointer), "{problem}");
    }
    let body = json!({"product_description": "Two chairs,\noak", "uncategorized_text": "winning_evidence"});
    t.next_post_fails(FaultKind::AnswerLost, "/v1/disputes");
    let doubtful = t.post(&path, "ev-1", body.clone()).await;
    assert_eq!(doubtful.status, 202, "{}", doubtful.text());
    let busy = t.post(&path, "ev-2", json!({"customer_name": "Ada"})).await.expect(409);
    assert_eq!(busy["code"], "state_conflict");
    t.advance(3_600).await;
    let won = the_dispute(&t).await;
    assert_eq!((&won["status"], &won["evidence_submissions"]), (&json!("won"), &json!(1)));
    let again = t.post(&path, "ev-1", body).await;
    assert_eq!((again.status, &again.bytes), (202, &doubtful.bytes));
    assert_eq!(t.effects("/v1/disputes").await, 1);
    assert_eq!(t.post(&path, "ev-3", json!({"customer_name": "Ada"})).await.expect(409)["code"], "state_conflict");
    assert_balances(&t, &paid()).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_that_is_accepted_is_lost_at_once() {
    let t = TestApp::new().await;
    let payment = paid_cart(&t).await;
    dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    let path = format!("/v1/disputes/{}/accept", text(&the_dispute(&t).await["id"]));
    let lost = t.post(&path, "accept", json!({})).await;
    let replayed = t.post(&path, "accept", json!({})).await;
    assert_eq!((lost.status, &lost.bytes), (200, &replayed.bytes));
    assert_eq!(lost.json()["status"], "lost");
    assert_eq!(
        replayed.headers.get("idempotency-replayed").map(reqwest::header::HeaderValue::as_bytes),
        Some(&b"true"[..])
    );
    let twice = t.post(&path, "accept-2", json!({})).await.expect(409);
    assert_eq!(twice["detail"], "A dispute that is lost cannot be accepted.");
    t.settle().await;
    assert_eq!(told(&t).await, ["dispute.opened", "dispute.funds_withdrawn", "dispute.lost"]);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unanswered_dispute_is_told_of_twice_before_its_deadline_and_then_lost() {
    let t = TestApp::new().await;
    let payment = paid_cart(&t).await;
    dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    t.advance(17 * DAY).await;
    assert_eq!(told(&t).await.len(), 2, "not yet");
    t.advance(2 * DAY).await;
    assert_eq!(told(&t).await[2..], ["dispute.response_due"]);
    t.advance(3 * DAY).await;
    assert_eq!(told(&t).await[2..], ["dispute.response_due", "dispute.response_due", "dispute.lost"]);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inquiry_moves_nothing_until_the_bank_makes_a_dispute_of_it() {
    let t = TestApp::new().await;
    let payment = paid_cart(&t).await;
    let inquiry = NewDispute { inquiry: true, ..at_provider(&payment) };
    let id = dispute_at_provider(&t, inquiry.clone()).await;
    t.settle().await;
    assert_balances(&t, &paid()).await;
    assert_eq!(the_dispute(&t).await["status"], "inquiry");
    t.control.decide_dispute(&id, "warning_closed").await.expect("decided");
    t.settle().await;
    assert_eq!(
        (told(&t).await, t.list("/v1/disputes?status=closed").await.len()),
        (vec!["dispute.opened".into(), "dispute.closed".into()], 1)
    );

    let id = dispute_at_provider(&t, inquiry).await;
    t.settle().await;
    t.control.decide_dispute(&id, "escalated").await.expect("escalated");
    t.settle().await;
    assert_balances(&t, &disputed()).await;
    let filter = format!("/v1/disputes?status=needs_response&payment={}", text(&payment["id"]));
    let open = t.list(&filter).await;
    assert_eq!((open.len(), &open[0]["withdrawn_amount"]), (1, &json!(120_00)));
    assert_eq!(t.send("GET", "/v1/disputes?status=pending", None, None).await.status, 422);
    t.control.decide_dispute(&id, "won").await.expect("decided");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_that_no_webhook_told_of_is_found_by_reconciliation() {
    let t = TestApp::new().await;
    let payment = paid_cart(&t).await;
    dispute_at_provider(&t, at_provider(&payment)).await;
    let run = t.reconcile().await;
    assert_eq!((run.adopted, run.breaks), (1, 0));
    let balances = t.balances().await;
    assert_eq!(balances.get("dsp.receivable EUR"), Some(&120_00));
    t.settle().await;
    assert_balances(&t, &disputed()).await;
    assert_eq!(told(&t).await, ["dispute.opened", "dispute.funds_withdrawn"]);
    t.finish().await;
}
