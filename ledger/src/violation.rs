//! What `verify` finds.

use jiff::civil::Date;

use crate::position::Position;

/// A row that contradicts another: never the work of this program, and never to be repaired silently.
///
/// Accounts stand as raw keys, since a tampered key may hold no book or currency.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The hash recomputed from a lane's rows is not the lane's head: a row was changed, or the head was.
    #[error("lane {lane}: the rows up to {seq} do not give the stored head")]
    HeadDiffers {
        /// The lane.
        lane: i16,
        /// The last position of the lane.
        seq: i64,
    },
    /// A position should hold one transaction, refusal, hold or release and holds none, two, or one beyond the lane's last.
    #[error("position {position} should hold exactly one transaction, refusal, hold or release")]
    SequenceBroken {
        /// The position.
        position: Position,
    },
    /// A transaction has another number of postings than it says, or they are numbered otherwise.
    #[error("the transaction at {position} says {expected} postings, {found} are there")]
    PostingsDiffer {
        /// Its position.
        position: Position,
        /// What its row says.
        expected: i16,
        /// What is there.
        found: i64,
    },
    /// Postings stand at a position without a transaction.
    #[error("postings without a transaction at {position}")]
    OrphanPostings {
        /// Their position.
        position: Position,
    },
    /// A posting has no positive amount, or joins accounts of two books or currencies, or one of another book.
    #[error("the posting {ordinal} at {position} is not one amount between two accounts of this book and currency")]
    PostingMalformed {
        /// Position of the transaction.
        position: Position,
        /// Which posting.
        ordinal: i16,
    },
    /// A posting names an account that is not open.
    #[error("account {account} has postings and is not open")]
    AccountMissing {
        /// The raw key.
        account: i64,
    },
    /// A stored balance is not the sum of its postings.
    #[error(
        "account {account}: stored debits {debits}, credits {credits}; the postings give {sum_of_debits}, {sum_of_credits}"
    )]
    BalanceDiffers {
        /// The raw key.
        account: i64,
        /// Minor units as stored.
        debits: i128,
        /// Minor units as stored.
        credits: i128,
        /// Minor units, recomputed.
        sum_of_debits: i128,
        /// Minor units, recomputed.
        sum_of_credits: i128,
    },
    /// A balance row contradicts its account: the side, the floor, or the number of rows.
    #[error("account {account}: its balance rows do not fit the account")]
    BalanceShape {
        /// The raw key.
        account: i64,
    },
    /// A checked transaction left less than the floor.
    #[error("account {account}: {checked_balance} after the last checked transaction, the floor is {floor}")]
    FloorPassed {
        /// The raw key.
        account: i64,
        /// Minor units.
        checked_balance: i64,
        /// Minor units.
        floor: i64,
    },
    /// The sums of a day are not those of its postings.
    #[error("account {account}, lane {lane}: the sums of {day} are not those of its postings")]
    DayDiffers {
        /// The raw key.
        account: i64,
        /// The lane.
        lane: i16,
        /// The UTC day.
        day: Date,
    },
    /// The day sums claim to reach beyond the lane.
    #[error("lane {lane}: day sums reach to {seq}, beyond the lane")]
    DaysAhead {
        /// The lane.
        lane: i16,
        /// Up to where they claim to reach.
        seq: i64,
    },
    /// A reversal is not the mirror of its original, or there is no original.
    #[error("transaction {id} does not mirror what it reverses")]
    ReversalDiffers {
        /// Id of the reversal.
        id: i64,
    },
    /// A transaction counts in a period before its month.
    #[error("transaction {id} counts in a period before its month")]
    PeriodTooEarly {
        /// Its id.
        id: i64,
    },
    /// What a hold has left is not its amount less its captures and its release.
    #[error("hold {hold} says that {remaining} are left, its captures and release leave {expected}")]
    HoldDiffers {
        /// Id of the hold.
        hold: i64,
        /// Minor units as stored.
        remaining: i64,
        /// Minor units, recomputed.
        expected: i128,
    },
    /// What is held on an account is not what its open holds have left.
    #[error("account {account}: {held} are held, its holds have {expected} left")]
    HeldDiffers {
        /// The raw key.
        account: i64,
        /// Minor units as stored.
        held: i128,
        /// Minor units, recomputed.
        expected: i128,
    },
    /// A capture is not what its transaction takes from the account of its hold, or a hold or transaction is not there.
    #[error("the capture or release at {position} does not fit its hold or its transaction")]
    CaptureDiffers {
        /// Its position.
        position: Position,
    },
    /// Two holds of one id or of one kind and source, or two releases of one hold.
    #[error("hold {hold} shares its id or its source with another, or is released twice")]
    HoldNotUnique {
        /// Its id.
        hold: i64,
    },
    /// A lane ends before the position up to which it was verified.
    #[error("lane {lane} ends at {seq} and was verified up to {verified}")]
    LaneBehind {
        /// The lane.
        lane: i16,
        /// Its last position.
        seq: i64,
        /// Up to where it was verified.
        verified: i64,
    },
    /// A stored anchor does not fit its digest, the anchor before or the exported one, or is missing.
    #[error("anchor {number} is missing, or differs from its digest, the one before or the exported one")]
    AnchorDiffers {
        /// Its number.
        number: i64,
    },
    /// The rows of a lane do not give the head that an anchor names.
    #[error("lane {lane}: the rows up to {seq} do not give the head in anchor {number}")]
    AnchoredHeadDiffers {
        /// The anchor.
        number: i64,
        /// The lane.
        lane: i16,
        /// The anchored position.
        seq: i64,
    },
    /// A lane is shorter than when it was anchored.
    #[error("lane {lane} ends at {found}, anchor {number} saw it at {seq}")]
    AnchoredLaneShort {
        /// The anchor.
        number: i64,
        /// The lane.
        lane: i16,
        /// The anchored position.
        seq: i64,
        /// Where it ends.
        found: i64,
    },
    /// Two transactions of one id, of one kind and source, or two reversals of one original.
    #[error("transaction {id} shares its id, its source or its original with another")]
    NotUnique {
        /// Its id.
        id: i64,
    },
}
