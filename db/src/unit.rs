//! A unit of work: its task, its tries and the end of doubt.

use std::{any::Any, panic::AssertUnwindSafe, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use sqlx::{AssertSqlSafe, Row};
use tracing::Instrument;

use crate::{
    Db,
    book::Scope,
    error::{DbError, is_retryable, is_write_refused},
    transaction::{CommitOutcome, Mode, TIMELINE, Tx, XactId, silence, within},
};

/// The metric of transactions, by the name of their unit of work and outcome: done, failed (tried again or told to the
/// caller) or panicked.
pub const TRANSACTIONS: &str = "partita_database_transactions_total";

/// How often a unit of work is run at most.
const MAX_TRIES: u32 = 5;
/// The first pause between two tries is at most this long; each further one at most twice the one before.
const FIRST_PAUSE_MS: u64 = 10;
/// How often the server is asked about a commit in doubt; with the pauses between, about five seconds.
const MAX_QUESTIONS: u32 = 9;

/// One unit of work.
pub(crate) struct Unit {
    db: Db,
    name: &'static str,
    scope: Scope,
    mode: Mode,
}

/// How one try ended.
enum Try<T, E> {
    Done(T),
    Failed { error: E, retry: bool },
    Panicked(Box<dyn Any + Send>),
}

impl<T, E> Try<T, E> {
    fn outcome(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Failed { .. } => "failed",
            Self::Panicked(_) => "panicked",
        }
    }
}

/// How the unit ended.
type Ended<T, E> = Result<Result<T, E>, Box<dyn Any + Send>>;

impl Unit {
    pub(crate) fn new(db: &Db, name: &'static str, scope: Scope, mode: Mode) -> Self {
        Self { db: db.clone(), name, scope, mode }
    }

    /// Runs the unit in a task of its own, which goes on when the caller is dropped.
    pub(crate) async fn spawn<T, E, F>(self, work: F) -> Result<T, E>
    where
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + Sync + 'static,
        T: Send + 'static,
        E: std::error::Error + From<DbError> + Send + Sync + 'static,
    {
        let span = tracing::debug_span!("tx", name = self.name, mode = ?self.mode, tries = tracing::field::Empty);
        let task = tokio::spawn(async move { self.run(&work).await }.instrument(span));
        match task.await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(join) => match join.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(E::from(DbError::ShutDown)),
            },
        }
    }

    async fn run<T, E, F>(&self, work: &F) -> Ended<T, E>
    where
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Sync,
        E: std::error::Error + From<DbError> + 'static,
    {
        let mut tries = 1;
        loop {
            tracing::Span::current().record("tries", tries);
            let tried = self.run_once(work).await;
            if let Try::Failed { error, .. } = &tried
                && self.mode == Mode::Write
                && is_write_refused(error)
            {
                self.db.refusals.note();
            }
            metrics::counter!(TRANSACTIONS, "name" => self.name, "outcome" => tried.outcome()).increment(1);
            match tried {
                Try::Done(value) => return Ok(Ok(value)),
                Try::Panicked(panic) => return Err(panic),
                Try::Failed { error, retry: true } if tries < MAX_TRIES => {
                    tracing::debug!(name = self.name, tries, %error, "trying the unit of work again");
                    tokio::time::sleep(pause(tries)).await;
                    tries += 1;
                }
                Try::Failed { error, .. } => return Ok(Err(error)),
            }
        }
    }

    async fn run_once<T, E, F>(&self, work: &F) -> Try<T, E>
    where
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Sync,
        E: std::error::Error + From<DbError> + 'static,
    {
        let mut tx = match Tx::open(&self.db.pool, self.scope, self.mode, &self.db.limits).await {
            Ok(tx) => tx,
            Err(error) => return failed(error),
        };
        let worked = AssertUnwindSafe(async { work(&mut tx).await }).catch_unwind();
        let Ok(worked) = tokio::time::timeout(self.db.limits.work, worked).await else {
            // Dropped with the connection, on which a query may be half way.
            drop(tx);
            tracing::error!(name = self.name, "the database has not answered for too long; its connection is given up");
            return failed(silence().into());
        };
        match worked {
            Ok(Ok(value)) => self.commit(tx, value).await,
            Ok(Err(error)) => {
                tx.rollback(&self.db.limits).await;
                Try::Failed { retry: is_retryable(&error), error }
            }
            Err(panic) => {
                tx.abandon().await;
                Try::Panicked(panic)
            }
        }
    }

    async fn commit<T, E: From<DbError>>(&self, tx: Tx, value: T) -> Try<T, E> {
        match tx.commit(self.name, &self.db.limits).await {
            CommitOutcome::Committed => Try::Done(value),
            CommitOutcome::Failed(error) => failed(error),
            CommitOutcome::InDoubt { id, error } => match self.ask_about(&id).await {
                Ok(Fate::Committed) => Try::Done(value),
                Ok(Fate::Aborted) => Try::Failed { error: E::from(error.into()), retry: true },
                Err(reason) => {
                    let xid = id.xid;
                    tracing::error!(name = self.name, xid, %error, reason, "the outcome of a commit is unknown");
                    let reason = format!("{error}; {reason}");
                    failed(DbError::CommitUnknown { name: self.name, xid, reason })
                }
            },
        }
    }

    /// Asks on other connections what became of the transaction, until it is known or the patience is at its end.
    async fn ask_about(&self, id: &XactId) -> Result<Fate, String> {
        let mut answer = String::new();
        for question in 1..=MAX_QUESTIONS {
            match self.xact_status(id.xid).await {
                // A server that was promoted, or restored, meanwhile may never have heard of the transaction, and gives
                // its number to another one.
                Ok((timeline, _)) if timeline != id.timeline => {
                    return Err("another server has taken over, which may not have it".to_owned());
                }
                Ok((_, Some(status))) if status == "committed" => return Ok(Fate::Committed),
                Ok((_, Some(status))) if status == "aborted" => return Ok(Fate::Aborted),
                // The old session may still be at work behind a broken network.
                Ok((_, Some(status))) => answer = format!("the server says {status}"),
                Ok((_, None)) => return Err("the server has forgotten the transaction".to_owned()),
                Err(error) => answer = format!("the server could not be asked: {error}"),
            }
            if question < MAX_QUESTIONS {
                tokio::time::sleep(pause(question)).await;
            }
        }
        Err(answer)
    }

    /// The server's timeline, and what it says of the transaction.
    ///
    /// With synchronous replication a transaction can be committed here and not on the standby, when its session was ended
    /// while it waited for that. So the question writes something itself: its own commit waits until the standby has
    /// everything before it.
    async fn xact_status(&self, xid: u64) -> Result<(String, Option<String>), sqlx::Error> {
        let sql = format!(
            "select {TIMELINE}, pg_xact_status('{xid}'::xid8), pg_logical_emit_message(true, 'partita', '')::text"
        );
        // Read to its end, which is after the commit. All that is put into the text is an integer and a constant.
        let asked = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&self.db.pool);
        let rows = within(self.db.limits.answer, asked).await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }
}

/// What became of a transaction whose commit was not heard.
enum Fate {
    Committed,
    Aborted,
}

fn failed<T, E: From<DbError>>(error: DbError) -> Try<T, E> {
    Try::Failed { retry: error.is_retryable(), error: E::from(error) }
}

/// The pause after the given try, at random up to a bound that doubles, so that those who collided do not meet again.
fn pause(tries: u32) -> Duration {
    let bound_ms = FIRST_PAUSE_MS << tries.min(8);
    Duration::from_millis(rand::random_range(bound_ms / 4..=bound_ms))
}
