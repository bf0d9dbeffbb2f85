//! Verifies what is new in every book, every minute; each book completely, once a day; and anchors them.

use std::sync::Arc;

use partita_db::{DbError, Scope};
use partita_ledger::LedgerError;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::events::ApplyError;
use crate::platforms::{self, Book};
use crate::telemetry::names;
use crate::verify::{self, Depth, Kind, Turn};

async fn books(app: &Arc<App>) -> Result<Vec<Book>, DbError> {
    app.db.read("books", Scope::Routing, |tx| Box::pin(async move { platforms::list_books(tx).await })).await
}

/// Verifies what is new in every book, and counts what is broken and halted. A book that cannot be verified is logged and
/// does not keep the others from it.
///
/// # Errors
/// What the database says of the list of books.
pub async fn verify_new(app: &Arc<App>) -> Result<(), ApplyError> {
    let mut broken = Kind::ALL.map(|kind| (kind, 0_i64));
    for book in books(app).await? {
        let outcome = match verify::check(app, book.id, Depth::New).await {
            Ok(report) => outcome(report.is_clean()),
            Err(error) => {
                tracing::error!(book = book.id.get(), %error, "a book could not be verified");
                "failed"
            }
        };
        count_run(Depth::New, outcome);
        let in_book = app
            .db
            .read("what is broken", Scope::Book(book.id), |tx| Box::pin(async move { verify::count_broken(tx).await }))
            .await?;
        for (kind, count) in in_book {
            broken.iter_mut().filter(|(of, _)| *of == kind).for_each(|(_, sum)| *sum = sum.saturating_add(count));
        }
    }
    for (kind, count) in broken {
        let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        metrics::gauge!(names::VERIFY_FINDINGS, "kind" => kind.as_str()).set(count);
    }
    let halted = app
        .db
        .read("halted books", Scope::Routing, |tx| Box::pin(async move { verify::count_halted(tx).await }))
        .await?;
    metrics::gauge!(names::HALTED_BOOKS).set(f64::from(u32::try_from(halted).unwrap_or(u32::MAX)));
    Ok(())
}

fn outcome(is_clean: bool) -> &'static str {
    if is_clean { "clean" } else { "violated" }
}

fn count_run(depth: Depth, outcome: &'static str) {
    metrics::counter!(names::VERIFY_RUNS, "depth" => depth.as_str(), "outcome" => outcome).increment(1);
}

/// Has each book verified completely when its time has come, until cancelled. Beside what is done every minute, which a
/// large book would hold up.
pub(super) async fn keep_complete(app: Arc<App>, stop: CancellationToken) {
    let mut minute = tokio::time::interval(super::UPKEEP_INTERVAL);
    minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(minute.tick()).await.is_some() {
        let done = async {
            verify::schedule(&app).await?;
            verify_complete(&app).await
        };
        // Nobody has to wait for a run that is under way: what is not finished is due again.
        if let Some(Err(error)) = stop.run_until_cancelled(done).await {
            tracing::error!(%error, "books that are due cannot be verified completely");
        }
    }
}

/// Verifies completely each book for which that is due, one after the other; returns how many. A book that cannot be
/// verified is logged and tried again later.
///
/// # Errors
/// What the database says of the queue.
pub async fn verify_complete(app: &Arc<App>) -> Result<usize, ApplyError> {
    let mut verified = 0;
    loop {
        match verify::check_next(app).await? {
            Turn::Verified(_, report) => {
                count_run(Depth::Complete, outcome(report.is_clean()));
                verified += 1;
            }
            Turn::Failed(book, error) => {
                tracing::error!(book = book.get(), %error, "a book could not be verified completely");
                count_run(Depth::Complete, "failed");
            }
            Turn::Nothing | Turn::Taken => return Ok(verified),
        }
    }
}

/// Anchors every book whose ledger has moved since its last anchor.
///
/// # Errors
/// What the ledger or the database says; what was anchored stays.
pub async fn anchor_books(app: &Arc<App>) -> Result<(), ApplyError> {
    for book in books(app).await? {
        app.db
            .run_tx("anchor", Scope::Book(book.id), |tx| {
                Box::pin(async move {
                    let last = partita_ledger::last_anchor(tx).await?.map(|anchor| anchor.position());
                    if last != Some(partita_ledger::current_position(tx).await?) {
                        partita_ledger::take_anchor(tx).await?;
                    }
                    Ok::<_, LedgerError>(())
                })
            })
            .await?;
    }
    Ok(())
}
