//! What outgoing webhooks are signed with, as Standard Webhooks spells it: `whsec_` (shared secret), `whsk_` (Ed25519
//! private key) and `whpk_` (its public key), each followed by base64.
//! Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md, version 1.0.0.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use ed25519_dalek::Signer as _;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::SecretString;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

const SHARED: &str = "whsec_";
const PRIVATE: &str = "whsk_";
const PUBLIC: &str = "whpk_";
/// Shortest and longest shared secret, in bytes.
const SHARED_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
const SEED_BYTES: usize = 32;
/// A private key as others write it too: the seed, then the public key.
const PAIR_BYTES: usize = 64;

/// Why text is no key. The text itself is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// Not `whsec_`, `whsk_` or `whpk_`, or the wrong one of them here.
    #[error("a webhook key begins with whsec_, whsk_ or whpk_")]
    BadPrefix,
    /// What follows is not base64 with its padding.
    #[error("what follows the prefix is not base64")]
    NotBase64,
    /// A shared secret of less than 24 or more than 64 bytes, or an Ed25519 key of another length than theirs.
    #[error("the key has the wrong length")]
    BadLength,
    /// The two halves of a private key do not belong together, or the public key is no point of the curve.
    #[error("the key is no Ed25519 key")]
    BadKey,
}

/// A key that signs. Never printed.
#[derive(Clone)]
pub enum SigningKey {
    /// HMAC-SHA256 under a secret that sender and receiver share: `v1`.
    Shared(SharedSecret),
    /// Ed25519: `v1a`. The receiver has the public key only.
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

/// A shared secret of 24 to 64 bytes. Never printed.
#[derive(Clone)]
pub struct SharedSecret(Zeroizing<Vec<u8>>);

/// A key that verifies. The shared one is never printed.
#[derive(Clone)]
pub enum VerifyingKey {
    /// The same secret that signs.
    Shared(SharedSecret),
    /// The public key.
    Ed25519(ed25519_dalek::VerifyingKey),
}

impl SigningKey {
    /// A shared secret of these random bytes.
    pub fn shared(random: [u8; SEED_BYTES]) -> Self {
        Self::Shared(SharedSecret(Zeroizing::new(random.to_vec())))
    }

    /// The Ed25519 key of this random seed.
    pub fn ed25519(seed: [u8; SEED_BYTES]) -> Self {
        Self::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// Reads `whsec_..` or `whsk_..`.
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub fn parse(text: &str) -> Result<Self, SigningKeyError> {
        if let Some(encoded) = text.strip_prefix(SHARED) {
            return SharedSecret::parse(encoded).map(Self::Shared);
        }
        let bytes = decode(text.strip_prefix(PRIVATE).ok_or(SigningKeyError::BadPrefix)?)?;
        let key = match bytes.len() {
            SEED_BYTES => {
                let seed = <[u8; SEED_BYTES]>::try_from(bytes.as_slice()).expect("of this length");
                ed25519_dalek::SigningKey::from_bytes(&Zeroizing::new(seed))
            }
            PAIR_BYTES => {
                let pair = <[u8; PAIR_BYTES]>::try_from(bytes.as_slice()).expect("of this length");
                ed25519_dalek::SigningKey::from_keypair_bytes(&Zeroizing::new(pair))
                    .map_err(|_| SigningKeyError::BadKey)?
            }
            _ => return Err(SigningKeyError::BadLength),
        };
        Ok(Self::Ed25519(Box::new(key)))
    }

    /// The key as text: `whsec_..` or `whsk_..`.
    pub fn to_text(&self) -> SecretString {
        let text = match self {
            Self::Shared(secret) => format!("{SHARED}{}", BASE64.encode(&*secret.0)),
            Self::Ed25519(key) => format!("{PRIVATE}{}", BASE64.encode(Zeroizing::new(key.to_keypair_bytes()))),
        };
        SecretString::from(text)
    }

    /// What the receiver needs: the shared secret (`whsec_..`) or the public key (`whpk_..`).
    pub fn verifying_text(&self) -> SecretString {
        match self {
            Self::Shared(_) => self.to_text(),
            Self::Ed25519(key) => SecretString::from(public_text(&key.verifying_key())),
        }
    }

    /// The key that verifies what this one signs.
    pub fn verifying_key(&self) -> VerifyingKey {
        match self {
            Self::Shared(secret) => VerifyingKey::Shared(secret.clone()),
            Self::Ed25519(key) => VerifyingKey::Ed25519(key.verifying_key()),
        }
    }

    /// The signature with its version: `v1,..` or `v1a,..`.
    pub(crate) fn sign(&self, signed: &[u8]) -> String {
        match self {
            Self::Shared(secret) => format!("v1,{}", BASE64.encode(secret.mac(signed))),
            Self::Ed25519(key) => format!("v1a,{}", BASE64.encode(key.sign(signed).to_bytes())),
        }
    }
}

impl SharedSecret {
    fn parse(encoded: &str) -> Result<Self, SigningKeyError> {
        let bytes = decode(encoded)?;
        if SHARED_BYTES.contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(SigningKeyError::BadLength) }
    }

