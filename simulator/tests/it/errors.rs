//! Errors in Stripe's shape.

use crate::support::{CONFIRMED, Sim};

#[tokio::test]
async fn a_missing_or_wrong_key_is_refused() {
    let sim = Sim::start().await;
    let none = sim.send(sim.http.get(sim.url("/v1/balance"))).await;
    assert_eq!(none.error(), (401, "invalid_request_error", "", ""));
    let wrong = sim.send(sim.http.get(sim.url("/v1/balance")).bearer_auth("sk_test_other")).await;
    assert_eq!(wrong.error(), (401, "invalid_request_error", "", ""));
    assert!(!wrong.text.contains("sk_test_other"), "the key is not repeated: {}", wrong.text);
    let basic = sim.send(sim.http.get(sim.url("/v1/balance")).basic_auth("sk_test_simulator", Some(""))).await;
    assert_eq!(basic.status, 200);
    sim.finish().await;
}

#[tokio::test]
async fn unknown_missing_and_malformed_parameters_are_told_by_name() {
    let sim = Sim::start().await;
    let good = [("amount", "1200"), ("currency", "eur")];
    for (extra, expected) in [
        (("nonsense", "1"), (400, "invalid_request_error", "parameter_unknown", "nonsense")),
        (
            ("payment_method_types[]", "card"),
            (400, "invalid_request_error", "payment_method_types_no_longer_supported", "payment_method_types"),
        ),
        (
            ("automatic_payment_methods[speed]", "1"),
            (400, "invalid_request_error", "parameter_missing", "automatic_payment_methods[enabled]"),
        ),
        (("description", ""), (400, "invalid_request_error", "parameter_invalid_empty", "description")),
    ] {
        let reply = sim.post("/v1/payment_intents", &[good.as_slice(), &[extra]].concat()).await;
        assert_eq!(reply.error(), expected, "{}", reply.text);
    }
    let both = [("allowed_payment_method_types[]", "card"), ("automatic_payment_methods[enabled]", "true")];
    let reply = sim.post("/v1/payment_intents", &[good.as_slice(), &both].concat()).await;
    assert!(reply.status == 400 && reply.text.contains("only specify one"), "{}", reply.text);
    let missing = sim.post("/v1/payment_intents", &[("currency", "eur")]).await;
    assert_eq!(missing.error(), (400, "invalid_request_error", "parameter_missing", "amount"));
    assert!(missing.body["error"]["doc_url"].is_string());
    assert!(missing.body["error"]["request_log_url"].is_string());
    assert!(missing.header("request-id").is_some_and(|id| id.starts_with("req_")));
    let fraction = sim.post("/v1/payment_intents", &[("amount", "12.5"), ("currency", "eur")]).await;
    assert_eq!(fraction.error(), (400, "invalid_request_error", "parameter_invalid_integer", "amount"));
    let unknown = sim.get("/v1/balance?verbose=1").await;
    assert_eq!(unknown.error(), (400, "invalid_request_error", "parameter_unknown", "verbose"));
    sim.finish().await;
}

#[tokio::test]
async fn amounts_have_limits() {
    let sim = Sim::start().await;
    for (amount, currency, code) in [
        ("49", "eur", "amount_too_small"),
        ("100000000", "eur", "amount_too_large"),
        ("-5", "eur", "parameter_invalid_integer"),
        ("0", "eur", "parameter_invalid_integer"),
        ("99999999999999999999", "eur", "parameter_invalid_integer"),
    ] {
        let reply = sim.post("/v1/payment_intents", &[("amount", amount), ("currency", currency)]).await;
        assert_eq!(reply.error(), (400, "invalid_request_error", code, "amount"), "{amount}");
    }
    let currency = sim.post("/v1/payment_intents", &[("amount", "100"), ("currency", "zzz")]).await;
    assert_eq!(currency.error(), (400, "invalid_request_error", "", "currency"));
    let largest = sim.post("/v1/payment_intents", &[("amount", "99999999"), ("currency", "EUR")]).await.ok();
    assert_eq!(largest.body["currency"], "eur");
    sim.finish().await;
}

#[tokio::test]
async fn what_does_not_exist_is_resource_missing() {
    let sim = Sim::start().await;
    for path in
        ["payment_intents/pi_x", "charges/ch_x", "refunds/re_x", "transfers/tr_x", "payouts/po_x", "topups/tu_x"]
    {
        let reply = sim.get(&format!("/v1/{path}")).await;
        assert_eq!((reply.status, reply.error().2), (404, "resource_missing"), "{path}: {}", reply.text);
    }
    let card = sim.pay("1200", "pm_card_nobody").await;
    assert_eq!(card.error(), (400, "invalid_request_error", "resource_missing", "payment_method"));
    let route = sim.get("/v1/nothing").await;
    assert_eq!(route.error(), (404, "invalid_request_error", "", ""));
    assert!(
        route.body["error"]["message"]
            .as_str()
            .is_some_and(|m| m.starts_with("Unrecognized request URL (GET: /v1/nothing)"))
    );
    sim.finish().await;
}

#[tokio::test]
async fn only_this_version_is_spoken() {
    let sim = Sim::start().await;
    let request = sim.request(reqwest::Method::GET, "/v1/balance").header("stripe-version", "2020-08-27");
    let reply = sim.send(request).await;
    assert_eq!(reply.error(), (400, "invalid_request_error", "", ""));
    let request =
        sim.request(reqwest::Method::GET, "/v1/balance").header("stripe-version", partita_simulator::API_VERSION);
    let reply = sim.send(request).await.ok();
    assert_eq!(reply.header("stripe-version"), Some(partita_simulator::API_VERSION));
    sim.finish().await;
}

#[tokio::test]
async fn a_foreign_account_cannot_be_acted_for() {
    let sim = Sim::start().await;
    let reply = sim.get_as("acct_nobody", "/v1/balance").await;
    assert_eq!(reply.error(), (403, "invalid_request_error", "account_invalid", ""));
    sim.finish().await;
}

#[tokio::test]
async fn one_accounts_objects_are_invisible_to_another() {
    let sim = Sim::start().await;
    let seller = sim.seller("manual").await;
    let intent = sim.pay("1200", "pm_card_visa").await.ok();
    let reply = sim.get_as(&seller, &format!("/v1/payment_intents/{}", intent.id())).await;
    assert_eq!(reply.status, 404);
    let transaction = intent.body["latest_charge"]["balance_transaction"]["id"].as_str().expect("an id");
    assert_eq!(sim.get_as(&seller, &format!("/v1/balance_transactions/{transaction}")).await.status, 404);
    assert_eq!(sim.get_as(&seller, "/v1/charges").await.ok().body["data"].as_array().map(Vec::len), Some(0));
    sim.finish().await;
}

#[tokio::test]
async fn only_ids_can_be_expanded() {
    let sim = Sim::start().await;
    let form = [
        [("amount", "1200"), ("currency", "eur"), ("payment_method", "pm_card_visa"), ("expand[]", "status")]
            .as_slice(),
        &CONFIRMED,
    ]
    .concat();
    let reply = sim.post("/v1/payment_intents", &form).await;
    assert_eq!(reply.error(), (400, "invalid_request_error", "", "expand"));
    assert_eq!(sim.get("/v1/payment_intents").await.ok().body["data"].as_array().map(Vec::len), Some(0));
    sim.finish().await;
}
