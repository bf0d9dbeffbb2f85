//! What the demo prints when it is ready: everything to be pasted works as it stands.

use std::path::Path;

use super::marketplace::{NEWCOMER, SHOPS};
use super::place::{Marketplace, PortNumbers, State};

/// What there is to tell.
pub(super) struct Facts<'a> {
    pub(super) state: &'a State,
    pub(super) onboarding_link: &'a str,
    pub(super) folder: &'a Path,
    /// The folder for data, if one was named.
    pub(super) data: Option<&'a Path>,
    /// How the program was called.
    pub(super) program: &'a str,
}

/// The text. Its first `curl` makes a payment: a new one each time, for reference and key have the time and a random
/// number in them. They are words with a letter, so that their digits are never taken for a card's.
pub(super) fn text(facts: &Facts<'_>) -> String {
    let Facts { state, onboarding_link, folder, data, program } = facts;
    let Marketplace { api_key, sellers, example, .. } = &state.marketplace;
    let PortNumbers { service, admin, simulator } = state.ports;
    let ([first, second, ..], newcomer) = (sellers, &sellers[NEWCOMER]);
    let base = format!("http://127.0.0.1:{service}");
    let data = data.map_or_else(String::new, |data| format!(" --data '{}'", data.display()));
    let folder = folder.display();
    let shop = SHOPS[NEWCOMER].name;
    format!(
        r#"
Partita is running, with play money.

  Base URL   {base}
  API docs   {base}/docs/
  API key    {api_key}
  Metrics    http://127.0.0.1:{admin}/metrics
  Provider   http://127.0.0.1:{simulator} (simulated; it takes Stripe's test cards)
  Data       {folder}

Make a payment for a cart of two shops (paste it again for another one):

  curl -sS {base}/v1/payments \
    -H 'Authorization: Bearer {api_key}' \
    -H "Idempotency-Key: order_$(date +%s)_$RANDOM" \
    -H 'Content-Type: application/json' \
    -d '{{"reference": "order_'"$(date +%s)_$RANDOM"'", "amount": 12000, "currency": "EUR", "payment_method": "pm_card_visa", "lines": [{{"seller": "{first}", "amount": 6000, "tax": {{"amount": 1200}}}}, {{"seller": "{second}", "amount": 4000, "tax": {{"amount": 800}}}}]}}'

See what the ledger booked for a payment that was refunded in part (or put in the id of yours):

  curl -sS {base}/v1/payments/{example}/postings \
    -H 'Authorization: Bearer {api_key}'

Lead a seller ({shop}) through onboarding. The link works once, for 15 minutes; any name and IBAN will do:

  {onboarding_link}

Another link:

  curl -sS {base}/v1/sellers/{newcomer}/onboarding_links \
    -H 'Authorization: Bearer {api_key}' \
    -H 'Content-Type: application/json' \
    -d '{{"return_url": "{base}/"}}'

In another terminal:

  {program} verify{data}           recompute every invariant of the books
  {program} reconcile run{data}    compare the ledger with the provider, movement by movement

Ctrl-C stops everything. The data stay; `{program} demo reset{data}` removes them."#
    )
}
