//! Charges that are made on the seller's own account at the provider: worked out from the charge to its application fee, its
//! disputes and its late failure, in doubt, in any order; by declaration and by payment; and what cannot be one.

use partita::worker;
use partita_simulator::{DirectFeePayer, FaultKind};
use serde_json::{Value, json};

use crate::disputes::{assert_balances, at_provider, dispute_at_provider, the_dispute, told};
use crate::support::{cart, item, paid_with, taxed};
use crate::test_app::{DAY, TestApp, text};

/// Commission 10 %, the processor keeps 2.5 % and 0.20.
pub(crate) async fn ground(t: &TestApp) -> Value {
    t.control.set_fees("eur", 250, 20).await.expect("2.5 % + 0.20");
    t.default_fee(1_000).await;
    t.seller("A", "DE", "EUR", "manual").await
}

/// A line with a tax that the seller owes.
pub(crate) fn owed(seller: &Value, amount: i64, tax: i64) -> Value {
    let mut line = taxed(seller, amount, tax);
    line["tax"]["liability"] = json!("seller");
    line
}

pub(crate) fn direct(reference: &str, lines: &[Value]) -> Value {
    let mut cart = cart(reference, "EUR", lines);
    cart["charge_type"] = json!("direct");
    cart
}

/// EUR 120.00 = goods of 60 and 40, taxes of 12 and 8 that the seller owes.
pub(crate) fn worked_cart(a: &Value) -> Value {
    direct("order-1", &[owed(a, 60_00, 12_00), owed(a, 40_00, 8_00)])
}

/// Row 23: the commission of 10.00 is the platform's, 120.00 less it and the processor's 3.20 stand on the seller's account.
pub(crate) const PENDING: [(&str, i64); 4] =
    [("prov.pending", 10_00), ("rev.commission", 10_00), ("conn.pending.A", 106_80), ("owner.A", 106_80)];

pub(crate) const USABLE: [(&str, i64); 4] =
    [("prov.available", 10_00), ("rev.commission", 10_00), ("conn.available.A", 106_80), ("owner.A", 106_80)];

