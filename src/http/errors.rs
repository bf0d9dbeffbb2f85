//! What each capability's errors are to a client. Exhaustive: a new error does not compile until it has a place here.

mod approvals;
mod customers;
mod direct;
mod discounts;
mod line_releases;
mod payouts;
mod reserves;

use partita_ledger::LedgerError;
use partita_provider::{FetchError, PrepareError, Refusal};
use partita_webhooks::inbox::InboxError;

use super::idempotency;
use super::problem::{Place, Problem, ProviderProblem};
use super::problem_types::{self, FieldCode};
use crate::app::ProviderSetupError;
use crate::customers::CustomerError;
use crate::disputes::DisputeError;
use crate::events::ApplyError;
use crate::fees::{FeeError, TermsFault, TermsProblem};
use crate::idempotency::ClaimError;
use crate::journal::JournalError;
use crate::payments::{PaymentError, QuoteError, SimulationError};
use crate::reconciliation::ReconciliationError;
use crate::refunds::RefundError;
use crate::sellers::SellerError;
use crate::top_ups::TopUpError;
use crate::transfers::TransferError;
use crate::webhook_endpoints::WebhookError;

/// When to ask again in a halted book: a person has to look first.
const HALTED_RETRY: std::time::Duration = std::time::Duration::from_mins(5);

fn field(path: &[&str], code: &'static FieldCode, detail: impl Into<String>) -> Problem {
    Problem::invalid_field(path, code, detail)
}

fn line_field(line: usize, name: &str, code: &'static FieldCode, detail: impl Into<String>) -> Problem {
    Problem::invalid_field(&["lines", &line.to_string(), name], code, detail)
}

fn reference_taken(what: &'static str) -> Problem {
    Problem::new(&problem_types::REFERENCE_TAKEN).detail(format!("Another {what} has this reference.")).error(
        Place::Field("#/reference".to_owned()),
        &problem_types::INVALID_VALUE,
        "must be unique",
    )
}

fn conflict(detail: String) -> Problem {
    Problem::new(&problem_types::STATE_CONFLICT).detail(detail)
}

fn sentence(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), characters.as_str()),
        None => text,
    }
}

impl From<ProviderSetupError> for Problem {
    fn from(error: ProviderSetupError) -> Self {
        match error {
            ProviderSetupError::NotConnected => Self::new(&problem_types::PROVIDER_NOT_CONNECTED),
            ProviderSetupError::Secret(_) | ProviderSetupError::Unusable(_) => Self::internal(&error),
            ProviderSetupError::Db(error) => error.into(),
        }
    }
}

impl From<PrepareError> for Problem {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Amount(detail) => field(&["amount"], &problem_types::OUT_OF_RANGE, detail),
            PrepareError::Unsupported(detail) => Self::new(&problem_types::PROVIDER_REFUSED).detail(detail),
        }
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Db(error) => error.into(),
            // Whatever else the ledger says is about what we asked of it, never about the client's request.
            error => Self::internal(&error),
        }
    }
}

impl From<JournalError> for Problem {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Refused { .. } => Self::internal(&error),
            JournalError::Ledger(error) => error.into(),
            JournalError::Db(error) => error.into(),
        }
    }
}

