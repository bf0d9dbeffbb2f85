//! Payouts to bank accounts.

use partita_provider::{FetchError, Payout, PayoutStatus};

use super::balance_transaction::expanded;
use super::metadata;
use crate::amount::money;

/// A payout.
///
/// # Errors
/// [`FetchError::Unreadable`] for an amount or currency that cannot be.
pub(crate) fn payout(theirs: &stripe_shared::Payout) -> Result<Payout, FetchError> {
    Ok(Payout {
        id: theirs.id.to_string(),
        status: status(&theirs.status),
        amount: money(theirs.amount, &theirs.currency)?,
        arrival_on: theirs.arrival_date,
        automatic: theirs.automatic,
        destination: theirs.destination.as_ref().map(|destination| destination.id().to_string()),
        balance_transaction: expanded(theirs.balance_transaction.as_ref())?,
        failure_transaction: expanded(theirs.failure_balance_transaction.as_ref())?,
        failure_code: theirs.failure_code.clone(),
        metadata: theirs.metadata.as_ref().map(metadata).unwrap_or_default(),
    })
}

fn status(theirs: &str) -> PayoutStatus {
    match theirs {
        "pending" => PayoutStatus::Pending,
        "in_transit" => PayoutStatus::InTransit,
        "paid" => PayoutStatus::Paid,
        "failed" => PayoutStatus::Failed,
        "canceled" => PayoutStatus::Canceled,
        other => PayoutStatus::Other(other.to_owned()),
    }
}
