//! Faults on demand: what a client must survive. One by one by [`Control::plan_fault`], or many by seed and rate by
//! [`Control::set_fault_plan`].
//!
//! A plan is deterministic: the n-th request at an endpoint meets the same fate whenever the plan is set anew, whatever
//! ids and keys the requests carry.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::control::Control;
use crate::dice::roll;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// 429 with `Retry-After` before anything is looked at; the key stays free.
    RateLimited,
    /// 409 as if the key's first request were still at work; nothing is looked at.
    KeyInUse,
    /// 500 before the effect, kept under the key.
    ErrorBefore,
    /// The effect happens, the answer is 500 and is kept under the key.
    ErrorAfter,
    /// Nothing happens, and no answer comes until the client gives up.
    HangBefore,
    /// The effect happens and its answer is kept, but no answer comes until the client gives up.
    HangAfter,
    /// The effect happens and its answer is kept, but the connection breaks before the answer is through.
    AnswerLost,
    /// The effect happens and its answer is kept; the HTTP answer is whole, its JSON breaks off.
    Garbage,
    /// The effect happens and its answer is kept; what comes has its JSON twice.
    Doubled,
    /// The effect happens and its answer is kept; what comes has words that no version of the API knew.
    UnknownWord,
    /// The request is handled twice, as when something on the way sends it again; the second answer comes. Without a
    /// key, that is two effects.
    Repeated,
    /// The effect happens, its webhooks are delivered, and only then comes the answer.
    WebhookFirst,
}

impl FaultKind {
    /// Whether a request that changes nothing can meet it. The others belong to keys and effects.
    fn strikes_reads(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::ErrorBefore
                | Self::HangBefore
                | Self::AnswerLost
                | Self::Garbage
                | Self::Doubled
                | Self::UnknownWord
        )
    }
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

/// Faults by seed. Rates are per mille of the requests; together at most 1,000.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultPlan {
    /// Decides which request meets which fault.
    pub seed: u64,
    /// How the paths begin that are struck; empty means all.
    pub path: String,
    /// Rates for requests that change something (POST).
    pub writes: BTreeMap<FaultKind, u16>,
    /// Rates for requests that read (GET). Faults that belong to keys and effects strike none.
    pub reads: BTreeMap<FaultKind, u16>,
    /// What becomes of webhooks.
    pub webhooks: WebhookPlan,
}

/// What becomes of the webhooks of events that happen while the plan stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookPlan {
    /// Each delivery is planned one to so many times. 1 by default.
    pub copies: u8,
    /// Each is due between now and so many seconds later, by the simulator's clock. 0 by default.
    pub delay_seconds: u32,
    /// Rounds send in an order by chance instead of the order of events.
    pub shuffled: bool,
    /// Per mille of deliveries that a forged one goes with: the same event of the other mode, under an id of its own.
    pub other_mode: u16,
    /// Per mille of deliveries that a forged one goes with: the same event of an account that is nobody's, under an id
    /// of its own.
    pub other_account: u16,
    /// Per mille of deliveries that one goes with of a type that nobody knows, under an id of its own.
    pub unknown_type: u16,
    /// Per mille of deliveries that a copy goes with as an older version of the API shows it, under the same id.
    pub other_version: u16,
}

impl Default for WebhookPlan {
    fn default() -> Self {
        Self {
            copies: 1,
            delay_seconds: 0,
            shuffled: false,
            other_mode: 0,
            other_account: 0,
            unknown_type: 0,
            other_version: 0,
        }
    }
}

impl FaultPlan {
    /// Why the plan cannot be followed.
    fn flaw(&self) -> Option<String> {
        for (name, rates) in [("writes", &self.writes), ("reads", &self.reads)] {
            let total: u32 = rates.values().map(|rate| u32::from(*rate)).sum();
            if total > 1_000 {
                return Some(format!("the rates of {name} sum to {total} per mille"));
            }
        }
        if let Some(kind) = self.reads.keys().find(|kind| !kind.strikes_reads()) {
            return Some(format!("{kind:?} strikes no request that reads"));
        }
        let webhooks = &self.webhooks;
        let rates = [webhooks.other_mode, webhooks.other_account, webhooks.unknown_type, webhooks.other_version];
        if !(1..=20).contains(&webhooks.copies) || rates.iter().any(|rate| *rate > 1_000) {
            return Some("webhooks: copies are 1 to 20, rates per mille".to_owned());
        }
        None
    }

    /// The fate of the `n`-th request at an endpoint.
    fn fate(&self, method: &str, endpoint: &str, n: u64) -> Option<FaultKind> {
        let rates = if method == "GET" { &self.reads } else { &self.writes };
        let mut thrown = roll(self.seed, &format!("{method} {endpoint}"), n) % 1_000;
        for (kind, rate) in rates {
            match thrown.checked_sub(u64::from(*rate)) {
                None => return Some(*kind),
                Some(rest) => thrown = rest,
            }
        }
        None
    }
}

#[derive(Debug, Default)]
struct Planned {
    once: Vec<Fault>,
    plan: FaultPlan,
    /// Requests seen at each endpoint since the plan was set.
    seen: BTreeMap<String, u64>,
    /// Events that happened since the plan was set.
    events: u64,
}

/// What is planned. Kept in memory only: a simulator that starts has no faults.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Planned>);

