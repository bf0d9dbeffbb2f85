//! The list of events says what webhooks said, for whoever missed some; and what came after an object's first end.

use std::collections::BTreeMap;

use partita_provider::{EventQuery, Lookup, Provider as _, ProviderObject, RefundStatus};
use partita_simulator::NewEndpoint;
use serde_json::json;

use crate::commands::{create_refund, create_transfer};
use crate::support::{Fake, Reply};
use crate::world::{DAY, World};

/// Every event of an account, page by page, oldest last: id and bytes.
async fn listed(world: &World, query: &EventQuery) -> Vec<(String, Vec<u8>)> {
    let (mut all, mut query) = (Vec::new(), EventQuery { limit: 3, ..query.clone() });
    loop {
        let page = world.stripe.events(&query).await.expect("a page");
        query.after = page.data.last().map(|listed| listed.event.id.clone());
        for listed in page.data {
            assert_eq!(world.stripe.read_event(&listed.body).as_ref(), Ok(&listed.event));
            all.push((listed.event.id, listed.body));
        }
        if !page.has_more {
            return all;
        }
    }
}

#[tokio::test]
async fn the_list_holds_what_the_webhooks_brought_for_thirty_days() {
    let world = World::start().await;
    let sink = Fake::start(|_| Reply::json(200, &[], &json!({}))).await;
    for connect in [false, true] {
        let endpoint = NewEndpoint { url: sink.address.clone(), secret: None, connect, enabled_events: Vec::new() };
        world.control.register_endpoint(endpoint).await.expect("an endpoint");
    }
    let seller = world.account().await.id;
    world.control.complete_onboarding(&seller).await.expect("onboarded");
    let payment = world.payment(10_000, "pm_card_visa", "op_payment.1").await;
    let charge = payment.charge.expect("the answer holds it").id;
    world.done(&create_transfer(4_000, &seller, Some(&charge)), "op_transfer.1").await;
    world.control.flush_webhooks().await.expect("delivered");

    let mut brought: BTreeMap<String, serde_json::Value> = BTreeMap::new();
    for seen in sink.seen() {
        let event: serde_json::Value = serde_json::from_str(&seen.body).expect("JSON");
        brought.insert(event["id"].as_str().expect("an id").to_owned(), event);
    }
    let platform = EventQuery::default();
    let connected = EventQuery { account: Some(seller.clone()), ..EventQuery::default() };
    let mut told = listed(&world, &platform).await;
    told.extend(listed(&world, &connected).await);
    assert_eq!(told.len(), brought.len(), "each once");
    for (id, body) in told {
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).ok().as_ref(), brought.get(&id));
    }

    let kinds = vec!["transfer.created".to_owned(), "payment_intent.succeeded".to_owned()];
    assert_eq!(listed(&world, &EventQuery { kinds, ..EventQuery::default() }).await.len(), 2);
    let now = world.control.now();
    let later = EventQuery { created_from: Some(now + 1), ..EventQuery::default() };
    assert_eq!(listed(&world, &later).await.len(), 0);
    let until = EventQuery { created_from: Some(now - DAY), created_until: Some(now), ..EventQuery::default() };
    assert!(!listed(&world, &until).await.is_empty());
    world.control.advance(31 * DAY).await.expect("time passes");
    assert_eq!(listed(&world, &until).await.len(), 0, "forgotten");
    world.end().await;
}

#[tokio::test]
async fn a_refund_that_fails_later_brings_its_money_back_by_a_movement_of_its_own() {
    let world = World::start().await;
    let payment = world.payment(10_000, "pm_card_visa", "op_payment.1").await;
    let ProviderObject::Refund(refund) = world.done(&create_refund(3_000, &payment.id), "op_refund.1").await else {
        panic!("a refund")
    };
    assert_eq!((&refund.status, &refund.failure_transaction), (&RefundStatus::Succeeded, &None));
    world.control.advance(6 * DAY).await.expect("time passes");
    world.control.fail_refund(&refund.id, "lost_or_stolen_card").await.expect("returned");
    let Ok(ProviderObject::Refund(failed)) = world.stripe.fetch(&Lookup::Refund(refund.id.clone())).await else {
        panic!("a refund")
    };
    assert_eq!((failed.status, failed.failure_reason.as_deref()), (RefundStatus::Failed, Some("lost_or_stolen_card")));
    assert_eq!(failed.balance_transaction, refund.balance_transaction, "the first movement stays");
    let back = failed.failure_transaction.expect("the answer holds it");
    assert_eq!((back.kind.as_str(), back.net, back.source.as_deref()), ("refund_failure", 3_000, Some(&*refund.id)));
    world.end().await;
}
