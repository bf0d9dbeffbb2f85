//! Compares each book with its provider when its time has come.

use std::sync::Arc;

use jiff::SignedDuration;

use super::{Next, RETRY_AFTER_FAILURE_SECONDS};
use crate::app::App;
use crate::due::Due;
use crate::reconciliation::{self, ReconciliationError};

pub(super) use crate::reconciliation::DUE_KIND;

/// How long a book is nobody else's; longer than a turn takes. Beyond it the run's own lease keeps others from it.
pub(super) const LEASE_SECONDS: i32 = 600;

/// Makes sure that every book with a provider is reconciled by schedule.
///
/// # Errors
/// What the database says.
pub async fn schedule_reconciliation(app: &Arc<App>) -> Result<(), ReconciliationError> {
    reconciliation::schedule(app).await
}

/// Does one turn. What prevents it is logged, and says nothing about the books; the run goes on where it was.
pub(super) async fn take_turn(app: &Arc<App>, due: &Due) -> Next {
    match reconciliation::take_turn(app, due.book).await {
        Ok(at) => Next::At(at),
        Err(error) => {
            tracing::error!(book = due.book.get(), %error, "a book could not be reconciled; tried again later");
            Next::At(app.clock.now() + SignedDuration::from_secs(RETRY_AFTER_FAILURE_SECONDS))
        }
    }
}
