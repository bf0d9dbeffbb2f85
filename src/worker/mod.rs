//! The worker: claims what is due, does it in its book, and goes on until nothing is due.
//!
//! In service each kind of work has a [`lane`] of its own. Every step is also a public function that does one batch of
//! each kind and returns, so that tests drain the queues instead of sleeping. A piece that fails leaves its row with a
//! later due time; nothing is dropped.

mod application_fees;
mod approvals;
mod availability;
mod backlog;
mod day_balances;
mod debts;
mod disputes;
mod inbox;
mod lane;
mod lookout;
mod operations;
mod payouts;
mod positions;
mod reconciliation;
mod retention;
mod stuck_money;
mod sweep;
mod takeover;
mod transfers;
mod verify;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, DbError, Scope};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use day_balances::roll_day_balances;
pub use debts::schedule_day_ends;
pub use inbox::apply_inbox;
pub use reconciliation::schedule_reconciliation;
pub use retention::schedule_retention;
pub use stuck_money::schedule_stuck_money;
pub use sweep::schedule_sweeps;
pub use takeover::know_servers;
pub use verify::{anchor_books, verify_complete, verify_new};
pub use webhooks::deliver_webhooks;

use crate::app::App;
use crate::due::{self, Claimed};
use crate::events::ApplyError;

const UPKEEP_INTERVAL: Duration = Duration::from_mins(1);
/// Minutes between two anchors.
const ANCHOR_MINUTES: u32 = 60;
/// How long a claimed piece of work is nobody else's; database clock. Not longer than the lease of a command: one whose
/// worker died waits for both.
const LEASE_SECONDS: i32 = crate::operations::LEASE_SECONDS;
const BATCH: usize = 32;
const RETRY_AFTER_FAILURE_SECONDS: i64 = 60;

/// Every kind of work that a lane does, in the order in which a step does them. Webhooks out are beside it.
const KINDS: [&str; 16] = [
    inbox::DUE_KIND,
    crate::operations::DUE_KIND,
    crate::payments::FEE_DUE_KIND,
    crate::provider_movements::DUE_KIND,
    crate::payments::line_release::RELEASE_DUE_KIND,
    crate::transfers::DUE_KIND,
    crate::exchange::DUE_KIND,
    crate::reserves::DUE_KIND,
    crate::disputes::DEADLINE_DUE_KIND,
    crate::approvals::EXPIRY_DUE_KIND,
    crate::transfers::DAY_END_DUE_KIND,
    crate::payouts::DUE_KIND,
    sweep::DUE_KIND,
    reconciliation::DUE_KIND,
    retention::DUE_KIND,
    crate::stuck_money::DUE_KIND,
];

/// Runs until cancelled; what is under way is finished.
pub async fn run(app: Arc<App>, stop: CancellationToken) {
    let due = KINDS.map(|_| Notify::new());
    let lookout = lookout::run(Arc::clone(&app), &due, stop.clone());
    let lanes = KINDS.iter().zip(&due).map(|(kind, due)| lane::run(Arc::clone(&app), kind, due, stop.clone()));
    let lanes = futures::future::join_all(lanes);
    let webhooks = webhooks::run(Arc::clone(&app), stop.clone());
    let takeover = takeover::run(Arc::clone(&app), stop.clone());
    let complete = verify::keep_complete(Arc::clone(&app), stop.clone());
    tokio::join!(lookout, lanes, webhooks, takeover, complete, keep_up(app, stop));
}

