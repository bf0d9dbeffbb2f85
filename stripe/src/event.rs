//! Webhook bodies: a hint of what to read, nothing more.
//!
//! Read leniently and not through async-stripe's types, which refuse a known event whose object lacks a field, and
//! every event of Stripe's v2 namespace: an event that was verified must never be lost for its shape.

use std::collections::BTreeMap;

use partita_provider::{Event, FetchError, ListedEvent, Lookup, Page};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::resource::is_id;

/// Reads an event of any type. What is missing reads as absent: `livemode` as false, `created` as 0.
///
/// # Errors
/// [`FetchError::Unreadable`] when it is not JSON with an id and a type.
pub(crate) fn read(body: &[u8]) -> Result<Event, FetchError> {
    let event: Value =
        serde_json::from_slice(body).map_err(|error| FetchError::Unreadable(format!("event: {error}")))?;
    let text = |name: &str| event.get(name).and_then(Value::as_str).map(str::to_owned);
    let required = |name: &str| text(name).ok_or_else(|| FetchError::Unreadable(format!("event without {name}")));
    let account = text("account");
    Ok(Event {
        id: required("id")?,
        kind: required("type")?,
        livemode: event.get("livemode").and_then(Value::as_bool).unwrap_or(false),
        created: event.get("created").and_then(Value::as_i64).unwrap_or(0),
        concerns: event.pointer("/data/object").and_then(|object| concerns(account.as_deref(), object)),
        metadata: event.pointer("/data/object/metadata").map(metadata).unwrap_or_default(),
        account,
    })
}

fn metadata(carried: &Value) -> BTreeMap<String, String> {
    let entries = carried.as_object().into_iter().flatten();
    entries.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

#[derive(Deserialize)]
struct List<'a> {
    object: &'a str,
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    has_more: bool,
}

/// Reads a page of events that `account` had; the platform's own when none is named. Each keeps its bytes as they came,
/// except that a connected account's event which does not name its account, as its webhook would have, is given the name.
///
/// # Errors
/// [`FetchError::Unreadable`] when it is not a list of events.
pub(crate) fn list(body: &[u8], account: Option<&str>) -> Result<Page<ListedEvent>, FetchError> {
    let unreadable = |error| FetchError::Unreadable(format!("list of events: {error}"));
    let list: List<'_> = serde_json::from_slice(body).map_err(|error| unreadable(error.to_string()))?;
    if list.object != "list" {
        return Err(unreadable(format!("it says that it is a {:?}", list.object)));
    }
    let data = list.data.into_iter().map(|raw| listed(raw.get(), account)).collect::<Result<_, _>>()?;
    Ok(Page { data, has_more: list.has_more })
}

fn listed(raw: &str, account: Option<&str>) -> Result<ListedEvent, FetchError> {
    let event = read(raw.as_bytes())?;
    let (Some(account), None) = (account, &event.account) else {
        return Ok(ListedEvent { event, body: raw.as_bytes().to_vec() });
    };
    let mut named: Value = serde_json::from_str(raw).expect("read above");
    named["account"] = account.into();
    let body = named.to_string().into_bytes();
    Ok(ListedEvent { event: read(&body)?, body })
}

/// What to read. Told by the object, not by the event's name: every event carries its object, and a name that Stripe
/// adds tomorrow for a refund or a payout still leads to that refund or payout.
///
/// Of a connected account its payouts, the account and its bank accounts are ours to book, and what belongs to a payment intent,
/// which direct charges do: charges and refunds without one are the other side of the platform's transfers.
fn concerns(account: Option<&str>, object: &Value) -> Option<Lookup> {
    let id = id_at(object, "/id")?;
    if account.is_some_and(|account| !is_id(account)) {
        return None;
    }
    let of_intent = id_at(object, "/payment_intent").is_some();
    match (object.get("object").and_then(Value::as_str)?, account) {
        ("account", _) => Some(Lookup::Account(id)),
        // Which bank account is the one, only the account says.
        ("bank_account" | "card", Some(account)) => Some(Lookup::Account(account.to_owned())),
        ("payout", _) => Some(Lookup::Payout { account: account.map(str::to_owned), payout: id }),
        ("charge", None) => Some(concerns_of_charge(id, object)),
        ("payment_intent", None) => Some(Lookup::Payment(id)),
        ("refund", None) => Some(Lookup::Refund(id)),
        ("dispute", None) => Some(Lookup::Dispute(id)),
        ("setup_intent", None) => Some(Lookup::Setup(id)),
        ("payment_method", None) => Some(Lookup::Method(id)),
        ("topup", None) => Some(Lookup::TopUp(id)),
        ("application_fee", None) => Some(Lookup::ApplicationFee(id)),
        ("charge", Some(_)) if of_intent => Some(concerns_of_charge(id, object).on(account)),
        ("payment_intent", Some(_)) => Some(Lookup::Payment(id).on(account)),
        ("refund", Some(_)) if of_intent => Some(Lookup::Refund(id).on(account)),
        ("dispute", Some(_)) if of_intent => Some(Lookup::Dispute(id).on(account)),
        ("transfer", None) => Some(Lookup::Transfer(id)),
        _ => None,
    }
}

