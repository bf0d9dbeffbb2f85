//! Shares that are sent with their charge, among everything else that a platform has declared: reserves, debts, the processor's
//! fee, payouts, who charges how; and what somebody does past us.

use serde_json::{Value, json};

use crate::adjustments::{adjust, adjustment, allow_alone};
use crate::bank_payouts::by_bank;
use crate::debts::end_of_day;
use crate::destinations::{USABLE, ground, sent};
use crate::disputes::assert_balances;
use crate::reserves::{amounts, keep_back, only_reserve, ten_per_cent};
use crate::support::{cart, item, taxed};
use crate::test_app::{DAY, TestApp, text};

async fn declare(t: &TestApp, policy: Value) -> Value {
    t.send("PUT", "/v1/charge_policy", None, Some(policy)).await.expect(200)
}

async fn charge_type(t: &TestApp, cart: Value) -> String {
    text(&t.pay(cart).await["charge_type"])
}

async fn left(t: &TestApp, path: &str) -> i64 {
    t.balances().await.get(&format!("{path} EUR")).copied().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_is_kept_back_in_part_is_not_sent_with_its_charge() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    declare(&t, json!({"charge_type": "destination"})).await;
    let mut held = cart("order-0", "EUR", &[item(&a, 20_00)]);
    held["capture_method"] = json!("manual");
    let held = t.post("/v1/payments", "order-0", held).await.expect(201);
    assert_eq!(held["charge_type"], "destination");
    keep_back(&t, ten_per_cent()).await;

    let counts = t.row_counts().await;
    let problem = t.post("/v1/payments", "order-1", sent("order-1", &[item(&a, 60_00)])).await.expect(422);
    let error = &problem["errors"][0];
    assert_eq!((&error["pointer"], &error["code"]), (&json!("#/charge_type"), &json!("not_allowed")));
    assert!(text(&error["detail"]).contains("kept back"), "{error}");
    assert_eq!(t.row_counts().await, counts, "nothing was stored");
    // Where the payment does not say it, that is a separate charge.
    assert_eq!(charge_type(&t, cart("order-1", "EUR", &[item(&a, 60_00)])).await, "separate");
    // What was authorised before the rule was declared is sent as it was said.
    t.post(&format!("/v1/payments/{}/capture", text(&held["id"])), "cap", json!({})).await.expect(200);
    t.advance(4 * DAY).await;
    let reserve = only_reserve(&t).await;
    assert_eq!((&reserve["amount"], amounts(&reserve)), (&json!(5_40), [5_40, 0, 0]), "of the separate one alone");
    assert_eq!(left(&t, "conn.available.A").await, 18_00 + 48_60);

    keep_back(&t, json!({})).await;
    assert_eq!(charge_type(&t, cart("order-2", "EUR", &[item(&a, 10_00)])).await, "destination");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_is_sent_with_its_charge_pays_no_debt_and_the_next_separate_sale_does() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    allow_alone(&t, "EUR", 5_00).await;
    adjust(&t, adjustment(&a, "late", "debit", 1_00, "penalty")).await.expect(201);
    end_of_day(&t).await;
    assert_eq!(left(&t, "sel.A.debt").await, 1_00);
    t.pay(sent("order-1", &[item(&a, 60_00)])).await;
    t.advance(4 * DAY).await;
    assert_eq!((left(&t, "sel.A.debt").await, left(&t, "conn.available.A").await), (1_00, 54_00));
    t.pay(cart("order-2", "EUR", &[item(&a, 10_00)])).await;
    t.advance(4 * DAY).await;
    assert_eq!((left(&t, "sel.A.debt").await, left(&t, "conn.available.A").await), (0, 62_00));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_processors_fee_that_a_seller_bears_is_taken_back_of_what_was_sent() {
    let t = TestApp::new().await;
    t.control.set_fees("eur", 250, 20).await.expect("2.5 % + 0.20");
    let rule = json!({"price": {"percent_bps": 1_000}, "processor_fee": "seller"});
    let policy = json!({"reference": "bearing", "name": "10 %, and the fee", "default": true, "rules": [rule]});
    t.post("/v1/fee_policies", "bearing", policy).await.expect(201);
    t.top_up("float", 100_00, "EUR").await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let payment = t.pay(sent("order-1", &[taxed(&a, 60_00, 12_00)])).await;
    // The fee is known after the charge: 54.00 were sent, of which 2.00 are not the seller's.
    t.settle().await;
    assert_eq!(t.list("/v1/transfers").await[0]["amount"], 54_00);
    let charged = [
        ("bank", -100_00),
        ("prov.available", 100_00),
        ("prov.pending", 18_00),
        ("tax.payable", 12_00),
        ("rev.commission", 6_00),
        ("conn.pending.A", 52_00),
        ("owner.A", 52_00),
    ];
    assert_balances(&t, &charged).await;
    t.advance(4 * DAY).await;
    let usable = [
        ("bank", -100_00),
        ("prov.available", 118_00),
        ("tax.payable", 12_00),
        ("rev.commission", 6_00),
        ("conn.available.A", 52_00),
        ("owner.A", 52_00),
    ];
    assert_balances(&t, &usable).await;
    // Of all that goes back nothing is left with anybody but the fee, which the seller bore.
    t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"]})).await.expect(201);
    t.settle().await;
    assert_balances(&t, &[("bank", -100_00), ("prov.available", 98_00), ("sel.A.available", -2_00)]).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_names_the_sale_behind_a_share_that_came_with_its_charge() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "daily").await;
    let sale = t.pay(sent("order-1", &[item(&a, 60_00)])).await;
    t.pay(cart("order-2", "EUR", &[item(&a, 40_00)])).await;
    t.advance(6 * DAY).await;
    let payouts = t.list("/v1/payouts").await;
    let mut seen = Vec::new();
    for payout in &payouts {
        let explained = t.get(&format!("/v1/payouts/{}/explain?limit=100", text(&payout["id"]))).await;
        assert_eq!((&explained["other"], &explained["transfers"]), (&json!(0), &payout["amount"]), "{explained:#}");
        seen.extend(explained["lines"].as_array().expect("lines").clone());
    }
    let line = seen.iter().find(|line| line["payment"] == sale["id"]).expect("the sale has its line");
    assert_eq!(
        (&line["what"], &line["amount"], &line["payment_reference"]),
        (&json!("transfer"), &json!(60_00), &json!("order-1"))
    );
    assert_eq!(seen.len(), 2);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_takes_out_all_but_the_tax_once_the_share_is_sent() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    t.pay(sent("order-1", &[taxed(&a, 60_00, 12_00)])).await;
    t.advance(4 * DAY).await;
    assert_balances(&t, &USABLE).await;
    let own = |reference: &str, amount: i64| json!({"reference": reference, "amount": amount, "currency": "EUR"});
    let more = t.post("/v1/platform_payouts", "more", own("more", 104_01)).await.expect(422);
    assert_eq!(more["errors"][0]["code"], "too_much", "116.00 are there, 12.00 of them the state's");
    t.post("/v1/platform_payouts", "own", own("own", 104_00)).await.expect(201);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declaration_holds_where_it_can_be_done_and_what_is_said_is_refused_where_it_cannot() {
    let t = TestApp::new().await;
    t.default_fee(333).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    let gulf = t.seller("K", "AE", "KWD", "manual").await;
    let body = json!({"reference": "C", "email": "c@example.com", "country": "DE", "default_currency": "EUR"});
    let new = t.post("/v1/sellers", "C", body).await.expect(201);
    declare(&t, json!({"charge_type": "destination"})).await;
    declare(&t, json!({"charge_type": "destination", "on_behalf_of": true})).await;
    let table = [
        (cart("one", "EUR", &[item(&a, 60_00), json!({"type": "platform", "amount": 1_00})]), "destination"),
        (cart("two", "EUR", &[item(&a, 60_00), item(&b, 40_00)]), "separate"),
        (cart("not-yet", "EUR", &[item(&new, 60_00)]), "separate"),
        (cart("nobody", "EUR", &[json!({"type": "platform", "amount": 9_00})]), "separate"),
        // Of KWD 10.000 the share is 9.667, finer than the provider moves; of 100.000 it is 96.670.
        (cart("fine", "KWD", &[item(&gulf, 10_000)]), "separate"),
        (cart("coarse", "KWD", &[item(&gulf, 100_000)]), "destination"),
    ];
    for (cart, expected) in table {
        assert_eq!(charge_type(&t, cart.clone()).await, expected, "{cart}");
    }
    let mut fine = cart("fine-2", "KWD", &[item(&gulf, 10_000)]);
    fine["charge_type"] = json!("destination");
    let problem = t.post("/v1/payments", "fine-2", fine).await.expect(422);
    let error = &problem["errors"][0];
    assert_eq!((&error["pointer"], &error["code"]), (&json!("#/charge_type"), &json!("out_of_range")));
    assert!(text(&error["detail"]).contains("three decimals"), "{error}");
    let told = t.list("/v1/events").await.into_iter().filter(|event| event["type"] == "charge_policy.declared");
    let versions: Vec<Value> = told.map(|event| event["data"]["object"]["version"].clone()).collect();
    assert_eq!(versions, [json!(2), json!(1)], "newest first");
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_who_is_paid_by_bank_is_sent_nothing_with_a_charge() {
    let t = TestApp::new().await;
    let a = by_bank(&t).await;
    declare(&t, json!({"charge_type": "destination"})).await;
    assert_eq!(charge_type(&t, cart("order-1", "EUR", &[item(&a, 40_00)])).await, "separate");
    let problem = t.post("/v1/payments", "order-2", sent("order-2", &[item(&a, 40_00)])).await.expect(422);
    let error = &problem["errors"][0];
    assert_eq!((&error["pointer"], &error["code"]), (&json!("#/charge_type"), &json!("not_allowed")));
    assert!(text(&error["detail"]).contains("bank account"), "{error}");
    t.advance(4 * DAY).await;
    assert_eq!((left(&t, "sel.A.available").await, left(&t, "conn.available.A").await), (36_00, 0));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_would_send_nothing_is_refused_and_nothing_is_captured() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    let mut body = sent("order-1", &[item(&a, 60_00), json!({"type": "platform", "amount": 5_00})]);
    body["capture_method"] = json!("manual");
    let held = t.post("/v1/payments", "order-1", body).await.expect(201);
    let path = format!("/v1/payments/{}/capture", text(&held["id"]));
    let own = json!({"lines": [{"line": 1, "amount": 5_00}]});
    let problem = t.post(&path, "cap-1", own).await.expect(422);
    assert_eq!(
        (&problem["errors"][0]["pointer"], &problem["errors"][0]["code"]),
        (&json!("#/amount"), &json!("not_allowed"))
    );
    assert_eq!(t.payment(&held).await["status"], "authorized");
    t.post(&path, "cap-2", json!({"lines": [{"line": 0, "amount": 30_00}]})).await.expect(200);
    t.settle().await;
    assert_eq!(left(&t, "conn.pending.A").await, 27_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_with_its_transfer_made_past_us_is_shown_as_breaks_and_contradicts_no_book() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    let payment = t.pay(sent("order-1", &[taxed(&a, 60_00, 12_00)])).await;
    t.advance(4 * DAY).await;
    let intent = text(&payment["provider"]["id"]);
    let form = [("payment_intent", intent.as_str()), ("amount", "3600"), ("reverse_transfer", "true")];
    t.at_provider("POST", "/v1/refunds", &form).await;
    t.settle().await;
    let run = t.reconcile().await;
    assert!(run.breaks >= 3, "the refund, and the reversal on both accounts: {run:?}");
    assert_eq!(t.findings().await, Vec::<String>::new());
    assert_balances(&t, &USABLE).await;
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_does_not_know_of_destinations_cannot_book_one_as_if_nothing_was_sent() {
    let t = TestApp::new().await;
    let a = ground(&t).await;
    let mut body = sent("order-1", &[item(&a, 60_00)]);
    body["capture_method"] = json!("manual");
    t.post("/v1/payments", "order-1", body).await.expect(201);
    let admin = t.admin().await;
    let refused = sqlx::query("update payments set funds = 'pending', status = 'succeeded'").execute(&admin).await;
    let error = refused.expect_err("a constraint").into_database_error().expect("of the database");
    assert_eq!(error.constraint(), Some("payments_destination_has_sent"));
    admin.close().await;
    t.finish().await;
}
