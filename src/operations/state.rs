//! Pure decisions about a command: what an answer means for it, and what to do about an unknown one.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use partita_provider::{Command, Outcome, ProviderObject, Refusal};

use super::Operation;

/// How long the same key is sent again. The provider keeps keys for 24 hours at least; an hour is margin.
const SAME_KEY_HOURS: i64 = 23;

/// Errors of the provider's own after which it is taken to keep the error under the key.
const KEPT_AFTER_ERRORS: i32 = 2;
/// Minutes between two look-ups that together prove an absence.
const LOOK_UPS_APART_MINUTES: i64 = 10;
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

/// Sorts an outcome; `chance` spreads the delay.
pub fn verdict(outcome: Outcome, attempt: i32, chance: u16) -> Verdict {
    match outcome {
        Outcome::Done(object) => Verdict::Done(object),
        Outcome::Refused { refusal, object } => Verdict::Refused(refusal, object),
        Outcome::Retry { after } => {
            let asked = after.map_or(0, milliseconds);
            let delay_ms = asked.max(retry_delay_ms(attempt, chance));
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

/// What to do with a claimed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Send the stored bytes under the stored key.
    Send,
    /// Ask the provider whether its object exists: sending could repeat the effect, or would bring the same error again.
    LookUp,
}

/// Decides by what is known of the doubt: the age of the key, errors that the provider keeps under it, an object whose
/// id is known already.
pub fn next_step(operation: &Operation, now: Timestamp) -> Step {
    let too_old = |sent: Timestamp| now.duration_since(sent) >= SignedDuration::from_hours(SAME_KEY_HOURS);
    let doubtful = operation.in_doubt
        && (operation.server_errors >= KEPT_AFTER_ERRORS
            || operation.empty_look_ups > 0
            || operation.provider_object.is_some()
            || operation.first_sent_at.is_some_and(too_old));
    if doubtful { Step::LookUp } else { Step::Send }
}

/// What it means that the provider has no object of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// Too early to say: what the provider lists may lag.
    LookAgain {
        /// When, by the business clock.
        at: Timestamp,
    },
    /// It had no effect: it may be sent under a new key.
    Renew,
    /// It had no effect, as far as anyone can see, and too much depends on it: people decide.
    Review,
}

/// Decides after a look-up that found nothing, counting the ones before.
pub fn after_absence(operation: &Operation, resend_up_to: i64, now: Timestamp) -> Absence {
    let wait = SignedDuration::from_mins(LOOK_UPS_APART_MINUTES);
    let Some(first) = operation.first_look_up_at else { return Absence::LookAgain { at: now + wait } };
    if now < first + wait {
        return Absence::LookAgain { at: first + wait };
    }
    if amount(&operation.command) > resend_up_to { Absence::Review } else { Absence::Renew }
}

/// What a command moves, in minor units of whatever currency; nothing for those that move no money.
fn amount(command: &Command) -> i64 {
    match command {
        Command::OnAccount(on) => amount(&on.asked),
        Command::CreatePayment(asked) => asked.amount.minor,
        Command::CapturePayment(asked) => asked.amount.minor,
        Command::CreateTransfer(asked) => asked.amount.minor,
        Command::CreateReversal(asked) => asked.amount.minor,
        Command::CreateRefund(asked) => asked.amount.minor,
        Command::CreateTopUp(asked) => asked.amount.minor,
        Command::CreatePayout(asked) => asked.amount.minor,
        Command::CreateAccount(_)
        | Command::CreateAccountLink(_)
        | Command::UpdateAccount(_)
        | Command::CancelPayment(_)
        | Command::SubmitEvidence(_)
        | Command::AcceptDispute(_)
        | Command::CreateCustomer(_)
        | Command::CreateSetup(_)
        | Command::DetachMethod(_) => 0,
    }
}

/// Milliseconds before the attempt after `attempt`: doubling from one second to five minutes, less up to a half by
/// `chance`, so that what failed together does not come back together.
pub fn retry_delay_ms(attempt: i32, chance: u16) -> i64 {
    let doublings = u32::try_from(attempt.clamp(1, 10) - 1).expect("between 0 and 9");
    let longest = (SHORTEST_DELAY_MS << doublings).min(LONGEST_DELAY_MS);
    longest - longest / 2 * i64::from(chance) / i64::from(u16::MAX)
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(LONGEST_DELAY_MS).min(3_600_000)
}

#[cfg(test)]
mod tests {
    use partita_provider::{CreateTopUp, Currency, Money};

    use super::super::{OperationState, test_operation};
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn doubtful() -> Operation {
        let command = Command::CreateTopUp(CreateTopUp {
            amount: Money::new(500, Currency::parse("EUR").expect("a currency")),
            description: None,
            metadata: std::collections::BTreeMap::new(),
        });
        Operation {
            state: OperationState::Submitting,
            in_doubt: true,
            first_sent_at: Some(at("2026-01-01T00:00:00Z")),
            ..test_operation(command)
        }
    }

    #[test]
    fn delays_double_and_stay_bounded() {
        assert_eq!(
            [1, 2, 3, 8, 9, 10, 50].map(|attempt| retry_delay_ms(attempt, 0)),
            [1_000, 2_000, 4_000, 128_000, 256_000, 300_000, 300_000]
        );
        assert_eq!(retry_delay_ms(-1, 0), 1_000);
    }

    #[test]
    fn chance_takes_up_to_a_half_off_a_delay() {
        assert_eq!([0, u16::MAX / 2, u16::MAX].map(|chance| retry_delay_ms(3, chance)), [4_000, 3_001, 2_000]);
    }

    #[test]
    fn the_longer_of_our_delay_and_the_providers_wish_counts() {
        let outcome = Outcome::Retry { after: Some(Duration::from_secs(7)) };
        assert!(matches!(verdict(outcome, 1, 0), Verdict::Later { delay_ms: 7_000, alarm: false, .. }));
        assert!(matches!(verdict(Outcome::Retry { after: None }, 3, 0), Verdict::Later { delay_ms: 4_000, .. }));
    }

    #[test]
    fn what_is_not_definite_is_unknown() {
        let outcome = Outcome::Unknown { reason: "timeout".to_owned() };
        assert_eq!(verdict(outcome, 1, 0), Verdict::Unknown { why: "timeout".to_owned() });
    }

    #[test]
    fn an_old_key_is_looked_up_and_not_sent_again() {
        let operation = doubtful();
        assert_eq!(next_step(&operation, at("2026-01-01T22:59:59Z")), Step::Send);
        assert_eq!(next_step(&operation, at("2026-01-01T23:00:00Z")), Step::LookUp);
    }

    #[test]
    fn what_certainly_had_no_effect_is_sent_however_old_it_is() {
        let operation = Operation { in_doubt: false, ..doubtful() };
        assert_eq!(next_step(&operation, at("2026-06-01T00:00:00Z")), Step::Send);
    }

    #[test]
    fn an_error_that_the_provider_keeps_is_not_asked_for_a_third_time() {
        let now = at("2026-01-01T00:01:00Z");
        assert_eq!(next_step(&Operation { server_errors: 1, ..doubtful() }, now), Step::Send);
        assert_eq!(next_step(&Operation { server_errors: 2, ..doubtful() }, now), Step::LookUp);
    }

    #[test]
    fn an_object_whose_id_is_known_is_read_instead_of_made_again() {
        let operation = Operation { provider_object: Some("tu_1".to_owned()), ..doubtful() };
        assert_eq!(next_step(&operation, at("2026-01-01T00:01:00Z")), Step::LookUp);
    }

    #[test]
    fn two_empty_look_ups_ten_minutes_apart_prove_an_absence() {
        let first = doubtful();
        let noon = at("2026-01-02T12:00:00Z");
        assert_eq!(after_absence(&first, 1_000, noon), Absence::LookAgain { at: at("2026-01-02T12:10:00Z") });
        let second = Operation { empty_look_ups: 1, first_look_up_at: Some(noon), ..first };
        let early = at("2026-01-02T12:09:59Z");
        assert_eq!(after_absence(&second, 1_000, early), Absence::LookAgain { at: at("2026-01-02T12:10:00Z") });
        assert_eq!(after_absence(&second, 1_000, at("2026-01-02T12:10:00Z")), Absence::Renew);
    }

    #[test]
    fn above_the_limit_people_decide() {
        let noon = at("2026-01-02T12:00:00Z");
        let second = Operation { empty_look_ups: 1, first_look_up_at: Some(noon), ..doubtful() };
        let later = at("2026-01-02T13:00:00Z");
        assert_eq!(after_absence(&second, 500, later), Absence::Renew);
        assert_eq!(after_absence(&second, 499, later), Absence::Review);
    }
}
