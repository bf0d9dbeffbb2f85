//! Who did it. Every operation, ledger transaction and change of state names its actor.

use std::fmt;

use crate::id::ApiKeyId;

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The service itself: worker, provider events, schedules.
    System,
    /// A holder of an API key.
    Key {
        /// The key's public id.
        id: ApiKeyId,
        /// The key's number, as the ledger keeps it.
        number: i64,
    },
}

impl Actor {
    /// The number that ledger rows carry; 0 is the system.
    pub fn number(self) -> i64 {
        match self {
            Self::System => 0,
            Self::Key { number, .. } => number,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Key { id, .. } => id.fmt(f),
        }
    }
}
