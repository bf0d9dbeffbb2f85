//! Payments that the provider settles in another currency: sellers and buyers stand in the payment's own, the platform's balance in
//! the provider's, and positions between them are closed, whatever the rates do meanwhile.

use partita_simulator::{Exchange, NewDispute, Rate, Settings};
use serde_json::{Value, json};

use crate::support::{cart, item, taxed};
use crate::test_app::{DAY, TestApp, text};

/// Has the provider keep the platform's balance in a currency, at these rates from now on, and convert transfers too.
async fn settle_in(t: &TestApp, settlement: &str, rates: &[(&str, &str)]) {
    settle_so(t, settlement, rates, true).await;
}

pub(crate) async fn settle_so(t: &TestApp, settlement: &str, rates: &[(&str, &str)], transfers_convert: bool) {
    let rate =
        |(currency, rate): &(&str, &str)| Rate { currency: (*currency).to_owned(), rate: (*rate).to_owned(), from: 0 };
    let rates = rates.iter().map(rate).collect();
    let exchange = Exchange { settlement_currency: settlement.to_owned(), rates, transfers_convert };
    let settings = Settings { exchange: Some(exchange), ..t.control.settings() };
    t.control.set_settings(settings).await.expect("lawful settings");
}

pub(crate) async fn usd_at(t: &TestApp, rate: &str) {
    settle_in(t, "eur", &[("usd", rate)]).await;
}

pub(crate) async fn assert_balances(t: &TestApp, expected: &[(&str, i64)]) {
    let mut expected: Vec<_> = expected.iter().map(|(path, amount)| ((*path).to_owned(), *amount)).collect();
    expected.sort();
    assert_eq!(t.balances().await.into_iter().collect::<Vec<_>>(), expected);
}

/// A platform whose balance is kept in euros, topped up with EUR 200.00, that takes 10 %; seller A sells in dollars.
pub(crate) async fn market(t: &TestApp) -> Value {
    t.control.set_fees("eur", 0, 0).await.expect("free");
    t.default_fee(1_000).await;
    let a = t.seller("A", "US", "USD", "manual").await;
    t.top_up("float", 200_00, "EUR").await;
    usd_at(t, "0.923077").await;
    a
}

/// The buyer paid USD 130.00 and the provider settled EUR 120.00.
pub(crate) async fn charged(t: &TestApp) -> Value {
    let a = market(t).await;
    t.pay(cart("order-1", "USD", &[item(&a, 130_00)])).await
}

/// A was sent USD 117.00, which cost EUR 108.60.
pub(crate) async fn transferred(t: &TestApp) -> Value {
    let payment = charged(t).await;
    usd_at(t, "0.928205").await;
    t.advance(4 * DAY).await;
    assert_balances(t, &SOLD).await;
    payment
}

/// Once all of it has moved: the commission of USD 13.00 is EUR 12.00 at the charge's rate, and 60 cents are lost.
const SOLD: [(&str, i64); 6] = [
    ("bank EUR", -200_00),
    ("conn.available.A USD", 117_00),
    ("fx.result EUR", 60),
    ("owner.A USD", 117_00),
    ("prov.available EUR", 211_40),
    ("rev.commission EUR", 12_00),
];

async fn refund(t: &TestApp, payment: &Value, reference: &str, amount: i64) -> Value {
    let body = json!({"payment": payment["id"], "lines": [{"line": 0, "amount": amount}]});
    let refund = t.post("/v1/refunds", reference, body).await.expect(201);
    t.settle().await;
    refund
}

