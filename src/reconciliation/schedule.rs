//! When a book is reconciled without being asked: what moved every quarter of an hour, everything every night.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, Scope as Book, Tx};

use super::store::runs::CompleteRuns;
use super::store::{breaks, runs, tasks};
use super::{ReconciliationError, Scope, Worked, turn_of, work};
use crate::actor::Actor;
use crate::app::App;
use crate::id::RunId;
use crate::telemetry::names;

/// The kind of `due` rows that name books to be reconciled.
pub const DUE_KIND: &str = "reconciliation";

/// Seconds between the beginnings of two runs.
const EVERY_SECONDS: i64 = 900;
/// Pages of movements that one turn compares, so that others get their turns too.
const PAGES_AT_ONCE: u32 = 8;
/// How soon it is tried again when somebody else is at the book.
const HELD_SECONDS: i64 = 60;
/// How soon a difference is looked at again that may have been money on its way.
const SECOND_LOOK_SECONDS: i64 = super::compare::ON_ITS_WAY_SECONDS;
/// How soon everything is compared again when that could not be finished.
const COMPLETE_AGAIN_SECONDS: i64 = 3_600;
/// The nightly runs begin within so many minutes after midnight UTC, each book at its own.
const NIGHT_MINUTES: i32 = 180;
/// How long runs over what had moved are kept that found nothing.
const KEPT_HOURS: i64 = 24;
const DAY_SECONDS: i64 = 86_400;

/// Makes sure that every book with a provider is reconciled.
///
/// # Errors
/// What the database says.
pub async fn schedule(app: &Arc<App>) -> Result<(), ReconciliationError> {
    let (now, within) = (app.clock.now(), i32::try_from(EVERY_SECONDS).expect("a quarter of an hour"));
    app.db
        .run_tx("schedule reconciliation", Book::Routing, move |tx| {
            Box::pin(async move { Ok(runs::schedule(tx, DUE_KIND, within, now).await?) })
        })
        .await
}

/// Does one turn of a book's reconciliation, in a run that is under way or in a new one; returns when the next is due.
///
/// # Errors
/// [`ReconciliationError`]; what was compared stays compared, the run is resumed.
pub async fn take_turn(app: &Arc<App>, book: BookId) -> Result<Timestamp, ReconciliationError> {
    let now = app.clock.now();
    let begun = app
        .db
        .run_tx("begin reconciliation turn", Book::Book(book), move |tx| {
            Box::pin(async move { begin(tx, book, now).await })
        })
        .await;
    let (run, number, scope) = match begun {
        Ok(turn) => turn,
        Err(ReconciliationError::AlreadyRunning) => return Ok(now + SignedDuration::from_secs(HELD_SECONDS)),
        Err(error) => return Err(error),
    };
    let worked = match turn_of(app, book, run, number, scope).await {
        Ok(turn) => work(&turn, PAGES_AT_ONCE).await,
        Err(error) => Err(error),
    };
    match worked {
        Ok(Worked::Paused) => Ok(now),
        Ok(Worked::Finished(run, _)) => {
            metrics::counter!(
                names::RECONCILIATION_RUNS, "scope" => run.scope.as_str(), "outcome" => run.status.as_str()
            )
            .increment(1);
            next_run(app, book, run.created_at).await
        }
        Err(ReconciliationError::Overtaken) => Ok(now + SignedDuration::from_secs(HELD_SECONDS)),
        Err(error) => {
            // Somebody else, or this process a minute later, may go on at once.
            app.db
                .run_tx("leave reconciliation turn", Book::Book(book), move |tx| {
                    Box::pin(async move { runs::pause(tx, run, number).await })
                })
                .await?;
            Err(error)
        }
    }
}

async fn begin(tx: &mut Tx, book: BookId, now: Timestamp) -> Result<(RunId, i32, Scope), ReconciliationError> {
    runs::give_up_dead(tx, false, now).await?;
    if let Some((run, number)) = runs::resume(tx).await? {
        let scope = runs::find(tx, run).await?.ok_or(ReconciliationError::NotFound)?.scope;
        return Ok((run, number, scope));
    }
    runs::remove_uneventful(tx, now - SignedDuration::from_hours(KEPT_HOURS)).await?;
    let scope = scope_of(runs::complete_runs(tx).await?, book, now);
    let new = runs::NewRun { id: RunId::new(), scope, scheduled: true, actor: Actor::System, now };
    runs::insert(tx, new).await?;
    tasks::insert(tx, new.id, scope).await?;
    Ok((new.id, 1, scope))
}

