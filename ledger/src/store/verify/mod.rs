//! Recomputes what the ledger claims from its rows.

mod anchored;
mod checks;
mod days;
mod findings;
mod holds;
mod packed;
mod sums;
mod walk;
mod window;

use std::collections::HashMap;

use partita_db::{BookId, Tx};

use crate::{
    chain::Head,
    error::LedgerError,
    store::{
        anchors, book_of,
        verify::{
            anchored::Anchored,
            checks::Range,
            days::{Days, StoredDays},
            findings::Findings,
            sums::{Touched, Whole},
            walk::{Stretch, walk},
        },
    },
    verification::{Verification, VerifiedLane},
    violation::Violation,
};

pub use anchored::verify_against;

/// Recomputes the transaction's book from its rows: every chain and anchor, every balance, every hold and every day sum,
/// and checks what the constraints should have kept.
///
/// Reads the whole book, a window of rows at a time; its memory grows only with the number of accounts and of the days
/// that go on at a time, by about 100 bytes each. Run it in a read-only transaction ([`Db::read`](partita_db::Db::read)), where all its statements see one
/// state: the result is valid for [`Verification::position`]. It lifts the statement timeout for the rest of the database
/// transaction.
///
/// # Errors
/// [`LedgerError::NoBook`], [`LedgerError::Db`]. A violation is not an error.
pub async fn verify(tx: &mut Tx) -> Result<Verification, LedgerError> {
    let book = book_of(tx)?;
    prepare(tx).await?;
    let mut findings = Findings::default();
    let lanes = lanes(tx, book).await?;
    let mut anchored = Anchored::default();
    anchors::for_each(tx, book, |anchor| anchored.take(&anchor, &lanes, &mut findings)).await?;
    let mut whole = Whole::new(Days::read(tx, book, &lanes, &mut findings).await?);
    let mut stored = StoredDays::open(tx, book).await?;
    let mut read = (0, 0);
    for lane in &lanes {
        whole.days.enter(lane.lane);
        let stretch = Stretch { book: book.get(), lane: lane.lane, after: 0, head: Head::default(), until: lane.seq };
        let asked = anchored.positions(lane.lane);
        let walked = walk(tx, stretch, asked, whole, Some(&mut stored), &mut findings).await?;
        whole = walked.passenger;
        whole.days.settle(lane.lane, stored.until(tx, lane.lane, i64::MAX).await?, &mut findings);
        whole.days.leave(lane.lane, &mut findings);
        anchored.compare(lane.lane, &walked.chain.at, &mut findings);
        if walked.chain.head != Some(lane.head) {
            findings.push(Violation::HeadDiffers { lane: lane.lane, seq: lane.seq });
        }
        read = (read.0 + walked.decisions, read.1 + walked.postings);
    }
    let range = Range::all(book, &lanes);
    whole.days.settle(i16::MAX, stored.until(tx, i16::MAX, i64::MAX).await?, &mut findings);
    stored.close(tx).await?;
    whole.sums.compare(tx, book, &mut findings).await?;
    checks::strays(tx, book, read.1, &mut findings).await?;
    checks::balance_rows(tx, book, None, &mut findings).await?;
    checks::reversals(tx, &range, &mut findings).await?;
    checks::doubles(tx, book, &mut findings).await?;
    holds::check(tx, &range, None, &mut findings).await?;
    holds::doubles(tx, range.book, &mut findings).await?;
    Ok(Verification { violations: findings.into_vec(), decisions: read.0, postings: read.1, lanes, after: range.after })
}

