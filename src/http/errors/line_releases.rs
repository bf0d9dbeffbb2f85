//! Of lines whose share waits.

use super::{conflict, field, sentence};
use crate::http::problem::Problem;
use crate::http::problem_types;
use crate::payments::PaymentError;

/// Why a line is neither held nor released.
pub(super) fn problem(error: &PaymentError) -> Problem {
    match error {
        PaymentError::LineNotFound => Problem::not_found("payment line"),
        PaymentError::DeliveredLater => field(&["delivered_at"], &problem_types::OUT_OF_RANGE, error.to_string()),
        PaymentError::ReleasedAfterLimit { line, .. } => {
            let path = ["lines", &line.to_string(), "release", "after_days"];
            field(&path, &problem_types::OUT_OF_RANGE, error.to_string())
        }
        // It is the line in the path, not a field.
        PaymentError::LineOfPlatform { .. } | PaymentError::LineIsSent { .. } => {
            field(&[], &problem_types::NOT_ALLOWED, error.to_string())
        }
        _ => conflict(sentence(error)),
    }
}
