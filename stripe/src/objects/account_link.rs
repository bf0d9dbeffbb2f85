//! Addresses of Stripe's hosted onboarding.

use partita_provider::AccountLink;

/// An address of hosted onboarding.
pub(crate) fn account_link(theirs: stripe_connect::AccountLink) -> AccountLink {
    AccountLink { url: theirs.url, expires_at: theirs.expires_at }
}
