//! How Stripe's test bank accounts behave.

/// Where bank accounts take instant payouts (docs.stripe.com/connect/instant-payouts#availability), the European Union by its
/// countries.
const INSTANT: [&str; 37] = [
    "AE", "AT", "AU", "BE", "BG", "CA", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GR", "HK", "HR", "HU",
    "IE", "IT", "LT", "LU", "LV", "MT", "MY", "NL", "NO", "NZ", "PL", "PT", "RO", "SE", "SG", "SI", "SK", "US",
];

/// How the bank accounts of a country are paid.
pub(crate) fn payout_methods(country: &str) -> &'static [&'static str] {
    if INSTANT.contains(&country) { &["standard", "instant"] } else { &["standard"] }
}

/// How payouts to Stripe's test account numbers fail (docs.stripe.com/connect/testing); the number may be the end of an
/// IBAN.
pub(crate) fn failure_of(digits: &str) -> Option<&'static str> {
    [
        ("111111116", "no_account"),
        ("111111113", "account_closed"),
        ("222222227", "insufficient_funds"),
        ("333333335", "debit_not_authorized"),
        ("444444440", "invalid_currency"),
    ]
    .into_iter()
    .find_map(|(ending, code)| digits.ends_with(ending).then_some(code))
}
