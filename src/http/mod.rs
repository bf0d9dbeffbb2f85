//! The interface over HTTP: parses, calls a capability, renders. Nothing is decided here.
//!
//! Invariants:
//! - No body, query, header or path is logged; card numbers are refused before anything else sees them.
//! - Everything under `/v1` has passed [`auth::authenticate`]; what a caller sees is its own book.
//! - An error is a [`problem::Problem`] of the table in [`problem_types`]; a 5xx says nothing but its request id.
//! - The layers, from the outside in: request id, log and metrics > panics > time limit > card numbers in the address >
//!   address limit > authentication and key limit > handler. The router stands on one page, `router.rs`.

use std::sync::Arc;

pub mod adjustments;
mod alone_limits;
pub mod approvals;
pub mod auth;
pub mod balances;
pub mod bank_accounts;
pub mod bank_details;
pub mod bank_files;
pub mod body;
pub mod commands;
pub mod cursor;
pub mod customers;
pub mod debts;
pub mod deliveries;
pub mod disputes;
pub mod docs;
pub mod edge;
pub mod errors;
pub mod events;
pub mod fee_policies;
pub mod fields;
pub mod health;
mod held;
pub mod idempotency;
pub mod inbox;
pub mod input;
pub mod instant_payouts;
pub mod json;
pub mod ledger;
pub mod limits;
pub mod onboarding_links;
pub mod openapi;
pub mod operations;
pub mod payment_methods;
pub mod payment_story;
pub mod payments;
pub mod payout_explanation;
pub mod payout_schedules;
pub mod payouts;
pub mod platform_payouts;
pub mod problem;
pub mod problem_types;
pub mod query;
pub mod reconciliation;
pub mod refunds;
pub mod render;
pub mod reserves;
pub mod router;
pub mod seller_balance;
pub mod sellers;
pub mod server;
pub mod story;
pub mod stuck_money;
pub mod top_ups;
pub mod transfers;
pub mod webhook_endpoints;
pub mod webhooks;

use crate::app::App;
use crate::config::RateSettings;
use crate::telemetry::Metrics;

/// What handlers share.
pub struct Shared {
    /// The service.
    pub app: Arc<App>,
    /// API keys read a moment ago.
    pub known_keys: auth::KnownKeys,
    /// Rate limits.
    pub limits: limits::Limits,
    /// Whether requests are wanted.
    pub readiness: health::Readiness,
    /// What is counted.
    pub metrics: Metrics,
    /// Scheme, host and port under which the outside reaches this service, without a slash at the end.
    pub public_origin: String,
}

impl Shared {
    /// The shared parts of a service that begins to serve.
    pub fn new(app: Arc<App>, metrics: Metrics, rates: &RateSettings, public_origin: impl Into<String>) -> HttpState {
        Arc::new(Self {
            app,
            known_keys: auth::KnownKeys::default(),
            limits: limits::Limits::new(rates),
            readiness: health::Readiness::default(),
            metrics,
            public_origin: public_origin.into().trim_end_matches('/').to_owned(),
        })
    }
}

/// The state of the router.
pub type HttpState = Arc<Shared>;