    fn mac(&self, signed: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(signed);
        mac.finalize().into_bytes().into()
    }
}

impl VerifyingKey {
    /// Reads `whsec_..` or `whpk_..`.
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub fn parse(text: &str) -> Result<Self, SigningKeyError> {
        if let Some(encoded) = text.strip_prefix(SHARED) {
            return SharedSecret::parse(encoded).map(Self::Shared);
        }
        let bytes = decode(text.strip_prefix(PUBLIC).ok_or(SigningKeyError::BadPrefix)?)?;
        let bytes = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| SigningKeyError::BadLength)?;
        ed25519_dalek::VerifyingKey::from_bytes(&bytes).map(Self::Ed25519).map_err(|_| SigningKeyError::BadKey)
    }

    /// Whether one signature of the header (`v1,..`, `v1a,..`) is this key's over `signed`. A signature of another
    /// version, or one that cannot be read, is not.
    pub(crate) fn accepts(&self, signature: &str, signed: &[u8]) -> bool {
        let Some((version, encoded)) = signature.split_once(',') else { return false };
        let Ok(bytes) = BASE64.decode(encoded) else { return false };
        match (self, version) {
            // All 32 bytes or none: what is shorter or longer is never compared.
            (Self::Shared(secret), "v1") => {
                bytes.len() == 32 && bool::from(secret.mac(signed).as_slice().ct_eq(bytes.as_slice()))
            }
            (Self::Ed25519(key), "v1a") => ed25519_dalek::Signature::from_slice(&bytes)
                .is_ok_and(|signature| key.verify_strict(signed, &signature).is_ok()),
            _ => false,
        }
    }
}

fn public_text(key: &ed25519_dalek::VerifyingKey) -> String {
    format!("{PUBLIC}{}", BASE64.encode(key.to_bytes()))
}

fn decode(encoded: &str) -> Result<Zeroizing<Vec<u8>>, SigningKeyError> {
    BASE64.decode(encoded).map(Zeroizing::new).map_err(|_| SigningKeyError::NotBase64)
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shared(_) => "SigningKey::Shared(..)",
            Self::Ed25519(_) => "SigningKey::Ed25519(..)",
        })
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(..)")
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared(secret) => fmt::Debug::fmt(secret, f),
            Self::Ed25519(key) => f.write_str(&public_text(key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written() {
        for key in [SigningKey::shared([7; 32]), SigningKey::ed25519([7; 32])] {
            let text = key.to_text();
            let again = SigningKey::parse(text.expose_secret()).expect("our own text");
            assert_eq!(again.to_text().expose_secret(), text.expose_secret());
            assert!(VerifyingKey::parse(key.verifying_text().expose_secret()).is_ok());
        }
        let secret = SigningKey::shared([7; 32]).to_text();
        assert_eq!(secret.expose_secret().len(), "whsec_".len() + 44);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let shared = |bytes: usize| format!("whsec_{}", BASE64.encode(vec![1; bytes]));
        for (text, error) in [
            (String::new(), SigningKeyError::BadPrefix),
            ("whsec".to_owned(), SigningKeyError::BadPrefix),
            ("whpk_AAAA".to_owned(), SigningKeyError::BadPrefix),
            ("whsec_".to_owned(), SigningKeyError::BadLength),
            ("whsec_%%%".to_owned(), SigningKeyError::NotBase64),
            (shared(23), SigningKeyError::BadLength),
            (shared(65), SigningKeyError::BadLength),
            (format!("whsk_{}", BASE64.encode([1; 33])), SigningKeyError::BadLength),
            (format!("whsk_{}", BASE64.encode([1; 64])), SigningKeyError::BadKey),
        ] {
            assert_eq!(SigningKey::parse(&text).err(), Some(error), "{text}");
        }
        for bytes in [24, 32, 64] {
            assert!(SigningKey::parse(&shared(bytes)).is_ok(), "{bytes}");
        }
        assert_eq!(VerifyingKey::parse("whsk_AAAA").err(), Some(SigningKeyError::BadPrefix));
        assert_eq!(VerifyingKey::parse("whpk_AAAA").err(), Some(SigningKeyError::BadLength));
    }

    #[test]
    fn a_seed_alone_is_a_private_key_too() {
        let seed = SigningKey::parse(&format!("whsk_{}", BASE64.encode([7; 32]))).expect("a seed");
        let pair = SigningKey::ed25519([7; 32]);
        assert_eq!(seed.to_text().expose_secret(), pair.to_text().expose_secret());
    }

    #[test]
    fn keys_are_not_printed() {
        for key in [SigningKey::shared([7; 32]), SigningKey::ed25519([7; 32])] {
            assert!(format!("{key:?}").ends_with("(..)"));
        }
        assert_eq!(format!("{:?}", SigningKey::shared([7; 32]).verifying_key()), "SharedSecret(..)");
    }
}
