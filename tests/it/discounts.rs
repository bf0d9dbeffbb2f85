//! Discounts as lines: who bears them, how they are spread, and that refunds, disputes and captures know what was paid.

use partita_simulator::{FaultKind, NewDispute};
use serde_json::{Value, json};

use crate::support::taxed;
use crate::test_app::{DAY, TestApp, text};

/// A cart with its lines, of an amount that is said.
fn cart(reference: &str, amount: i64, lines: &[Value]) -> Value {
    json!({"amount": amount, "currency": "EUR", "payment_method": "pm_card_visa", "reference": reference, "lines": lines})
}

fn by_seller(seller: &Value, amount: i64) -> Value {
    json!({"type": "discount", "funded_by": "seller", "seller": seller["id"], "amount": amount})
}

fn by_platform(amount: i64) -> Value {
    json!({"type": "discount", "funded_by": "platform", "amount": amount})
}

/// A platform with 10 % of commission, and two sellers.
async fn market() -> (TestApp, Value, Value) {
    let t = TestApp::new().await;
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    t.top_up("float", 300_00, "EUR").await;
    (t, a, b)
}

async fn balance(t: &TestApp, account: &str) -> i64 {
    t.balances().await.get(&format!("{account} EUR")).copied().unwrap_or(0)
}

