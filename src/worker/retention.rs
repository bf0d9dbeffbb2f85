//! Removes what is not kept for ever, once a day in each book: clients' idempotency keys, and what became of our webhooks.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, DbError, Scope};

use super::Next;
use crate::app::App;
use crate::due::{self, Due};
use crate::events::ApplyError;
use crate::{idempotency, webhook_endpoints};

/// The kind of `due` rows that name books to be tidied.
pub(super) const DUE_KIND: &str = "retention";

/// How long both are kept at least; at most a day longer, or as long as a book has more of them than are removed in a day.
const KEPT_DAYS: i64 = 30;
/// Rows removed in one transaction, whose locks nobody waits for long then.
const BATCH: i64 = 500;
/// Batches removed before other work of the worker gets its turn.
const BATCHES_AT_ONCE: u32 = 20;

/// Makes sure that every book is tidied once in each day of the business clock, at a time of its own.
///
/// # Errors
/// What the database says.
pub async fn schedule_retention(app: &Arc<App>) -> Result<(), ApplyError> {
    let now = app.clock.now();
    app.db
        .run_tx("schedule retention", Scope::Routing, move |tx| {
            Box::pin(async move { Ok(due::schedule_books(tx, DUE_KIND, now).await?) })
        })
        .await
}

pub(super) async fn tidy(app: &Arc<App>, due: &Due) -> Result<Next, ApplyError> {
    let now = app.clock.now();
    let before = now - SignedDuration::from_hours(24 * KEPT_DAYS);
    for _ in 0..BATCHES_AT_ONCE {
        if !remove(app, due.book, before).await? {
            return Ok(Next::At(due.next_day(now)));
        }
    }
    Ok(Next::At(now))
}

/// Removes a batch of each; whether there may be more.
async fn remove(app: &Arc<App>, book: BookId, before: Timestamp) -> Result<bool, DbError> {
    let keys = app
        .db
        .run_tx("remove old idempotency keys", Scope::Book(book), move |tx| {
            Box::pin(async move { idempotency::remove_made_before(tx, before, BATCH).await })
        })
        .await?;
    let deliveries = app
        .db
        .run_tx("remove old deliveries", Scope::Book(book), move |tx| {
            Box::pin(async move { webhook_endpoints::remove_ended_before(tx, before, BATCH).await })
        })
        .await?;
    if keys > 0 || deliveries > 0 {
        tracing::info!(book = book.get(), keys, deliveries, "what is not kept any longer was removed");
    }
    let full = |count: i64| count >= BATCH;
    Ok(full(i64::try_from(keys).unwrap_or(BATCH)) || full(i64::try_from(deliveries).unwrap_or(BATCH)))
}
