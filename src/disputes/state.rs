//! What may happen to a dispute. Pure.

use partita_provider::DisputeStatus as ProviderStatus;

/// Where a dispute stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisputeStatus {
    /// The bank asks and has taken nothing.
    Inquiry,
    /// The money was taken; evidence is wanted.
    NeedsResponse,
    /// Evidence lies with the bank.
    UnderReview,
    /// The money is back. Final.
    Won,
    /// The money stays with the buyer. Final.
    Lost,
    /// It ended before any money was taken. Final.
    Closed,
}

impl DisputeStatus {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inquiry => "inquiry",
            Self::NeedsResponse => "needs_response",
            Self::UnderReview => "under_review",
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Closed => "closed",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Inquiry, Self::NeedsResponse, Self::UnderReview, Self::Won, Self::Lost, Self::Closed]
            .into_iter()
            .find(|status| status.as_str() == text)
    }

    /// Whether nothing follows.
    pub fn is_final(self) -> bool {
        self.rank() == 3
    }

    /// Whether the bank waits for an answer.
    pub fn wants_response(self) -> bool {
        matches!(self, Self::Inquiry | Self::NeedsResponse)
    }

    /// The event that tells of it.
    pub(super) fn event(self) -> &'static str {
        match self {
            Self::Inquiry | Self::NeedsResponse | Self::UnderReview => "dispute.updated",
            Self::Won => "dispute.won",
            Self::Lost => "dispute.lost",
            Self::Closed => "dispute.closed",
        }
    }

    /// Only a higher rank replaces a lower one, so that old news changes nothing.
    fn rank(self) -> u8 {
        match self {
            Self::Inquiry => 0,
            Self::NeedsResponse => 1,
            Self::UnderReview => 2,
            Self::Won | Self::Lost | Self::Closed => 3,
        }
    }
}

/// What the provider's word makes of a dispute; none for words that this version does not know.
fn told(said: &ProviderStatus) -> Option<DisputeStatus> {
    Some(match said {
        ProviderStatus::Inquiry | ProviderStatus::InquiryUnderReview => DisputeStatus::Inquiry,
        ProviderStatus::NeedsResponse => DisputeStatus::NeedsResponse,
        ProviderStatus::UnderReview => DisputeStatus::UnderReview,
        ProviderStatus::Won => DisputeStatus::Won,
        ProviderStatus::Lost => DisputeStatus::Lost,
        ProviderStatus::Closed => DisputeStatus::Closed,
        ProviderStatus::Other(_) => return None,
    })
}

/// In which status a dispute begins: one that we first hear of when it is decided was open before, and so that every
/// dispute has its opening.
pub(super) fn first(said: &ProviderStatus) -> DisputeStatus {
    match told(said) {
        Some(DisputeStatus::Inquiry | DisputeStatus::Closed) => DisputeStatus::Inquiry,
        _ => DisputeStatus::NeedsResponse,
    }
}

/// The new status, or none when the provider's word is no news.
pub(super) fn next(current: DisputeStatus, said: &ProviderStatus) -> Option<DisputeStatus> {
    told(said).filter(|told| told.rank() > current.rank())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: [ProviderStatus; 7] = [
        ProviderStatus::Inquiry,
        ProviderStatus::InquiryUnderReview,
        ProviderStatus::NeedsResponse,
        ProviderStatus::UnderReview,
        ProviderStatus::Won,
        ProviderStatus::Lost,
        ProviderStatus::Closed,
    ];

    #[test]
    fn the_providers_words_lead_along_the_drawn_ways_and_along_each_of_them() {
        let begins: std::collections::BTreeSet<_> = SAID.iter().map(|said| first(said).as_str()).collect();
        assert_eq!(begins, crate::outbox::following("dispute", None));
        for current in ["inquiry", "needs_response", "under_review", "won", "lost", "closed"] {
            let status = DisputeStatus::parse(current).expect("a status");
            let led: std::collections::BTreeSet<_> =
                SAID.iter().filter_map(|said| next(status, said)).map(DisputeStatus::as_str).collect();
            assert_eq!(led, crate::outbox::following("dispute", Some(current)), "{current}");
        }
    }

    #[test]
    fn a_decision_is_final_whatever_is_said_afterwards() {
        for decided in [DisputeStatus::Won, DisputeStatus::Lost, DisputeStatus::Closed] {
            assert!(decided.is_final() && !decided.wants_response());
            for said in SAID {
                assert_eq!(next(decided, &said), None, "{decided:?} {said:?}");
            }
        }
    }

    #[test]
    fn a_dispute_only_goes_on() {
        assert_eq!(next(DisputeStatus::Inquiry, &ProviderStatus::NeedsResponse), Some(DisputeStatus::NeedsResponse));
        assert_eq!(next(DisputeStatus::NeedsResponse, &ProviderStatus::UnderReview), Some(DisputeStatus::UnderReview));
        assert_eq!(next(DisputeStatus::UnderReview, &ProviderStatus::NeedsResponse), None);
        assert_eq!(next(DisputeStatus::NeedsResponse, &ProviderStatus::Lost), Some(DisputeStatus::Lost));
        assert_eq!(next(DisputeStatus::Inquiry, &ProviderStatus::InquiryUnderReview), None);
        assert_eq!(next(DisputeStatus::NeedsResponse, &ProviderStatus::Other("paused".into())), None);
    }

    #[test]
    fn one_first_heard_of_when_it_is_over_was_open_before() {
        for said in SAID {
            let first = first(&said);
            assert!(!first.is_final(), "{said:?}");
            let asked =
                matches!(said, ProviderStatus::Inquiry | ProviderStatus::InquiryUnderReview | ProviderStatus::Closed);
            assert_eq!(first == DisputeStatus::Inquiry, asked, "{said:?}");
        }
    }

    #[test]
    fn every_word_reads_back() {
        for word in ["inquiry", "needs_response", "under_review", "won", "lost", "closed"] {
            assert_eq!(DisputeStatus::parse(word).map(DisputeStatus::as_str), Some(word));
        }
        assert_eq!(DisputeStatus::parse("open"), None);
    }
}
