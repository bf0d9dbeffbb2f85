//! The business clock: effective times, due dates, signature windows, expiries. The database's clock gives leases and
//! recorded times. The only place that reads the machine's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// Where business time comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that tests and the demo set; shared with the simulator's.
    Driven(DrivenClock),
}

impl Clock {
    /// The business time now.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => system_now(),
            Self::Driven(clock) => clock.now(),
        }
    }
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
