//! Of what is kept back.

use super::{conflict, field, sentence};
use crate::http::problem::Problem;
use crate::http::problem_types;
use crate::reserves::ReserveError;

impl From<ReserveError> for Problem {
    fn from(error: ReserveError) -> Self {
        match error {
            ReserveError::NotFound => Self::not_found("reserve"),
            ReserveError::SellerNotFound => {
                field(&["seller"], &problem_types::UNKNOWN_REFERENCE, "there is no such seller")
            }
            ReserveError::SellerCurrency { .. } => {
                field(&["currency"], &problem_types::CURRENCY_MISMATCH, error.to_string())
            }
            ReserveError::ReleasedBeforeMade => {
                field(&["release_on"], &problem_types::OUT_OF_RANGE, "must be a day in the future")
            }
            ReserveError::NotOpen { .. } | ReserveError::Overtaken => conflict(sentence(&error)),
            ReserveError::Claim(error) => error.into(),
            ReserveError::Db(error) => error.into(),
        }
    }
}
