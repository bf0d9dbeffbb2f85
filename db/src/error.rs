//! What can go wrong between us and the database, and what of it may be tried again.

use std::{error::Error, io};

use sqlx::{error::DatabaseError, migrate::MigrateError};

/// A failure of the database or of the way to it.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum DbError {
    /// A statement or the connection failed. The transaction is rolled back.
    #[error("the database failed")]
    Sqlx(#[from] sqlx::Error),

    /// The connection was lost during the commit and the server could not be asked what became of it. The work may or
    /// may not be done: replay by idempotency key, never blindly.
    // The cause is text, not a source: a walk along the sources must not find an error there that looks repeatable.
    #[error("it is unknown whether transaction {xid} of {name} was committed: {reason}")]
    CommitUnknown {
        /// The name given to [`Db::run_tx`](crate::Db::run_tx).
        name: &'static str,
        /// The transaction's number, as `pg_current_xact_id()` gave it; `pg_xact_status` takes it.
        xid: u64,
        /// What failed.
        reason: String,
    },

    /// The closure swallowed an error of the database: the transaction was aborted, the closure returned `Ok`.
    #[error("{name} returned success from an aborted transaction")]
    AbortedTransaction {
        /// The name given to [`Db::run_tx`](crate::Db::run_tx).
        name: &'static str,
        /// The server's refusal (SQLSTATE 25P02).
        #[source]
        source: sqlx::Error,
    },

    /// The closure ended the transaction itself: a defect of the program.
    #[error("{name} ended its transaction itself; what it wrote may be committed in part")]
    TransactionEnded {
        /// The name given to [`Db::run_tx`](crate::Db::run_tx).
        name: &'static str,
    },

    /// The role could read or change what its policies and grants are there to prevent.
    #[error(
        "the database role {role} is too strong for the service: {reason}. Connect as a role that owns nothing, for \
         example: create role partita_app login nosuperuser nobypassrls nocreaterole nocreatedb password '...'; \
         and keep the owner's URL for migrations only"
    )]
    RoleTooStrong {
        /// The role that was refused.
        role: String,
        /// Which of its powers.
        reason: String,
    },

    /// A migration failed; those before it stay.
    #[error("the migration failed")]
    Migrate(#[from] MigrateError),

    /// The process is shutting down and gave up the unit of work; its transaction is rolled back.
    #[error("the unit of work was given up at shutdown")]
    ShutDown,
}

impl DbError {
    /// The name of the constraint that was violated, if that is what happened.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Sqlx(sqlx::Error::Database(error)) => error.constraint(),
            _ => None,
        }
    }

    /// Whether the whole unit of work may simply be run again: nothing of it was committed, and the cause passes
    /// (serialization failure, deadlock, lock timeout, a connection lost before the commit).
    pub fn is_retryable(&self) -> bool {
        is_retryable(self)
    }

    /// Whether the server cannot do it now and will again without a change of the program: its disk is full, it is
    /// starting or stopping, it is a standby, it has no connections left, or the way to it is broken. What asked may come
    /// again later; with [`DbError::CommitUnknown`] only under its idempotency key.
    pub fn is_unavailable(&self) -> bool {
        let lost = matches!(
            self,
            Self::ShutDown
                | Self::CommitUnknown { .. }
                | Self::Sqlx(sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_))
        );
        lost || is_retryable(self) || any_code(self, &is_unavailable_code)
    }
}

/// Whether anything along the error's sources says that the server takes no writes now: its disk is full, or it is a
/// standby.
pub(crate) fn is_write_refused(error: &(dyn Error + 'static)) -> bool {
    any_code(error, &|code| matches!(code, DISK_FULL | READ_ONLY))
}

const DISK_FULL: &str = "53100";
/// Of a standby too.
const READ_ONLY: &str = "25006";

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>: classes 08, 53 and 57P, and an error of its disk.
fn is_unavailable_code(code: &str) -> bool {
    ["08", "53", "57P"].iter().any(|class| code.starts_with(class)) || matches!(code, "58030" | READ_ONLY)
}

fn any_code(error: &(dyn Error + 'static), wanted: &dyn Fn(&str) -> bool) -> bool {
    std::iter::successors(Some(error), |error| (*error).source()).any(|error| {
        let of_query = error.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
        // An error type that is transparent over `sqlx::Error` shows only what lies beneath it.
        let error = of_query.or_else(|| error.downcast_ref::<Box<dyn DatabaseError>>().map(AsRef::as_ref));
        error.and_then(DatabaseError::code).is_some_and(|code| wanted(&code))
    })
}

/// Whether anything along the error's sources says that the transaction did not happen and may be tried again.
pub fn is_retryable(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| (*error).source()).any(passes)
}

fn passes(error: &(dyn Error + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<sqlx::Error>() {
        return match error {
            sqlx::Error::Io(_) => true,
            sqlx::Error::Database(error) => is_passing_code(error.as_ref()),
            _ => false,
        };
    }
    // An error type that is transparent over `sqlx::Error` shows only what lies beneath it.
    if let Some(error) = error.downcast_ref::<Box<dyn DatabaseError>>() {
        return is_passing_code(error.as_ref());
    }
    error.downcast_ref::<io::Error>().is_some_and(is_lost_connection)
}

fn is_lost_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn is_passing_code(error: &dyn DatabaseError) -> bool {
    matches!(
        error.code().as_deref(),
        Some(
            "40001" // serialization_failure
                | "40P01" // deadlock_detected
                | "55P03" // lock_not_available
                | "57P01" // admin_shutdown
                | "57P02" // crash_shutdown
                | "57P03" // cannot_connect_now
        )
    )
}

/// Whether the statement was refused because the transaction had failed before.
pub(crate) fn is_in_failed_transaction(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(DatabaseError::code).as_deref() == Some("25P02")
}

#[cfg(test)]
mod tests {
    use super::{DbError, is_retryable};

    #[derive(thiserror::Error, Debug)]
    enum Outer {
        #[error(transparent)]
        Db(#[from] DbError),
        #[error("the work failed")]
        Work(#[source] DbError),
        #[error(transparent)]
        Query(#[from] sqlx::Error),
    }

    fn lost() -> sqlx::Error {
        sqlx::Error::Io(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    }

    #[test]
    fn a_lost_connection_is_found_however_deep_it_lies() {
        assert!(DbError::from(lost()).is_retryable());
        assert!(is_retryable(&Outer::Db(lost().into())));
        assert!(is_retryable(&Outer::Work(lost().into())));
        assert!(is_retryable(&Outer::Query(lost())));
        assert!(!is_retryable(&Outer::Query(sqlx::Error::PoolTimedOut)));
    }

    #[test]
    fn an_unknown_commit_is_never_retryable() {
        let unknown = || DbError::CommitUnknown { name: "pay", xid: 7, reason: lost().to_string() };
        assert!(!unknown().is_retryable());
        assert!(!is_retryable(&Outer::Db(unknown())));
        assert!(!is_retryable(&Outer::Work(unknown())));
    }

    #[test]
    fn a_missing_row_is_not_retryable() {
        assert!(!DbError::from(sqlx::Error::RowNotFound).is_retryable());
    }
}
