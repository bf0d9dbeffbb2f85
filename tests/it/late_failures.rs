//! What fails after it had succeeded: refunds that come back, payments that the buyer's bank takes back, before and after
//! the sellers were paid; and payments that take days to succeed or fail.

use serde_json::{Value, json};

use crate::second_person::let_one_decide;
use crate::support::{cart, item, paid_with, taxed};
use crate::test_app::{DAY, TestApp, text};

/// EUR 120.00 = A 60 and tax 12, B 40 and tax 8; commission 10 %; the processor keeps 3.20.
pub(crate) async fn worked_cart(t: &TestApp, interval: &str) -> Value {
    let_one_decide(t, "EUR", 100_00).await;
    t.control.set_fees("eur", 250, 20).await.expect("2.5 % + 0.20");
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", interval).await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    t.top_up("float", 100_00, "EUR").await;
    t.pay(cart("order-1", "EUR", &[taxed(&a, 60_00, 12_00), taxed(&b, 40_00, 8_00)])).await
}

pub(crate) async fn assert_balances(t: &TestApp, expected: &[(&str, i64)]) {
    let found: Vec<(String, i64)> = t.balances().await.into_iter().collect();
    let expected: Vec<(String, i64)> = expected.iter().map(|(path, amount)| (format!("{path} EUR"), *amount)).collect();
    assert_eq!(found, expected);
}

fn at_provider(object: &Value) -> String {
    text(&object["provider"]["id"])
}

pub(crate) async fn refund_30(t: &TestApp, payment: &Value) -> Value {
    let body = json!({"payment": payment["id"], "lines": [{"line": 0, "amount": 25_00}]});
    let refund = t.post("/v1/refunds", "ret-1", body).await.expect(201);
    t.settle().await;
    refund
}

pub(crate) async fn comes_back(t: &TestApp, refund: &Value) -> Value {
    t.control.fail_refund(&at_provider(refund), "lost_or_stolen_card").await.expect("it has succeeded");
    t.settle().await;
    let refund = t.get(&format!("/v1/refunds/{}", text(&refund["id"]))).await;
    assert_eq!((&refund["status"], &refund["failure"]["code"]), (&json!("returned"), &json!("lost_or_stolen_card")));
    refund
}

pub(crate) fn resolution(refund: &Value) -> String {
    format!("/v1/refunds/{}/resolution", text(&refund["id"]))
}