/// `charge.refunded` carries the charge and, for endpoints of older API versions, its refunds: then the newest is what
/// happened. Newer versions send `refund.created` beside it, so that the payment is enough here.
fn concerns_of_charge(charge: String, object: &Value) -> Lookup {
    if let Some(refund) = id_at(object, "/refunds/data/0/id") {
        return Lookup::Refund(refund);
    }
    id_at(object, "/payment_intent").map_or(Lookup::PaymentOfCharge(charge), Lookup::Payment)
}

fn id_at(object: &Value, pointer: &str) -> Option<String> {
    object.pointer(pointer).and_then(Value::as_str).filter(|id| is_id(id)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn concerned(account: Option<&str>, object: &Value) -> Option<Lookup> {
        let body = json!({
            "id": "evt_1", "type": "some.thing", "account": account, "livemode": true, "created": 1_700_000_000,
            "data": {"object": object},
        });
        read(body.to_string().as_bytes()).expect("an event").concerns
    }

    #[test]
    fn each_object_leads_to_its_lookup() {
        let id = |text: &str| text.to_owned();
        let table = [
            (json!({"object": "payment_intent", "id": "pi_1"}), Lookup::Payment(id("pi_1"))),
            (json!({"object": "charge", "id": "ch_1", "payment_intent": "pi_1"}), Lookup::Payment(id("pi_1"))),
            (json!({"object": "charge", "id": "ch_1", "payment_intent": null}), Lookup::PaymentOfCharge(id("ch_1"))),
            (
                json!({"object": "charge", "id": "ch_1", "refunds": {"data": [{"id": "re_2"}, {"id": "re_1"}]}}),
                Lookup::Refund(id("re_2")),
            ),
            (json!({"object": "refund", "id": "re_1"}), Lookup::Refund(id("re_1"))),
            (json!({"object": "dispute", "id": "du_1"}), Lookup::Dispute(id("du_1"))),
            (json!({"object": "setup_intent", "id": "seti_1"}), Lookup::Setup(id("seti_1"))),
            (json!({"object": "payment_method", "id": "pm_1"}), Lookup::Method(id("pm_1"))),
            (json!({"object": "transfer", "id": "tr_1"}), Lookup::Transfer(id("tr_1"))),
            (json!({"object": "topup", "id": "tu_1"}), Lookup::TopUp(id("tu_1"))),
            (json!({"object": "account", "id": "acct_1"}), Lookup::Account(id("acct_1"))),
            (json!({"object": "application_fee", "id": "fee_1"}), Lookup::ApplicationFee(id("fee_1"))),
            (json!({"object": "payout", "id": "po_1"}), Lookup::Payout { account: None, payout: id("po_1") }),
        ];
        for (object, expected) in table {
            assert_eq!(concerned(None, &object), Some(expected));
        }
    }

    #[test]
    fn of_a_connected_account_its_payouts_and_direct_charges_concern_us() {
        let account = Some("acct_1");
        let payout = concerned(account, &json!({"object": "payout", "id": "po_1"}));
        assert_eq!(payout, Some(Lookup::Payout { account: Some("acct_1".into()), payout: "po_1".into() }));
        let updated = concerned(account, &json!({"object": "account", "id": "acct_1"}));
        assert_eq!(updated, Some(Lookup::Account("acct_1".into())));
        for object in ["bank_account", "card"] {
            let external = concerned(account, &json!({"object": object, "id": "ba_1"}));
            assert_eq!(external, Some(Lookup::Account("acct_1".into())), "{object}");
            assert_eq!(concerned(None, &json!({"object": object, "id": "ba_1"})), None, "the platform's own");
        }
        for object in ["charge", "refund", "transfer", "topup", "dispute", "setup_intent", "payment_method"] {
            assert_eq!(concerned(account, &json!({"object": object, "id": "x_1"})), None, "{object}");
        }
        let direct =
            |object: &str| concerned(account, &json!({"object": object, "id": "x_1", "payment_intent": "pi_1"}));
        let on = |of: Lookup| Some(of.on(account));
        assert_eq!(
            concerned(account, &json!({"object": "payment_intent", "id": "pi_1"})),
            on(Lookup::Payment("pi_1".into()))
        );
        assert_eq!(direct("charge"), on(Lookup::Payment("pi_1".into())));
        assert_eq!(direct("refund"), on(Lookup::Refund("x_1".into())));
        assert_eq!(direct("dispute"), on(Lookup::Dispute("x_1".into())));
        let fee = json!({"object": "application_fee", "id": "fee_1"});
        assert_eq!(concerned(None, &fee), Some(Lookup::ApplicationFee("fee_1".into())));
        assert_eq!(concerned(account, &fee), None, "fees are the platform's");
        assert_eq!(concerned(Some("../x"), &json!({"object": "payment_intent", "id": "pi_1"})), None);
    }

    #[test]
    fn an_unknown_type_and_a_thin_event_are_kept_without_concern() {
        let thin = br#"{"id":"evt_9","object":"v2.core.event","type":"v2.core.account.updated",
            "created":"2026-01-01T00:00:00Z","livemode":true,"related_object":{"id":"acct_1"}}"#;
        let event = read(thin).expect("id and type are enough");
        assert_eq!((event.id.as_str(), event.created, event.livemode), ("evt_9", 0, true));
        assert_eq!(event.concerns, None);
        assert_eq!(concerned(None, &json!({"object": "review", "id": "prv_1"})), None);
        assert_eq!(concerned(None, &json!({})), None);
        assert_eq!(concerned(None, &Value::Null), None);
    }

    #[test]
    fn metadata_is_told_as_far_as_it_is_text() {
        let body = |metadata: Value| json!({"id": "evt_1", "type": "topup.created", "data": {"object": {"id": "tu_1", "metadata": metadata}}});
        let read = |metadata: Value| read(body(metadata).to_string().as_bytes()).expect("an event").metadata;
        assert_eq!(read(json!({"op_id": "opn_1", "n": 7})), BTreeMap::from([("op_id".into(), "opn_1".into())]));
        assert_eq!([read(Value::Null), read(json!("x")), read(json!({}))], [const { BTreeMap::new() }; 3]);
    }

    #[test]
    fn an_id_that_is_none_leads_nowhere() {
        assert_eq!(concerned(None, &json!({"object": "refund", "id": "../accounts"})), None);
        assert_eq!(concerned(None, &json!({"object": "refund", "id": 7})), None);
    }

    #[test]
    fn a_listed_event_keeps_its_bytes_and_gets_its_account() {
        let raw = r#"{ "id":"evt_1",  "type":"payout.paid", "amount":1.10, "data":{"object":{"object":"payout","id":"po_1"}} }"#;
        let body = format!(r#"{{"object":"list","has_more":true,"data":[{raw}]}}"#);
        let own = list(body.as_bytes(), None).expect("a list");
        assert!(own.has_more);
        assert_eq!((own.data[0].body.as_slice(), own.data[0].event.account.as_deref()), (raw.as_bytes(), None));
        let theirs = list(body.as_bytes(), Some("acct_1")).expect("a list");
        assert_eq!(theirs.data[0].event, read(&theirs.data[0].body).expect("as if delivered"));
        let payout = Lookup::Payout { account: Some("acct_1".into()), payout: "po_1".into() };
        assert_eq!(theirs.data[0].event.concerns, Some(payout));
        let named = body.replace(r#""id":"evt_1","#, r#""account":"acct_2","id":"evt_1","#);
        let kept = list(named.as_bytes(), Some("acct_1")).expect("a list");
        assert_eq!(kept.data[0].event.account.as_deref(), Some("acct_2"), "what is said is not overwritten");
    }

    #[test]
    fn what_is_no_list_of_events_is_unreadable() {
        for bad in [
            &b"{}"[..],
            b"[]",
            br#"{"object":"event","data":[],"has_more":false}"#,
            br#"{"object":"list","data":[]}"#,
            br#"{"object":"list","data":[{"id":"evt_1"}],"has_more":false}"#,
        ] {
            assert!(matches!(list(bad, None), Err(FetchError::Unreadable(_))), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn what_is_no_event_is_unreadable() {
        for bad in [&b""[..], b"{", b"[]", b"\"evt_1\"", br#"{"id":"evt_1"}"#, br#"{"type":"x"}"#, b"\xff"] {
            assert!(matches!(read(bad), Err(FetchError::Unreadable(_))), "{bad:?}");
        }
    }
}