fn fee_of(payment: &Value) -> (Value, Value, Value) {
    let fee = &payment["direct"]["application_fee"];
    (fee["amount"].clone(), fee["received"].clone(), fee["returned_amount"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_is_charged_on_the_sellers_account_and_the_platform_keeps_its_fee() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    let payment = t.pay(worked_cart(&a)).await;
    assert_eq!((&payment["charge_type"], &payment["processor_fee"]), (&json!("direct"), &json!(3_20)));
    assert_eq!((&payment["direct"]["seller"], &payment["direct"]["account"]), (&a["id"], &a["provider"]["id"]));
    let now = t.payment(&payment).await;
    assert_eq!(fee_of(&now), (json!(10_00), json!(true), json!(0)));
    assert_balances(&t, &PENDING).await;
    let account = text(&a["provider"]["id"]);
    let intent = format!("/v1/payment_intents/{}", text(&payment["provider"]["id"]));
    let intent = t.at_account(Some(&account), "GET", &intent, &[]).await;
    assert_eq!((&intent["application_fee_amount"], &intent["transfer_data"]), (&json!(10_00), &Value::Null));

    t.advance(4 * DAY).await;
    assert_balances(&t, &USABLE).await;
    assert_eq!(t.payment(&payment).await["funds"], "available");
    assert!(t.list("/v1/transfers").await.is_empty(), "there is nothing to send");
    let balance = t.get(&format!("/v1/sellers/{}/balance", text(&a["id"]))).await;
    let row = &balance["balances"][0];
    assert_eq!((&row["available"], &row["provider_available"]), (&json!(0), &json!(106_80)));
    let kinds: Vec<String> = t.list("/v1/events").await.iter().map(|event| text(&event["type"])).collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "payment.application_fee_received").count(), 1);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_processors_fee_that_is_billed_to_the_platform_is_its_expense() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    let mut settings = t.control.settings();
    settings.direct_fee_payer = DirectFeePayer::Application;
    t.control.set_settings(settings).await.expect("set");
    t.pay(worked_cart(&a)).await;
    let charged = [
        ("prov.pending", 6_80),
        ("exp.processing", 3_20),
        ("rev.commission", 10_00),
        ("conn.pending.A", 110_00),
        ("owner.A", 110_00),
    ];
    assert_balances(&t, &charged).await;
    t.advance(4 * DAY).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_without_commission_has_no_fee_and_one_with_vat_on_it_owes_that() {
    let t = TestApp::new().await;
    t.control.set_fees("eur", 250, 20).await.expect("2.5 % + 0.20");
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let free = t.pay(direct("order-0", &[item(&a, 20_00)])).await;
    assert_eq!(fee_of(&free), (json!(0), json!(false), json!(0)));
    assert_balances(&t, &[("conn.pending.A", 19_30), ("owner.A", 19_30)]).await;
    let rule = json!({"price": {"percent_bps": 1_000}, "vat_bps": 2_100});
    let policy = json!({"reference": "vat", "name": "10 % and VAT", "default": true, "rules": [rule]});
    t.post("/v1/fee_policies", "vat", policy).await.expect(201);
    t.pay(direct("order-1", &[item(&a, 60_00)])).await;
    let charged = [
        ("prov.pending", 7_26),
        ("rev.commission", 6_00),
        ("vat.commission", 1_26),
        ("conn.pending.A", 19_30 + 60_00 - 1_70 - 7_26),
        ("owner.A", 19_30 + 60_00 - 1_70 - 7_26),
    ];
    assert_balances(&t, &charged).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_is_the_sellers_and_the_platform_sees_it() {
    let t = TestApp::new().await;
    t.top_up("float", 100_00, "EUR").await;
    let a = ground(&t).await;
    let payment = t.pay(worked_cart(&a)).await;
    t.advance(4 * DAY).await;
    let id = dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    let dispute = the_dispute(&t).await;
    assert_eq!((&dispute["account"], &dispute["payment"]), (&a["provider"]["id"], &payment["id"]));
    assert_eq!((&dispute["withdrawn_amount"], &dispute["fee"]), (&json!(120_00), &json!(15_00)));
    assert_eq!(dispute["policy"]["liability"], "sellers");
    t.reconcile().await;
    // 106.80 less 120.00 and 15.00: the provider keeps the rest of the platform's money back.
    let disputed = [
        ("bank", -100_00),
        ("prov.available", 81_80),
        ("prov.reserved", 28_20),
        ("rev.commission", 10_00),
        ("conn.available.A", -28_20),
        ("owner.A", -28_20),
    ];
    assert_balances(&t, &disputed).await;
    let refund = json!({"payment": payment["id"], "amount": 1_00});
    let problem = t.post("/v1/refunds", "ret-1", refund).await.expect(409);
    assert_eq!(problem["code"], "payment_disputed");

    let path = format!("/v1/disputes/{}/evidence", text(&dispute["id"]));
    t.post(&path, "ev-1", json!({"uncategorized_text": "She wears it."})).await.expect(200);
    t.control.decide_dispute(&id, "won").await.expect("decided");
    t.settle().await;
    assert_eq!(the_dispute(&t).await["status"], "won");
    t.reconcile().await;
    let won = [&USABLE[1..], &[("bank", -100_00), ("prov.available", 110_00)]].concat();
    assert_balances(&t, &won).await;
    assert!(told(&t).await.contains(&"dispute.funds_reinstated".to_owned()));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_that_is_accepted_is_lost_by_the_seller_whatever_is_declared() {
    let t = TestApp::new().await;
    t.top_up("float", 100_00, "EUR").await;
    let declared = json!({"liability": "platform", "hold": "shares", "tax_relief": true, "fee": "platform"});
    t.send("PUT", "/v1/dispute_policy", None, Some(declared)).await.expect(200);
    let a = ground(&t).await;
    let payment = t.pay(worked_cart(&a)).await;
    dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    let dispute = the_dispute(&t).await;
    t.post(&format!("/v1/disputes/{}/accept", text(&dispute["id"])), "acc-1", json!({})).await.expect(200);
    t.advance(4 * DAY).await;
    assert_eq!(the_dispute(&t).await["status"], "lost");
    t.reconcile().await;
    let lost = [
        ("bank", -100_00),
        ("prov.available", 81_80),
        ("prov.reserved", 28_20),
        ("rev.commission", 10_00),
        ("conn.available.A", -28_20),
        ("owner.A", -28_20),
    ];
    assert_balances(&t, &lost).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_that_fails_late_leaves_the_sellers_account() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    let payment = t.pay(worked_cart(&a)).await;
    t.control.fail_payment(&text(&payment["provider"]["id"]), "insufficient_funds").await.expect("it succeeded");
    t.settle().await;
    assert_eq!(t.payment(&payment).await["status"], "failed");
    let failed = [("prov.pending", 10_00), ("rev.commission", 10_00), ("conn.pending.A", -13_20), ("owner.A", -13_20)];
    assert_balances(&t, &failed).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_whose_answer_was_lost_is_made_once_and_a_declined_one_moves_nothing() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    let declined = paid_with(direct("order-0", &[item(&a, 60_00)]), "pm_card_visa_chargeDeclined");
    t.post("/v1/payments", "order-0", declined).await.expect(402);
    t.next_post_fails(FaultKind::AnswerLost, "/v1/payment_intents");
    let open = t.post("/v1/payments", "order-1", worked_cart(&a)).await.expect(202);
    assert_eq!(open["status"], "processing");
    t.advance(60).await;
    assert_eq!(t.payment(&open).await["status"], "succeeded");
    assert_eq!(t.effects("/v1/payment_intents").await, 2);
    assert_balances(&t, &PENDING).await;
    t.assert_no_double_effect().await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_a_charge_is_looked_up_on_the_sellers_account() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    t.next_post_fails(FaultKind::AnswerLost, "/v1/payment_intents");
    let open = t.post("/v1/payments", "order-1", worked_cart(&a)).await.expect(202);
    // No webhook comes, and the key is too old to be sent again.
    t.move_clocks(DAY).await;
    worker::drain(&t.app).await.expect("drained");
    let payment = t.payment(&open).await;
    assert_eq!((&payment["status"], fee_of(&payment).1), (&json!("succeeded"), json!(true)));
    assert_eq!(t.effects("/v1/payment_intents").await, 1);
    t.settle().await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_and_its_fee_that_no_webhook_told_of_are_found_by_reconciliation() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    t.next_post_fails(FaultKind::AnswerLost, "/v1/payment_intents");
    t.post("/v1/payments", "order-1", worked_cart(&a)).await.expect(202);
    let run = t.reconcile().await;
    assert_eq!(run.breaks, 0);
    assert_balances(&t, &PENDING).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_overtake_the_answer_and_twenty_requests_charge_once() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    t.next_post_fails(FaultKind::WebhookFirst, "/v1/payment_intents");
    let body = worked_cart(&a);
    let asked = (0..20).map(|_| t.post("/v1/payments", "order-1", body.clone()));
    let answers = futures::future::join_all(asked).await;
    assert!(answers.iter().all(|answer| matches!(answer.status, 201 | 409)), "done, or under way");
    t.settle().await;
    let first = t.post("/v1/payments", "order-1", body.clone()).await;
    let replayed = t.post("/v1/payments", "order-1", body).await;
    assert_eq!((first.status, &first.bytes), (201, &replayed.bytes));
    assert_eq!(t.effects("/v1/payment_intents").await, 1);
    assert_balances(&t, &PENDING).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_of_another_account_that_carries_our_marks_is_refused() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    let ours = t.pay(worked_cart(&a)).await;
    let other = text(&b["provider"]["id"]);
    let mark = text(&ours["id"]);
    let copy = [
        ("amount", "12000"),
        ("currency", "eur"),
        ("confirm", "true"),
        ("payment_method", "pm_card_visa"),
        ("automatic_payment_methods[enabled]", "true"),
        ("automatic_payment_methods[allow_redirects]", "never"),
        ("metadata[partita_object]", mark.as_str()),
    ];
    // Nothing of ours is charged there: what it tells is not even read.
    t.at_account(Some(&other), "POST", "/v1/payment_intents", &copy).await;
    t.settle().await;
    assert_balances(&t, &PENDING).await;
    let ignored = "select count(*) from inbox_events where state = 'ignored' and kind = 'payment_intent.succeeded'";
    assert_eq!(t.count(ignored).await, 1);
    // Once something of ours is, what carries the mark of another account's payment is told to a person.
    t.pay(direct("order-2", &[item(&b, 10_00)])).await;
    t.at_account(Some(&other), "POST", "/v1/payment_intents", &copy).await;
    t.settle().await;
    let refused = t.count(
        "select count(*) from inbox_events where state = 'quarantined' and last_error like '%told by the account%'",
    );
    assert!(refused.await > 0, "its payment and its charge");
    assert_eq!(t.payment(&ours).await["provider"], ours["provider"]);
    assert_eq!(t.findings().await, Vec::<String>::new());
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declaration_holds_where_it_can_be_done_and_a_payment_may_say_otherwise() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    let with_merchant = json!({"charge_type": "direct", "on_behalf_of": true});
    let problem = t.send("PUT", "/v1/charge_policy", None, Some(with_merchant)).await.expect(422);
    assert_eq!(problem["errors"][0]["pointer"], "#/on_behalf_of");
    let policy = t.send("PUT", "/v1/charge_policy", None, Some(json!({"charge_type": "direct"}))).await.expect(200);
    assert_eq!((&policy["version"], &policy["charge_type"]), (&json!(1), &json!("direct")));
    let mut own = cart("order-2", "EUR", &[item(&a, 30_00)]);
    own["charge_type"] = json!("separate");
    let mut sent = cart("order-3", "EUR", &[item(&a, 30_00)]);
    sent["charge_type"] = json!("destination");
    for (body, kind) in [
        (cart("order-1", "EUR", &[item(&a, 30_00)]), "direct"),
        (own, "separate"),
        (sent, "destination"),
        (cart("order-4", "EUR", &[item(&a, 30_00), item(&b, 10_00)]), "separate"),
        (cart("order-5", "EUR", &[taxed(&a, 30_00, 3_00)]), "separate"),
    ] {
        let payment = t.pay(body).await;
        assert_eq!(payment["charge_type"], kind, "{payment}");
        assert_eq!(payment["direct"].is_null(), kind != "direct");
    }
    t.advance(4 * DAY).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_direct_charge_is_refused_and_says_where() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    let body = json!({"reference": "C", "email": "c@example.com", "country": "DE", "default_currency": "EUR"});
    let c = t.post("/v1/sellers", "C", body).await.expect(201);
    let own = json!({"type": "platform", "amount": 1_00});
    let with = |name: &str, value: Value| {
        let mut cart = direct("order-1", &[item(&a, 10_00)]);
        cart[name] = value;
        cart
    };
    let customer = t.post("/v1/customers", "cus", json!({"reference": "cus"})).await.expect(201);
    t.settle().await;
    let counts = t.row_counts().await;
    let table = [
        (direct("order-1", &[item(&a, 10_00), item(&b, 5_00)]), "#/lines/1/seller"),
        (direct("order-1", &[item(&a, 10_00), own.clone()]), "#/lines/1/type"),
        (direct("order-1", std::slice::from_ref(&own)), "#/lines/0/type"),
        (direct("order-1", &[item(&a, 10_00), taxed(&a, 10_00, 2_00)]), "#/lines/1/tax/liability"),
        (direct("order-1", &[item(&c, 10_00)]), "#/lines/0/seller"),
        (with("capture_method", json!("manual")), "#/capture_method"),
        (with("on_behalf_of", a["id"].clone()), "#/on_behalf_of"),
        (with("customer", customer["id"].clone()), "#/payment_method"),
    ];
    for (number, (body, pointer)) in table.into_iter().enumerate() {
        let problem = t.post("/v1/payments", &format!("bad-{number}"), body.clone()).await.expect(422);
        let error = &problem["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!("not_allowed")), "{body}");
    }
    assert_eq!(t.row_counts().await, counts, "nothing was stored");
    t.close().await;
}
