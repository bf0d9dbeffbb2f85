use partita_db::{DbError, VaultError};
use partita_webhooks::sending::DestinationError;
use partita_webhooks::signing_key::SigningKeyError;

/// Why something cannot be done with an endpoint or a delivery.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// No such endpoint in this book.
    #[error("no such webhook endpoint")]
    NotFound,
    /// No such delivery in this book.
    #[error("no such delivery")]
    DeliveryNotFound,
    /// The address may not be sent to.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// An entry of the list of events stands for no event.
    #[error("there is no event {text}")]
    UnknownEvent {
        /// Its place in the list, from 0.
        index: usize,
        /// What was given.
        text: String,
    },
    /// The book has as many endpoints as it may have.
    #[error("a book has at most {most} webhook endpoints")]
    TooManyEndpoints {
        /// How many it may have.
        most: i64,
    },
    /// The endpoint has as many secrets at once as it may have.
    #[error("an endpoint signs with at most {most} secrets at once; wait until the oldest has expired")]
    TooManySecrets {
        /// How many it may have.
        most: i64,
    },
    /// Only an endpoint that is enabled is sent anything.
    #[error("the webhook endpoint is not enabled")]
    NotEnabled,
    /// The range has more events than are replayed at once.
    #[error("the range has more than {most} events or deliveries; ask for a shorter one")]
    RangeTooLarge {
        /// How many there may be.
        most: i64,
    },
    /// The range ends before it begins.
    #[error("the range ends before it begins")]
    RangeEmpty,
    /// A secret cannot be encrypted, or does not open.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A stored secret is none.
    #[error("a stored webhook key is unusable")]
    Key(#[from] SigningKeyError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<sqlx::Error> for WebhookError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(DbError::from(error))
    }
}
