//! What the errors of customers and saved methods are to a client.

use super::{Problem, conflict, field, problem_types, reference_taken, sentence};
use crate::customers::CustomerError;
use crate::payments::PaymentError;

impl From<CustomerError> for Problem {
    fn from(error: CustomerError) -> Self {
        match error {
            CustomerError::NotFound => Self::not_found("customer"),
            CustomerError::MethodNotFound => Self::not_found("payment method"),
            CustomerError::UnknownCustomer => {
                field(&["customer"], &problem_types::UNKNOWN_REFERENCE, error.to_string())
            }
            CustomerError::CustomerNotActive(_) => field(&["customer"], &problem_types::NOT_ALLOWED, error.to_string()),
            CustomerError::ReferenceTaken => reference_taken("customer"),
            CustomerError::WrongState(_) | CustomerError::CommandOpen => conflict(sentence(&error)),
            CustomerError::Claim(error) => error.into(),
            CustomerError::Contradiction(_) | CustomerError::Incomplete(_) => Self::internal(&error),
            CustomerError::Prepare(error) => error.into(),
            CustomerError::Provider(error) => error.into(),
            CustomerError::Db(error) => error.into(),
        }
    }
}

/// What a payment names of customers and saved methods, and cannot.
pub(super) fn of_payer(name: &str, error: &PaymentError) -> Problem {
    let code = match error {
        PaymentError::UnknownCustomer | PaymentError::UnknownMethod => &problem_types::UNKNOWN_REFERENCE,
        _ => &problem_types::NOT_ALLOWED,
    };
    field(&[name], code, error.to_string())
}
