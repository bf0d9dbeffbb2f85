//! The simulator over HTTP, as a client of Stripe sees it. Every test ends with a check of the books.
#![expect(clippy::inconsistent_digit_grouping, reason = "amounts are grouped as people read them: 120_00 is 120.00")]

mod accounts;
mod captures;
mod customers;
mod destinations;
mod disputes;
mod errors;
mod exchange;
mod fault_plans;
mod faults;
mod fields;
mod files;
mod idempotency;
mod lists;
mod onboarding;
mod payments;
mod payouts;
mod refunds;
mod restart;
mod support;
mod transfers;
mod webhooks;
mod worked_cart;
