//! Columns that are encrypted at rest.
//!
//! Envelope encryption: each value has a random key of its own, which encrypts it; the configured key encrypts that key.
//! Both layers are XChaCha20-Poly1305 with random nonces of 24 bytes, so that nonces need no counting. What is
//! authenticated beside the value is where it belongs ([`Column`]) and the version of the configured key: a value that
//! was moved to another row, column or table does not open.
//!
//! Several configured keys may be given, each under its version: the first one seals, all of them open. So a key is
//! exchanged by adding the new one in front, sealing everything anew, and then leaving the old one out.

use std::fmt;
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rand::Rng as _;
use secrecy::{ExposeSecret, SecretString};
use sqlx::types::Uuid;
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
/// Length of the wrapped key of one value: its nonce, the key, the tag.
const WRAPPED_BYTES: usize = NONCE_BYTES + KEY_BYTES + TAG_BYTES;
/// Fewest different bytes of a key that can be random; a random one has 30 in the mean.
const FEWEST_DIFFERENT: usize = 16;

/// Where a value belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The row's id, unique in the table.
    pub row: Uuid,
}

/// An encrypted value as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which of the configured keys opens it.
    pub key_version: i16,
    /// The value's key, wrapped, and the value.
    pub bytes: Vec<u8>,
}

/// Why text is no list of keys. The text itself is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyListError {
    /// There is none.
    #[error("it is empty")]
    Empty,
    /// Not 64 hexadecimal digits.
    #[error("a key is 64 hexadecimal digits")]
    NotHex,
    /// Digits that nobody drew by lot.
    #[error("a key is not random")]
    NotRandom,
    /// A version is not a number from 1 to 32767.
    #[error("a version is a number from 1 to 32767, as in 2:<64 hexadecimal digits>")]
    BadVersion,
    /// A version stands twice.
    #[error("version {0} stands twice")]
    Twice(i16),
}

/// Why a value cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The process was given no key.
    #[error("there is no encryption key; set PARTITA_ENCRYPTION_KEY")]
    NoKey,
    /// The key that sealed the value is not among those configured.
    #[error("the encryption key of version {0} is not configured")]
    UnknownVersion(i16),
    /// Changed, moved from another row, or sealed under another key of this version.
    #[error("an encrypted value does not open")]
    Damaged,
}

/// The configured keys. Clones share them; they are never printed.
#[derive(Clone, Default)]
pub struct Vault(Arc<Vec<Key>>);

struct Key {
    version: i16,
    cipher: XChaCha20Poly1305,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| key.version)).finish()
    }
}

impl Vault {
    /// Reads keys, separated by commas or white space, the one that seals first: each 64 hexadecimal digits, with
    /// `version:` before them unless it is version 1.
    ///
    /// # Errors
    /// [`KeyListError`].
    pub fn parse(text: &SecretString) -> Result<Self, KeyListError> {
        let mut keys: Vec<Key> = Vec::new();
        let entries = text.expose_secret().split(|c: char| c == ',' || c.is_whitespace());
        for entry in entries.filter(|entry| !entry.is_empty()) {
            let key = Key::parse(entry)?;
            if keys.iter().any(|other| other.version == key.version) {
                return Err(KeyListError::Twice(key.version));
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(KeyListError::Empty) } else { Ok(Self(Arc::new(keys))) }
    }

    /// The version of the key that seals; none when there is no key.
    pub fn version(&self) -> Option<i16> {
        self.0.first().map(|key| key.version)
    }

    /// Encrypts a value for its column.
    ///
    /// # Errors
    /// [`VaultError::NoKey`].
    pub fn seal(&self, column: Column, value: &SecretString) -> Result<Sealed, VaultError> {
        let key = self.0.first().ok_or(VaultError::NoKey)?;
        let context = context(column, key.version);
        let mut own_key = Zeroizing::new([0; KEY_BYTES]);
        rand::rng().fill_bytes(&mut own_key[..]);
        let mut bytes = encrypt(&key.cipher, &own_key[..], &context);
        bytes.extend(encrypt(&cipher(&own_key), value.expose_secret().as_bytes(), &context));
        Ok(Sealed { key_version: key.version, bytes })
    }

    /// Decrypts what was sealed for this column.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn open(&self, column: Column, sealed: &Sealed) -> Result<SecretString, VaultError> {
        if self.0.is_empty() {
            return Err(VaultError::NoKey);
        }
        let key = self.0.iter().find(|key| key.version == sealed.key_version);
        let key = key.ok_or(VaultError::UnknownVersion(sealed.key_version))?;
        let context = context(column, key.version);
        let (wrapped, value) = sealed.bytes.split_at_checked(WRAPPED_BYTES).ok_or(VaultError::Damaged)?;
        let own_key = decrypt(&key.cipher, wrapped, &context)?;
        let own_key = <&[u8; KEY_BYTES]>::try_from(own_key.as_slice()).map_err(|_| VaultError::Damaged)?;
        let value = decrypt(&cipher(own_key), value, &context)?;
        let text = std::str::from_utf8(&value).map_err(|_| VaultError::Damaged)?;
        Ok(SecretString::from(text))
    }
}

