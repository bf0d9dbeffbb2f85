//! When another server takes over: a standby that was promoted, a restored backup. What its predecessor had acknowledged
//! last may be missing there. Whoever does not remember a command gives it again: a share of a seller would be
//! transferred twice, and a buyer charged twice whose request is repeated.
//!
//! Each server that was not whole from the beginning writes on a timeline of its own. A book knows the timelines that it
//! is whole on; on another one it is as if halted ([`super::is_halted`]), from the first transaction on. The worker asks
//! the provider for what the last commands have done ([`crate::reconciliation::missing_since`]) and then has the book know
//! the timeline ([`know_server`]): with everything there, it goes on; with something missing, the book is halted until a
//! person has looked at it.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, DbError, Scope};

use super::{Depth, Finding, Kind, Report, VerifyError, read, store, take};
use crate::app::App;
use crate::id::VerifyRunId;

/// How long before the last thing that was written the provider's list is read from: its clock is not ours, and a command
/// takes its time.
const MARGIN_HOURS: i64 = 1;

/// How many movements a finding names.
const NAMED: usize = 20;

/// The books that do not know the server which the database runs on now.
///
/// # Errors
/// What the database says.
pub async fn books_taken_over(app: &Arc<App>) -> Result<Vec<BookId>, DbError> {
    app.db
        .read("books taken over", Scope::Routing, |tx| Box::pin(async move { store::books_taken_over(tx).await }))
        .await
}

/// From when on the provider may have something that a server lacks that took over: a while before the last thing that
/// the book wrote. None: it wrote nothing.
///
/// # Errors
/// What the database says.
pub async fn lost_since(app: &Arc<App>, book: BookId) -> Result<Option<Timestamp>, DbError> {
    let last = app
        .db
        .read("last written", Scope::Book(book), |tx| Box::pin(async move { store::last_written(tx).await }))
        .await?;
    Ok(last.map(|last| last - SignedDuration::from_hours(MARGIN_HOURS)))
}

/// Has a book know the server which the database runs on now. With movements of the provider that nothing here explains,
/// the book is halted in the same transaction. False: another process was first.
///
/// # Errors
/// [`VerifyError`] when it could not be finished; the book does not know the server then.
pub async fn know_server(app: &Arc<App>, book: BookId, missing: &[String]) -> Result<bool, VerifyError> {
    let mut report = read(app, book, Depth::New).await?;
    if !missing.is_empty() {
        report.findings.push(forgotten(missing));
    }
    let (report, now, id) = (Arc::new(report), app.clock.now(), VerifyRunId::new());
    let stored: Arc<Report> = Arc::clone(&report);
    let known = app
        .db
        .run_tx("know the server", Scope::Book(book), move |tx| {
            let report = Arc::clone(&stored);
            Box::pin(async move {
                let known = store::insert_timeline(tx).await?;
                if known && !report.is_clean() {
                    take(tx, id, Depth::New, &report, now).await?;
                }
                Ok::<_, VerifyError>(known)
            })
        })
        .await?;
    if known && missing.is_empty() {
        tracing::warn!(book = book.get(), "another server has taken over; it lacks nothing that the provider has");
    } else if known {
        tracing::error!(
            book = book.get(), run = %id, missing = missing.len(),
            "another server has taken over and lacks what was acknowledged: the movement of money is halted"
        );
    }
    Ok(known)
}

fn forgotten(missing: &[String]) -> Finding {
    let named = missing.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    Finding {
        code: "I3",
        invariant: "takeover",
        kind: Kind::Integrity,
        sentence: "A server that takes over has everything that its predecessor had acknowledged.",
        detail: format!(
            "{} movements of the provider are of commands that this server does not have: {named}",
            missing.len()
        ),
    }
}