impl From<SellerError> for Problem {
    fn from(error: SellerError) -> Self {
        match error {
            SellerError::NotFound => Self::not_found("seller"),
            SellerError::LinkNotFound => Self::not_found("onboarding link"),
            SellerError::ReferenceTaken => reference_taken("seller"),
            SellerError::Claim(error) => error.into(),
            SellerError::NoAccount => conflict(
                "The provider has not opened the seller's account yet. Try again when the seller shows provider.id."
                    .to_owned(),
            ),
            SellerError::LinkExpired => Self::new(&problem_types::LINK_EXPIRED),
            SellerError::LinkUsed => Self::new(&problem_types::LINK_USED),
            SellerError::ProviderUnavailable(_) => Self::new(&problem_types::PROVIDER_FAILED).caused_by(&error),
            SellerError::NoBankDetails => Self::not_found("bank details"),
            SellerError::OtherAccount | SellerError::TooMany | SellerError::Vault(_) => Self::internal(&error),
            SellerError::Prepare(error) => error.into(),
            SellerError::Provider(error) => error.into(),
            SellerError::Ledger(error) => error.into(),
            SellerError::Db(error) => error.into(),
        }
    }
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::NotFound => Self::not_found("webhook endpoint"),
            WebhookError::DeliveryNotFound => Self::not_found("delivery"),
            WebhookError::Destination(ref refused) => {
                field(&["url"], &problem_types::INVALID_VALUE, refused.to_string())
            }
            WebhookError::UnknownEvent { index, .. } => Self::invalid_field(
                &["events", &index.to_string()],
                &problem_types::INVALID_VALUE,
                "must be a type of event, everything of a resource such as payment.*, or *",
            ),
            WebhookError::TooManyEndpoints { .. } | WebhookError::TooManySecrets { .. } | WebhookError::NotEnabled => {
                conflict(sentence(&error))
            }
            WebhookError::RangeTooLarge { .. } => field(&["before"], &problem_types::TOO_MUCH, sentence(&error)),
            WebhookError::RangeEmpty => field(&["before"], &problem_types::OUT_OF_RANGE, "must be later than from"),
            WebhookError::Vault(_) | WebhookError::Key(_) => Self::internal(&error),
            WebhookError::Db(error) => error.into(),
        }
    }
}

impl From<FeeError> for Problem {
    fn from(error: FeeError) -> Self {
        match error {
            FeeError::NotFound => Self::not_found("fee policy"),
            FeeError::ReferenceTaken => reference_taken("fee policy"),
            FeeError::Claim(error) => error.into(),
            FeeError::Terms(fault) => rules_problem(&fault),
            FeeError::ValidFromPast => {
                field(&["valid_from"], &problem_types::OUT_OF_RANGE, "must be now or later: payments were priced since")
            }
            FeeError::Db(error) => error.into(),
        }
    }
}

/// What is wrong with terms that were given as rules.
pub(super) fn rules_problem(fault: &TermsFault) -> Problem {
    let path: Vec<&str> = std::iter::once("rules").chain(fault.path.iter().map(String::as_str)).collect();
    terms_problem(&path, fault)
}

/// What is wrong with terms, at `path`.
pub(super) fn terms_problem<S: AsRef<str>>(path: &[S], fault: &TermsFault) -> Problem {
    let code = match fault.problem {
        TermsProblem::NoRules | TermsProblem::TierCount { count: 0 } => &problem_types::TOO_SHORT,
        TermsProblem::TooManyRules { .. } | TermsProblem::TooManyValues { .. } | TermsProblem::TierCount { .. } => {
            &problem_types::TOO_LONG
        }
        TermsProblem::Unreachable { .. } => &problem_types::NOT_ALLOWED,
        TermsProblem::UnknownCountry => &problem_types::INVALID_VALUE,
        TermsProblem::UnknownSeller => &problem_types::UNKNOWN_REFERENCE,
        TermsProblem::EmptyRange
        | TermsProblem::PercentOutOfRange
        | TermsProblem::Negative
        | TermsProblem::MinimumAboveMaximum
        | TermsProblem::TiersDoNotAscend => &problem_types::OUT_OF_RANGE,
    };
    Problem::invalid_field(path, code, fault.to_string())
}

/// Why there is no quote; the lines stand as a cart, or the only one at the top.
pub(super) fn quote_problem(error: QuoteError, is_cart: bool) -> Problem {
    let of_seller = |line: usize, code, detail: String| {
        if is_cart { line_field(line, "seller", code, detail) } else { field(&["seller"], code, detail) }
    };
    match error {
        QuoteError::NotFound => Problem::not_found("fee policy"),
        QuoteError::UnknownSeller { line } => {
            of_seller(line, &problem_types::UNKNOWN_REFERENCE, "there is no such seller".to_owned())
        }
        QuoteError::SellerCurrency { line, seller } => {
            of_seller(line, &problem_types::CURRENCY_MISMATCH, format!("the seller is paid in {seller}"))
        }
        QuoteError::DiscountTooLarge { line, most } => discounts::too_large_to_quote(is_cart.then_some(line), most),
        QuoteError::Db(error) => error.into(),
    }
}

