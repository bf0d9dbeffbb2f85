//! Approvals: what one person proposes and another has to agree to.
//!
//! 1. Somebody proposes, exactly as it would be done; at most one proposal about an object is pending.
//! 2. [`decide`]: by somebody else, within a day. What was approved is done in the transaction of the decision.
//! 3. [`expire`]: what nobody decided about in time ends, and what waited for it with it.
//!
//! Invariants, all kept by the database too: whoever proposed cannot approve; a proposal never changes; it is decided
//! once. What can be proposed stands in [`Proposal`]; each kind has a file of its own, and what it does stands with the
//! capability that it is about.

mod adjusting;
mod bank_returns;
mod error;
mod ladder;
mod proposal;
mod resolution;
mod returned_refunds;
mod store;
mod writing_off;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, Keys, Scope, Tx};
use partita_provider::ProviderObject;
use uuid::Uuid;

pub use adjusting::{Adjusting, adjust, propose_limit};
pub use bank_returns::{propose_return_limit, return_payout};
pub use error::ApprovalError;
pub use ladder::{Declared, declare_ladder};
pub use proposal::{Proposal, Resolution};
pub use resolution::propose;
pub use returned_refunds::{propose_resolution_limit, resolve_refund};
pub use store::{find, list, newest_of};
pub use writing_off::propose_write_off;

use crate::actor::Actor;
use crate::adjustments::{self, AdjustmentStatus};
use crate::app::App;
use crate::crash;
use crate::due;
use crate::events;
use crate::id::ApprovalId;
use crate::journal::Journal;
use crate::outbox::{self, Change};
use crate::payouts;
use crate::refunds;
use crate::verify;

/// The kind of `due` rows that name proposals whose time runs out.
pub const EXPIRY_DUE_KIND: &str = "approval_expiry";

/// How long a proposal waits for its decision.
const DECIDE_WITHIN_HOURS: i64 = 24;

/// Where an approval stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalState {
    /// To be decided.
    Pending,
    /// Agreed to, and done.
    Approved,
    /// Turned down, or withdrawn by its maker.
    Rejected,
    /// Nobody decided in time.
    Expired,
}

impl ApprovalState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Approved, Self::Rejected, Self::Expired];

    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// How somebody decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Do it.
    Approve,
    /// Do not.
    Reject,
}

/// An approval.
#[derive(Debug, Clone)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// Its number; none of one that a release before wrote.
    pub key: Option<i64>,
    /// What is proposed.
    pub proposal: Proposal,
    /// Why, in the maker's words.
    pub reason: String,
    /// Where it stands.
    pub state: ApprovalState,
    /// Who proposed.
    pub made_by: String,
    /// Who decided.
    pub decided_by: Option<String>,
    /// Why, in the decider's words.
    pub decision_reason: Option<String>,
    /// Counts its events.
    pub sequence: i32,
    /// When it was proposed, by the business clock.
    pub created_at: Timestamp,
    /// From when on it can no longer be decided.
    pub expires_at: Timestamp,
    /// When it was decided.
    pub decided_at: Option<Timestamp>,
}

impl Approval {
    /// Where it stands at `now`: a pending one past its time has expired, whether that was written down or not.
    pub fn state_at(&self, now: Timestamp) -> ApprovalState {
        match self.state {
            ApprovalState::Pending if now >= self.expires_at => ApprovalState::Expired,
            state => state,
        }
    }
}

/// Stores a proposal in the caller's transaction.
async fn insert(
    tx: &mut Tx,
    keys: &Keys,
    actor: Actor,
    proposal: Proposal,
    reason: String,
    now: Timestamp,
) -> Result<Approval, ApprovalError> {
    refuse_pending(tx, proposal.place(), now).await?;
    let approval = Approval {
        id: ApprovalId::new(),
        key: Some(keys.next(tx).await?),
        proposal,
        reason,
        state: ApprovalState::Pending,
        made_by: actor.to_string(),
        decided_by: None,
        decision_reason: None,
        sequence: 1,
        created_at: now,
        expires_at: now + SignedDuration::from_hours(DECIDE_WITHIN_HOURS),
        decided_at: None,
    };
    if !store::insert(tx, &approval).await? {
        return Err(ApprovalError::AnotherPending);
    }
    if let Some(key) = approval.key {
        due::schedule(tx, EXPIRY_DUE_KIND, key, approval.expires_at).await?;
    }
    record(tx, &approval, None, actor, now).await?;
    Ok(approval)
}

