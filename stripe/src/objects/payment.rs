//! Payments: Stripe's payment intents, with their latest charge.

use partita_provider::{BalanceTransaction, Charge, ClientAction, FetchError, Payment, PaymentStatus};
use stripe_shared::PaymentIntentStatus;
use stripe_types::Expandable;

use super::balance_transaction::{balance_transaction, expanded};
use super::{metadata, refusal, transfer};
use crate::amount::{minor, money};

/// A payment. Its charge is read when the answer holds it, not when it only names it.
///
/// # Errors
/// [`FetchError::Unreadable`] for an amount or currency that cannot be.
pub(crate) fn payment(theirs: &stripe_shared::PaymentIntent) -> Result<Payment, FetchError> {
    let latest_charge = theirs.latest_charge.as_ref().and_then(Expandable::as_object);
    Ok(Payment {
        id: theirs.id.to_string(),
        status: status(&theirs.status),
        amount: money(theirs.amount, &theirs.currency)?,
        charge: latest_charge.map(charge).transpose()?.map(Box::new),
        client_action: client_action(theirs),
        last_error: theirs.last_payment_error.as_ref().map(|error| refusal(error, None)),
        livemode: theirs.livemode,
        metadata: metadata(&theirs.metadata),
    })
}

/// Only while the buyer is waited for.
fn client_action(theirs: &stripe_shared::PaymentIntent) -> Option<ClientAction> {
    let next = theirs.next_action.as_ref().filter(|_| theirs.status == PaymentIntentStatus::RequiresAction)?;
    let redirect = next.redirect_to_url.as_ref().and_then(|redirect| redirect.url.clone());
    Some(ClientAction { client_secret: theirs.client_secret.clone()?, redirect_url: redirect })
}

/// What Stripe calls the movement that gives back what was authorised and not captured
/// (<https://docs.stripe.com/reports/reporting-categories>).
const REST: &str = "partial_capture_reversal";

fn rest(theirs: &stripe_shared::Charge) -> Result<Option<BalanceTransaction>, FetchError> {
    let refunds = theirs.refunds.iter().flat_map(|refunds| &refunds.data);
    let movements = refunds.filter_map(|refund| refund.balance_transaction.as_ref().and_then(Expandable::as_object));
    movements.filter(|movement| movement.reporting_category == REST).map(balance_transaction).next().transpose()
}

fn charge(theirs: &stripe_shared::Charge) -> Result<Charge, FetchError> {
    let amount = money(theirs.amount, &theirs.currency)?;
    let card = theirs.payment_method_details.as_ref().and_then(|details| details.card.as_ref());
    Ok(Charge {
        id: theirs.id.to_string(),
        amount,
        captured_amount: minor(theirs.amount_captured, amount.currency)?,
        capture_before: card.and_then(|card| card.capture_before),
        rest_transaction: rest(theirs)?,
        failure_transaction: expanded(theirs.failure_balance_transaction.as_ref())?,
        paid: theirs.paid,
        balance_transaction: expanded(theirs.balance_transaction.as_ref())?,
        transfer: theirs.transfer.as_ref().and_then(Expandable::as_object).map(transfer).transpose()?,
        application_fee: theirs.application_fee.as_ref().map(|fee| fee.id().to_string()),
    })
}

fn status(theirs: &PaymentIntentStatus) -> PaymentStatus {
    match theirs {
        PaymentIntentStatus::RequiresPaymentMethod => PaymentStatus::RequiresPaymentMethod,
        PaymentIntentStatus::RequiresConfirmation => PaymentStatus::RequiresConfirmation,
        PaymentIntentStatus::RequiresAction => PaymentStatus::RequiresAction,
        PaymentIntentStatus::RequiresCapture => PaymentStatus::RequiresCapture,
        PaymentIntentStatus::Processing => PaymentStatus::Processing,
        PaymentIntentStatus::Succeeded => PaymentStatus::Succeeded,
        PaymentIntentStatus::Canceled => PaymentStatus::Canceled,
        other => PaymentStatus::Other(other.as_str().to_owned()),
    }
}
