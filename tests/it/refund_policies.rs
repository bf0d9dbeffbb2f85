//! Who bears what: the refund policy with what each refund says otherwise, and the processor's fee passed to sellers, at the
//! charge and with refunds.

use partita_simulator::FaultKind;
use serde_json::{Value, json};

use crate::disputes::{at_provider, dispute_at_provider};
use crate::late_failures::{assert_balances, comes_back, resolution, worked_cart};
use crate::second_person::let_one_decide;
use crate::support::{cart, taxed};
use crate::test_app::{DAY, TestApp, text};

async fn declare(t: &TestApp, fee: &str, processor_fee: &str, tax: &str) -> Value {
    let policy = json!({"fee": fee, "processor_fee": processor_fee, "tax": tax});
    t.send("PUT", "/v1/refund_policy", None, Some(policy)).await.expect(200)
}

async fn preview(t: &TestApp, body: &Value) -> Value {
    t.send("POST", "/v1/refunds/preview", None, Some(body.clone())).await.expect(200)
}

/// Refunds as the preview says.
async fn refund(t: &TestApp, key: &str, body: Value) -> Value {
    let shown = preview(t, &body).await;
    let refund = t.post("/v1/refunds", key, body.clone()).await.expect(201);
    for field in ["amount", "currency", "fee", "processor_fee", "tax", "policy_version", "lines", "payment"] {
        assert_eq!(shown[field], refund[field], "{field} of {body}");
    }
    t.settle().await;
    refund
}

fn fees(refund: &Value) -> Vec<i64> {
    let lines = refund["lines"].as_array().expect("lines");
    lines.iter().map(|line| line["processor_fee"].as_i64().expect("minor units")).collect()
}

