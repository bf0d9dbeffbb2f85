//! What may happen to a customer and to a saved method. Pure.

use partita_provider::SetupStatus;

/// Where a customer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustomerStatus {
    /// Asked; no definite answer yet.
    Processing,
    /// The provider knows it: methods can be saved.
    Active,
    /// Refused. Final.
    Failed,
}

impl CustomerStatus {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::Active => "active",
            Self::Failed => "failed",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Processing, Self::Active, Self::Failed].into_iter().find(|status| status.as_str() == text)
    }
}

/// Where a buyer's payment method stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodStatus {
    /// Asked; no definite answer yet.
    Processing,
    /// The buyer must do something before it is saved.
    RequiresAction,
    /// It can be charged.
    Saved,
    /// Refused. Final.
    Failed,
    /// Taken from its customer. Final.
    Detached,
}

impl MethodStatus {
    const ALL: [Self; 5] = [Self::Processing, Self::RequiresAction, Self::Saved, Self::Failed, Self::Detached];

    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::RequiresAction => "requires_action",
            Self::Saved => "saved",
            Self::Failed => "failed",
            Self::Detached => "detached",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// The event that tells of it.
    pub(super) fn event(self) -> &'static str {
        match self {
            Self::Processing => "payment_method.created",
            Self::RequiresAction => "payment_method.requires_action",
            Self::Saved => "payment_method.saved",
            Self::Failed => "payment_method.failed",
            Self::Detached => "payment_method.detached",
        }
    }

    /// Only a higher rank replaces a lower one, so that old news changes nothing.
    fn rank(self) -> u8 {
        match self {
            Self::Processing => 0,
            Self::RequiresAction => 1,
            Self::Failed => 2,
            Self::Saved => 3,
            Self::Detached => 4,
        }
    }
}

/// What the provider's word on setting a method up makes of it: the new status, or none when it is no news.
pub(super) fn next(current: MethodStatus, said: &SetupStatus) -> Option<MethodStatus> {
    let told = match said {
        SetupStatus::Succeeded => MethodStatus::Saved,
        SetupStatus::RequiresAction => MethodStatus::RequiresAction,
        // We confirm when we create: what wants another method was refused.
        SetupStatus::RequiresPaymentMethod | SetupStatus::Canceled => MethodStatus::Failed,
        SetupStatus::Processing | SetupStatus::Other(_) => MethodStatus::Processing,
    };
    (told.rank() > current.rank()).then_some(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_counts_and_old_news_undoes_nothing() {
        use MethodStatus::{Detached, Failed, Processing, RequiresAction, Saved};
        for before in [Processing, RequiresAction, Failed] {
            assert_eq!(next(before, &SetupStatus::Succeeded), Some(Saved));
        }
        for over in [Saved, Detached] {
            for said in [SetupStatus::RequiresAction, SetupStatus::RequiresPaymentMethod, SetupStatus::Succeeded] {
                assert_eq!(next(over, &said), None);
            }
        }
        assert_eq!(next(RequiresAction, &SetupStatus::RequiresPaymentMethod), Some(Failed));
        assert_eq!(next(Failed, &SetupStatus::RequiresAction), None);
        assert_eq!(next(Processing, &SetupStatus::Other("levitating".to_owned())), None);
    }

    #[test]
    fn words_are_read_back() {
        for status in MethodStatus::ALL {
            assert_eq!(MethodStatus::parse(status.as_str()), Some(status));
        }
        for status in [CustomerStatus::Processing, CustomerStatus::Active, CustomerStatus::Failed] {
            assert_eq!(CustomerStatus::parse(status.as_str()), Some(status));
        }
    }
}
