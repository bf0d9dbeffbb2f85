//! The business clock: effective times, due dates, signature windows, expiries. In service it follows the database's
//! clock, which also gives leases and recorded times: all processes have one time, whatever the clocks of their machines
//! say, and work that one of them puts off is due for all of them at that moment. The only place that reads the machine's
//! clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use partita_db::{Db, DbError, Reading};
use tokio_util::sync::CancellationToken;

/// Between two looks at the database's clock.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// An answer that took longer says too little about when the clock stood there.
const SLOWEST_ANSWER: Duration = Duration::from_secs(1);

/// Where business time comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// The database's clock, for every process of the service.
    Database(DatabaseClock),
    /// A clock that tests and the demo set; shared with the simulator's.
    Driven(DrivenClock),
}

impl Clock {
    /// The business time now.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => system_now(),
            Self::Database(clock) => clock.now(),
            Self::Driven(clock) => clock.now(),
        }
    }
}

/// The database's clock: read now and then, and carried on in between by time that is measured, which no setting of the
/// machine's clock changes.
#[derive(Clone, Debug)]
pub struct DatabaseClock(Arc<Mutex<Reading>>);

impl DatabaseClock {
    /// Reads it for the first time.
    ///
    /// # Errors
    /// [`DbError`] when the database does not answer.
    pub async fn start(db: &Db) -> Result<Self, DbError> {
        let mut best = db.read_clock().await?;
        if best.took > SLOWEST_ANSWER {
            let again = db.read_clock().await?;
            best = if again.took < best.took { again } else { best };
        }
        Ok(Self(Arc::new(Mutex::new(best))))
    }

    /// Follows it until cancelled. While the database does not answer, the clock goes on by itself.
    pub async fn follow(self, db: Db, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            match db.read_clock().await {
                Ok(reading) if reading.took <= SLOWEST_ANSWER => self.take(reading),
                Ok(reading) => tracing::debug!(took = ?reading.took, "the database's clock was read too slowly"),
                Err(error) => tracing::debug!(%error, "the database's clock could not be read"),
            }
        }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        now_after(*self.reading(), Instant::now())
    }

    fn take(&self, reading: Reading) {
        *self.reading() = reading;
    }

    fn reading(&self) -> std::sync::MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a clock stands at `at` that was read before. To the microsecond, as the database keeps times.
fn now_after(reading: Reading, at: Instant) -> Timestamp {
    let then = Timestamp::from_microsecond(reading.unix_micros).unwrap_or(Timestamp::UNIX_EPOCH);
    let passed = at.saturating_duration_since(reading.at).as_micros();
    then + SignedDuration::from_micros(i64::try_from(passed).unwrap_or(0))
}

/// A clock that stands still until it is set.
#[derive(Clone, Debug)]
pub struct DrivenClock(Arc<AtomicI64>);

impl DrivenClock {
    /// A clock that stands at `start`.
    pub fn new(start: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(start.as_millisecond())))
    }

    /// The time it stands at.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).expect("only valid times are stored")
    }

    /// Moves it to `time`.
    pub fn set(&self, time: Timestamp) {
        self.0.store(time.as_millisecond(), Ordering::SeqCst);
    }
}

/// The machine's clock, for what is outside business time: the demo's starting point.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
pub fn system_now() -> Timestamp {
    Timestamp::now()
}

/// A provider's time in seconds as a timestamp; none when it is out of range.
pub fn from_seconds(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_second(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_databases_clock_goes_on_between_two_looks_and_takes_each_new_one() {
        let (at, took) = (Instant::now(), Duration::ZERO);
        let first = Reading { unix_micros: 1_000_000, at, took };
        assert_eq!(now_after(first, at + Duration::from_millis(2_500)).as_microsecond(), 3_500_000);
        assert_eq!(now_after(first, at).as_microsecond(), 1_000_000, "not before it was read");
        let clock = DatabaseClock(Arc::new(Mutex::new(first)));
        // Another server took over, whose clock is behind.
        clock.take(Reading { unix_micros: 500_000, at: Instant::now() + Duration::from_mins(1), took });
        assert_eq!(clock.now().as_microsecond(), 500_000);
    }
}
