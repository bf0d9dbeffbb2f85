//! Pure decisions about a command: what an answer means for it, and what to do about an unknown one.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use partita_provider::{Outcome, ProviderObject, Refusal};

/// How long the same key is sent again. The provider keeps keys for 24 hours at least; an hour is margin.
pub const SAME_KEY_HOURS: i64 = 23;

const MISCONFIGURED_DELAY_MS: i64 = 300_000;
const LONGEST_DELAY_MS: i64 = 300_000;
const SHORTEST_DELAY_MS: i64 = 1_000;

/// What an attempt's outcome means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The object exists.
    Done(Box<ProviderObject>),
    /// Nothing moved, definitely. A declined payment carries its object.
    Refused(Refusal, Option<Box<ProviderObject>>),
    /// It certainly had no effect and may be sent again after the delay.
    Later {
        /// Milliseconds to wait.
        delay_ms: i64,
        /// What happened, for a person.
        why: String,
        /// Whether a person has to act first.
        alarm: bool,
    },
    /// Nobody can tell.
    Unknown {
        /// What happened, for a person.
        why: String,
    },
}

/// Sorts an outcome.
pub fn verdict(outcome: Outcome, attempt: i32) -> Verdict {
    match outcome {
        Outcome::Done(object) => Verdict::Done(object),
        Outcome::Refused { refusal, object } => Verdict::Refused(refusal, object),
        Outcome::Retry { after } => {
            let asked = after.map_or(0, milliseconds);
            let delay_ms = asked.max(retry_delay_ms(attempt));
            Verdict::Later { delay_ms, why: "the provider asked to try again later".to_owned(), alarm: false }
        }
        Outcome::Misconfigured(refusal) => Verdict::Later {
            delay_ms: MISCONFIGURED_DELAY_MS,
            why: format!("the provider refuses our key or permission: {}", refusal.message),
            alarm: true,
        },
        Outcome::Unknown { reason } => Verdict::Unknown { why: reason },
    }
}

/// What to do about a command whose outcome nobody can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// Send the same bytes under the same key.
    SameKey,
    /// The provider may have forgotten the key: sending it again could repeat the effect.
    KeyTooOld,
}

/// Decides by the age of the key.
pub fn resolve_unknown(first_sent_at: Option<Timestamp>, now: Timestamp) -> Resolution {
    match first_sent_at {
        Some(sent) if now.duration_since(sent) >= SignedDuration::from_hours(SAME_KEY_HOURS) => Resolution::KeyTooOld,
        _ => Resolution::SameKey,
    }
}

/// Milliseconds before the attempt after `attempt`: doubling from one second to five minutes.
pub fn retry_delay_ms(attempt: i32) -> i64 {
    let doublings = u32::try_from(attempt.clamp(1, 10) - 1).expect("between 0 and 9");
    (SHORTEST_DELAY_MS << doublings).min(LONGEST_DELAY_MS)
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(LONGEST_DELAY_MS).min(3_600_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_and_stay_bounded() {
        assert_eq!(
            [1, 2, 3, 8, 9, 10, 50].map(retry_delay_ms),
            [1_000, 2_000, 4_000, 128_000, 256_000, 300_000, 300_000]
        );
        assert_eq!(retry_delay_ms(-1), 1_000);
    }

    #[test]
    fn the_longer_of_our_delay_and_the_providers_wish_counts() {
        let outcome = Outcome::Retry { after: Some(Duration::from_secs(7)) };
        assert!(matches!(verdict(outcome, 1), Verdict::Later { delay_ms: 7_000, alarm: false, .. }));
        assert!(matches!(verdict(Outcome::Retry { after: None }, 3), Verdict::Later { delay_ms: 4_000, .. }));
    }

    #[test]
    fn what_is_not_definite_is_unknown() {
        let outcome = Outcome::Unknown { reason: "timeout".to_owned() };
        assert_eq!(verdict(outcome, 1), Verdict::Unknown { why: "timeout".to_owned() });
    }

    #[test]
    fn an_old_key_is_not_sent_again() {
        let sent: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let after = |hours| sent + SignedDuration::from_hours(hours);
        assert_eq!(resolve_unknown(Some(sent), after(22)), Resolution::SameKey);
        assert_eq!(resolve_unknown(Some(sent), after(23)), Resolution::KeyTooOld);
        assert_eq!(resolve_unknown(None, after(100)), Resolution::SameKey);
    }
}
