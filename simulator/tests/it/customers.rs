//! Customers with their payment methods, set up for later and charged while the buyer is away.

use crate::support::{CONFIRMED, Reply, Sim};

async fn customer(sim: &Sim) -> String {
    sim.post("/v1/customers", &[("metadata[op_id]", "opn_1")]).await.ok().id().to_owned()
}

async fn set_up(sim: &Sim, customer: &str, card: &str) -> Reply {
    let form = [
        ("customer", customer),
        ("payment_method", card),
        ("confirm", "true"),
        ("automatic_payment_methods[enabled]", "true"),
        ("automatic_payment_methods[allow_redirects]", "never"),
        ("expand[]", "payment_method"),
    ];
    sim.post("/v1/setup_intents", &form).await
}

async fn pay(sim: &Sim, method: &str, more: &[(&str, &str)]) -> Reply {
    let own = [("amount", "5000"), ("currency", "eur"), ("payment_method", method)];
    sim.post("/v1/payment_intents", &[own.as_slice(), &CONFIRMED, more].concat()).await
}

#[tokio::test]
async fn a_method_that_is_set_up_is_its_customers_until_it_is_detached() {
    let sim = Sim::start().await;
    let buyer = customer(&sim).await;
    let done = set_up(&sim, &buyer, "pm_card_visa").await.ok().body;
    assert_eq!((&done["status"], &done["usage"]), (&"succeeded".into(), &"off_session".into()));
    assert_eq!(
        (&done["payment_method"]["customer"], &done["payment_method"]["card"]["last4"]),
        (&buyer.clone().into(), &"4242".into())
    );
    let method = done["payment_method"]["id"].as_str().expect("an id");
    let list = sim.get(&format!("/v1/payment_methods?customer={buyer}&type=card")).await.ok().body;
    assert_eq!(list["data"].as_array().map(Vec::len), Some(1));

    assert_eq!(
        pay(&sim, method, &[]).await.error(),
        (400, "invalid_request_error", "", "payment_method"),
        "whose is it?"
    );
    let other = customer(&sim).await;
    assert_eq!(pay(&sim, method, &[("customer", &other)]).await.error().0, 400);
    let paid = pay(&sim, method, &[("customer", &buyer), ("off_session", "true")]).await.ok().body;
    assert_eq!((&paid["status"], &paid["customer"]), (&"succeeded".into(), &buyer.into()));

    let path = format!("/v1/payment_methods/{method}/detach");
    assert!(sim.post(&path, &[]).await.ok().body["customer"].is_null());
    assert_eq!(sim.post(&path, &[]).await.error().0, 400, "it is nobody's");
    assert_eq!(pay(&sim, method, &[]).await.error(), (400, "invalid_request_error", "", "payment_method"), "for good");
    sim.finish().await;
}

#[tokio::test]
async fn a_method_whose_buyer_must_confirm_is_given_to_the_customer_when_it_did() {
    let sim = Sim::start().await;
    let buyer = customer(&sim).await;
    for (confirms, status) in [(true, "succeeded"), (false, "requires_payment_method")] {
        let waiting = set_up(&sim, &buyer, "pm_card_authenticationRequired").await.ok();
        assert_eq!(waiting.body["status"], "requires_action");
        assert!(waiting.body["payment_method"]["customer"].is_null());
        let ended = sim.control.authenticate_setup(waiting.id(), confirms).await.expect("it waits");
        assert_eq!(ended["status"], status);
    }
    let list = sim.get(&format!("/v1/payment_methods?customer={buyer}")).await.ok().body;
    assert_eq!(list["data"].as_array().map(Vec::len), Some(1));
    let method = list["data"][0]["id"].as_str().expect("an id");
    let away = pay(&sim, method, &[("customer", &buyer), ("off_session", "true")]).await;
    assert_eq!(away.error(), (402, "card_error", "authentication_required", ""));
    let there = pay(&sim, method, &[("customer", &buyer)]).await.ok().body;
    assert_eq!(there["status"], "requires_action");
    sim.finish().await;
}

#[tokio::test]
async fn a_method_that_is_refused_is_nobodys_and_says_why() {
    let sim = Sim::start().await;
    let buyer = customer(&sim).await;
    let refused = set_up(&sim, &buyer, "pm_card_chargeDeclinedExpiredCard").await;
    assert_eq!(refused.error(), (402, "card_error", "expired_card", ""));
    assert_eq!(refused.body["error"]["setup_intent"]["status"], "requires_payment_method");
    let nobody = set_up(&sim, "cus_nobody", "pm_card_visa").await;
    assert_eq!(nobody.error(), (400, "invalid_request_error", "resource_missing", "customer"));
    let given = sim.post("/v1/payment_methods/pm_card_visa/attach", &[("customer", &buyer)]).await.ok().body;
    assert_eq!(given["customer"], buyer);
    sim.finish().await;
}
