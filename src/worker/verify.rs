//! Verifies every book, every minute; and anchors them.

use std::sync::Arc;

use partita_db::{DbError, Scope};
use partita_ledger::LedgerError;

use crate::app::App;
use crate::events::ApplyError;
use crate::platforms::{self, Book};
use crate::telemetry::names;
use crate::verify::{self, Depth, Kind, Report};

async fn books(app: &Arc<App>) -> Result<Vec<Book>, DbError> {
    app.db.read("books", Scope::Routing, |tx| Box::pin(async move { platforms::list_books(tx).await })).await
}

/// Verifies what is new in every book, and counts what is broken and halted. A book that cannot be verified is logged and
/// does not keep the others from it.
///
/// # Errors
/// What the database says of the list of books.
pub async fn verify_new(app: &Arc<App>) -> Result<(), ApplyError> {
    let mut found =
        [(Kind::Integrity, "integrity", 0_u32), (Kind::Liveness, "liveness", 0), (Kind::Agreement, "agreement", 0)];
    for book in books(app).await? {
        let outcome = match verify::check(app, book.id, Depth::New).await {
            Ok(Report { findings, .. }) => {
                for (kind, _, count) in &mut found {
                    let of_kind = findings.iter().filter(|finding| finding.kind == *kind).count();
                    *count = count.saturating_add(u32::try_from(of_kind).unwrap_or(u32::MAX));
                }
                if findings.is_empty() { "clean" } else { "violated" }
            }
            Err(error) => {
                tracing::error!(book = book.id.get(), %error, "a book could not be verified");
                "failed"
            }
        };
        metrics::counter!(names::VERIFY_RUNS, "depth" => "new", "outcome" => outcome).increment(1);
    }
    for (_, kind, count) in found {
        metrics::gauge!(names::VERIFY_FINDINGS, "kind" => kind).set(f64::from(count));
    }
    let halted = app
        .db
        .read("halted books", Scope::Routing, |tx| Box::pin(async move { verify::count_halted(tx).await }))
        .await?;
    metrics::gauge!(names::HALTED_BOOKS).set(f64::from(u32::try_from(halted).unwrap_or(u32::MAX)));
    Ok(())
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
