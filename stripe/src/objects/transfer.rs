//! Money moved to connected accounts.

use partita_provider::{FetchError, Transfer};
use stripe_types::Expandable;

use super::balance_transaction::expanded;
use super::metadata;
use crate::amount::{minor, money};

/// A transfer. Its movement on the connected account is that of the payment it makes there.
///
/// # Errors
/// [`FetchError::Unreadable`] for an amount or currency that cannot be, and for a transfer without a destination,
/// which the generated type allows and we never make.
pub(crate) fn transfer(theirs: &stripe_shared::Transfer) -> Result<Transfer, FetchError> {
    let without = || FetchError::Unreadable(format!("transfer {} without a destination", theirs.id));
    let payment = theirs.destination_payment.as_ref().and_then(Expandable::as_object);
    let amount = money(theirs.amount, &theirs.currency)?;
    Ok(Transfer {
        id: theirs.id.to_string(),
        amount,
        amount_reversed: minor(theirs.amount_reversed, amount.currency)?,
        destination: theirs.destination.as_ref().ok_or_else(without)?.id().to_string(),
        source_charge: theirs.source_transaction.as_ref().map(|charge| charge.id().to_string()),
        balance_transaction: expanded(theirs.balance_transaction.as_ref())?,
        destination_transaction: expanded(payment.and_then(|payment| payment.balance_transaction.as_ref()))?,
        metadata: metadata(&theirs.metadata),
    })
}
