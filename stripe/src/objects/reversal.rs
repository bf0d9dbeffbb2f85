//! Transfers taken back.

use partita_provider::{FetchError, Reversal};
use stripe_types::Expandable;

use super::balance_transaction::expanded;
use super::metadata;
use crate::amount::money;

/// A reversal. Its movement on the connected account is that of the refund of the payment the transfer made there.
///
/// # Errors
/// [`FetchError::Unreadable`] for an amount or currency that cannot be.
pub(crate) fn reversal(theirs: &stripe_shared::TransferReversal) -> Result<Reversal, FetchError> {
    let refund = theirs.destination_payment_refund.as_ref().and_then(Expandable::as_object);
    Ok(Reversal {
        id: theirs.id.to_string(),
        transfer: theirs.transfer.id().to_string(),
        amount: money(theirs.amount, &theirs.currency)?,
        balance_transaction: expanded(theirs.balance_transaction.as_ref())?,
        source_transaction: expanded(refund.and_then(|refund| refund.balance_transaction.as_ref()))?,
        metadata: theirs.metadata.as_ref().map(metadata).unwrap_or_default(),
    })
}
