//! A platform whose balance is kept in another currency than its charges.

use partita_simulator::{Exchange, Rate, Settings};
use serde_json::json;

use crate::support::{CONFIRMED, DAY, START, Sim};

/// Dollars in euros: 0.923077, from the third day on 0.95.
async fn converting() -> Sim {
    let sim = Sim::start().await;
    let rate = |rate: &str, from| Rate { currency: "usd".to_owned(), rate: rate.to_owned(), from };
    let exchange = Exchange {
        settlement_currency: "eur".to_owned(),
        rates: vec![rate("0.95", START + 3 * DAY), rate("0.923077", 0)],
        transfers_convert: true,
    };
    let settings = Settings { exchange: Some(exchange), ..sim.control.settings() };
    sim.control.set_settings(settings).await.expect("lawful settings");
    sim
}

#[tokio::test]
async fn charge_transfer_reversal_and_refund_are_converted_at_the_rate_of_their_moment() {
    let sim = converting().await;
    let seller = sim.seller("manual").await;
    let form = [
        ("amount", "13000"),
        ("currency", "usd"),
        ("payment_method", "pm_card_visa"),
        ("expand[]", "latest_charge.balance_transaction"),
    ];
    let payment = sim.post("/v1/payment_intents", &[form.as_slice(), &CONFIRMED].concat()).await.ok();
    let charge = &payment.body["latest_charge"];
    assert_eq!((&charge["amount"], &charge["currency"]), (&json!(130_00), &json!("usd")));
    let moved = &charge["balance_transaction"];
    assert_eq!((&moved["currency"], &moved["amount"]), (&json!("eur"), &json!(120_00)));
    assert_eq!((&moved["exchange_rate"], &moved["fee"]), (&json!(0.923_077), &json!(3_20)), "2.5 % and 0.20, in euros");
    assert_eq!(sim.balance(None).await, (0, 116_80, 0));

    sim.control.advance(4 * DAY).await.expect("later");
    assert_eq!(sim.balance(None).await, (116_80, 0, 0));
    let form = [("amount", "11700"), ("currency", "usd"), ("destination", seller.as_str())];
    let transfer = sim.post("/v1/transfers", &form).await.ok();
    // At 0.95 now: EUR 111.15.
    assert_eq!(sim.balance(None).await, (5_65, 0, 0));
    let of_seller = sim.get_as(&seller, "/v1/balance").await.ok().body;
    assert_eq!(
        of_seller["available"],
        json!([{"amount": 117_00, "currency": "usd", "source_types": {"card": 117_00}}])
    );
    let short = sim.post("/v1/transfers", &form).await;
    assert_eq!(short.error(), (400, "invalid_request_error", "balance_insufficient", ""), "USD 117.00 are EUR 111.15");

    let refund = sim.refund(payment.id(), "13000").await.ok();
    assert_eq!(refund.body["status"], "pending", "EUR 123.50 are not there");
    sim.reverse(transfer.id(), "11700").await.ok();
    sim.fund("1000").await;
    let refund = sim.get(&format!("/v1/refunds/{}?expand[]=balance_transaction", refund.id())).await.ok().body;
    assert_eq!((&refund["status"], &refund["balance_transaction"]["net"]), (&json!("succeeded"), &json!(-123_50)));
    assert_eq!(sim.balance(None).await, (3_30, 0, 0));
    sim.finish().await;
}

#[tokio::test]
async fn a_currency_without_a_rate_is_kept_as_it_is() {
    let sim = converting().await;
    let form = [
        ("amount", "5000"),
        ("currency", "gbp"),
        ("payment_method", "pm_card_visa"),
        ("expand[]", "latest_charge.balance_transaction"),
    ];
    let payment = sim.post("/v1/payment_intents", &[form.as_slice(), &CONFIRMED].concat()).await.ok();
    let moved = &payment.body["latest_charge"]["balance_transaction"];
    assert_eq!((&moved["currency"], &moved["exchange_rate"]), (&json!("gbp"), &json!(null)));
    sim.finish().await;
}
