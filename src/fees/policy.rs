//! The price of a line: basis points and a fixed part, between a minimum and a maximum. Pure.

use std::collections::BTreeMap;

use partita_provider::Currency;
use serde::{Deserialize, Serialize};

use super::FeeError;

/// The amounts of a policy in one currency; minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeeAmounts {
    /// Added to the percentage.
    #[serde(default)]
    pub fixed: i64,
    /// At least this much.
    #[serde(default)]
    pub minimum: Option<i64>,
    /// At most this much.
    #[serde(default)]
    pub maximum: Option<i64>,
}

/// What a version of a policy says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeTerms {
    /// Basis points of the line's net amount, 0 to 10,000.
    pub percent_bps: i32,
    /// Fixed parts and bounds per currency; a currency that is not named has none.
    pub amounts: BTreeMap<String, FeeAmounts>,
}

impl FeeTerms {
    pub(super) fn check(&self) -> Result<(), FeeError> {
        for (currency, amounts) in &self.amounts {
            if amounts.minimum.zip(amounts.maximum).is_some_and(|(minimum, maximum)| minimum > maximum) {
                return Err(FeeError::MinimumAboveMaximum { currency: currency.clone() });
            }
        }
        Ok(())
    }
}

/// The commission on a line of `amount` minor units, net of tax: the percentage rounded half up, plus the fixed part,
/// within the bounds, and never more than the line.
pub fn commission(terms: &FeeTerms, amount: i64, currency: Currency) -> i64 {
    let amounts = terms.amounts.get(currency.code()).copied().unwrap_or_default();
    let share = (i128::from(amount) * i128::from(terms.percent_bps) + 5_000) / 10_000;
    let mut fee = share + i128::from(amounts.fixed);
    if let Some(minimum) = amounts.minimum {
        fee = fee.max(i128::from(minimum));
    }
    if let Some(maximum) = amounts.maximum {
        fee = fee.min(i128::from(maximum));
    }
    i64::try_from(fee.clamp(0, i128::from(amount.max(0)))).expect("between zero and the line's amount")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eur() -> Currency {
        Currency::parse("EUR").expect("a currency")
    }

    fn terms(percent_bps: i32, fixed: i64, minimum: Option<i64>, maximum: Option<i64>) -> FeeTerms {
        let amounts = BTreeMap::from([("EUR".to_owned(), FeeAmounts { fixed, minimum, maximum })]);
        FeeTerms { percent_bps, amounts }
    }

    #[test]
    fn ten_percent_of_the_worked_cart() {
        let ten_percent = terms(1_000, 0, None, None);
        assert_eq!(commission(&ten_percent, 60_00, eur()), 6_00);
        assert_eq!(commission(&ten_percent, 40_00, eur()), 4_00);
    }

    #[test]
    fn halves_round_up() {
        let policy = terms(250, 0, None, None);
        assert_eq!(commission(&policy, 19, eur()), 0);
        assert_eq!(commission(&policy, 20, eur()), 1);
        assert_eq!(commission(&policy, 59, eur()), 1);
        assert_eq!(commission(&policy, 60, eur()), 2);
    }

    #[test]
    fn bounds_hold_and_the_line_is_the_last_bound() {
        let policy = terms(1_000, 30, Some(50), Some(5_00));
        assert_eq!(commission(&policy, 1_00, eur()), 50);
        assert_eq!(commission(&policy, 10_00, eur()), 1_30);
        assert_eq!(commission(&policy, 1_000_00, eur()), 5_00);
        assert_eq!(commission(&policy, 20, eur()), 20);
    }

    #[test]
    fn another_currency_has_only_the_percentage() {
        let policy = terms(1_000, 30, Some(50), None);
        assert_eq!(commission(&policy, 1_00, Currency::parse("USD").expect("a currency")), 10);
    }

    #[test]
    fn the_largest_amount_does_not_overflow() {
        assert_eq!(commission(&terms(10_000, 1, None, None), i64::MAX, eur()), i64::MAX);
    }
}
