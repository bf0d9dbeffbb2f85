//! Payment intents and charges.

use crate::support::{DAY, START, Sim};

#[tokio::test]
async fn a_payment_settles_on_its_date() {
    let sim = Sim::start().await;
    let payment = sim.pay("12000", "pm_card_visa").await.ok();
    assert_eq!(payment.body["status"], "succeeded");
    assert_eq!(payment.body["amount_received"], 12_000);
    let charge = &payment.body["latest_charge"];
    assert_eq!((&charge["paid"], &charge["captured"]), (&true.into(), &true.into()));
    let transaction = &charge["balance_transaction"];
    let available_on = transaction["available_on"].as_i64().expect("a time");
    assert_eq!(available_on, START - START % DAY + 2 * DAY);
    assert_eq!((&transaction["status"], &transaction["type"]), (&"pending".into(), &"charge".into()));
    assert_eq!(transaction["fee_details"][0]["amount"], 320);
    sim.control.set_time(available_on - 1).await.expect("time passes");
    assert_eq!(sim.balance(None).await, (0, 116_80, 0));
    sim.control.advance(1).await.expect("time passes");
    assert_eq!(sim.balance(None).await, (116_80, 0, 0));
    let id = transaction["id"].as_str().expect("an id");
    assert_eq!(sim.get(&format!("/v1/balance_transactions/{id}")).await.ok().body["status"], "available");
    sim.finish().await;
}

#[tokio::test]
async fn a_card_that_bypasses_pending_is_available_at_once() {
    let sim = Sim::start().await;
    sim.pay("12000", "pm_card_bypassPending").await.ok();
    assert_eq!(sim.balance(None).await, (116_80, 0, 0));
    sim.finish().await;
}

#[tokio::test]
async fn declines_carry_the_payment_and_leave_it_open() {
    let sim = Sim::start().await;
    for (card, code, decline_code) in [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
    ] {
        let reply = sim.pay("12000", card).await;
        assert_eq!(reply.error(), (402, "card_error", code, ""), "{}", reply.text);
        let error = &reply.body["error"];
        assert_eq!(error["decline_code"], decline_code);
        let intent = error["payment_intent"]["id"].as_str().expect("the intent's id");
        let kept = sim.get(&format!("/v1/payment_intents/{intent}?expand[]=latest_charge")).await.ok().body;
        assert_eq!(kept["status"], "requires_payment_method");
        assert_eq!(kept["last_payment_error"]["decline_code"], decline_code);
        assert_eq!(kept["latest_charge"]["id"], error["charge"]);
        assert_eq!(
            (&kept["latest_charge"]["status"], &kept["latest_charge"]["paid"]),
            (&"failed".into(), &false.into())
        );
        let again = sim
            .post(
                &format!("/v1/payment_intents/{intent}/confirm"),
                &[("payment_method", "pm_card_mastercard"), ("return_url", "http://localhost/")],
            )
            .await
            .ok();
        assert_eq!(
            (&again.body["status"], &again.body["last_payment_error"]),
            (&"succeeded".into(), &serde_json::Value::Null)
        );
    }
    assert_eq!(sim.balance(None).await, (0, 3 * 116_80, 0));
    sim.finish().await;
}

#[tokio::test]
async fn an_open_payment_can_be_given_up_and_a_paid_one_not() {
    let sim = Sim::start().await;
    let open = sim.post("/v1/payment_intents", &[("amount", "1200"), ("currency", "eur")]).await.ok();
    assert_eq!(open.body["status"], "requires_payment_method");
    let path = format!("/v1/payment_intents/{}/cancel", open.id());
    let canceled = sim.post(&path, &[("cancellation_reason", "abandoned")]).await.ok().body;
    assert_eq!((&canceled["status"], &canceled["canceled_at"]), (&"canceled".into(), &START.into()));
    assert_eq!(sim.post(&path, &[]).await.error().2, "payment_intent_unexpected_state");
    let paid = sim.pay("1200", "pm_card_visa").await.ok();
    let reply = sim.post(&format!("/v1/payment_intents/{}/cancel", paid.id()), &[]).await;
    assert_eq!(reply.error(), (400, "invalid_request_error", "payment_intent_unexpected_state", ""));
    sim.finish().await;
}

#[tokio::test]
async fn methods_that_may_redirect_need_an_address_to_return_to() {
    let sim = Sim::start().await;
    let form = [("amount", "1200"), ("currency", "eur"), ("confirm", "true"), ("payment_method", "pm_card_visa")];
    let reply = sim.post("/v1/payment_intents", &form).await;
    assert!(reply.text.contains("return_url"), "{}", reply.text);
    let never = [
        form.as_slice(),
        &[("automatic_payment_methods[enabled]", "true"), ("automatic_payment_methods[allow_redirects]", "never")],
    ]
    .concat();
    assert_eq!(sim.post("/v1/payment_intents", &never).await.ok().body["status"], "succeeded");
    sim.finish().await;
}

#[tokio::test]
async fn authentication_waits_for_the_buyer() {
    let sim = Sim::start().await;
    let waiting = sim.pay("1200", "pm_card_authenticationRequired").await.ok().body;
    assert_eq!((&waiting["status"], &waiting["latest_charge"]), (&"requires_action".into(), &serde_json::Value::Null));
    assert_eq!(sim.balance(None).await, (0, 0, 0));
    sim.finish().await;
}

#[tokio::test]
async fn an_asynchronous_capture_gets_its_balance_transaction_later() {
    let sim = Sim::start().await;
    let settings = partita_simulator::Settings { async_capture_seconds: Some(60), ..sim.control.settings() };
    sim.control.set_settings(settings).await.expect("settings are set");
    let payment = sim.pay("12000", "pm_card_visa").await.ok();
    assert_eq!(payment.body["status"], "succeeded");
    assert!(payment.body["latest_charge"]["balance_transaction"].is_null());
    assert_eq!(sim.balance(None).await, (0, 0, 0));
    sim.control.advance(60).await.expect("time passes");
    assert_eq!(sim.balance(None).await, (0, 116_80, 0));
    let path = format!("/v1/payment_intents/{}?expand[]=latest_charge.balance_transaction", payment.id());
    assert_eq!(sim.get(&path).await.ok().body["latest_charge"]["balance_transaction"]["fee"], 320);
    sim.finish().await;
}