impl From<SimulationError> for Problem {
    fn from(error: SimulationError) -> Self {
        match error {
            SimulationError::UnknownVersion => {
                field(&["version"], &problem_types::UNKNOWN_REFERENCE, error.to_string())
            }
            SimulationError::PeriodEmpty | SimulationError::PeriodNotOver => {
                field(&["before"], &problem_types::OUT_OF_RANGE, error.to_string())
            }
            SimulationError::PeriodTooLong | SimulationError::TooManyLines => {
                field(&["before"], &problem_types::TOO_MUCH, error.to_string())
            }
            SimulationError::Fee(error) => error.into(),
            SimulationError::Db(error) => error.into(),
        }
    }
}

impl From<ClaimError> for Problem {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Reused => idempotency::reused(),
            ClaimError::Halted => Self::new(&problem_types::MONEY_MOVEMENT_HALTED).retry_after(HALTED_RETRY),
            ClaimError::Db(error) => error.into(),
        }
    }
}

impl From<PaymentError> for Problem {
    fn from(error: PaymentError) -> Self {
        match error {
            PaymentError::NotFound => Self::not_found("payment"),
            PaymentError::ReferenceTaken => reference_taken("payment"),
            PaymentError::Claim(error) => error.into(),
            PaymentError::WrongSum { .. } => field(&["amount"], &problem_types::SUM_MISMATCH, error.to_string()),
            PaymentError::DiscountOnNothing { line, named } => discounts::on_nothing(line, named),
            PaymentError::DiscountTooLarge { line, most, funded_by } => discounts::too_large(line, most, funded_by),
            PaymentError::TaxOfNothing { line } => {
                line_field(line, "tax", &problem_types::NOT_ALLOWED, "a line that costs nothing has no tax")
            }
            PaymentError::UnknownSeller { line } => {
                line_field(line, "seller", &problem_types::UNKNOWN_REFERENCE, "there is no such seller")
            }
            PaymentError::SellerFailed { line } => line_field(
                line,
                "seller",
                &problem_types::NOT_ALLOWED,
                "the provider refused to open this seller's account",
            ),
            PaymentError::SellerCurrency { line, seller, payment } => line_field(
                line,
                "seller",
                &problem_types::CURRENCY_MISMATCH,
                format!("the seller is paid in {seller}, the payment is in {payment}"),
            ),
            PaymentError::UnknownFeePolicy { line } => {
                line_field(line, "fee_policy", &problem_types::UNKNOWN_REFERENCE, "there is no such fee policy")
            }
            PaymentError::TaxOfNoSeller { line } => line_field(
                line,
                "tax/liability",
                &problem_types::NOT_ALLOWED,
                "the line is the platform's own: no seller owes its tax",
            ),
            PaymentError::SeveralSellers { line } | PaymentError::SellerNotReady { line } => {
                line_field(line, "seller", &problem_types::NOT_ALLOWED, error.to_string())
            }
            PaymentError::NothingToSend
            | PaymentError::ShareKeptBack
            | PaymentError::ShareWaits
            | PaymentError::SellerPaidByBank => field(&["charge_type"], &problem_types::NOT_ALLOWED, error.to_string()),
            PaymentError::LineNotFound
            | PaymentError::LineOfPlatform { .. }
            | PaymentError::LineIsSent { .. }
            | PaymentError::LineState { .. }
            | PaymentError::DeliveredLater
            | PaymentError::ReleasedAfterLimit { .. } => line_releases::problem(&error),
            PaymentError::ShareNotMovable(_) => {
                field(&["charge_type"], &problem_types::OUT_OF_RANGE, error.to_string())
            }
            PaymentError::NothingToSendOfCapture => field(&["amount"], &problem_types::NOT_ALLOWED, error.to_string()),
            PaymentError::MerchantNotInCart => {
                field(&["on_behalf_of"], &problem_types::UNKNOWN_REFERENCE, error.to_string())
            }
            PaymentError::UnknownCustomer | PaymentError::CustomerNotActive(_) => {
                customers::of_payer("customer", &error)
            }
            PaymentError::UnknownMethod | PaymentError::MethodOfAnother | PaymentError::MethodNotSaved(_) => {
                customers::of_payer("payment_method", &error)
            }
            PaymentError::NotDirect(why) => why.into(),
            PaymentError::NotSavedForLater => customers::of_payer("off_session", &error),
            PaymentError::MerchantNotReady => field(&["on_behalf_of"], &problem_types::NOT_ALLOWED, error.to_string()),
            PaymentError::WrongState { .. } | PaymentError::CommandOpen => conflict(sentence(&error)),
            PaymentError::MoreThanAuthorized { .. } => field(&["amount"], &problem_types::TOO_MUCH, error.to_string()),
            PaymentError::MoreThanAuthorizedOfLine { index, .. } => {
                line_field(index, "amount", &problem_types::TOO_MUCH, error.to_string())
            }
            PaymentError::UnknownLine { index, .. } => {
                line_field(index, "line", &problem_types::UNKNOWN_REFERENCE, error.to_string())
            }
            PaymentError::RepeatedLine { index, .. } => {
                line_field(index, "line", &problem_types::NOT_ALLOWED, error.to_string())
            }
            PaymentError::Contradiction(_) | PaymentError::Incomplete(_) => Self::internal(&error),
            PaymentError::Prepare(error) => error.into(),
            PaymentError::Reserve(error) => error.into(),
            PaymentError::Provider(error) => error.into(),
            PaymentError::Journal(error) => error.into(),
            PaymentError::Ledger(error) => error.into(),
            PaymentError::Db(error) => error.into(),
        }
    }
}

