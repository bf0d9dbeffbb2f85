//! Refunds: who gives what, before and after the money has moved on, in any order, at once, and undone.

use partita_simulator::FaultKind;
use serde_json::{Value, json};

use crate::support::{Dice, cart, item, paid_with, taxed};
use crate::test_app::{DAY, TestApp, text};

/// EUR 120.00 = A 60 and tax 12, B 40 and tax 8; commission 10 %, no processor's fee.
async fn worked_cart(t: &TestApp) -> Value {
    t.control.set_fees("eur", 0, 0).await.expect("free of charge");
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    t.pay(cart("order-1", "EUR", &[taxed(&a, 60_00, 12_00), taxed(&b, 40_00, 8_00)])).await
}

async fn balance(t: &TestApp, path: &str) -> i64 {
    t.balances().await.get(&format!("{path} EUR")).copied().unwrap_or(0)
}

fn refund_of(payment: &Value, what: Value) -> Value {
    let mut body = what;
    body["payment"] = payment["id"].clone();
    body
}

/// What a seller has got of a payment: transferred less reversed.
async fn received(t: &TestApp, payment: &Value, seller: &Value) -> i64 {
    let path = format!("/v1/transfers?payment={}&seller={}", text(&payment["id"]), text(&seller["id"]));
    let kept = |transfer: &Value| {
        transfer["amount"].as_i64().expect("an amount") - transfer["reversed_amount"].as_i64().expect("an amount")
    };
    t.list(&path).await.iter().map(kept).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_what_the_refund_does_by_line_by_amount_and_in_full() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t).await;
    t.top_up("float", 200_00, "EUR").await;
    t.advance(4 * DAY).await;
    let steps = [
        (json!({"lines": [{"line": 0, "amount": 25_00}]}), Some(30_00)),
        (json!({"lines": [{"line": 1, "amount": 10_00}], "fee": "kept"}), Some(12_00)),
        (json!({"amount": 10_01}), Some(10_01)),
        (json!({"lines": [{"line": 0, "amount": 1}, {"line": 1, "amount": 1}]}), None),
        (json!({}), None),
    ];
    for (number, (what, gross)) in steps.into_iter().enumerate() {
        let body = refund_of(&payment, what);
        let preview = t.send("POST", "/v1/refunds/preview", None, Some(body.clone())).await.expect(200);
        let refund = t.post("/v1/refunds", &format!("ret-{number}"), body.clone()).await.expect(201);
        for field in ["amount", "currency", "fee", "lines", "payment"] {
            assert_eq!(preview[field], refund[field], "{field} of {body}");
        }
        assert_eq!(refund["status"], "succeeded");
        if let Some(gross) = gross {
            assert_eq!(refund["amount"], json!(gross), "{body}");
        }
        t.settle().await;
    }
    let refunded = t.payment(&payment).await;
    assert_eq!(refunded["refunded_amount"], json!(120_00));
    for line in refunded["lines"].as_array().expect("lines") {
        assert_eq!((&line["refunded_amount"], &line["refunded_tax"]), (&line["amount"], &line["tax"]["amount"]));
    }
    // The commission of B's 10.00 was kept: B owes it.
    assert_eq!(balance(&t, "rev.commission").await, 1_00);
    assert_eq!(balance(&t, "sel.B.available").await, -1_00);
    assert_eq!((balance(&t, "sel.A.available").await, balance(&t, "tax.payable").await), (0, 0));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_before_the_money_is_usable_takes_the_pending_share() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t).await;
    t.top_up("float", 100_00, "EUR").await;
    let body = refund_of(&payment, json!({"lines": [{"line": 0, "amount": 25_00}]}));
    t.post("/v1/refunds", "ret-1", body).await.expect(201);
    t.settle().await;
    assert_eq!((balance(&t, "sel.A.pending").await, balance(&t, "sel.A.available").await), (31_50, 0));
    let transfers = format!("/v1/transfers?payment={}", text(&payment["id"]));
    assert!(t.list(&transfers).await.is_empty(), "nothing was sent, so nothing is sent or taken back");
    t.advance(4 * DAY).await;
    let mut sent: Vec<(i64, i64)> = Vec::new();
    for transfer in t.list(&transfers).await {
        sent.push((transfer["amount"].as_i64().expect("minor"), transfer["reversed_amount"].as_i64().expect("minor")));
    }
    sent.sort_unstable();
    assert_eq!(sent, [(31_50, 0), (36_00, 0)], "what is left is released");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_is_left_is_refused_and_says_where() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t).await;
    t.top_up("float", 200_00, "EUR").await;
    let declined =
        paid_with(cart("declined", "EUR", &[json!({"type": "platform", "amount": 5_00})]), "pm_card_chargeDeclined");
    let declined = t.post("/v1/payments", "declined", declined).await.expect(402)["object"].clone();
    t.post("/v1/refunds", "half", refund_of(&payment, json!({"lines": [{"line": 0, "amount": 30_00}]})))
        .await
        .expect(201);
    let counts = t.row_counts().await;
    let invalid = [
        (json!({"amount": 84_01}), "#/amount", "too_much"),
        (json!({"amount": 0}), "#/amount", "out_of_range"),
        (json!({"lines": []}), "#/lines", "too_short"),
        (json!({"lines": [{"line": 1, "amount": 1}, {"line": 0, "amount": 30_01}]}), "#/lines/1/amount", "too_much"),
        (json!({"lines": [{"line": 2, "amount": 1}]}), "#/lines/0/line", "unknown_reference"),
        (json!({"lines": [{"line": 1, "amount": 1}, {"line": 1, "amount": 1}]}), "#/lines/1/line", "not_allowed"),
        (json!({"amount": 1, "lines": [{"line": 1, "amount": 1}]}), "#/amount", "not_allowed"),
    ];
    for (number, (what, pointer, code)) in invalid.into_iter().enumerate() {
        let body = refund_of(&payment, what);
        let problem = t.post("/v1/refunds", &format!("bad-{number}"), body.clone()).await.expect(422);
        assert_eq!(
            (&problem["errors"][0]["pointer"], &problem["errors"][0]["code"]),
            (&json!(pointer), &json!(code)),
            "{body}"
        );
        t.send("POST", "/v1/refunds/preview", None, Some(body)).await.expect(422);
    }
    let unknown = json!({"payment": "pay_01h455vb4pex5vsknk084sn02q"});
    assert_eq!(t.post("/v1/refunds", "unknown", unknown).await.expect(422)["errors"][0]["pointer"], "#/payment");
    let of_declined = t.post("/v1/refunds", "declined-2", refund_of(&declined, json!({}))).await.expect(409);
    assert_eq!(of_declined["detail"], "A payment that is failed cannot be refunded.");
    assert_eq!(t.row_counts().await, counts, "nothing was stored");

    t.post("/v1/refunds", "rest", refund_of(&payment, json!({}))).await.expect(201);
    let nothing = t.post("/v1/refunds", "nothing", refund_of(&payment, json!({}))).await.expect(409);
    assert_eq!(nothing["code"], "state_conflict");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_refunds_of_sixty_percent_at_once_one_succeeds() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t).await;
    t.top_up("float", 200_00, "EUR").await;
    let ask = |number: usize| {
        let (t, body) = (&t, refund_of(&payment, json!({"amount": 72_00})));
        async move { t.post("/v1/refunds", &format!("ret-{number}"), body).await }
    };
    let answers = futures::future::join_all((0..50).map(ask)).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![201], vec![422; 49]].concat());
    for answer in answers.into_iter().filter(|answer| answer.status == 422) {
        assert_eq!(answer.json()["errors"][0]["code"], "too_much");
    }
    assert_eq!(t.effects("/v1/refunds").await, 1);
    assert_eq!(t.payment(&payment).await["refunded_amount"], json!(72_00));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_waits_for_funds_ends_when_they_come() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t).await;
    let body = refund_of(&payment, json!({"lines": [{"line": 0, "amount": 25_00}]}));
    let refund = t.post("/v1/refunds", "ret-1", body).await.expect(201);
    assert_eq!(refund["status"], "pending");
    t.settle().await;
    assert_eq!(balance(&t, "clr.refund").await, 30_00, "owed to the buyer until the provider has it");
    t.top_up("float", 100_00, "EUR").await;
    let after = t.get(&format!("/v1/refunds/{}", text(&refund["id"]))).await;
    assert_eq!(after["status"], "succeeded");
    assert_eq!((balance(&t, "clr.refund").await, balance(&t, "prov.available").await), (0, 70_00));
    t.advance(4 * DAY).await;
    assert_eq!(balance(&t, "conn.available.A").await, 31_50);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_fails_while_it_waits_is_undone_to_the_cent() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t).await;
    let before = t.balances().await;
    let refund = t.post("/v1/refunds", "ret-1", refund_of(&payment, json!({"amount": 33_33}))).await.expect(201);
    assert_ne!(t.balances().await, before);
    t.control.fail_refund(&text(&refund["provider"]["id"]), "expired_or_canceled_card").await.expect("failed");
    t.settle().await;
    let after = t.get(&format!("/v1/refunds/{}", text(&refund["id"]))).await;
    assert_eq!((&after["status"], &after["failure"]["code"]), (&json!("failed"), &json!("expired_or_canceled_card")));
    assert_eq!(t.balances().await, before);
    assert_eq!(t.payment(&payment).await["refunded_amount"], 0);
    t.advance(4 * DAY).await;
    assert_eq!((balance(&t, "conn.available.A").await, balance(&t, "conn.available.B").await), (54_00, 36_00));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_fails_after_the_share_was_released_gives_it_back_where_it_stands() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t).await;
    let refund = t.post("/v1/refunds", "ret-1", refund_of(&payment, json!({"amount": 120_00}))).await.expect(201);
    assert_eq!(refund["status"], "pending");
    t.control.fail_refund(&text(&refund["provider"]["id"]), "expired_or_canceled_card").await.expect("failed");
    // The provider has said so; we hear of it only when the money has become usable.
    t.control.advance(4 * DAY).await.expect("advanced");
    t.clock.set(jiff::Timestamp::from_second(t.control.now()).expect("a time"));
    partita::worker::drain(&t.app).await.expect("drained");
    assert_eq!(balance(&t, "clr.refund").await, 120_00);
    t.settle().await;
    t.advance(DAY).await;
    assert_eq!((balance(&t, "conn.available.A").await, balance(&t, "conn.available.B").await), (54_00, 36_00));
    assert_eq!((balance(&t, "clr.refund").await, balance(&t, "tax.payable").await), (0, 20_00));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_the_provider_refuses_changes_nothing() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t).await;
    t.top_up("float", 200_00, "EUR").await;
    let intent = text(&payment["provider"]["id"]);
    // Somebody was faster, in the provider's dashboard.
    t.at_provider("POST", "/v1/refunds", &[("payment_intent", &intent)]).await;
    let before = t.balances().await;
    let body = refund_of(&payment, json!({"amount": 40_00}));
    let refused = t.post("/v1/refunds", "ret-1", body.clone()).await;
    let again = t.post("/v1/refunds", "ret-1", body).await;
    assert_eq!(again.bytes, refused.bytes);
    let problem = refused.expect(422);
    assert_eq!((&problem["code"], &problem["object"]["status"]), (&json!("provider_refused"), &json!("failed")));
    assert_eq!(problem["provider"]["code"], "charge_already_refunded");
    assert_eq!(t.balances().await, before);
    assert_eq!(t.payment(&payment).await["refunded_amount"], 0);
    assert!(t.findings().await.is_empty(), "{:?}", t.findings().await);
    // The other refund is nobody's: a break of the reconciliation, not a test of this file.
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_whose_answer_was_lost_is_given_once() {
    let t = TestApp::new().await;
    let payment = worked_cart(&t).await;
    t.top_up("float", 200_00, "EUR").await;
    t.next_post_fails(FaultKind::AnswerLost, "/v1/refunds");
    let refund = t.post("/v1/refunds", "ret-1", refund_of(&payment, json!({"amount": 72_00}))).await.expect(202);
    assert_eq!(refund["status"], "processing");
    // While nobody knows, it counts.
    t.post("/v1/refunds", "ret-2", refund_of(&payment, json!({"amount": 72_00}))).await.expect(422);
    t.advance(60).await;
    assert_eq!(t.get(&format!("/v1/refunds/{}", text(&refund["id"]))).await["status"], "succeeded");
    assert_eq!(t.effects("/v1/refunds").await, 1);
    t.finish().await;
}

