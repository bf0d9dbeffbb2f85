//! The worker: claims what is due, does it in its book, and goes on until nothing is due.
//!
//! Every step is a public function that does one batch and returns, so that tests drain the queues instead of
//! sleeping. A step that fails leaves its row with a later due time; nothing is dropped.

mod availability;
mod day_balances;
mod inbox;
mod operations;
mod transfers;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use partita_db::{DbError, Scope};
use tokio_util::sync::CancellationToken;

pub use day_balances::roll_day_balances;
pub use inbox::apply_inbox;

use crate::app::App;
use crate::due::{self, Claimed};
use crate::events::ApplyError;

const DAY_BALANCES_INTERVAL: Duration = Duration::from_mins(1);
const POLL_INTERVAL: Duration = Duration::from_millis(500);
const LEASE_SECONDS: i32 = 60;
const BATCH: i64 = 32;
const RETRY_AFTER_FAILURE_SECONDS: i64 = 60;

/// Runs until cancelled; the batch under way is finished.
pub async fn run(app: Arc<App>, stop: CancellationToken) {
    let mut minute = tokio::time::interval(DAY_BALANCES_INTERVAL);
    while !stop.is_cancelled() {
        if minute.tick().now_or_never().is_some()
            && let Err(error) = roll_day_balances(&app).await
        {
            tracing::error!(%error, "sums by day could not be kept up; balances stay exact, past ones read slower");
        }
        let done = match step(&app).await {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(%error, "the worker cannot read its queues");
                0
            }
        };
        if done == 0 {
            tokio::select! {
                () = stop.cancelled() => {}
                () = app.wake.notified() => {}
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
        }
    }
}

/// Does everything that is due, and what becomes due by it; returns how many pieces of work that were.
///
/// # Errors
/// What the database says of the queues; failures of single pieces of work are logged and tried again later.
pub async fn drain(app: &Arc<App>) -> Result<usize, ApplyError> {
    let mut total = 0;
    loop {
        let done = step(app).await?;
        if done == 0 {
            return Ok(total);
        }
        total += done;
    }
}

/// Does one batch of each kind; returns how many pieces of work that were.
///
/// # Errors
/// As [`drain`].
pub async fn step(app: &Arc<App>) -> Result<usize, ApplyError> {
    let mut done = inbox::apply_inbox(app).await?;
    done += batch(app, crate::operations::DUE_KIND).await?;
    done += batch(app, crate::provider_movements::DUE_KIND).await?;
    done += batch(app, crate::transfers::DUE_KIND).await?;
    Ok(done)
}

/// Claims a batch of one kind and does its pieces side by side.
async fn batch(app: &Arc<App>, kind: &'static str) -> Result<usize, ApplyError> {
    let now = app.clock.now();
    let claimed = app
        .db
        .run_tx("claim due work", Scope::Routing, move |tx| {
            Box::pin(async move { due::claim(tx, kind, now, LEASE_SECONDS, BATCH).await })
        })
        .await?;
    let count = claimed.len();
    futures::future::join_all(claimed.into_iter().map(|claimed| piece(app, kind, claimed))).await;
    Ok(count)
}

async fn piece(app: &Arc<App>, kind: &'static str, claimed: Claimed) {
    let outcome = match kind {
        crate::operations::DUE_KIND => operations::send(app, &claimed.due).await,
        crate::provider_movements::DUE_KIND => availability::settle(app, &claimed.due).await,
        _ => transfers::rebalance(app, &claimed.due).await,
    };
    let next = match outcome {
        Ok(Next::Done) => None,
        Ok(Next::At(at)) => Some(at),
        Err(error) => {
            tracing::error!(kind, book = claimed.due.book.get(), id = claimed.due.id, %error, "work failed; tried again later");
            Some(app.clock.now() + SignedDuration::from_secs(RETRY_AFTER_FAILURE_SECONDS))
        }
    };
    if let Err(error) = end(app, claimed, next).await {
        // The lease runs out and the piece is done again, which changes nothing.
        tracing::error!(kind, %error, "work is done but could not be taken off the queue");
    }
}

async fn end(app: &Arc<App>, claimed: Claimed, next: Option<Timestamp>) -> Result<(), DbError> {
    app.db
        .run_tx("end due work", Scope::Routing, move |tx| {
            let claimed = claimed.clone();
            Box::pin(async move {
                match next {
                    None => due::finish(tx, &claimed).await,
                    Some(at) => due::postpone(tx, &claimed, at).await,
                }
            })
        })
        .await
}

/// What becomes of a piece of work that did not fail.
enum Next {
    /// Nothing is left to do.
    Done,
    /// To be looked at again.
    At(Timestamp),
}
