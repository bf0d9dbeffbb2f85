//! Following a lane from a position to another, with what each row alone can say.

use std::{mem, panic::resume_unwind};

use jiff::{civil::Date, tz::TimeZone};
use partita_db::Tx;

use super::{
    Findings,
    days::{StoredDay, StoredDays},
    window::{TransactionRow, Window},
};
use crate::{
    chain::{Chain, Head, Held, Leg, Released, Walked},
    error::LedgerError,
    position::Position,
    violation::Violation,
};

/// Positions of a lane that are held in memory at a time.
const WINDOW: i64 = 10_000;

/// A part of a lane: what comes after a position with a known head.
#[derive(Clone, Copy)]
pub(super) struct Stretch {
    pub(super) book: i32,
    pub(super) lane: i16,
    pub(super) after: i64,
    pub(super) head: Head,
    pub(super) until: i64,
}

/// Who wants to know what is walked over.
pub(super) trait Passenger: Send + 'static {
    /// A posting, with the UTC day of its transaction's business time if there is a transaction.
    fn posting(&mut self, leg: &Leg, day: Option<Date>);

    fn hold(&mut self, held: &Held);

    fn release(&mut self, released: &Released);

    /// The stored days whose last posting was walked over.
    fn settle(&mut self, lane: i16, days: Vec<StoredDay>, findings: &mut Findings);
}

/// What a walk gave.
pub(super) struct Walk<P> {
    pub(super) passenger: P,
    pub(super) chain: Walked,
    pub(super) decisions: u64,
    pub(super) postings: u64,
}

/// Follows the stretch to its end, a window at a time, with the stored days that end in it if they are wanted. While a
/// window is recomputed on a thread of its own, Postgres reads the next: at most two are in memory.
pub(super) async fn walk<P: Passenger>(
    tx: &mut Tx,
    stretch: Stretch,
    asked: Vec<i64>,
    passenger: P,
    mut stored: Option<&mut StoredDays>,
    findings: &mut Findings,
) -> Result<Walk<P>, LedgerError> {
    let Stretch { book, lane, mut after, head, until } = stretch;
    let chain = Chain::new(lane, after, head, asked.into_iter());
    let (findings_so_far, book_number) = (mem::take(findings), i64::from(book));
    let mut walker =
        Walker { lane, book: book_number, chain, findings: findings_so_far, passenger, decisions: 0, postings: 0 };
    let end_after = |after: i64| until.min(after.saturating_add(WINDOW));
    let mut window = Window::read(tx, book, lane, after, end_after(after)).await?;
    let mut days = Vec::new();
    while after < until {
        let end = end_after(after);
        let recomputing = tokio::task::spawn_blocking(move || {
            walker.settle(days);
            walker.window(&window, after, end);
            walker
        });
        let next = read_ahead(tx, &stretch, (end, end_after(end)), stored.as_deref_mut()).await;
        walker = recomputing.await.unwrap_or_else(|error| resume_unwind(error.into_panic()));
        ((window, days), after) = (next?, end);
    }
    walker.settle(days);
    *findings = walker.findings;
    let Walker { passenger, chain, decisions, postings, .. } = walker;
    Ok(Walk { passenger, chain: chain.finish(), decisions, postings })
}

/// The next window, and the days that end before it.
async fn read_ahead(
    tx: &mut Tx,
    stretch: &Stretch,
    (after, until): (i64, i64),
    stored: Option<&mut StoredDays>,
) -> Result<(Window, Vec<StoredDay>), LedgerError> {
    let days = match stored {
        Some(stored) => stored.until(tx, stretch.lane, after).await?,
        None => Vec::new(),
    };
    Ok((Window::read(tx, stretch.book, stretch.lane, after, until).await?, days))
}

struct Walker<P> {
    lane: i16,
    book: i64,
    chain: Chain,
    findings: Findings,
    passenger: P,
    decisions: u64,
    postings: u64,
}

impl<P: Passenger> Walker<P> {
    fn settle(&mut self, days: Vec<StoredDay>) {
        self.passenger.settle(self.lane, days, &mut self.findings);
    }

    fn window(&mut self, window: &Window, after: i64, until: i64) {
        self.decisions += window.decisions();
        self.postings += u64::try_from(window.legs.len()).unwrap_or(u64::MAX);
        let mut rows = window.rows();
        for seq in after + 1..=until {
            let position = Position { lane: self.lane, seq };
            let row = rows.at(seq);
            if row.decisions() != 1 {
                self.findings.push(Violation::SequenceBroken { position });
            }
            if row.transactions.is_empty() && !row.legs.is_empty() {
                self.findings.push(Violation::OrphanPostings { position });
            }
            if row.captures.len() > row.transactions.len() {
                self.findings.push(Violation::CaptureDiffers { position });
            }
            let mut day = None;
            for transaction in row.transactions {
                day = Some(self.transaction(position, transaction, row.legs));
                let TransactionRow { place, asked, posted } = transaction;
                self.chain.transaction(*place, asked, posted, row.legs, row.captures);
            }
            for (place, asked, refused) in row.refusals {
                self.chain.refusal(*place, asked, refused);
            }
            for (place, asked, held) in row.holds {
                self.chain.hold(*place, asked, held);
                self.passenger.hold(held);
            }
            for (place, released) in row.releases {
                self.chain.release(*place, released);
                self.passenger.release(released);
            }
            for leg in row.legs {
                self.leg(position, leg, day);
            }
        }
    }

    /// Gives the UTC day of its business time.
    fn transaction(&mut self, position: Position, transaction: &TransactionRow, legs: &[Leg]) -> Date {
        let TransactionRow { asked, posted, .. } = transaction;
        let numbered = legs.iter().zip(1_i16..).all(|(leg, ordinal)| leg.ordinal == ordinal);
        if usize::try_from(posted.postings) != Ok(legs.len()) || !numbered {
            let found = i64::try_from(legs.len()).unwrap_or(i64::MAX);
            self.findings.push(Violation::PostingsDiffer { position, expected: posted.postings, found });
        }
        let date = TimeZone::UTC.to_datetime(asked.effective_at).date();
        if posted.period < i32::from(date.year()) * 100 + i32::from(date.month()) {
            self.findings.push(Violation::PeriodTooEarly { id: asked.id });
        }
        date
    }

    /// What the constraints of `ledger_postings` say, asked again: a constraint can be dropped.
    fn leg(&mut self, position: Position, leg: &Leg, day: Option<Date>) {
        let Leg { debit, credit, amount, ordinal, .. } = *leg;
        if amount <= 0 || debit == credit || debit >> 33 != credit >> 33 || debit >> 43 != self.book {
            self.findings.push(Violation::PostingMalformed { position, ordinal });
        }
        self.passenger.posting(leg, day);
    }
}
