//! The tax on the platform's commission: taken with it, owed to the state, and given back with it.

use serde_json::{Value, json};

use crate::disputes::{at_provider, dispute_at_provider};
use crate::late_failures::{assert_balances, comes_back, resolution};
use crate::second_person::let_one_decide;
use crate::support::{cart, taxed};
use crate::test_app::{DAY, TestApp, text};

/// Sellers A and B of a platform that takes 10 % and 21 % of tax on that; the processor is free.
async fn with_vat(t: &TestApp) -> [Value; 2] {
    let_one_decide(t, "EUR", 200_00).await;
    t.control.set_fees("eur", 0, 0).await.expect("free of charge");
    let rules = json!([{"price": {"percent_bps": 1_000}, "vat_bps": 2_100}]);
    let policy = json!({"reference": "standard", "name": "10 % and tax", "default": true, "rules": rules});
    let policy = t.post("/v1/fee_policies", "standard", policy).await.expect(201);
    assert_eq!((&policy["rules"][0]["vat_bps"], &policy["percent_bps"]), (&json!(2_100), &Value::Null));
    let quote = json!({"amount": 60_00, "currency": "EUR"});
    let path = format!("/v1/fee_policies/{}/quote", text(&policy["id"]));
    let quoted = t.send("POST", &path, None, Some(quote)).await.expect(200);
    assert_eq!(quoted["commission"], json!(7_26));
    let told = text(&quoted["lines"][0]["explanation"]);
    assert!(told.ends_with("With 21 % VAT of 1.26 on it, 7.26."), "{told}");
    t.top_up("float", 200_00, "EUR").await;
    [t.seller("A", "DE", "EUR", "manual").await, t.seller("B", "DE", "EUR", "manual").await]
}

fn worked_cart(reference: &str, [a, b]: &[Value; 2]) -> Value {
    cart(reference, "EUR", &[taxed(a, 60_00, 12_00), taxed(b, 40_00, 8_00)])
}

