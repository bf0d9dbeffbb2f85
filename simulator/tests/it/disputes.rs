//! Disputes: money taken back, evidence, decisions.

use partita_simulator::{DisputeFeeWhenWon, NewDispute};
use serde_json::{Value, json};

use crate::support::{DAY, Reply, START, Sim, Sink, kinds};

async fn charge(sim: &Sim) -> (String, String) {
    let payment = sim.pay("12000", "pm_card_visa").await.ok();
    let charge = payment.body["latest_charge"]["id"].as_str().expect("a charge").to_owned();
    (payment.id().to_owned(), charge)
}

async fn read(sim: &Sim, id: &str) -> Value {
    sim.get(&format!("/v1/disputes/{id}")).await.ok().body
}

async fn respond(sim: &Sim, id: &str, text: &str) -> Reply {
    sim.post(&format!("/v1/disputes/{id}"), &[("evidence[uncategorized_text]", text)]).await
}

fn movements(dispute: &Value) -> Vec<(i64, i64, i64)> {
    let rows = dispute["balance_transactions"].as_array().expect("a list");
    let figure = |row: &Value, field: &str| row[field].as_i64().expect("a figure");
    rows.iter().map(|row| (figure(row, "amount"), figure(row, "fee"), figure(row, "net"))).collect()
}

fn id(dispute: &Value) -> &str {
    dispute["id"].as_str().expect("an id")
}

#[tokio::test]
async fn a_disputed_charge_takes_amount_and_fee_and_a_win_brings_both_back() {
    let sim = Sim::start().await;
    let sink = Sink::start().await;
    sink.register(&sim.control, false).await;
    sim.fund("20000").await;
    let (intent, charge) = charge(&sim).await;
    sim.control.flush_webhooks().await.expect("a flush");
    sink.take();

    let opened = sim.control.open_dispute(NewDispute::of(&charge)).await.expect("disputed");
    assert_eq!((&opened["status"], &opened["amount"]), (&json!("needs_response"), &json!(12_000)));
    assert_eq!((&opened["payment_intent"], &opened["reason"]), (&json!(intent), &json!("fraudulent")));
    // The end of a day, twenty days on.
    assert_eq!(opened["evidence_details"]["due_by"], START - START % DAY + 21 * DAY - 1);
    assert_eq!(movements(&opened), [(-120_00, 15_00, -135_00)]);
    let moved = &opened["balance_transactions"][0];
    assert_eq!((&moved["type"], &moved["reporting_category"]), (&json!("adjustment"), &json!("dispute")));
    assert_eq!((&moved["source"], &moved["fee_details"][0]["description"]), (&opened["id"], &json!("Dispute fee")));
    assert_eq!(sim.balance(None).await, (65_00, 116_80, 0));
    assert_eq!(sim.get(&format!("/v1/charges/{charge}")).await.ok().body["disputed"], true);

    let answered = respond(&sim, id(&opened), "winning_evidence").await.ok().body;
    assert_eq!(answered["status"], "under_review");
    assert_eq!(answered["evidence_details"]["submission_count"], 1);
    let won = read(&sim, id(&opened)).await;
    assert_eq!(won["status"], "won");
    assert_eq!(movements(&won), [(-120_00, 15_00, -135_00), (120_00, -15_00, 135_00)]);
    assert_eq!(sim.balance(None).await, (200_00, 116_80, 0));
    sim.control.flush_webhooks().await.expect("a flush");
    let received = sink.take();
    assert_eq!(
        kinds(&received),
        [
            "charge.dispute.created",
            "charge.dispute.funds_withdrawn",
            "charge.dispute.updated",
            "charge.dispute.funds_reinstated",
            "charge.dispute.closed",
        ]
    );
    assert!(received[0].event()["data"]["object"]["balance_transactions"][0].is_object());
    sim.finish().await;
}

#[tokio::test]
async fn a_lost_and_an_accepted_dispute_keep_amount_and_fee() {
    let sim = Sim::start().await;
    for way in ["losing_evidence", "close", "silence"] {
        let (_, charge) = charge(&sim).await;
        let opened = sim.control.open_dispute(NewDispute::of(&charge)).await.expect("disputed");
        match way {
            "close" => {
                let path = format!("/v1/disputes/{}/close", id(&opened));
                assert_eq!(sim.post(&path, &[]).await.ok().body["status"], "lost");
                assert_eq!(sim.post(&path, &[]).await.status, 400, "it is closed");
            }
            "silence" => {
                sim.control.advance(22 * DAY).await.expect("the deadline passes");
            }
            text => {
                respond(&sim, id(&opened), text).await.ok();
            }
        }
        let lost = read(&sim, id(&opened)).await;
        assert_eq!((&lost["status"], movements(&lost).len()), (&json!("lost"), 1), "{way}");
        assert_eq!(respond(&sim, id(&opened), "late").await.status, 400, "{way}");
    }
    // Three charges of 116.80, less three of 135.
    assert_eq!(sim.balance(None).await, (-54_60, 0, 0));
    sim.finish().await;
}

