//! Whether a seller is paid out, and how much. Pure.

/// What is known of a seller when its payout is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// It has an account at the provider.
    pub(super) has_account: bool,
    /// The provider pays it out.
    pub(super) payouts_enabled: bool,
    /// A payout came back because of its bank account, and there is no other.
    pub(super) bank_account_blocked: bool,
    /// What it has and owes.
    pub(super) means: Means,
}

/// What a seller has on its account at the provider and owes; minor units of its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Means {
    /// On its account at the provider, usable.
    pub at_provider: i64,
    /// Of that, what came too late.
    pub too_late: i64,
    /// Payouts that are asked and not answered.
    pub going_out: i64,
    /// Transfers that are asked back and not answered.
    pub going_back: i64,
    /// What it owes the platform: a balance below zero, and debts.
    pub owed: i64,
}

impl Means {
    /// What may leave the account; below zero where it is short.
    pub fn payable(&self) -> i64 {
        self.at_provider - self.too_late - self.going_out - self.going_back
    }
}

/// Why a seller is not paid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// The provider has not opened its account.
    NoAccount,
    /// The provider does not pay it out.
    PayoutsDisabled,
    /// A payout came back because of its bank account, and there is no other.
    BankAccountBlocked,
    /// The provider still pays it out by a schedule of its own.
    ProviderPaysOut,
    /// It owes the platform.
    OwesPlatform,
    /// Its account at the provider is below zero, or will be.
    Short,
    /// There is nothing to pay out.
    NothingToPay,
    /// Less than the schedule's minimum, or than the provider pays out.
    BelowMinimum,
    /// The provider cannot take such a payout.
    NotSupported,
}

impl SkipReason {
    const ALL: [Self; 9] = [
        Self::NoAccount,
        Self::PayoutsDisabled,
        Self::BankAccountBlocked,
        Self::ProviderPaysOut,
        Self::OwesPlatform,
        Self::Short,
        Self::NothingToPay,
        Self::BelowMinimum,
        Self::NotSupported,
    ];

    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoAccount => "no_account",
            Self::PayoutsDisabled => "payouts_disabled",
            Self::BankAccountBlocked => "bank_account_blocked",
            Self::ProviderPaysOut => "provider_pays_out",
            Self::OwesPlatform => "owes_platform",
            Self::Short => "short",
            Self::NothingToPay => "nothing_to_pay",
            Self::BelowMinimum => "below_minimum",
            Self::NotSupported => "not_supported",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    /// Whether somebody should know: the seller has money that does not come.
    pub fn is_news(self) -> bool {
        !matches!(self, Self::NothingToPay | Self::BelowMinimum)
    }
}

/// How much a seller is paid, or why nothing. `sendable` is the largest amount up to another that the provider sends.
///
/// # Errors
/// Why nothing.
pub(super) fn decide(standing: &Standing, least: i64, sendable: impl Fn(i64) -> i64) -> Result<i64, SkipReason> {
    if !standing.has_account {
        return Err(SkipReason::NoAccount);
    }
    let means = standing.means;
    if means.owed > 0 {
        return Err(SkipReason::OwesPlatform);
    }
    let payable = means.payable();
    if means.at_provider < 0 || payable < 0 && means.too_late == 0 {
        return Err(SkipReason::Short);
    }
    if payable <= 0 {
        return Err(SkipReason::NothingToPay);
    }
    if !standing.payouts_enabled {
        return Err(SkipReason::PayoutsDisabled);
    }
    if standing.bank_account_blocked {
        return Err(SkipReason::BankAccountBlocked);
    }
    if payable < least {
        return Err(SkipReason::BelowMinimum);
    }
    match sendable(payable) {
        0 => Err(SkipReason::BelowMinimum),
        amount => Ok(amount),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAID: Standing =
        Standing { has_account: true, payouts_enabled: true, bank_account_blocked: false, means: MEANS };
    const MEANS: Means = Means { at_provider: 54_00, too_late: 0, going_out: 0, going_back: 0, owed: 0 };

    fn with(means: Means) -> Standing {
        Standing { means, ..PAID }
    }

    fn decided(standing: Standing, least: i64) -> Result<i64, SkipReason> {
        decide(&standing, least, |most| most)
    }

    #[test]
    fn all_that_may_leave_is_paid() {
        assert_eq!(decided(PAID, 0), Ok(54_00));
        assert_eq!(decided(with(Means { too_late: 10_00, ..MEANS }), 0), Ok(44_00));
        assert_eq!(decided(with(Means { going_out: 20_00, going_back: 22_50, ..MEANS }), 0), Ok(11_50));
        assert_eq!(decide(&PAID, 0, |most| most - most % 1_000), Ok(50_00), "the provider sends tens only");
    }

    #[test]
    fn less_than_the_minimum_waits() {
        assert_eq!(decided(PAID, 54_00), Ok(54_00));
        assert_eq!(decided(PAID, 54_01), Err(SkipReason::BelowMinimum));
        assert_eq!(decide(&PAID, 0, |_| 0), Err(SkipReason::BelowMinimum));
    }

    #[test]
    fn nobody_is_paid_who_may_not_be() {
        for (standing, reason) in [
            (Standing { has_account: false, ..PAID }, SkipReason::NoAccount),
            (with(Means { owed: 1, ..MEANS }), SkipReason::OwesPlatform),
            (Standing { payouts_enabled: false, ..PAID }, SkipReason::PayoutsDisabled),
            (Standing { bank_account_blocked: true, ..PAID }, SkipReason::BankAccountBlocked),
            (with(Means { at_provider: -1, ..MEANS }), SkipReason::Short),
            (with(Means { going_back: 54_01, ..MEANS }), SkipReason::Short),
            (with(Means { at_provider: 0, ..MEANS }), SkipReason::NothingToPay),
            (with(Means { too_late: 54_00, ..MEANS }), SkipReason::NothingToPay),
            // What came too late covers what goes back: nobody is short, and nothing is left.
            (with(Means { too_late: 50_00, going_back: 5_00, ..MEANS }), SkipReason::NothingToPay),
        ] {
            assert_eq!(decided(standing, 0), Err(reason), "{standing:?}");
        }
    }

    #[test]
    fn reasons_read_as_they_are_written() {
        for reason in SkipReason::ALL {
            assert_eq!(SkipReason::parse(reason.as_str()), Some(reason));
        }
    }
}
