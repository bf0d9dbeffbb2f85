//! An event as it is sent to the outside: the same object that `GET /v1/events` shows.

use serde::Serialize;
use serde_json::{Value, json};

use super::Event;

/// Most bytes of a message; Standard Webhooks asks for less than 20 kB.
pub const LARGEST_MESSAGE: usize = 20_000;

#[derive(Serialize)]
struct Message<'a> {
    object: &'static str,
    id: crate::id::EventId,
    #[serde(rename = "type")]
    event_type: &'a str,
    timestamp: String,
    api_version: &'a str,
    mode: &'a str,
    sequence: i32,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    object: &'a Value,
    previous: Option<&'a Value>,
}

/// The body that is signed and sent: the same bytes for every attempt. Of an object that makes it too large only what it is
/// and its id are told; the receiver reads the rest.
pub fn message(event: &Event, api_version: &str, mode: &str) -> Vec<u8> {
    let whole = render(event, api_version, mode, &event.payload, event.previous.as_ref());
    if whole.len() <= LARGEST_MESSAGE {
        return whole;
    }
    let short = json!({"object": event.payload["object"], "id": event.payload["id"]});
    render(event, api_version, mode, &short, None)
}

fn render(event: &Event, api_version: &str, mode: &str, object: &Value, previous: Option<&Value>) -> Vec<u8> {
    let message = Message {
        object: "event",
        id: event.id,
        event_type: &event.event_type,
        timestamp: format!("{:.3}", event.occurred_at),
        api_version,
        mode,
        sequence: event.sequence,
        data: Data { object, previous },
    };
    serde_json::to_vec(&message).expect("texts, numbers and lists always serialise")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::EventId;

    fn event(payload: Value) -> Event {
        Event {
            id: EventId::new(),
            event_type: "payment.succeeded".to_owned(),
            sequence: 2,
            payload,
            previous: Some(json!({"status": "processing"})),
            occurred_at: "2026-11-22T09:30:00.123456Z".parse().expect("a time"),
        }
    }

    #[test]
    fn a_message_says_what_happened_when_and_in_which_order() {
        let event = event(json!({"object": "payment", "id": "pay_1", "status": "succeeded"}));
        let body: Value = serde_json::from_slice(&message(&event, "2026-11-22", "test")).expect("JSON");
        let expected = json!({
            "object": "event", "id": event.id, "type": "payment.succeeded", "timestamp": "2026-11-22T09:30:00.123Z",
            "api_version": "2026-11-22", "mode": "test", "sequence": 2,
            "data": {
                "object": {"object": "payment", "id": "pay_1", "status": "succeeded"}, "previous": {"status": "processing"},
            },
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn a_message_stays_below_20_kb() {
        let event = event(json!({"object": "seller", "id": "slr_1", "currently_due": vec!["x".repeat(50); 1_000]}));
        let bytes = message(&event, "2026-11-22", "test");
        assert!(bytes.len() < LARGEST_MESSAGE);
        let body: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(body["data"], json!({"object": {"object": "seller", "id": "slr_1"}, "previous": null}));
    }
}
