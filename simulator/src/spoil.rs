//! Answers and events as nobody expects them.

use serde_json::{Value, json};

use crate::ids::{new_id, random_text};

/// A word that no version of the API has.
const UNHEARD_OF: &str = "unheard_of";

/// Fields whose words a client is tempted to know all of.
const WORDS: [&str; 7] = ["status", "type", "reason", "failure_code", "code", "decline_code", "disabled_reason"];

/// Gives an object words and fields that a later version of the API might have: its own, and those of what it holds.
pub(crate) fn unknown_words(object: &mut Value) {
    match object {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                if WORDS.contains(&name.as_str()) && value.is_string() {
                    *value = UNHEARD_OF.into();
                } else {
                    unknown_words(value);
                }
            }
            if fields.contains_key("object") {
                fields.insert("unheard_of".into(), json!({ "of": [1, null, UNHEARD_OF] }));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(unknown_words),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The event of the other mode: real money, an id of its own.
pub(crate) fn other_mode(event: &mut Value) {
    event["id"] = new_id("evt").into();
    event["livemode"] = true.into();
    if event["data"]["object"]["livemode"].is_boolean() {
        event["data"]["object"]["livemode"] = true.into();
    }
}

/// The event of a connected account that is nobody's, with an id of its own.
pub(crate) fn other_account(event: &mut Value) {
    event["id"] = new_id("evt").into();
    event["account"] = format!("acct_1{}", random_text(15)).into();
}

/// An event of a type that nobody knows, about an object that nobody knows, with an id of its own.
pub(crate) fn unknown_type(event: &mut Value) {
    event["id"] = new_id("evt").into();
    event["type"] = "unheard_of.happened".into();
    event["data"] = json!({ "object": { "id": "uo_1", "object": "unheard_of", "of": null } });
}

/// The event as an endpoint of 2020 gets it: a payment intent held its charges as a list, a charge its refunds, and
/// amounts that came later were not there (docs.stripe.com/upgrades).
pub(crate) fn other_version(event: &mut Value) {
    event["api_version"] = "2020-08-27".into();
    let Some(object) = event["data"]["object"].as_object_mut() else { return };
    let empty = || json!({ "object": "list", "data": [], "has_more": false });
    match object.get("object").and_then(Value::as_str) {
        Some("payment_intent") => {
            object.remove("latest_charge");
            object.insert("charges".into(), empty());
        }
        Some("charge") => {
            object.insert("refunds".into(), empty());
        }
        Some("account") => {
            object.remove("controller");
            object.remove("future_requirements");
        }
        _ => {
            object.remove("metadata");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_unknown_and_ids_and_amounts_stay() {
        let mut object = json!({
            "id": "re_1", "object": "refund", "amount": 5, "status": "succeeded", "failure_code": null,
            "balance_transaction": {"id": "txn_1", "object": "balance_transaction", "type": "refund", "net": -5},
        });
        unknown_words(&mut object);
        assert_eq!(
            (&object["id"], &object["amount"], &object["object"]),
            (&"re_1".into(), &5.into(), &"refund".into())
        );
        assert_eq!((&object["status"], &object["failure_code"]), (&UNHEARD_OF.into(), &Value::Null));
        assert_eq!(object["balance_transaction"]["type"], UNHEARD_OF);
        assert!(object["unheard_of"].is_object());
    }

    #[test]
    fn forged_events_have_ids_of_their_own_and_older_ones_keep_theirs() {
        let event = json!({
            "id": "evt_1", "type": "payment_intent.succeeded", "livemode": false,
            "data": {"object": {"id": "pi_1", "object": "payment_intent", "livemode": false, "latest_charge": "ch_1"}},
        });
        let after = |spoil: fn(&mut Value)| {
            let mut event = event.clone();
            spoil(&mut event);
            event
        };
        let mode = after(other_mode);
        assert_eq!((&mode["livemode"], &mode["data"]["object"]["livemode"]), (&true.into(), &true.into()));
        assert!(after(other_account)["account"].is_string());
        assert_eq!(after(unknown_type)["type"], "unheard_of.happened");
        for forged in [mode, after(other_account), after(unknown_type)] {
            assert_ne!(forged["id"], "evt_1");
        }
        let old = after(other_version);
        assert_eq!(old["id"], "evt_1");
        assert!(old["data"]["object"]["charges"].is_object() && old["data"]["object"].get("latest_charge").is_none());
    }
}
