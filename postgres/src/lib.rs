//! The private Postgres server: found, initialised, started, adopted and stopped by the program itself, so that the
//! first payment needs no configuration; and databases for tests.
//!
//! Invariants:
//!
//! 1. **Nothing is left running.** Between us and Postgres stands a small shell that reads a pipe we hold. When the
//!    pipe closes, because we asked for it or because we were killed, it stops Postgres. (A [`Lifetime::Shared`]
//!    server, for tests, outlives the process on purpose and is stopped when nobody has used it for a while.)
//! 2. **Never as root.** Postgres refuses to run as root, so then it runs as `postgres`, else `nobody`, in a folder
//!    that this user can reach, with `/` as its working directory.
//! 3. **Durable.** `fsync`, `full_page_writes` and `synchronous_commit` keep their defaults, data checksums are on.
//! 4. **Closed.** It listens on a loopback port, every role has its own random password (SCRAM), kept in the data
//!    folder in a file that only we can read. There is no Unix socket: its path may have 107 bytes at most, and a data
//!    folder can be deeper.
//! 5. **One at a time.** A lock file guards initialisation, start and the creation of roles, across processes.
//!
//! Only Unix systems are supported.

mod account;
mod binaries;
mod cluster;
mod error;
mod folder;
mod passwords;
mod postmaster;
mod server;
mod supervisor;
pub mod testing;

pub use crate::{
    account::Account,
    binaries::{Binaries, NotFound, OLDEST_MAJOR, Search},
    cluster::{Cluster, Role},
    error::Error,
    folder::default_data_folder,
    server::{Lifetime, PrivateServer, ServerOptions},
};
