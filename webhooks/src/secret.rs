//! What a provider signs its webhooks with.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// A signing secret: never empty, never printed.
#[derive(Clone)]
pub struct WebhookSecret(SecretString);

/// Why a text cannot be a signing secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Empty, or so short that it was cut off. An empty key signs for everybody.
    #[error("a webhook secret has at least {} characters", WebhookSecret::SHORTEST)]
    TooShort,
    /// Longer than any provider's.
    #[error("a webhook secret has at most {} characters", WebhookSecret::LONGEST)]
    TooLong,
    /// White space or control characters, as they come with pasting.
    #[error("a webhook secret is visible ASCII without spaces")]
    NotVisible,
}

impl WebhookSecret {
    /// Shortest secret, in characters.
    pub const SHORTEST: usize = 8;
    /// Longest secret, in characters.
    pub const LONGEST: usize = 255;

    /// The secret as the provider shows it, its prefix (`whsec_`) included.
    ///
    /// # Errors
    /// Refuses what is empty, too short or too long to be one, or not visible ASCII.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SecretError::NotVisible);
        }
        match text.len() {
            0..Self::SHORTEST => Err(SecretError::TooShort),
            Self::SHORTEST..=Self::LONGEST => Ok(Self(SecretString::from(text))),
            _ => Err(SecretError::TooLong),
        }
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("WebhookSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_neither_empty_nor_blank_nor_cut_off() {
        for (text, error) in [
            ("", SecretError::TooShort),
            ("whsec_", SecretError::TooShort),
            ("        ", SecretError::NotVisible),
            ("whsec_abcdef\n", SecretError::NotVisible),
            (" whsec_abcdef", SecretError::NotVisible),
            ("whsec_äöüäöü", SecretError::NotVisible),
        ] {
            assert_eq!(WebhookSecret::parse(text).err(), Some(error), "{text:?}");
        }
        assert_eq!(WebhookSecret::parse(&"x".repeat(256)).err(), Some(SecretError::TooLong));
        assert!(WebhookSecret::parse("webhook_secret").is_ok());
    }

    #[test]
    fn a_secret_is_not_printed() {
        let secret = WebhookSecret::parse("whsec_very_secret").expect("long enough");
        assert_eq!(format!("{secret:?}"), "WebhookSecret(..)");
    }
}
