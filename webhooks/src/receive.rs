//! Receiving a delivery: find the endpoint, check the signature, read the envelope, store, and only then answer.

use jiff::Timestamp;
use partita_db::{BookId, Db, DbError, Scope, Vault};
use serde::Deserialize;
use serde_json::Value;

use crate::endpoint::{Endpoint, EndpointError, find_endpoint};
use crate::inbox::{self, InboxError, InboxKey, NewInboxEvent, Stored};
use crate::stripe_signature::{self, SignatureError};

/// Largest body that is taken, in bytes; the web server's own limit should be the same.
pub const LARGEST_BODY: usize = 1_048_576;

/// Longest id, account or type of an event, in bytes.
const LONGEST_NAME: usize = 255;

/// A request as it came in.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// The provider named in the path.
    pub provider: &'a str,
    /// The endpoint's token in the path.
    pub token: &'a str,
    /// The header with the signature; empty if there is none.
    pub signature: &'a str,
    /// The body, byte for byte.
    pub body: &'a [u8],
}

/// An event that is durable and may be answered 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The book it belongs to.
    pub book: BookId,
    /// Its identity.
    pub key: InboxKey,
    /// The provider's word for what happened.
    pub kind: String,
    /// Whether it was new.
    pub stored: Stored,
}

/// Why a delivery was not taken. Nothing of it is stored.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// No endpoint of this provider has this token, or it is disabled. Answer 404.
    #[error("no such webhook endpoint")]
    UnknownEndpoint,
    /// The delivery is not proved to be the provider's. Answer 400, whichever the reason.
    #[error("the signature was refused: {0}")]
    BadSignature(SignatureError),
    /// Signed by the provider, but not an event: no JSON, or without id, type or mode. Answer 400.
    #[error("the event is unreadable: {0}")]
    Unreadable(&'static str),
    /// Test and live never meet: the event is of the other mode than the endpoint's book. Answer 400; but an endpoint for
    /// connected accounts in live mode lawfully gets their test events too (docs.stripe.com/connect/webhooks), which are
    /// answered 200 and dropped, or the provider would disable the endpoint: see [`ReceiveError::is_expected`].
    #[error("the event's mode is not that of the endpoint")]
    WrongMode {
        /// Whether the provider does this by design.
        expected: bool,
    },
    /// The endpoint could not be read. Answer 500: the provider tries again.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The event could not be stored. Answer 500: the provider tries again.
    #[error(transparent)]
    Inbox(#[from] InboxError),
}

impl ReceiveError {
    /// Whether the provider sends such deliveries by design, so that they are answered 200 although nothing is kept.
    pub const fn is_expected(&self) -> bool {
        matches!(self, Self::WrongMode { expected: true })
    }
}

impl From<DbError> for ReceiveError {
    fn from(error: DbError) -> Self {
        Self::Inbox(InboxError::Db(error))
    }
}

/// Takes a delivery. When this returns `Ok` the event is committed. `now` is the business clock, against which the age of
/// the signature is measured; `vault` opens the endpoint's secrets.
///
/// The signature scheme is Stripe's, as the providers that we speak with use it.
///
/// # Errors
/// See [`ReceiveError`]; each variant says how to answer.
pub async fn receive(db: &Db, vault: &Vault, delivery: Delivery<'_>, now: Timestamp) -> Result<Received, ReceiveError> {
    let endpoint = endpoint_of(db, vault, delivery, now).await?;
    stripe_signature::verify(&endpoint.secrets, delivery.signature, delivery.body, now, stripe_signature::TOLERANCE)
        .map_err(ReceiveError::BadSignature)?;
    if delivery.body.len() > LARGEST_BODY {
        return Err(ReceiveError::Unreadable("the body is too large"));
    }
    let envelope = Envelope::read(delivery.body, now)?;
    if !endpoint.mode.takes(envelope.livemode) {
        return Err(ReceiveError::WrongMode { expected: endpoint.gets_both_modes() });
    }
    let event = NewInboxEvent {
        key: InboxKey { provider: endpoint.provider, account: envelope.account, event_id: envelope.id },
        kind: envelope.kind,
        livemode: envelope.livemode,
        created_at: envelope.created_at,
        raw: delivery.body.to_vec(),
    };
    let (key, kind) = (event.key.clone(), event.kind.clone());
    let stored = db
        .run_tx("store inbox event", Scope::Book(endpoint.book), move |tx| {
            let event = event.clone();
            Box::pin(async move { inbox::store(tx, &event, now).await })
        })
        .await?;
    Ok(Received { book: endpoint.book, key, kind, stored })
}

async fn endpoint_of(db: &Db, vault: &Vault, delivery: Delivery<'_>, now: Timestamp) -> Result<Endpoint, ReceiveError> {
    // What cannot be a token is not looked up: the database would refuse a NUL byte with an error.
    if !is_name(delivery.token) {
        return Err(ReceiveError::UnknownEndpoint);
    }
    let (token, vault) = (delivery.token.to_owned(), vault.clone());
    let endpoint = db
        .read("find webhook endpoint", Scope::Routing, move |tx| {
            let (token, vault) = (token.clone(), vault.clone());
            Box::pin(async move { find_endpoint(tx, &vault, &token, now).await })
        })
        .await?;
    endpoint.filter(|endpoint| endpoint.provider == delivery.provider).ok_or(ReceiveError::UnknownEndpoint)
}

/// What must be known to store an event; everything else is the worker's to read.
#[derive(Debug, PartialEq, Eq)]
struct Envelope {
    id: String,
    kind: String,
    /// Empty for the platform's own account.
    account: String,
    livemode: bool,
    created_at: Timestamp,
}

/// The envelope as it is spelled. What is not needed to identify the event may be anything.
#[derive(Deserialize)]
struct RawEnvelope {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    livemode: bool,
    #[serde(default)]
    account: Value,
    #[serde(default)]
    created: Value,
}

impl Envelope {
    /// Reads a body whose signature was good. An event without a readable time is taken to be of `now`.
    fn read(body: &[u8], now: Timestamp) -> Result<Self, ReceiveError> {
        let raw: RawEnvelope =
            serde_json::from_slice(body).map_err(|_| ReceiveError::Unreadable("no JSON with id, type and livemode"))?;
        let account = match raw.account {
            Value::Null => String::new(),
            Value::String(account) => account,
            _ => return Err(ReceiveError::Unreadable("the account is no text")),
        };
        if !is_name(&raw.id) || !is_name(&raw.kind) || !(account.is_empty() || is_name(&account)) {
            return Err(ReceiveError::Unreadable("id, type or account is empty, too long or not visible ASCII"));
        }
        let created = raw.created.as_i64().and_then(|second| Timestamp::from_second(second).ok());
        Ok(Self { id: raw.id, kind: raw.kind, account, livemode: raw.livemode, created_at: created.unwrap_or(now) })
    }
}

/// Whether it can be a provider's identifier. Anything else (a NUL byte, say) could not be stored.
fn is_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_763_796_085).expect("a time of our century")
    }

    #[test]
    fn an_envelope_needs_id_type_and_mode_only() {
        let read = |body: &str| Envelope::read(body.as_bytes(), now()).ok();
        let least = Envelope {
            id: "evt_1".into(),
            kind: "some.type".into(),
            account: String::new(),
            livemode: false,
            created_at: now(),
        };
        assert_eq!(read(r#"{"id":"evt_1","type":"some.type","livemode":false}"#), Some(least));
        let full = Envelope {
            id: "evt_1".into(),
            kind: "payout.paid".into(),
            account: "acct_1".into(),
            livemode: true,
            created_at: Timestamp::from_second(1_763_000_000).expect("a time of our century"),
        };
        let body =
            r#"{"id":"evt_1","type":"payout.paid","livemode":true,"account":"acct_1","created":1763000000,"data":7}"#;
        assert_eq!(read(body), Some(full));
    }

    #[test]
    fn what_is_no_event_is_unreadable() {
        for body in [
            "",
            "null",
            "[]",
            "{",
            "\u{feff}{}",
            r#"{"id":"evt_1","type":"a.b"}"#,
            r#"{"id":"evt_1","livemode":false}"#,
            r#"{"id":1,"type":"a.b","livemode":false}"#,
            r#"{"id":"","type":"a.b","livemode":false}"#,
            r#"{"id":"evt\u0000","type":"a.b","livemode":false}"#,
            r#"{"id":"evt_1","type":"a b","livemode":false}"#,
            r#"{"id":"evt_1","type":"a.b","livemode":false,"account":7}"#,
            r#"{"id":"evt_1","type":"a.b","livemode":"false"}"#,
        ] {
            assert!(matches!(Envelope::read(body.as_bytes(), now()), Err(ReceiveError::Unreadable(_))), "{body}");
        }
        let long = format!(r#"{{"id":"{}","type":"a.b","livemode":false}}"#, "x".repeat(256));
        assert!(Envelope::read(long.as_bytes(), now()).is_err());
        assert!(Envelope::read(b"{\"id\":\"evt_\xff\",\"type\":\"a.b\",\"livemode\":false}", now()).is_err());
    }
}
