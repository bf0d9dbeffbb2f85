//! How Stripe's test bank accounts behave.

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
