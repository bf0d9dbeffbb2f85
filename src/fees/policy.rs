//! The price of a line: basis points and a fixed part, between a minimum and a maximum. Pure.

use std::collections::BTreeMap;

use partita_provider::Currency;
use serde::{Deserialize, Serialize};

use super::fault::{TermsFault, TermsProblem};
use super::rules::{FeeTerms, MOST_TIERS, Sale};

/// The whole, in basis points.
const WHOLE_BPS: i32 = 10_000;

/// The amounts of a price in one currency; minor units.
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

/// Another percentage for who has sold much in the calendar month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// From this volume on, minor units.
    pub from: i64,
    /// Basis points instead of the price's own.
    pub percent_bps: i32,
}

/// What a rule takes of a line.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Basis points of the line's net amount, 0 to 10,000.
    pub percent_bps: i32,
    /// Fixed parts and bounds per currency; a currency that is not named has none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub amounts: BTreeMap<Currency, FeeAmounts>,
    /// Percentages by the seller's volume per currency, ascending; below the first, `percent_bps` holds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tiers: BTreeMap<Currency, Vec<Tier>>,
}

impl Price {
    pub(super) fn has_tiers(&self, currency: Currency) -> bool {
        self.tiers.contains_key(&currency)
    }

    fn amounts_in(&self, currency: Currency) -> FeeAmounts {
        self.amounts.get(&currency).copied().unwrap_or_default()
    }

    pub(super) fn check(&self) -> Result<(), TermsFault> {
        let percent = |bps: i32, path: &[&str]| {
            if (0..=WHOLE_BPS).contains(&bps) {
                Ok(())
            } else {
                Err(TermsFault::at(path, TermsProblem::PercentOutOfRange))
            }
        };
        percent(self.percent_bps, &["percent_bps"])?;
        for (currency, amounts) in &self.amounts {
            let fault = |name, problem| Err(TermsFault::at(&["amounts", currency.code(), name], problem));
            for (name, amount) in
                [("fixed", Some(amounts.fixed)), ("minimum", amounts.minimum), ("maximum", amounts.maximum)]
            {
                if amount.is_some_and(i64::is_negative) {
                    return fault(name, TermsProblem::Negative);
                }
            }
            if amounts.minimum.zip(amounts.maximum).is_some_and(|(minimum, maximum)| minimum > maximum) {
                return fault("minimum", TermsProblem::MinimumAboveMaximum);
            }
        }
        for (currency, tiers) in &self.tiers {
            if !(1..=MOST_TIERS).contains(&tiers.len()) {
                let problem = TermsProblem::TierCount { count: tiers.len() };
                return Err(TermsFault::at(&["tiers", currency.code()], problem));
            }
            let mut before = 0;
            for (place, tier) in tiers.iter().enumerate() {
                let place = place.to_string();
                if tier.from <= before {
                    let path = ["tiers", currency.code(), &place, "from"];
                    return Err(TermsFault::at(&path, TermsProblem::TiersDoNotAscend));
                }
                percent(tier.percent_bps, &["tiers", currency.code(), &place, "percent_bps"])?;
                before = tier.from;
            }
        }
        Ok(())
    }

    /// What it takes of the sale's amount, step by step. `volume` is what the seller has sold in the month.
    fn of(&self, sale: &Sale<'_>, volume: i64) -> Calculation {
        let tiers = self.tiers.get(&sale.currency);
        let reached = tiers.and_then(|tiers| tiers.iter().rev().find(|tier| volume >= tier.from));
        let next = tiers.and_then(|tiers| tiers.iter().find(|tier| volume < tier.from));
        let percent_bps = reached.map_or(self.percent_bps, |tier| tier.percent_bps).clamp(0, WHOLE_BPS);
        let FeeAmounts { fixed, minimum, maximum } = self.amounts_in(sale.currency);
        // Nothing here can overflow: an amount has 63 bits, basis points have 14, and the sum has 128.
        let whole = i128::from(sale.amount.max(0));
        let share = (whole * i128::from(percent_bps) + 5_000) / 10_000;
        let mut fee = share + i128::from(fixed);
        if let Some(minimum) = minimum {
            fee = fee.max(i128::from(minimum));
        }
        if let Some(maximum) = maximum {
            fee = fee.min(i128::from(maximum));
        }
        let minor = |amount: i128| i64::try_from(amount).expect("between zero and the line's amount");
        Calculation {
            percent_bps,
            share: minor(share),
            fixed,
            minimum,
            maximum,
            volume: tiers.map(|_| Volume {
                sold: volume,
                from: reached.map(|tier| tier.from),
                below: next.map(|tier| tier.from),
            }),
            is_cut_to_the_line: fee > whole,
            commission: minor(fee.clamp(0, whole)),
        }
    }
}