#[tokio::test]
async fn evidence_may_be_kept_before_it_is_submitted_once() {
    let sim = Sim::start().await;
    let (_, charge) = charge(&sim).await;
    let opened = sim.control.open_dispute(NewDispute::of(&charge)).await.expect("disputed");
    let path = format!("/v1/disputes/{}", id(&opened));
    let kept = sim
        .post(&path, &[("evidence[customer_name]", "Ada"), ("submit", "false"), ("metadata[op_id]", "op_1")])
        .await
        .ok()
        .body;
    assert_eq!((&kept["status"], &kept["evidence"]["customer_name"]), (&json!("needs_response"), &json!("Ada")));
    assert_eq!((&kept["evidence_details"]["has_evidence"], &kept["metadata"]["op_id"]), (&json!(true), &json!("op_1")));
    let submitted = sim.post(&path, &[("submit", "true")]).await.ok().body;
    assert_eq!(submitted["status"], "under_review");
    assert_eq!(sim.post(&path, &[("submit", "true")]).await.status, 400);
    assert_eq!(sim.post(&path, &[("metadata[note]", "still")]).await.ok().body["metadata"]["note"], "still");
    let unknown = sim.post(&path, &[("evidence[hearsay]", "x")]).await;
    assert_eq!(unknown.error(), (400, "invalid_request_error", "parameter_unknown", "evidence[hearsay]"));
    let long = "x".repeat(20_001);
    assert_eq!(sim.post(&path, &[("evidence[uncategorized_text]", long.as_str())]).await.status, 400);
    sim.finish().await;
}

#[tokio::test]
async fn an_inquiry_takes_nothing_until_it_becomes_a_dispute() {
    let sim = Sim::start().await;
    let payment = sim.pay("12000", "pm_card_createDisputeInquiry").await.ok();
    let listed = sim.get(&format!("/v1/disputes?payment_intent={}", payment.id())).await.ok().body;
    let inquiry = listed["data"][0].clone();
    assert_eq!((&inquiry["status"], movements(&inquiry).len()), (&json!("warning_needs_response"), 0));
    assert_eq!(inquiry["is_charge_refundable"], true);
    assert_eq!(sim.balance(None).await, (0, 116_80, 0));
    respond(&sim, id(&inquiry), "escalate_inquiry_evidence").await.ok();
    let dispute = read(&sim, id(&inquiry)).await;
    assert_eq!((&dispute["status"], movements(&dispute).len()), (&json!("needs_response"), 1));
    assert_eq!(sim.balance(None).await, (-135_00, 116_80, 0));

    let payment = sim.pay("12000", "pm_card_createDisputeInquiry").await.ok();
    let path = format!("/v1/disputes?payment_intent={}", payment.id());
    sim.control.advance(121 * DAY).await.expect("time passes");
    assert_eq!(sim.get(&path).await.ok().body["data"][0]["status"], "warning_closed");
    sim.finish().await;
}

#[tokio::test]
async fn what_was_charged_back_is_not_refunded_and_the_rest_can_be() {
    let sim = Sim::start().await;
    sim.fund("50000").await;
    let (intent, charge) = charge(&sim).await;
    let part = NewDispute { amount: Some(3_000), reason: "product_not_received".into(), ..NewDispute::of(&charge) };
    let opened = sim.control.open_dispute(part).await.expect("disputed");
    assert_eq!(movements(&opened), [(-30_00, 15_00, -45_00)]);
    assert_eq!(sim.refund(&intent, "9001").await.error().2, "charge_disputed");
    sim.refund(&intent, "9000").await.ok();
    assert_eq!(sim.refund(&intent, "1").await.error().2, "charge_disputed");
    sim.control.decide_dispute(id(&opened), "won").await.expect("decided");
    sim.refund(&intent, "3000").await.ok();
    assert!(sim.control.decide_dispute(id(&opened), "lost").await.is_err(), "it is decided");
    sim.finish().await;
}

#[tokio::test]
async fn a_switch_keeps_the_fee_of_a_dispute_that_is_won() {
    let sim = Sim::start().await;
    let mut settings = sim.control.settings();
    (settings.dispute_fee, settings.dispute_fee_when_won) = (2_000, DisputeFeeWhenWon::Kept);
    sim.control.set_settings(settings).await.expect("settings are set");
    let (_, charge) = charge(&sim).await;
    let more = NewDispute { amount: Some(12_500), ..NewDispute::of(&charge) };
    let opened = sim.control.open_dispute(more).await.expect("more than the charge");
    sim.control.decide_dispute(id(&opened), "won").await.expect("decided");
    assert_eq!(movements(&read(&sim, id(&opened)).await), [(-125_00, 20_00, -145_00), (125_00, 0, 125_00)]);
    assert!(sim.control.open_dispute(NewDispute::of("ch_0")).await.is_err());
    sim.finish().await;
}

#[tokio::test]
async fn a_test_card_is_disputed_a_moment_after_its_charge() {
    let sim = Sim::start().await;
    for (card, reason) in
        [("pm_card_createDispute", "fraudulent"), ("pm_card_createDisputeProductNotReceived", "product_not_received")]
    {
        let payment = sim.pay("12000", card).await.ok();
        assert_eq!(payment.body["latest_charge"]["disputed"], false, "the answer comes first");
        let charge = payment.body["latest_charge"]["id"].as_str().expect("a charge");
        let listed = sim.get(&format!("/v1/disputes?charge={charge}")).await.ok().body;
        assert_eq!((&listed["data"][0]["reason"], listed["data"].as_array().map(Vec::len)), (&json!(reason), Some(1)));
    }
    sim.finish().await;
}