impl Faults {
    /// The fault that strikes this request, if any: one that was planned for it, else by the plan's chance.
    /// `endpoint` is the path with its ids replaced.
    pub(crate) fn strike(&self, method: &str, path: &str, endpoint: &str) -> Option<FaultKind> {
        let mut planned = self.lock();
        let fits = |f: &&mut Fault| f.times > 0 && f.method == method && path.starts_with(&f.path);
        if let Some(fault) = planned.once.iter_mut().find(fits) {
            fault.times -= 1;
            let kind = fault.kind;
            planned.once.retain(|f| f.times > 0);
            return Some(kind);
        }
        if !path.starts_with(&planned.plan.path) {
            return None;
        }
        let seen = planned.seen.entry(format!("{method} {endpoint}")).or_default();
        let n = *seen;
        *seen += 1;
        planned.plan.fate(method, endpoint, n)
    }

    /// The plan for webhooks with its seed, and the number of the next event; the number goes up by `events`.
    pub(crate) fn number_events(&self, events: usize) -> (u64, WebhookPlan, u64) {
        let mut planned = self.lock();
        let first = planned.events;
        planned.events += u64::try_from(events).unwrap_or(0);
        (planned.plan.seed, planned.plan.webhooks.clone(), first)
    }

    /// The seed by which rounds are shuffled, if they are.
    pub(crate) fn shuffled(&self) -> Option<u64> {
        let planned = self.lock();
        planned.plan.webhooks.shuffled.then_some(planned.plan.seed)
    }

    pub(crate) fn clear(&self) {
        *self.lock() = Planned::default();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Planned> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Control {
    /// Plans a fault.
    pub fn plan_fault(&self, fault: Fault) {
        self.app.faults.lock().once.push(fault);
    }

    /// Sets the plan of faults by seed, in place of the one before; its counting begins anew.
    ///
    /// # Errors
    /// [`ControlError::Refused`](crate::ControlError::Refused) for rates that cannot be.
    pub fn set_fault_plan(&self, plan: FaultPlan) -> Result<(), crate::ControlError> {
        if let Some(flaw) = plan.flaw() {
            return Err(crate::ControlError::Refused(flaw));
        }
        let mut planned = self.app.faults.lock();
        (planned.plan, planned.seen, planned.events) = (plan, BTreeMap::new(), 0);
        Ok(())
    }

    /// The plan that stands.
    pub fn fault_plan(&self) -> FaultPlan {
        self.app.faults.lock().plan.clone()
    }

    /// Forgets the faults that have not struck, and the plan. What is on its way stays on its way.
    pub fn clear_faults(&self) {
        self.app.faults.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64) -> FaultPlan {
        let writes = [(FaultKind::RateLimited, 100), (FaultKind::ErrorAfter, 100), (FaultKind::HangAfter, 100)];
        FaultPlan { seed, writes: writes.into_iter().collect(), ..FaultPlan::default() }
    }

    fn fates(plan: &FaultPlan, endpoint: &str) -> Vec<Option<FaultKind>> {
        (0..10_000).map(|n| plan.fate("POST", endpoint, n)).collect()
    }

    #[test]
    fn a_fault_strikes_as_often_as_planned_and_only_where_it_fits() {
        let faults = Faults::default();
        let path = "/v1/transfers".to_owned();
        faults.lock().once.push(Fault { kind: FaultKind::RateLimited, method: "POST".into(), path, times: 2 });
        let strike = |method, path| faults.strike(method, path, path);
        assert_eq!(strike("GET", "/v1/transfers"), None);
        assert_eq!(strike("POST", "/v1/refunds"), None);
        assert_eq!(strike("POST", "/v1/transfers"), Some(FaultKind::RateLimited));
        assert_eq!(strike("POST", "/v1/transfers/tr_1/reversals"), Some(FaultKind::RateLimited));
        assert_eq!(strike("POST", "/v1/transfers"), None);
    }

    #[test]
    fn a_seed_repeats_its_faults_and_another_does_not() {
        assert_eq!(fates(&plan(1), "/v1/refunds"), fates(&plan(1), "/v1/refunds"));
        assert_ne!(fates(&plan(1), "/v1/refunds"), fates(&plan(2), "/v1/refunds"));
        assert_ne!(fates(&plan(1), "/v1/refunds"), fates(&plan(1), "/v1/transfers"));
    }

    #[test]
    fn faults_come_as_often_as_their_rates_say() {
        let fates = fates(&plan(7), "/v1/refunds");
        for kind in [FaultKind::RateLimited, FaultKind::ErrorAfter, FaultKind::HangAfter] {
            let struck = fates.iter().filter(|fate| **fate == Some(kind)).count();
            assert!((850..1_150).contains(&struck), "{kind:?}: {struck} of 10,000 at a rate of 100 per mille");
        }
        assert!(fates.iter().filter(|fate| fate.is_none()).count() > 6_500);
    }

    #[test]
    fn a_plan_that_cannot_be_is_refused() {
        assert_eq!(plan(1).flaw(), None);
        let mut bad = plan(1);
        bad.writes.insert(FaultKind::Garbage, 701);
        assert!(bad.flaw().is_some());
        let mut bad = plan(1);
        bad.reads.insert(FaultKind::ErrorAfter, 1);
        assert!(bad.flaw().is_some());
        let mut bad = plan(1);
        bad.webhooks.copies = 0;
        assert!(bad.flaw().is_some());
    }
}