/// One step of a random history: a refund of some kind, with the processor's fee borne by one or the other.
fn step(dice: &mut Dice, payment: &Value) -> Value {
    let bearer = if dice.roll(0, 2) == 0 { "sellers" } else { "platform" };
    let mut body = refund_of_some_kind(dice, payment);
    body["processor_fee"] = json!(bearer);
    body
}

fn refund_of_some_kind(dice: &mut Dice, payment: &Value) -> Value {
    let lines = payment["lines"].as_array().expect("lines");
    let left =
        |line: &Value| line["amount"].as_i64().expect("minor") - line["refunded_amount"].as_i64().expect("minor");
    let open: Vec<&Value> = lines.iter().filter(|line| left(line) > 0).collect();
    let gross = payment["amount"].as_i64().expect("minor") - payment["refunded_amount"].as_i64().expect("minor");
    let fee = if dice.roll(0, 3) == 0 { "kept" } else { "returned" };
    match dice.roll(0, 9) {
        0 => json!({"fee": fee}),
        1..=4 => json!({"amount": dice.roll(1, gross), "fee": fee}),
        _ if open.is_empty() => json!({"fee": fee}),
        _ => {
            let place = usize::try_from(dice.roll(0, i64::try_from(open.len()).expect("few") - 1)).expect("few");
            let line = open[place];
            json!({"lines": [{"line": line["line"], "amount": dice.roll(1, left(line))}], "fee": fee})
        }
    }
}

