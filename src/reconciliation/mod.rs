//! Reconciliation: the provider's own movements, of the platform and of each connected account, against the ledger,
//! one to one by the provider's id, and then the balances per state and currency.
//!
//! A movement that the ledger does not have is first taken over the way every other news is (its object is read and
//! applied, under the same source); what then still differs is a break. Nothing is ever adjusted.
//!
//! The provider is read page by page and each page compared at once; nothing in memory grows with the data. A run writes
//! down which accounts it has to compare and how far it came in each, and works in *turns* that hold a lease: a run that
//! died goes on where it was, and nobody works on a book beside another.
//!
//! The worker makes runs by itself ([`take_turn`]): over the accounts that moved every quarter of an hour, over everything
//! every night. People make them over everything.

mod account;
mod adopt;
mod breaks;
mod compare;
mod missing;
mod pages;
mod schedule;
mod store;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use partita_db::{BookId, DbError, Scope as Book};
use partita_ledger::LedgerError;
use partita_provider::FetchError;

pub use compare::BreakKind;
pub use missing::missing_since;
pub use schedule::{DUE_KIND, schedule, take_turn};
pub use store::breaks::list as list_breaks;
pub use store::runs::{find, list, standing};

use account::Turn;
use store::{runs, tasks};

use crate::actor::Actor;
use crate::app::{App, ProviderSetupError};
use crate::events::{self, ApplyError};
use crate::id::{BreakId, RunId};

/// How far a run over what moved looks back before the end of the last comparison: lists may lag, clocks differ.
const OVERLAP_HOURS: i64 = 48;

/// Between two tries to begin a run while another one is under way.
const WAIT: Duration = Duration::from_secs(1);
/// How often that is waited for.
const MOST_WAITS: u32 = 120;

/// What a run compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every account, its whole history.
    Complete,
    /// The accounts that moved, from two days before they were last compared.
    Recent,
}

impl Scope {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Recent => "recent",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Complete, Self::Recent].into_iter().find(|scope| scope.as_str() == text)
    }
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStatus {
    /// Under way.
    Running,
    /// Everything was compared.
    Succeeded,
    /// It could not be finished; it says nothing.
    Failed,
}

impl RunStatus {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Running, Self::Succeeded, Self::Failed].into_iter().find(|status| status.as_str() == text)
    }
}

/// A comparison of the ledger with the provider.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Where it stands.
    pub status: RunStatus,
    /// What it compares.
    pub scope: Scope,
    /// Whether the worker made it by its schedule.
    pub scheduled: bool,
    /// How many accounts at the provider were compared, the platform's own among them.
    pub accounts: i32,
    /// Movements that agree one to one.
    pub matched: i64,
    /// Movements that the ledger learnt of by this run.
    pub adopted: i64,
    /// Differences that remain.
    pub breaks: i32,
    /// The ledger's position when the balances were compared.
    pub ledger_position: Option<serde_json::Value>,
    /// What the provider had moved until then is compared; none until the run succeeded.
    pub reconciled_through: Option<Timestamp>,
    /// The compared balances; of a run over very many accounts, the first ones and those that differ.
    pub balances: serde_json::Value,
    /// Why it failed.
    pub error: Option<String>,
    /// Who asked.
    pub created_by: String,
    /// When it began, by the business clock.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// A difference between ledger and provider.
#[derive(Debug, Clone)]
pub struct Break {
    /// Its id.
    pub id: BreakId,
    /// The run that found it.
    pub run: RunId,
    /// What kind of difference.
    pub kind: BreakKind,
    /// The connected account's id at the provider; empty for the platform's own.
    pub account: String,
    /// The provider's movement, unless a balance as a whole differs.
    pub movement: Option<String>,
    /// Its currency's code.
    pub currency: String,
    /// What the ledger has; minor units.
    pub ledger_amount: Option<i64>,
    /// What the provider has; minor units.
    pub provider_amount: Option<i64>,
    /// In words.
    pub detail: String,
    /// When it was found, by the business clock.
    pub created_at: Timestamp,
}

