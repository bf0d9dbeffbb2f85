//! The ledger against a real Postgres, as the application's role.

mod anchors;
mod concurrency;
mod grants;
mod histories;
mod holds;
mod model;
mod opening;
mod past;
mod posting;
mod queue;
mod schema;
mod support;
mod tampering;
mod verified;
