//! Keeps the ledger's sums by day up to the present, so that a past balance is days and a short tail.

use std::sync::Arc;

use partita_db::Scope;

use crate::app::App;
use crate::events::ApplyError;
use crate::platforms;

/// Transactions taken in one database transaction.
const AT_ONCE: u32 = 10_000;

/// Brings the sums by day of every book up to its present position.
///
/// # Errors
/// What the ledger or the database says; what was done stays done.
pub async fn roll_day_balances(app: &Arc<App>) -> Result<(), ApplyError> {
    let books =
        app.db.read("books", Scope::Routing, |tx| Box::pin(async move { platforms::list_books(tx).await })).await?;
    for book in books {
        loop {
            let progress = app
                .db
                .run_tx("roll day balances", Scope::Book(book.id), |tx| {
                    Box::pin(async move { partita_ledger::roll_day_balances(tx, AT_ONCE).await })
                })
                .await?;
            // Nothing taken and not finished: another worker has the lanes.
            if progress.finished || progress.positions == 0 {
                break;
            }
        }
    }
    Ok(())
}
