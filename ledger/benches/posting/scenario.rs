//! What is measured, and what a measurement gives.

use std::time::Duration;

/// Which books a measurement posts to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Books {
    pub(crate) first: i32,
    pub(crate) count: i32,
    pub(crate) sellers: u64,
}

pub(crate) const ONE: Books = Books { first: 1, count: 1, sellers: 10_000 };
pub(crate) const TEN: Books = Books { first: 2, count: 10, sellers: 10_000 };
pub(crate) const THOUSAND: Books = Books { first: 12, count: 1_000, sellers: 100 };

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fee {
    /// Every charge credits one striped account.
    Hot,
    /// Every charge credits one of as many single-row accounts as there are sellers.
    Uniform,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// Each connection has a batch of its own in flight.
    Batch,
    /// Each caller has one charge in flight and brings it to `Ledger::post`.
    Queue,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Scenario {
    pub(crate) way: Way,
    pub(crate) batch: usize,
    pub(crate) connections: usize,
    pub(crate) books: Books,
    pub(crate) fee: Fee,
}

pub(crate) const fn scenario(batch: usize, connections: usize, books: Books, fee: Fee) -> Scenario {
    Scenario { way: Way::Batch, batch, connections, books, fee }
}

/// So many callers of `Ledger::post`.
const fn callers(callers: usize) -> Scenario {
    Scenario { way: Way::Queue, batch: 1, connections: callers, books: ONE, fee: Fee::Hot }
}

pub(crate) const SCENARIOS: [Scenario; 18] = [
    scenario(1, 1, ONE, Fee::Hot),
    scenario(16, 1, ONE, Fee::Hot),
    scenario(64, 1, ONE, Fee::Hot),
    scenario(256, 1, ONE, Fee::Hot),
    scenario(64, 1, ONE, Fee::Uniform),
    scenario(1, 8, ONE, Fee::Hot),
    scenario(1, 64, ONE, Fee::Hot),
    scenario(8, 8, ONE, Fee::Hot),
    scenario(16, 4, ONE, Fee::Hot),
    scenario(32, 2, ONE, Fee::Hot),
    scenario(64, 2, ONE, Fee::Hot),
    scenario(64, 2, ONE, Fee::Uniform),
    scenario(256, 2, ONE, Fee::Hot),
    scenario(64, 1, TEN, Fee::Hot),
    scenario(64, 2, TEN, Fee::Hot),
    scenario(64, 2, THOUSAND, Fee::Hot),
    callers(64),
    callers(256),
];

impl std::fmt::Display for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fee = if self.fee == Fee::Hot { "hot" } else { "uniform" };
        let Self { batch, connections, books, .. } = self;
        let way = match self.way {
            Way::Batch => format!("{batch:>5} x {connections:<2}"),
            Way::Queue => format!("{connections} callers"),
        };
        write!(f, "{way:<11} | {:>5} | {fee:<7}", books.count)
    }
}

/// What one measurement gave.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) charges: u64,
    pub(crate) elapsed: Duration,
    pub(crate) latencies: Vec<Duration>,
    pub(crate) wal_bytes: u64,
    /// Processor time of the server's processes that serve the connections.
    pub(crate) server: Duration,
}

impl Sample {
    pub(crate) fn per_second(&self) -> u64 {
        self.charges * 1_000_000 / u64::try_from(self.elapsed.as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// Nanoseconds of the server's processor for each charge.
    pub(crate) fn server_nanos(&self) -> u64 {
        u64::try_from(self.server.as_nanos()).unwrap_or(u64::MAX) / self.charges.max(1)
    }

    /// The latency that this many of a hundred calls stay under.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}
