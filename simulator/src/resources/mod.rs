//! One file per resource of Stripe's API.

pub(crate) mod account_links;
pub(crate) mod accounts;
pub(crate) mod application_fees;
pub(crate) mod balance_transactions;
pub(crate) mod bank_accounts;
pub(crate) mod captures;
pub(crate) mod cards;
pub(crate) mod charges;
pub(crate) mod customers;
pub(crate) mod debits;
pub(crate) mod destinations;
pub(crate) mod disputes;
pub(crate) mod files;
pub(crate) mod onboarding;
pub(crate) mod payment_intents;
pub(crate) mod payment_methods;
pub(crate) mod payout_fees;
pub(crate) mod payouts;
pub(crate) mod refunds;
pub(crate) mod reversals;
pub(crate) mod setup_intents;
pub(crate) mod topups;
pub(crate) mod transfers;

use crate::context::{Answer, Cx};
use crate::error::ApiError;
use crate::params::Params;
use crate::store;

/// An object by the id of its path.
async fn retrieve(cx: &mut Cx, object: &str, id: &str, params: Params) -> Answer {
    params.finish()?;
    let found = store::find(&mut cx.conn, &cx.account, object, id).await?;
    let found = found.ok_or_else(|| ApiError::no_such(object, id))?;
    store::with_children(&mut cx.conn, found).await
}

/// `amount` and `currency` of a movement.
fn amount_and_currency(params: &mut Params) -> Result<(i64, String), ApiError> {
    let amount = params.required_integer("amount")?;
    let currency = params.currency("currency")?;
    crate::currency::check_amount(amount, &currency)?;
    Ok((amount, currency))
}
