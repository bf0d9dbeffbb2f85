//! What the provider's word makes of a seller's status. Pure.

use super::Standing;

/// Where a seller stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SellerStatus {
    /// Transfers do not work yet.
    Onboarding,
    /// Transfers work.
    Active,
    /// Transfers worked and were taken away.
    Restricted,
    /// The provider refused to open the account.
    Failed,
}

impl SellerStatus {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Onboarding => "onboarding",
            Self::Active => "active",
            Self::Restricted => "restricted",
            Self::Failed => "failed",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Onboarding, Self::Active, Self::Restricted, Self::Failed].into_iter().find(|s| s.as_str() == text)
    }
}

pub(super) fn next(current: SellerStatus, standing: &Standing) -> SellerStatus {
    match current {
        _ if standing.transfers_active => SellerStatus::Active,
        SellerStatus::Active | SellerStatus::Restricted => SellerStatus::Restricted,
        SellerStatus::Onboarding | SellerStatus::Failed => SellerStatus::Onboarding,
    }
}

pub(super) fn event(before: SellerStatus, standing: &Standing, after: SellerStatus) -> &'static str {
    match (before, after) {
        (SellerStatus::Onboarding | SellerStatus::Failed, SellerStatus::Active) => "seller.onboarding_completed",
        _ if !standing.currently_due.is_empty() || !standing.past_due.is_empty() => "seller.requirements_due",
        _ => "seller.updated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_working_transfers_make_a_seller_active() {
        let submitted = Standing { details_submitted: true, charges_enabled: true, ..Standing::default() };
        assert_eq!(next(SellerStatus::Onboarding, &submitted), SellerStatus::Onboarding);
        let active = Standing { transfers_active: true, ..submitted.clone() };
        assert_eq!(next(SellerStatus::Onboarding, &active), SellerStatus::Active);
        assert_eq!(next(SellerStatus::Active, &submitted), SellerStatus::Restricted);
        assert_eq!(next(SellerStatus::Restricted, &active), SellerStatus::Active);
    }

    #[test]
    fn events_say_what_a_platform_waits_for() {
        let clear = Standing { transfers_active: true, ..Standing::default() };
        assert_eq!(event(SellerStatus::Onboarding, &clear, SellerStatus::Active), "seller.onboarding_completed");
        let wanted = Standing { currently_due: vec!["external_account".to_owned()], ..Standing::default() };
        assert_eq!(event(SellerStatus::Onboarding, &wanted, SellerStatus::Onboarding), "seller.requirements_due");
    }
}
