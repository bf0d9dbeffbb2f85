//! The pool and [`Db::run_tx`], the only way in Partita to open a database transaction.
//!
//! Invariants, each of which a test of this crate can see broken:
//!
//! 1. **A unit of work is never cancelled half-way.** It runs in a task of its own, so a caller that goes away (a
//!    client that hangs up) cannot leave an open transaction behind; the work is finished and its outcome stands.
//! 2. **A commit is reported only if the server made it.** The last message asks for the transaction's own number
//!    before `COMMIT`; in an aborted transaction that question fails, so a swallowed error is never taken for success.
//! 3. **A lost reply is asked about, not guessed.** When the connection dies during `COMMIT`, `pg_xact_status` tells
//!    what became of the transaction; if it cannot tell, the error is [`DbError::CommitUnknown`], not a failure. A server
//!    that has taken over meanwhile cannot tell: it gives the same numbers to other transactions.
//! 4. **A connection in doubt is closed**, never returned to the pool.
//! 5. **Every transaction names its book** (or none, [`Scope::Routing`]), for that transaction only. Where no book is
//!    named, every row-level policy raises.
//! 6. **The role is weak.** [`Db::connect`] refuses a role that could pass by row-level security or grants.
//!
//! The closure given to [`Db::run_tx`] may run several times (serialization failures, deadlocks, lock timeouts and
//! connections lost before the commit repeat it whole), so it must have no effect outside the database.
//!
//! No timeout or `select!` may be put around a query: the server's own `statement_timeout` and `lock_timeout`, which
//! every transaction sets, do that work without breaking the wire protocol. A server that vanishes without a word, with
//! its machine or behind a broken network, keeps no limit: against that this crate has one of its own around each step
//! ([`DbOptions::work_timeout`]), after which the connection is closed, never used again.

mod book;
mod clock;
mod error;
mod keys;
mod migrate;
mod options;
mod refusals;
mod role;
mod transaction;
mod unit;
mod vault;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::{Connection, Executor, PgPool, postgres::PgPoolOptions};

pub use crate::{
    book::{BookId, Scope},
    clock::Reading,
    error::{DbError, is_retryable},
    keys::Keys,
    migrate::migrate,
    options::DbOptions,
    transaction::Tx,
    unit::TRANSACTIONS,
    vault::{Column, KeyListError, Sealed, Vault, VaultError},
};
use crate::{
    options::Limits,
    refusals::Refusals,
    transaction::{Mode, within},
    unit::Unit,
};

/// A pool of connections under the application's role. Clones share the pool.
#[derive(Clone, Debug)]
pub struct Db {
    pool: PgPool,
    limits: Arc<Limits>,
    refusals: Refusals,
}

impl Db {
    /// Opens the pool and checks the role.
    ///
    /// # Errors
    /// [`DbError::Sqlx`] if the server cannot be reached or refuses us, [`DbError::RoleTooStrong`] if the role could
    /// step around row-level security or the append-only grants.
    pub async fn connect(options: &DbOptions) -> Result<Self, DbError> {
        let (connect, limits) = (options.connect_options()?, Arc::new(options.limits()));
        let answer = limits.answer;
        // A pool tries until its time is over and then says only that: one plain connection tells why there is none.
        sqlx::PgConnection::connect_with(&connect).await?.close().await?;
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(options.acquire_timeout)
            .test_before_acquire(false)
            .before_acquire(|connection, metadata| {
                Box::pin(async move {
                    // Under load a connection is proved by its use a moment ago, and `open` survives a stale one; a
                    // question before each transaction would cost a round trip for nothing.
                    if metadata.idle_for >= options::PING_AFTER_IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_release(move |connection, _| {
                Box::pin(async move {
                    // Silent when no transaction is open, which is always so unless this crate is wrong: then the
                    // open one ends here, and an aborted one refuses BEGIN, so that the pool closes the connection.
                    let ended = within(answer, connection.execute("begin; rollback")).await;
                    Ok(ended.is_ok())
                })
            })
            .connect_with(connect)
            .await?;
        let db = Self { pool, limits, refusals: Refusals::default() };
        role::refuse_strong_role(&db.pool).await?;
        Ok(db)
    }

    /// Runs one unit of work in a `READ COMMITTED` transaction and commits it.
    ///
    /// `name` says in traces what the work is. The closure may be called up to five times; see the
    /// [crate's documentation](crate) for what it may rely on. Savepoints are made with plain `savepoint` statements: a
    /// closure that ends the transaction itself gets [`DbError::TransactionEnded`]. If the caller stops waiting, the
    /// work still runs to its end.
    ///
    /// # Errors
    /// What the closure returned, after the rollback; or [`DbError`], of which [`DbError::CommitUnknown`] is the one
    /// that does not mean "nothing happened".
    ///
    /// # Panics
    /// If the closure panics: the same panic goes on here once the connection is closed.
    pub async fn run_tx<T, E, F>(&self, name: &'static str, scope: Scope, work: F) -> Result<T, E>
    where
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + Sync + 'static,
        T: Send + 'static,
        E: std::error::Error + From<DbError> + Send + Sync + 'static,
    {
        Unit::new(self, name, scope, Mode::Write).spawn(work).await
    }

    /// Runs one unit of reading: a `REPEATABLE READ`, `READ ONLY` transaction, so that all its statements see one
    /// state of the books. It has no transaction number ([`Tx::xid`] is `None`).
    ///
    /// # Errors
    /// As [`Db::run_tx`], without the doubt about the commit.
    ///
    /// # Panics
    /// As [`Db::run_tx`].
    pub async fn read<T, E, F>(&self, name: &'static str, scope: Scope, work: F) -> Result<T, E>
    where
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + Sync + 'static,
        T: Send + 'static,
        E: std::error::Error + From<DbError> + Send + Sync + 'static,
    {
        Unit::new(self, name, scope, Mode::Read).spawn(work).await
    }

    /// As [`Db::read`], for what goes through a whole book and takes longer than other work: up to `limit`.
    ///
    /// # Errors
    /// As [`Db::read`].
    ///
    /// # Panics
    /// As [`Db::run_tx`].
    pub async fn read_at_length<T, E, F>(
        &self,
        name: &'static str,
        scope: Scope,
        limit: Duration,
        work: F,
    ) -> Result<T, E>
    where
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + Sync + 'static,
        T: Send + 'static,
        E: std::error::Error + From<DbError> + Send + Sync + 'static,
    {
        let limits = Limits { work: limit, ..(*self.limits).clone() };
        let patient = Self { limits: Arc::new(limits), ..self.clone() };
        Unit::new(&patient, name, scope, Mode::Read).spawn(work).await
    }

    /// Closes the pool once the units of work under way have ended; later ones fail.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Whether the server has refused a write within this time, because its disk is full or it is a standby.
    pub fn refused_writes_within(&self, time: Duration) -> bool {
        self.refusals.any_within(time)
    }

    /// Connections of the pool now open, and how many of these are idle; for metrics and tests.
    pub fn connections(&self) -> (u32, usize) {
        (self.pool.size(), self.pool.num_idle())
    }
}
