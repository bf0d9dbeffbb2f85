//! Balances.

use partita_provider::{Balance, BalanceAmount, FetchError};

use crate::amount::money;

/// A balance, per currency and state.
///
/// # Errors
/// [`FetchError::Unreadable`] for an amount or currency that cannot be.
pub(crate) fn balance(theirs: &stripe_core::Balance) -> Result<Balance, FetchError> {
    Ok(Balance {
        available: amounts(&theirs.available)?,
        pending: amounts(&theirs.pending)?,
        reserved: amounts(theirs.connect_reserved.as_deref().unwrap_or_default())?,
    })
}

fn amounts(theirs: &[stripe_core::BalanceAmount]) -> Result<Vec<BalanceAmount>, FetchError> {
    theirs.iter().map(|amount| money(amount.amount, &amount.currency)).collect()
}
