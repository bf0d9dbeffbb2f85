//! Destination charges, and charges on behalf of a connected account.

use crate::support::{CONFIRMED, DAY, Reply, Sim};

async fn pay(sim: &Sim, seller: &str, more: &[(&str, &str)]) -> Reply {
    let own = [
        ("amount", "12000"),
        ("currency", "eur"),
        ("payment_method", "pm_card_visa"),
        ("transfer_data[destination]", seller),
        ("expand[]", "latest_charge.transfer.balance_transaction"),
        ("expand[]", "latest_charge.transfer.destination_payment.balance_transaction"),
    ];
    sim.post("/v1/payment_intents", &[CONFIRMED.as_slice(), &own, more].concat()).await
}

#[tokio::test]
async fn a_destination_is_sent_its_part_with_the_charge_and_both_settle_together() {
    let sim = Sim::start().await;
    let seller = sim.seller("manual").await;
    let paid = pay(&sim, &seller, &[("transfer_data[amount]", "9000")]).await.ok().body;
    let transfer = &paid["latest_charge"]["transfer"];
    assert_eq!((&transfer["amount"], &transfer["destination"]), (&9_000.into(), &seller.clone().into()));
    assert_eq!(transfer["source_transaction"], paid["latest_charge"]["id"]);
    assert_eq!(
        (&transfer["balance_transaction"]["net"], &transfer["balance_transaction"]["status"]),
        (&(-9_000).into(), &"pending".into())
    );
    let arrived = &transfer["destination_payment"]["balance_transaction"];
    assert_eq!(
        (&arrived["net"], &arrived["status"], &arrived["type"]),
        (&9_000.into(), &"pending".into(), &"payment".into())
    );
    assert_eq!((sim.balance(None).await, sim.balance(Some(&seller)).await), ((0, 26_80, 0), (0, 90_00, 0)));
    sim.control.advance(3 * DAY).await.expect("time passes");
    assert_eq!((sim.balance(None).await, sim.balance(Some(&seller)).await), ((26_80, 0, 0), (90_00, 0, 0)));
    sim.finish().await;
}

#[tokio::test]
async fn without_an_amount_all_is_sent_and_more_than_all_is_refused() {
    let sim = Sim::start().await;
    let seller = sim.seller("manual").await;
    let more = pay(&sim, &seller, &[("transfer_data[amount]", "12001")]).await;
    assert_eq!(more.error(), (400, "invalid_request_error", "", "transfer_data[amount]"));
    let paid = pay(&sim, &seller, &[]).await.ok().body;
    assert_eq!(paid["latest_charge"]["transfer"]["amount"], 12_000);
    let nobody = pay(&sim, "acct_nobody", &[]).await;
    assert_eq!(nobody.error(), (400, "invalid_request_error", "resource_missing", "transfer_data[destination]"));
    sim.finish().await;
}

#[tokio::test]
async fn a_capture_in_part_sends_what_it_names_and_never_more_than_it_takes() {
    let sim = Sim::start().await;
    let seller = sim.seller("manual").await;
    for (named, sent) in [(Some("4000"), 4_000), (None, 6_000)] {
        let held = pay(&sim, &seller, &[("capture_method", "manual"), ("transfer_data[amount]", "9000")]).await.ok();
        let mut form = vec![("amount_to_capture", "6000"), ("expand[]", "latest_charge.transfer")];
        form.extend(named.map(|named| ("transfer_data[amount]", named)));
        let path = format!("/v1/payment_intents/{}/capture", held.id());
        assert_eq!(sim.post(&path, &form).await.ok().body["latest_charge"]["transfer"]["amount"], sent);
    }
    sim.finish().await;
}

#[tokio::test]
async fn a_refund_takes_its_part_of_the_transfer_back_only_when_asked_to() {
    let sim = Sim::start().await;
    sim.fund("20000").await;
    let seller = sim.seller("manual").await;
    let paid = pay(&sim, &seller, &[("transfer_data[amount]", "9000")]).await.ok();
    sim.control.advance(3 * DAY).await.expect("time passes");
    sim.refund(paid.id(), "2000").await.ok();
    assert_eq!(sim.balance(Some(&seller)).await, (90_00, 0, 0));
    let form = [
        ("payment_intent", paid.id()),
        ("amount", "4000"),
        ("reverse_transfer", "true"),
        ("expand[]", "transfer_reversal"),
    ];
    let refund = sim.post("/v1/refunds", &form).await.ok().body;
    // A third of the charge, so a third of the transfer.
    assert_eq!(
        (&refund["transfer_reversal"]["amount"], &refund["transfer_reversal"]["source_refund"]),
        (&3_000.into(), &refund["id"])
    );
    assert_eq!(sim.balance(Some(&seller)).await, (60_00, 0, 0));
    let plain = sim.pay("1000", "pm_card_visa").await.ok();
    let refused = sim.post("/v1/refunds", &[("payment_intent", plain.id()), ("reverse_transfer", "true")]).await;
    assert_eq!(refused.error(), (400, "invalid_request_error", "", "reverse_transfer"));
    sim.finish().await;
}

#[tokio::test]
async fn on_behalf_of_needs_an_account_that_may_take_cards_and_shows_on_the_charge() {
    let sim = Sim::start().await;
    let seller = sim.seller("manual").await;
    let refused = pay(&sim, &seller, &[("on_behalf_of", &seller)]).await;
    assert_eq!(refused.error(), (400, "invalid_request_error", "", "on_behalf_of"));
    let seller = sim.seller_with_cards().await;
    let paid = pay(&sim, &seller, &[("on_behalf_of", &seller)]).await.ok().body;
    assert_eq!(
        (&paid["on_behalf_of"], &paid["latest_charge"]["on_behalf_of"]),
        (&seller.clone().into(), &seller.into())
    );
    sim.finish().await;
}