impl From<RefundError> for Problem {
    fn from(error: RefundError) -> Self {
        let of_line = |index: usize, name: &str, code, detail: String| line_field(index, name, code, detail);
        match error {
            RefundError::NotFound => Self::not_found("refund"),
            RefundError::PaymentNotFound => {
                field(&["payment"], &problem_types::UNKNOWN_REFERENCE, "there is no such payment")
            }
            RefundError::ReferenceTaken => reference_taken("refund"),
            RefundError::Claim(error) => error.into(),
            RefundError::WrongState { .. }
            | RefundError::NothingLeft
            | RefundError::NotReturned { .. }
            | RefundError::SellersRefund => conflict(sentence(&error)),
            RefundError::Disputed { .. } => Self::new(&problem_types::PAYMENT_DISPUTED).detail(sentence(&error)),
            RefundError::MoreThanLeft { .. } => field(&["amount"], &problem_types::TOO_MUCH, error.to_string()),
            RefundError::MoreThanLeftOfLine { index, .. } => {
                of_line(index, "amount", &problem_types::TOO_MUCH, error.to_string())
            }
            RefundError::UnknownLine { index, .. } => {
                of_line(index, "line", &problem_types::UNKNOWN_REFERENCE, error.to_string())
            }
            RefundError::RepeatedLine { index, .. } => {
                of_line(index, "line", &problem_types::NOT_ALLOWED, error.to_string())
            }
            RefundError::Contradiction(_) | RefundError::Incomplete(_) => Self::internal(&error),
            RefundError::Prepare(error) => error.into(),
            RefundError::Provider(error) => error.into(),
            RefundError::Transfers(error) => error.into(),
            RefundError::Payment(error) => error.into(),
            RefundError::Reserve(error) => error.into(),
            RefundError::Journal(error) => error.into(),
            RefundError::Db(error) => error.into(),
        }
    }
}

impl From<DisputeError> for Problem {
    fn from(error: DisputeError) -> Self {
        match error {
            DisputeError::NotFound => Self::not_found("dispute"),
            DisputeError::Claim(error) => error.into(),
            DisputeError::WrongState { .. }
            | DisputeError::Submitted
            | DisputeError::Late
            | DisputeError::CommandOpen => conflict(sentence(&error)),
            DisputeError::Contradiction(_) | DisputeError::Incomplete(_) => Self::internal(&error),
            DisputeError::Upload { provider, error: FetchError::Refused(refusal) } => {
                let Refusal { code, request_id, .. } = refusal;
                let provider = ProviderProblem { name: provider.to_owned(), code, decline_code: None, request_id };
                Self::new(&problem_types::PROVIDER_REFUSED).provider(provider)
            }
            DisputeError::Upload { .. } => Self::new(&problem_types::PROVIDER_FAILED).caused_by(&error),
            DisputeError::Prepare(error) => error.into(),
            DisputeError::Provider(error) => error.into(),
            DisputeError::Transfers(error) => error.into(),
            DisputeError::Reserve(error) => error.into(),
            DisputeError::Ledger(error) => error.into(),
            DisputeError::Db(error) => error.into(),
        }
    }
}

