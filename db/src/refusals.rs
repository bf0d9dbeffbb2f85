//! What the server could not write, remembered for a while: nothing but a failed write tells that a disk is full.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// When a write was last refused. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusals(Arc<Mutex<Option<Instant>>>);

impl Refusals {
    pub(crate) fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub(crate) fn any_within(&self, time: Duration) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|last| last.elapsed() < time)
    }
}
