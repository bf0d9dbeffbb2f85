//! What clients did and what they were told: invoke, then ok, fail or info (nobody can tell), one line of JSON each.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A request begins.
    Invoke,
    /// It was answered, and the answer says that it had its effect or will have.
    Ok,
    /// It was refused, and had none.
    Fail,
    /// Nobody can tell: no answer, or one that promises nothing.
    Info,
}

/// A line.
#[derive(Debug, Clone, Serialize)]
pub struct Line<'a> {
    /// Milliseconds since the history began.
    pub at_ms: u64,
    /// Which client.
    pub client: usize,
    /// What happened.
    pub kind: Kind,
    /// The request's path.
    pub path: &'a str,
    /// Its idempotency key: all tries of one request have the same.
    pub key: &'a str,
    /// The answer's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why there was no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A request that was answered, with its answer; a replay of its key must give the same.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    /// The request's path.
    pub path: String,
    /// Its idempotency key.
    pub key: String,
    /// What was sent.
    pub body: Value,
    /// The answer's status.
    pub status: u16,
    /// The answer's bytes.
    pub answer: Vec<u8>,
}

/// How many requests ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Tries.
    pub tries: u64,
    /// Tries that were answered with an acknowledgement.
    pub ok: u64,
    /// Tries that were refused.
    pub fail: u64,
    /// Tries whose end nobody could tell; each was tried again with the same key.
    pub info: u64,
    /// Requests that were given up with nobody being able to tell.
    pub given_up: u64,
    /// The longest wait for an answer or its absence; milliseconds.
    pub longest_ms: u64,
}

/// A try, for measuring: when it ended, how long it took and with which status, if any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Took {
    /// Milliseconds since the history began.
    pub at_ms: u64,
    /// Milliseconds.
    pub took_ms: u64,
    /// The answer's status; none when no answer came.
    pub status: Option<u16>,
}

#[derive(Debug, Default)]
struct Kept {
    acknowledged: Vec<Acknowledged>,
    totals: Totals,
    took: Vec<Took>,
}

/// The history of a run.
#[derive(Debug)]
pub struct History {
    began: Instant,
    file: Mutex<File>,
    kept: Mutex<Kept>,
}

impl History {
    /// Begins a history in a file.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn begin(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("the history {}", path.display()))?;
        Ok(Self { began: Instant::now(), file: Mutex::new(file), kept: Mutex::default() })
    }

    /// Milliseconds since it began.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Writes a line. One that cannot be written is told of in the log: the checks do not rest on the file.
    pub fn write(&self, line: &Line<'_>) {
        let mut text = serde_json::to_string(line).unwrap_or_default();
        text.push('\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(text.as_bytes()) {
            tracing::warn!(%error, "a line of the history is lost");
        }
    }

    /// Counts a try that took so long and ended with this status, if with any.
    pub fn count(&self, kind: Kind, status: Option<u16>, took_ms: u64) {
        let at_ms = self.now_ms();
        let mut kept = self.kept();
        kept.took.push(Took { at_ms, took_ms, status });
        let totals = &mut kept.totals;
        totals.tries += 1;
        totals.longest_ms = totals.longest_ms.max(took_ms);
        match kind {
            Kind::Ok => totals.ok += 1,
            Kind::Fail => totals.fail += 1,
            Kind::Invoke | Kind::Info => totals.info += 1,
        }
    }

    /// Counts a request that was given up.
    pub fn give_up(&self) {
        self.kept().totals.given_up += 1;
    }

    /// Keeps an acknowledgement.
    pub fn acknowledge(&self, acknowledged: Acknowledged) {
        self.kept().acknowledged.push(acknowledged);
    }

    /// Everything that was acknowledged.
    pub fn acknowledged(&self) -> Vec<Acknowledged> {
        self.kept().acknowledged.clone()
    }

    /// The counts so far.
    pub fn totals(&self) -> Totals {
        self.kept().totals
    }

    /// The tries that ended from the one moment to the other, both in milliseconds since the history began.
    pub fn took_between(&self, from_ms: u64, to_ms: u64) -> Vec<Took> {
        self.kept().took.iter().filter(|took| (from_ms..to_ms).contains(&took.at_ms)).copied().collect()
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So many per mille of the tries took no longer than this; milliseconds. 0 for no tries.
pub fn quantile_ms(took: &[Took], per_mille: usize) -> u64 {
    let mut sorted: Vec<u64> = took.iter().map(|took| took.took_ms).collect();
    sorted.sort_unstable();
    let rank = (sorted.len() * per_mille).div_ceil(1_000).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

/// How many tries ended with which status; `none` stands for those that got no answer.
pub fn statuses(took: &[Took]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for took in took {
        let name = took.status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        *counts.entry(name).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_tries() {
        let took: Vec<Took> = (1..=200).map(|took_ms| Took { at_ms: 0, took_ms, status: Some(201) }).collect();
        assert_eq!((quantile_ms(&took, 500), quantile_ms(&took, 990), quantile_ms(&took, 1_000)), (100, 198, 200));
        assert_eq!((quantile_ms(&took[..1], 990), quantile_ms(&[], 990)), (1, 0));
    }
}