/// Refuses what somebody has proposed about already; what nobody decided about in time stands in nobody's way.
async fn refuse_pending(tx: &mut Tx, place: Uuid, now: Timestamp) -> Result<(), ApprovalError> {
    match store::find_pending_for_update(tx, place).await? {
        None => Ok(()),
        Some(late) if late.state_at(now) == ApprovalState::Expired => end_late(tx, &late, now).await,
        Some(_) => Err(ApprovalError::AnotherPending),
    }
}

/// Decides about a proposal; an approved one is done at once.
///
/// # Errors
/// [`ApprovalError`]; nothing is decided then.
pub async fn decide(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    id: ApprovalId,
    decision: Decision,
    reason: Option<String>,
) -> Result<Approval, ApprovalError> {
    let object = match decision {
        Decision::Approve => resolution::object_to_adopt(app, book, id).await?,
        Decision::Reject => None,
    };
    let now = app.clock.now();
    let mode = events::mode_of(app, book).await?;
    let (app_in, object) = (Arc::clone(app), Arc::new(object));
    let decided = app
        .db
        .run_tx("decide approval", Scope::Book(book), move |tx| {
            let (app, object, reason) = (Arc::clone(&app_in), Arc::clone(&object), reason.clone());
            Box::pin(async move {
                let approval = store::find_for_update(tx, id).await?.ok_or(ApprovalError::NotFound)?;
                check_decidable(&approval, actor, decision, now)?;
                let mut journal = Journal::new(&app.keys);
                let origin = events::Origin { provider: "", account: "", mode, now };
                match decision {
                    Decision::Approve => {
                        carry_out(tx, &approval, (*object).as_ref(), actor, origin, &mut journal).await?;
                    }
                    Decision::Reject => turn_down(tx, &approval, AdjustmentStatus::Rejected, actor, now).await?,
                }
                let decided = store::decide(tx, &approval, actor, decision, reason.as_deref(), now).await?;
                record(tx, &decided, Some(approval.state), actor, now).await?;
                crash::point("within_approval");
                journal.post(tx).await?;
                Ok::<_, ApprovalError>(decided)
            })
        })
        .await?;
    crash::point("after_approval");
    app.wake.now();
    Ok(decided)
}

fn check_decidable(approval: &Approval, actor: Actor, decision: Decision, now: Timestamp) -> Result<(), ApprovalError> {
    match approval.state_at(now) {
        ApprovalState::Pending if decision == Decision::Approve && approval.made_by == actor.to_string() => {
            Err(ApprovalError::OwnProposal)
        }
        ApprovalState::Pending => Ok(()),
        state => Err(ApprovalError::Decided { state: state.as_str() }),
    }
}

async fn carry_out(
    tx: &mut Tx,
    approval: &Approval,
    object: Option<&ProviderObject>,
    actor: Actor,
    origin: events::Origin<'_>,
    journal: &mut Journal,
) -> Result<(), ApprovalError> {
    // What became of a command is found out in a halted book, too; nothing else is begun there.
    if !matches!(approval.proposal, Proposal::Resolution { .. }) && verify::is_halted(tx).await? {
        return Err(ApprovalError::Halted);
    }
    match &approval.proposal {
        Proposal::Resolution { operation, resolution } => {
            let what = (*operation, resolution);
            resolution::carry_out(tx, what, &approval.reason, object, actor, origin, journal).await
        }
        Proposal::Adjustment { adjustment } => adjusting::agree(tx, *adjustment, actor, journal, origin.now).await,
        Proposal::AdjustmentLimit { alone_up_to } => {
            Ok(adjustments::insert_limit(tx, *alone_up_to, &approval.made_by, actor, origin.now).await?)
        }
        Proposal::WriteOff { debt, .. } => {
            writing_off::carry_out(tx, *debt, &approval.reason, actor, journal, origin.now).await
        }
        Proposal::RefundResolution { refund, outcome } => {
            returned_refunds::carry_out(tx, approval, (*refund, *outcome), actor, journal, origin.now).await
        }
        Proposal::RefundResolutionLimit { alone_up_to } => {
            Ok(refunds::insert_limit(tx, *alone_up_to, &approval.made_by, actor, origin.now).await?)
        }
        Proposal::PayoutReturn { payout, code } => {
            bank_returns::carry_out(tx, approval, (*payout, code), actor, journal, origin.now).await
        }
        Proposal::PayoutReturnLimit { alone_up_to } => {
            Ok(payouts::insert_return_limit(tx, *alone_up_to, &approval.made_by, actor, origin.now).await?)
        }
        Proposal::RecoveryPolicy { ladder } => ladder::carry_out(tx, approval, ladder, actor, origin.now).await,
    }
}

