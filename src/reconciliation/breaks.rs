//! Breaks as they stand over several runs: each is told of once, when it is sure to be one.

use jiff::{SignedDuration, Timestamp};
use partita_db::{DbError, Tx};

use super::BreakKind;
use super::compare::{Finding, ON_ITS_WAY_SECONDS};
use super::store::breaks as store;
use crate::actor::Actor;
use crate::id::{BreakId, RunId};
use crate::outbox::{self, Change};

/// A difference as a run found it again, or for the first time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sighting {
    /// The break that found it first.
    pub(super) id: BreakId,
    /// When it was found with this amount for the first time.
    pub(super) first_found_at: Timestamp,
    /// Whether an event told of it.
    pub(super) is_told: bool,
}

/// Keeps what a run found of these subjects of an account, forgets what is gone, and tells of what is new.
pub(super) async fn keep(
    tx: &mut Tx,
    run: RunId,
    account: &str,
    subjects: &[String],
    findings: &[Finding],
    now: Timestamp,
) -> Result<(), DbError> {
    for finding in findings {
        let id = BreakId::new();
        store::insert(tx, id, run, account, finding, now).await?;
        let sighting = store::sight(tx, id, run, account, finding, now).await?;
        if !sighting.is_told && is_sure(finding.kind, sighting.first_found_at, now) {
            store::mark_told(tx, account, finding, now).await?;
            outbox::record(tx, &found(sighting.id, run, account, finding, now)).await?;
        }
    }
    store::close_others(tx, account, subjects, findings).await
}

/// Money on its way looks like a difference for a moment: such a one has to stand for longer than it takes.
fn is_sure(kind: BreakKind, first_found_at: Timestamp, now: Timestamp) -> bool {
    let may_pass = matches!(kind, BreakKind::Timing | BreakKind::BalanceMismatch);
    !may_pass || now.duration_since(first_found_at) >= SignedDuration::from_secs(ON_ITS_WAY_SECONDS)
}

fn found(id: BreakId, run: RunId, account: &str, finding: &Finding, at: Timestamp) -> Change {
    Change {
        object_type: "reconciliation_break",
        object_id: id.uuid(),
        sequence: 1,
        from: None,
        to: "open",
        event: "reconciliation.break_found",
        payload: serde_json::json!({
            "object": "reconciliation_break", "id": id, "run": run, "kind": finding.kind.as_str(),
            "provider_account": Some(account).filter(|account| !account.is_empty()),
            "provider_movement": finding.movement, "currency": finding.currency,
            "ledger_amount": finding.ledger_amount, "provider_amount": finding.provider_amount,
            "detail": finding.detail,
        }),
        actor: Actor::System,
        detail: Some(finding.detail.clone()),
        at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_on_its_way_is_told_when_it_still_stands() {
        let first: Timestamp = "2026-11-22T10:00:00Z".parse().expect("a time");
        let after = |seconds| first + SignedDuration::from_secs(seconds);
        for kind in [BreakKind::Timing, BreakKind::BalanceMismatch] {
            assert!(
                !is_sure(kind, first, first) && !is_sure(kind, first, after(119)) && is_sure(kind, first, after(120))
            );
        }
        assert!(is_sure(BreakKind::MissingInLedger, first, first) && is_sure(BreakKind::AmountMismatch, first, first));
    }
}
