//! The tests of partita-webhooks, one binary.

mod inbox;
mod receive;
mod sending;
mod standard_signature;
mod stripe_signature;
mod support;
