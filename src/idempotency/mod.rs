//! Idempotency keys: a row, not a cache. The claim stands in the transaction of the effect; the answer is fixed once.

mod store;

use partita_db::{DbError, Tx};
use uuid::Uuid;

pub use store::{finish, remove_made_before};

use crate::verify;

/// A key with the fingerprint of the request that carries it.
#[derive(Debug, Clone)]
pub struct Request {
    /// 1 to 255 visible ASCII characters.
    pub key: String,
    /// SHA-256 of method, path and canonical body.
    pub fingerprint: [u8; 32],
}

/// An answer as it was given, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// HTTP status.
    pub status: u16,
    /// The body's bytes.
    pub body: Vec<u8>,
}

/// What stands under a key.
#[derive(Debug, Clone)]
enum Claim {
    /// The same request was answered.
    Answered(StoredAnswer),
    /// The same request made this object and was not answered yet: it is in flight, or its process died.
    Open {
        /// The object it made.
        object_id: Uuid,
    },
    /// The key was used with another request.
    Mismatch,
}

/// How a command that may be a repetition begins.
#[derive(Debug, Clone)]
pub enum Begun<T> {
    /// This request made the object.
    Fresh(T),
    /// An earlier request made the object and has no answer yet.
    Resumed(T),
    /// An earlier request was answered so.
    Answered(StoredAnswer),
}

/// Why a key cannot be claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// It was used with another request.
    #[error("the idempotency key was used with another request")]
    Reused,
    /// It is for a movement of money, and the book is halted.
    #[error("the movement of money is halted in this book")]
    Halted,
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// As [`claim`], for a request that starts a movement of money: refused in a halted book, unless it is a repetition.
///
/// # Errors
/// [`ClaimError`].
pub async fn claim_movement<T: From<Uuid>>(
    tx: &mut Tx,
    request: &Request,
    now: jiff::Timestamp,
) -> Result<Option<Begun<T>>, ClaimError> {
    let earlier = claim(tx, request, now).await?;
    if earlier.is_none() && verify::is_halted(tx).await? {
        return Err(ClaimError::Halted);
    }
    Ok(earlier)
}

/// Claims the key, waiting for a transaction that claims it at the same time. None: the key is ours now, and the request
/// is to be carried out; otherwise an earlier one with the same key was.
///
/// # Errors
/// [`ClaimError`].
pub async fn claim<T: From<Uuid>>(
    tx: &mut Tx,
    request: &Request,
    now: jiff::Timestamp,
) -> Result<Option<Begun<T>>, ClaimError> {
    while !store::insert(tx, request, now).await? {
        match store::find(tx, request).await? {
            Some(Claim::Answered(answer)) => return Ok(Some(Begun::Answered(answer))),
            Some(Claim::Open { object_id }) => return Ok(Some(Begun::Resumed(object_id.into()))),
            Some(Claim::Mismatch) => return Err(ClaimError::Reused),
            // Removed between the two for its age: nobody has it now.
            None => {}
        }
    }
    Ok(None)
}

/// Ties the claimed key to the object that the request makes, in the same transaction.
///
/// # Errors
/// What the database says.
pub async fn bind(tx: &mut Tx, key: &str, object_type: &str, object_id: Uuid) -> Result<(), DbError> {
    store::bind(tx, key, object_type, object_id).await
}
