//! Connected accounts.

use std::collections::BTreeMap;

use partita_provider::{Account, PayoutInterval};
use stripe_shared::{AccountCapabilities, ExternalAccount};

use super::metadata;

/// A connected account. One that was deleted parses too, and may do nothing.
pub(crate) fn account(theirs: &stripe_shared::Account) -> Account {
    let requirements = theirs.requirements.as_ref();
    let list = |of: Option<&Vec<String>>| of.cloned().unwrap_or_default();
    Account {
        id: theirs.id.to_string(),
        charges_enabled: theirs.charges_enabled.unwrap_or(false),
        payouts_enabled: theirs.payouts_enabled.unwrap_or(false),
        details_submitted: theirs.details_submitted.unwrap_or(false),
        capabilities: theirs.capabilities.as_ref().map(capabilities).unwrap_or_default(),
        currently_due: list(requirements.and_then(|r| r.currently_due.as_ref())),
        past_due: list(requirements.and_then(|r| r.past_due.as_ref())),
        disabled_reason: requirements.and_then(|r| r.disabled_reason.as_ref()).map(|r| r.as_str().to_owned()),
        deadline: requirements.and_then(|r| r.current_deadline),
        payout_interval: payout_interval(theirs),
        bank_account: bank_account(theirs),
        metadata: theirs.metadata.as_ref().map(metadata).unwrap_or_default(),
    }
}

/// The default for the account's currency, or else any default.
fn bank_account(theirs: &stripe_shared::Account) -> Option<String> {
    let all = &theirs.external_accounts.as_ref()?.data;
    let read = |external: &ExternalAccount| match external {
        ExternalAccount::BankAccount(bank) => {
            (bank.id.to_string(), bank.default_for_currency, Some(bank.currency.clone()))
        }
        ExternalAccount::Card(card) => (card.id.to_string(), card.default_for_currency, card.currency.clone()),
    };
    let defaults: Vec<_> = all.iter().map(read).filter(|(_, default, _)| *default == Some(true)).collect();
    let fits = defaults.iter().find(|(_, _, currency)| *currency == theirs.default_currency);
    fits.or(defaults.first()).map(|(id, _, _)| id.clone())
}

/// Weekly and monthly schedules, which somebody set at Stripe, are Stripe's to carry out as the daily one is.
fn payout_interval(theirs: &stripe_shared::Account) -> Option<PayoutInterval> {
    let payouts = theirs.settings.as_ref()?.payouts.as_ref()?;
    Some(if payouts.schedule.interval == "manual" { PayoutInterval::Manual } else { PayoutInterval::Daily })
}

/// The capabilities that we ask for. The generated type has a field for each of Stripe's seventy and no way to walk
/// over them; the others decide nothing here.
fn capabilities(theirs: &AccountCapabilities) -> BTreeMap<String, String> {
    [("card_payments", &theirs.card_payments), ("transfers", &theirs.transfers)]
        .into_iter()
        .filter_map(|(name, status)| Some((name.to_owned(), status.as_ref()?.as_str().to_owned())))
        .collect()
}
