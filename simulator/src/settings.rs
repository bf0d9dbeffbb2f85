//! The switches: where Stripe has several outcomes, which one the simulator shows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::exchange::Exchange;

/// What the simulator takes of each charge: `amount * basis_points / 10,000`, rounded half up, plus `fixed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeRate {
    /// Hundredths of a percent.
    pub basis_points: u32,
    /// Minor units of the charge's currency.
    pub fixed: i64,
}

impl FeeRate {
    /// The fee of a charge, in minor units.
    pub fn of(self, amount: i64) -> i64 {
        let share = (i128::from(amount) * i128::from(self.basis_points) + 5_000) / 10_000;
        i64::try_from(share).unwrap_or(i64::MAX).saturating_add(self.fixed)
    }
}

/// What a refund does that the available balance does not cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundWhenShort {
    /// It waits, `pending` for `insufficient_funds`, until the balance covers it.
    Pending,
    /// It is given at once and the balance goes below zero.
    NegativeBalance,
}

/// What a reversal does that the connected account's balance does not cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReversalWhenShort {
    /// It succeeds: the connected account goes below zero and the platform's reserve covers it.
    NegativeBalance,
    /// It is refused with `balance_insufficient`.
    Refuse,
}

/// Whether a dispute's fee comes back with its amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeFeeWhenWon {
    /// It does.
    Returned,
    /// It does not.
    Kept,
}

/// Who bears the processor's fee of a charge that is made on a connected account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DirectFeePayer {
    /// The account: the fee is part of the charge's own movement there.
    Account,
    /// The platform: the fee is part of the application fee's movement.
    Application,
}

/// The simulator's switches. `BEHAVIOUR.md` says which rule of Stripe's each belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The fee where the charge's currency has none of its own.
    pub default_fee: FeeRate,
    /// Fees by lower-case currency code.
    pub fees: BTreeMap<String, FeeRate>,
    /// Days from a charge until its funds are available; 0 makes them so at once.
    pub settlement_days: u32,
    /// Days until an amount that is held on a card and not captured is let go.
    pub authorization_days: u32,
    /// Days until a bank answers a debit.
    pub debit_days: u32,
    /// Seconds until a charge has its balance transaction; none: with the charge.
    pub async_capture_seconds: Option<u32>,
    /// Seconds until a top-up succeeds.
    pub topup_seconds: u32,
    /// Seconds until a payout leaves for the bank.
    pub payout_submit_seconds: u32,
    /// Days from a payout until its arrival date.
    pub payout_arrival_days: u32,
    /// Seconds that an account link can be opened for.
    pub account_link_seconds: u32,
    /// Seconds until a new object can be searched for.
    pub search_lag_seconds: u32,
    /// What `Retry-After` says to a request that was one too many; seconds.
    pub retry_after_seconds: u32,
    /// How long a request that hangs is kept before its connection breaks; milliseconds of the machine's clock.
    pub hang_ms: u32,
    /// See [`RefundWhenShort`].
    pub refund_when_short: RefundWhenShort,
    /// What a dispute costs; minor units of its currency.
    pub dispute_fee: i64,
    /// See [`DisputeFeeWhenWon`].
    pub dispute_fee_when_won: DisputeFeeWhenWon,
    /// Days in which a dispute wants to be answered.
    pub dispute_response_days: u32,
    /// Seconds from evidence that decides until the decision.
    pub dispute_decision_seconds: u32,
    /// See [`ReversalWhenShort`].
    pub reversal_when_short: ReversalWhenShort,
    /// See [`DirectFeePayer`].
    pub direct_fee_payer: DirectFeePayer,
    /// What a connected account pays the platform for an instant payout, by the platform's pricing in the dashboard.
    pub instant_payout_fee: FeeRate,
    /// What the platform pays Stripe for it.
    pub instant_payout_cost: FeeRate,
    /// The largest instant payout; minor units.
    pub instant_payout_largest: i64,
    /// Seconds until an instant payout arrives.
    pub instant_payout_seconds: u32,
    /// What the platform's balance is kept in and at which rates; none: every movement stays in its own currency.
    pub exchange: Option<Exchange>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default_fee: FeeRate { basis_points: 150, fixed: 25 },
            fees: BTreeMap::new(),
            settlement_days: 2,
            authorization_days: 7,
            debit_days: 4,
            async_capture_seconds: None,
            topup_seconds: 0,
            payout_submit_seconds: 3_600,
            payout_arrival_days: 2,
            account_link_seconds: 300,
            search_lag_seconds: 60,
            retry_after_seconds: 1,
            hang_ms: 60_000,
            refund_when_short: RefundWhenShort::Pending,
            dispute_fee: 1_500,
            dispute_fee_when_won: DisputeFeeWhenWon::Returned,
            dispute_response_days: 20,
            dispute_decision_seconds: 0,
            reversal_when_short: ReversalWhenShort::NegativeBalance,
            direct_fee_payer: DirectFeePayer::Account,
            instant_payout_fee: FeeRate { basis_points: 0, fixed: 0 },
            instant_payout_cost: FeeRate { basis_points: 100, fixed: 0 },
            instant_payout_largest: 999_900,
            instant_payout_seconds: 1_800,
            exchange: None,
        }
    }
}

impl Settings {
    /// The processing fee of a charge, in minor units.
    pub fn fee(&self, amount: i64, currency: &str) -> i64 {
        self.fees.get(currency).copied().unwrap_or(self.default_fee).of(amount)
    }

    /// When the funds of a charge made at `now` are available: the start of that day, as Stripe settles by days.
    pub(crate) fn available_on(&self, now: i64) -> i64 {
        if self.settlement_days == 0 { now } else { start_of_day(now + i64::from(self.settlement_days) * DAY) }
    }
}

/// Seconds of a day.
pub(crate) const DAY: i64 = 86_400;

/// The start of the UTC day that `at` is in; seconds.
pub(crate) fn start_of_day(at: i64) -> i64 {
    at - at.rem_euclid(DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fees_round_half_up_and_funds_settle_at_the_start_of_a_day() {
        let rate = FeeRate { basis_points: 250, fixed: 20 };
        assert_eq!(rate.of(12_000), 320);
        assert_eq!(FeeRate { basis_points: 150, fixed: 0 }.of(100), 2);
        let settings = Settings::default();
        assert_eq!(settings.available_on(DAY * 10 + 5), DAY * 12);
        assert_eq!(Settings { settlement_days: 0, ..settings }.available_on(77), 77);
    }
}
