//! Every object carries the fields of Stripe's published fixtures; `vectors/stripe_fields.json` names them.

use serde_json::Value;

use crate::support::{DAY, Sim, Sink};

/// Whether an object has a field, or what should hold it is null or empty there.
fn has(object: &Value, path: &str) -> bool {
    let mut at = object;
    for step in path.split('.') {
        let (name, element) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
        match at {
            Value::Null => return true,
            Value::Object(fields) if fields.is_empty() => return true,
            _ => {}
        }
        let Some(found) = at.get(name) else { return false };
        at = found;
        if element {
            match at.get(0) {
                Some(first) => at = first,
                None => return true,
            }
        }
    }
    true
}

fn missing(kind: &str, object: &Value) -> Vec<String> {
    let vectors: Value =
        serde_json::from_str(include_str!("../vectors/stripe_fields.json")).expect("the vectors are JSON");
    let paths = vectors["fields"][kind].as_array().unwrap_or_else(|| panic!("vectors for {kind}")).clone();
    let paths = paths.iter().filter_map(Value::as_str);
    paths.filter(|path| !has(object, path)).map(|path| format!("{kind}.{path}")).collect()
}

#[test]
fn a_missing_field_is_found() {
    let object = serde_json::json!({ "id": "tr_1", "reversals": { "data": [] } });
    let found = missing("transfer", &object);
    assert!(found.contains(&"transfer.amount".to_owned()) && found.contains(&"transfer.reversals.url".to_owned()));
    assert!(!found.contains(&"transfer.id".to_owned()));
}

#[tokio::test]
async fn every_object_has_the_fields_of_stripes_fixtures() {
    let sim = Sim::start().await;
    let sink = Sink::start().await;
    sink.register(&sim.control, false).await;
    let seller = sim.seller("manual").await;
    let link = [
        ("account", seller.as_str()),
        ("refresh_url", "http://localhost/refresh"),
        ("return_url", "http://localhost/return"),
        ("type", "account_onboarding"),
    ];
    let mut found = missing("account_link", &sim.post("/v1/account_links", &link).await.ok().body);
    let account = sim.get(&format!("/v1/accounts/{seller}")).await.ok().body;
    found.extend(missing("account", &account));
    found.extend(missing("bank_account", &account["external_accounts"]["data"][0]));
    let topup = sim.fund("50000").await;
    found.extend(missing("topup", &sim.get(&format!("/v1/topups/{topup}")).await.ok().body));
    let intent = sim.pay("12000", "pm_card_visa").await.ok().body;
    let charge = &intent["latest_charge"];
    found.extend(missing("payment_intent", &intent));
    found.extend(missing("charge", charge));
    found.extend(missing("balance_transaction", &charge["balance_transaction"]));
    let declined = sim.pay("12000", "pm_card_visa_chargeDeclined").await.body;
    found.extend(missing("payment_intent", &declined["error"]["payment_intent"]));
    found.extend(missing("payment_method", &declined["error"]["payment_method"]));
    let refund = sim.refund(intent["id"].as_str().expect("an id"), "1000").await.ok().body;
    found.extend(missing("refund", &refund));
    let transfer = sim.transfer("2000", &seller).await.ok();
    let reversal = sim.reverse(transfer.id(), "500").await.ok().body;
    found.extend(missing("transfer_reversal", &reversal));
    let transfer = sim.get(&format!("/v1/transfers/{}?expand[]=destination_payment", transfer.id())).await.ok().body;
    found.extend(missing("transfer", &transfer));
    found.extend(missing("transfer_reversal", &transfer["reversals"]["data"][0]));
    // What paid it is the platform, not a card.
    let by_card = |path: &String| path.starts_with("charge.payment_method_details.card");
    found.extend(missing("charge", &transfer["destination_payment"]).into_iter().filter(|path| !by_card(path)));
    let payout = sim.post_as(&seller, "/v1/payouts", &[("amount", "900"), ("currency", "eur")]).await.ok().body;
    found.extend(missing("payout", &payout));
    let dispute = partita_simulator::NewDispute::of(charge["id"].as_str().expect("an id"));
    let dispute = sim.control.open_dispute(dispute).await.expect("disputed");
    found.extend(missing("dispute", &dispute));
    found.extend(missing("balance_transaction", &dispute["balance_transactions"][0]));
    sim.control.advance(3 * DAY).await.expect("time passes");
    found.extend(missing("balance", &sim.get("/v1/balance").await.ok().body));
    sim.control.flush_webhooks().await.expect("a flush");
    let received = sink.take();
    assert!(received.len() > 8, "{} events", received.len());
    for event in received {
        found.extend(missing("event", &event.event()));
    }
    assert!(found.is_empty(), "fields that Stripe's fixtures have and ours not: {found:?}");
    sim.finish().await;
}
