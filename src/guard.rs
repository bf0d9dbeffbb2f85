//! What stands between the service and a provider: a circuit breaker, shared by every book that reaches the same
//! address, and a bulkhead, one for each book.
//!
//! The breaker opens after some failures in a row, for everyone, and lets one call through when its time has come, a read
//! and never a command, whose own error the provider may keep under its key: if that one is answered it closes,
//! otherwise it stays open for longer. An answer is what the provider says of a request,
//! also a no; a failure is silence, an error of its own, or something that cannot be read. The bulkhead bounds how many
//! calls a book has under way, so that one marketplace cannot take every connection. A command that either keeps back
//! was certainly not sent, and is told so: [`Outcome::Retry`].

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use partita_provider::{
    Balance, BalanceTransaction, Command, Event, EventQuery, EvidenceFile, FetchError, ListedEvent, LookedUp, Lookup,
    Money, Outcome, Page, PageRequest, PrepareError, PreparedRequest, Provider, ProviderObject, Search, Submission,
};
use tokio::sync::Semaphore;

use crate::clock::Clock;

/// Failures in a row that open a breaker.
const OPENS_AFTER: u32 = 10;
/// How long it stays open at first; doubled with every failed trial.
const OPEN_SECONDS: i64 = 5;
/// How long it stays open at most.
const LONGEST_OPEN_SECONDS: i64 = 60;
/// How long a trial may take before another one is made: whoever made it may have gone away.
const TRIAL_SECONDS: i64 = 35;
/// Calls that one book may have under way.
const CALLS_OF_A_BOOK: usize = 64;
/// How soon a command is tried again that found the book's calls used up.
const CROWDED_SECONDS: u64 = 1;

/// How a call was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admitted {
    /// The breaker is closed.
    Freely,
    /// The call's end decides about the breaker.
    OnTrial,
}

/// A circuit breaker. Time is the business clock's.
#[derive(Debug, Default)]
pub struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    trials_failed: u32,
    open_until: Option<Timestamp>,
}

impl Breaker {
    /// Whether a call may go through at `now`; if not, how long it stays so. The first call after the time is the trial.
    fn admit(&self, now: Timestamp) -> Result<Admitted, Duration> {
        let mut state = self.lock();
        let Some(until) = state.open_until else { return Ok(Admitted::Freely) };
        if now < until {
            return Err(Duration::try_from(until.duration_since(now)).unwrap_or_default());
        }
        state.open_until = Some(now + SignedDuration::from_secs(TRIAL_SECONDS));
        Ok(Admitted::OnTrial)
    }

    /// Takes note of how a call ended that was let through so.
    fn note(&self, admitted: Admitted, answered: bool, now: Timestamp) {
        let mut state = self.lock();
        if answered {
            *state = State::default();
            return;
        }
        state.failures = state.failures.saturating_add(1);
        match admitted {
            Admitted::OnTrial => state.trials_failed = state.trials_failed.saturating_add(1),
            Admitted::Freely if state.failures < OPENS_AFTER || state.open_until.is_some() => return,
            Admitted::Freely => {}
        }
        let seconds = (OPEN_SECONDS << state.trials_failed.min(10)).min(LONGEST_OPEN_SECONDS);
        state.open_until = Some(now + SignedDuration::from_secs(seconds));
        tracing::error!(seconds, "the provider keeps failing: nothing is sent to it for a while");
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("no code panics while holding it")
    }
}

/// A provider behind its breaker and its book's bulkhead.
pub struct Guarded {
    inner: Box<dyn Provider>,
    breaker: Arc<Breaker>,
    calls: Semaphore,
    clock: Clock,
}

impl Guarded {
    /// Guards a provider; `breaker` is shared by all who reach the same address.
    pub fn new(inner: Box<dyn Provider>, breaker: Arc<Breaker>, clock: Clock) -> Self {
        Self { inner, breaker, calls: Semaphore::new(CALLS_OF_A_BOOK), clock }
    }

    /// Lets a read through, which may wait for its turn, and takes note of how it ended.
    async fn read<T>(&self, call: impl Future<Output = Result<T, FetchError>> + Send) -> Result<T, FetchError> {
        let _permit = self.calls.acquire_many(1).await.expect("the semaphore is never closed");
        let admitted = self.breaker.admit(self.clock.now()).map_err(|_| FetchError::Unreachable(OPEN.to_owned()))?;
        self.note_read(admitted, call.await)
    }

    fn note_read<T>(&self, admitted: Admitted, read: Result<T, FetchError>) -> Result<T, FetchError> {
        let answered = !matches!(read, Err(FetchError::Unreachable(_) | FetchError::Unreadable(_)));
        self.breaker.note(admitted, answered, self.clock.now());
        read
    }
}

const OPEN: &str = "the provider keeps failing, it is left alone for a while";

/// Whether the provider said something, whatever it was.
fn was_answered(submission: &Submission) -> bool {
    match submission.outcome {
        Outcome::Done(_) | Outcome::Refused { .. } | Outcome::Misconfigured(_) => true,
        Outcome::Retry { .. } => submission.raw.is_some(),
        Outcome::Unknown { .. } => false,
    }
}

