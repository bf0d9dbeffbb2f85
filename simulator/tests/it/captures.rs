//! Holds on cards, what the buyer must do, and debits that a bank decides about.

use serde_json::{Value, json};

use crate::support::{CONFIRMED, DAY, Reply, START, Sim};

const EXPAND: &str = "?expand[]=latest_charge.balance_transaction&expand[]=latest_charge.refunds.data.balance_transaction\
                      &expand[]=latest_charge.failure_balance_transaction";

async fn paid(sim: &Sim, currency: &str, more: &[(&str, &str)]) -> Reply {
    let mut form = vec![("amount", "12000"), ("currency", currency)];
    form.extend(CONFIRMED);
    form.extend(more);
    sim.post("/v1/payment_intents", &form).await
}

async fn held(sim: &Sim, card: &str) -> String {
    let reply = paid(sim, "eur", &[("payment_method", card), ("capture_method", "manual")]).await.ok();
    assert_eq!((&reply.body["status"], &reply.body["amount_capturable"]), (&json!("requires_capture"), &json!(12_000)));
    reply.id().to_owned()
}

async fn read(sim: &Sim, intent: &str) -> Value {
    sim.get(&format!("/v1/payment_intents/{intent}{EXPAND}")).await.ok().body
}

#[tokio::test]
async fn a_hold_moves_nothing_and_a_capture_in_part_moves_all_and_gives_the_rest_back() {
    let sim = Sim::start().await;
    let intent = held(&sim, "pm_card_visa").await;
    assert_eq!(sim.balance(None).await, (0, 0, 0));
    let charge = &read(&sim, &intent).await["latest_charge"];
    assert_eq!((&charge["captured"], &charge["paid"]), (&json!(false), &json!(true)));
    assert_eq!(charge["payment_method_details"]["card"]["capture_before"], json!(START + 7 * DAY));
    let path = format!("/v1/payment_intents/{intent}/capture");
    let too_much = sim.post(&path, &[("amount_to_capture", "12001")]).await;
    assert_eq!(too_much.error(), (400, "invalid_request_error", "amount_too_large", "amount_to_capture"));

    sim.post(&path, &[("amount_to_capture", "9000")]).await.ok();
    let captured = read(&sim, &intent).await;
    assert_eq!((&captured["status"], &captured["amount_received"]), (&json!("succeeded"), &json!(90_00)));
    let charge = &captured["latest_charge"];
    assert_eq!((&charge["amount_captured"], &charge["amount_refunded"]), (&json!(90_00), &json!(30_00)));
    // 2.5 % of 90.00 and 0.20.
    assert_eq!(
        (&charge["balance_transaction"]["amount"], &charge["balance_transaction"]["fee"]),
        (&json!(120_00), &json!(2_45))
    );
    let rest = &charge["refunds"]["data"][0]["balance_transaction"];
    assert_eq!((&rest["amount"], &rest["type"]), (&json!(-30_00), &json!("refund")));
    assert_eq!(rest["reporting_category"], "partial_capture_reversal");
    assert_eq!(sim.balance(None).await, (0, 87_55, 0));
    let again = sim.post(&path, &[]).await;
    assert_eq!(again.error().2, "payment_intent_unexpected_state");
    sim.control.advance(3 * DAY).await.expect("time passes");
    assert_eq!(sim.balance(None).await, (87_55, 0, 0));
    let over = sim.post("/v1/refunds", &[("payment_intent", &intent), ("amount", "9001")]).await;
    assert_eq!((over.status, over.error().3), (400, "amount"));
    sim.finish().await;
}

