//! The platform's own payouts: never of what sellers, buyers and the state are owed, whoever asks at the same time.

use partita_simulator::FaultKind;
use serde_json::{Value, json};

use crate::support::{cart, item, taxed};
use crate::test_app::{Answer, DAY, TestApp, text};

async fn pay_out(t: &TestApp, reference: &str, amount: i64) -> Answer {
    let body = json!({"reference": reference, "amount": amount, "currency": "EUR"});
    t.post("/v1/platform_payouts", reference, body).await
}

/// What is free, by the numbers of a refusal.
async fn free(t: &TestApp) -> i64 {
    let problem = pay_out(t, "too-much", 9_999_999_99).await.expect(422);
    assert_eq!(
        (&problem["errors"][0]["pointer"], &problem["errors"][0]["code"]),
        (&json!("#/amount"), &json!("too_much"))
    );
    let detail = text(&problem["errors"][0]["detail"]);
    let number = detail.strip_prefix("no more than ").and_then(|rest| rest.split(' ').next()).expect("a number");
    number.parse().expect("minor units")
}

/// The worked cart: topped up with 100.00, charged 120.00 (A 60, B 40, taxes 20; commission 10; the processor keeps 3.20).
async fn worked_cart(t: &TestApp) -> [Value; 2] {
    t.control.set_fees("eur", 250, 20).await.expect("set");
    t.default_fee(1_000).await;
    t.top_up("float", 100_00, "EUR").await;
    let (a, b) = (t.seller("A", "DE", "EUR", "manual").await, t.seller("B", "DE", "EUR", "manual").await);
    let payment = t.pay(cart("order-1", "EUR", &[taxed(&a, 60_00, 12_00), taxed(&b, 40_00, 8_00)])).await;
    [payment, a]
}

