//! What can go wrong with the private server.

use std::{io, path::PathBuf};

use crate::binaries::NotFound;

/// Why there is no private server.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum Error {
    /// There are no server binaries.
    #[error(transparent)]
    NotFound(#[from] NotFound),

    /// Another live process runs the server of this folder.
    #[error("another process uses the data folder {}; stop it first, or choose another folder with PARTITA_DATA", folder.display())]
    InUse {
        /// The data folder.
        folder: PathBuf,
    },

    /// The folder cannot be reached by the user that Postgres runs as.
    #[error(
        "the database runs as user {user}, who cannot reach {} because of the permissions of {}; choose another folder \
         with PARTITA_DATA, outside of a home directory",
        folder.display(), obstacle.display()
    )]
    Unreachable {
        /// The data folder.
        folder: PathBuf,
        /// The part of its path that is closed.
        obstacle: PathBuf,
        /// The user.
        user: String,
    },

    /// The folder belongs to someone else, who could have put anything there.
    #[error("the data folder {} belongs to user id {owner}, not to {expected}; remove it or choose another", folder.display())]
    ForeignFolder {
        /// The data folder.
        folder: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who should own it.
        expected: u32,
    },

    /// No place for the data.
    #[error("no folder for the data: neither PARTITA_DATA, XDG_DATA_HOME nor HOME names one by an absolute path")]
    NoDataFolder,

    /// Root, but no user to run Postgres as.
    #[error("running as root, which Postgres refuses, and there is neither a user postgres nor a user nobody")]
    NoAccount,

    /// The data were made by a release of Postgres that is not installed.
    #[error(
        "the data in {} were made by Postgres {found}, and the binaries found are of {}; install Postgres {found} \
         beside them, or name its folder in PARTITA_PG_BIN",
        folder.display(), list(available)
    )]
    WrongMajor {
        /// The cluster's folder.
        folder: PathBuf,
        /// The release that made the data.
        found: u32,
        /// The releases installed.
        available: Vec<u32>,
    },

    /// The data are there, their passwords are not.
    #[error("{} is missing or damaged, and the data beside it cannot be opened without it", file.display())]
    PasswordsLost {
        /// The file of passwords.
        file: PathBuf,
    },

    /// `initdb` or `postgres` gave up.
    #[error("{program} failed in {}: {output}", folder.display())]
    Failed {
        /// The program.
        program: &'static str,
        /// The data folder.
        folder: PathBuf,
        /// The last of what it said.
        output: String,
    },

    /// The server did not get ready, or did not stop, in time.
    #[error("the database in {} did not {what} within {seconds} seconds; see server.log there", folder.display())]
    TooSlow {
        /// What was waited for.
        what: &'static str,
        /// The data folder.
        folder: PathBuf,
        /// How long.
        seconds: u64,
    },

    /// The name cannot be a database's name.
    #[error("{name:?} is not a database name: lower-case letters, digits and underscores, 63 at most, no digit first")]
    BadDatabaseName {
        /// The name.
        name: String,
    },

    /// A given test server has a role of ours that these tests did not make, so it may serve someone.
    #[error(
        "the test server has a role {role} that was not made by tests; give a throw-away server in \
         PARTITA_TEST_OWNER_URL, or drop that role"
    )]
    ForeignRole {
        /// The role.
        role: &'static str,
    },

    /// The caller's migrations failed.
    #[error("the template database could not be migrated")]
    Migrate(#[source] Box<dyn std::error::Error + Send + Sync>),

    /// A file or process operation failed.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: String,
        /// The cause.
        #[source]
        source: io::Error,
    },

    /// The server refused something.
    #[error("the database failed")]
    Sqlx(#[from] sqlx::Error),
}

fn list(majors: &[u32]) -> String {
    majors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Says what was tried when an operation of the system fails.
pub(crate) trait Trying<T> {
    fn trying(self, action: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Trying<T> for io::Result<T> {
    fn trying(self, action: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Io { action: action(), source })
    }
}
