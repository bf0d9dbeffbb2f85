//! The adapter from outside: what it sends, against Stripe's own parameter types; what it makes of answers, good and
//! broken; and all of it against the simulator.

mod captures;
mod commands;
mod contract;
mod disputes;
mod events;
mod looking_up;
mod objects;
mod outcomes;
mod simulator;
mod support;
mod telemetry;
mod world;
