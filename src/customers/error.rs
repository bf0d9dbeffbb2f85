use partita_db::DbError;
use partita_provider::PrepareError;

use super::{CustomerStatus, MethodStatus};
use crate::app::ProviderSetupError;
use crate::idempotency::ClaimError;

/// Why something cannot be done with a customer or a saved method.
#[derive(Debug, thiserror::Error)]
pub enum CustomerError {
    /// No such customer in this book.
    #[error("no such customer")]
    NotFound,
    /// No such saved method in this book.
    #[error("no such payment method")]
    MethodNotFound,
    /// A method is to be saved for a customer that this book does not have.
    #[error("there is no such customer")]
    UnknownCustomer,
    /// A method is to be saved for a customer that the provider does not know.
    #[error("the customer is {} and has no methods", .0.as_str())]
    CustomerNotActive(CustomerStatus),
    /// Another customer has the reference.
    #[error("a customer with this reference exists")]
    ReferenceTaken,
    /// Only what is saved can be detached.
    #[error("a payment method that is {} cannot be detached", .0.as_str())]
    WrongState(MethodStatus),
    /// It is being detached by another request.
    #[error("the payment method is being detached already")]
    CommandOpen,
    /// The idempotency key cannot be claimed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The provider's object contradicts ours: nothing is taken, a person has to look.
    #[error("the provider's object contradicts what was asked: {0}")]
    Contradiction(String),
    /// The provider's object lacks what is needed; read again later it may have it.
    #[error("the provider's object is not complete yet: {0}")]
    Incomplete(&'static str),
    /// The provider cannot take the command.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The provider is not set up.
    #[error(transparent)]
    Provider(#[from] ProviderSetupError),
    /// The database refused.
    #[error(transparent)]
    Db(#[from] DbError),
}