/// What a seller is entitled to of a payment as it stands; below zero where commission was kept of goods given back.
fn share(payment: &Value, seller: &Value) -> i64 {
    let minor = |value: &Value| value.as_i64().expect("minor units");
    let lines = payment["lines"].as_array().expect("lines").iter().filter(|line| line["seller"] == seller["id"]);
    let of_line = |line: &Value| {
        let owes_tax = line["tax"]["liability"] == "seller";
        let tax = if owes_tax { minor(&line["tax"]["amount"]) - minor(&line["refunded_tax"]) } else { 0 };
        let commission = minor(&line["commission"]) - minor(&line["returned_commission"]);
        minor(&line["amount"]) - minor(&line["refunded_amount"]) + tax - commission - minor(&line["processor_fee"])
    };
    lines.map(of_line).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_random_histories_end_with_everyone_having_what_is_theirs() {
    let t = TestApp::new().await;
    t.control.set_fees("eur", 150, 25).await.expect("1.5 % + 0.25");
    let rules = json!([
        {"when": {"countries": ["FR"]}, "price": {"percent_bps": 1_333}, "processor_fee": "seller"},
        {"price": {"percent_bps": 1_333}},
    ]);
    let policy = json!({"reference": "standard", "name": "Standard", "default": true, "rules": rules});
    t.post("/v1/fee_policies", "standard", policy).await.expect(201);
    let sellers = [t.seller("A", "DE", "EUR", "manual").await, t.seller("B", "FR", "EUR", "daily").await];
    t.top_up("float", 500_000_00, "EUR").await;
    let mut histories = Vec::new();
    for seed in 1..=20_u64 {
        let mut dice = Dice::new(seed);
        let lines: Vec<Value> = (0..dice.roll(1, 4))
            .map(|_| {
                let seller = &sellers[usize::try_from(dice.roll(0, 1)).expect("0 or 1")];
                let liability = if dice.roll(0, 2) == 0 { "seller" } else { "platform" };
                let tax = json!({"amount": dice.roll(0, 2_000), "liability": liability});
                json!({"seller": seller["id"], "amount": dice.roll(60, 20_000), "tax": tax})
            })
            .collect();
        let payment =
            t.post("/v1/payments", &format!("order-{seed}"), cart(&format!("order-{seed}"), "EUR", &lines)).await;
        histories.push((dice, payment.expect(201)));
    }
    for round in 0..6 {
        for (seed, (dice, payment)) in histories.iter_mut().enumerate() {
            *payment = t.payment(payment).await;
            if dice.roll(0, 2) == 0 || payment["refunded_amount"] == payment["amount"] {
                continue;
            }
            let body = refund_of(payment, step(dice, payment));
            let preview = t.send("POST", "/v1/refunds/preview", None, Some(body.clone())).await.expect(200);
            let answer = t.post("/v1/refunds", &format!("ret-{seed}-{round}"), body.clone()).await;
            assert_eq!(answer.status, 201, "seed {seed}, round {round}: {body}: {}", answer.text());
            let done = answer.json();
            for field in ["amount", "currency", "fee", "processor_fee", "tax", "lines", "payment"] {
                assert_eq!(preview[field], done[field], "seed {seed}, round {round}: {field} of {body}");
            }
        }
        t.advance(20 * 3_600).await;
    }
    t.advance(3 * DAY).await;
    for (name, seller) in ["A", "B"].into_iter().zip(&sellers) {
        let mut owed = 0;
        for (seed, (_, payment)) in histories.iter().enumerate() {
            let payment = t.payment(payment).await;
            let (got, share) = (received(&t, &payment, seller).await, share(&payment, seller));
            assert!((0..=share.max(0)).contains(&got), "seed {}: {got} of {share}: {payment:#}", seed + 1);
            owed += share - got;
        }
        // What a seller owes of one payment is kept back of another; nothing else is.
        assert_eq!(balance(&t, &format!("sel.{name}.available")).await, owed);
        assert!(owed <= 0, "{owed} is kept from {name}");
    }
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_of_one_minor_unit_lines_is_refunded_cent_by_cent() {
    let t = TestApp::new().await;
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let lines: Vec<Value> = (0..60).map(|_| item(&a, 1)).collect();
    let payment = t.pay(cart("order-1", "EUR", &lines)).await;
    t.top_up("float", 10_00, "EUR").await;
    t.advance(4 * DAY).await;
    for number in 0..6 {
        t.post("/v1/refunds", &format!("ret-{number}"), refund_of(&payment, json!({"amount": 7}))).await.expect(201);
    }
    t.settle().await;
    let payment = t.payment(&payment).await;
    let refunded: i64 =
        payment["lines"].as_array().expect("lines").iter().map(|l| l["refunded_amount"].as_i64().expect("minor")).sum();
    assert_eq!((refunded, received(&t, &payment, &a).await), (42, 18));
    t.finish().await;
}
