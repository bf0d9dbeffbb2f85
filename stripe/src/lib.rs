//! The Stripe adapter: [`partita_provider::Provider`] over Stripe's v1 API.
//!
//! This is the only crate that imports the async-stripe crates. Their typed builders make the requests and their types
//! parse the answers; the sending between is our own ([`Stripe::try_new`] opens one pooled client), because what is
//! sent must be the stored bytes under the stored key, once, and because Stripe's request id, `Retry-After` and the
//! raw body must survive.
//!
//! Invariants:
//! - [`Provider::prepare`](partita_provider::Provider::prepare) is pure and deterministic: one command, one text.
//! - Nothing is sent twice: no redirects, no retries, one attempt per `submit`.
//! - Doubt is never sorted as a failure: only an answer that async-stripe's types can read is definite.
//! - The secret key is in no log line, no error and no `Debug`.
//! - Amounts cross this border in ISO 4217 minor units on our side and in Stripe's on the other; `amount.rs` is the
//!   only place that knows the difference.

mod adapter;
mod amount;
mod event;
mod look_up;
mod objects;
mod outcome;
mod prepare;
mod read;
mod resource;
mod transport;
mod upload;

pub use adapter::{API_VERSION, Stripe, StripeOptions, StripeSetupError};
pub use amount::payout_amount;
