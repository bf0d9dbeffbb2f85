//! Webhooks out: makes deliveries of events, and gives every endpoint that has some its turn.
//!
//! Turns run side by side and nobody waits for them: an endpoint that hangs keeps its own turn busy, for fifteen seconds,
//! and nothing else. So this does not go round with the other work, which is done batch after batch.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use partita_db::{BookId, DbError, Scope};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{LEASE_SECONDS, RETRY_AFTER_FAILURE_SECONDS, end};
use crate::app::App;
use crate::due::{self, Claimed};
use crate::telemetry::names;
use crate::webhook_endpoints::{self, DUE_KIND};
use crate::{outbox, payouts, platforms};

/// How long a look at an empty list is good for.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Most turns at once in this process.
const MOST_TURNS: usize = 32;
/// Books whose events are fanned out in one round.
const BOOKS: i64 = 16;

/// Runs until cancelled; turns under way are finished.
pub(super) async fn run(app: Arc<App>, stop: CancellationToken) {
    seal_secrets(&app).await;
    let (mut turns, mut after) = (JoinSet::new(), None);
    while !stop.is_cancelled() {
        while turns.try_join_next().is_some() {}
        let begun = round(&app, after, MOST_TURNS.saturating_sub(turns.len())).await.unwrap_or_else(|error| {
            tracing::error!(%error, "the list of webhooks cannot be read");
            Round::default()
        });
        let idle = begun.fanned_out == 0 && begun.claimed.is_empty() && begun.more_after.is_none();
        after = begun.more_after;
        for claimed in begun.claimed {
            let app = Arc::clone(&app);
            turns.spawn(async move { turn(&app, claimed).await });
        }
        if idle {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
        }
    }
    while turns.join_next().await.is_some() {}
}

/// Makes the deliveries of what happened and does one turn of every endpoint that has some due; returns how much that was.
///
/// # Errors
/// What the database says of the lists.
pub async fn deliver_webhooks(app: &Arc<App>) -> Result<usize, DbError> {
    let begun = round(app, None, MOST_TURNS).await?;
    let count = begun.fanned_out + begun.claimed.len();
    futures::future::join_all(begun.claimed.into_iter().map(|claimed| turn(app, claimed))).await;
    Ok(count)
}

/// What one look at the lists found.
#[derive(Default)]
struct Round {
    /// Events whose deliveries were made.
    fanned_out: usize,
    /// The book after which others may have events; none when it began anew with the first or has seen the last one.
    more_after: Option<BookId>,
    /// Endpoints whose turn it is.
    claimed: Vec<Claimed>,
}

/// Fans out for the books `after` one, so that many with much to tell keep none behind them waiting.
async fn round(app: &Arc<App>, after: Option<BookId>, most_turns: usize) -> Result<Round, DbError> {
    let books = app
        .db
        .read("books with new events", Scope::Routing, move |tx| {
            Box::pin(async move { outbox::books_with_unannounced(tx, after, BOOKS).await })
        })
        .await?;
    let full = books.len() >= usize::try_from(BOOKS).unwrap_or(usize::MAX);
    let more_after = books.last().copied().filter(|_| full);
    let counts = books.into_iter().map(|book| async move {
        webhook_endpoints::fan_out(app, book).await.unwrap_or_else(|error| {
            tracing::error!(book = book.get(), %error, "events could not be fanned out; tried again");
            0
        })
    });
    let fanned_out = futures::future::join_all(counts).await.into_iter().sum();
    let (now, limit) = (app.clock.now(), i64::try_from(most_turns).unwrap_or(0));
    let (claimed, oldest) = app
        .db
        .run_tx("claim webhook endpoints", Scope::Routing, move |tx| {
            Box::pin(async move {
                let oldest = due::next(tx, &[DUE_KIND.to_owned()]).await?;
                Ok::<_, DbError>((due::claim(tx, DUE_KIND, now, LEASE_SECONDS, limit, &[]).await?, oldest))
            })
        })
        .await?;
    let waiting = oldest.map_or(0, |oldest| now.duration_since(oldest).as_secs().max(0));
    metrics::gauge!(names::WEBHOOK_OLDEST_WAITING).set(f64::from(u32::try_from(waiting).unwrap_or(u32::MAX)));
    Ok(Round { fanned_out, more_after, claimed })
}

async fn turn(app: &Arc<App>, claimed: Claimed) {
    let (book, key) = (claimed.due.book, claimed.due.id);
    let next = webhook_endpoints::take_turn(app, book, key).await.unwrap_or_else(|error| {
        tracing::error!(book = book.get(), key, %error, "webhooks could not be sent; tried again later");
        Some(app.clock.now() + SignedDuration::from_secs(RETRY_AFTER_FAILURE_SECONDS))
    });
    if let Err(error) = end(app, claimed, next).await {
        // The lease runs out and the endpoint gets another turn, which sends nothing twice that was recorded.
        tracing::error!(book = book.get(), key, %error, "a turn of a webhook endpoint could not be ended");
    }
}

/// Encrypts the signing secrets that are in clear text or under an older key, once at the start.
async fn seal_secrets(app: &Arc<App>) {
    match seal_all(app).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "signing secrets were encrypted under the present key"),
        Err(error) => tracing::error!(%error, "signing secrets could not be encrypted; set PARTITA_ENCRYPTION_KEY"),
    }
}

async fn seal_all(app: &Arc<App>) -> Result<usize, Box<dyn std::error::Error + Send + Sync>> {
    let mut total = 0;
    loop {
        match platforms::seal_webhook_secrets(app).await? {
            0 => break,
            sealed => total += sealed,
        }
    }
    let books =
        app.db.read("books", Scope::Routing, |tx| Box::pin(async move { platforms::list_books(tx).await })).await?;
    for book in books {
        loop {
            match webhook_endpoints::reseal(app, book.id).await? {
                0 => break,
                sealed => total += sealed,
            }
        }
        loop {
            match payouts::bank::reseal(app, book.id).await? {
                0 => break,
                sealed => total += sealed,
            }
        }
    }
    Ok(total)
}