#[tokio::test]
async fn a_hold_is_let_go_when_it_is_given_up_and_after_seven_days() {
    let sim = Sim::start().await;
    let (given_up, forgotten) = (held(&sim, "pm_card_visa").await, held(&sim, "pm_card_visa").await);
    let canceled = sim.post(&format!("/v1/payment_intents/{given_up}/cancel"), &[]).await.ok();
    assert_eq!((&canceled.body["status"], &canceled.body["amount_capturable"]), (&json!("canceled"), &json!(0)));
    sim.control.set_time(START + 7 * DAY - 1).await.expect("time passes");
    assert_eq!(read(&sim, &forgotten).await["status"], "requires_capture");
    sim.control.advance(1).await.expect("time passes");
    let expired = read(&sim, &forgotten).await;
    assert_eq!((&expired["status"], &expired["cancellation_reason"]), (&json!("canceled"), &json!("automatic")));
    let late = sim.post(&format!("/v1/payment_intents/{forgotten}/capture"), &[]).await;
    assert_eq!(late.error().2, "payment_intent_unexpected_state");
    assert_eq!(sim.balance(None).await, (0, 0, 0));
    sim.finish().await;
}

#[tokio::test]
async fn a_buyer_that_must_authenticate_is_sent_away_and_comes_back_with_a_result() {
    let sim = Sim::start().await;
    let card = [("payment_method", "pm_card_authenticationRequired"), ("return_url", "https://shop.example/back")];
    for (succeeds, status) in [(true, "succeeded"), (false, "requires_payment_method")] {
        let waiting = paid(&sim, "eur", &card).await.ok();
        let action = &waiting.body["next_action"];
        assert_eq!(action["type"], "redirect_to_url");
        assert_eq!(action["redirect_to_url"]["return_url"], "https://shop.example/back");
        let done = sim.control.authenticate(waiting.id(), succeeds).await.expect("it waits for its buyer");
        assert_eq!((&done["status"], &done["next_action"]), (&json!(status), &Value::Null));
        assert!(sim.control.authenticate(waiting.id(), true).await.is_err());
    }
    assert_eq!(sim.balance(None).await, (0, 116_80, 0));
    sim.finish().await;
}

#[tokio::test]
async fn a_debit_is_processing_for_days_and_may_be_taken_back_after_it_succeeded() {
    let sim = Sim::start().await;
    sim.control.set_fees("usd", 0, 0).await.expect("free of charge");
    let good = paid(&sim, "usd", &[("payment_method", "pm_usBankAccount_success")]).await.ok();
    let bad = paid(&sim, "usd", &[("payment_method", "pm_usBankAccount_insufficientFunds")]).await.ok();
    for reply in [&good, &bad] {
        assert_eq!(reply.body["status"], "processing");
    }
    let euros = paid(&sim, "eur", &[("payment_method", "pm_usBankAccount_success")]).await;
    assert_eq!((euros.status, euros.error().3), (400, "currency"));
    sim.control.set_time(START + 4 * DAY - 1).await.expect("time passes");
    assert_eq!(read(&sim, good.id()).await["latest_charge"]["status"], "pending");
    sim.control.advance(1).await.expect("time passes");
    let refused = read(&sim, bad.id()).await;
    assert_eq!(
        (&refused["status"], &refused["last_payment_error"]["code"]),
        (&json!("requires_payment_method"), &json!("insufficient_funds"))
    );
    let charge = read(&sim, good.id()).await["latest_charge"].clone();
    assert_eq!((&charge["status"], &charge["balance_transaction"]["type"]), (&json!("succeeded"), &json!("payment")));

    let failed = sim.control.fail_payment(good.id(), "insufficient_funds").await.expect("it has succeeded");
    assert_eq!(failed["status"], "requires_payment_method");
    let charge = read(&sim, good.id()).await["latest_charge"].clone();
    let back = &charge["failure_balance_transaction"];
    assert_eq!((&charge["status"], &back["amount"]), (&json!("failed"), &json!(-120_00)));
    assert_eq!(
        (&back["type"], &back["reporting_category"]),
        (&json!("payment_failure_refund"), &json!("charge_failure"))
    );
    assert!(sim.control.fail_payment(good.id(), "insufficient_funds").await.is_err());
    sim.control.advance(3 * DAY).await.expect("time passes");
    sim.finish().await;
}
