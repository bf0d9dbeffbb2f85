//! Amounts that are authorised first: captured whole, in part over several lines, let go, expired, and in doubt.

use partita_simulator::FaultKind;
use serde_json::{Value, json};

use crate::doubt::{decide, only_operation, pass, propose, second_key};
use crate::support::{cart, item, taxed};
use crate::test_app::{DAY, TestApp, text};

/// EUR 120.00 = A 60 and tax 12, B 40 and tax 8; commission 10 %; the processor keeps 2.5 % and 0.20 of what is captured.
async fn authorized(t: &TestApp) -> Value {
    t.control.set_fees("eur", 250, 20).await.expect("2.5 % + 0.20");
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    let payment = hold(t, "order-1", &[taxed(&a, 60_00, 12_00), taxed(&b, 40_00, 8_00)]).await;
    t.settle().await;
    payment
}

async fn hold(t: &TestApp, reference: &str, lines: &[Value]) -> Value {
    let mut body = cart(reference, "EUR", lines);
    body["capture_method"] = json!("manual");
    let payment = t.post("/v1/payments", reference, body).await.expect(201);
    assert_eq!((&payment["status"], &payment["funds"]), (&json!("authorized"), &json!("none")));
    payment
}

fn path(payment: &Value, what: &str) -> String {
    format!("/v1/payments/{}/{what}", text(&payment["id"]))
}

async fn balances(t: &TestApp) -> Vec<(String, i64)> {
    t.balances().await.into_iter().collect()
}

