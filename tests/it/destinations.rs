//! Charges that the provider sends to their seller by itself: worked out from the charge to its refunds, disputes, captures and
//! late failure, in doubt, in any order; by declaration and by payment.

use partita::worker;
use partita_simulator::FaultKind;
use serde_json::{Value, json};

use crate::disputes::{assert_balances, at_provider, dispute_at_provider, the_dispute};
use crate::support::{cart, item, paid_with, taxed};
use crate::test_app::{DAY, TestApp, text};

/// EUR 72.00 = A's goods of 60 and a tax of 12; commission 10 %, the processor keeps 2.5 % and 0.20: 2.00. Topped up with 100.
pub(crate) async fn ground(t: &TestApp) -> Value {
    t.control.set_fees("eur", 250, 20).await.expect("2.5 % + 0.20");
    t.default_fee(1_000).await;
    t.top_up("float", 100_00, "EUR").await;
    t.seller("A", "DE", "EUR", "manual").await
}

pub(crate) fn sent(reference: &str, lines: &[Value]) -> Value {
    let mut cart = cart(reference, "EUR", lines);
    cart["charge_type"] = json!("destination");
    cart
}

async fn paid(t: &TestApp) -> Value {
    let a = ground(t).await;
    let payment = t.pay(sent("order-1", &[taxed(&a, 60_00, 12_00)])).await;
    assert_eq!((&payment["charge_type"], &payment["on_behalf_of"]), (&json!("destination"), &Value::Null));
    payment
}

/// As soon as the buyer is charged the seller's share of 54.00 stands on its account, pending with the charge.
const PENDING: [(&str, i64); 8] = [
    ("bank", -100_00),
    ("prov.available", 100_00),
    ("prov.pending", 16_00),
    ("exp.processing", 2_00),
    ("tax.payable", 12_00),
    ("rev.commission", 6_00),
    ("conn.pending.A", 54_00),
    ("owner.A", 54_00),
];

pub(crate) const USABLE: [(&str, i64); 7] = [
    ("bank", -100_00),
    ("prov.available", 116_00),
    ("exp.processing", 2_00),
    ("tax.payable", 12_00),
    ("rev.commission", 6_00),
    ("conn.available.A", 54_00),
    ("owner.A", 54_00),
];

/// After 25.00 of the goods and their tax of 5.00 went back, with the commission of 2.50 on them.
const REFUNDED: [(&str, i64); 7] = [
    ("bank", -100_00),
    ("prov.available", 108_50),
    ("exp.processing", 2_00),
    ("tax.payable", 7_00),
    ("rev.commission", 3_50),
    ("conn.available.A", 31_50),
    ("owner.A", 31_50),
];

