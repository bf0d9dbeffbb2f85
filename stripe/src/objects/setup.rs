//! Payment methods, and Stripe's setup intents, which save them for later.

use partita_provider::{CardLooks, ClientAction, Method, Setup, SetupStatus};
use stripe_shared::SetupIntentStatus;
use stripe_types::Expandable;

use super::{metadata, refusal};

/// The set-up of a method. The method is read when the answer holds it, not when it only names it.
pub(crate) fn setup(theirs: &stripe_shared::SetupIntent) -> Setup {
    Setup {
        id: theirs.id.to_string(),
        status: status(&theirs.status),
        customer: theirs.customer.as_ref().map(|customer| customer.id().to_string()),
        method: theirs.payment_method.as_ref().and_then(Expandable::as_object).map(method),
        client_action: client_action(theirs),
        last_error: theirs.last_setup_error.as_ref().map(|error| refusal(error, None)),
        metadata: theirs.metadata.as_ref().map(metadata).unwrap_or_default(),
    }
}

/// Only while the buyer is waited for.
fn client_action(theirs: &stripe_shared::SetupIntent) -> Option<ClientAction> {
    let next = theirs.next_action.as_ref().filter(|_| theirs.status == SetupIntentStatus::RequiresAction)?;
    let redirect = next.redirect_to_url.as_ref().and_then(|redirect| redirect.url.clone());
    Some(ClientAction { client_secret: theirs.client_secret.clone()?, redirect_url: redirect })
}

/// A payment method.
pub(crate) fn method(theirs: &stripe_shared::PaymentMethod) -> Method {
    Method {
        id: theirs.id.to_string(),
        customer: theirs.customer.as_ref().map(|customer| customer.id().to_string()),
        kind: theirs.type_.as_str().to_owned(),
        card: theirs.card.as_ref().map(|card| CardLooks {
            brand: card.brand.clone(),
            last4: card.last4.clone(),
            expires_month: card.exp_month,
            expires_year: card.exp_year,
        }),
    }
}

fn status(theirs: &SetupIntentStatus) -> SetupStatus {
    match theirs {
        SetupIntentStatus::RequiresPaymentMethod => SetupStatus::RequiresPaymentMethod,
        SetupIntentStatus::RequiresAction => SetupStatus::RequiresAction,
        SetupIntentStatus::Processing | SetupIntentStatus::RequiresConfirmation => SetupStatus::Processing,
        SetupIntentStatus::Succeeded => SetupStatus::Succeeded,
        SetupIntentStatus::Canceled => SetupStatus::Canceled,
        other => SetupStatus::Other(other.as_str().to_owned()),
    }
}
