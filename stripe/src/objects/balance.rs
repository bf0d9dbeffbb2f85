//! Balances.

use partita_provider::{Balance, BalanceAmount, FetchError, InstantAmount};

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
        instant: instant(theirs.instant_available.as_deref().unwrap_or_default())?,
    })
}

/// Of each currency, what each bank account or card takes: less the fee that the platform's pricing says.
fn instant(theirs: &[stripe_core::BalanceAmountNet]) -> Result<Vec<InstantAmount>, FetchError> {
    let by_currency = theirs.iter().flat_map(|gross| {
        let net = gross.net_available.as_deref().unwrap_or_default();
        net.iter().map(move |net| (net, &gross.currency))
    });
    by_currency
        .map(|(net, currency)| {
            Ok(InstantAmount { destination: net.destination.clone(), amount: money(net.amount, currency)? })
        })
        .collect()
}

fn amounts(theirs: &[stripe_core::BalanceAmount]) -> Result<Vec<BalanceAmount>, FetchError> {
    theirs.iter().map(|amount| money(amount.amount, &amount.currency)).collect()
}
