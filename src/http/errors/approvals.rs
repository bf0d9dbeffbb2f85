//! Of what people propose, decide and adjust by hand.

use partita_provider::FetchError;

use super::{HALTED_RETRY, conflict, field, reference_taken, sentence};
use crate::adjustments::AdjustmentError;
use crate::approvals::ApprovalError;
use crate::debts::DebtError;
use crate::events::{ApplyError, Remedy};
use crate::http::problem::Problem;
use crate::http::problem_types;

impl From<ApprovalError> for Problem {
    fn from(error: ApprovalError) -> Self {
        match error {
            ApprovalError::NotFound => Self::not_found("approval"),
            ApprovalError::OperationNotFound => Self::not_found("operation"),
            ApprovalError::NotInReview { .. }
            | ApprovalError::AnotherPending
            | ApprovalError::Decided { .. }
            | ApprovalError::HasObject { .. } => conflict(sentence(&error)),
            ApprovalError::OwnProposal => Self::new(&problem_types::APPROVAL_OF_OWN_PROPOSAL),
            ApprovalError::NothingToAdopt => {
                field(&["provider_object"], &problem_types::NOT_ALLOWED, error.to_string())
            }
            ApprovalError::NotReadable(FetchError::NotFound) => {
                Self::new(&problem_types::PROVIDER_REFUSED).detail("The provider has no such object.".to_owned())
            }
            ApprovalError::NotReadable(_) => Self::new(&problem_types::PROVIDER_FAILED).caused_by(&error),
            ApprovalError::Halted => Self::new(&problem_types::MONEY_MOVEMENT_HALTED).retry_after(HALTED_RETRY),
            ApprovalError::Adjustment(error) => error.into(),
            ApprovalError::Payout(error) => error.into(),
            ApprovalError::Debt(error) => error.into(),
            ApprovalError::Refund(error) => error.into(),
            ApprovalError::Ledger(error) => error.into(),
            ApprovalError::Transfers(error) => error.into(),
            ApprovalError::Apply(ApplyError::Overtaken) => {
                conflict("The operation was ended by other news in the meantime.".to_owned())
            }
            ApprovalError::Apply(error) if error.remedy() == Remedy::Person => {
                Self::new(&problem_types::PROVIDER_REFUSED)
                    .detail(format!("The provider's object is not what was asked for: {error}."))
            }
            ApprovalError::Apply(error) => error.into(),
            ApprovalError::Provider(error) => error.into(),
            ApprovalError::Journal(error) => error.into(),
            ApprovalError::Db(error) => error.into(),
        }
    }
}

impl From<DebtError> for Problem {
    fn from(error: DebtError) -> Self {
        match error {
            DebtError::NotFound => Self::not_found("debt"),
            DebtError::NotOpen { .. } | DebtError::NotOnRung { .. } | DebtError::Overtaken => {
                conflict(sentence(&error))
            }
            DebtError::Db(error) => error.into(),
        }
    }
}

impl From<AdjustmentError> for Problem {
    fn from(error: AdjustmentError) -> Self {
        match error {
            AdjustmentError::NotFound => Self::not_found("adjustment"),
            AdjustmentError::UnknownSeller => {
                field(&["seller"], &problem_types::UNKNOWN_REFERENCE, "there is no such seller")
            }
            AdjustmentError::SellerCurrency { .. } => {
                field(&["currency"], &problem_types::CURRENCY_MISMATCH, error.to_string())
            }
            AdjustmentError::ReferenceTaken => reference_taken("adjustment"),
            AdjustmentError::NotBooked { .. }
            | AdjustmentError::ReversedAlready
            | AdjustmentError::IsReversal
            | AdjustmentError::Decided { .. } => conflict(sentence(&error)),
            AdjustmentError::Claim(error) => error.into(),
            AdjustmentError::Journal(error) => error.into(),
            AdjustmentError::Ledger(error) => error.into(),
            AdjustmentError::Db(error) => error.into(),
        }
    }
}
