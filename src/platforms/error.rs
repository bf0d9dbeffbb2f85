use partita_db::DbError;
use partita_ledger::LedgerError;

/// Why a platform, book or key cannot be made or found.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// Another platform has the reference.
    #[error("a platform with this reference exists")]
    ReferenceTaken,
    /// No such platform, book or key.
    #[error("no such platform, book or key")]
    NotFound,
    /// A scope that does not exist.
    #[error("unknown scope {0:?}")]
    UnknownScope(String),
    /// The ledger refused to open the book.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The webhook endpoint could not be stored.
    #[error(transparent)]
    Endpoint(#[from] partita_webhooks::endpoint::EndpointError),
    /// The database refused.
    #[error(transparent)]
    Db(#[from] DbError),
}
