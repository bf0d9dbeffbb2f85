//! Where endpoints and deliveries stand, and what may follow what. Pure.

/// Whether an endpoint gets events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointStatus {
    /// It does.
    Enabled,
    /// It does not, until it is enabled again; what waits for it stays.
    Disabled(DisabledReason),
    /// It never will again.
    Deleted,
}

/// Why an endpoint gets no events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisabledReason {
    /// The platform asked for it.
    Asked,
    /// It answered 410 Gone.
    Gone,
    /// It failed for 75 hours without any success.
    Failing,
}

impl EndpointStatus {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled(_) => "disabled",
            Self::Deleted => "deleted",
        }
    }

    /// Why it is disabled.
    pub fn reason(self) -> Option<DisabledReason> {
        match self {
            Self::Disabled(reason) => Some(reason),
            Self::Enabled | Self::Deleted => None,
        }
    }

    /// Reads the stored words.
    pub fn parse(status: &str, reason: Option<&str>) -> Option<Self> {
        match (status, reason) {
            ("enabled", None) => Some(Self::Enabled),
            ("deleted", None) => Some(Self::Deleted),
            ("disabled", Some(reason)) => DisabledReason::parse(reason).map(Self::Disabled),
            _ => None,
        }
    }
}

impl DisabledReason {
    const ALL: [Self; 3] = [Self::Asked, Self::Gone, Self::Failing];

    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

/// What an endpoint's deliveries are signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    /// A shared secret: `v1`.
    Hmac,
    /// A key pair, of which the receiver gets the public key: `v1a`.
    Ed25519,
}

impl Signing {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hmac => "hmac",
            Self::Ed25519 => "ed25519",
        }
    }

    /// Reads the stored word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Hmac, Self::Ed25519].into_iter().find(|signing| signing.as_str() == word)
    }
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryStatus {
    /// To be sent when its time has come.
    Pending,
    /// A worker has it.
    Sending,
    /// Answered with 2xx. Final.
    Delivered,
    /// Given up. Final; it can be sent again as a new delivery.
    Failed,
    /// Its endpoint was deleted. Final.
    Canceled,
}

impl DeliveryStatus {
    const ALL: [Self; 5] = [Self::Pending, Self::Sending, Self::Delivered, Self::Failed, Self::Canceled];

    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sending => "sending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Reads the stored word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// Why there is a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryReason {
    /// Its event happened.
    Event,
    /// Somebody asked for this one again.
    Resend,
    /// Somebody asked for all of a range of time again.
    Replay,
    /// Somebody wants to see whether the endpoint works.
    Test,
}

impl DeliveryReason {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Resend => "resend",
            Self::Replay => "replay",
            Self::Test => "test",
        }
    }

    /// Reads the stored word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Event, Self::Resend, Self::Replay, Self::Test].into_iter().find(|reason| reason.as_str() == word)
    }

    /// Whether a failure is tried again by itself: whoever tests wants to know at once.
    pub fn is_tried_again(self) -> bool {
        self != Self::Test
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for status in [EndpointStatus::Enabled, EndpointStatus::Deleted]
            .into_iter()
            .chain(DisabledReason::ALL.map(EndpointStatus::Disabled))
        {
            let reason = status.reason().map(DisabledReason::as_str);
            assert_eq!(EndpointStatus::parse(status.as_str(), reason), Some(status));
        }
        assert_eq!(EndpointStatus::parse("disabled", None), None);
        assert_eq!(EndpointStatus::parse("enabled", Some("gone")), None);
        for status in DeliveryStatus::ALL {
            assert_eq!(DeliveryStatus::parse(status.as_str()), Some(status));
        }
        for signing in [Signing::Hmac, Signing::Ed25519] {
            assert_eq!(Signing::parse(signing.as_str()), Some(signing));
        }
        assert_eq!(DeliveryReason::parse("replay"), Some(DeliveryReason::Replay));
    }
}