fn owned(rows: &[(&str, i64)]) -> Vec<(String, i64)> {
    rows.iter().map(|(path, amount)| ((*path).to_owned(), *amount)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_books_nothing_and_its_whole_capture_is_the_worked_cart() {
    let t = TestApp::new().await;
    let payment = authorized(&t).await;
    assert_eq!((&payment["capture_method"], &payment["captured_amount"]), (&json!("manual"), &json!(0)));
    assert_eq!(payment["capture_before"], "2026-03-09T09:00:00.000Z", "seven days");
    assert!(balances(&t).await.is_empty());
    let refund = t.post("/v1/refunds", "ret-0", json!({"payment": payment["id"]})).await.expect(409);
    assert_eq!(refund["detail"], "A payment that is authorized cannot be refunded.");

    let captured = t.post(&path(&payment, "capture"), "cap-1", json!({})).await.expect(200);
    assert_eq!((&captured["status"], &captured["captured_amount"]), (&json!("succeeded"), &json!(120_00)));
    t.settle().await;
    let expected = [
        ("exp.processing EUR", 3_20),
        ("prov.pending EUR", 116_80),
        ("rev.commission EUR", 10_00),
        ("sel.A.pending EUR", 54_00),
        ("sel.B.pending EUR", 36_00),
        ("tax.payable EUR", 20_00),
    ];
    assert_eq!(balances(&t).await, owned(&expected));
    let again = t.post(&path(&payment, "capture"), "cap-2", json!({})).await.expect(409);
    assert_eq!(again["detail"], "A payment that is succeeded cannot be captured.");
    assert_eq!(t.post(&path(&payment, "capture"), "cap-1", json!({})).await.expect(200), captured, "the first answer");
    let timeline = t.get(&path(&payment, "timeline")).await;
    let steps = timeline["data"].as_array().expect("a list").iter().filter(|step| step["of"] == "payment");
    let told: Vec<String> = steps.map(|step| text(&step["to"])).collect();
    assert_eq!(told, ["processing", "authorized", "succeeded"]);
    t.advance(4 * DAY).await;
    assert_eq!(t.balances().await["conn.available.A EUR"], 54_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_in_part_over_lines_lowers_share_tax_and_commission_and_the_rest_goes_back() {
    let t = TestApp::new().await;
    let payment = authorized(&t).await;
    let body = json!({"lines": [{"line": 0, "amount": 30_00}, {"line": 1, "amount": 40_00}]});
    let captured = t.post(&path(&payment, "capture"), "cap-1", body).await.expect(200);
    assert_eq!((&captured["amount"], &captured["captured_amount"]), (&json!(120_00), &json!(84_00)));
    let line = &captured["lines"][0];
    assert_eq!(
        (&line["amount"], &line["uncaptured_amount"], &line["uncaptured_tax"]),
        (&json!(60_00), &json!(30_00), &json!(6_00))
    );
    assert_eq!((&line["commission"], &captured["lines"][1]["uncaptured_amount"]), (&json!(3_00), &json!(0)));
    t.settle().await;
    // 2.5 % of 84.00 and 0.20 are 2.30.
    let expected = [
        ("exp.processing EUR", 2_30),
        ("prov.pending EUR", 81_70),
        ("rev.commission EUR", 7_00),
        ("sel.A.pending EUR", 27_00),
        ("sel.B.pending EUR", 36_00),
        ("tax.payable EUR", 14_00),
    ];
    assert_eq!(balances(&t).await, owned(&expected));
    let moved = t.get(&path(&payment, "postings")).await;
    let clearing =
        moved["accounts"].as_array().expect("accounts").iter().find(|account| account["path"] == "clr.refund");
    let clearing = clearing.expect("what was not captured passed it");
    assert_eq!((&clearing["debits"], &clearing["credits"]), (&json!(36_00), &json!(36_00)));

    t.top_up("float", 100_00, "EUR").await;
    t.advance(4 * DAY).await;
    assert_eq!(
        (t.balances().await["conn.available.A EUR"], t.balances().await["conn.available.B EUR"]),
        (27_00, 36_00)
    );
    // Of what was captured, everything can be refunded, and not a cent more.
    let more = json!({"payment": payment["id"], "lines": [{"line": 0, "amount": 30_01}]});
    let more = t.post("/v1/refunds", "ret-1", more).await.expect(422);
    assert_eq!(
        (&more["errors"][0]["pointer"], &more["errors"][0]["code"]),
        (&json!("#/lines/0/amount"), &json!("too_much"))
    );
    let refund = t.post("/v1/refunds", "ret-2", json!({"payment": payment["id"]})).await.expect(201);
    assert_eq!(refund["amount"], json!(84_00));
    t.settle().await;
    assert_eq!(t.balances().await.get("rev.commission EUR"), None);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_by_amount_is_spread_over_goods_and_taxes_to_the_cent() {
    let t = TestApp::new().await;
    let payment = authorized(&t).await;
    let captured = t.post(&path(&payment, "capture"), "cap-1", json!({"amount": 70_01})).await.expect(200);
    let minor = |value: &Value| value.as_i64().expect("minor units");
    let lines = captured["lines"].as_array().expect("lines");
    let kept = |line: &Value| {
        minor(&line["amount"]) - minor(&line["uncaptured_amount"]) + minor(&line["tax"]["amount"])
            - minor(&line["uncaptured_tax"])
    };
    assert_eq!(lines.iter().map(kept).sum::<i64>(), 70_01);
    // Of 70.01, exactly 35.005, 7.001, 23.3367 and 4.6673: the two odd cents go to the largest remainders, both B's.
    let of =
        |line: &Value| (minor(&line["uncaptured_amount"]), minor(&line["uncaptured_tax"]), minor(&line["commission"]));
    assert_eq!(lines.iter().map(of).collect::<Vec<_>>(), [(25_00, 5_00, 3_50), (16_66, 3_33, 2_33)]);
    t.advance(4 * DAY).await;
    assert_eq!(
        (t.balances().await["conn.available.A EUR"], t.balances().await["conn.available.B EUR"]),
        (31_50, 21_01)
    );
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_is_authorised_is_refused_and_says_where() {
    let t = TestApp::new().await;
    let payment = authorized(&t).await;
    let counts = t.row_counts().await;
    let table = [
        (json!({"amount": 120_01}), "#/amount", "too_much"),
        (json!({"amount": 0}), "#/amount", "out_of_range"),
        (json!({"amount": 1, "lines": [{"line": 0, "amount": 1}]}), "#/amount", "not_allowed"),
        (json!({"lines": []}), "#/lines", "too_short"),
        (json!({"lines": [{"line": 1, "amount": 1}, {"line": 0, "amount": 60_01}]}), "#/lines/1/amount", "too_much"),
        (json!({"lines": [{"line": 2, "amount": 1}]}), "#/lines/0/line", "unknown_reference"),
        (json!({"lines": [{"line": 0, "amount": 1}, {"line": 0, "amount": 1}]}), "#/lines/1/line", "not_allowed"),
        (json!({"all": true}), "#/all", "unknown_field"),
    ];
    for (number, (body, pointer, code)) in table.into_iter().enumerate() {
        let problem = t.post(&path(&payment, "capture"), &format!("bad-{number}"), body.clone()).await.expect(422);
        let error = &problem["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!(code)), "{body}");
    }
    assert_eq!(t.row_counts().await, counts, "nothing was stored");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_given_up_on_request_or_expires_after_seven_days() {
    let t = TestApp::new().await;
    let first = authorized(&t).await;
    let a = t.list("/v1/sellers").await.into_iter().find(|seller| seller["reference"] == "A").expect("A");
    let second = hold(&t, "order-2", &[item(&a, 10_00)]).await;
    let canceled = t.post(&path(&first, "cancel"), "cancel-1", json!({})).await.expect(200);
    assert_eq!((&canceled["status"], &canceled["captured_amount"]), (&json!("canceled"), &json!(0)));
    let late = t.post(&path(&first, "capture"), "cap-1", json!({})).await.expect(409);
    assert_eq!(late["detail"], "A payment that is canceled cannot be captured.");

    t.advance(6 * DAY).await;
    assert_eq!(t.payment(&second).await["status"], "authorized");
    t.advance(DAY).await;
    assert_eq!(t.payment(&second).await["status"], "canceled");
    assert!(balances(&t).await.is_empty());
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_expired_unheard_cannot_be_captured_and_is_canceled_by_the_refusal() {
    let t = TestApp::new().await;
    let payment = authorized(&t).await;
    t.move_clocks(7 * DAY).await;
    let late = t.post(&path(&payment, "capture"), "cap-1", json!({})).await.expect(409);
    assert_eq!(
        (late["code"].as_str(), late["detail"].as_str()),
        (Some("state_conflict"), Some("The payment is canceled and was not captured."))
    );
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_whose_answer_was_lost_is_done_once_with_the_lines_that_were_named() {
    let t = TestApp::new().await;
    let payment = authorized(&t).await;
    t.next_post_fails(FaultKind::AnswerLost, "/v1/payment_intents");
    let body = json!({"lines": [{"line": 1, "amount": 10_00}]});
    let open = t.post(&path(&payment, "capture"), "cap-1", body).await.expect(202);
    assert_eq!(open["status"], "authorized");
    for (what, key) in [("capture", "cap-2"), ("cancel", "cancel-1")] {
        let busy = t.post(&path(&payment, what), key, json!({})).await.expect(409);
        assert_eq!(busy["detail"], "The payment is being captured or canceled already.");
    }
    t.advance(60).await;
    let captured = t.payment(&payment).await;
    assert_eq!((&captured["status"], &captured["captured_amount"]), (&json!("succeeded"), &json!(12_00)));
    assert_eq!(captured["lines"][0]["uncaptured_amount"], json!(60_00));
    assert_eq!(t.effects("/v1/payment_intents").await, 2, "one hold and one capture");
    t.assert_no_double_effect().await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_captures_and_cancellations_at_once_one_takes_effect() {
    let t = TestApp::new().await;
    let payment = authorized(&t).await;
    let ask = |number: usize| {
        let (t, what) = (&t, if number.is_multiple_of(2) { "capture" } else { "cancel" });
        let path = path(&payment, what);
        async move { t.post(&path, &format!("at-once-{number}"), json!({})).await.status }
    };
    let mut statuses = futures::future::join_all((0..20).map(ask)).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![200], vec![409; 19]].concat());
    t.settle().await;
    assert_eq!(t.effects("/v1/payment_intents").await, 2);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_captures_in_the_providers_dashboard_is_spread_and_booked_by_reconciliation_too() {
    let t = TestApp::new().await;
    let payment = authorized(&t).await;
    let intent = text(&payment["provider"]["id"]);
    t.at_provider("POST", &format!("/v1/payment_intents/{intent}/capture"), &[("amount_to_capture", "6000")]).await;
    // No webhook has come: the movements are found, the one that gave the rest back first.
    let run = t.reconcile().await;
    assert_eq!((run.breaks, run.adopted), (0, 2));
    let captured = t.payment(&payment).await;
    assert_eq!((&captured["status"], &captured["captured_amount"]), (&json!("succeeded"), &json!(60_00)));
    assert_eq!(t.balances().await["sel.A.pending EUR"], 27_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_people_found_to_have_failed_names_no_lines_for_the_one_that_somebody_makes_instead() {
    let t = TestApp::new().await;
    t.control.set_fees("eur", 0, 0).await.expect("free");
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    let payment = hold(&t, "order-1", &[item(&a, 30_000_00), item(&b, 30_000_00)]).await;
    t.settle().await;
    // An error that the provider keeps although nothing happened, of an amount that is not sent anew without being asked.
    t.next_post_fails(FaultKind::ErrorBefore, "/v1/payment_intents");
    let body = json!({"lines": [{"line": 0, "amount": 20_000_00}]});
    t.post(&path(&payment, "capture"), "cap-1", body).await.expect(202);
    pass(&t, 12).await;
    let operation = only_operation(&t, "state=needs_review").await;
    let proposal = json!({"outcome": "failed", "reason": "nothing in the dashboard"});
    let approval = propose(&t, &operation, proposal).await.expect(201);
    decide(&t, &second_key(&t).await, &approval, "approve").await.expect(200);

    let intent = text(&payment["provider"]["id"]);
    let asked = [("amount_to_capture", "2000000")];
    t.at_provider("POST", &format!("/v1/payment_intents/{intent}/capture"), &asked).await;
    t.settle().await;
    let captured = t.payment(&payment).await;
    assert_eq!((&captured["status"], &captured["captured_amount"]), (&json!("succeeded"), &json!(20_000_00)));
    let balances = t.balances().await;
    assert_eq!(
        (balances["sel.A.pending EUR"], balances["sel.B.pending EUR"]),
        (10_000_00, 10_000_00),
        "spread over both, not as the command had it that never struck"
    );
    t.finish().await;
}
