//! Holds: money of a floored account that is reserved for a purpose.

use jiff::Timestamp;

use crate::{account::NormalSide, key::AccountKey, position::Position, transaction::NewTransaction};

/// A hold to place: an amount that will leave a floored account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHold {
    /// Made by the caller, once among the holds of the book.
    pub id: i64,
    /// What it is for: a code of `ledger_transaction_kinds`.
    pub kind: i16,
    /// What caused it. One hold per kind and source: the next one is a replay, or refused if it differs.
    pub source: i64,
    /// Who did it.
    pub actor: i64,
    /// When it happened to the business; kept to the microsecond.
    pub effective_at: Timestamp,
    /// The floored account.
    pub account: AccountKey,
    /// Minor units of the account's currency, above zero.
    pub amount: i64,
    /// The payment, operation or payout that it belongs to.
    pub subject: i64,
    /// The business time from which [`expire_holds`](crate::expire_holds) gives back what is left; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// Whether something hangs on it already; see [`set_hold_in_use`](crate::set_hold_in_use).
    pub in_use: bool,
}

/// What became of one hold of a slice. Holds only if the caller commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldOutcome {
    /// It is placed.
    Placed {
        /// Where.
        position: Position,
    },
    /// The same account, amount, subject and expiry were held before from the same source; nothing is written.
    Replayed {
        /// Id of the hold that was placed.
        id: i64,
        /// Where it was placed.
        position: Position,
    },
    /// It is not placed. The refusal is stored, unless the hold was malformed.
    Refused(HoldRefusal),
}

/// Why a hold was not placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HoldRefusal {
    /// The account has less above its floor and what is held already.
    #[error("{account} has {available} above its floor and holds, {needed} are needed")]
    InsufficientFunds {
        /// The account.
        account: AccountKey,
        /// Minor units of the hold.
        needed: i64,
        /// Minor units above the floor and what is held; negative if the account is below already.
        available: i64,
    },
    /// The account is not open.
    #[error("{account} is not open")]
    UnknownAccount {
        /// The account.
        account: AccountKey,
    },
    /// Nothing can be held on an account without a floor.
    #[error("{account} has no floor")]
    NotFloored {
        /// The account.
        account: AccountKey,
    },
    /// Another hold came from this kind and source.
    #[error("hold {existing} has the same source and other content")]
    SourceConflict {
        /// Id of the one that is placed.
        existing: i64,
    },
    /// More than [`PostRefusal::MOST`](crate::PostRefusal::MOST) would be held on the account.
    #[error("the holds of {account} would come to too much")]
    Overflow {
        /// The account.
        account: AccountKey,
    },
    /// The amount is not above zero, or the account belongs to another book. Not stored.
    #[error("malformed: {amount} of {account}")]
    Malformed {
        /// The account.
        account: AccountKey,
        /// Minor units as given.
        amount: i64,
    },
}

/// A transaction that uses a hold, in part or whole: what it takes from the held account, net, is what it captures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCapture {
    /// Id of the hold.
    pub hold: i64,
    /// What is posted. On the held account it is not tested against the floor; on others it is, if it respects floors.
    pub transaction: NewTransaction,
}

/// Why a hold has nothing left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldEnd {
    /// All of it was captured.
    Captured,
    /// What was left was voided.
    Voided,
    /// What was left expired.
    Expired,
}

/// What became of voiding a hold. Holds only if the caller commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoidOutcome {
    /// What was left is given back.
    Voided {
        /// Minor units that were left.
        amount: i64,
        /// Where the release stands.
        position: Position,
    },
    /// Nothing was left; nothing is written.
    Already {
        /// How the hold had ended.
        end: HoldEnd,
    },
    /// There is no such hold.
    Unknown,
}

/// A hold as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldView {
    /// Its id.
    pub id: i64,
    /// What it is for.
    pub kind: i16,
    /// What caused it.
    pub source: i64,
    /// Who did it.
    pub actor: i64,
    /// The held account.
    pub account: AccountKey,
    /// Minor units when it was placed.
    pub amount: i64,
    /// Minor units that are left: what counts against the floor.
    pub remaining: i64,
    /// Minor units that transactions captured.
    pub captured: i64,
    /// The payment, operation or payout that it belongs to.
    pub subject: i64,
    /// Business time.
    pub effective_at: Timestamp,
    /// Database time.
    pub recorded_at: Timestamp,
    /// From when it may expire.
    pub expires_at: Option<Timestamp>,
    /// Whether it is kept from expiring.
    pub in_use: bool,
    /// How it ended; `None` while something is left.
    pub end: Option<HoldEnd>,
    /// Where it stands.
    pub position: Position,
}

/// How far a step of [`expire_holds`](crate::expire_holds) came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpireProgress {
    /// Holds that expired.
    pub expired: u64,
    /// Whether nothing more was due. False: call again, in a new database transaction.
    pub finished: bool,
}

/// What a floored account has for those who respect its floor, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Availability {
    /// The account.
    pub account: AccountKey,
    /// The side on which its balance is positive.
    pub normal_side: NormalSide,
    /// Its balance, by normal side.
    pub balance: i128,
    /// What its open holds have left.
    pub held: i64,
    /// Its floor.
    pub floor: i64,
}

impl Availability {
    /// The most that may be taken or held: balance less holds less floor; negative below the floor.
    pub fn available(&self) -> i128 {
        self.balance - i128::from(self.held) - i128::from(self.floor)
    }
}
