//! A look-alike of Stripe Connect over HTTP: Stripe's v1 wire format, stateful, with its own books, a clock and faults.
//!
//! It exists so that demo, tests and load runs drive the *real* Stripe adapter against a provider that behaves. It keeps
//! its own double entry in its own database and knows nothing of Partita's ledger, webhooks or types, so that agreement
//! between the two proves something. `BEHAVIOUR.md` names the source of each rule it follows.
//!
//! Invariants:
//! - what is answered is committed, and so is the webhook's event, in one database transaction with the effect;
//! - every balance equals the sum of its balance transactions and of its legs ([`Control::check_books`]);
//! - one `Idempotency-Key` has one effect;
//! - a balance is locked before it is checked, all balances in one order: no lost update, no deadlock;
//! - all time comes from one clock, which never goes back.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use partita_simulator::{ClockMode, Simulator, SimulatorOptions};
//!
//! let options = SimulatorOptions {
//!     clock: ClockMode::Manual(1_790_000_000),
//!     ..SimulatorOptions::new("postgres://localhost/simulator")
//! };
//! let simulator = Simulator::start(options).await?;
//! let control = simulator.control();
//! control.set_fees("eur", 250, 20).await?;
//! control.advance(2 * 86_400).await?;
//! println!("{} takes {}", simulator.base_url(), simulator.secret_key());
//! simulator.shutdown().await;
//! # Ok(())
//! # }
//! ```
#![recursion_limit = "256"]

mod app;
mod books;
mod clock;
mod context;
mod control;
mod control_disputes;
mod control_http;
mod control_payments;
mod currency;
mod dice;
mod error;
mod events;
mod exchange;
mod expand;
mod faults;
mod idempotency;
mod ids;
mod jobs;
mod list;
mod params;
mod pipeline;
mod resources;
mod routes;
mod search;
mod server;
mod settings;
mod spoil;
mod store;
mod uploads;
mod webhooks;

pub use books::BookBreak;
pub use clock::ClockMode;
pub use control::{Control, ControlError, Effect, NewEndpoint};
pub use control_disputes::NewDispute;
pub use exchange::{Exchange, Rate};
pub use faults::{Fault, FaultKind, FaultPlan, WebhookPlan};
pub use server::{Simulator, SimulatorError, SimulatorOptions};
pub use settings::{DirectFeePayer, DisputeFeeWhenWon, FeeRate, RefundWhenShort, ReversalWhenShort, Settings};
pub use webhooks::{Delivery, Endpoint, FlushReport, sign};

/// The version of Stripe's API that is spoken.
pub const API_VERSION: &str = "2026-09-30.endive";

/// The schema of the simulator's database.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();
