//! API keys: `ptk_test_` or `ptk_live_`, 40 random base-62 characters (238 bits) and a six-character checksum, so that
//! secret scanners can tell a key from noise without asking anyone. Stored as an HMAC under the server's pepper.

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use super::Mode;
use crate::id::random_bytes;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_CHARACTERS: usize = 40;
const CHECKSUM_CHARACTERS: usize = 6;

/// Text that is no API key: wrong prefix, length, alphabet or checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an API key")]
pub struct NotAKey;

/// A new random key.
pub fn generate(mode: Mode) -> String {
    let mut random = String::with_capacity(RANDOM_CHARACTERS);
    while random.len() < RANDOM_CHARACTERS {
        // Bytes of 248 and more are dropped: every character stays equally likely.
        let bytes = random_bytes::<64>();
        let fresh =
            bytes.into_iter().filter(|byte| *byte < 248).map(|byte| char::from(ALPHABET[usize::from(byte % 62)]));
        random.extend(fresh.take(RANDOM_CHARACTERS - random.len()));
    }
    let body = format!("ptk_{}_{random}", mode.as_str());
    let sum = checksum(&body);
    body + &sum
}

/// The mode of a well-formed key. Says nothing about whether the key exists.
///
/// # Errors
/// [`NotAKey`].
pub fn parse(key: &str) -> Result<Mode, NotAKey> {
    let mode = [Mode::Test, Mode::Live]
        .into_iter()
        .find(|mode| key.strip_prefix("ptk_").is_some_and(|rest| rest.starts_with(&format!("{}_", mode.as_str()))))
        .ok_or(NotAKey)?;
    let random = &key["ptk_test_".len()..];
    if random.len() != RANDOM_CHARACTERS + CHECKSUM_CHARACTERS || !random.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(NotAKey);
    }
    let (body, sum) = key.split_at(key.len() - CHECKSUM_CHARACTERS);
    if checksum(body) == sum { Ok(mode) } else { Err(NotAKey) }
}

/// What is stored and looked up instead of the key.
pub fn hash(pepper: &SecretString, key: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(pepper.expose_secret().as_bytes()).expect("any length is a key");
    mac.update(key.as_bytes());
    mac.finalize().into_bytes().into()
}

/// What people see of a key afterwards.
pub fn hint(key: &str) -> String {
    format!("{}..{}", &key[.."ptk_test_".len() + 4], &key[key.len() - 4..])
}

fn checksum(body: &str) -> String {
    let mut value = crc32fast::hash(body.as_bytes());
    let mut digits = [b'0'; CHECKSUM_CHARACTERS];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[usize::try_from(value % 62).expect("below 62")];
        value /= 62;
    }
    digits.iter().map(|b| char::from(*b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_long_random_and_checked() {
        let key = generate(Mode::Test);
        assert_eq!(parse(&key), Ok(Mode::Test));
        assert_eq!(key.len(), "ptk_test_".len() + 46);
        assert_ne!(key, generate(Mode::Test));
        assert_eq!(parse(&generate(Mode::Live)), Ok(Mode::Live));
    }

    #[test]
    fn a_changed_or_foreign_key_is_no_key() {
        let key = generate(Mode::Live);
        let mut changed = key.clone();
        let last = changed.pop().expect("not empty");
        changed.push(if last == '0' { '1' } else { '0' });
        for bad in [changed.as_str(), "", "ptk_", "ptk_test_", "ptk_test_é", &key.replace("live", "test"), &key[..50]]
        {
            assert_eq!(parse(bad), Err(NotAKey), "{bad:?}");
        }
    }

    #[test]
    fn the_hash_depends_on_the_pepper() {
        let one = SecretString::from("one pepper of enough length");
        let other = SecretString::from("another pepper of that length");
        assert_ne!(hash(&one, "ptk_test_x"), hash(&other, "ptk_test_x"));
    }
}
