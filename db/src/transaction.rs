//! One transaction on one connection: opening it, ending it, and what is known when the end was not heard.

use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Row, pool::PoolConnection, postgres::PgSeverity};

use crate::{
    book::{BookId, Scope},
    error::{DbError, is_in_failed_transaction},
    options::Limits,
};

/// Whether the transaction may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Read,
    Write,
}

/// An open transaction. Only [`Db::run_tx`](crate::Db::run_tx) and [`Db::read`](crate::Db::read) make one, and they
/// end it too.
#[derive(Debug)]
pub struct Tx {
    lease: Lease,
    scope: Scope,
    id: Option<XactId>,
}

/// What names a transaction that writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct XactId {
    /// Its number, `pg_current_xact_id()`.
    pub(crate) xid: u64,
    /// The timeline it was given on: a server that takes over from another one begins a new one, and gives the numbers anew
    /// that it has not heard of.
    pub(crate) timeline: String,
}

/// The timeline that a server writes on. It fails on a standby.
pub(crate) const TIMELINE: &str = "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";

impl Tx {
    /// The connection, to run statements on. Do not begin, commit or roll back on it.
    pub fn conn(&mut self) -> &mut PgConnection {
        self.lease.connection()
    }

    /// The book whose rows the transaction sees, `None` under [`Scope::Routing`].
    pub fn book(&self) -> Option<BookId> {
        self.scope.book()
    }

    /// The book whose rows the transaction sees.
    ///
    /// # Panics
    /// Under [`Scope::Routing`]: work on a book's rows is given a book by who opens the transaction.
    pub fn book_id(&self) -> BookId {
        self.book().expect("work on a book's rows runs in that book's scope")
    }

    /// The transaction's number (`pg_current_xact_id()`), which `pg_xact_status` takes; `None` if it only reads.
    pub fn xid(&self) -> Option<u64> {
        self.id.as_ref().map(|id| id.xid)
    }

    /// Opens a transaction in one round trip. A connection that turns out to be dead is closed and the next one taken,
    /// as many times as the pool has connections: after a restart of the server all of them are.
    pub(crate) async fn open(pool: &PgPool, scope: Scope, mode: Mode, limits: &Limits) -> Result<Self, DbError> {
        let mut stale_connections_left = pool.size();
        loop {
            let mut lease = Lease::new(pool.acquire().await?);
            match begin(lease.connection(), scope, mode, limits).await {
                Ok(id) => return Ok(Self { lease, scope, id }),
                Err(error) => {
                    lease.close().await;
                    if stale_connections_left == 0 || !is_connection_lost(&error) {
                        return Err(error.into());
                    }
                    stale_connections_left -= 1;
                }
            }
        }
    }

    /// Commits in one round trip.
    pub(crate) async fn commit(mut self, name: &'static str) -> CommitOutcome {
        let xid = self.xid();
        let ended = end(self.lease.connection(), xid).await;
        match ended {
            Ok(ended) if ended == xid => {
                self.lease.give_back();
                CommitOutcome::Committed
            }
            Ok(_) => {
                self.lease.close().await;
                CommitOutcome::Failed(DbError::TransactionEnded { name })
            }
            Err(error) => {
                self.lease.close().await;
                match self.id.take() {
                    Some(id) if is_commit_in_doubt(&error) => CommitOutcome::InDoubt { id, error },
                    _ if is_in_failed_transaction(&error) => {
                        CommitOutcome::Failed(DbError::AbortedTransaction { name, source: error })
                    }
                    _ => CommitOutcome::Failed(error.into()),
                }
            }
        }
    }

    /// Rolls back; the connection survives only if the server confirmed it.
    pub(crate) async fn rollback(mut self) {
        match sqlx::raw_sql("rollback").execute(self.lease.connection()).await {
            Ok(_) => self.lease.give_back(),
            Err(error) => {
                tracing::debug!(%error, "the rollback failed; closing the connection");
                self.lease.close().await;
            }
        }
    }

    /// Closes the connection, with which the server ends the transaction.
    pub(crate) async fn abandon(self) {
        self.lease.close().await;
    }
}

/// What is known of a commit.
pub(crate) enum CommitOutcome {
    /// The server confirmed it.
    Committed,
    /// It did not happen.
    Failed(DbError),
    /// The reply was lost.
    InDoubt { id: XactId, error: sqlx::Error },
}

async fn begin(
    connection: &mut PgConnection,
    scope: Scope,
    mode: Mode,
    limits: &Limits,
) -> Result<Option<XactId>, sqlx::Error> {
    let Limits { statement_timeout_ms, lock_timeout_ms } = limits;
    let (kind, last) = match mode {
        Mode::Write => ("isolation level read committed", format!("select pg_current_xact_id()::text, {TIMELINE}")),
        Mode::Read => ("isolation level repeatable read read only", String::new()),
    };
    // An empty setting is not a number, so under `Routing` every policy raises.
    let book = scope.book().map_or(String::new(), |book| book.to_string());
    let sql = format!(
        "begin {kind}; set local partita.book = '{book}'; set local statement_timeout = {statement_timeout_ms}; \
         set local lock_timeout = {lock_timeout_ms}; {last}"
    );
    // All that is put into the text are integers and a constant.
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await?;
    rows.first().map(|row| Ok(XactId { xid: xid_of(row)?, timeline: row.try_get(1)? })).transpose()
}

/// Ends a transaction and returns its number as the server knows it at that moment.
///
/// The three statements are one message. In an aborted transaction the first fails, so that the commit, which the server
/// would answer with a silent rollback, is never reached. It also lifts the time limit: today's servers end it by
/// themselves before they commit, and a commit struck by it would be one in doubt.
async fn end(connection: &mut PgConnection, xid: Option<u64>) -> Result<Option<u64>, sqlx::Error> {
    let sql = match xid {
        Some(_) => "set local statement_timeout = 0; select pg_current_xact_id()::text; commit",
        None => "set local statement_timeout = 0; commit",
    };
    let rows = sqlx::raw_sql(sql).fetch_all(connection).await?;
    rows.first().map(xid_of).transpose()
}

fn xid_of(row: &sqlx::postgres::PgRow) -> Result<u64, sqlx::Error> {
    let xid: String = row.try_get(0)?;
    xid.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// Whether the failure of a commit leaves open what the server did. An error of severity ERROR is its clear no; one
/// that ends the session (FATAL, PANIC) may have come after the commit, and anything else is the network's.
fn is_commit_in_doubt(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error
            .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
            .is_none_or(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)),
        _ => true,
    }
}

fn is_connection_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => {
            matches!(error.code().as_deref(), Some("57P01" | "57P02" | "57P03" | "57P05" | "08006"))
        }
        _ => false,
    }
}

/// A connection out of the pool that is closed when dropped, unless it was given back.
#[derive(Debug)]
struct Lease(Option<PoolConnection<Postgres>>);

impl Lease {
    fn new(connection: PoolConnection<Postgres>) -> Self {
        Self(Some(connection))
    }

    fn connection(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect("the connection leaves only with the lease itself")
    }

    fn give_back(mut self) {
        drop(self.0.take());
    }

    async fn close(mut self) {
        if let Some(connection) = self.0.take()
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, "the connection was gone already");
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(mut connection) = self.0.take() {
            connection.close_on_drop();
        }
    }
}