async fn balance(t: &TestApp, path: &str) -> i64 {
    t.balances().await.get(&format!("{path} EUR")).copied().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_free_is_the_platforms_own_at_every_step_and_reaches_its_bank() {
    let t = TestApp::new().await;
    let [payment, _] = worked_cart(&t).await;
    // Charged, nothing usable: the float of 100 less the taxes of 20.
    assert_eq!(free(&t).await, 80_00);
    t.advance(3 * DAY).await;
    // Usable and transferred: the float, and the commission of 10 less the fee of 3.20.
    assert_eq!(free(&t).await, 106_80);
    let refused = pay_out(&t, "all", 106_81).await.expect(422);
    assert!(text(&refused["errors"][0]["detail"]).contains("2000 taxes"), "{refused:#}");
    let payout = pay_out(&t, "all", 106_80).await.expect(201);
    assert_eq!((&payout["status"], &payout["free_before"]), (&json!("pending"), &json!(106_80)));
    assert_eq!((balance(&t, "prov.in_transit").await, balance(&t, "prov.available").await), (106_80, 20_00));
    let before = balance(&t, "bank").await;
    t.advance(3 * DAY).await;
    assert_eq!((balance(&t, "prov.in_transit").await, balance(&t, "bank").await - before), (0, 106_80));
    assert_eq!(t.get(&format!("/v1/platform_payouts/{}", text(&payout["id"]))).await["status"], "paid");
    assert_eq!(free(&t).await, 0);
    // A bank may return what was paid.
    t.control.fail_payout(&text(&payout["provider"]["id"]), "account_closed").await.expect("failed");
    t.settle().await;
    let failed = t.get(&format!("/v1/platform_payouts/{}", text(&payout["id"]))).await;
    assert_eq!((&failed["status"], &failed["failure"]["code"]), (&json!("failed"), &json!("account_closed")));
    assert_eq!((balance(&t, "bank").await, balance(&t, "prov.in_transit").await), (before, 0));
    assert_eq!(free(&t).await, 106_80);
    // A refund gives 2.50 of the commission back.
    t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"], "amount": 30_00})).await.expect(201);
    t.settle().await;
    assert_eq!(free(&t).await, 104_30);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fails_on_the_way_is_back_and_can_be_sent_again() {
    let t = TestApp::new().await;
    t.top_up("float", 100_00, "EUR").await;
    let first = pay_out(&t, "first", 60_00).await.expect(201);
    assert_eq!(free(&t).await, 40_00);
    t.control.fail_payout(&text(&first["provider"]["id"]), "could_not_process").await.expect("failed");
    t.settle().await;
    assert_eq!((balance(&t, "prov.in_transit").await, free(&t).await), (0, 100_00));
    assert_eq!(pay_out(&t, "second", 100_00).await.expect(201)["status"], "pending");
    t.advance(3 * DAY).await;
    assert_eq!(t.list("/v1/platform_payouts?status=paid").await.len(), 1);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_want_the_same_money_are_one_payout_and_a_refusal() {
    let t = TestApp::new().await;
    worked_cart(&t).await;
    t.advance(3 * DAY).await;
    // The row that they queue at is there, and the provider has the state's 20.00 beside what is free: it would send both.
    pay_out(&t, "first", 46_79).await.expect(201);
    assert_eq!(free(&t).await, 60_01);
    let names: Vec<String> = (0..8).map(|number| format!("race-{number}")).collect();
    let answers = futures::future::join_all(names.iter().map(|name| pay_out(&t, name, 40_00))).await;
    let taken = answers.iter().filter(|answer| answer.status == 201).count();
    let refused = answers.iter().filter(|answer| answer.status == 422);
    let ours = refused.filter(|answer| answer.json()["errors"][0]["code"] == "too_much").count();
    assert_eq!((taken, ours), (1, 7), "{:?}", answers.iter().map(Answer::text).collect::<Vec<_>>());
    assert_eq!((t.effects("/v1/payouts").await, t.list("/v1/platform_payouts").await.len()), (2, 2));
    assert_eq!(free(&t).await, 20_01);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tax_on_the_commission_is_the_states_as_any_other() {
    let t = TestApp::new().await;
    t.control.set_fees("eur", 0, 0).await.expect("free of charge");
    let rules = json!([{"price": {"percent_bps": 1_000}, "vat_bps": 2_100}]);
    let policy = json!({"reference": "standard", "name": "10 % and tax", "default": true, "rules": rules});
    t.post("/v1/fee_policies", "standard", policy).await.expect(201);
    t.top_up("float", 200_00, "EUR").await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    t.pay(cart("order-1", "EUR", &[item(&a, 100_00)])).await;
    t.advance(4 * DAY).await;
    // Of the commission of 12.10 the platform's own are 10.00.
    assert_eq!((balance(&t, "conn.available.A").await, balance(&t, "vat.commission").await), (87_90, 2_10));
    assert_eq!(free(&t).await, 210_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_races_a_refund_leaves_everyone_else_their_money() {
    let t = TestApp::new().await;
    let [payment, _] = worked_cart(&t).await;
    t.advance(3 * DAY).await;
    // Both want what the commission of the refunded line brought: whichever is first, nobody else pays for it.
    let refund =
        t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"], "lines": [{"line": 0, "amount": 60_00}]}));
    let (payout, refund) = tokio::join!(pay_out(&t, "race", 106_80), refund);
    assert!(refund.status < 300, "{}", refund.text());
    assert!([201, 422].contains(&payout.status), "{}", payout.text());
    t.settle().await;
    t.advance(3 * DAY).await;
    // B has its 36.00, the taxes of B's line are there, and the buyer's money is on its way or waits for it.
    assert_eq!(balance(&t, "conn.available.B").await, 36_00);
    let there = balance(&t, "prov.available").await + balance(&t, "prov.reserved").await;
    let own = if payout.status == 201 { -6_00 } else { 100_80 };
    assert_eq!(there, 8_00 + own, "taxes of 8, and the platform's own");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_answer_is_lost_counts_as_gone_until_it_is_found() {
    let t = TestApp::new().await;
    t.top_up("float", 100_00, "EUR").await;
    t.next_post_fails(FaultKind::AnswerLost, "/v1/payouts");
    let lost = pay_out(&t, "lost", 60_00).await.expect(202);
    assert_eq!((&lost["status"], &lost["provider"]["id"]), (&json!("processing"), &Value::Null));
    assert_eq!(free(&t).await, 40_00);
    let again = pay_out(&t, "lost", 60_00).await;
    assert_eq!((again.status, again.json()), (202, lost));
    for _ in 0..3 {
        t.advance(300).await;
    }
    assert_eq!(t.list("/v1/platform_payouts").await[0]["status"], "pending");
    assert_eq!((t.effects("/v1/payouts").await, free(&t).await), (1, 40_00));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_refuses_moved_nothing() {
    let t = TestApp::new().await;
    t.top_up("float", 100_00, "EUR").await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    t.pay(cart("order-1", "EUR", &[item(&a, 60_00)])).await;
    // Somebody pays it out in the provider's dashboard; the books do not know yet.
    let past_us = t.control.create_payout(None, 90_00, "eur").await.expect("paid out");
    let refused = pay_out(&t, "first", 60_00).await.expect(422);
    assert_eq!(
        (&refused["code"], &refused["provider"]["code"]),
        (&json!("provider_refused"), &json!("balance_insufficient"))
    );
    assert_eq!(refused["object"]["status"], "failed");
    assert_eq!(balance(&t, "prov.in_transit").await, 0);
    t.control.cancel_payout(&text(&past_us["id"])).await.expect("given up");
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_back_of_sellers_is_theirs() {
    let t = TestApp::new().await;
    crate::reserves::keep_back(&t, crate::reserves::ten_per_cent()).await;
    worked_cart(&t).await;
    t.advance(3 * DAY).await;
    assert_eq!((balance(&t, "sel.A.reserve").await, balance(&t, "sel.B.reserve").await), (5_40, 3_60));
    assert_eq!(free(&t).await, 106_80);
    t.finish().await;
}