/// Verifies what came after the position that [`record_verified`] stored last: its chain and rows, and the balances and
/// holds of the accounts it touches, as they stand now. What was changed before that position, it does not see.
///
/// Balances are compared with the day sums and the postings after them, so its cost depends on what is new and on how
/// many days the touched accounts have. Without a stored position everything is new. Otherwise as [`verify`].
///
/// # Errors
/// As [`verify`].
pub async fn verify_new(tx: &mut Tx) -> Result<Verification, LedgerError> {
    let book = book_of(tx)?;
    prepare(tx).await?;
    let mut findings = Findings::default();
    let lanes = lanes(tx, book).await?;
    let verified = verified_lanes(tx, book).await?;
    let mut touched = Touched::default();
    let mut read = (0, 0);
    let mut range = Range::all(book, &lanes);
    for (lane, after) in lanes.iter().zip(&mut range.after) {
        let (seq, head) = verified.get(&lane.lane).copied().unwrap_or_default();
        if seq > lane.seq {
            findings.push(Violation::LaneBehind { lane: lane.lane, seq: lane.seq, verified: seq });
            continue;
        }
        *after = seq;
        let stretch = Stretch { book: book.get(), lane: lane.lane, after: seq, head, until: lane.seq };
        let walked = walk(tx, stretch, Vec::new(), touched, None, &mut findings).await?;
        touched = walked.passenger;
        if walked.chain.head != Some(lane.head) {
            findings.push(Violation::HeadDiffers { lane: lane.lane, seq: lane.seq });
        }
        read = (read.0 + walked.decisions, read.1 + walked.postings);
    }
    let accounts = touched.accounts(tx, book).await?;
    sums::compare_touched(tx, book, &accounts, &mut findings).await?;
    checks::beyond(tx, book, &mut findings).await?;
    checks::balance_rows(tx, book, Some(&accounts), &mut findings).await?;
    checks::reversals(tx, &range, &mut findings).await?;
    checks::new_doubles(tx, &range, &mut findings).await?;
    holds::check(tx, &range, Some(&accounts), &mut findings).await?;
    Ok(Verification { violations: findings.into_vec(), decisions: read.0, postings: read.1, lanes, after: range.after })
}

/// Notes that everything up to the position of a clean verification is right, so that [`verify_new`] goes on from there.
/// False, and nothing noted, if it was not clean.
///
/// A lane that somebody else noted further on stays there.
///
/// # Errors
/// [`LedgerError::NoBook`], [`LedgerError::Db`].
pub async fn record_verified(tx: &mut Tx, verification: &Verification) -> Result<bool, LedgerError> {
    let book = book_of(tx)?;
    if !verification.is_clean() {
        return Ok(false);
    }
    let lanes: Vec<i16> = verification.lanes.iter().map(|l| l.lane).collect();
    let seqs: Vec<i64> = verification.lanes.iter().map(|l| l.seq).collect();
    let heads: Vec<Vec<u8>> = verification.lanes.iter().map(|l| l.head.to_vec()).collect();
    sqlx::query!(
        "insert into ledger_verified_positions as stored (book_id, lane, seq, head, verified_at)
         select $1, v.lane, v.seq, v.head, clock_timestamp()
         from unnest($2::smallint[], $3::bigint[], $4::bytea[]) v (lane, seq, head)
         order by v.lane
         on conflict (book_id, lane) do update
         set seq = excluded.seq, head = excluded.head, verified_at = excluded.verified_at
         where stored.seq <= excluded.seq",
        book.get(),
        &lanes,
        &seqs,
        &heads
    )
    .execute(tx.conn())
    .await?;
    Ok(true)
}

/// Room for the checks that sort and group, and time for them. Compiling their statements would cost more than it saves.
async fn prepare(tx: &mut Tx) -> Result<(), LedgerError> {
    sqlx::query!(
        "select set_config('statement_timeout', '0', true) as timeout,
                set_config('work_mem', '64MB', true) as memory,
                set_config('jit', 'off', true) as jit"
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(())
}

/// Where the lanes of a book stand, with their heads.
async fn lanes(tx: &mut Tx, book: BookId) -> Result<Vec<VerifiedLane>, LedgerError> {
    let rows = sqlx::query!("select lane, seq, head from ledger_lanes where book_id = $1 order by lane", book.get())
        .fetch_all(tx.conn())
        .await?;
    rows.into_iter()
        .map(|row| Ok(VerifiedLane { lane: row.lane, seq: row.seq, head: anchors::head(&row.head)? }))
        .collect()
}

async fn verified_lanes(tx: &mut Tx, book: BookId) -> Result<HashMap<i16, (i64, Head)>, LedgerError> {
    let rows = sqlx::query!("select lane, seq, head from ledger_verified_positions where book_id = $1", book.get())
        .fetch_all(tx.conn())
        .await?;
    rows.into_iter().map(|row| Ok((row.lane, (row.seq, anchors::head(&row.head)?)))).collect()
}