/// What waited for the decision ends with it.
async fn turn_down(
    tx: &mut Tx,
    approval: &Approval,
    status: AdjustmentStatus,
    actor: Actor,
    now: Timestamp,
) -> Result<(), ApprovalError> {
    match &approval.proposal {
        Proposal::Adjustment { adjustment } => adjusting::turn_down(tx, *adjustment, status, actor, now).await,
        Proposal::Resolution { .. }
        | Proposal::AdjustmentLimit { .. }
        | Proposal::WriteOff { .. }
        | Proposal::RefundResolution { .. }
        | Proposal::RefundResolutionLimit { .. }
        | Proposal::PayoutReturn { .. }
        | Proposal::PayoutReturnLimit { .. }
        | Proposal::RecoveryPolicy { .. } => Ok(()),
    }
}

/// Ends a proposal whose time has run out. Returns when to look again, if it has not.
///
/// # Errors
/// What the database says.
pub async fn expire(app: &Arc<App>, book: BookId, key: i64) -> Result<Option<Timestamp>, ApprovalError> {
    let now = app.clock.now();
    app.db
        .run_tx("expire approval", Scope::Book(book), move |tx| {
            Box::pin(async move {
                let approval = store::find_by_key_for_update(tx, key).await?.ok_or(ApprovalError::NotFound)?;
                match (approval.state, approval.state_at(now)) {
                    (ApprovalState::Pending, ApprovalState::Pending) => Ok(Some(approval.expires_at)),
                    (ApprovalState::Pending, _) => end_late(tx, &approval, now).await.map(|()| None),
                    _ => Ok(None),
                }
            })
        })
        .await
}

async fn end_late(tx: &mut Tx, approval: &Approval, now: Timestamp) -> Result<(), ApprovalError> {
    turn_down(tx, approval, AdjustmentStatus::Expired, Actor::System, now).await?;
    let expired = store::expire(tx, approval, now).await?;
    record(tx, &expired, Some(approval.state), Actor::System, now).await
}

async fn record(
    tx: &mut Tx,
    approval: &Approval,
    from: Option<ApprovalState>,
    actor: Actor,
    now: Timestamp,
) -> Result<(), ApprovalError> {
    let event = match approval.state {
        ApprovalState::Pending => "approval.requested",
        ApprovalState::Approved => "approval.approved",
        ApprovalState::Rejected => "approval.rejected",
        ApprovalState::Expired => "approval.expired",
    };
    let (object, _) = approval.proposal.target();
    let change = Change {
        object_type: "approval",
        object_id: approval.id.uuid(),
        sequence: approval.sequence,
        from: from.map(ApprovalState::as_str),
        to: approval.state.as_str(),
        event,
        payload: serde_json::json!({
            "object": "approval", "id": approval.id, "state": approval.state.as_str(), "kind": approval.proposal.kind(),
            "target": {"object": object, "id": approval.proposal.target_id()},
            "proposal": approval.proposal.to_json(), "made_by": approval.made_by, "decided_by": approval.decided_by,
        }),
        actor,
        detail: approval.decision_reason.clone().or_else(|| Some(approval.reason.clone())),
        at: now,
    };
    Ok(outbox::record(tx, &change).await?)
}
