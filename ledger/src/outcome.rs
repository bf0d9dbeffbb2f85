//! What became of a transaction that was asked to be posted.

use crate::{key::AccountKey, position::Position, transaction::Malformed};

/// What became of one transaction of a slice. Holds only if the caller commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostOutcome {
    /// It is posted.
    Posted {
        /// Where.
        position: Position,
    },
    /// The same content was posted before from the same source; nothing is written.
    Replayed {
        /// Id of the one that was posted.
        id: i64,
        /// Where it was posted.
        position: Position,
    },
    /// It is not posted. The refusal is stored, unless the transaction was malformed.
    Refused(PostRefusal),
}

impl PostOutcome {
    /// Where the transaction stands, now or already; the refusal if it does not stand.
    ///
    /// # Errors
    /// The refusal.
    pub fn position(self) -> Result<Position, PostRefusal> {
        match self {
            Self::Posted { position } | Self::Replayed { position, .. } => Ok(position),
            Self::Refused(refusal) => Err(refusal),
        }
    }
}

/// Why a transaction was not posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PostRefusal {
    /// It respects floors, and its net effect would take this account below its floor and what is held on it.
    #[error("{account} has {available} above its floor and holds, {needed} are needed")]
    InsufficientFunds {
        /// The first such account in order of key.
        account: AccountKey,
        /// Minor units that the transaction takes, net.
        needed: i64,
        /// Minor units above the floor and what is held; negative if the account is below already.
        available: i64,
    },
    /// An account is not open.
    #[error("{account} is not open")]
    UnknownAccount {
        /// The first such account in order of key.
        account: AccountKey,
    },
    /// Another transaction with other postings came from this kind and source.
    #[error("transaction {existing} has the same source and other content")]
    SourceConflict {
        /// Id of the one that is posted.
        existing: i64,
    },
    /// The debits or the credits of an account (of a stripe, if it is striped) would come to more than
    /// [`PostRefusal::MOST`].
    #[error("the sums of {account} would come to more than {max}", max = Self::MOST)]
    Overflow {
        /// The first such account in order of key.
        account: AccountKey,
    },
    /// The original is reversed already, from another source.
    #[error("the original is reversed already by transaction {by}")]
    AlreadyReversed {
        /// Id of the reversing transaction.
        by: i64,
    },
    /// There is no such hold.
    #[error("there is no hold {hold}")]
    UnknownHold {
        /// Id of the hold that was to be captured.
        hold: i64,
    },
    /// The hold has less left than the transaction takes from its account.
    #[error("hold {hold} has {remaining} left, {needed} are needed")]
    HoldTooSmall {
        /// Id of the hold.
        hold: i64,
        /// Minor units that the transaction takes from the held account, net.
        needed: i64,
        /// Minor units that the hold has left; zero if it is closed.
        remaining: i64,
    },
    /// The transaction takes nothing, net, from the account of the hold that it should capture.
    #[error("the transaction takes nothing from the account of hold {hold}")]
    NothingCaptured {
        /// Id of the hold.
        hold: i64,
    },
    /// No book would take it. Not stored.
    #[error("malformed: {0}")]
    Malformed(Malformed),
}

impl PostRefusal {
    /// The most that the debits or the credits of one balance row may come to: 2^62 - 1 minor units.
    ///
    /// Half of what 64 bits hold, so that a whole slice can be added to a row before it is known whether it fits.
    pub const MOST: i64 = (1 << 62) - 1;
}
