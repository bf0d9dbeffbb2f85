//! Application fees: what the platform keeps of charges on connected accounts.

use partita_provider::{ApplicationFee, ApplicationFeeRefund, FetchError};

use super::balance_transaction::expanded;
use crate::amount::{minor, money};

/// An application fee with its refunds.
///
/// # Errors
/// [`FetchError::Unreadable`] for an amount or currency that cannot be.
pub(crate) fn application_fee(theirs: &stripe_shared::ApplicationFee) -> Result<ApplicationFee, FetchError> {
    let amount = money(theirs.amount, &theirs.currency)?;
    let refund = |refund: &stripe_shared::ApplicationFeeRefund| {
        Ok(ApplicationFeeRefund {
            id: refund.id.to_string(),
            amount: minor(refund.amount, amount.currency)?,
            balance_transaction: expanded(refund.balance_transaction.as_ref())?,
        })
    };
    Ok(ApplicationFee {
        id: theirs.id.to_string(),
        amount,
        account: theirs.account.id().to_string(),
        charge: theirs.charge.id().to_string(),
        balance_transaction: expanded(theirs.balance_transaction.as_ref())?,
        refunds: theirs.refunds.data.iter().map(refund).collect::<Result<_, FetchError>>()?,
        livemode: theirs.livemode,
    })
}