/// Everything, once after each night's hour, and again an hour later if that could not be finished; what moved, at all other
/// times.
fn scope_of(complete: CompleteRuns, book: BookId, now: Timestamp) -> Scope {
    let night = last_night(book, now);
    let again = now - SignedDuration::from_secs(COMPLETE_AGAIN_SECONDS);
    let is_done = complete.succeeded.is_some_and(|at| at >= night);
    let was_tried = complete.ended.is_some_and(|at| at >= night && at > again);
    if is_done || was_tried { Scope::Recent } else { Scope::Complete }
}

/// The newest of the book's nightly hours: not everybody's at once.
fn last_night(book: BookId, now: Timestamp) -> Timestamp {
    let offset = i64::from(book.get() % NIGHT_MINUTES) * 60;
    let since = (now.as_second() - offset).rem_euclid(DAY_SECONDS);
    crate::clock::from_seconds(now.as_second() - since).unwrap_or(now)
}

/// A quarter of an hour after the run began; sooner when it found what may have been on its way.
async fn next_run(app: &Arc<App>, book: BookId, began: Timestamp) -> Result<Timestamp, ReconciliationError> {
    let now = app.clock.now();
    let doubtful = app
        .db
        .read("doubtful breaks", Book::Book(book), move |tx| {
            Box::pin(async move { breaks::any_untold(tx, began).await })
        })
        .await?;
    if doubtful {
        return Ok(now + SignedDuration::from_secs(SECOND_LOOK_SECONDS));
    }
    Ok(now.max(began + SignedDuration::from_secs(EVERY_SECONDS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn book(number: i32) -> BookId {
        BookId::try_new(number).expect("a book")
    }

    #[test]
    fn everything_is_compared_once_a_night_and_at_the_very_first() {
        let scope = |last: Option<&str>, now| {
            let last = last.map(at);
            scope_of(CompleteRuns { succeeded: last, ended: last }, book(30), at(now))
        };
        assert_eq!(scope(None, "2026-11-22T10:00:00Z"), Scope::Complete);
        assert_eq!(scope(Some("2026-11-22T10:00:00Z"), "2026-11-22T10:15:00Z"), Scope::Recent);
        assert_eq!(scope(Some("2026-11-22T10:00:00Z"), "2026-11-23T00:29:59Z"), Scope::Recent, "not its hour yet");
        assert_eq!(scope(Some("2026-11-22T10:00:00Z"), "2026-11-23T00:30:00Z"), Scope::Complete);
        assert_eq!(scope(Some("2026-11-23T00:31:00Z"), "2026-11-23T00:46:00Z"), Scope::Recent);
        assert_eq!(scope(Some("2026-11-20T00:31:00Z"), "2026-11-23T00:10:00Z"), Scope::Complete, "nights were missed");
    }

    #[test]
    fn a_night_that_could_not_be_finished_is_tried_again_every_hour() {
        let (succeeded, failed) = (Some(at("2026-11-22T00:31:00Z")), Some(at("2026-11-23T00:31:00Z")));
        let scope = |now| scope_of(CompleteRuns { succeeded, ended: failed }, book(30), at(now));
        assert_eq!(scope("2026-11-23T00:46:00Z"), Scope::Recent);
        assert_eq!(scope("2026-11-23T01:30:59Z"), Scope::Recent);
        assert_eq!(scope("2026-11-23T01:31:00Z"), Scope::Complete);
    }

    #[test]
    fn nights_are_spread_over_the_books() {
        let noon = at("2026-11-22T12:00:00Z");
        let hours: std::collections::BTreeSet<Timestamp> = (1..=180).map(|n| last_night(book(n), noon)).collect();
        assert_eq!(hours.len(), 180);
        assert_eq!(hours.first(), Some(&at("2026-11-22T00:00:00Z")));
        assert_eq!(hours.last(), Some(&at("2026-11-22T02:59:00Z")));
    }
}
