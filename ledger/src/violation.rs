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
    /// A position that should hold a transaction or a refusal holds none, two, or one beyond the lane's last.
    #[error("position {position} should hold exactly one transaction or refusal")]
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
    /// Two transactions of one id, of one kind and source, or two reversals of one original.
    #[error("transaction {id} shares its id, its source or its original with another")]
    NotUnique {
        /// Its id.
        id: i64,
    },
}
