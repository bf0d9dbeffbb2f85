//! Stripe's objects in our words: pure, one file per resource. async-stripe's types have parsed the JSON before.
//!
//! Where a generated type is narrower than what Stripe may lawfully send, the file of that resource says so.

mod account;
mod account_link;
mod application_fee;
mod balance;
mod balance_transaction;
mod customer;
mod dispute;
pub(crate) mod expand;
mod payment;
mod payout;
mod payout_fee;
mod refund;
mod reversal;
mod setup;
mod top_up;
mod transfer;

use std::collections::{BTreeMap, HashMap};

pub(crate) use account::account;
pub(crate) use account_link::account_link;
pub(crate) use application_fee::application_fee;
pub(crate) use balance::balance;
pub(crate) use balance_transaction::balance_transaction;
pub(crate) use customer::customer;
pub(crate) use dispute::dispute;
pub(crate) use expand::expand;
use partita_provider::{FetchError, Refusal};
pub(crate) use payment::payment;
pub(crate) use payout::payout;
pub(crate) use payout_fee::payout_fee;
pub(crate) use refund::refund;
pub(crate) use reversal::reversal;
pub(crate) use setup::{method, setup};
use stripe_shared::ApiErrors;
pub(crate) use top_up::top_up;
pub(crate) use transfer::transfer;

/// Parses a body as one of async-stripe's types.
///
/// Their parser reports no position, so the error can only name what was expected.
///
/// # Errors
/// [`FetchError::Unreadable`] for anything that is not UTF-8, not JSON, or lacks a field that the type requires.
pub(crate) fn parse<T: miniserde::Deserialize>(expected: &str, body: &[u8]) -> Result<T, FetchError> {
    let unreadable = || FetchError::Unreadable(format!("{} bytes that are not Stripe's {expected}", body.len()));
    let text = std::str::from_utf8(body).map_err(|_| unreadable())?;
    miniserde::json::from_str(text).map_err(|_| unreadable())
}

/// An error of Stripe's as a refusal.
pub(crate) fn refusal(error: &ApiErrors, request_id: Option<String>) -> Refusal {
    Refusal {
        code: error.code.as_ref().map_or("unknown", |code| code.as_str()).to_owned(),
        decline_code: error.decline_code.clone(),
        message: error.message.clone().unwrap_or_default(),
        request_id,
    }
}

fn metadata(kept: &HashMap<String, String>) -> BTreeMap<String, String> {
    kept.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}
