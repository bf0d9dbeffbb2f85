//! What was posted, as it is read back.

use std::fmt;

use jiff::Timestamp;
use partita_provider::Currency;

use crate::{key::AccountKey, position::Position, transaction::Floors};

/// An accounting period: a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Period {
    /// The year, as 2026.
    pub year: i16,
    /// The month, 1 to 12.
    pub month: i8,
}

impl Period {
    pub(crate) fn from_code(code: i32) -> Option<Self> {
        let year = i16::try_from(code / 100).ok()?;
        let month = i8::try_from(code % 100).ok().filter(|month| (1..=12).contains(month))?;
        Some(Self { year, month })
    }
}

impl fmt::Display for Period {
    /// As `2026-11`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// A posting with its transaction and the names of its accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostingView {
    /// Id of its transaction.
    pub transaction_id: i64,
    /// Kind of its transaction.
    pub kind: i16,
    /// What the kind is called, if `ledger_transaction_kinds` knows it.
    pub kind_name: Option<String>,
    /// Business time of its transaction.
    pub effective_at: Timestamp,
    /// Database time of its transaction.
    pub recorded_at: Timestamp,
    /// Position of its transaction.
    pub position: Position,
    /// Its place in the transaction, from 1.
    pub ordinal: i16,
    /// The account that is debited.
    pub debit: AccountKey,
    /// Its name.
    pub debit_path: String,
    /// The account that is credited.
    pub credit: AccountKey,
    /// Its name.
    pub credit_path: String,
    /// Minor units, above zero.
    pub amount: i64,
    /// The currency of both accounts.
    pub currency: Currency,
    /// The payment, operation or payout that it belongs to.
    pub subject: i64,
}

/// A transaction as posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionView {
    /// Its id.
    pub id: i64,
    /// Its kind.
    pub kind: i16,
    /// What the kind is called, if `ledger_transaction_kinds` knows it.
    pub kind_name: Option<String>,
    /// What caused it.
    pub source: i64,
    /// Who did it.
    pub actor: i64,
    /// Business time.
    pub effective_at: Timestamp,
    /// Database time.
    pub recorded_at: Timestamp,
    /// The accounting period it counts in.
    pub period: Period,
    /// Where it stands.
    pub position: Position,
    /// Whether floors were checked.
    pub floors: Floors,
    /// Id of the transaction that this one reverses.
    pub reverses: Option<i64>,
    /// Id of the transaction that reverses this one.
    pub reversed_by: Option<i64>,
    /// Its postings, in order.
    pub postings: Vec<PostingView>,
}

/// Which transactions [`list_transactions`](crate::list_transactions) gives, by falling id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransactionFilter {
    /// Only this kind.
    pub kind: Option<i16>,
    /// Only below this id: the last one of the page before.
    pub before: Option<i64>,
}
