//! Faults on demand: what a client must survive.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// 429 before anything is looked at; the key stays free.
    RateLimited,
    /// 500 before the effect, kept under the key.
    ErrorBefore,
    /// The effect happens, the answer is 500 and is kept under the key.
    ErrorAfter,
    /// The effect happens and its answer is kept, but the connection breaks before the answer is through.
    AnswerLost,
}

/// A fault that strikes the next requests it fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// HTTP method, upper case.
    pub method: String,
    /// How the path begins, as `/v1/transfers`.
    pub path: String,
    /// How often it strikes.
    pub times: u32,
}

/// Faults that have not struck yet.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(crate) fn plan(&self, fault: Fault) {
        self.lock().push(fault);
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// The fault that strikes this request, if any; used up by one.
    pub(crate) fn strike(&self, method: &str, path: &str) -> Option<FaultKind> {
        let mut faults = self.lock();
        let fault = faults.iter_mut().find(|f| f.times > 0 && f.method == method && path.starts_with(&f.path))?;
        fault.times -= 1;
        let kind = fault.kind;
        faults.retain(|f| f.times > 0);
        Some(kind)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Fault>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_as_often_as_planned_and_only_where_it_fits() {
        let faults = Faults::default();
        let path = "/v1/transfers".to_owned();
        faults.plan(Fault { kind: FaultKind::RateLimited, method: "POST".into(), path, times: 2 });
        assert_eq!(faults.strike("GET", "/v1/transfers"), None);
        assert_eq!(faults.strike("POST", "/v1/refunds"), None);
        assert_eq!(faults.strike("POST", "/v1/transfers"), Some(FaultKind::RateLimited));
        assert_eq!(faults.strike("POST", "/v1/transfers/tr_1/reversals"), Some(FaultKind::RateLimited));
        assert_eq!(faults.strike("POST", "/v1/transfers"), None);
    }
}
