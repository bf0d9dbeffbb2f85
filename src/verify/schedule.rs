//! Complete runs: one a day for each book, at a time of day of its own, and never two at once.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, DbError, Scope};

use super::{Depth, Report, VerifyError, act, recompute, store};
use crate::app::App;
use crate::due::{self, Claimed};

/// The queue of books to be verified completely.
pub const DUE_KIND: &str = "verify";

/// Whose process died is verified again after that; longer than a run takes.
const LEASE_SECONDS: i32 = 3_600;
const WHEN_TAKEN: SignedDuration = SignedDuration::from_mins(1);
const WHEN_FAILED: SignedDuration = SignedDuration::from_mins(15);

/// What became of a look for a complete run that is due.
#[derive(Debug)]
pub enum Turn {
    /// None is due.
    Nothing,
    /// One is under way elsewhere; this one comes after it.
    Taken,
    /// A book was verified.
    Verified(BookId, Box<Report>),
    /// A book could not be verified, which says nothing about it; it is tried again.
    Failed(BookId, VerifyError),
}

/// Makes sure that every book has its complete run in each day of the business clock.
///
/// # Errors
/// What the database says.
pub async fn schedule(app: &Arc<App>) -> Result<(), DbError> {
    let now = app.clock.now();
    app.db
        .run_tx("schedule complete verification", Scope::Routing, move |tx| {
            Box::pin(async move { due::schedule_books(tx, DUE_KIND, now).await })
        })
        .await
}

/// Verifies the next book whose complete run is due, as [`check`](super::check) does, on a connection of its own.
///
/// # Errors
/// What the database says of the queue.
pub async fn check_next(app: &Arc<App>) -> Result<Turn, DbError> {
    let now = app.clock.now();
    let claimed = app
        .db
        .run_tx("claim complete verification", Scope::Routing, move |tx| {
            Box::pin(async move { due::claim(tx, DUE_KIND, now, LEASE_SECONDS, 1, &[]).await })
        })
        .await?;
    let Some(claimed) = claimed.into_iter().next() else { return Ok(Turn::Nothing) };
    let book = claimed.due.book;
    let (turn, next) = match check_alone(app, book).await {
        Ok(Some(report)) => (Turn::Verified(book, Box::new(report)), claimed.due.next_day(now)),
        Ok(None) => (Turn::Taken, now + WHEN_TAKEN),
        Err(error) => (Turn::Failed(book, error), now + WHEN_FAILED),
    };
    postpone(app, claimed, next).await?;
    Ok(turn)
}

/// None if another complete run is under way.
async fn check_alone(app: &Arc<App>, book: BookId) -> Result<Option<Report>, VerifyError> {
    let now = app.clock.now();
    let report = app
        .db
        .read_at_length("verify", Scope::Book(book), Depth::Complete.limit(), move |tx| {
            Box::pin(async move {
                if !store::take_turn(tx).await? {
                    return Ok(None);
                }
                recompute(tx, Depth::Complete, now).await.map(Some)
            })
        })
        .await?;
    if let Some(report) = &report {
        act(app, book, Depth::Complete, report).await?;
    }
    Ok(report)
}

async fn postpone(app: &Arc<App>, claimed: Claimed, at: Timestamp) -> Result<(), DbError> {
    app.db
        .run_tx("end complete verification", Scope::Routing, move |tx| {
            let claimed = claimed.clone();
            Box::pin(async move { due::postpone(tx, &claimed, at).await })
        })
        .await
}
