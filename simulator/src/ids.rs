//! Ids that look like Stripe's: a prefix that names the kind, then letters and digits.

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `length` letters and digits from the thread's cryptographic generator.
pub(crate) fn random_text(length: usize) -> String {
    (0..length).map(|_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())])).collect()
}

/// A new id, as `tr_1Hd..`.
pub(crate) fn new_id(prefix: &str) -> String {
    format!("{prefix}_1{}", random_text(23))
}

/// A new request id, as the `Request-Id` header carries it.
pub(crate) fn new_request_id() -> String {
    format!("req_{}", random_text(14))
}
