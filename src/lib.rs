//! Partita orchestrates the money of a marketplace: a buyer pays once; several sellers, the platform, the tax office
//! and the payment provider each get their part; a double-entry ledger explains every cent.
//!
//! The map: `http` and `web` parse and render, `worker` drives what is due, the capabilities (`sellers`, `payments`,
//! `transfers`, `refunds`, `payouts` ..) decide, `operations` talks to the provider, `store.rs` files hold the SQL.
//! ARCHITECTURE.md has the invariants.

pub mod actor;
pub mod adjustments;
pub mod app;
pub mod approvals;
pub mod bank_account;
pub mod chart;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crash;
pub mod customers;
pub mod debts;
pub mod demo;
pub mod disputes;
pub mod due;
pub mod events;
pub mod exchange;
pub mod fees;
pub mod guard;
pub mod http;
pub mod id;
pub mod idempotency;
pub mod journal;
pub mod limit;
pub mod operations;
pub mod outbox;
pub mod payments;
pub mod payouts;
pub mod platforms;
pub mod provider_movements;
pub mod rebuild;
pub mod reconciliation;
pub mod refunds;
pub mod reserves;
pub mod scenarios;
pub mod sellers;
pub(crate) mod stage;
pub mod stuck_money;
pub mod telemetry;
pub mod top_ups;
pub mod transfers;
pub mod verify;
pub mod web;
pub mod webhook_endpoints;
mod words;
pub mod worker;

/// It gives back what a burst took. The system's own keeps it in pieces between what lives on, and the process grows.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The one forward-only history of the schema.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");