async fn refund_25(t: &TestApp, payment: &Value) {
    let body = json!({"payment": payment["id"], "lines": [{"line": 0, "amount": 25_00}]});
    t.post("/v1/refunds", "ret-1", body).await.expect(201);
    t.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_is_sent_with_the_charge_and_refunds_in_part_and_whole_take_it_back() {
    let t = TestApp::new().await;
    let payment = paid(&t).await;
    assert_balances(&t, &PENDING).await;
    let transfers = t.list("/v1/transfers").await;
    assert_eq!(transfers.len(), 1);
    assert_eq!((&transfers[0]["status"], &transfers[0]["amount"]), (&json!("succeeded"), &json!(54_00)));
    assert_eq!(t.effects("/v1/transfers").await, 0, "nobody asked for it by itself");

    t.advance(4 * DAY).await;
    assert_balances(&t, &USABLE).await;
    assert_eq!(t.effects("/v1/transfers").await, 0, "the seller has all of its share");

    refund_25(&t, &payment).await;
    assert_balances(&t, &REFUNDED).await;
    t.post("/v1/refunds", "ret-2", json!({"payment": payment["id"]})).await.expect(201);
    t.settle().await;
    assert_balances(&t, &[("bank", -100_00), ("prov.available", 98_00), ("exp.processing", 2_00)]).await;
    let troubled = t.count("select count(*) from inbox_events where state in ('received', 'parked')").await;
    assert_eq!(troubled, 0, "what is known of the transfer is no news");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refunded_before_the_money_is_usable_is_taken_back_at_once() {
    let t = TestApp::new().await;
    let payment = paid(&t).await;
    refund_25(&t, &payment).await;
    let taken_back = [
        ("bank", -100_00),
        ("prov.available", 70_00),
        ("prov.pending", 38_50),
        ("exp.processing", 2_00),
        ("tax.payable", 7_00),
        ("rev.commission", 3_50),
        ("conn.pending.A", 31_50),
        ("owner.A", 31_50),
    ];
    assert_balances(&t, &taken_back).await;
    t.advance(4 * DAY).await;
    assert_balances(&t, &REFUNDED).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_takes_the_share_back_and_a_win_sends_it_again_from_the_platforms_balance() {
    let t = TestApp::new().await;
    let payment = paid(&t).await;
    t.advance(4 * DAY).await;
    let id = dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    let disputed = [
        ("bank", -100_00),
        ("prov.available", 83_00),
        ("dsp.receivable", 72_00),
        ("exp.dispute_fee", 15_00),
        ("exp.processing", 2_00),
        ("sel.A.held", 54_00),
        ("tax.payable", 12_00),
        ("rev.commission", 6_00),
    ];
    assert_balances(&t, &disputed).await;
    t.control.decide_dispute(&id, "won").await.expect("decided");
    t.settle().await;
    assert_eq!(the_dispute(&t).await["status"], "won");
    assert_balances(&t, &USABLE).await;
    assert_eq!(t.list("/v1/transfers").await.len(), 2);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_before_the_money_is_usable_that_is_lost_costs_the_seller_its_share() {
    let t = TestApp::new().await;
    let payment = paid(&t).await;
    let id = dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    t.control.decide_dispute(&id, "lost").await.expect("decided");
    t.advance(4 * DAY).await;
    let lost = [
        ("bank", -100_00),
        ("prov.available", 83_00),
        ("exp.dispute_fee", 15_00),
        ("exp.dispute_loss", 12_00),
        ("exp.processing", 2_00),
        ("tax.payable", 12_00),
    ];
    assert_balances(&t, &lost).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_fails_late_is_taken_back_from_the_seller_usable_or_not() {
    let t = TestApp::new().await;
    let first = paid(&t).await;
    let a = t.list("/v1/sellers").await.remove(0);
    t.advance(4 * DAY).await;
    let second = t.pay(sent("order-2", &[taxed(&a, 60_00, 12_00)])).await;
    for payment in [&first, &second] {
        t.control.fail_payment(&text(&payment["provider"]["id"]), "insufficient_funds").await.expect("it succeeded");
    }
    t.settle().await;
    let balances = t.balances().await;
    let left = ["conn.pending.A EUR", "conn.available.A EUR"].map(|path| balances.get(path).copied().unwrap_or(0));
    assert_eq!(left, [0, 0], "nothing of either is left with the seller");
    t.advance(4 * DAY).await;
    assert_balances(&t, &[("bank", -100_00), ("prov.available", 96_00), ("exp.processing", 4_00)]).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_in_part_sends_the_share_of_what_is_captured() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    let mut body = sent("order-1", &[taxed(&a, 60_00, 12_00)]);
    body["capture_method"] = json!("manual");
    let held = t.post("/v1/payments", "order-1", body.clone()).await.expect(201);
    assert!(t.list("/v1/transfers").await.is_empty(), "nothing is charged yet");
    let capture = |payment: &Value| format!("/v1/payments/{}/capture", text(&payment["id"]));
    let part = json!({"lines": [{"line": 0, "amount": 30_00}]});
    t.post(&capture(&held), "cap-1", part).await.expect(200);
    t.settle().await;
    assert_eq!(t.list("/v1/transfers").await[0]["amount"], 27_00);
    assert_eq!(t.effects("/v1/transfers").await, 0, "so much was named, and nothing is taken back");
    // Of 36.00 the processor keeps 1.10, the tax of 6.00 and the commission of 3.00 stay.
    let pending = [
        ("bank", -100_00),
        ("prov.available", 100_00),
        ("prov.pending", 7_90),
        ("exp.processing", 1_10),
        ("tax.payable", 6_00),
        ("rev.commission", 3_00),
        ("conn.pending.A", 27_00),
        ("owner.A", 27_00),
    ];
    assert_balances(&t, &pending).await;

    // Captured past us, the provider sends all that it may: 36.00 of 36.00, and the rule takes 9.00 back.
    body["reference"] = json!("order-2");
    let held = t.post("/v1/payments", "order-2", body).await.expect(201);
    let intent = text(&held["provider"]["id"]);
    t.at_provider("POST", &format!("/v1/payment_intents/{intent}/capture"), &[("amount_to_capture", "3600")]).await;
    t.control.flush_webhooks().await.expect("flushed");
    while worker::apply_inbox(&t.app).await.expect("applied") > 0 {}
    assert_eq!(t.balances().await["conn.pending.A EUR"], 27_00 + 36_00, "before the rule has looked");
    assert_eq!(t.findings().await, Vec::<String>::new(), "no contradiction meanwhile");
    t.advance(4 * DAY).await;
    assert_eq!(t.balances().await["conn.available.A EUR"], 2 * 27_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_whose_answer_was_lost_is_made_once_with_its_transfer() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    t.next_post_fails(FaultKind::AnswerLost, "/v1/payment_intents");
    let open = t.post("/v1/payments", "order-1", sent("order-1", &[taxed(&a, 60_00, 12_00)])).await.expect(202);
    assert_eq!(open["status"], "processing");
    // The first webhook is of the transfer, about which nothing is known yet.
    t.advance(60).await;
    assert_eq!(t.payment(&open).await["status"], "succeeded");
    assert_eq!(t.effects("/v1/payment_intents").await, 1);
    assert_balances(&t, &PENDING).await;
    t.assert_no_double_effect().await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_and_its_transfer_that_no_webhook_told_of_are_found_by_reconciliation() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    t.next_post_fails(FaultKind::AnswerLost, "/v1/payment_intents");
    t.post("/v1/payments", "order-1", sent("order-1", &[taxed(&a, 60_00, 12_00)])).await.expect(202);
    let run = t.reconcile().await;
    assert_eq!((run.breaks, run.adopted), (0, 2), "the transfer is listed before its charge");
    assert_balances(&t, &PENDING).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_requests_under_one_key_charge_and_send_once() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    let body = sent("order-1", &[taxed(&a, 60_00, 12_00)]);
    let asked = (0..20).map(|_| t.post("/v1/payments", "order-1", body.clone()));
    let answers = futures::future::join_all(asked).await;
    assert!(answers.iter().all(|answer| matches!(answer.status, 201 | 409)), "done, or under way");
    assert!(answers.iter().any(|answer| answer.status == 201));
    t.settle().await;
    let first = t.post("/v1/payments", "order-1", body.clone()).await;
    let replayed = t.post("/v1/payments", "order-1", body).await;
    assert_eq!((first.status, &first.bytes), (201, &replayed.bytes));
    assert_eq!(t.effects("/v1/payment_intents").await, 1);
    assert_balances(&t, &PENDING).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_is_usable_at_once_is_sent_so_and_a_declined_charge_sends_nothing() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    let declined = paid_with(sent("order-0", &[taxed(&a, 60_00, 12_00)]), "pm_card_visa_chargeDeclined");
    t.post("/v1/payments", "order-0", declined).await.expect(402);
    t.pay(paid_with(sent("order-1", &[taxed(&a, 60_00, 12_00)]), "pm_card_bypassPending")).await;
    assert_balances(&t, &USABLE).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_provider_could_send_is_refused_and_says_where() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    let body = json!({"reference": "C", "email": "c@example.com", "country": "DE", "default_currency": "EUR"});
    let c = t.post("/v1/sellers", "C", body).await.expect(201);
    let all = json!({"reference": "all", "name": "All", "percent_bps": 10_000});
    let all = t.post("/v1/fee_policies", "all", all).await.expect(201);
    let mut nothing = item(&a, 10_00);
    nothing["fee_policy"] = all["id"].clone();
    let own = json!({"type": "platform", "amount": 1_00});
    let on_behalf = |mut cart: Value, seller: &Value| {
        cart["on_behalf_of"] = seller["id"].clone();
        cart
    };
    let mut unknown = sent("order-1", &[item(&a, 10_00)]);
    unknown["charge_type"] = json!("telepathic");
    let separate = |lines: &[Value]| cart("order-1", "EUR", lines);
    t.settle().await;
    let counts = t.row_counts().await;
    let table = [
        (sent("order-1", &[item(&a, 10_00), own.clone(), item(&b, 5_00)]), "#/lines/2/seller", "not_allowed"),
        (sent("order-1", std::slice::from_ref(&own)), "#/charge_type", "not_allowed"),
        (sent("order-1", &[nothing]), "#/charge_type", "not_allowed"),
        (sent("order-1", &[own, item(&c, 5_00)]), "#/lines/1/seller", "not_allowed"),
        (on_behalf(separate(&[item(&a, 10_00)]), &b), "#/on_behalf_of", "unknown_reference"),
        (on_behalf(separate(&[item(&c, 10_00)]), &c), "#/on_behalf_of", "not_allowed"),
        (unknown, "#/charge_type", "invalid_value"),
    ];
    for (number, (body, pointer, code)) in table.into_iter().enumerate() {
        let problem = t.post("/v1/payments", &format!("bad-{number}"), body.clone()).await.expect(422);
        let error = &problem["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!(code)), "{body}");
    }
    let many = json!({"charge_type": "separate", "on_behalf_of": true});
    let problem = t.send("PUT", "/v1/charge_policy", None, Some(many)).await.expect(422);
    assert_eq!(problem["errors"][0]["pointer"], "#/on_behalf_of");
    assert_eq!(t.row_counts().await, counts, "nothing was stored");
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declaration_holds_for_payments_that_do_not_say_it_and_for_later_ones_only() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    assert_eq!(t.get("/v1/charge_policy").await["version"], json!(0));
    let before = t.pay(cart("order-1", "EUR", &[item(&a, 10_00)])).await;
    let declared = json!({"charge_type": "destination", "on_behalf_of": true});
    let policy = t.send("PUT", "/v1/charge_policy", None, Some(declared)).await.expect(200);
    assert_eq!((&policy["version"], &policy["charge_type"]), (&json!(1), &json!("destination")));
    assert_eq!(t.get("/v1/charge_policy").await, policy);

    let after = t.pay(cart("order-2", "EUR", &[item(&a, 20_00)])).await;
    let mut own = cart("order-3", "EUR", &[item(&a, 30_00)]);
    own["charge_type"] = json!("separate");
    let own = t.pay(own).await;
    let mut both = cart("order-4", "EUR", &[item(&a, 40_00)]);
    (both["charge_type"], both["on_behalf_of"]) = (json!("separate"), a["id"].clone());
    let both = t.pay(both).await;
    for (payment, kind, merchant) in [
        (&before, "separate", &Value::Null),
        (&after, "destination", &a["id"]),
        (&own, "separate", &Value::Null),
        (&both, "separate", &a["id"]),
    ] {
        let payment = t.payment(payment).await;
        assert_eq!((&payment["charge_type"], &payment["on_behalf_of"]), (&json!(kind), merchant));
        let path = format!("/v1/payment_intents/{}", text(&payment["provider"]["id"]));
        let intent = t.at_provider("GET", &path, &[]).await;
        let account = if merchant.is_null() { &Value::Null } else { &a["provider"]["id"] };
        assert_eq!(&intent["on_behalf_of"], account);
        assert_eq!(intent["transfer_data"].is_null(), kind == "separate");
    }
    t.advance(4 * DAY).await;
    assert_eq!(t.balances().await["conn.available.A EUR"], 90_00, "nine tenths of all");
    t.finish().await;
}
