//! The addresses that providers send their webhooks to. Each belongs to one book; the token in its path says which. What
//! they are signed with is encrypted at rest.

mod store;

use jiff::Timestamp;
use partita_db::{BookId, DbError, VaultError};

use crate::secret::{SecretError, WebhookSecret};

pub use store::{disable_endpoint, find_endpoint, insert_endpoint, rotate_secret, seal_secrets};

/// Whose events an endpoint gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointKind {
    /// Those of the platform's own account.
    Platform,
    /// Those of connected accounts.
    Connect,
}

impl EndpointKind {
    /// The word in the database and in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Connect => "connect",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Platform, Self::Connect].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Whether real money is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointMode {
    /// It is not.
    Test,
    /// It is.
    Live,
}

impl EndpointMode {
    /// The word in the database and in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Live => "live",
        }
    }

    /// Whether an event of this `livemode` belongs here.
    pub const fn takes(self, livemode: bool) -> bool {
        livemode == matches!(self, Self::Live)
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Test, Self::Live].into_iter().find(|mode| mode.as_str() == word)
    }
}

/// An endpoint to be made.
#[derive(Debug, Clone)]
pub struct NewEndpoint {
    /// The last part of its path: 22 to 128 characters of `A-Za-z0-9_-`, unguessable.
    pub token: String,
    /// The book that its events belong to.
    pub book: BookId,
    /// The provider's name, as in the path.
    pub provider: String,
    /// Whose events it gets.
    pub kind: EndpointKind,
    /// The mode of the book.
    pub mode: EndpointMode,
    /// What its deliveries are signed with.
    pub secret: WebhookSecret,
    /// When it is made; business clock.
    pub created_at: Timestamp,
}

/// An endpoint that takes deliveries.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The last part of its path.
    pub token: String,
    /// The book that its events belong to.
    pub book: BookId,
    /// The provider's name, as in the path.
    pub provider: String,
    /// Whose events it gets.
    pub kind: EndpointKind,
    /// The mode of the book.
    pub mode: EndpointMode,
    /// The secrets that are valid now, the newest first.
    pub secrets: Vec<WebhookSecret>,
}

impl Endpoint {
    /// Whether the provider sends it events of both modes: an endpoint for connected accounts in live mode gets their test
    /// events too. Source: docs.stripe.com/connect/webhooks.
    pub const fn gets_both_modes(&self) -> bool {
        matches!((self.kind, self.mode), (EndpointKind::Connect, EndpointMode::Live))
    }
}

/// What can go wrong with endpoints.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// There is no such endpoint in the book.
    #[error("no such webhook endpoint")]
    NotFound,
    /// A secret cannot be encrypted, or does not open.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The database holds a secret that is none.
    #[error("a stored webhook secret is unusable")]
    Secret(#[from] SecretError),
    /// The database holds a word that this release does not know.
    #[error("unknown word {0:?} in a webhook endpoint")]
    UnknownWord(String),
}

impl From<sqlx::Error> for EndpointError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(DbError::from(error))
    }
}
