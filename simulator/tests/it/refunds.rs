//! Refunds.

use crate::support::Sim;

#[tokio::test]
async fn refunds_stop_at_what_was_charged() {
    let sim = Sim::start().await;
    sim.fund("20000").await;
    let payment = sim.pay("12000", "pm_card_visa").await.ok();
    let first = sim.refund(payment.id(), "3000").await.ok().body;
    assert_eq!((&first["status"], &first["payment_intent"]), (&"succeeded".into(), &payment.body["id"]));
    assert!(first["balance_transaction"].is_string() && first.get("pending_reason").is_none());
    let over = sim.refund(payment.id(), "9001").await;
    assert_eq!(over.error(), (400, "invalid_request_error", "", "amount"));
    let charge = payment.body["latest_charge"]["id"].as_str().expect("a charge");
    let rest = sim.post("/v1/refunds", &[("charge", charge)]).await.ok().body;
    assert_eq!(rest["amount"], 9_000);
    assert_eq!(sim.refund(payment.id(), "1").await.error().2, "charge_already_refunded");
    let shown = sim.get(&format!("/v1/charges/{charge}")).await.ok().body;
    assert_eq!((&shown["amount_refunded"], &shown["refunded"]), (&12_000.into(), &true.into()));
    assert_eq!(shown["refunds"]["data"].as_array().map(Vec::len), Some(2));
    // Stripe keeps its fee: 200 + 116.80 - 120.
    assert_eq!(sim.balance(None).await, (80_00, 116_80, 0));
    sim.finish().await;
}

#[tokio::test]
async fn an_unfunded_refund_waits_and_is_paid_when_funds_come() {
    let sim = Sim::start().await;
    let payment = sim.pay("12000", "pm_card_visa").await.ok();
    let refund = sim.refund(payment.id(), "12000").await.ok();
    assert_eq!(
        (&refund.body["status"], &refund.body["pending_reason"]),
        (&"pending".into(), &"insufficient_funds".into())
    );
    assert!(refund.body["balance_transaction"].is_null());
    assert_eq!(sim.balance(None).await, (0, 116_80, 0));
    sim.fund("5000").await;
    let path = format!("/v1/refunds/{}?expand[]=balance_transaction&expand[]=failure_balance_transaction", refund.id());
    assert_eq!(sim.get(&path).await.ok().body["status"], "pending");
    sim.fund("10000").await;
    let paid = sim.get(&path).await.ok().body;
    assert_eq!((&paid["status"], &paid["balance_transaction"]["net"]), (&"succeeded".into(), &(-12_000).into()));
    assert_eq!(sim.balance(None).await, (30_00, 116_80, 0));
    sim.finish().await;
}

#[tokio::test]
async fn waiting_refunds_are_paid_oldest_first() {
    let sim = Sim::start().await;
    let payment = sim.pay("12000", "pm_card_visa").await.ok();
    let large = sim.refund(payment.id(), "9000").await.ok().id().to_owned();
    let small = sim.refund(payment.id(), "1000").await.ok().id().to_owned();
    sim.fund("5000").await;
    let status = async |id: &str| sim.get(&format!("/v1/refunds/{id}")).await.ok().body["status"].clone();
    assert_eq!((status(&large).await, status(&small).await), ("pending".into(), "pending".into()));
    sim.fund("5000").await;
    assert_eq!((status(&large).await, status(&small).await), ("succeeded".into(), "succeeded".into()));
    sim.finish().await;
}

#[tokio::test]
async fn a_switch_lets_refunds_take_the_balance_below_zero() {
    let sim = Sim::start().await;
    let mut settings = sim.control.settings();
    settings.refund_when_short = partita_simulator::RefundWhenShort::NegativeBalance;
    sim.control.set_settings(settings).await.expect("settings are set");
    let payment = sim.pay("12000", "pm_card_visa").await.ok();
    assert_eq!(sim.refund(payment.id(), "2000").await.ok().body["status"], "succeeded");
    assert_eq!(sim.balance(None).await, (-20_00, 116_80, 0));
    sim.finish().await;
}

#[tokio::test]
async fn a_failed_refund_returns_to_balance_and_charge() {
    let sim = Sim::start().await;
    sim.fund("20000").await;
    let payment = sim.pay("12000", "pm_card_visa").await.ok();
    let refund = sim.refund(payment.id(), "3000").await.ok().id().to_owned();
    sim.control.fail_refund(&refund, "lost_or_stolen_card").await.expect("it fails");
    let failed = sim.get(&format!("/v1/refunds/{refund}?expand[]=failure_balance_transaction")).await.ok().body;
    assert_eq!((&failed["status"], &failed["failure_reason"]), (&"failed".into(), &"lost_or_stolen_card".into()));
    assert_eq!(failed["failure_balance_transaction"]["net"], 3_000);
    assert_eq!(sim.balance(None).await, (200_00, 116_80, 0));
    assert!(sim.control.fail_refund(&refund, "again").await.is_err());
    let charge = payment.body["latest_charge"]["id"].as_str().expect("a charge");
    assert_eq!(sim.get(&format!("/v1/charges/{charge}")).await.ok().body["amount_refunded"], 0);
    // A refund that still waits can fail too, and then takes nothing.
    let other = sim.pay("50000", "pm_card_visa").await.ok();
    let waiting = sim.refund(other.id(), "50000").await.ok();
    assert_eq!(waiting.body["status"], "pending");
    sim.control.fail_refund(waiting.id(), "expired_or_canceled_card").await.expect("it fails");
    sim.fund("99999").await;
    assert_eq!(sim.balance(None).await.0, 1_199_99);
    sim.finish().await;
}

#[tokio::test]
async fn concurrent_refunds_never_pass_the_charge() {
    let sim = Sim::start().await;
    sim.fund("50000").await;
    let payment = sim.pay("10000", "pm_card_visa").await.ok();
    let tries = (0..10).map(|_| sim.refund(payment.id(), "6000"));
    let replies = futures::future::join_all(tries).await;
    assert_eq!(replies.iter().filter(|r| r.status == 200).count(), 1);
    assert_eq!(sim.movements(None).await.iter().filter(|(kind, _)| kind == "refund").count(), 1);
    sim.finish().await;
}

#[tokio::test]
async fn a_payment_that_did_not_succeed_cannot_be_refunded() {
    let sim = Sim::start().await;
    let open = sim.post("/v1/payment_intents", &[("amount", "1200"), ("currency", "eur")]).await.ok();
    assert_eq!(sim.refund(open.id(), "1200").await.error(), (400, "invalid_request_error", "", "payment_intent"));
    assert_eq!(sim.post("/v1/refunds", &[]).await.error().2, "parameter_missing");
    assert_eq!(sim.refund("pi_nobody", "1").await.error().2, "resource_missing");
    sim.finish().await;
}
