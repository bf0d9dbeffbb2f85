//! What may happen to a payment. Pure.

use partita_provider::{PaymentStatus as ProviderStatus, SettlementState};

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentStatus {
    /// Asked; no definite answer yet.
    Processing,
    /// The buyer must do something.
    RequiresAction,
    /// The amount is held on the buyer's card, to be captured; nothing moved.
    Authorized,
    /// The buyer was charged.
    Succeeded,
    /// Declined or refused. Final.
    Failed,
    /// Given up. Final.
    Canceled,
}

impl PaymentStatus {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::RequiresAction => "requires_action",
            Self::Authorized => "authorized",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Processing, Self::RequiresAction, Self::Authorized, Self::Succeeded, Self::Failed, Self::Canceled]
            .into_iter()
            .find(|status| status.as_str() == text)
    }

    /// The event that tells of it.
    pub fn event(self) -> &'static str {
        match self {
            Self::Processing => "payment.processing",
            Self::RequiresAction => "payment.requires_action",
            Self::Authorized => "payment.authorized",
            Self::Succeeded => "payment.succeeded",
            Self::Failed => "payment.failed",
            Self::Canceled => "payment.canceled",
        }
    }

    /// Only a higher rank replaces a lower one, so that old news changes nothing.
    fn rank(self) -> u8 {
        match self {
            Self::Processing => 0,
            Self::RequiresAction => 1,
            Self::Authorized => 2,
            Self::Failed | Self::Canceled => 3,
            Self::Succeeded => 4,
        }
    }
}

/// Where a payment's money is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Funds {
    /// With the buyer.
    None,
    /// At the provider, not usable yet.
    Pending,
    /// At the provider, usable.
    Available,
}

impl Funds {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pending => "pending",
            Self::Available => "available",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::Pending, Self::Available].into_iter().find(|funds| funds.as_str() == text)
    }
}

impl From<SettlementState> for Funds {
    fn from(state: SettlementState) -> Self {
        match state {
            SettlementState::Pending => Self::Pending,
            SettlementState::Available => Self::Available,
        }
    }
}

/// What the provider's word makes of a payment: the new status, or none when it is no news.
pub(super) fn next(current: PaymentStatus, said: &ProviderStatus) -> Option<PaymentStatus> {
    let told = match said {
        ProviderStatus::Succeeded => PaymentStatus::Succeeded,
        ProviderStatus::Canceled => PaymentStatus::Canceled,
        // We confirm when we create: a payment that wants another method was declined.
        ProviderStatus::RequiresPaymentMethod => PaymentStatus::Failed,
        ProviderStatus::RequiresAction => PaymentStatus::RequiresAction,
        ProviderStatus::RequiresCapture => PaymentStatus::Authorized,
        ProviderStatus::Processing | ProviderStatus::RequiresConfirmation | ProviderStatus::Other(_) => {
            PaymentStatus::Processing
        }
    };
    (told.rank() > current.rank()).then_some(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [PaymentStatus; 6] = [
        PaymentStatus::Processing,
        PaymentStatus::RequiresAction,
        PaymentStatus::Authorized,
        PaymentStatus::Succeeded,
        PaymentStatus::Failed,
        PaymentStatus::Canceled,
    ];

    #[test]
    fn a_charge_that_succeeded_always_counts_and_is_never_undone_by_news() {
        for current in ALL {
            let news = next(current, &ProviderStatus::Succeeded);
            assert_eq!(news, (current != PaymentStatus::Succeeded).then_some(PaymentStatus::Succeeded));
            if current == PaymentStatus::Succeeded {
                for said in
                    [ProviderStatus::Processing, ProviderStatus::Canceled, ProviderStatus::RequiresPaymentMethod]
                {
                    assert_eq!(next(current, &said), None);
                }
            }
        }
    }

    #[test]
    fn what_is_authorised_can_still_be_captured_declined_or_let_go() {
        use PaymentStatus::{Authorized, Canceled, Failed, Processing, RequiresAction, Succeeded};
        for before in [Processing, RequiresAction] {
            assert_eq!(next(before, &ProviderStatus::RequiresCapture), Some(Authorized));
        }
        assert_eq!(next(Authorized, &ProviderStatus::Succeeded), Some(Succeeded));
        assert_eq!(next(Authorized, &ProviderStatus::Canceled), Some(Canceled));
        assert_eq!(next(Authorized, &ProviderStatus::RequiresPaymentMethod), Some(Failed));
        for old in [ProviderStatus::RequiresAction, ProviderStatus::Processing, ProviderStatus::RequiresCapture] {
            assert_eq!(next(Authorized, &old), None);
        }
        for over in [Canceled, Failed, Succeeded] {
            assert_eq!(next(over, &ProviderStatus::RequiresCapture), None);
        }
    }

    #[test]
    fn the_providers_words_lead_along_the_drawn_ways_and_along_each_of_them() {
        let said = [
            ProviderStatus::Succeeded,
            ProviderStatus::Canceled,
            ProviderStatus::RequiresPaymentMethod,
            ProviderStatus::RequiresAction,
            ProviderStatus::RequiresCapture,
            ProviderStatus::Processing,
            ProviderStatus::RequiresConfirmation,
        ];
        for current in ALL {
            let led: std::collections::BTreeSet<_> =
                said.iter().filter_map(|said| next(current, said)).map(PaymentStatus::as_str).collect();
            let mut drawn = crate::outbox::following("payment", Some(current.as_str()));
            if current == PaymentStatus::Succeeded {
                // No word of the payment's: its charge tells that the bank took the money back.
                drawn.remove("failed");
            }
            assert_eq!(led, drawn, "{current:?}");
        }
    }

    #[test]
    fn a_word_we_do_not_know_changes_nothing() {
        for current in ALL {
            assert_eq!(next(current, &ProviderStatus::Other("levitating".to_owned())), None);
        }
    }

    #[test]
    fn words_are_read_back() {
        for status in ALL {
            assert_eq!(PaymentStatus::parse(status.as_str()), Some(status));
        }
    }
}
