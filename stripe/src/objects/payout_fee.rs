//! What the platform got for an instant payout: an application fee
//! (<https://docs.stripe.com/connect/instant-payouts#monetization-and-fees>).
//!
//! Read leniently: async-stripe's type wants a charge, and a payout's fee is of none.

use partita_provider::{BalanceTransaction, FetchError, PayoutFee};
use serde_json::Value;
use stripe_types::Currency;

use super::{balance_transaction, parse};
use crate::amount::money;

/// An application fee of a payout; none where it is of a charge.
///
/// # Errors
/// [`FetchError::Unreadable`] when it is no application fee, or a figure or currency of it cannot be.
pub(crate) fn payout_fee(body: &[u8]) -> Result<Option<PayoutFee>, FetchError> {
    let unreadable = |what: &str| FetchError::Unreadable(format!("an application fee {what}"));
    let theirs: Value = serde_json::from_slice(body).map_err(|_| unreadable("that is not JSON"))?;
    if theirs["object"] != "application_fee" {
        return Err(unreadable("that says that it is something else"));
    }
    if theirs["fee_source"]["type"] != "payout" {
        return Ok(None);
    }
    let payout = id_of(&theirs["fee_source"]["payout"]).ok_or_else(|| unreadable("of a payout without its id"))?;
    let id = theirs["id"].as_str().ok_or_else(|| unreadable("without id"))?;
    let account = id_of(&theirs["account"]).ok_or_else(|| unreadable("without account"))?;
    let amount = theirs["amount"].as_i64().ok_or_else(|| unreadable("without amount"))?;
    let code = theirs["currency"].as_str().ok_or_else(|| unreadable("without currency"))?;
    let currency: Currency = code.parse().map_err(|_| unreadable("in an unknown currency"))?;
    let refunds = theirs["refunds"]["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let refunds: Vec<_> =
        refunds.iter().map(|refund| movement(&refund["balance_transaction"])).collect::<Result<_, _>>()?;
    Ok(Some(PayoutFee {
        id: id.to_owned(),
        account: account.to_owned(),
        payout: payout.to_owned(),
        amount: money(amount, &currency)?,
        balance_transaction: movement(&theirs["balance_transaction"])?,
        refunds: refunds.into_iter().flatten().collect(),
    }))
}

/// The id, whether or not what it names was expanded.
fn id_of(field: &Value) -> Option<&str> {
    field.as_str().or_else(|| field["id"].as_str())
}

/// The movement, where it was expanded.
fn movement(field: &Value) -> Result<Option<BalanceTransaction>, FetchError> {
    if !field.is_object() {
        return Ok(None);
    }
    balance_transaction(&parse("balance transaction", field.to_string().as_bytes())?).map(Some)
}