#[tokio::test(flavor = "multi_thread")]
async fn usd_130_settled_as_eur_120_reaches_the_seller_as_usd_117_and_its_position_is_closed() {
    let t = TestApp::new().await;
    let payment = charged(&t).await;
    let charged = [
        ("bank EUR", -200_00),
        ("fx EUR", -120_00),
        ("fx USD", 130_00),
        ("prov.available EUR", 200_00),
        ("prov.pending EUR", 120_00),
        ("rev.commission USD", 13_00),
        ("sel.A.pending USD", 117_00),
    ];
    assert_balances(&t, &charged).await;
    assert_eq!(t.findings().await, Vec::<String>::new(), "open, and looked at");
    usd_at(&t, "0.928205").await;
    t.advance(4 * DAY).await;
    assert_balances(&t, &SOLD).await;
    let postings = t.get(&format!("/v1/payments/{}/postings", text(&payment["id"]))).await;
    assert!(postings.to_string().contains("position_closed"), "{postings:#}");
    assert_eq!(t.count("select count(*) from exchanges where exchange_rate in ('0.923077', '0.928205')").await, 2);
    assert_eq!(t.count("select count(*) from due where kind = 'currency_position'").await, 0);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_refund_at_another_rate_is_the_platforms_loss_and_leaves_nothing_on_the_seller() {
    let t = TestApp::new().await;
    let payment = transferred(&t).await;
    usd_at(&t, "0.95").await;
    t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"]})).await.expect(201);
    t.settle().await;
    // EUR 123.50 to the buyer, EUR 111.15 for the USD 117.00 from A: 120.00 - 108.60 - 123.50 + 111.15.
    let nothing = [("bank EUR", -200_00), ("fx.result EUR", 95), ("prov.available EUR", 199_05)];
    assert_balances(&t, &nothing).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_at_two_other_rates_take_the_commission_back_at_the_charges() {
    let t = TestApp::new().await;
    let payment = transferred(&t).await;
    usd_at(&t, "0.95").await;
    refund(&t, &payment, "ret-1", 25_00).await;
    // EUR 23.75 out and 21.38 back; of the commission USD 10.50 are left, EUR 9.69.
    let first = [
        ("bank EUR", -200_00),
        ("conn.available.A USD", 94_50),
        ("fx.result EUR", 66),
        ("owner.A USD", 94_50),
        ("prov.available EUR", 209_03),
        ("rev.commission EUR", 9_69),
    ];
    assert_balances(&t, &first).await;
    usd_at(&t, "0.90").await;
    refund(&t, &payment, "ret-2", 33_33).await;
    // EUR 30.00 out and 27.00 back; of the commission USD 7.17 are left, EUR 6.62: this time 7 cents are won.
    let second = [
        ("bank EUR", -200_00),
        ("conn.available.A USD", 64_50),
        ("fx.result EUR", 59),
        ("owner.A USD", 64_50),
        ("prov.available EUR", 206_03),
        ("rev.commission EUR", 6_62),
    ];
    assert_balances(&t, &second).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_before_the_money_is_usable_waits_with_its_position() {
    let t = TestApp::new().await;
    let payment = charged(&t).await;
    usd_at(&t, "0.95").await;
    refund(&t, &payment, "ret-1", 30_00).await;
    // A's USD 27.00 come off what waits, USD 3.00 off the commission; EUR 28.50 left the float.
    let waiting = [
        ("bank EUR", -200_00),
        ("fx EUR", -91_50),
        ("fx USD", 100_00),
        ("prov.available EUR", 171_50),
        ("prov.pending EUR", 120_00),
        ("rev.commission USD", 10_00),
        ("sel.A.pending USD", 90_00),
    ];
    assert_balances(&t, &waiting).await;
    usd_at(&t, "0.923077").await;
    t.advance(4 * DAY).await;
    // USD 90.00 for EUR 83.08; the commission of USD 10.00 is EUR 9.23: 91.50 - 83.08 - 9.23.
    let sold = [
        ("bank EUR", -200_00),
        ("conn.available.A USD", 90_00),
        ("fx.result EUR", 81),
        ("owner.A USD", 90_00),
        ("prov.available EUR", 208_42),
        ("rev.commission EUR", 9_23),
    ];
    assert_balances(&t, &sold).await;
    t.finish().await;
}

/// Lets the buyer's bank dispute the payment; the provider's dispute.
pub(crate) async fn dispute(t: &TestApp, payment: &Value) -> String {
    let new = NewDispute::of(payment["provider"]["id"].as_str().expect("an id"));
    let id = text(&t.control.open_dispute(new).await.expect("disputed")["id"]);
    t.settle().await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_that_is_won_at_a_third_rate_costs_the_platform_the_rates_and_the_seller_nothing() {
    let t = TestApp::new().await;
    let payment = transferred(&t).await;
    usd_at(&t, "0.95").await;
    let id = dispute(&t, &payment).await;
    // EUR 123.50 and 15.00 taken, EUR 111.15 back from A; the position is open until it is decided.
    let open = [
        ("bank EUR", -200_00),
        ("dsp.receivable USD", 130_00),
        ("exp.dispute_fee EUR", 15_00),
        ("fx EUR", 12_35),
        ("fx USD", -13_00),
        ("fx.result EUR", 60),
        ("prov.available EUR", 184_05),
        ("rev.commission EUR", 12_00),
        ("sel.A.held USD", 117_00),
    ];
    assert_balances(&t, &open).await;
    usd_at(&t, "0.90").await;
    t.control.decide_dispute(&id, "won").await.expect("decided");
    t.settle().await;
    // EUR 117.00 and the fee come back, USD 117.00 go to A again for EUR 105.30: -12.35 + 117.00 - 105.30.
    let mut won = SOLD;
    won[2] = ("fx.result EUR", 1_25);
    won[4] = ("prov.available EUR", 210_75);
    assert_balances(&t, &won).await;
    let disputes = t.list("/v1/disputes").await;
    assert_eq!((&disputes[0]["amount"], &disputes[0]["currency"]), (&json!(130_00), &json!("USD")));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_that_is_lost_leaves_the_fee_and_the_rates() {
    let t = TestApp::new().await;
    let payment = transferred(&t).await;
    usd_at(&t, "0.95").await;
    let id = dispute(&t, &payment).await;
    t.control.decide_dispute(&id, "lost").await.expect("decided");
    t.settle().await;
    // No money crosses with the decision: the daily look closes the position.
    t.advance(DAY).await;
    let lost =
        [("bank EUR", -200_00), ("exp.dispute_fee EUR", 15_00), ("fx.result EUR", 95), ("prov.available EUR", 184_05)];
    assert_balances(&t, &lost).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_the_buyers_bank_takes_back_at_another_rate_leaves_the_rates_alone() {
    let t = TestApp::new().await;
    let payment = transferred(&t).await;
    usd_at(&t, "0.95").await;
    let intent = payment["provider"]["id"].as_str().expect("an id");
    t.control.fail_payment(intent, "insufficient_funds").await.expect("it has succeeded");
    t.settle().await;
    assert_eq!(t.payment(&payment).await["status"], "failed");
    let nothing = [("bank EUR", -200_00), ("fx.result EUR", 95), ("prov.available EUR", 199_05)];
    assert_balances(&t, &nothing).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_in_part_is_settled_as_what_was_moved_less_what_was_given_back() {
    let t = TestApp::new().await;
    let a = market(&t).await;
    let mut hold = cart("order-1", "USD", &[item(&a, 130_00)]);
    hold["capture_method"] = json!("manual");
    let payment = t.post("/v1/payments", "order-1", hold).await.expect(201);
    let path = format!("/v1/payments/{}/capture", text(&payment["id"]));
    t.post(&path, "cap-1", json!({"amount": 65_00})).await.expect(200);
    t.settle().await;
    // All USD 130.00 as EUR 120.00, and USD 65.00 back as EUR 60.00.
    let captured = [
        ("bank EUR", -200_00),
        ("fx EUR", -60_00),
        ("fx USD", 65_00),
        ("prov.available EUR", 200_00),
        ("prov.pending EUR", 60_00),
        ("rev.commission USD", 6_50),
        ("sel.A.pending USD", 58_50),
    ];
    assert_balances(&t, &captured).await;
    usd_at(&t, "0.928205").await;
    t.advance(4 * DAY).await;
    let sold = [
        ("bank EUR", -200_00),
        ("conn.available.A USD", 58_50),
        ("fx.result EUR", 30),
        ("owner.A USD", 58_50),
        ("prov.available EUR", 205_70),
        ("rev.commission EUR", 6_00),
    ];
    assert_balances(&t, &sold).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn taxes_and_a_fee_that_is_passed_on_are_brought_home_at_the_charges_rate() {
    let t = TestApp::new().await;
    t.control.set_fees("eur", 0, 2_40).await.expect("2.40");
    let rule = json!({"price": {"percent_bps": 1_000}, "processor_fee": "seller"});
    let policy = json!({"reference": "passed", "name": "10 %, and the fee", "default": true, "rules": [rule]});
    t.post("/v1/fee_policies", "passed", policy).await.expect(201);
    let a = t.seller("A", "US", "USD", "manual").await;
    t.top_up("float", 200_00, "EUR").await;
    usd_at(&t, "0.923077").await;
    let payment = t.pay(cart("order-1", "USD", &[taxed(&a, 100_00, 30_00)])).await;
    // The fee of EUR 2.40 is USD 2.60 of A's; it stands in both currencies until all has moved.
    let charged = [
        ("bank EUR", -200_00),
        ("exp.processing EUR", 2_40),
        ("exp.processing USD", -2_60),
        ("fx EUR", -120_00),
        ("fx USD", 130_00),
        ("prov.available EUR", 200_00),
        ("prov.pending EUR", 117_60),
        ("rev.commission USD", 10_00),
        ("sel.A.pending USD", 87_40),
        ("tax.payable USD", 30_00),
    ];
    assert_balances(&t, &charged).await;
    t.advance(4 * DAY).await;
    // USD 87.40 for EUR 80.68; commission 9.23, tax 27.69, fee 2.40: 120.00 - 80.68 - 9.23 - 27.69 - 2.40 = 0.
    let sold = [
        ("bank EUR", -200_00),
        ("conn.available.A USD", 87_40),
        ("owner.A USD", 87_40),
        ("prov.available EUR", 236_92),
        ("rev.commission EUR", 9_23),
        ("tax.payable EUR", 27_69),
    ];
    assert_balances(&t, &sold).await;
    // All of it goes back at the same rate: A owes the fee, which the processor keeps.
    t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"]})).await.expect(201);
    t.settle().await;
    crate::debts::end_of_day(&t).await;
    let left = [
        ("bank EUR", -200_00),
        ("fx USD", -2_60),
        ("fx.result EUR", 2_40),
        ("prov.available EUR", 197_60),
        ("sel.A.debt USD", 2_60),
    ];
    assert_balances(&t, &left).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_that_do_not_divide_at_six_rates_end_at_nothing_but_the_rates() {
    let t = TestApp::new().await;
    let a = market(&t).await;
    let (b, c) = (t.seller("B", "US", "USD", "manual").await, t.seller("C", "US", "USD", "manual").await);
    let lines = [taxed(&a, 33_34, 1_01), item(&b, 33_33), taxed(&c, 7, 1)];
    let payment = t.pay(cart("order-1", "USD", &lines)).await;
    usd_at(&t, "0.917431").await;
    t.advance(4 * DAY).await;
    for (number, (rate, amount)) in [("0.91", 10_01), ("0.9523", 7_77), ("0.87", 1)].into_iter().enumerate() {
        usd_at(&t, rate).await;
        let body = json!({"payment": payment["id"], "amount": amount});
        t.post("/v1/refunds", &format!("ret-{number}"), body).await.expect(201);
        t.settle().await;
        assert_eq!(t.balances().await.get("fx EUR"), None);
    }
    usd_at(&t, "1.003").await;
    t.post("/v1/refunds", "rest", json!({"payment": payment["id"]})).await.expect(201);
    t.settle().await;
    let left = t.balances().await;
    let result = left["fx.result EUR"];
    let nothing = [("bank EUR", -200_00), ("fx.result EUR", result), ("prov.available EUR", 200_00 - result)];
    assert_balances(&t, &nothing).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_decimals_settled_in_none_and_none_in_three() {
    let t = TestApp::new().await;
    t.control.set_fees("jpy", 0, 0).await.expect("free");
    t.default_fee(1_000).await;
    let k = t.seller("K", "AE", "KWD", "manual").await;
    t.top_up("float", 10_000, "JPY").await;
    settle_in(&t, "jpy", &[("kwd", "489.44")]).await;
    t.pay(cart("order-1", "KWD", &[item(&k, 10_100)])).await;
    settle_in(&t, "jpy", &[("kwd", "500")]).await;
    t.advance(4 * DAY).await;
    // KWD 10.100 is JPY 4,943.3; the share of 9.090 cost 4,545; the commission of 1.010 is 494.3.
    let sold = [
        ("bank JPY", -10_000),
        ("conn.available.K KWD", 9_090),
        ("fx.result JPY", 96),
        ("owner.K KWD", 9_090),
        ("prov.available JPY", 10_398),
        ("rev.commission JPY", 494),
    ];
    assert_balances(&t, &sold).await;
    t.finish().await;

    let t = TestApp::new().await;
    t.control.set_fees("kwd", 0, 0).await.expect("free");
    t.default_fee(1_000).await;
    let j = t.seller("J", "JP", "JPY", "manual").await;
    t.top_up("float", 10_000, "KWD").await;
    settle_in(&t, "kwd", &[("jpy", "0.00205")]).await;
    t.pay(cart("order-1", "JPY", &[item(&j, 1_000)])).await;
    settle_in(&t, "kwd", &[("jpy", "0.0021")]).await;
    t.advance(4 * DAY).await;
    // JPY 1,000 is KWD 2.050; the share of 900 cost 1.890; the commission of 100 is 0.205.
    let sold = [
        ("bank KWD", -10_000),
        ("conn.available.J JPY", 900),
        ("fx.result KWD", 45),
        ("owner.J JPY", 900),
        ("prov.available KWD", 10_160),
        ("rev.commission KWD", 205),
    ];
    assert_balances(&t, &sold).await;
    t.finish().await;
}
