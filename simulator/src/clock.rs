//! The simulator's only source of time: the machine's clock, or one that is driven.

use std::sync::RwLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// Which clock a simulator starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockMode {
    /// The machine's.
    System,
    /// Driven, from this second on (since 1970-01-01 UTC). A database that has seen later seconds goes on from there.
    Manual(i64),
}

/// The clock: driven while a second is set.
#[derive(Debug)]
pub(crate) struct Clock(RwLock<Option<i64>>);

impl Clock {
    pub(crate) fn new(driven: Option<i64>) -> Self {
        Self(RwLock::new(driven))
    }

    /// Now, in seconds.
    pub(crate) fn now(&self) -> i64 {
        self.driven().unwrap_or_else(system_now)
    }

    /// The driven second, none while the machine's clock is followed.
    pub(crate) fn driven(&self) -> Option<i64> {
        *self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn set(&self, driven: Option<i64>) {
        *self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = driven;
    }
}

/// The machine's clock, in seconds.
pub(crate) fn system_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
