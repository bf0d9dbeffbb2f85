//! Payments: Stripe's payment intents, with their latest charge.

use partita_provider::{Charge, FetchError, Payment, PaymentStatus};
use stripe_shared::PaymentIntentStatus;
use stripe_types::Expandable;

use super::balance_transaction::expanded;
use super::{metadata, refusal};
use crate::amount::money;

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
        charge: latest_charge.map(charge).transpose()?,
        last_error: theirs.last_payment_error.as_ref().map(|error| refusal(error, None)),
        livemode: theirs.livemode,
        metadata: metadata(&theirs.metadata),
    })
}

fn charge(theirs: &stripe_shared::Charge) -> Result<Charge, FetchError> {
    Ok(Charge {
        id: theirs.id.to_string(),
        amount: money(theirs.amount, &theirs.currency)?,
        paid: theirs.paid,
        balance_transaction: expanded(theirs.balance_transaction.as_ref())?,
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
