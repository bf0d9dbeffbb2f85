//! Looks whether another server has taken over, and what it lacks.

use std::sync::Arc;
use std::time::Duration;

use partita_db::{BookId, DbError};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::events::ApplyError;
use crate::reconciliation::{self, ReconciliationError};
use crate::verify::{self, VerifyError};

/// Between two looks: for so long requests are told to come again after a takeover, at least.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why it is not known what a server lacks.
#[derive(Debug, thiserror::Error)]
enum TakeoverError {
    /// The provider could not be asked.
    #[error(transparent)]
    Reconciliation(#[from] ReconciliationError),
    /// It could not be stored.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

pub(super) async fn run(app: Arc<App>, stop: CancellationToken) {
    let mut look = tokio::time::interval(LOOK_EVERY);
    while stop.run_until_cancelled(look.tick()).await.is_some() {
        if let Err(error) = know_servers(&app).await {
            tracing::error!(%error, "it could not be looked whether another server has taken over");
        }
    }
}

/// Asks the provider, for each book that another server has taken over, what that one lacks. A book that cannot be asked
/// for is logged, stays as if halted, and does not keep the others from it.
///
/// # Errors
/// What the database says of the list of books.
pub async fn know_servers(app: &Arc<App>) -> Result<(), ApplyError> {
    for book in verify::books_taken_over(app).await? {
        if let Err(error) = know_server(app, book).await {
            tracing::error!(
                book = book.get(), %error,
                "another server has taken over, and what it lacks is not known; no money is moved"
            );
        }
    }
    Ok(())
}

async fn know_server(app: &Arc<App>, book: BookId) -> Result<(), TakeoverError> {
    let since = verify::lost_since(app, book).await?;
    let missing = reconciliation::missing_since(app, book, since).await?;
    verify::know_server(app, book, &missing).await?;
    Ok(())
}
