//! Disputes of charges.

use partita_provider::{Dispute, DisputeStatus, FetchError};
use stripe_shared::DisputeStatus as Theirs;

use super::balance_transaction::balance_transaction;
use super::metadata;
use crate::amount::money;

/// A dispute with its movements, which Stripe always includes.
///
/// # Errors
/// [`FetchError::Unreadable`] for an amount or currency that cannot be.
pub(crate) fn dispute(theirs: &stripe_shared::Dispute) -> Result<Dispute, FetchError> {
    Ok(Dispute {
        id: theirs.id.to_string(),
        status: status(&theirs.status),
        amount: money(theirs.amount, &theirs.currency)?,
        charge: theirs.charge.id().to_string(),
        payment: theirs.payment_intent.as_ref().map(|payment| payment.id().to_string()),
        reason: theirs.reason.clone(),
        due_by: theirs.evidence_details.due_by,
        submissions: i64::try_from(theirs.evidence_details.submission_count).unwrap_or(i64::MAX),
        movements: theirs.balance_transactions.iter().map(balance_transaction).collect::<Result<_, _>>()?,
        livemode: theirs.livemode,
        metadata: metadata(&theirs.metadata),
    })
}

fn status(theirs: &Theirs) -> DisputeStatus {
    match theirs {
        Theirs::WarningNeedsResponse => DisputeStatus::Inquiry,
        Theirs::WarningUnderReview => DisputeStatus::InquiryUnderReview,
        Theirs::NeedsResponse => DisputeStatus::NeedsResponse,
        Theirs::UnderReview => DisputeStatus::UnderReview,
        Theirs::Won => DisputeStatus::Won,
        Theirs::Lost => DisputeStatus::Lost,
        Theirs::WarningClosed | Theirs::Prevented => DisputeStatus::Closed,
        other => DisputeStatus::Other(other.as_str().to_owned()),
    }
}