impl Key {
    fn parse(entry: &str) -> Result<Self, KeyListError> {
        let (version, digits) = entry.split_once(':').unwrap_or(("1", entry));
        let version = version.parse().ok().filter(|version| *version > 0).ok_or(KeyListError::BadVersion)?;
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        hex::decode_to_slice(digits, &mut bytes[..]).map_err(|_| KeyListError::NotHex)?;
        let different = bytes.iter().collect::<std::collections::HashSet<_>>().len();
        if different < FEWEST_DIFFERENT {
            return Err(KeyListError::NotRandom);
        }
        Ok(Self { version, cipher: cipher(&bytes) })
    }
}

fn cipher(key: &[u8; KEY_BYTES]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.into())
}

/// What is authenticated beside the value. Names of tables and columns have no zero bytes, so no two contexts are equal.
fn context(column: Column, version: i16) -> Vec<u8> {
    let mut context = b"partita column\0".to_vec();
    for name in [column.table, column.column] {
        context.extend_from_slice(name.as_bytes());
        context.push(0);
    }
    context.extend_from_slice(column.row.as_bytes());
    context.extend_from_slice(&version.to_be_bytes());
    context
}

fn encrypt(cipher: &XChaCha20Poly1305, msg: &[u8], aad: &[u8]) -> Vec<u8> {
    let mut nonce = [0; NONCE_BYTES];
    rand::rng().fill_bytes(&mut nonce);
    let secret = cipher.encrypt(&XNonce::from(nonce), Payload { msg, aad }).expect("a secret is far below 256 GB");
    [nonce.as_slice(), &secret].concat()
}

