//! The service from the outside: real Postgres, real HTTP, the real Stripe adapter against the simulator.

mod agreement;
mod architecture;
mod bad_input;
mod bulkheads;
mod doubt;
mod idempotency;
mod inbox;
mod onboarding;
mod outgoing_webhooks;
mod payments;
mod races;
mod rebuild;
mod reconciliation;
mod recovery;
mod refunds;
mod sink;
mod storm;
mod support;
mod takeover;
mod tenancy;
mod test_app;
mod verify;
mod verify_daily;
mod webhook_endpoints;
mod webhooks;
mod worked_cart;
