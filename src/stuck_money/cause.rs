//! Why money does not move on, from when on that is told, and what helps. Pure.

use partita_provider::Currency;

/// Currencies of so many decimals are moved by providers in steps of ten minor units only.
const FINE_DECIMALS: u32 = 3;
const FINE_STEP: i64 = 10;

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The seller has not done yet what the provider wants before it can get money.
    NotOnboarded,
    /// The provider took the seller's right to get money away.
    AccountRestricted,
    /// The amount is finer than what the provider moves.
    BelowOneUnit,
    /// The seller could get it, and does not.
    TransfersRefused,
    /// It is on the seller's account at the provider, which does not pay it out.
    PayoutsDisabled,
    /// It is on the seller's account at the provider, and nobody asks for a payout.
    PayoutsParked,
    /// Payouts come back from the seller's bank, one after the other.
    PayoutsComeBack,
    /// The provider's own date has passed and the money is not usable.
    PendingTooLong,
    /// It was asked of the provider, or is owed to a buyer, and nothing happens.
    ClearingTooLong,
    /// The share of a line is held for longer than it may be, or past the date of its release.
    HeldTooLong,
    /// It was settled in another currency, and its position is not closed.
    PositionOpen,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 11] = [
        Self::NotOnboarded,
        Self::AccountRestricted,
        Self::BelowOneUnit,
        Self::TransfersRefused,
        Self::PayoutsDisabled,
        Self::PayoutsParked,
        Self::PayoutsComeBack,
        Self::PendingTooLong,
        Self::ClearingTooLong,
        Self::HeldTooLong,
        Self::PositionOpen,
    ];

    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotOnboarded => "not_onboarded",
            Self::AccountRestricted => "account_restricted",
            Self::BelowOneUnit => "below_one_unit",
            Self::TransfersRefused => "transfers_refused",
            Self::PayoutsDisabled => "payouts_disabled",
            Self::PayoutsParked => "payouts_parked",
            Self::PayoutsComeBack => "payouts_come_back",
            Self::PendingTooLong => "pending_too_long",
            Self::ClearingTooLong => "clearing_too_long",
            Self::HeldTooLong => "held_too_long",
            Self::PositionOpen => "position_open",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == text)
    }

    /// For how many days it has to stand there before it is told.
    pub fn told_after_days(self) -> i64 {
        match self {
            Self::NotOnboarded | Self::AccountRestricted | Self::PayoutsDisabled => 7,
            Self::BelowOneUnit | Self::TransfersRefused => 2,
            Self::PayoutsParked => 30,
            // What is looked for is late already.
            Self::PayoutsComeBack
            | Self::PendingTooLong
            | Self::ClearingTooLong
            | Self::HeldTooLong
            | Self::PositionOpen => 0,
        }
    }

    /// What helps, for a person.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::NotOnboarded => {
                "Send the seller an onboarding link (POST /v1/sellers/{id}/onboarding_links): its share is sent by itself as \
                 soon as its account can receive."
            }
            Self::AccountRestricted => {
                "See what the provider wants of the seller (GET /v1/sellers/{id}, requirements) and send an onboarding link; if \
                 the provider will not have it, pay the seller otherwise."
            }
            Self::BelowOneUnit => {
                "The provider does not move amounts this fine: round it by an adjustment (POST /v1/adjustments), or wait for the \
                 next sales."
            }
            Self::TransfersRefused => {
                "See why its transfers fail (GET /v1/transfers?seller=..&status=failed) and whether the platform's balance at \
                 the provider suffices (GET /v1/balances)."
            }
            Self::PayoutsDisabled => {
                "The provider does not pay the seller out: send it an onboarding link; its bank account or a document may be \
                 missing."
            }
            Self::PayoutsParked => {
                "The seller's payouts are made by hand only and nobody makes them: ask for one (POST /v1/payouts), or give the \
                 seller a payout_schedule (PATCH /v1/sellers/{id})."
            }
            Self::PayoutsComeBack => {
                "The seller's bank returns its payouts: have it enter another bank account (an onboarding link), before the next \
                 is tried."
            }
            Self::PendingTooLong => {
                "Ask the provider why money of its own past date is not usable; until then nobody is sent it."
            }
            Self::ClearingTooLong => {
                "See the operation, the refund or the payout: one that is in doubt wants two people (POST \
                 /v1/operations/{id}/resolution), one that came back a decision (POST /v1/refunds/{id}/resolution), one that is \
                 pending money at the provider (POST /v1/top_ups), a payout by bank file its file (POST /v1/bank_files) or what \
                 the bank did (POST /v1/payouts/{id}/confirm, ../return). Of a direct charge the application fee did not come: ask \
                 the provider for it."
            }
            Self::HeldTooLong => {
                "The provider lets money be held for so long and no longer: release the line (POST \
                 /v1/payments/{id}/lines/{n}/release) or refund it (POST /v1/refunds)."
            }
            Self::PositionOpen => {
                "See what of the payment is on its way (GET /v1/payments/{id}/postings): a share that is not sent, a refund or a \
                 dispute that is not decided. Until then the platform bears what the rate does."
            }
        }
    }
}

/// A seller who has money that could be sent and is not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unsent {
    /// Whether its account was ever able to receive.
    pub(super) was_active: bool,
    /// Whether it is now.
    pub(super) can_receive: bool,
    pub(super) currency: Currency,
    /// Minor units.
    pub(super) amount: i64,
}

impl Unsent {
    pub(super) fn cause(self) -> Cause {
        match (self.can_receive, self.was_active) {
            (false, false) => Cause::NotOnboarded,
            (false, true) => Cause::AccountRestricted,
            (true, _) if self.currency.exponent() == FINE_DECIMALS && self.amount % FINE_STEP != 0 => {
                Cause::BelowOneUnit
            }
            (true, _) => Cause::TransfersRefused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_sent_has_a_cause() {
        let unsent = |was_active, can_receive, currency, amount| {
            let currency = Currency::parse(currency).expect("a currency");
            Unsent { was_active, can_receive, currency, amount }.cause()
        };
        assert_eq!(unsent(false, false, "EUR", 54_00), Cause::NotOnboarded);
        assert_eq!(unsent(true, false, "EUR", 54_00), Cause::AccountRestricted);
        assert_eq!(unsent(true, true, "KWD", 1_107), Cause::BelowOneUnit);
        assert_eq!(unsent(true, true, "KWD", 1_110), Cause::TransfersRefused);
        assert_eq!(unsent(true, true, "EUR", 1_107), Cause::TransfersRefused);
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        for cause in Cause::ALL {
            assert_eq!(Cause::parse(cause.as_str()), Some(cause));
            assert!(cause.remedy().ends_with('.'), "{cause:?}");
        }
    }
}
