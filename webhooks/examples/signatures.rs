//! Signs and verifies webhooks for other programs: one JSON object a line comes in, one goes out. So `.ci/signatures` checks
//! our signatures against those of other libraries.
//!
//! ```text
//! {"do":"sign","scheme":"standard","key":"whsec_..","id":"evn_1","timestamp":1763796085,"body":"{}"}
//! {"signature":"v1,.."}
//! {"do":"verify","scheme":"standard","key":"whsec_..","id":"evn_1","timestamp":"1763796085","body":"{}","signature":"v1,..","now":1763796085}
//! {"accepted":true}
//! {"do":"public","key":"whsk_.."}
//! {"key":"whpk_.."}
//! ```
//!
//! The scheme `stripe` needs no id. What signs there is the simulator, since the service only verifies it.

use std::io::{BufRead as _, Write as _};

use jiff::Timestamp;
use partita_webhooks::signing_key::{SigningKey, VerifyingKey};
use partita_webhooks::standard_signature::{self, Headers, Message};
use partita_webhooks::{WebhookSecret, stripe_signature};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Request {
    Sign {
        scheme: Scheme,
        key: String,
        id: Option<String>,
        timestamp: i64,
        body: String,
    },
    Verify {
        scheme: Scheme,
        key: String,
        id: Option<String>,
        timestamp: Option<String>,
        body: String,
        signature: String,
        now: i64,
    },
    Public {
        key: String,
    },
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Scheme {
    Standard,
    Stripe,
}

fn main() -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        writeln!(out, "{}", answer(serde_json::from_str(&line?)?)?)?;
    }
    Ok(())
}

fn answer(request: Request) -> Result<Value, Failure> {
    Ok(match request {
        Request::Sign { scheme, key, id, timestamp, body } => json!({"signature": match scheme {
            Scheme::Stripe => partita_simulator::sign(&key, timestamp, body.as_bytes()),
            Scheme::Standard => {
                let (id, timestamp) = (id.unwrap_or_default(), Timestamp::from_second(timestamp)?);
                let message = Message { id: &id, timestamp, body: body.as_bytes() };
                standard_signature::sign(&[SigningKey::parse(&key)?], message)?
            }
        }}),
        Request::Verify { scheme, key, id, timestamp, body, signature, now } => {
            let (now, body) = (Timestamp::from_second(now)?, body.as_bytes());
            json!({"accepted": match scheme {
                Scheme::Stripe => {
                    let keys = [WebhookSecret::parse(&key)?];
                    stripe_signature::verify(&keys, &signature, body, now, stripe_signature::TOLERANCE).is_ok()
                }
                Scheme::Standard => {
                    let (id, timestamp) = (id.unwrap_or_default(), timestamp.unwrap_or_default());
                    let headers = Headers { id: &id, timestamp: &timestamp, signature: &signature };
                    let keys = [VerifyingKey::parse(&key)?];
                    standard_signature::verify(&keys, headers, body, now, standard_signature::TOLERANCE).is_ok()
                }
            }})
        }
        Request::Public { key } => {
            json!({"key": SigningKey::parse(&key)?.verifying_text().expose_secret()})
        }
    })
}