fn not_sent(after: Duration) -> Submission {
    Submission { outcome: Outcome::Retry { after: Some(after) }, raw: None }
}

#[async_trait]
impl Provider for Guarded {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn prepare(&self, command: &Command) -> Result<PreparedRequest, PrepareError> {
        self.inner.prepare(command)
    }

    fn payable(&self, amount: Money) -> i64 {
        self.inner.payable(amount)
    }

    async fn submit(&self, request: &PreparedRequest, idempotency_key: &str) -> Submission {
        // Whoever sends holds a lease that runs: no waiting here.
        let Ok(_permit) = self.calls.try_acquire() else { return not_sent(Duration::from_secs(CROWDED_SECONDS)) };
        match self.breaker.admit(self.clock.now()) {
            Ok(Admitted::Freely) => {}
            Ok(Admitted::OnTrial) => {
                if self.note_read(Admitted::OnTrial, self.inner.balance(None).await).is_err() {
                    return not_sent(Duration::ZERO);
                }
            }
            Err(after) => return not_sent(after),
        }
        let submission = self.inner.submit(request, idempotency_key).await;
        self.breaker.note(Admitted::Freely, was_answered(&submission), self.clock.now());
        submission
    }

    fn read_answer(&self, request: &PreparedRequest, body: &[u8]) -> Result<ProviderObject, FetchError> {
        self.inner.read_answer(request, body)
    }

    async fn fetch(&self, lookup: &Lookup) -> Result<ProviderObject, FetchError> {
        self.read(self.inner.fetch(lookup)).await
    }

    async fn look_up(&self, search: &Search) -> Result<LookedUp, FetchError> {
        self.read(self.inner.look_up(search)).await
    }

    async fn upload_evidence(&self, account: Option<&str>, file: &EvidenceFile) -> Result<String, FetchError> {
        self.read(self.inner.upload_evidence(account, file)).await
    }

    async fn balance_transaction(&self, account: Option<&str>, id: &str) -> Result<BalanceTransaction, FetchError> {
        self.read(self.inner.balance_transaction(account, id)).await
    }

    async fn balance_transactions(
        &self,
        account: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<BalanceTransaction>, FetchError> {
        self.read(self.inner.balance_transactions(account, page)).await
    }

    async fn balance(&self, account: Option<&str>) -> Result<Balance, FetchError> {
        self.read(self.inner.balance(account)).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<ListedEvent>, FetchError> {
        self.read(self.inner.events(query)).await
    }

    fn read_event(&self, body: &[u8]) -> Result<Event, FetchError> {
        self.inner.read_event(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("a time")
    }

    fn fail(breaker: &Breaker, times: u32, now: Timestamp) {
        for _ in 0..times {
            let admitted = breaker.admit(now).expect("still closed");
            breaker.note(admitted, false, now);
        }
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let breaker = Breaker::default();
        fail(&breaker, 9, at(0));
        breaker.note(Admitted::Freely, true, at(0));
        fail(&breaker, 9, at(1));
        assert!(breaker.admit(at(1)).is_ok(), "an answer came between");
        breaker.note(Admitted::Freely, false, at(1));
        assert_eq!(breaker.admit(at(2)), Err(Duration::from_secs(4)));
    }

    #[test]
    fn one_call_tries_and_its_answer_closes_it_for_everyone() {
        let breaker = Breaker::default();
        fail(&breaker, 10, at(0));
        assert!(breaker.admit(at(4)).is_err());
        assert_eq!(breaker.admit(at(5)), Ok(Admitted::OnTrial));
        assert!(breaker.admit(at(5)).is_err(), "one trial at a time");
        breaker.note(Admitted::OnTrial, true, at(6));
        assert_eq!([breaker.admit(at(6)), breaker.admit(at(6))], [Ok(Admitted::Freely); 2]);
    }

    #[test]
    fn a_trial_that_nobody_hears_of_again_is_followed_by_another() {
        let breaker = Breaker::default();
        fail(&breaker, 10, at(0));
        assert_eq!(breaker.admit(at(5)), Ok(Admitted::OnTrial));
        assert!(breaker.admit(at(39)).is_err());
        assert_eq!(breaker.admit(at(40)), Ok(Admitted::OnTrial));
    }

    #[test]
    fn failed_trials_keep_it_open_for_longer_but_not_for_ever() {
        let breaker = Breaker::default();
        fail(&breaker, 10, at(0));
        let mut now = 5;
        for expected in [10, 20, 40, 60, 60] {
            let trial = breaker.admit(at(now)).expect("the trial");
            breaker.note(trial, false, at(now));
            assert_eq!(breaker.admit(at(now)), Err(Duration::from_secs(expected)));
            now += i64::try_from(expected).expect("small");
        }
    }

    #[test]
    fn a_late_failure_of_a_call_from_before_does_not_prolong_it() {
        let breaker = Breaker::default();
        fail(&breaker, 10, at(0));
        breaker.note(Admitted::Freely, false, at(3));
        assert!(breaker.admit(at(5)).is_ok());
    }
}