/// Of each line what the buyer pays, does not pay, and what the platform keeps.
fn figures(payment: &Value) -> Vec<[i64; 3]> {
    let of = |line: &Value| ["amount", "discount", "commission"].map(|name| line[name].as_i64().expect("minor units"));
    payment["lines"].as_array().expect("lines").iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_of_as_60_are_as_to_bear_with_the_commission_of_either_price() {
    for (of_price, commission, share) in [("discounted_price", 5_00, 45_00), ("full_price", 6_00, 44_00)] {
        let (t, a, b) = market().await;
        let mut discount = by_seller(&a, 10_00);
        discount["commission_of"] = json!(of_price);
        let lines = [taxed(&a, 60_00, 12_00), taxed(&b, 40_00, 8_00), discount];
        let payment = t.pay(cart("order-1", 110_00, &lines)).await;
        assert_eq!(figures(&payment), [[50_00, 10_00, commission], [40_00, 0, 4_00]]);
        let expected = json!([{
            "line": 2, "amount": 10_00, "funded_by": "seller", "seller": a["id"], "commission_of": of_price,
            "parts": [{"line": 0, "amount": 10_00}],
        }]);
        assert_eq!(payment["discounts"], expected);
        let balances = t.balances().await;
        let of = |account: &str| balances.get(&format!("{account} EUR")).copied().unwrap_or(0);
        assert_eq!((of("sel.A.pending"), of("sel.B.pending")), (share, 36_00));
        assert_eq!((of("rev.commission"), of("tax.payable")), (commission + 4_00, 20_00));
        let told = t.get(&format!("/v1/payments/{}/explain", text(&payment["id"]))).await;
        let fee = text(&told["lines"][0]["fee"]);
        assert!(fee.ends_with("Of the price of 60.00 EUR, the seller bears a discount of 10.00 EUR."), "{fee}");
        assert!(!text(&told["lines"][1]["fee"]).contains("discount"));
        t.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_that_the_platform_bears_come_out_of_its_commission_and_go_back_in_proportion() {
    let (t, a, b) = market().await;
    let lines = [taxed(&a, 60_00, 12_00), taxed(&b, 40_00, 8_00), by_platform(5_00)];
    let payment = t.pay(cart("order-1", 115_00, &lines)).await;
    assert_eq!(figures(&payment), [[57_00, 3_00, 3_00], [38_00, 2_00, 2_00]]);
    assert_eq!((balance(&t, "sel.A.pending").await, balance(&t, "sel.B.pending").await), (54_00, 36_00), "full shares");
    assert_eq!(balance(&t, "rev.commission").await, 5_00);
    let told = t.get(&format!("/v1/payments/{}/explain", text(&payment["id"]))).await;
    let fee = text(&told["lines"][0]["fee"]);
    assert!(
        fee.ends_with("The platform bears a discount of 3.00 EUR out of its commission: 3.00 EUR is left."),
        "{fee}"
    );
    t.advance(3 * DAY).await;

    // Half of A's goods: half of what was paid for them, of their tax and of the commission.
    let half = json!({"payment": payment["id"], "lines": [{"line": 0, "amount": 28_50}]});
    let preview = t.send("POST", "/v1/refunds/preview", None, Some(half.clone())).await.expect(200);
    assert_eq!((&preview["amount"], &preview["lines"][0]["commission"]), (&json!(34_50), &json!(1_50)));
    let refund = t.post("/v1/refunds", "half", half).await.expect(201);
    assert_eq!(refund["amount"], 34_50);
    t.settle().await;
    assert_eq!(balance(&t, "rev.commission").await, 3_50);
    assert_eq!(balance(&t, "conn.available.A").await, 27_00, "27.00 of 54.00 were taken back");
    // The discount is no line that anything could go back of.
    let odd = json!({"payment": payment["id"], "lines": [{"line": 2, "amount": 1_00}]});
    t.post("/v1/refunds", "odd", odd).await.expect(422);
    // By amount, then all that is left: everybody ends at nothing.
    t.post("/v1/refunds", "some", json!({"payment": payment["id"], "amount": 7_77})).await.expect(201);
    t.settle().await;
    t.post("/v1/refunds", "rest", json!({"payment": payment["id"]})).await.expect(201);
    t.settle().await;
    let after = t.balances().await;
    for account in ["rev.commission", "tax.payable", "conn.available.A", "conn.available.B", "sel.A.available"] {
        assert_eq!(after.get(&format!("{account} EUR")), None, "{account}");
    }
    assert_eq!(t.payment(&payment).await["refunded_amount"], 115_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_holds_the_full_shares_and_gives_them_back() {
    let (t, a, b) = market().await;
    let lines = [taxed(&a, 60_00, 12_00), taxed(&b, 40_00, 8_00), by_platform(5_00), by_seller(&b, 10_00)];
    let payment = t.pay(cart("order-1", 105_00, &lines)).await;
    // B's 40.00 less its own 10.00 cost the buyer 30.00, of which 3.00 are commission; the 5.00 are spread over 60.00 and 30.00.
    assert_eq!(figures(&payment), [[56_67, 3_33, 2_67], [28_33, 11_67, 1_33]]);
    t.advance(3 * DAY).await;
    assert_eq!((balance(&t, "conn.available.A").await, balance(&t, "conn.available.B").await), (54_00, 27_00));
    let policy = json!({"liability": "sellers", "hold": "shares", "tax_relief": true, "fee": "platform"});
    t.send("PUT", "/v1/dispute_policy", None, Some(policy)).await.expect(200);
    t.control.open_dispute(NewDispute::of(&text(&payment["provider"]["id"]))).await.expect("disputed");
    t.settle().await;
    assert_eq!((balance(&t, "sel.A.held").await, balance(&t, "sel.B.held").await), (54_00, 27_00));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_in_part_takes_of_what_the_buyer_pays() {
    let (t, a, b) = market().await;
    let mut body = cart("order-1", 115_00, &[taxed(&a, 60_00, 12_00), taxed(&b, 40_00, 8_00), by_platform(5_00)]);
    body["capture_method"] = json!("manual");
    let held = t.post("/v1/payments", "order-1", body).await.expect(201);
    assert_eq!(held["status"], "authorized");
    let path = format!("/v1/payments/{}/capture", text(&held["id"]));
    let captured = t.post(&path, "cap-1", json!({"lines": [{"line": 0, "amount": 28_50}]})).await.expect(200);
    assert_eq!(captured["captured_amount"], 34_50);
    t.settle().await;
    assert_eq!((balance(&t, "sel.A.pending").await, balance(&t, "sel.B.pending").await), (27_00, 0));
    assert_eq!(balance(&t, "rev.commission").await, 1_50);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_can_cost_nothing_and_one_seller_can_be_sent_its_full_share_with_the_charge() {
    let (t, a, b) = market().await;
    let lines = [taxed(&a, 60_00, 0), taxed(&b, 40_00, 8_00), by_seller(&a, 60_00)];
    let payment = t.pay(cart("order-1", 48_00, &lines)).await;
    assert_eq!(figures(&payment), [[0, 60_00, 0], [40_00, 0, 4_00]]);
    assert_eq!((balance(&t, "sel.A.pending").await, balance(&t, "sel.B.pending").await), (0, 36_00));
    let mut body = cart("order-2", 67_00, &[taxed(&a, 60_00, 12_00), by_platform(5_00)]);
    body["charge_type"] = json!("destination");
    let sent = t.pay(body).await;
    assert_eq!(sent["charge_type"], "destination");
    assert_eq!(balance(&t, "conn.pending.A").await, 54_00);
    t.advance(3 * DAY).await;
    t.post("/v1/refunds", "all", json!({"payment": payment["id"]})).await.expect(201);
    t.settle().await;
    assert_eq!(balance(&t, "conn.available.B").await, 0);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tips_are_not_discounted_unless_they_are_named() {
    let (t, a, _) = market().await;
    let tip = json!({"type": "tip", "seller": a["id"], "amount": 10_00});
    let shipping = json!({"type": "shipping", "seller": a["id"], "amount": 20_00});
    let goods = [taxed(&a, 60_00, 0), shipping, tip];
    let lines: Vec<Value> = goods.iter().cloned().chain([by_seller(&a, 8_00)]).collect();
    let payment = t.pay(cart("order-1", 82_00, &lines)).await;
    assert_eq!(figures(&payment), [[54_00, 6_00, 5_40], [18_00, 2_00, 1_80], [10_00, 0, 1_00]]);
    let mut named = by_seller(&a, 8_00);
    named["on"] = json!([2]);
    let lines: Vec<Value> = goods.into_iter().chain([named]).collect();
    let payment = t.pay(cart("order-2", 82_00, &lines)).await;
    assert_eq!(figures(&payment), [[60_00, 0, 6_00], [20_00, 0, 2_00], [2_00, 8_00, 20]]);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_the_answer_the_cart_is_charged_once_as_it_was_discounted() {
    let (t, a, b) = market().await;
    let body = cart("order-1", 115_00, &[taxed(&a, 60_00, 12_00), taxed(&b, 40_00, 8_00), by_platform(5_00)]);
    t.next_post_fails(FaultKind::AnswerLost, "/v1/payment_intents");
    let (one, other) =
        tokio::join!(t.post("/v1/payments", "order-1", body.clone()), t.post("/v1/payments", "order-1", body.clone()));
    assert!([one.status, other.status].iter().all(|status| [201, 202, 409].contains(status)));
    for _ in 0..6 {
        t.advance(300).await;
    }
    assert_eq!(t.effects("/v1/payment_intents").await, 1);
    assert_eq!((balance(&t, "sel.A.pending").await, balance(&t, "rev.commission").await), (54_00, 5_00));
    let again = t.post("/v1/payments", "order-1", body).await;
    assert!(again.status == 202 || again.status == 201, "{}", again.text());
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_discount_has_its_place_and_changes_nothing() {
    let (t, a, b) = market().await;
    let rows = t.row_counts().await;
    let (goods, others) = (taxed(&a, 60_00, 12_00), taxed(&b, 40_00, 8_00));
    let with = |mut discount: Value, field: &str, value: Value| {
        discount[field] = value;
        discount
    };
    let mut bare = by_platform(5_00);
    bare.as_object_mut().expect("an object").remove("funded_by");
    let cases = [
        (115_01, by_platform(5_00), "#/amount", "sum_mismatch"),
        (109_99, by_platform(10_01), "#/lines/2/amount", "too_much"),
        (59_99, by_seller(&a, 60_01), "#/lines/2/amount", "too_much"),
        (60_00, by_seller(&a, 60_00), "#/lines/0/tax", "not_allowed"),
        (115_00, bare, "#/lines/2/funded_by", "missing"),
        (115_00, with(by_platform(5_00), "funded_by", json!("buyer")), "#/lines/2/funded_by", "invalid_value"),
        (115_00, with(by_platform(5_00), "seller", a["id"].clone()), "#/lines/2/seller", "not_allowed"),
        (115_00, with(by_platform(5_00), "funded_by", json!("seller")), "#/lines/2/seller", "missing"),
        (
            115_00,
            with(by_platform(5_00), "commission_of", json!("full_price")),
            "#/lines/2/commission_of",
            "not_allowed",
        ),
        (115_00, with(by_platform(5_00), "on", json!([])), "#/lines/2/on", "too_short"),
        (115_00, with(by_platform(5_00), "on", json!([0, 2])), "#/lines/2/on/1", "unknown_reference"),
        (115_00, with(by_platform(5_00), "on", json!([0, 0])), "#/lines/2/on/1", "unknown_reference"),
        (115_00, with(by_seller(&a, 5_00), "on", json!([1])), "#/lines/2/on/0", "unknown_reference"),
        (115_00, with(by_platform(5_00), "tax", json!({"amount": 1})), "#/lines/2/tax", "not_allowed"),
        (115_00, with(by_platform(5_00), "category", json!("x")), "#/lines/2/category", "not_allowed"),
    ];
    for (amount, discount, pointer, code) in cases {
        let body = cart("order-1", amount, &[goods.clone(), others.clone(), discount]);
        let refused = t.post("/v1/payments", "order-1", body.clone()).await.expect(422);
        let error = &refused["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!(code)), "{body:#}");
    }
    for (lines, pointer) in [
        (vec![by_platform(5_00), goods.clone()], "#/lines/1"),
        (vec![by_platform(5_00)], "#/lines"),
        (vec![with(goods.clone(), "on", json!([0]))], "#/lines/0/on"),
    ] {
        let refused = t.post("/v1/payments", "order-1", cart("order-1", 67_00, &lines)).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer);
    }
    assert_eq!(t.row_counts().await, rows);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_knows_discounts() {
    let (t, a, _) = market().await;
    let policy = text(&t.list("/v1/fee_policies").await[0]["id"]);
    let path = format!("/v1/fee_policies/{policy}/quote");
    let line = |discount: Value| json!({"seller": a["id"], "amount": 60_00, "discount": discount});
    let lines = [
        line(json!({"amount": 3_00, "funded_by": "platform"})),
        line(json!({"amount": 10_00, "funded_by": "seller"})),
        line(json!({"amount": 10_00, "funded_by": "seller", "commission_of": "full_price"})),
    ];
    let quote = t.send("POST", &path, None, Some(json!({"currency": "EUR", "lines": lines}))).await.expect(200);
    let of = |line: &Value| ["amount", "pays", "commission"].map(|name| line[name].as_i64().expect("minor units"));
    let figures: Vec<_> = quote["lines"].as_array().expect("lines").iter().map(of).collect();
    assert_eq!(figures, [[60_00, 57_00, 3_00], [60_00, 50_00, 5_00], [60_00, 50_00, 6_00]]);
    let explained = text(&quote["lines"][0]["explanation"]);
    assert!(explained.ends_with("The platform bears a discount of 3.00 EUR out of its commission: 3.00 EUR is left."));
    for (body, pointer) in [
        (
            json!({"currency": "EUR", "lines": [line(json!({"amount": 6_01, "funded_by": "platform"}))]}),
            "#/lines/0/discount/amount",
        ),
        (
            json!({"currency": "EUR", "amount": 60_00, "discount": {"amount": 60_01, "funded_by": "seller"}}),
            "#/discount/amount",
        ),
    ] {
        let refused = t.send("POST", &path, None, Some(body)).await.expect(422);
        assert_eq!(
            (&refused["errors"][0]["pointer"], &refused["errors"][0]["code"]),
            (&json!(pointer), &json!("too_much"))
        );
    }
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discount_that_its_lines_do_not_have_is_seen() {
    let (t, a, b) = market().await;
    t.pay(cart("order-1", 110_00, &[taxed(&a, 60_00, 12_00), taxed(&b, 40_00, 8_00), by_seller(&a, 10_00)])).await;
    assert_eq!(t.findings().await, Vec::<String>::new());
    let sellers = "update payment_lines set seller_id = (select id from sellers where reference = ";
    for (lie, undo, found) in [
        (
            "update payment_discount_parts set amount = amount + 1".to_owned(),
            "update payment_discount_parts set amount = amount - 1".to_owned(),
            "a discount is what its lines have of it",
        ),
        (
            format!("{sellers}'B') where line = 0"),
            format!("{sellers}'A') where line = 0"),
            "a seller bears discounts of its own lines only",
        ),
    ] {
        assert_eq!(t.tamper(&lie).await, 1, "{lie}");
        let findings = t.findings().await;
        assert!(findings.iter().any(|finding| finding.starts_with(found)), "{findings:#?}");
        t.tamper(&undo).await;
    }
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_direct_charge_the_fee_is_what_the_platform_did_not_give_up() {
    let t = TestApp::new().await;
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let on_its_account = |reference: &str, off: i64| {
        let mut body = cart(reference, 100_00 - off, &[taxed(&a, 60_00, 0), taxed(&a, 40_00, 0), by_platform(off)]);
        body["charge_type"] = json!("direct");
        body
    };
    let some = t.pay(on_its_account("order-1", 4_00)).await;
    assert_eq!(figures(&some), [[57_60, 2_40, 3_60], [38_40, 1_60, 2_40]]);
    assert_eq!(some["direct"]["application_fee"]["amount"], 6_00);
    let all = t.pay(on_its_account("order-2", 10_00)).await;
    assert_eq!(all["direct"]["application_fee"]["amount"], 0);
    let refused = t.post("/v1/payments", "order-3", on_its_account("order-3", 10_01)).await.expect(422);
    let error = &refused["errors"][0];
    assert_eq!((&error["pointer"], &error["code"]), (&json!("#/lines/2/amount"), &json!("too_much")));
    assert_eq!(balance(&t, "rev.commission").await, 6_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_waits_with_what_discounts_leave_of_its_share_and_a_discount_itself_does_not_wait() {
    let (t, a, _) = market().await;
    let mut waits = taxed(&a, 40_00, 0);
    waits["release"] = json!({"from": "request"});
    let held = t.pay(cart("order-1", 90_00, &[taxed(&a, 60_00, 0), waits, by_seller(&a, 10_00)])).await;
    assert_eq!(figures(&held), [[54_00, 6_00, 5_40], [36_00, 4_00, 3_60]]);
    assert_eq!(
        (&held["lines"][0]["release"], &held["lines"][1]["release"]["status"]),
        (&Value::Null, &json!("waiting"))
    );
    t.advance(4 * DAY).await;
    assert_eq!((balance(&t, "sel.A.pending").await, balance(&t, "conn.available.A").await), (32_40, 48_60));
    let path = format!("/v1/payments/{}/lines/1/release", text(&held["id"]));
    t.post(&path, "release", json!({})).await.expect(200);
    t.settle().await;
    assert_eq!((balance(&t, "sel.A.pending").await, balance(&t, "conn.available.A").await), (0, 81_00));
    let mut discount = by_platform(1_00);
    discount["release"] = json!({"from": "request"});
    let body = cart("order-2", 59_00, &[taxed(&a, 60_00, 0), discount]);
    let refused = t.post("/v1/payments", "order-2", body).await.expect(422);
    assert_eq!(refused["errors"][0]["pointer"], "#/lines/1/release");
    t.finish().await;
}
