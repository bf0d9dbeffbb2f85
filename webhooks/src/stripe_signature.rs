//! Stripe's signature scheme: `Stripe-Signature: t=<unix seconds>,v1=<hex>[,v1=<hex>..][,v0=<hex>]`, where `v1` is
//! HMAC-SHA256 under the whole secret over `<t>.<raw body>`. Source: docs.stripe.com/webhooks/signature.
//!
//! - The raw bytes are what is signed: nothing is decoded, reformatted or parsed before.
//! - *Any* readable `v1` under *any* of the secrets will do: while a secret is rolled Stripe signs with both, in no order.
//!   A `v1` that is not 64 hexadecimal digits is skipped. Other schemes (`v0`) count for nothing.
//! - Compared are all 32 decoded bytes, in constant time; a shorter signature is never compared.
//! - The time must be within the tolerance on *both* sides: a time in the future would make a delivery replayable for ever.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::secret::WebhookSecret;

/// How far the time of a signature may be from now, as in Stripe's own libraries.
pub const TOLERANCE: Duration = Duration::from_mins(5);

const SIGNATURE_BYTES: usize = 32;

/// Why a delivery is not taken for the provider's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No time, more than one, or one that is not seconds since 1970.
    #[error("the signature header has no readable time")]
    NoTime,
    /// No `v1`, or none that is 64 hexadecimal digits.
    #[error("the signature header has no readable v1 signature")]
    NoSignature,
    /// No `v1` was made with one of the secrets over this time and body.
    #[error("no signature matches")]
    Mismatch,
    /// Signed by the provider, but longer ago than the tolerance: perhaps a replay.
    #[error("the signature is too old")]
    TooOld,
    /// Signed by the provider, but with a time ahead of ours by more than the tolerance.
    #[error("the signature's time is in the future")]
    InFuture,
}

/// Checks that `body` was signed with one of `secrets`, at most `tolerance` before or after `now`.
///
/// # Errors
/// See [`SignatureError`]. Each means the same to the sender: not accepted.
pub fn verify(
    secrets: &[WebhookSecret],
    header: &str,
    body: &[u8],
    now: Timestamp,
    tolerance: Duration,
) -> Result<(), SignatureError> {
    let header = Header::parse(header)?;
    if !secrets.iter().any(|secret| header.is_signed_with(secret, body)) {
        return Err(SignatureError::Mismatch);
    }
    let age = now.duration_since(header.signed_at);
    if age.unsigned_abs() <= tolerance {
        return Ok(());
    }
    Err(if age > SignedDuration::ZERO { SignatureError::TooOld } else { SignatureError::InFuture })
}

/// The parts of the header that matter.
#[derive(Debug)]
struct Header<'a> {
    /// The time as it stands in the header: its spelling is part of what was signed.
    time: &'a str,
    signed_at: Timestamp,
    /// Every readable `v1`; at least one.
    signatures: Vec<[u8; SIGNATURE_BYTES]>,
}

impl<'a> Header<'a> {
    fn parse(header: &'a str) -> Result<Self, SignatureError> {
        let values = |wanted: &'static str| {
            header.split(',').filter_map(move |item| {
                let (name, value) = item.split_once('=')?;
                (name.trim() == wanted).then_some(value.trim())
            })
        };
        let mut times = values("t");
        let (Some(time), None) = (times.next(), times.next()) else {
            return Err(SignatureError::NoTime);
        };
        let signed_at = parse_seconds(time).ok_or(SignatureError::NoTime)?;
        let signatures: Vec<_> = values("v1").filter_map(decode_signature).collect();
        if signatures.is_empty() {
            return Err(SignatureError::NoSignature);
        }
        Ok(Self { time, signed_at, signatures })
    }

    fn is_signed_with(&self, secret: &WebhookSecret, body: &[u8]) -> bool {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes keys of any length");
        mac.update(self.time.as_bytes());
        mac.update(b".");
        mac.update(body);
        let expected = mac.finalize().into_bytes();
        self.signatures.iter().any(|signature| bool::from(expected.as_slice().ct_eq(signature.as_slice())))
    }
}

/// Decimal digits only: no sign, no space, nothing that two readers could read differently.
fn parse_seconds(text: &str) -> Option<Timestamp> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Timestamp::from_second(text.parse().ok()?).ok()
}

fn decode_signature(text: &str) -> Option<[u8; SIGNATURE_BYTES]> {
    let mut signature = [0; SIGNATURE_BYTES];
    hex::decode_to_slice(text, &mut signature).ok()?;
    Some(signature)
}