/// The worked cart, whose sellers bear the processor's fee from the charge on.
async fn passed_at_charge(t: &TestApp) -> Value {
    let_one_decide(t, "EUR", 200_00).await;
    t.control.set_fees("eur", 250, 20).await.expect("2.5 % + 0.20");
    let rules = json!([{"price": {"percent_bps": 1_000}, "processor_fee": "seller"}]);
    let policy =
        json!({"reference": "passing", "name": "10 % and the processor's fee", "default": true, "rules": rules});
    let policy = t.post("/v1/fee_policies", "passing", policy).await.expect(201);
    assert_eq!((&policy["rules"][0]["processor_fee"], &policy["percent_bps"]), (&json!("seller"), &Value::Null));
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    t.top_up("float", 200_00, "EUR").await;
    t.pay(cart("order-1", "EUR", &[taxed(&a, 60_00, 12_00), taxed(&b, 40_00, 8_00)])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_processors_fee_of_3_20_is_passed_with_what_is_refunded() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t, "manual").await;
    t.advance(4 * DAY).await;
    assert_eq!(t.get("/v1/refund_policy").await["version"], 0);
    let declared = declare(&t, "returned", "sellers", "returned").await;
    assert_eq!((&declared["version"], &declared["processor_fee"]), (&json!(1), &json!("sellers")));
    let told = t.list("/v1/events?type=refund_policy.declared").await;
    assert_eq!((told.len(), &told[0]["data"]["object"]["version"]), (1, &json!(1)));

    let first = refund(&t, "ret-1", json!({"payment": payment["id"], "lines": [{"line": 0, "amount": 25_00}]})).await;
    assert_eq!((fees(&first), &first["policy_version"]), (vec![80], &json!(1)), "25 of 60 of 1.92");
    // A has 54.00 less 25.00 and 0.80, and 2.50 of commission back.
    let after_30 = [
        ("bank", -100_00),
        ("conn.available.A", 30_70),
        ("conn.available.B", 36_00),
        ("exp.processing", 2_40),
        ("owner.A", 30_70),
        ("owner.B", 36_00),
        ("prov.available", 120_10),
        ("rev.commission", 7_50),
        ("tax.payable", 15_00),
    ];
    assert_balances(&t, &after_30).await;
    assert_eq!(t.payment(&payment).await["lines"][0]["processor_fee"], 80);

    let rest = refund(&t, "ret-2", json!({"payment": payment["id"]})).await;
    assert_eq!(fees(&rest), [1_12, 1_28]);
    // The processor's fee is the sellers': what they have of this payment is below zero by it.
    let left = [("bank", -100_00), ("prov.available", 96_80), ("sel.A.available", -1_92), ("sel.B.available", -1_28)];
    assert_balances(&t, &left).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_comes_back_gives_the_fee_back_too_and_one_in_doubt_passes_it_once() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t, "manual").await;
    t.advance(4 * DAY).await;
    declare(&t, "returned", "sellers", "returned").await;
    let before = t.balances().await;
    t.next_post_fails(FaultKind::AnswerLost, "/v1/refunds");
    let body = json!({"payment": payment["id"], "amount": 60_00});
    let asked = t.post("/v1/refunds", "ret-1", body.clone()).await.expect(202);
    assert_eq!(fees(&asked), [96, 64], "half of it");
    t.advance(60).await;
    assert_eq!(t.balances().await["exp.processing EUR"], 1_60);
    assert_eq!(t.effects("/v1/refunds").await, 1);
    let returned = comes_back(&t, &t.get(&format!("/v1/refunds/{}", text(&asked["id"]))).await).await;
    let decided = json!({"outcome": "reinstated", "reason": "the buyer took a voucher"});
    t.post(&resolution(&returned), "res-1", decided).await.expect(200);
    t.settle().await;
    assert_eq!(t.balances().await, before, "as if it had never been");
    assert_eq!(t.payment(&payment).await["lines"][0]["processor_fee"], 0);

    // Of many at once, each takes its own part, and all together no more than there is.
    let ask = |number: usize| {
        let (t, body) = (&t, json!({"payment": payment["id"], "amount": 30_00}));
        async move { t.post("/v1/refunds", &format!("at-once-{number}"), body).await.status }
    };
    let mut statuses = futures::future::join_all((0..8).map(ask)).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 201, 201, 201, 409, 409, 409, 409]);
    t.settle().await;
    assert_eq!(t.balances().await.get("exp.processing EUR"), None);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_says_otherwise_than_the_policy_where_it_must() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t, "manual").await;
    t.advance(4 * DAY).await;
    declare(&t, "kept", "sellers", "kept").await;
    let of = |what: Value| {
        let mut body = what;
        body["payment"] = payment["id"].clone();
        body
    };
    // A goodwill of the net price only: the taxes stay owed, the commission stays, the sellers bear the fee.
    let goodwill = refund(&t, "ret-1", of(json!({"amount": 10_00}))).await;
    let line = |refund: &Value, index: usize| refund["lines"][index].clone();
    assert_eq!(
        line(&goodwill, 0),
        json!({"line": 0, "amount": 6_00, "tax_amount": 0, "commission": 0, "commission_vat": 0, "processor_fee": 19})
    );
    assert_eq!(
        line(&goodwill, 1),
        json!({"line": 1, "amount": 4_00, "tax_amount": 0, "commission": 0, "commission_vat": 0, "processor_fee": 13})
    );
    assert_eq!(t.balances().await["tax.payable EUR"], 20_00);
    // Half of A's goods are back, and with this refund half of the tax and what the goods carry of the commission.
    let own = json!({"lines": [{"line": 0, "amount": 24_00}], "fee": "returned", "processor_fee": "platform", "tax": "returned"});
    let returned = refund(&t, "ret-2", of(own)).await;
    assert_eq!(
        line(&returned, 0),
        json!({"line": 0, "amount": 24_00, "tax_amount": 6_00, "commission": 2_40, "commission_vat": 0, "processor_fee": 0})
    );
    assert_eq!(
        (&returned["fee"], &returned["processor_fee"], &returned["tax"], &returned["policy_version"]),
        (&json!("returned"), &json!("platform"), &json!("returned"), &json!(1))
    );
    let too_much = t.post("/v1/refunds", "ret-3", of(json!({"amount": 66_01}))).await.expect(422);
    assert_eq!(
        (&too_much["errors"][0]["pointer"], &too_much["errors"][0]["code"]),
        (&json!("#/amount"), &json!("too_much")),
        "of the net price 66.00 are left"
    );
    let counts = t.row_counts().await;
    for (body, pointer) in [
        (json!({"fee": "returned", "processor_fee": "buyer", "tax": "kept"}), "#/processor_fee"),
        (json!({"fee": "returned", "tax": "kept"}), "#/processor_fee"),
        (json!({"fee": "half", "processor_fee": "sellers", "tax": "kept"}), "#/fee"),
        (json!({"fee": "kept", "processor_fee": "sellers", "tax": "kept", "vat": 1}), "#/vat"),
    ] {
        let problem = t.send("PUT", "/v1/refund_policy", None, Some(body)).await.expect(422);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem:#}");
    }
    let wrong = t.post("/v1/refunds", "bad", of(json!({"tax": "halved"}))).await.expect(422);
    assert_eq!(wrong["errors"][0]["pointer"], "#/tax");
    assert_eq!(t.row_counts().await, counts, "nothing was stored");
    assert_eq!(declare(&t, "returned", "platform", "returned").await["version"], 2);
    let rest = refund(&t, "ret-4", of(json!({}))).await;
    assert_eq!((&rest["amount"], fees(&rest)), (&json!(80_00), vec![0, 0]), "36 and 30 of goods, 6 and 8 of taxes");
    assert_eq!(t.balances().await.get("tax.payable EUR"), None);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sellers_bear_the_processors_fee_from_the_charge_on_where_the_rule_says_so() {
    let t = TestApp::new().await;
    let payment = passed_at_charge(&t).await;
    let charged = [
        ("bank", -200_00),
        ("prov.available", 200_00),
        ("prov.pending", 116_80),
        ("rev.commission", 10_00),
        ("sel.A.pending", 52_08),
        ("sel.B.pending", 34_72),
        ("tax.payable", 20_00),
    ];
    assert_balances(&t, &charged).await;
    let shown = t.payment(&payment).await;
    assert_eq!(
        (&shown["lines"][0]["processor_fee"], &shown["lines"][1]["processor_fee"]),
        (&json!(1_92), &json!(1_28))
    );
    let explained = t.get(&format!("/v1/payments/{}/explain", text(&payment["id"]))).await;
    assert!(explained.to_string().contains("The seller bears 1.92 EUR of the processor's fee."), "{explained:#}");
    t.advance(4 * DAY).await;
    assert_eq!(t.balances().await["conn.available.A EUR"], 52_08);
    // What is borne since the charge is not passed a second time.
    declare(&t, "returned", "sellers", "returned").await;
    let all = refund(&t, "ret-1", json!({"payment": payment["id"]})).await;
    assert_eq!(fees(&all), [0, 0]);
    let left = [("bank", -200_00), ("prov.available", 196_80), ("sel.A.available", -1_92), ("sel.B.available", -1_28)];
    assert_balances(&t, &left).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sellers_bear_of_the_processors_fee_stays_theirs_through_disputes_and_late_failures() {
    let t = TestApp::new().await;
    let payment = passed_at_charge(&t).await;
    t.advance(4 * DAY).await;
    let dispute = dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    t.control.decide_dispute(&dispute, "lost").await.expect("decided");
    t.settle().await;
    let balances = t.balances().await;
    assert_eq!((balances["sel.A.available EUR"], balances["sel.B.available EUR"]), (-1_92, -1_28), "{balances:?}");
    let lines = t.payment(&payment).await["lines"].clone();
    let sellers: Vec<Value> =
        lines.as_array().expect("lines").iter().map(|line| json!({"id": line["seller"]})).collect();
    let second = t.pay(cart("order-2", "EUR", &[taxed(&sellers[0], 60_00, 12_00)])).await;
    t.control.fail_payment(&text(&second["provider"]["id"]), "insufficient_funds").await.expect("it has succeeded");
    t.settle().await;
    assert_eq!(t.balances().await["sel.A.pending EUR"], -2_00, "2.5 % of 72.00 and 0.20");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_in_part_passes_the_fee_of_what_was_captured() {
    let t = TestApp::new().await;
    passed_at_charge(&t).await;
    let sellers = t.list("/v1/sellers").await;
    let of = |name: &str| sellers.iter().find(|seller| seller["reference"] == name).expect("a seller").clone();
    let mut body = cart("order-2", "EUR", &[taxed(&of("A"), 60_00, 12_00), taxed(&of("B"), 40_00, 8_00)]);
    body["capture_method"] = json!("manual");
    let hold = t.post("/v1/payments", "order-2", body).await.expect(201);
    let path = format!("/v1/payments/{}/capture", text(&hold["id"]));
    let lines = json!({"lines": [{"line": 0, "amount": 30_00}, {"line": 1, "amount": 40_00}]});
    let captured = t.post(&path, "cap-1", lines).await.expect(200);
    t.settle().await;
    // 2.5 % of 84.00 and 0.20 are 2.30, over 30 and 40 of goods: 0.9857 and 1.3143.
    let shown: Vec<&Value> = captured["lines"].as_array().expect("lines").iter().map(|l| &l["processor_fee"]).collect();
    assert_eq!(shown, [&json!(99), &json!(1_31)]);
    assert_eq!(t.balances().await.get("exp.processing EUR"), None);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_fee_of_a_line_is_seen() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t, "manual").await;
    t.advance(4 * DAY).await;
    declare(&t, "returned", "sellers", "returned").await;
    refund(&t, "ret-1", json!({"payment": payment["id"], "amount": 60_00})).await;
    for (change, undo, is_seen_by_rebuild) in [
        ("payment_lines set passed_fee = passed_fee + 1", "payment_lines set passed_fee = passed_fee - 1", false),
        (
            "refund_lines set processor_fee = processor_fee + 1",
            "refund_lines set processor_fee = processor_fee - 1",
            true,
        ),
    ] {
        assert_eq!(t.tamper(&format!("update {change}")).await, 2);
        let findings = t.findings().await;
        let seen = "refunds of a line are what its refunds gave back";
        assert!(findings.iter().any(|finding| finding.starts_with(seen)), "{change}: {findings:#?}");
        let compared = partita::rebuild::check(&t.app, t.book.id).await.expect("compared");
        assert_eq!(compared.agrees(), !is_seen_by_rebuild, "{change}: {compared:#?}");
        t.tamper(&format!("update {undo}")).await;
    }
    let admin = t.admin().await;
    for (sql, constraint) in [
        ("update payment_lines set passed_fee = -1", "payment_lines_passed_fee_of_a_seller"),
        ("update refund_policies set tax = 'kept'", "append-only"),
        (
            "insert into refund_policies values (1, 7, 'halved', 'sellers', 'kept', 'key_1', now())",
            "refund_policies_commission_known",
        ),
    ] {
        let refused = sqlx::query(sql).execute(&admin).await.expect_err("refused");
        assert!(format!("{refused:?}").contains(constraint), "{sql}: {refused:?}");
    }
    admin.close().await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_declared_at_once_get_a_version_and_an_event_each() {
    let t = TestApp::new().await;
    let refunds = json!({"fee": "kept", "processor_fee": "sellers", "tax": "returned"});
    let disputes = json!({"liability": "sellers", "hold": "shares", "tax_relief": false, "fee": "platform"});
    for (name, policy) in [("refund_policy", refunds), ("dispute_policy", disputes)] {
        let path = format!("/v1/{name}");
        let put = async || t.send("PUT", &path, None, Some(policy.clone())).await.expect(200)["version"].as_i64();
        let mut versions = futures::future::join_all((0..8).map(|_| put())).await;
        versions.sort_unstable();
        assert_eq!(versions, (1..=8).map(Some).collect::<Vec<_>>());
        let told = t.list(&format!("/v1/events?type={name}.declared")).await;
        let mut told: Vec<Option<i64>> = told.iter().map(|event| event["data"]["object"]["version"].as_i64()).collect();
        told.reverse();
        assert_eq!(told, versions);
    }
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_money_that_is_usable_at_once_the_fee_is_passed_before_the_share_is_sent() {
    let t = TestApp::new().await;
    let first = passed_at_charge(&t).await;
    let [a, b] = [0, 1].map(|line| json!({"id": first["lines"][line]["seller"]}));
    t.advance(4 * DAY).await;
    assert_eq!(t.balances().await["conn.available.A EUR"], 52_08, "54.00 less 1.92");
    let second = cart("order-2", "EUR", &[taxed(&a, 60_00, 12_00), taxed(&b, 40_00, 8_00)]);
    t.pay(crate::support::paid_with(second, "pm_card_bypassPending")).await;
    t.settle().await;
    assert_eq!(t.balances().await["conn.available.A EUR"], 10_416, "twice 52.08");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_whose_seller_bears_the_processors_fee_is_kept_back_of_as_it_is() {
    let t = TestApp::new().await;
    let rules = json!({"rolling": {"percent_bps": 1_000, "hold_days": 90}, "fixed": []});
    t.send("PUT", "/v1/reserve_policy", None, Some(rules)).await.expect(200);
    passed_at_charge(&t).await;
    t.advance(4 * DAY).await;
    // A: 60 and its tax is the platform's to owe; less 6 of commission and 1.92 of the fee, 52.08 of which a tenth is kept.
    let balances = t.balances().await;
    assert_eq!((balances["sel.A.reserve EUR"], balances["owner.A EUR"]), (5_21, 46_87));
    assert_eq!(t.findings().await, Vec::<String>::new());
    // One cent more than the share is within what the share would be without the fee.
    t.tamper("update reserve_moves set amount = amount + 1").await;
    let findings = t.findings().await;
    let seen = "what is kept back of a payment is within the share";
    assert!(findings.iter().any(|finding| finding.starts_with(seen)), "{findings:#?}");
    t.close().await;
}
