//! Of sellers' payouts.

use super::{conflict, field, reference_taken, sentence};
use crate::http::problem::Problem;
use crate::http::problem_types;
use crate::payouts::PayoutError;
use crate::payouts::platform::Coverage;

/// What is free, and what is not for whom; minor units.
fn in_numbers(coverage: &Coverage) -> String {
    let Coverage { available, pending, sellers_now, sellers_pending, taxes, clearing, going_out, .. } = coverage;
    let converted = match coverage.positions_now + coverage.positions_pending {
        0 => String::new(),
        held => format!("; {held} is for payments in other currencies"),
    };
    format!(
        "no more than {} is free: {available} is usable at the provider, of which {sellers_now} is sellers', {taxes} taxes, \
         {clearing} in refunds and transfers that are asked, {going_out} in payouts that are asked; sellers wait for \
         {sellers_pending}, of which {pending} is there and not usable yet{converted}",
        coverage.free().max(0)
    )
}

impl From<PayoutError> for Problem {
    fn from(error: PayoutError) -> Self {
        match error {
            PayoutError::NotFound => Self::not_found("payout"),
            PayoutError::ReferenceTaken => reference_taken("payout"),
            PayoutError::SellerUnknown => {
                field(&["seller"], &problem_types::UNKNOWN_REFERENCE, "there is no such seller")
            }
            PayoutError::OtherCurrency { .. } => {
                field(&["currency"], &problem_types::CURRENCY_MISMATCH, error.to_string())
            }
            PayoutError::NotCovered { coverage, .. } => {
                field(&["amount"], &problem_types::TOO_MUCH, in_numbers(&coverage))
            }
            PayoutError::TooMuch { .. } => field(&["amount"], &problem_types::TOO_MUCH, error.to_string()),
            PayoutError::FileReferenceTaken => reference_taken("bank file"),
            PayoutError::ExecutedWhen { .. } => field(&["execute_on"], &problem_types::OUT_OF_RANGE, error.to_string()),
            PayoutError::NotPayable { .. }
            | PayoutError::NotBlocked
            | PayoutError::NotByBank
            | PayoutError::State { .. }
            | PayoutError::Waiting
            | PayoutError::NoOwnAccount { .. }
            | PayoutError::NothingWaits { .. } => conflict(sentence(&error)),
            PayoutError::ProviderUnavailable(_) => Self::new(&problem_types::PROVIDER_FAILED).caused_by(&error),
            PayoutError::Adjustment(error) => error.into(),
            PayoutError::Vault(_) => Self::internal(&error),
            PayoutError::Contradiction(_) | PayoutError::Incomplete(_) | PayoutError::OutOfRange => {
                Self::internal(&error)
            }
            PayoutError::Seller(error) => error.into(),
            PayoutError::Claim(error) => error.into(),
            PayoutError::Prepare(error) => error.into(),
            PayoutError::Provider(error) => error.into(),
            PayoutError::Transfer(error) => error.into(),
            PayoutError::Journal(error) => error.into(),
            PayoutError::Ledger(error) => error.into(),
            PayoutError::Db(error) => error.into(),
        }
    }
}