impl From<TransferError> for Problem {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::NotFound => Self::not_found("transfer"),
            TransferError::PaymentNotFound => Self::not_found("payment"),
            TransferError::SellerHasNoAccount => conflict(sentence(&error)),
            TransferError::Contradiction(_) | TransferError::Incomplete(_) => Self::internal(&error),
            TransferError::Payment(error) => error.into(),
            TransferError::Debt(error) => error.into(),
            TransferError::Reserve(error) => error.into(),
            TransferError::Prepare(error) => error.into(),
            TransferError::Provider(error) => error.into(),
            TransferError::Journal(error) => error.into(),
            TransferError::Ledger(error) => error.into(),
            TransferError::Db(error) => error.into(),
        }
    }
}

impl From<TopUpError> for Problem {
    fn from(error: TopUpError) -> Self {
        match error {
            TopUpError::NotFound => Self::not_found("top-up"),
            TopUpError::ReferenceTaken => reference_taken("top-up"),
            TopUpError::Claim(error) => error.into(),
            TopUpError::Contradiction(_) | TopUpError::Incomplete(_) => Self::internal(&error),
            TopUpError::Prepare(error) => error.into(),
            TopUpError::Provider(error) => error.into(),
            TopUpError::Journal(error) => error.into(),
            TopUpError::Ledger(error) => error.into(),
            TopUpError::Db(error) => error.into(),
        }
    }
}

impl From<InboxError> for Problem {
    fn from(error: InboxError) -> Self {
        match error {
            InboxError::Db(error) => error.into(),
            error => Self::internal(&error),
        }
    }
}

impl From<ApplyError> for Problem {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Provider(error) => error.into(),
            ApplyError::Ledger(error) => error.into(),
            ApplyError::Db(error) => error.into(),
            ApplyError::Customer(CustomerError::MethodNotFound) => Self::not_found("payment method"),
            ApplyError::Payment(PaymentError::NotFound) => Self::not_found("payment"),
            ApplyError::Fetch(_) => Self::new(&problem_types::PROVIDER_FAILED).caused_by(&error),
            // The client asked nothing wrong: what the provider said could not be taken.
            error => Self::internal(&error),
        }
    }
}

impl From<ReconciliationError> for Problem {
    fn from(error: ReconciliationError) -> Self {
        match error {
            ReconciliationError::NotFound => Self::not_found("reconciliation run"),
            ReconciliationError::AlreadyRunning | ReconciliationError::Overtaken => conflict(sentence(&error)),
            ReconciliationError::Fetch(FetchError::Unreachable(_)) => {
                Self::new(&problem_types::PROVIDER_FAILED).caused_by(&error)
            }
            ReconciliationError::Fetch(_) => Self::internal(&error),
            ReconciliationError::Provider(error) => error.into(),
            ReconciliationError::Apply(error) => error.into(),
            ReconciliationError::Ledger(error) => error.into(),
            ReconciliationError::Db(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RequestId;

    fn first_error(problem: &Problem) -> (u16, Option<String>, String) {
        let body = problem.body(RequestId::new());
        let error = body.errors.into_iter().next().expect("a fault");
        (body.status, error.pointer, error.code)
    }

    #[test]
    fn a_fault_of_a_line_points_at_it() {
        let problem = Problem::from(PaymentError::UnknownSeller { line: 2 });
        assert_eq!(first_error(&problem), (422, Some("#/lines/2/seller".to_owned()), "unknown_reference".to_owned()));
        let problem = Problem::from(RefundError::MoreThanLeftOfLine { index: 1, line: 4, asked: 5, left: 3 });
        assert_eq!(first_error(&problem), (422, Some("#/lines/1/amount".to_owned()), "too_much".to_owned()));
    }

    #[test]
    fn a_state_that_forbids_it_is_a_conflict_in_words() {
        let status = crate::payments::PaymentStatus::Succeeded;
        let body = Problem::from(PaymentError::WrongState { action: "canceled", status }).body(RequestId::new());
        assert_eq!((body.status, body.code.as_str()), (409, "state_conflict"));
        assert_eq!(body.detail.as_deref(), Some("A payment that is succeeded cannot be canceled."));
    }

    #[test]
    fn contradictions_are_ours_and_private() {
        let body = Problem::from(PaymentError::Contradiction("12 EUR".to_owned())).body(RequestId::new());
        assert_eq!((body.status, body.detail), (500, None));
    }
}
