//! Signatures of Standard Webhooks: published vectors, and everything that must not pass.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use partita_webhooks::signing_key::{SigningKey, VerifyingKey};
use partita_webhooks::standard_signature::{Headers, Message, SignError, TOLERANCE, VerifyError, sign, verify};
use proptest::prelude::*;

/// A message with a known signature.
struct Vector {
    key: &'static str,
    id: &'static str,
    second: i64,
    body: &'static str,
    signature: &'static str,
}

const VECTORS: [Vector; 3] = [
    // standard-webhooks (its libraries for JavaScript, Go, Java, C#) and the documents of Svix.
    Vector {
        key: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
        second: 1_614_265_330,
        body: r#"{"test": 2432232314}"#,
        signature: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    },
    // standard-webhooks, libraries/rust/src/lib.rs.
    Vector {
        key: "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        id: "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
        second: 1_649_367_553,
        body: r#"{"email":"test@example.com","username":"test_user"}"#,
        signature: "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
    },
    // svix-webhooks, server/svix-server/src/worker.rs.
    Vector {
        key: "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==",
        id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
        second: 1_614_265_330,
        body: r#"{"test": 2432232314}"#,
        signature: "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
    },
];

impl Vector {
    fn signing_key(&self) -> SigningKey {
        SigningKey::parse(self.key).expect("a key")
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_second(self.second).expect("a time")
    }

    /// Verifies another signature header over the vector's message, when it was signed.
    fn accepts(&self, signature: &str) -> Result<(), VerifyError> {
        self.verify(self.id, &self.second.to_string(), signature, self.body.as_bytes(), self.at())
    }

    fn verify(
        &self,
        id: &str,
        timestamp: &str,
        signature: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), VerifyError> {
        let keys = [self.signing_key().verifying_key()];
        verify(&keys, Headers { id, timestamp, signature }, body, now, TOLERANCE)
    }

    /// The signature without its version.
    fn encoded(&self) -> &'static str {
        self.signature.split_once(',').expect("a version").1
    }
}

#[test]
fn published_vectors_are_signed_and_verified() {
    for vector in VECTORS {
        let message = Message { id: vector.id, timestamp: vector.at(), body: vector.body.as_bytes() };
        assert_eq!(sign(&[vector.signing_key()], message).expect("signed"), vector.signature);
        assert_eq!(vector.accepts(vector.signature), Ok(()));
    }
}

#[test]
fn a_public_key_is_enough_to_verify_and_no_more() {
    let vector = &VECTORS[2];
    let text = vector.signing_key().verifying_text();
    let text = secrecy::ExposeSecret::expose_secret(&text);
    assert!(text.starts_with("whpk_"));
    let key = VerifyingKey::parse(text).expect("a public key");
    let headers = Headers { id: vector.id, timestamp: "1614265330", signature: vector.signature };
    assert_eq!(verify(&[key], headers, vector.body.as_bytes(), vector.at(), TOLERANCE), Ok(()));
    assert!(SigningKey::parse(text).is_err());
}

#[test]
fn what_was_not_signed_like_this_is_refused() {
    for vector in VECTORS {
        let [signature, encoded] = [vector.signature, vector.encoded()];
        let version = signature.split_once(',').expect("a version").0;
        for bad in [
            String::new(),
            " ".to_owned(),
            ",".to_owned(),
            version.to_owned(),
            format!("{version},"),
            format!("{version}, {encoded}"),
            format!("{version},{}", &encoded[..8]),
            format!("{version},{}", encoded.trim_end_matches('=')),
            format!("{version},{}", "A".repeat(44)),
            format!("{version},{}", "A".repeat(43) + "="),
            format!("{version},{encoded}{encoded}"),
            format!("v2,{encoded}"),
            format!("v1b,{encoded}"),
            format!("V1,{encoded}"),
            format!(",{encoded}"),
            encoded.to_owned(),
            format!("{version}={encoded}"),
            format!("{version},\u{fffd}\u{d7ff}"),
            signature.replace(['0', '9', 'T'], "B"),
        ] {
            assert_eq!(vector.accepts(&bad), Err(VerifyError::Mismatch), "{bad:?}");
        }
    }
    // A signature of the other scheme, good in itself.
    assert_eq!(VECTORS[0].accepts(VECTORS[2].signature), Err(VerifyError::Mismatch));
    assert_eq!(VECTORS[2].accepts(VECTORS[0].signature), Err(VerifyError::Mismatch));
    assert_eq!(VECTORS[0].accepts(&VECTORS[0].signature.replace("v1,", "v1a,")), Err(VerifyError::Mismatch));
}

#[test]
fn id_time_and_body_are_all_signed() {
    let vector = &VECTORS[0];
    let now = vector.at();
    let verify = |id: &str, timestamp: &str, body: &[u8]| vector.verify(id, timestamp, vector.signature, body, now);
    let body = vector.body.as_bytes();
    assert_eq!(verify(vector.id, "1614265330", body), Ok(()));
    for (id, timestamp, body, error) in [
        ("msg_other", "1614265330", body, VerifyError::Mismatch),
        (vector.id, "1614265331", body, VerifyError::Mismatch),
        (vector.id, "1614265330", b"{}".as_slice(), VerifyError::Mismatch),
        (vector.id, "1614265330", b"{\"test\": 2432232314} ", VerifyError::Mismatch),
        (vector.id, "1614265330", b"\xff\xfe", VerifyError::Mismatch),
        // The same bytes, cut elsewhere.
        ("msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330", "", body, VerifyError::NoId),
        ("", "1614265330", body, VerifyError::NoId),
        ("msg_1\n", "1614265330", body, VerifyError::NoId),
        (vector.id, "", body, VerifyError::NoTime),
        (vector.id, "+1614265330", body, VerifyError::NoTime),
        (vector.id, " 1614265330", body, VerifyError::NoTime),
        (vector.id, "1614265330.0", body, VerifyError::NoTime),
        (vector.id, "99999999999999999999", body, VerifyError::NoTime),
    ] {
        assert_eq!(verify(id, timestamp, body), Err(error), "{id} {timestamp}");
    }
}