/// Where reconciliation of a book stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What the provider had moved until then is compared; none when no run has succeeded yet.
    pub reconciled_through: Option<Timestamp>,
    /// Differences that stand and were told of; what may still be money on its way is none yet.
    pub open_breaks: i64,
}

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReconciliationError {
    /// No such run in this book.
    #[error("no such reconciliation run")]
    NotFound,
    /// Another run of this book is under way.
    #[error("another reconciliation run is under way")]
    AlreadyRunning,
    /// The run went on without this process, which was silent for too long.
    #[error("another process has gone on with the run")]
    Overtaken,
    /// The provider could not be read.
    #[error("the provider could not be read")]
    Fetch(#[from] FetchError),
    /// The provider is not set up.
    #[error(transparent)]
    Provider(#[from] ProviderSetupError),
    /// What was missing could not be taken over.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// What a turn came to.
enum Worked {
    /// Its pages were used up; the run goes on in the next turn.
    Paused,
    /// The run has ended; with why the first account that this turn gave up could not be compared.
    Finished(Box<Run>, Option<ReconciliationError>),
}

/// Compares a book's ledger with its provider, completely, and stores what it finds. Waits a while for a run that is under
/// way, which one of the schedule may be at any moment.
///
/// # Errors
/// As [`start`] and [`finish`].
pub async fn run(app: &Arc<App>, book: BookId, actor: Actor) -> Result<Run, ReconciliationError> {
    let mut waits = 0;
    let id = loop {
        match start(app, book, actor).await {
            Err(ReconciliationError::AlreadyRunning) if waits < MOST_WAITS => waits += 1,
            started => break started?,
        }
        tokio::time::sleep(WAIT).await;
    };
    finish(app, book, id).await
}

/// Begins a run over everything; of a book one at a time. A run that nobody is at any more does not stand in the way.
///
/// # Errors
/// [`ReconciliationError::AlreadyRunning`].
pub async fn start(app: &Arc<App>, book: BookId, actor: Actor) -> Result<RunId, ReconciliationError> {
    let now = app.clock.now();
    let new = runs::NewRun { id: RunId::new(), scope: Scope::Complete, scheduled: false, actor, now };
    app.db
        .run_tx("start reconciliation", Book::Book(book), move |tx| {
            Box::pin(async move {
                runs::give_up_dead(tx, true, now).await?;
                runs::insert(tx, new).await?;
                Ok::<_, ReconciliationError>(tasks::insert(tx, new.id, new.scope).await?)
            })
        })
        .await?;
    Ok(new.id)
}

/// Does the comparing of a run that was begun by [`start`], to its end.
///
/// # Errors
/// [`ReconciliationError`] when it could not be finished; the run is stored as failed then.
pub async fn finish(app: &Arc<App>, book: BookId, id: RunId) -> Result<Run, ReconciliationError> {
    let worked = match turn_of(app, book, id, 1, Scope::Complete).await {
        Ok(turn) => work(&turn, u32::MAX).await,
        Err(error) => Err(error),
    };
    match worked {
        Ok(Worked::Finished(run, None)) => Ok(*run),
        Ok(Worked::Finished(_, Some(error))) => Err(error),
        // Nobody has so many pages; the run is given up as one that died.
        Ok(Worked::Paused) => Err(ReconciliationError::Overtaken),
        Err(error) => {
            end(app, book, id, Some(error.to_string())).await?;
            Err(error)
        }
    }
}

async fn turn_of(
    app: &Arc<App>,
    book: BookId,
    run: RunId,
    number: i32,
    scope: Scope,
) -> Result<Turn, ReconciliationError> {
    let provider = app.provider(book).await?;
    let mode = events::mode_of(app, book).await?;
    Ok(Turn { app: Arc::clone(app), book, run, number, scope, provider, mode })
}

/// Compares what a run has still to compare, at most so many pages. One account that cannot be read says nothing about the
/// others; the run as a whole has not succeeded then.
async fn work(turn: &Turn, mut pages: u32) -> Result<Worked, ReconciliationError> {
    let (app, book, run) = (&turn.app, turn.book, turn.run);
    let mut first_failure = None;
    loop {
        let next = app
            .db
            .read("account to reconcile", Book::Book(book), move |tx| {
                Box::pin(async move { Ok::<_, ReconciliationError>(tasks::next(tx, run).await?) })
            })
            .await?;
        let Some((account, progress)) = next else {
            let run = Box::new(end(app, book, run, None).await?);
            return Ok(Worked::Finished(run, first_failure));
        };
        match turn.compare(&account, progress, &mut pages).await {
            Ok(true) => {}
            Ok(false) => return pause(turn).await,
            Err(error) if is_of_the_account(&error) => {
                tracing::warn!(book = book.get(), account = account.name(), %error, "an account could not be compared");
                turn.give_account_up(&account, &error.to_string()).await?;
                first_failure.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether the other accounts may do better.
fn is_of_the_account(error: &ReconciliationError) -> bool {
    matches!(error, ReconciliationError::Fetch(_) | ReconciliationError::Apply(_) | ReconciliationError::Ledger(_))
}

async fn pause(turn: &Turn) -> Result<Worked, ReconciliationError> {
    let (run, number) = (turn.run, turn.number);
    turn.app
        .db
        .run_tx("pause reconciliation", Book::Book(turn.book), move |tx| {
            Box::pin(async move { runs::pause(tx, run, number).await })
        })
        .await?;
    Ok(Worked::Paused)
}

async fn end(app: &Arc<App>, book: BookId, run: RunId, error: Option<String>) -> Result<Run, ReconciliationError> {
    let finished = app.clock.now();
    app.db
        .run_tx("finish reconciliation", Book::Book(book), move |tx| {
            let error = error.clone();
            Box::pin(async move {
                runs::finish(tx, run, error.as_deref(), finished).await?;
                runs::find(tx, run).await?.ok_or(ReconciliationError::NotFound)
            })
        })
        .await
}
