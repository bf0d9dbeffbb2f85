//! What is told of a run.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::check::Violation;
use crate::history::Totals;

/// What came of one fault.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `F2`, `F5` ..
    pub fault: &'static str,
    /// What it is.
    pub title: &'static str,
    /// The seed that repeats it.
    pub seed: u64,
    /// How long the fault lasted; milliseconds.
    pub lasted_ms: u64,
    /// From the end of the fault until nothing was open; milliseconds. None: it never became quiet.
    pub quiet_after_ms: Option<u64>,
    /// What clients did.
    pub requests: Totals,
    /// What was done to the service, by name.
    pub done: Map<String, Value>,
    /// What must not have happened.
    pub violations: Vec<Violation>,
}

impl Report {
    /// Whether every invariant held.
    pub fn held(&self) -> bool {
        self.violations.is_empty()
    }
}

/// How many violations are shown.
const SHOWN: usize = 20;

/// Milliseconds of a duration.
pub fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.held() { "held" } else { "BROKEN" };
        writeln!(f, "{} {}: {verdict} (seed {}, {} ms)", self.fault, self.title, self.seed, self.lasted_ms)?;
        let requests = &self.requests;
        writeln!(
            f,
            "  requests: {} tries, {} acknowledged, {} refused, {} unclear, {} given up; longest {} ms",
            requests.tries, requests.ok, requests.fail, requests.info, requests.given_up, requests.longest_ms
        )?;
        for (name, value) in &self.done {
            writeln!(f, "  {}: {value}", name.replace('_', " "))?;
        }
        match self.quiet_after_ms {
            Some(ms) => writeln!(f, "  quiet after {ms} ms")?,
            None => writeln!(f, "  it never became quiet")?,
        }
        for violation in self.violations.iter().take(SHOWN) {
            writeln!(f, "  {}: {}", violation.invariant, violation.detail)?;
        }
        if self.violations.len() > SHOWN {
            writeln!(f, "  .. and {} more", self.violations.len() - SHOWN)?;
        }
        Ok(())
    }
}
