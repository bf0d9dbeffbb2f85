//! Webhooks: those of payment providers, with their signatures and the durable inbox, and ours, with theirs and the way to
//! addresses that strangers chose.
//!
//! # In
//! 1. [`receive()`] finds the endpoint by the token in the path, checks the signature over the raw bytes
//!    ([`stripe_signature`]), reads no more of the body than its envelope, and stores the event ([`inbox::store`]). When it
//!    returns, the event is committed and may be answered 200.
//! 2. A worker takes books that have unapplied events ([`inbox::claim_books`]), then in one database transaction per batch
//!    claims events ([`inbox::claim_due`]), applies their effects and marks them ([`inbox::mark_applied`] and its
//!    relatives). [`inbox::settle`] ends its turn.
//!
//! # Out
//! [`standard_signature`] signs, [`sending`] brings a message to its destination once and says what the answer means. Which
//! messages there are, for whom and when is the service's.
//!
//! # Invariants
//! - Nothing is stored whose signature was not good; what was answered 200 is durable.
//! - An event is stored once per (book, provider, account, event id), however often it is delivered.
//! - Its mark is set in the transaction of its effect: neither can be committed without the other.
//! - Card numbers are masked before they are stored.
//! - Secrets cannot be printed.
//! - No connection is opened to an address that is not public, unless the operator allows its network.
//!
//! The crate knows no web framework and no provider's types.

pub mod endpoint;
pub mod inbox;
mod network;
pub mod receive;
pub mod secret;
pub mod sending;
pub mod signing_key;
pub mod standard_signature;
pub mod stripe_signature;

pub use network::Network;
pub use receive::{Delivery, ReceiveError, Received, receive};
pub use secret::{SecretError, WebhookSecret};
