//! Refunds of direct charges, given from the seller's own account, with the application fee returned or kept; and payouts of a seller
//! that has both kinds of money.

use partita_simulator::FaultKind;
use serde_json::{Value, json};

use crate::direct_charges::{USABLE, direct, ground, owed, worked_cart};
use crate::disputes::assert_balances;
use crate::support::{cart, item};
use crate::test_app::{DAY, TestApp, text};

/// The worked cart of 120.00, usable: 106.80 on A's account, 10.00 the platform's.
async fn paid(t: &TestApp) -> (Value, Value) {
    let a = ground(t).await;
    let payment = t.pay(worked_cart(&a)).await;
    t.advance(4 * DAY).await;
    (a, payment)
}

/// 25.00 of the first line and its tax of 5.00.
fn of_30(payment: &Value) -> Value {
    json!({"payment": payment["id"], "lines": [{"line": 0, "amount": 25_00}]})
}

/// After a refund of 30.00 with 2.50 of the fee.
const REFUNDED: [(&str, i64); 4] =
    [("prov.available", 7_50), ("rev.commission", 7_50), ("conn.available.A", 79_30), ("owner.A", 79_30)];

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_in_part_takes_it_from_the_seller_and_gives_its_part_of_the_fee_back() {
    let t = TestApp::new().await;
    let (a, payment) = paid(&t).await;
    let preview = t.post("/v1/refunds/preview", "p", of_30(&payment)).await.expect(200);
    assert_eq!((&preview["amount"], &preview["application_fee"]), (&json!(30_00), &json!(2_50)));
    let refund = t.post("/v1/refunds", "ret-1", of_30(&payment)).await.expect(201);
    assert_eq!((&refund["status"], &refund["lines"][0]["commission"]), (&json!("succeeded"), &json!(0)));
    t.settle().await;
    assert_balances(&t, &REFUNDED).await;
    let now = t.payment(&payment).await;
    assert_eq!(now["direct"]["application_fee"]["returned_amount"], 2_50);
    let again = t.post("/v1/refunds", "ret-1", of_30(&payment)).await.expect(201);
    assert_eq!(again["id"], refund["id"], "a replay gives nothing twice");
    // Without another sale the account has not enough for the rest, and the refund would wait.
    t.pay(direct("order-2", &[item(&a, 50_00)])).await;
    t.advance(4 * DAY).await;
    t.post("/v1/refunds", "ret-2", json!({"payment": payment["id"]})).await.expect(201);
    t.settle().await;
    // Of 50.00 the processor keeps 1.45 and the platform 5.00; of the first sale the processor's 3.20 are lost.
    let rest = [("prov.available", 5_00), ("rev.commission", 5_00), ("conn.available.A", 40_35), ("owner.A", 40_35)];
    assert_balances(&t, &rest).await;
    assert_eq!(t.payment(&payment).await["direct"]["application_fee"]["returned_amount"], 10_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fee_that_is_kept_stays_with_the_platform_by_policy_or_by_refund() {
    let t = TestApp::new().await;
    let (_, payment) = paid(&t).await;
    let policy = json!({"fee": "kept", "processor_fee": "platform", "tax": "returned"});
    t.send("PUT", "/v1/refund_policy", None, Some(policy)).await.expect(200);
    t.post("/v1/refunds", "ret-1", of_30(&payment)).await.expect(201);
    t.settle().await;
    let kept = [&USABLE[..2], &[("conn.available.A", 76_80), ("owner.A", 76_80)]].concat();
    assert_balances(&t, &kept).await;
    let mut said = json!({"payment": payment["id"], "amount": 12_00});
    said["fee"] = json!("returned");
    t.post("/v1/refunds", "ret-2", said).await.expect(201);
    t.settle().await;
    let returned =
        [("prov.available", 9_00), ("rev.commission", 9_00), ("conn.available.A", 65_80), ("owner.A", 65_80)];
    assert_balances(&t, &returned).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_waits_for_the_sellers_money_gives_the_fee_back_with_it() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    let payment = t.pay(worked_cart(&a)).await;
    // Nothing is usable yet.
    let refund = t.post("/v1/refunds", "ret-1", of_30(&payment)).await.expect(201);
    assert_eq!(refund["status"], "pending");
    t.settle().await;
    assert_eq!(t.payment(&payment).await["direct"]["application_fee"]["returned_amount"], 0);
    t.advance(4 * DAY).await;
    assert_eq!(t.list("/v1/refunds").await[0]["status"], "succeeded");
    assert_balances(&t, &REFUNDED).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_whose_answer_was_lost_is_given_once() {
    let t = TestApp::new().await;
    let (_, payment) = paid(&t).await;
    t.next_post_fails(FaultKind::AnswerLost, "/v1/refunds");
    t.post("/v1/refunds", "ret-1", of_30(&payment)).await.expect(202);
    t.advance(60).await;
    assert_eq!(t.list("/v1/refunds").await[0]["status"], "succeeded");
    assert_eq!(t.effects("/v1/refunds").await, 1);
    assert_balances(&t, &REFUNDED).await;
    t.assert_no_double_effect().await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_that_race_give_no_more_than_there_is_and_the_fee_once() {
    let t = TestApp::new().await;
    let (_, payment) = paid(&t).await;
    let bodies: Vec<Value> = (0..8).map(|_| json!({"payment": payment["id"], "amount": 20_00})).collect();
    let keys: Vec<String> = (0..8).map(|number| format!("ret-{number}")).collect();
    let asked = keys.iter().zip(bodies).map(|(key, body)| t.post("/v1/refunds", key, body));
    let answers = futures::future::join_all(asked).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 6, "120 = 6 * 20");
    t.settle().await;
    let now = t.payment(&payment).await;
    assert_eq!(now["refunded_amount"], 120_00);
    // Those that the account's 106.80 do not cover wait, and give the fee back later.
    let given = t.list("/v1/refunds?status=succeeded").await.len();
    let expected: i64 = (0..given).map(|_| 1_67).sum();
    assert_eq!(now["direct"]["application_fee"]["returned_amount"], json!(expected.min(10_00)));
    assert_eq!(t.findings().await, Vec::<String>::new());
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_came_back_is_the_sellers_and_not_paid_from_the_platforms_bank() {
    let t = TestApp::new().await;
    let (_, payment) = paid(&t).await;
    let refund = t.post("/v1/refunds", "ret-1", of_30(&payment)).await.expect(201);
    t.settle().await;
    t.control.fail_refund(&text(&refund["provider"]["id"]), "lost_or_stolen_card").await.expect("failed");
    t.settle().await;
    let back = [&REFUNDED[..2], &[("conn.available.A", 109_30), ("owner.A", 109_30)]].concat();
    assert_balances(&t, &back).await;
    let path = format!("/v1/refunds/{}", text(&refund["id"]));
    assert_eq!(t.get(&path).await["status"], "returned");
    let decide = |outcome: &str| json!({"outcome": outcome, "reason": "the card is gone"});
    let problem = t.post(&format!("{path}/resolution"), "res-1", decide("paid_from_bank")).await.expect(409);
    assert!(text(&problem["detail"]).contains("direct charge"), "{problem}");
    assert_eq!(t.get(&path).await["status"], "returned");
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vat_on_the_commission_goes_back_with_the_fee() {
    let t = TestApp::new().await;
    t.control.set_fees("eur", 0, 0).await.expect("nothing");
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let rule = json!({"price": {"percent_bps": 1_000}, "vat_bps": 2_100});
    let policy = json!({"reference": "vat", "name": "10 % and VAT", "default": true, "rules": [rule]});
    t.post("/v1/fee_policies", "vat", policy).await.expect(201);
    let payment = t.pay(direct("order-1", &[owed(&a, 60_00, 0)])).await;
    t.advance(4 * DAY).await;
    t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"], "amount": 25_00})).await.expect(201);
    t.settle().await;
    // 25 of 60 of the fee of 7.26: 3.03, of which 0.53 are tax.
    let refunded = [
        ("prov.available", 4_23),
        ("rev.commission", 3_50),
        ("vat.commission", 73),
        ("conn.available.A", 52_74 - 21_97),
        ("owner.A", 52_74 - 21_97),
    ];
    assert_balances(&t, &refunded).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_is_of_both_kinds_of_money_and_says_which() {
    let t = TestApp::new().await;
    t.top_up("float", 100_00, "EUR").await;
    let (a, payment) = paid(&t).await;
    t.pay(cart("order-2", "EUR", &[item(&a, 50_00)])).await;
    t.advance(4 * DAY).await;
    t.post("/v1/refunds", "ret-1", of_30(&payment)).await.expect(201);
    t.settle().await;
    let payout = t.post("/v1/payouts", "po-1", json!({"reference": "po-1", "seller": a["id"]})).await.expect(201);
    assert_eq!(payout["amount"], 79_30 + 45_00);
    t.settle().await;
    let explanation = t.get(&format!("/v1/payouts/{}/explain", text(&payout["id"]))).await;
    let part = |name: &str| explanation[name].as_i64().expect("minor units");
    assert_eq!((part("opening"), part("transfers"), part("direct_charges"), part("other")), (0, 45_00, 79_30, 0));
    let lines = explanation["lines"].as_array().expect("lines");
    let of_sale: Vec<_> = lines.iter().filter(|line| line["payment"] == payment["id"]).collect();
    assert_eq!(of_sale.iter().map(|line| line["amount"].as_i64().expect("minor units")).sum::<i64>(), 79_30);
    assert!(of_sale.iter().all(|line| line["what"] == "direct_charge" && line["payment_reference"] == "order-1"));
    t.advance(4 * DAY).await;
    t.finish().await;
}
