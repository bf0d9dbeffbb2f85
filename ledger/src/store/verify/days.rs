//! Day sums recomputed from postings.
//!
//! The stored sums come in order of their last position, so each is compared as soon as its last posting was walked over
//! and forgotten then: in memory stand only the days of accounts that still go on.

use std::collections::{HashMap, VecDeque};

use jiff::civil::Date;
use partita_db::{BookId, Tx};
use sqlx::{AssertSqlSafe, Row, postgres::PgRow};

use super::Findings;
use crate::{chain::Leg, error::LedgerError, store::sum, verification::VerifiedLane, violation::Violation};

/// Stored days that are in memory at a time.
const FETCHED: usize = 5_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DaySums {
    debits: i128,
    credits: i128,
    first_seq: i64,
    last_seq: i64,
}

/// A stored sum.
pub(super) struct StoredDay {
    lane: i16,
    account: i64,
    day: Date,
    sums: DaySums,
}

/// Stored sums, in order of lane and last position, from a cursor in the caller's database transaction.
pub(super) struct StoredDays {
    fetched: VecDeque<StoredDay>,
    has_more: bool,
}

impl StoredDays {
    /// [`StoredDays::close`] closes the cursor.
    pub(super) async fn open(tx: &mut Tx, book: BookId) -> Result<Self, LedgerError> {
        // All that is put into the text is an integer.
        let declare = format!(
            "declare ledger_verified_days no scroll cursor for
             select lane, account, day, debits::text as debits, credits::text as credits, first_seq, last_seq
             from ledger_balance_days
             where book_id = {book}
             order by lane, last_seq"
        );
        sqlx::query(AssertSqlSafe(declare)).persistent(false).execute(tx.conn()).await?;
        Ok(Self { fetched: VecDeque::new(), has_more: true })
    }

    /// The next ones that end at or before this position of the lane, or in a lane before it.
    pub(super) async fn until(&mut self, tx: &mut Tx, lane: i16, until: i64) -> Result<Vec<StoredDay>, LedgerError> {
        let mut days = Vec::new();
        loop {
            if self.fetched.is_empty() && self.has_more {
                self.fetch(tx).await?;
            }
            let is_due = |day: &mut StoredDay| (day.lane, day.sums.last_seq) <= (lane, until);
            let Some(day) = self.fetched.pop_front_if(is_due) else { return Ok(days) };
            days.push(day);
        }
    }

    pub(super) async fn close(self, tx: &mut Tx) -> Result<(), LedgerError> {
        sqlx::query("close ledger_verified_days").persistent(false).execute(tx.conn()).await?;
        Ok(())
    }

    async fn fetch(&mut self, tx: &mut Tx) -> Result<(), LedgerError> {
        let fetch = format!("fetch forward {FETCHED} from ledger_verified_days");
        let rows = sqlx::query(AssertSqlSafe(fetch)).persistent(false).fetch_all(tx.conn()).await?;
        self.has_more = rows.len() == FETCHED;
        self.fetched = rows.iter().map(stored).collect::<Result<_, _>>()?;
        Ok(())
    }
}

/// The days of one lane after the other, as postings make them.
pub(super) struct Days {
    /// Up to where each lane is in the day sums.
    kept: HashMap<i16, i64>,
    /// Of the lane that is walked.
    until: i64,
    open: HashMap<(i64, Date), DaySums>,
}

impl Days {
    pub(super) async fn read(
        tx: &mut Tx,
        book: BookId,
        lanes: &[VerifiedLane],
        findings: &mut Findings,
    ) -> Result<Self, LedgerError> {
        let rows = sqlx::query!("select lane, seq from ledger_day_positions where book_id = $1", book.get())
            .fetch_all(tx.conn())
            .await?;
        for row in &rows {
            if row.seq > lanes.iter().find(|lane| lane.lane == row.lane).map_or(0, |lane| lane.seq) {
                findings.push(Violation::DaysAhead { lane: row.lane, seq: row.seq });
            }
        }
        let kept = rows.into_iter().map(|row| (row.lane, row.seq)).collect();
        Ok(Self { kept, until: 0, open: HashMap::new() })
    }

    /// Goes to another lane.
    pub(super) fn enter(&mut self, lane: i16) {
        self.until = self.kept.get(&lane).copied().unwrap_or(0);
    }

    pub(super) fn posting(&mut self, leg: &Leg, day: Date) {
        if leg.seq > self.until {
            return;
        }
        for (account, debit, credit) in [(leg.debit, leg.amount, 0), (leg.credit, 0, leg.amount)] {
            let sums = self.open.entry((account, day)).or_insert(DaySums {
                debits: 0,
                credits: 0,
                first_seq: leg.seq,
                last_seq: leg.seq,
            });
            sums.debits += i128::from(debit);
            sums.credits += i128::from(credit);
            sums.last_seq = leg.seq;
        }
    }

    /// Compares what is stored with what the lane's postings came to, whose last one was walked over.
    pub(super) fn settle(&mut self, lane: i16, stored: Vec<StoredDay>, findings: &mut Findings) {
        for day in stored {
            let posted = if day.lane == lane { self.open.remove(&(day.account, day.day)) } else { None };
            if posted != Some(day.sums) {
                findings.push(Violation::DayDiffers { account: day.account, lane: day.lane, day: day.day });
            }
        }
    }

    /// Leaves a lane, all of whose stored days were settled: what is not stored is missing.
    pub(super) fn leave(&mut self, lane: i16, findings: &mut Findings) {
        let missing = self.open.drain().map(|((account, day), _)| Violation::DayDiffers { account, lane, day });
        findings.extend(missing);
    }
}

fn stored(row: &PgRow) -> Result<StoredDay, LedgerError> {
    let sums = DaySums {
        debits: sum(row.try_get("debits")?)?,
        credits: sum(row.try_get("credits")?)?,
        first_seq: row.try_get("first_seq")?,
        last_seq: row.try_get("last_seq")?,
    };
    let day: jiff_sqlx::Date = row.try_get("day")?;
    Ok(StoredDay { lane: row.try_get("lane")?, account: row.try_get("account")?, day: day.to_jiff(), sums })
}
