//! The tests of partita-webhooks, one binary.

mod inbox;
mod receive;
mod stripe_signature;
mod support;
