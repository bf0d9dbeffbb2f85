//! How much of something one person may decide alone in a day of UTC, as it was declared by two.

use partita_provider::{Currency, Money};

/// What was declared for a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// In which currency.
    pub currency: Currency,
    /// Minor units.
    pub alone_up_to: i64,
    /// Counts the declarations for the currency, from 1.
    pub version: i32,
}

impl Limit {
    /// Whether `amount` more is within the limit of its currency, after `alone` was decided alone before; minor units. A
    /// currency without a limit: nothing is.
    pub fn allows(limits: &[Self], amount: Money, alone: i64) -> bool {
        let most = limits.iter().find(|limit| limit.currency == amount.currency).map_or(0, |limit| limit.alone_up_to);
        alone.checked_add(amount.minor).is_some_and(|sum| sum <= most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_decided_alone_before_counts_in_its_currency_only() {
        let [eur, usd] = ["EUR", "USD"].map(|code| Currency::parse(code).expect("a currency"));
        let limits = [Limit { currency: eur, alone_up_to: 50_00, version: 1 }];
        assert!(Limit::allows(&limits, Money::new(50_00, eur), 0));
        assert!(!Limit::allows(&limits, Money::new(50_01, eur), 0));
        assert!(Limit::allows(&limits, Money::new(20_00, eur), 30_00));
        assert!(!Limit::allows(&limits, Money::new(20_00, eur), 30_01));
        assert!(!Limit::allows(&limits, Money::new(1, usd), 0), "none was declared");
        assert!(!Limit::allows(&limits, Money::new(1, eur), i64::MAX), "the sum does not wrap");
    }
}