fn decrypt(cipher: &XChaCha20Poly1305, bytes: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let (nonce, msg) = bytes.split_at_checked(NONCE_BYTES).ok_or(VaultError::Damaged)?;
    let nonce = <[u8; NONCE_BYTES]>::try_from(nonce).expect("split there");
    let opened = cipher.decrypt(&XNonce::from(nonce), Payload { msg, aad });
    opened.map(Zeroizing::new).map_err(|_| VaultError::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const TWO: &str = "f0e1d2c3b4a5968778695a4b3c2d1e0f00112233445566778899aabbccddeeff";

    fn vault(text: &str) -> Vault {
        Vault::parse(&SecretString::from(text)).expect("keys")
    }

    fn column(row: u128) -> Column {
        Column { table: "secrets", column: "sealed", row: Uuid::from_u128(row) }
    }

    #[test]
    fn what_was_sealed_opens_in_its_place_only() {
        let vault = vault(ONE);
        let secret = SecretString::from("whsec_abc");
        let sealed = vault.seal(column(1), &secret).expect("sealed");
        assert_eq!(vault.open(column(1), &sealed).expect("opened").expose_secret(), "whsec_abc");
        let elsewhere = [
            column(2),
            Column { table: "other", ..column(1) },
            Column { column: "other", ..column(1) },
            Column { table: "secretss", column: "ealed", ..column(1) },
        ];
        for place in elsewhere {
            assert_eq!(vault.open(place, &sealed).err(), Some(VaultError::Damaged), "{place:?}");
        }
    }

    #[test]
    fn any_change_of_a_byte_is_noticed() {
        let vault = vault(ONE);
        let sealed = vault.seal(column(1), &SecretString::from("whsec_abc")).expect("sealed");
        for at in 0..sealed.bytes.len() {
            let mut changed = sealed.clone();
            changed.bytes[at] ^= 1;
            assert_eq!(vault.open(column(1), &changed).err(), Some(VaultError::Damaged), "byte {at}");
        }
        for length in [0, NONCE_BYTES, WRAPPED_BYTES, sealed.bytes.len() - 1] {
            let cut = Sealed { bytes: sealed.bytes[..length].to_vec(), ..sealed };
            assert_eq!(vault.open(column(1), &cut).err(), Some(VaultError::Damaged), "{length} bytes");
        }
    }

    #[test]
    fn the_same_value_never_looks_the_same() {
        let vault = vault(ONE);
        let secret = SecretString::from("whsec_abc");
        let (one, other) = (vault.seal(column(1), &secret), vault.seal(column(1), &secret));
        let (one, other) = (one.expect("sealed").bytes, other.expect("sealed").bytes);
        assert_ne!(one, other);
        assert!(!one.windows(9).any(|window| window == b"whsec_abc"));
    }

    #[test]
    fn keys_are_exchanged_by_adding_the_new_one_in_front() {
        let old = vault(ONE);
        let sealed = old.seal(column(1), &SecretString::from("x")).expect("sealed");
        let both = vault(&format!("2:{TWO}, 1:{ONE}\n"));
        assert_eq!(both.version(), Some(2));
        assert!(both.open(column(1), &sealed).is_ok());
        let again = both.seal(column(1), &SecretString::from("x")).expect("sealed");
        assert_eq!(again.key_version, 2);
        let new = vault(&format!("2:{TWO}"));
        assert!(new.open(column(1), &again).is_ok());
        assert_eq!(new.open(column(1), &sealed).err(), Some(VaultError::UnknownVersion(1)));
        let wrong = vault(TWO);
        assert_eq!(wrong.open(column(1), &sealed).err(), Some(VaultError::Damaged));
    }

    #[test]
    fn without_a_key_nothing_is_sealed_or_opened() {
        let none = Vault::default();
        assert_eq!(none.seal(column(1), &SecretString::from("x")).err(), Some(VaultError::NoKey));
        let sealed = vault(ONE).seal(column(1), &SecretString::from("x")).expect("sealed");
        assert_eq!(none.open(column(1), &sealed).err(), Some(VaultError::NoKey));
    }

    #[test]
    fn what_is_no_key_is_refused_and_never_repeated() {
        let short = &ONE[2..];
        for (text, error) in [
            ("", KeyListError::Empty),
            (" ,\n", KeyListError::Empty),
            (short, KeyListError::NotHex),
            (&format!("{short}zz"), KeyListError::NotHex),
            (&"0".repeat(64), KeyListError::NotRandom),
            (&"0123456789abcdef".repeat(4), KeyListError::NotRandom),
            (&format!("0:{ONE}"), KeyListError::BadVersion),
            (&format!("x:{ONE}"), KeyListError::BadVersion),
            (&format!("32768:{ONE}"), KeyListError::BadVersion),
            (&format!("{ONE},1:{TWO}"), KeyListError::Twice(1)),
        ] {
            let refused = Vault::parse(&SecretString::from(text)).expect_err("no keys");
            assert_eq!(refused, error, "{text:?}");
        }
        assert_eq!(format!("{:?}", vault(&format!("7:{ONE}"))), "[7]");
    }
}