/// Where a seller's volume stands among the tiers; minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volume {
    /// What the seller has sold in the calendar month.
    pub sold: i64,
    /// Where the tier that holds begins; none below the first.
    pub from: Option<i64>,
    /// Where the next begins; none in the last.
    pub below: Option<i64>,
}

/// How a commission came about; amounts in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calculation {
    /// The percentage that held, in basis points.
    pub percent_bps: i32,
    /// The percentage of the amount, rounded half up.
    pub share: i64,
    /// Added to it.
    pub fixed: i64,
    /// The lower bound.
    pub minimum: Option<i64>,
    /// The upper bound.
    pub maximum: Option<i64>,
    /// Where the rule has tiers: what chose the percentage.
    pub volume: Option<Volume>,
    /// Whether all that was more than the line.
    pub is_cut_to_the_line: bool,
    /// What the platform keeps.
    pub commission: i64,
}

/// A line's price: by which rule, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priced {
    /// The place of the rule, from 0.
    pub rule: usize,
    /// The calculation.
    pub calculation: Calculation,
}

impl Priced {
    /// The rule's number as people count: from 1.
    pub fn rule_number(&self) -> i32 {
        i32::try_from(self.rule).expect("at most a hundred rules") + 1
    }
}

/// Prices a line by the first rule that is for it: the percentage rounded half up, plus the fixed part, within the
/// bounds, and never more than the line. None when no rule is for it: then there is no commission. `volume` is what the
/// seller has sold in the month, minor units; it is read only where [`FeeTerms::needs_volume`] says so.
pub fn price(terms: &FeeTerms, sale: &Sale<'_>, volume: i64) -> Option<Priced> {
    terms.rule_for(sale).map(|(rule, found)| Priced { rule, calculation: found.price.of(sale, volume) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::rules::SaleKind;
    use super::*;

    fn eur() -> Currency {
        Currency::parse("EUR").expect("a currency")
    }

    fn sale(amount: i64) -> Sale<'static> {
        Sale { seller: None, country: None, currency: eur(), category: None, kind: SaleKind::Item, amount }
    }

    fn terms(percent_bps: i32, fixed: i64, minimum: Option<i64>, maximum: Option<i64>) -> FeeTerms {
        FeeTerms::flat(percent_bps, BTreeMap::from([(eur(), FeeAmounts { fixed, minimum, maximum })]))
    }

    fn commission(terms: &FeeTerms, amount: i64) -> i64 {
        price(terms, &sale(amount), 0).expect("a rule").calculation.commission
    }

    #[test]
    fn ten_percent_of_the_worked_cart() {
        let ten_percent = terms(1_000, 0, None, None);
        assert_eq!(commission(&ten_percent, 60_00), 6_00);
        assert_eq!(commission(&ten_percent, 40_00), 4_00);
    }

    #[test]
    fn halves_round_up() {
        let policy = terms(250, 0, None, None);
        for (amount, fee) in [(19, 0), (20, 1), (59, 1), (60, 2)] {
            assert_eq!(commission(&policy, amount), fee);
        }
    }

    #[test]
    fn bounds_hold_and_the_line_is_the_last_bound() {
        let policy = terms(1_000, 30, Some(50), Some(5_00));
        for (amount, fee) in [(1_00, 50), (10_00, 1_30), (1_000_00, 5_00), (20, 20)] {
            assert_eq!(commission(&policy, amount), fee);
        }
        let cut = price(&policy, &sale(20), 0).expect("a rule").calculation;
        assert!(cut.is_cut_to_the_line);
    }

    #[test]
    fn another_currency_has_only_the_percentage() {
        let dollars = Sale { currency: Currency::parse("USD").expect("a currency"), ..sale(1_00) };
        let priced = price(&terms(1_000, 30, Some(50), None), &dollars, 0).expect("a rule");
        assert_eq!(priced.calculation.commission, 10);
    }

    #[test]
    fn the_largest_amount_does_not_overflow() {
        assert_eq!(commission(&terms(10_000, i64::MAX, Some(i64::MAX), Some(i64::MAX)), i64::MAX), i64::MAX);
    }

    /// 10 %, from 10,000.00 on 8 %, from 50,000.00 on 5 %: a line of 60.00 costs 6.00, 4.80 or 3.00.
    #[test]
    fn the_tier_that_was_reached_prices_the_whole_line() {
        let tiers = vec![Tier { from: 10_000_00, percent_bps: 800 }, Tier { from: 50_000_00, percent_bps: 500 }];
        let mut tiered = FeeTerms::flat(1_000, BTreeMap::new());
        tiered.rules[0].price.tiers.insert(eur(), tiers);
        assert!(tiered.have_tiers() && tiered.needs_volume(&sale(1)) && tiered.as_flat().is_none());
        for (volume, fee, from, below) in [
            (0, 6_00, None, Some(10_000_00)),
            (9_999_99, 6_00, None, Some(10_000_00)),
            (10_000_00, 4_80, Some(10_000_00), Some(50_000_00)),
            (50_000_00, 3_00, Some(50_000_00), None),
        ] {
            let calculation = price(&tiered, &sale(60_00), volume).expect("a rule").calculation;
            assert_eq!((calculation.commission, calculation.volume), (fee, Some(Volume { sold: volume, from, below })));
        }
        let dollars = Sale { currency: Currency::parse("USD").expect("a currency"), ..sale(60_00) };
        let calculation = price(&tiered, &dollars, 99_999_00).expect("a rule").calculation;
        assert_eq!((calculation.commission, calculation.volume), (6_00, None), "tiers count in their currency only");
    }

    #[test]
    fn what_no_rule_is_for_has_no_price() {
        let mut terms = terms(1_000, 0, None, None);
        terms.rules[0].when.countries = vec!["DE".to_owned()];
        assert_eq!(price(&terms, &sale(60_00), 0), None);
    }

    fn bounds() -> impl Strategy<Value = (Option<i64>, Option<i64>)> {
        (prop::option::of(0..=i64::MAX), prop::option::of(0..=i64::MAX)).prop_map(|(one, other)| match (one, other) {
            (Some(one), Some(other)) => (Some(one.min(other)), Some(one.max(other))),
            bounds => bounds,
        })
    }

    proptest! {
        #[test]
        fn a_commission_is_never_negative_nor_above_its_line_nor_outside_its_bounds(
            percent_bps in 0..=10_000_i32, fixed in 0..=i64::MAX, (minimum, maximum) in bounds(), amount in 1..=i64::MAX
        ) {
            let terms = terms(percent_bps, fixed, minimum, maximum);
            prop_assert_eq!(terms.check(), Ok(()));
            let fee = commission(&terms, amount);
            prop_assert!((0..=amount).contains(&fee));
            prop_assert!(minimum.is_none_or(|minimum| fee >= minimum.min(amount)));
            prop_assert!(maximum.is_none_or(|maximum| fee <= maximum));
        }

        #[test]
        fn a_larger_line_never_costs_less(
            percent_bps in 0..=10_000_i32, fixed in 0..1_000_i64, (minimum, maximum) in bounds(),
            smaller in 0..=i64::MAX, larger in 0..=i64::MAX
        ) {
            let terms = terms(percent_bps, fixed, minimum, maximum);
            let (smaller, larger) = (smaller.min(larger), smaller.max(larger));
            prop_assert!(commission(&terms, smaller) <= commission(&terms, larger));
        }

        /// A higher bound, be it the lower or the upper one, never makes a line cheaper.
        #[test]
        fn higher_bounds_never_cost_less(
            percent_bps in 0..=10_000_i32, amount in 0..100_000_i64, one in 0..100_000_i64, other in 0..100_000_i64
        ) {
            let (low, high) = (one.min(other), one.max(other));
            let by = |minimum, maximum| commission(&terms(percent_bps, 0, minimum, maximum), amount);
            prop_assert!(by(Some(low), None) <= by(Some(high), None));
            prop_assert!(by(None, Some(low)) <= by(None, Some(high)));
        }

        /// The percentage is the whole number of minor units nearest to the exact one; of two that are as near, the higher.
        #[test]
        fn the_percentage_is_rounded_half_up(percent_bps in 0..=10_000_i32, amount in 0..=i64::MAX) {
            let fee = i128::from(commission(&FeeTerms::flat(percent_bps, BTreeMap::new()), amount));
            let twice_off = 2 * (fee * 10_000 - i128::from(amount) * i128::from(percent_bps));
            prop_assert!(-10_000 < twice_off && twice_off <= 10_000);
        }

        #[test]
        fn descending_percentages_never_cost_more_with_more_volume(
            steps in prop::collection::vec((1_i64..1_000, 0..500_i32), 1..6), amount in 0..100_000_i64,
            one in 0..5_000_i64, other in 0..5_000_i64
        ) {
            let mut terms = FeeTerms::flat(10_000, BTreeMap::new());
            let (mut from, mut percent_bps) = (0_i64, 10_000_i32);
            let tiers = steps.iter().map(|(step, off)| {
                from += step;
                percent_bps -= off;
                Tier { from, percent_bps }
            });
            terms.rules[0].price.tiers.insert(eur(), tiers.collect());
            prop_assert_eq!(terms.check(), Ok(()));
            let by = |volume| price(&terms, &sale(amount), volume).expect("a rule").calculation.commission;
            prop_assert!(by(one.max(other)) <= by(one.min(other)));
        }
    }
}
