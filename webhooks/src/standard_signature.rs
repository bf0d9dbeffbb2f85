//! The signature scheme of Standard Webhooks: three headers, of which `webhook-signature` holds one or more signatures
//! over `<webhook-id>.<webhook-timestamp>.<raw body>`, separated by spaces. Our outgoing webhooks carry it.
//! Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md, version 1.0.0.
//!
//! - While a key is exchanged there is a signature of each; a receiver takes *any* that its key accepts, and passes over
//!   those that it cannot read and versions that it does not know.
//! - An id or a time with a full stop could be read in two ways, so there is none.
//! - The time must be within the tolerance on *both* sides: a time in the future would make a delivery replayable.
//! - All decoded bytes are compared, in constant time; a shorter signature is never compared.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::signing_key::{SigningKey, VerifyingKey};

/// How far the time of a signature may be from now.
pub const TOLERANCE: Duration = Duration::from_mins(5);

/// The header with the message's id: the same for every attempt.
pub const ID_HEADER: &str = "webhook-id";
/// The header with the attempt's time, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The header with the signatures.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// What is signed.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Its id, the same for every attempt: visible ASCII without full stops.
    pub id: &'a str,
    /// When this attempt was made; whole seconds count.
    pub timestamp: Timestamp,
    /// The body, byte for byte.
    pub body: &'a [u8],
}

/// Why a message cannot be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The id is empty, has a full stop or is not visible ASCII.
    #[error("a message id is visible ASCII without full stops")]
    BadId,
    /// Before 1970.
    #[error("the time is before 1970")]
    BadTime,
    /// There is no key: an unsigned delivery is never sent.
    #[error("there is no key to sign with")]
    NoKey,
}

/// The value of `webhook-signature`: a signature of each key, in the keys' order.
///
/// # Errors
/// [`SignError`].
pub fn sign(keys: &[SigningKey], message: Message<'_>) -> Result<String, SignError> {
    if !is_id(message.id) {
        return Err(SignError::BadId);
    }
    if message.timestamp.as_second() < 0 {
        return Err(SignError::BadTime);
    }
    if keys.is_empty() {
        return Err(SignError::NoKey);
    }
    let signed = signed_content(message.id, &message.timestamp.as_second().to_string(), message.body);
    Ok(keys.iter().map(|key| key.sign(&signed)).collect::<Vec<_>>().join(" "))
}

/// The three headers as they came; empty where one is missing.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`.
    pub timestamp: &'a str,
    /// `webhook-signature`.
    pub signature: &'a str,
}

/// Why a message is not taken for the sender's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The id is missing or could not have been signed.
    #[error("the message has no readable id")]
    NoId,
    /// The time is missing or is not seconds since 1970.
    #[error("the message has no readable time")]
    NoTime,
    /// No signature is one of the keys' over this id, time and body.
    #[error("no signature matches")]
    Mismatch,
    /// Signed by the sender, but longer ago than the tolerance: perhaps a replay.
    #[error("the signature is too old")]
    TooOld,
    /// Signed by the sender, but with a time ahead of ours by more than the tolerance.
    #[error("the signature's time is in the future")]
    InFuture,
}

/// Checks that `body` was signed by one of `keys`, at most `tolerance` before or after `now`.
///
/// # Errors
/// See [`VerifyError`]. Each means the same to the sender: not accepted.
pub fn verify(
    keys: &[VerifyingKey],
    headers: Headers<'_>,
    body: &[u8],
    now: Timestamp,
    tolerance: Duration,
) -> Result<(), VerifyError> {
    if !is_id(headers.id) {
        return Err(VerifyError::NoId);
    }
    let signed_at = parse_seconds(headers.timestamp).ok_or(VerifyError::NoTime)?;
    let signed = signed_content(headers.id, headers.timestamp, body);
    let accepted = headers.signature.split(' ').any(|signature| keys.iter().any(|key| key.accepts(signature, &signed)));
    if !accepted {
        return Err(VerifyError::Mismatch);
    }
    let age = now.duration_since(signed_at);
    if age.unsigned_abs() <= tolerance {
        return Ok(());
    }
    Err(if age > SignedDuration::ZERO { VerifyError::TooOld } else { VerifyError::InFuture })
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.')
}

/// Decimal digits only: no sign, no space, nothing that two readers could read differently.
fn parse_seconds(text: &str) -> Option<Timestamp> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Timestamp::from_second(text.parse().ok()?).ok()
}

fn signed_content(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}