#[test]
fn old_and_future_times_are_refused() {
    let vector = &VECTORS[0];
    for (seconds, expected) in [
        (0, Ok(())),
        (300, Ok(())),
        (-300, Ok(())),
        (301, Err(VerifyError::TooOld)),
        (-301, Err(VerifyError::InFuture)),
    ] {
        let now = vector.at() + SignedDuration::from_secs(seconds);
        let verified = vector.verify(vector.id, "1614265330", vector.signature, vector.body.as_bytes(), now);
        assert_eq!(verified, expected, "{seconds}");
    }
    let keys = [vector.signing_key().verifying_key()];
    let headers = Headers { id: vector.id, timestamp: "1614265330", signature: vector.signature };
    let now = vector.at() + SignedDuration::from_secs(15);
    let verified = verify(&keys, headers, vector.body.as_bytes(), now, Duration::from_secs(10));
    assert_eq!(verified, Err(VerifyError::TooOld));
    // A forged old message is a forgery, not an old message.
    assert_eq!(vector.verify(vector.id, "1", "v1,AAAA", b"", now), Err(VerifyError::Mismatch));
}

#[test]
fn any_of_several_signatures_will_do_in_any_order() {
    let vector = &VECTORS[0];
    let good = vector.signature;
    let bad = format!("v1,{}", "A".repeat(43) + "=");
    for header in [
        format!("{good} {bad}"),
        format!("{bad} {good}"),
        format!("{bad}  {good}"),
        format!("v2,abc {good} v1a,%%%"),
        format!("v1 , v0,x {good}"),
    ] {
        assert_eq!(vector.accepts(&header), Ok(()), "{header:?}");
    }
    assert_eq!(vector.accepts(&format!("{bad} {bad}")), Err(VerifyError::Mismatch));
}

#[test]
fn a_rotated_key_signs_beside_the_old_one() {
    let (old, new) = (SigningKey::shared([1; 32]), SigningKey::ed25519([2; 32]));
    let at = VECTORS[0].at();
    let message = Message { id: "evn_1", timestamp: at, body: b"{}" };
    let signature = sign(&[new.clone(), old.clone()], message).expect("signed");
    assert_eq!(signature.split(' ').count(), 2);
    let headers = Headers { id: "evn_1", timestamp: "1614265330", signature: &signature };
    for key in [&old, &new] {
        assert_eq!(verify(&[key.verifying_key()], headers, b"{}", at, TOLERANCE), Ok(()));
    }
    let stranger = SigningKey::shared([3; 32]).verifying_key();
    assert_eq!(verify(std::slice::from_ref(&stranger), headers, b"{}", at, TOLERANCE), Err(VerifyError::Mismatch));
    assert_eq!(verify(&[stranger, old.verifying_key()], headers, b"{}", at, TOLERANCE), Ok(()));
    assert_eq!(verify(&[], headers, b"{}", at, TOLERANCE), Err(VerifyError::Mismatch));
}

#[test]
fn what_could_be_read_in_two_ways_is_not_signed() {
    let key = [SigningKey::shared([1; 32])];
    let at = VECTORS[0].at();
    for id in ["", "evn.1", "evn 1", "evn_ü", "evn\n"] {
        let message = Message { id, timestamp: at, body: b"{}" };
        assert_eq!(sign(&key, message), Err(SignError::BadId), "{id:?}");
    }
    let before = Timestamp::from_second(-1).expect("a time");
    assert_eq!(sign(&key, Message { id: "evn_1", timestamp: before, body: b"" }), Err(SignError::BadTime));
    assert_eq!(sign(&[], Message { id: "evn_1", timestamp: at, body: b"" }), Err(SignError::NoKey));
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_nothing_else_does(
        seed in any::<[u8; 32]>(),
        body in proptest::collection::vec(any::<u8>(), 0..200),
        second in 0_i64..4_000_000_000,
        flip in any::<prop::sample::Index>(),
        asymmetric in any::<bool>(),
    ) {
        let key = if asymmetric { SigningKey::ed25519(seed) } else { SigningKey::shared(seed) };
        let at = Timestamp::from_second(second).expect("a time");
        let signature = sign(std::slice::from_ref(&key), Message { id: "evn_1", timestamp: at, body: &body }).expect("signed");
        let keys = [key.verifying_key()];
        let timestamp = second.to_string();
        let headers = Headers { id: "evn_1", timestamp: &timestamp, signature: &signature };
        prop_assert_eq!(verify(&keys, headers, &body, at, TOLERANCE), Ok(()));
        let mut changed = body.clone();
        if let Some(last) = changed.len().checked_sub(1) {
            changed[flip.index(last + 1)] ^= 1;
        } else {
            changed.push(0);
        }
        prop_assert_eq!(verify(&keys, headers, &changed, at, TOLERANCE), Err(VerifyError::Mismatch));
    }

    #[test]
    fn no_header_makes_it_panic(id in ".{0,40}", timestamp in ".{0,20}", signature in ".{0,120}") {
        let keys = [SigningKey::shared([1; 32]).verifying_key(), SigningKey::ed25519([1; 32]).verifying_key()];
        let headers = Headers { id: &id, timestamp: &timestamp, signature: &signature };
        let verified = verify(&keys, headers, b"body", VECTORS[0].at(), TOLERANCE);
        prop_assert!(verified.is_err());
    }
}
