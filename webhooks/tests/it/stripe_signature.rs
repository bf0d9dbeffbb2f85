//! The published vector, the negatives of the providers' own test suites, and properties.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use partita_webhooks::WebhookSecret;
use partita_webhooks::stripe_signature::{SignatureError, TOLERANCE, verify};
use proptest::prelude::*;
use sha2::Sha256;

const SECRET: &str = "whsec_test_secret";
const OLD_SECRET: &str = "whsec_test_secret_before_it_was_rolled";
const BODY: &[u8] = br#"{"id":"evt_1","object":"event"}"#;
const SIGNED_AT: i64 = 1_614_265_330;

fn secrets(texts: &[&str]) -> Vec<WebhookSecret> {
    texts.iter().map(|text| WebhookSecret::parse(text).expect("a good secret")).collect()
}

/// Signs independently of the crate.
fn hex_signature(secret: &str, time: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

fn good_signature() -> String {
    hex_signature(SECRET, &SIGNED_AT.to_string(), BODY)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time of our century")
}

/// Verifies `BODY` at the second it was signed.
fn check(header: &str) -> Result<(), SignatureError> {
    verify(&secrets(&[SECRET]), header, BODY, at(SIGNED_AT), TOLERANCE)
}

#[test]
fn the_published_vector_is_accepted() {
    let body = include_bytes!("../vectors/stripe_event.json");
    let header = "t=1533204620,v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7,\
                  v0=63f3a72374a733066c4be69ed7f8e5ac85c22c9f0a6a612ab9a025a9e4ee7eef";
    let secret = secrets(&["webhook_secret"]);
    assert_eq!(verify(&secret, header, body, at(1_533_204_620), TOLERANCE), Ok(()));
    assert_eq!(verify(&secret, header, body, at(1_533_204_620 + 300), TOLERANCE), Ok(()));
    assert_eq!(
        verify(&secret, header, &body[..body.len() - 1], at(1_533_204_620), TOLERANCE),
        Err(SignatureError::Mismatch)
    );
    assert_eq!(
        verify(&secrets(&["webhook_secret2"]), header, body, at(1_533_204_620), TOLERANCE),
        Err(SignatureError::Mismatch)
    );
}

#[test]
fn headers_without_a_time_are_refused() {
    let good = good_signature();
    for header in [
        String::new(),
        "v1".to_owned(),
        "t=".to_owned(),
        "v1,t=1".to_owned().replace("t=1", "t"),
        format!("v1={good}"),
        format!("t=,v1={good}"),
        format!("t= ,v1={good}"),
        format!("t=-{SIGNED_AT},v1={good}"),
        format!("t=+{SIGNED_AT},v1={good}"),
        format!("t={SIGNED_AT}.0,v1={good}"),
        format!("t=١٦١٤٢٦٥٣٣٠,v1={good}"),
        format!("t=99999999999999999999,v1={good}"),
        format!("t=9223372036854775807,v1={good}"),
        format!("t={SIGNED_AT},t={SIGNED_AT},v1={good}"),
        format!("T={SIGNED_AT},v1={good}"),
    ] {
        assert_eq!(check(&header), Err(SignatureError::NoTime), "{header:?}");
    }
}

#[test]
fn headers_without_a_readable_v1_are_refused() {
    let good = good_signature();
    for header in [
        "v1,t=1".to_owned(),
        format!("t={SIGNED_AT}"),
        format!("t={SIGNED_AT},v1="),
        format!("t={SIGNED_AT},v1,"),
        format!("t={SIGNED_AT},v0={good}"),
        format!("t={SIGNED_AT},v2={good}"),
        format!("t={SIGNED_AT},v1={}", &good[..8]),
        format!("t={SIGNED_AT},v1={}", &good[..62]),
        format!("t={SIGNED_AT},v1={good}00"),
        format!("t={SIGNED_AT},v1={}", "z".repeat(64)),
        format!("t={SIGNED_AT},v1={}", "A".repeat(44)),
        format!("t={SIGNED_AT},v1=\u{1f600}{}", &good[4..]),
        format!("t={SIGNED_AT},v1=0x{}", &good[2..]),
    ] {
        assert_eq!(check(&header), Err(SignatureError::NoSignature), "{header:?}");
    }
}

#[test]
fn a_signature_that_differs_anywhere_is_refused() {
    let good = good_signature();
    let flipped_last = format!("{}{}", &good[..63], if good.ends_with('0') { '1' } else { '0' });
    for header in [
        format!("t={SIGNED_AT},v1={}", "0".repeat(64)),
        format!("t={SIGNED_AT},v1={}", "A".repeat(64)),
        format!("t={SIGNED_AT},v1={flipped_last}"),
        // The right digits over another time, or over the same time in another spelling.
        format!("t={},v1={good}", SIGNED_AT + 1),
        format!("t=0{SIGNED_AT},v1={good}"),
        // Made with the secret's body, without its prefix.
        format!("t={SIGNED_AT},v1={}", hex_signature("test_secret", &SIGNED_AT.to_string(), BODY)),
        format!("t={SIGNED_AT},v1={}", hex_signature("", &SIGNED_AT.to_string(), BODY)),
    ] {
        assert_eq!(check(&header), Err(SignatureError::Mismatch), "{header:?}");
    }
}

#[test]
fn any_good_v1_among_others_is_enough() {
    let (good, zeros) = (good_signature(), "0".repeat(64));
    for header in [
        format!("t={SIGNED_AT},v1={good}"),
        format!("v1={good},t={SIGNED_AT}"),
        format!("t={SIGNED_AT}, v1={good}"),
        format!("t={SIGNED_AT},v1={zeros},v1={good}"),
        format!("t={SIGNED_AT},v1={good},v1={zeros}"),
        format!("t={SIGNED_AT},v1={zeros},v1={good},v1={zeros}"),
        format!("t={SIGNED_AT},v1=not hexadecimal,v1={good}"),
        format!("t={SIGNED_AT},v1={good},v1="),
        format!("t={SIGNED_AT},v1={good},v0={zeros},v2=x,something,=,"),
    ] {
        assert_eq!(check(&header), Ok(()), "{header:?}");
    }
}

#[test]
fn while_a_secret_is_rolled_either_one_is_accepted_in_either_order() {
    let time = SIGNED_AT.to_string();
    let (new, old) = (hex_signature(SECRET, &time, BODY), hex_signature(OLD_SECRET, &time, BODY));
    let header_by = |signatures: &[&str]| {
        let parts: Vec<String> = signatures.iter().map(|signature| format!(",v1={signature}")).collect();
        format!("t={time}{}", parts.concat())
    };
    for known in [vec![SECRET, OLD_SECRET], vec![OLD_SECRET, SECRET], vec![SECRET], vec![OLD_SECRET]] {
        for header in [header_by(&[&new, &old]), header_by(&[&old, &new])] {
            assert_eq!(verify(&secrets(&known), &header, BODY, at(SIGNED_AT), TOLERANCE), Ok(()), "{known:?} {header}");
        }
    }
    for header in [header_by(&[&new]), header_by(&[&old])] {
        let both = secrets(&[SECRET, OLD_SECRET]);
        assert_eq!(verify(&both, &header, BODY, at(SIGNED_AT), TOLERANCE), Ok(()));
    }
    let only_old = header_by(&[&old]);
    assert_eq!(check(&only_old), Err(SignatureError::Mismatch));
}

#[test]
fn without_a_secret_nothing_is_accepted() {
    let header = format!("t={SIGNED_AT},v1={}", good_signature());
    assert_eq!(verify(&[], &header, BODY, at(SIGNED_AT), TOLERANCE), Err(SignatureError::Mismatch));
}

#[test]
fn old_and_future_signatures_are_refused() {
    let header = format!("t={SIGNED_AT},v1={}", good_signature());
    let verify_at =
        |now: i64, tolerance: u64| verify(&secrets(&[SECRET]), &header, BODY, at(now), Duration::from_secs(tolerance));
    assert_eq!(verify_at(SIGNED_AT + 300, 300), Ok(()));
    assert_eq!(verify_at(SIGNED_AT + 301, 300), Err(SignatureError::TooOld));
    assert_eq!(verify_at(SIGNED_AT - 300, 300), Ok(()));
    assert_eq!(verify_at(SIGNED_AT - 301, 300), Err(SignatureError::InFuture));
    assert_eq!(verify_at(SIGNED_AT + 15, 10), Err(SignatureError::TooOld));
    assert_eq!(verify_at(i64::from(i32::MAX), 300), Err(SignatureError::TooOld));
    assert_eq!(verify_at(0, 300), Err(SignatureError::InFuture));
}

#[test]
fn the_body_is_signed_as_bytes_not_as_text() {
    let body = b"\xff\xfe{\"id\": 1}\r\n\0";
    let header = format!("t={SIGNED_AT},v1={}", hex_signature(SECRET, &SIGNED_AT.to_string(), body));
    assert_eq!(verify(&secrets(&[SECRET]), &header, body, at(SIGNED_AT), TOLERANCE), Ok(()));
    let lossy = String::from_utf8_lossy(body).into_owned();
    let refused = verify(&secrets(&[SECRET]), &header, lossy.as_bytes(), at(SIGNED_AT), TOLERANCE);
    assert_eq!(refused, Err(SignatureError::Mismatch));
}

proptest! {
    #[test]
    fn what_is_signed_verifies(body in prop::collection::vec(any::<u8>(), 0..300), second in 0_i64..4_000_000_000) {
        let header = format!("t={second},v1={}", hex_signature(SECRET, &second.to_string(), &body));
        prop_assert_eq!(verify(&secrets(&[SECRET]), &header, &body, at(second), TOLERANCE), Ok(()));
    }

    #[test]
    fn a_flipped_bit_of_the_body_is_refused(
        body in prop::collection::vec(any::<u8>(), 1..300),
        place in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let header = format!("t={SIGNED_AT},v1={}", hex_signature(SECRET, &SIGNED_AT.to_string(), &body));
        let mut changed = body;
        let place = place.index(changed.len());
        changed[place] ^= 1 << bit;
        let refused = verify(&secrets(&[SECRET]), &header, &changed, at(SIGNED_AT), TOLERANCE);
        prop_assert_eq!(refused, Err(SignatureError::Mismatch));
    }

    #[test]
    fn a_flipped_bit_of_the_signature_is_refused(place in 0_usize..32, bit in 0_u8..8) {
        let mut signature = hex::decode(good_signature()).expect("hexadecimal");
        signature[place] ^= 1 << bit;
        let header = format!("t={SIGNED_AT},v1={}", hex::encode(signature));
        prop_assert_eq!(check(&header), Err(SignatureError::Mismatch));
    }

    #[test]
    fn no_header_panics_or_is_accepted(header in "\\PC*") {
        prop_assert!(check(&header).is_err());
    }

    #[test]
    fn no_header_made_of_the_scheme_s_own_parts_panics_or_is_accepted(
        parts in prop::collection::vec("(t|v0|v1|v2| )?=?[0-9a-fé, ]{0,70}", 0..8),
    ) {
        prop_assert!(check(&parts.join(",")).is_err());
    }
}
