//! The suite's own parts, and a short run of each fault by a fixed seed.

mod proxies;
mod suite;
