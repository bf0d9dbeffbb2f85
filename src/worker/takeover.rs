//! Looks whether another server has taken over, and what it lacks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use partita_db::{BookId, DbError};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::events::ApplyError;
use crate::reconciliation::{self, ReconciliationError};
use crate::verify::{self, VerifyError};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long after a takeover the provider is asked: what was sent by order of the server before may be on its way until
/// then, and would be missed by a look that came earlier. For so long requests are told to come again.
const SENT_WITHIN: Duration = Duration::from_secs(35);

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
    let mut seen = BTreeMap::new();
    while stop.run_until_cancelled(look.tick()).await.is_some() {
        if let Err(error) = know_servers_after(&app, SENT_WITHIN, &mut seen).await {
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
    know_servers_after(app, Duration::ZERO, &mut BTreeMap::new()).await
}

/// The same for the books that were `seen` to be taken over so long ago.
async fn know_servers_after(
    app: &Arc<App>,
    wait: Duration,
    seen: &mut BTreeMap<BookId, Instant>,
) -> Result<(), ApplyError> {
    let taken_over = verify::books_taken_over(app).await?;
    seen.retain(|book, _| taken_over.contains(book));
    for book in taken_over {
        if seen.entry(book).or_insert_with(Instant::now).elapsed() < wait {
            continue;
        }
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
