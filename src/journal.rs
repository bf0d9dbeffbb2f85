//! Ledger transactions collected during one unit of work, posted by one call as its last statement.
//!
//! One lock order everywhere: aggregates and operations first, then this. Nothing may be read or written after it.

use jiff::Timestamp;
use partita_db::{DbError, Keys, Tx};
use partita_ledger::{AccountKey, Floors, LedgerError, NewPosting, NewTransaction, PostOutcome, PostRefusal, post};

use crate::actor::Actor;
use crate::chart::Kind;

/// One movement of a business event, before it has a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The account that is debited.
    pub debit: AccountKey,
    /// The account that is credited.
    pub credit: AccountKey,
    /// Minor units; an entry of zero is left out.
    pub amount: i64,
}

impl Entry {
    /// An entry of a signed amount: a negative one moves the other way.
    pub fn signed(debit: AccountKey, credit: AccountKey, amount: i64) -> Self {
        if amount < 0 { Self { debit: credit, credit: debit, amount: -amount } } else { Self { debit, credit, amount } }
    }
}

/// A business event as the ledger will keep it.
#[derive(Debug, Clone)]
pub struct Record {
    /// What happened.
    pub kind: Kind,
    /// What makes it the only one of its kind: an operation's key, or a provider movement's.
    pub source: i64,
    /// The payment, payout or top-up that it belongs to.
    pub subject: i64,
    /// When it happened in business time.
    pub effective_at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// Whether it may take a guarded balance below its floor.
    pub floors: Floors,
    /// What moves.
    pub entries: Vec<Entry>,
}

/// Why collected transactions were not posted; the unit of work must be given up.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The ledger refused one of them.
    #[error("the ledger refused {kind:?}: {refusal:?}")]
    Refused {
        /// What was to be booked.
        kind: Kind,
        /// Why not.
        refusal: PostRefusal,
    },
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// The transactions of one unit of work.
#[derive(Debug)]
pub struct Journal {
    records: Vec<Record>,
    keys: Keys,
}

impl Journal {
    /// An empty journal that numbers its transactions from `keys`.
    pub fn new(keys: &Keys) -> Self {
        Self { records: Vec::new(), keys: keys.clone() }
    }

    /// Numbers for rows of this unit of work.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Adds a business event. One that moves nothing is left out.
    pub fn add(&mut self, mut record: Record) {
        record.entries.retain(|entry| entry.amount != 0);
        if !record.entries.is_empty() {
            self.records.push(record);
        }
    }

    /// Posts everything in one call.
    ///
    /// # Errors
    /// [`JournalError::Refused`] when the ledger refuses one of them: the caller's transaction must not commit.
    pub async fn post(self, tx: &mut Tx) -> Result<(), JournalError> {
        if self.records.is_empty() {
            return Ok(());
        }
        let mut transactions = Vec::with_capacity(self.records.len());
        for record in &self.records {
            transactions.push(transaction(record, self.keys.next(tx).await?));
        }
        let outcomes = post(tx, &transactions).await?;
        for (record, outcome) in self.records.iter().zip(outcomes) {
            if let PostOutcome::Refused(refusal) = outcome {
                return Err(JournalError::Refused { kind: record.kind, refusal });
            }
        }
        Ok(())
    }
}

fn transaction(record: &Record, id: i64) -> NewTransaction {
    let posting = |entry: &Entry| NewPosting {
        debit: entry.debit,
        credit: entry.credit,
        amount: entry.amount,
        subject: record.subject,
    };
    NewTransaction {
        id,
        kind: record.kind.number(),
        source: record.source,
        actor: record.actor.number(),
        effective_at: record.effective_at,
        floors: record.floors,
        postings: record.entries.iter().map(posting).collect(),
    }
}
