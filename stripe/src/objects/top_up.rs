//! Money added from the platform's bank account.

use partita_provider::{FetchError, TopUp, TopUpStatus};
use stripe_shared::TopupStatus;

use super::balance_transaction::expanded;
use super::metadata;
use crate::amount::money;

/// A top-up.
///
/// # Errors
/// [`FetchError::Unreadable`] for an amount or currency that cannot be.
pub(crate) fn top_up(theirs: &stripe_shared::Topup) -> Result<TopUp, FetchError> {
    Ok(TopUp {
        id: theirs.id.to_string(),
        status: status(&theirs.status),
        amount: money(theirs.amount, &theirs.currency)?,
        balance_transaction: expanded(theirs.balance_transaction.as_ref())?,
        failure_code: theirs.failure_code.clone(),
        metadata: metadata(&theirs.metadata),
    })
}

fn status(theirs: &TopupStatus) -> TopUpStatus {
    match theirs {
        TopupStatus::Pending => TopUpStatus::Pending,
        TopupStatus::Succeeded => TopUpStatus::Succeeded,
        TopupStatus::Failed => TopUpStatus::Failed,
        TopupStatus::Canceled => TopUpStatus::Canceled,
        TopupStatus::Reversed => TopUpStatus::Reversed,
        other => TopUpStatus::Other(other.as_str().to_owned()),
    }
}
