//! The ledger against a real Postgres, as the application's role.

mod concurrency;
mod grants;
mod histories;
mod model;
mod opening;
mod past;
mod posting;
mod schema;
mod support;
mod tampering;