/// What the books say after a refund of 30.00 came back, of the worked cart whose sellers were sent their shares.
pub(crate) const RETURNED: [(&str, i64); 10] = [
    ("bank", -100_00),
    ("clr.refund", 30_00),
    ("conn.available.A", 31_50),
    ("conn.available.B", 36_00),
    ("exp.processing", 3_20),
    ("owner.A", 31_50),
    ("owner.B", 36_00),
    ("prov.available", 149_30),
    ("rev.commission", 7_50),
    ("tax.payable", 15_00),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_comes_back_stays_owed_and_reinstating_it_pays_the_sellers_again() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t, "manual").await;
    t.advance(4 * DAY).await;
    let before = t.balances().await;
    let refund = comes_back(&t, &refund_30(&t, &payment).await).await;
    assert_balances(&t, &RETURNED).await;
    assert_eq!(t.list("/v1/refunds?status=returned").await.len(), 1, "somebody has to decide");
    assert_eq!(t.list("/v1/events?type=refund.returned").await.len(), 1);
    assert_eq!(t.payment(&payment).await["refunded_amount"], json!(30_00), "what is owed is not refundable");
    assert_eq!(t.findings().await, Vec::<String>::new());

    let body = json!({"outcome": "reinstated", "reason": "the buyer took a voucher"});
    let done = t.post(&resolution(&refund), "res-1", body.clone()).await.expect(200);
    assert_eq!((&done["status"], &done["resolution"]["outcome"]), (&json!("failed"), &json!("reinstated")));
    assert_eq!(t.post(&resolution(&refund), "res-1", body.clone()).await.expect(200), done, "the first answer");
    let again = t.post(&resolution(&refund), "res-2", body).await.expect(409);
    assert_eq!(again["detail"], "A refund that is failed has nothing to be decided.");
    t.settle().await;
    assert_eq!(t.balances().await, before, "as if it had never been");
    // And everything can be refunded once more.
    let whole = t.post("/v1/refunds", "ret-2", json!({"payment": payment["id"]})).await.expect(201);
    assert_eq!(whole["amount"], json!(120_00));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_comes_back_may_be_paid_from_the_bank() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t, "manual").await;
    t.advance(4 * DAY).await;
    let refund = comes_back(&t, &refund_30(&t, &payment).await).await;
    let body = json!({"outcome": "paid_from_bank", "reason": "SEPA transfer E2E-4711"});
    let done = t.post(&resolution(&refund), "res-1", body).await.expect(200);
    assert_eq!((&done["status"], &done["resolution"]["reason"]), (&json!("settled"), &json!("SEPA transfer E2E-4711")));
    t.settle().await;
    let mut expected = RETURNED.to_vec();
    expected[0].1 = -130_00;
    expected.remove(1);
    assert_balances(&t, &expected).await;
    let more = t.post("/v1/refunds", "ret-2", json!({"payment": payment["id"], "amount": 90_01})).await.expect(422);
    assert_eq!(more["errors"][0]["code"], "too_much");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_taken_once_and_only_about_what_came_back() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t, "manual").await;
    t.advance(4 * DAY).await;
    let refund = refund_30(&t, &payment).await;
    let body = json!({"outcome": "reinstated", "reason": "as agreed"});
    let early = t.post(&resolution(&refund), "early", body.clone()).await.expect(409);
    assert_eq!(early["detail"], "A refund that is succeeded has nothing to be decided.");
    let refund = comes_back(&t, &refund).await;
    let counts = t.row_counts().await;
    for (number, (what, pointer, code)) in [
        (json!({"outcome": "forgotten", "reason": "x"}), "#/outcome", "invalid_value"),
        (json!({"outcome": "reinstated", "reason": ""}), "#/reason", "too_short"),
        (json!({"outcome": "reinstated"}), "#/reason", "missing"),
    ]
    .into_iter()
    .enumerate()
    {
        let problem = t.post(&resolution(&refund), &format!("bad-{number}"), what).await.expect(422);
        let error = &problem["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!(code)));
    }
    assert_eq!(t.row_counts().await, counts, "nothing was stored");
    let decide = |number: usize| {
        let outcome = if number.is_multiple_of(2) { "reinstated" } else { "paid_from_bank" };
        let (t, path) = (&t, resolution(&refund));
        async move {
            let body = json!({"outcome": outcome, "reason": "at once"});
            t.post(&path, &format!("at-once-{number}"), body).await.status
        }
    };
    let mut statuses = futures::future::join_all((0..20).map(decide)).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![200], vec![409; 19]].concat());
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_first_heard_of_when_it_came_back_is_booked_by_reconciliation_too() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t, "manual").await;
    t.advance(4 * DAY).await;
    // It waits for funds, is paid out and comes back, and we hear of none of it.
    t.control.create_payout(None, 126_80, "eur").await.expect("the platform pays itself out");
    let body = json!({"payment": payment["id"], "lines": [{"line": 0, "amount": 25_00}]});
    let refund = t.post("/v1/refunds", "ret-1", body).await.expect(201);
    assert_eq!(refund["status"], "pending");
    t.at_provider("POST", "/v1/topups", &[("amount", "3000"), ("currency", "eur")]).await;
    t.control.advance(0).await.expect("what is due is done");
    t.control.fail_refund(&at_provider(&refund), "expired_or_canceled_card").await.expect("it has succeeded");
    let run = t.reconcile().await;
    let refund = t.get(&format!("/v1/refunds/{}", text(&refund["id"]))).await;
    assert_eq!(refund["status"], "returned");
    assert!(run.adopted >= 1, "{run:?}");
    assert_eq!(t.balances().await["clr.refund EUR"], 30_00);
    // The payout and the top-up are nobody's: breaks of the reconciliation, not a test of this file.
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_taken_back_before_its_money_is_usable_leaves_the_processors_fee() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t, "manual").await;
    t.control.fail_payment(&at_provider(&payment), "insufficient_funds").await.expect("it has succeeded");
    t.settle().await;
    let failed = t.payment(&payment).await;
    assert_eq!(
        (&failed["status"], &failed["funds"], &failed["failure"]["code"]),
        (&json!("failed"), &json!("none"), &json!("insufficient_funds"))
    );
    let left = [("bank", -100_00), ("exp.processing", 3_20), ("prov.available", 100_00), ("prov.pending", -3_20)];
    assert_balances(&t, &left).await;
    let refund = t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"]})).await.expect(409);
    assert_eq!(refund["detail"], "A payment that is failed cannot be refunded.");
    t.advance(4 * DAY).await;
    assert_balances(&t, &[("bank", -100_00), ("exp.processing", 3_20), ("prov.available", 96_80)]).await;
    assert!(t.list("/v1/transfers").await.is_empty(), "nobody was sent anything");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_taken_back_after_its_sellers_were_paid_takes_their_transfers_back() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t, "daily").await;
    t.advance(7 * DAY).await;
    assert_eq!(t.balances().await["ext.bank.A EUR"], 54_00, "A has its money in the bank");
    t.control.fail_payment(&at_provider(&payment), "insufficient_funds").await.expect("it has succeeded");
    t.settle().await;
    t.reconcile().await;
    // A's account at the provider stands below zero, and the provider keeps the platform's money for it.
    let left = [
        ("bank", -100_00),
        ("conn.available.A", -54_00),
        ("exp.processing", 3_20),
        ("ext.bank.A", 54_00),
        ("prov.available", 42_80),
        ("prov.reserved", 54_00),
    ];
    assert_balances(&t, &left).await;
    let told: Vec<String> =
        t.list("/v1/events?type=payment.failed").await.iter().map(|e| text(&e["data"]["object"]["id"])).collect();
    assert_eq!(told, [text(&payment["id"])]);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refunded_of_a_payment_that_is_taken_back_is_the_platforms_loss() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t, "manual").await;
    t.advance(4 * DAY).await;
    let refund = refund_30(&t, &payment).await;
    t.control.fail_payment(&at_provider(&payment), "insufficient_funds").await.expect("it has succeeded");
    t.settle().await;
    let left = [("bank", -100_00), ("exp.dispute_loss", 30_00), ("exp.processing", 3_20), ("prov.available", 66_80)];
    assert_balances(&t, &left).await;
    // When that refund comes back too, giving it up makes the loss good, and pays nobody.
    let refund = comes_back(&t, &refund).await;
    let body = json!({"outcome": "reinstated", "reason": "the bank took it all"});
    t.post(&resolution(&refund), "res-1", body).await.expect(200);
    t.settle().await;
    assert_balances(&t, &[("bank", -100_00), ("exp.processing", 3_20), ("prov.available", 96_80)]).await;
    t.advance(2 * DAY).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_waits_while_its_payment_is_taken_back_pays_no_seller_when_it_fails() {
    let t = TestApp::new().await;
    t.control.set_fees("eur", 0, 0).await.expect("free of charge");
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let payment = t.pay(cart("order-1", "EUR", &[item(&a, 100_00)])).await;
    let refund = t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"], "amount": 40_00})).await.expect(201);
    assert_eq!(refund["status"], "pending");
    t.control.fail_payment(&at_provider(&payment), "insufficient_funds").await.expect("it has succeeded");
    t.settle().await;
    let left = [("clr.refund", 40_00), ("exp.dispute_loss", 40_00)];
    assert_balances(&t, &left).await;
    t.control.fail_refund(&at_provider(&refund), "expired_or_canceled_card").await.expect("it waits");
    t.settle().await;
    assert_balances(&t, &[]).await;
    t.advance(4 * DAY).await;
    assert!(t.list("/v1/transfers").await.is_empty());
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_taken_back_unheard_is_found_by_reconciliation() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t, "manual").await;
    t.advance(4 * DAY).await;
    t.control.fail_payment(&at_provider(&payment), "insufficient_funds").await.expect("it has succeeded");
    let run = t.reconcile().await;
    assert_eq!((run.adopted, run.breaks), (1, 0));
    assert_eq!(t.payment(&payment).await["status"], "failed");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_debit_is_processing_for_days_and_then_succeeds_or_fails() {
    let t = TestApp::new().await;
    t.control.set_fees("usd", 80, 0).await.expect("0.8 %");
    t.default_fee(1_000).await;
    let c = t.seller("C", "US", "USD", "manual").await;
    let mut payments = Vec::new();
    for method in ["pm_usBankAccount_success", "pm_usBankAccount_insufficientFunds"] {
        let body = paid_with(cart(method, "USD", &[item(&c, 50_00)]), method);
        let payment = t.post("/v1/payments", method, body).await.expect(202);
        assert_eq!(payment["status"], "processing");
        payments.push(payment);
    }
    t.advance(3 * DAY).await;
    assert!(t.balances().await.is_empty(), "nothing is booked while the bank decides");
    for payment in &payments {
        let payment = t.payment(payment).await;
        assert_eq!(payment["status"], "processing");
        assert!(payment["provider"]["id"].is_string());
    }
    assert_eq!(t.list("/v1/events?type=payment.processing").await.len(), 2);
    t.advance(DAY).await;
    let (good, bad) = (t.payment(&payments[0]).await, t.payment(&payments[1]).await);
    assert_eq!((&good["status"], &bad["status"]), (&json!("succeeded"), &json!("failed")));
    assert_eq!(bad["failure"]["code"], "insufficient_funds");
    assert_eq!(t.balances().await["sel.C.pending USD"], 45_00);
    t.advance(3 * DAY).await;
    assert_eq!(t.balances().await["conn.available.C USD"], 45_00);
    // And the bank takes it back after all.
    t.control.fail_payment(&at_provider(&good), "insufficient_funds").await.expect("it has succeeded");
    t.settle().await;
    assert_eq!(t.payment(&good).await["status"], "failed");
    assert_eq!(t.balances().await.get("conn.available.C USD"), None);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_debit_first_heard_of_when_the_bank_has_taken_it_back_is_charged_and_failed_at_once() {
    let t = TestApp::new().await;
    t.control.set_fees("usd", 80, 0).await.expect("0.8 %");
    t.default_fee(1_000).await;
    let c = t.seller("C", "US", "USD", "manual").await;
    let body = paid_with(cart("order-1", "USD", &[item(&c, 50_00)]), "pm_usBankAccount_success");
    let payment = t.post("/v1/payments", "order-1", body).await.expect(202);
    t.move_clocks(4 * DAY).await;
    t.control.fail_payment(&at_provider(&payment), "insufficient_funds").await.expect("it has succeeded");
    t.settle().await;
    assert_eq!(t.payment(&payment).await["status"], "failed");
    let left: Vec<(String, i64)> = t.balances().await.into_iter().collect();
    assert_eq!(left, [("exp.processing USD".to_owned(), 40), ("prov.pending USD".to_owned(), -40)]);
    for event in ["payment.succeeded", "payment.failed"] {
        assert_eq!(t.list(&format!("/v1/events?type={event}")).await.len(), 1, "{event}");
    }
    t.advance(4 * DAY).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_who_must_act_is_sent_away_and_the_result_is_taken_by_reading_or_by_webhook() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let wait = async |reference: &str, return_url: Option<&str>| {
        let mut body = paid_with(cart(reference, "EUR", &[item(&a, 20_00)]), "pm_card_authenticationRequired");
        if let Some(back) = return_url {
            body["return_url"] = json!(back);
        }
        let payment = t.post("/v1/payments", reference, body).await.expect(201);
        assert_eq!(payment["status"], "requires_action");
        payment
    };
    let action = |payment: &Value| format!("/v1/payments/{}/client_action", text(&payment["id"]));
    let by_page = wait("order-1", Some("https://shop.example/back")).await;
    let shown = t.get(&action(&by_page)).await;
    assert_eq!(shown["kind"], "redirect");
    assert!(text(&shown["redirect_url"]).starts_with("https://hooks.stripe.com/"));
    assert!(text(&shown["client_secret"]).starts_with(&at_provider(&by_page)));
    let by_script = wait("order-2", None).await;
    let shown = t.get(&action(&by_script)).await;
    assert_eq!((&shown["kind"], &shown["redirect_url"]), (&json!("script"), &Value::Null));

    // No webhook has come: reading takes the result.
    t.control.authenticate(&at_provider(&by_page), true).await.expect("it waits for its buyer");
    let over = t.send("GET", &action(&by_page), None, None).await.expect(409);
    assert_eq!(over["detail"], "The payment is succeeded: its buyer has nothing to do.");
    assert_eq!(t.payment(&by_page).await["status"], "succeeded");
    // And a webhook brings the other.
    t.control.authenticate(&at_provider(&by_script), false).await.expect("it waits for its buyer");
    t.settle().await;
    let failed = t.payment(&by_script).await;
    assert_eq!(
        (&failed["status"], &failed["failure"]["code"]),
        (&json!("failed"), &json!("payment_intent_authentication_failure"))
    );
    assert_eq!(t.balances().await["sel.A.pending EUR"], 20_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_whose_buyer_had_to_act_first_is_captured_afterwards() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let mut body = paid_with(cart("order-1", "EUR", &[item(&a, 20_00)]), "pm_card_authenticationRequired");
    body["capture_method"] = json!("manual");
    let payment = t.post("/v1/payments", "order-1", body).await.expect(201);
    let path = format!("/v1/payments/{}/capture", text(&payment["id"]));
    let early = t.post(&path, "cap-0", json!({})).await.expect(409);
    assert_eq!(early["detail"], "A payment that is requires_action cannot be captured.");
    t.control.authenticate(&at_provider(&payment), true).await.expect("it waits for its buyer");
    t.settle().await;
    assert_eq!(t.payment(&payment).await["status"], "authorized");
    let captured = t.post(&path, "cap-1", json!({"amount": 5_00})).await.expect(200);
    assert_eq!(captured["captured_amount"], json!(5_00));
    t.finish().await;
}