async fn left(t: &TestApp, path: &str) -> i64 {
    t.balances().await.get(&format!("{path} EUR")).copied().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn vat_of_2_10_on_a_commission_of_10_is_owed_and_goes_back_with_the_commission() {
    let t = TestApp::new().await;
    let sellers = with_vat(&t).await;
    let payment = t.pay(worked_cart("order-1", &sellers)).await;
    let line = &t.payment(&payment).await["lines"][0];
    assert_eq!((&line["commission"], &line["commission_vat"]), (&json!(7_26), &json!(1_26)));
    let charged = [
        ("bank", -200_00),
        ("prov.available", 200_00),
        ("prov.pending", 120_00),
        ("rev.commission", 10_00),
        ("sel.A.pending", 52_74),
        ("sel.B.pending", 3_516),
        ("tax.payable", 20_00),
        ("vat.commission", 2_10),
    ];
    assert_balances(&t, &charged).await;
    assert_eq!(t.get("/v1/balances").await["balances"][0]["commission_vat"], 2_10);
    t.advance(4 * DAY).await;
    let before = t.balances().await;
    let body = json!({"payment": payment["id"], "lines": [{"line": 0, "amount": 25_00}]});
    let refund = t.post("/v1/refunds", "ret-1", body).await.expect(201);
    t.settle().await;
    // 25 of 60 of 7.26 are 3.03, of which 0.53 are tax.
    let given = &refund["lines"][0];
    assert_eq!((&given["commission"], &given["commission_vat"]), (&json!(3_03), &json!(53)));
    assert_eq!((left(&t, "rev.commission").await, left(&t, "vat.commission").await), (7_50, 1_57));
    assert_eq!(left(&t, "conn.available.A").await, 30_77, "52.74 less 25.00, and 3.03 back");

    let returned = comes_back(&t, &refund).await;
    let decided = json!({"outcome": "reinstated", "reason": "the buyer took a voucher"});
    t.post(&resolution(&returned), "res-1", decided).await.expect(200);
    t.settle().await;
    assert_eq!(t.balances().await, before, "as if it had never been");
    let kept = json!({"payment": payment["id"], "lines": [{"line": 1, "amount": 20_00}], "fee": "kept"});
    t.post("/v1/refunds", "ret-2", kept).await.expect(201);
    t.settle().await;
    assert_eq!(left(&t, "vat.commission").await, 2_10, "a commission that is kept keeps its tax");
    for number in 0..6 {
        let body = json!({"payment": payment["id"], "amount": 13_71});
        t.post("/v1/refunds", &format!("part-{number}"), body).await.expect(201);
    }
    let rest = t.post("/v1/refunds", "rest", json!({"payment": payment["id"]})).await.expect(201);
    assert_eq!(rest["amount"], json!(13_74));
    t.settle().await;
    assert_eq!((left(&t, "rev.commission").await, left(&t, "vat.commission").await), (2_00, 42), "that of the 20.00");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_taken_back_or_not_captured_owes_no_vat() {
    let t = TestApp::new().await;
    let sellers = with_vat(&t).await;
    let lost = t.pay(worked_cart("lost", &sellers)).await;
    t.advance(4 * DAY).await;
    let dispute = dispute_at_provider(&t, at_provider(&lost)).await;
    t.settle().await;
    assert_eq!(left(&t, "vat.commission").await, 2_10, "while it is open");
    t.control.decide_dispute(&dispute, "lost").await.expect("decided");
    t.settle().await;
    assert_eq!((left(&t, "rev.commission").await, left(&t, "vat.commission").await), (0, 0));

    let failed = t.pay(worked_cart("failed", &sellers)).await;
    assert_eq!(left(&t, "vat.commission").await, 2_10);
    t.control.fail_payment(&text(&failed["provider"]["id"]), "insufficient_funds").await.expect("it has succeeded");
    t.settle().await;
    assert_eq!((left(&t, "rev.commission").await, left(&t, "vat.commission").await), (0, 0));

    let mut body = worked_cart("held", &sellers);
    body["capture_method"] = json!("manual");
    let held = t.post("/v1/payments", "held", body).await.expect(201);
    let path = format!("/v1/payments/{}/capture", text(&held["id"]));
    let half = json!({"lines": [{"line": 0, "amount": 30_00}]});
    let captured = t.post(&path, "cap-1", half).await.expect(200);
    t.settle().await;
    assert_eq!(
        (&captured["lines"][0]["commission"], &captured["lines"][0]["commission_vat"]),
        (&json!(3_63), &json!(63))
    );
    assert_eq!((left(&t, "rev.commission").await, left(&t, "vat.commission").await), (3_00, 63));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_vat_is_seen() {
    let t = TestApp::new().await;
    let sellers = with_vat(&t).await;
    let payment = t.pay(worked_cart("order-1", &sellers)).await;
    t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"], "amount": 60_00})).await.expect(201);
    t.settle().await;
    for (change, undo) in [
        ("payment_lines set returned_vat = returned_vat - 1", "payment_lines set returned_vat = returned_vat + 1"),
        (
            "refund_lines set commission_vat = commission_vat - 1",
            "refund_lines set commission_vat = commission_vat + 1",
        ),
    ] {
        assert_eq!(t.tamper(&format!("update {change}")).await, 2);
        let findings = t.findings().await;
        let seen = "refunds of a line are what its refunds gave back";
        assert!(findings.iter().any(|finding| finding.starts_with(seen)), "{change}: {findings:#?}");
        t.tamper(&format!("update {undo}")).await;
    }
    assert_eq!(t.tamper("update payment_lines set commission_vat = commission_vat - 1").await, 2);
    let compared = partita::rebuild::check(&t.app, t.book.id).await.expect("compared");
    assert!(!compared.agrees(), "the ledger has another tax");
    t.tamper("update payment_lines set commission_vat = commission_vat + 1").await;
    let admin = t.admin().await;
    for sql in [
        "update payment_lines set commission_vat = commission + 1",
        "update payment_lines set returned_vat = commission_vat + 1",
    ] {
        let refused = sqlx::query(sql).execute(&admin).await.expect_err("refused");
        assert!(format!("{refused:?}").contains("vat_within"), "{sql}: {refused:?}");
    }
    admin.close().await;
    t.finish().await;
}
