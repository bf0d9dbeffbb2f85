//! Kills, cuts, delays and lies to a running Partita by seed, and checks that no cent moved twice, none is lost and
//! nothing stays stuck.
//!
//! `cargo run -p partita-faults -- --seed 7 --minutes 2 --only F2,F5`. The table of faults, with the runs that were done
//! and what they found, is `docs/reliability.md`.
//!
//! 1. [`rig`] starts two private Postgres, the provider, replicas of the service as processes, and proxies between them;
//!    where days must pass, the service runs in this process on a driven clock (`driven`).
//! 2. [`load`] buys and refunds, with idempotency keys kept over all tries; [`history`] records each try.
//! 3. [`scenarios`] do something to it meanwhile, thrown with [`dice`].
//! 4. It heals, becomes quiet, and [`check`] looks: at the service's own `verify`, at its database past the service, at
//!    the provider's own log of effects and books, and at every acknowledgement, asked for again.
//!
//! Nothing of the service depends on this crate.

pub mod balancer;
pub mod check;
pub mod client;
pub mod dice;
mod driven;
pub mod forgotten;
pub mod history;
pub mod load;
pub mod loss;
pub mod market;
pub mod neighbour;
mod previous;
pub mod proxy;
pub mod replica;
pub mod report;
pub mod rig;
pub mod scenarios;
pub mod servers;
pub mod sink;