/// What is done every minute, not when something is due.
async fn keep_up(app: Arc<App>, stop: CancellationToken) {
    let mut minute = tokio::time::interval(UPKEEP_INTERVAL);
    let mut minutes = 0_u32;
    while stop.run_until_cancelled(minute.tick()).await.is_some() {
        if let Err(error) = verify_new(&app).await {
            tracing::error!(%error, "the books could not be verified");
        }
        if minutes.is_multiple_of(ANCHOR_MINUTES)
            && let Err(error) = anchor_books(&app).await
        {
            tracing::error!(%error, "the ledger could not be anchored");
        }
        minutes = minutes.wrapping_add(1);
        if let Err(error) = roll_day_balances(&app).await {
            tracing::error!(%error, "sums by day could not be kept up; balances stay exact, past ones read slower");
        }
        if let Err(error) = backlog::measure(&app).await {
            tracing::error!(%error, "what waits could not be counted");
        }
        if let Err(error) = schedule_sweeps(&app).await {
            tracing::error!(%error, "sweeps of the provider's events could not be scheduled");
        }
        if let Err(error) = schedule_reconciliation(&app).await {
            tracing::error!(%error, "reconciliation could not be scheduled");
        }
        if let Err(error) = schedule_day_ends(&app).await {
            tracing::error!(%error, "the ends of days could not be scheduled");
        }
        if let Err(error) = schedule_stuck_money(&app).await {
            tracing::error!(%error, "the look for stuck money could not be scheduled");
        }
        if let Err(error) = schedule_retention(&app).await {
            tracing::error!(%error, "the removal of what is old could not be scheduled");
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
        let done = step(app).await? + deliver_webhooks(app).await?;
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
    let mut done = 0;
    for kind in KINDS {
        let pieces = Piece::claim(app, kind, BATCH, &[]).await?;
        done += futures::future::join_all(pieces.into_iter().map(|piece| piece.work(app))).await.len();
    }
    Ok(done)
}

/// A claimed piece of work.
enum Piece {
    /// The unapplied events of a book.
    Inbox(BookId),
    /// Anything else.
    Due(Claimed),
}

impl Piece {
    async fn claim(app: &Arc<App>, kind: &'static str, limit: usize, busy: &[BookId]) -> Result<Vec<Self>, ApplyError> {
        let (now, limit, busy) = (app.clock.now(), i64::try_from(limit).unwrap_or(i64::MAX), busy.to_vec());
        if kind == inbox::DUE_KIND {
            return Ok(inbox::claim(app, limit, now).await?.into_iter().map(Self::Inbox).collect());
        }
        let lease = if kind == reconciliation::DUE_KIND { reconciliation::LEASE_SECONDS } else { LEASE_SECONDS };
        let claimed = app
            .db
            .run_tx("claim due work", Scope::Routing, move |tx| {
                let busy = busy.clone();
                Box::pin(async move { due::claim(tx, kind, now, lease, limit, &busy).await })
            })
            .await?;
        Ok(claimed.into_iter().map(Self::Due).collect())
    }

    /// Gives pieces back unbegun. An inbox never is: a book has only one.
    async fn release(app: &Arc<App>, pieces: Vec<Self>) -> Result<(), DbError> {
        let due: Vec<Claimed> = pieces
            .into_iter()
            .filter_map(|piece| match piece {
                Self::Due(claimed) => Some(claimed),
                Self::Inbox(_) => None,
            })
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        app.db
            .run_tx("release due work", Scope::Routing, move |tx| {
                let due = due.clone();
                Box::pin(async move { due::release(tx, &due).await })
            })
            .await
    }

    fn book(&self) -> BookId {
        match self {
            Self::Inbox(book) => *book,
            Self::Due(claimed) => claimed.due.book,
        }
    }

    async fn work(self, app: &Arc<App>) {
        match self {
            Self::Inbox(book) => inbox::apply_or_log(app, book).await,
            Self::Due(claimed) => work(app, claimed).await,
        }
    }
}

async fn work(app: &Arc<App>, claimed: Claimed) {
    let outcome = match claimed.due.kind.as_str() {
        crate::operations::DUE_KIND => operations::send(app, &claimed.due).await,
        crate::payments::FEE_DUE_KIND => application_fees::read(app, &claimed.due).await,
        crate::provider_movements::DUE_KIND => availability::settle(app, &claimed.due).await,
        crate::disputes::DEADLINE_DUE_KIND => disputes::remind(app, &claimed.due).await,
        crate::approvals::EXPIRY_DUE_KIND => Ok(approvals::expire(app, &claimed.due).await),
        crate::transfers::DAY_END_DUE_KIND => debts::end_day(app, &claimed.due).await,
        crate::reserves::DUE_KIND => transfers::advance_reserve(app, &claimed.due).await,
        crate::payments::line_release::RELEASE_DUE_KIND => transfers::advance_line(app, &claimed.due).await,
        crate::exchange::DUE_KIND => positions::close(app, &claimed.due).await,
        crate::stuck_money::DUE_KIND => stuck_money::look(app, &claimed.due).await,
        crate::payouts::DUE_KIND => payouts::pay_by_schedule(app, &claimed.due).await,
        sweep::DUE_KIND => sweep::sweep(app, &claimed.due).await,
        reconciliation::DUE_KIND => Ok(reconciliation::take_turn(app, &claimed.due).await),
        retention::DUE_KIND => retention::tidy(app, &claimed.due).await,
        _ => transfers::rebalance(app, &claimed.due).await,
    };
    let (kind, book, id) = (claimed.due.kind.clone(), claimed.due.book.get(), claimed.due.id);
    let next = match outcome {
        Ok(Next::Done) => None,
        Ok(Next::At(at)) => Some(at),
        Err(error) => {
            tracing::error!(kind, book, id, %error, "work failed; tried again later");
            Some(app.clock.now() + SignedDuration::from_secs(RETRY_AFTER_FAILURE_SECONDS))
        }
    };
    if let Err(error) = end(app, claimed, next).await {
        // The lease runs out and the piece is done again, which changes nothing.
        tracing::error!(kind, book, id, %error, "work is done but could not be taken off the queue");
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
