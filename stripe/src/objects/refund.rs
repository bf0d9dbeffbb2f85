//! Refunds to buyers.

use partita_provider::{FetchError, Refund, RefundStatus};

use super::balance_transaction::expanded;
use super::metadata;
use crate::amount::money;

/// A refund. Stripe's description of the object lets the status be null; that reads as an unknown, empty word.
///
/// # Errors
/// [`FetchError::Unreadable`] for an amount or currency that cannot be.
pub(crate) fn refund(theirs: &stripe_shared::Refund) -> Result<Refund, FetchError> {
    Ok(Refund {
        id: theirs.id.to_string(),
        status: status(theirs.status.as_deref().unwrap_or_default()),
        amount: money(theirs.amount, &theirs.currency)?,
        payment: theirs.payment_intent.as_ref().map(|payment| payment.id().to_string()),
        balance_transaction: expanded(theirs.balance_transaction.as_ref())?,
        failure_transaction: expanded(theirs.failure_balance_transaction.as_ref())?,
        failure_reason: theirs.failure_reason.clone(),
        metadata: theirs.metadata.as_ref().map(metadata).unwrap_or_default(),
    })
}

fn status(theirs: &str) -> RefundStatus {
    match theirs {
        "pending" => RefundStatus::Pending,
        "requires_action" => RefundStatus::RequiresAction,
        "succeeded" => RefundStatus::Succeeded,
        "failed" => RefundStatus::Failed,
        "canceled" => RefundStatus::Canceled,
        other => RefundStatus::Other(other.to_owned()),
    }
}
