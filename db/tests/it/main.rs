//! `run_tx` against a real server, under the weak role, with the failures it is there for.

mod commit_lost;
mod connections;
mod keys;
mod migrations;
mod retries;
mod rig;
mod roles;
mod takeover;
mod tenancy;
mod units;
