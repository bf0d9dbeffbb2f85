//! Movements on balances.

use partita_provider::{BalanceTransaction, FetchError, SettlementState};
use stripe_types::Expandable;

use crate::amount::{currency, minor};

/// A movement on a balance.
///
/// # Errors
/// [`FetchError::Unreadable`] for a figure, a currency or a status that cannot be: a status we do not know would leave
/// open whether the money can be used.
pub(crate) fn balance_transaction(
    theirs: &stripe_shared::BalanceTransaction,
) -> Result<BalanceTransaction, FetchError> {
    let currency = currency(&theirs.currency)?;
    Ok(BalanceTransaction {
        id: theirs.id.to_string(),
        kind: theirs.type_.as_str().to_owned(),
        amount: minor(theirs.amount, currency)?,
        fee: minor(theirs.fee, currency)?,
        net: minor(theirs.net, currency)?,
        currency,
        state: state(&theirs.status)?,
        available_on: theirs.available_on,
        created: theirs.created,
        source: theirs.source.as_ref().map(|source| source.id().to_string()),
        description: theirs.description.clone(),
        exchange_rate: theirs.exchange_rate.map(|rate| rate.to_string()),
    })
}

/// The movement, if the answer holds it: asked for without expansion, there is only its id.
///
/// # Errors
/// As [`balance_transaction`].
pub(super) fn expanded(
    theirs: Option<&Expandable<stripe_shared::BalanceTransaction>>,
) -> Result<Option<BalanceTransaction>, FetchError> {
    theirs.and_then(Expandable::as_object).map(balance_transaction).transpose()
}

fn state(status: &str) -> Result<SettlementState, FetchError> {
    match status {
        "pending" => Ok(SettlementState::Pending),
        "available" => Ok(SettlementState::Available),
        other => Err(FetchError::Unreadable(format!("balance transaction with status {other:?}"))),
    }
}
