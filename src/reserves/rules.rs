//! What a platform keeps back of its sellers' shares, as it declares it. Pure.

use jiff::{SignedDuration, Timestamp};
use partita_provider::{Currency, Money};

const WHOLE_BPS: i128 = 10_000;
const DAY_HOURS: i64 = 24;
/// Decimals of the currencies of which providers move steps of ten minor units only.
const FINE_DECIMALS: u32 = 3;
const FINE_STEP: i64 = 10;

/// A part of each share for some days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rolling {
    /// Of each share that is released; basis points, 1 to 10,000.
    pub percent_bps: i32,
    /// For how many days, 1 to 3,650.
    pub hold_days: i32,
}

impl Rolling {
    /// What is kept back of a share, rounded half up; minor units. Nothing of a share that is nothing. Of three decimals the last
    /// is rounded away: providers do not move it, and what is not kept back must be sent.
    pub fn of(self, share: Money) -> i64 {
        let step = if share.currency.exponent() == FINE_DECIMALS { FINE_STEP } else { 1 };
        let (steps, of) = (i128::from(share.minor.max(0) / step) * i128::from(self.percent_bps), WHOLE_BPS);
        i64::try_from((2 * steps + of) / (2 * of)).expect("at most the share") * step
    }

    /// Until when a share is kept back that was released at `at`.
    pub fn until(self, at: Timestamp) -> Timestamp {
        at.checked_add(SignedDuration::from_hours(i64::from(self.hold_days) * DAY_HOURS)).unwrap_or(Timestamp::MAX)
    }
}

/// What is kept back of sellers' shares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// A part of each share for some days.
    pub rolling: Option<Rolling>,
    /// Sales fill a reserve up to these amounts, one for each currency.
    pub fixed: Vec<Money>,
}

impl Rules {
    /// Whether a part of shares is kept back at all.
    pub fn keep_back(&self, currency: Currency) -> bool {
        self.rolling.is_some() || self.fixed_in(currency) > 0
    }

    /// Up to which amount a fixed reserve is filled; minor units, 0 for none.
    pub fn fixed_in(&self, currency: Currency) -> i64 {
        self.fixed.iter().find(|amount| amount.currency == currency).map_or(0, |amount| amount.minor)
    }
}

/// Rules as they hold, and from which declaration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// Which declaration; 0: none was made, nothing is kept back.
    pub version: i32,
    /// Whether they were declared for the very seller.
    pub is_own: bool,
    /// The rules.
    pub rules: Rules,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_per_cent_of_a_share_rounded_half_up_and_nothing_of_nothing() {
        let rolling = Rolling { percent_bps: 1_000, hold_days: 90 };
        let of = |share, currency| Money::new(share, Currency::parse(currency).expect("a currency"));
        let kept = [54_00, 4, 5, 1, 0, -6_00, i64::MAX].map(|share| rolling.of(of(share, "EUR")));
        assert_eq!(kept, [5_40, 0, 1, 0, 0, 0, 922_337_203_685_477_581]);
        assert_eq!(Rolling { percent_bps: 10_000, hold_days: 1 }.of(of(i64::MAX, "JPY")), i64::MAX);
        assert_eq!([1_110, 1_150, 40].map(|share| rolling.of(of(share, "KWD"))), [110, 120, 0], "in whole hundredths");
        let from: Timestamp = "2026-03-02T09:00:00Z".parse().expect("a time");
        assert_eq!(rolling.until(from), "2026-05-31T09:00:00Z".parse().expect("a time"));
    }
}
