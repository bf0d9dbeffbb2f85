//! Approvals: what one person proposes and another has to agree to.
//!
//! 1. [`propose`]: the proposal, exactly as it would be done; at most one pending per object.
//! 2. [`decide`]: by somebody else, within a day. What was approved is done in the transaction of the decision.
//!
//! Invariants, all kept by the database too: whoever proposed cannot approve; a proposal never changes; it is decided
//! once. A command in `needs_review` is the only thing that is decided so far.

mod error;
mod store;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, Scope, Tx};
use partita_provider::{LookedUp, ProviderObject, Refusal};
use serde::{Deserialize, Serialize};

pub use error::ApprovalError;
pub use store::{find, list};

use crate::actor::Actor;
use crate::app::App;
use crate::crash;
use crate::events;
use crate::id::{ApprovalId, OperationId, public_id};
use crate::journal::Journal;
use crate::operations::{self, Operation, OperationState};
use crate::outbox::{self, Change};

/// How long a proposal waits for its decision.
const DECIDE_WITHIN_HOURS: i64 = 24;
/// The code of a refusal that people decided on.
const REVIEWED: &str = "resolved_by_review";

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

/// What became of a command, as a person found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Resolution {
    /// The provider made this object: it is read there and booked.
    Succeeded {
        /// Its id at the provider.
        provider_object: String,
    },
    /// It had no effect: what was booked when it was asked is undone.
    Failed,
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
    /// The command that it is about.
    pub operation: OperationId,
    /// What is proposed.
    pub proposal: Resolution,
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

/// Proposes what became of a command in `needs_review`.
///
/// # Errors
/// [`ApprovalError`]: the command is not there or not in `needs_review`, or another proposal is pending.
pub async fn propose(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    operation: OperationId,
    proposal: Resolution,
    reason: String,
) -> Result<Approval, ApprovalError> {
    let now = app.clock.now();
    let id = ApprovalId::new();
    app.db
        .run_tx("propose resolution", Scope::Book(book), move |tx| {
            let (proposal, reason) = (proposal.clone(), reason.clone());
            Box::pin(async move {
                let found = operations::find(tx, operation).await?.ok_or(ApprovalError::OperationNotFound)?;
                in_review(&found)?;
                if let Resolution::Succeeded { provider_object } = &proposal {
                    events::lookup_of(&found, provider_object).ok_or(ApprovalError::NothingToAdopt)?;
                }
                store::expire(tx, operation, now).await?;
                let approval = Approval {
                    id,
                    operation,
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
                record(tx, &approval, None, actor, now).await?;
                Ok(approval)
            })
        })
        .await
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
        Decision::Approve => object_to_adopt(app, book, id).await?,
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
                if decision == Decision::Approve {
                    let origin = events::Origin { provider: "", account: "", mode, now };
                    carry_out(tx, &approval, (*object).as_ref(), actor, origin, &mut journal).await?;
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

fn in_review(operation: &Operation) -> Result<(), ApprovalError> {
    if operation.state == OperationState::NeedsReview {
        Ok(())
    } else {
        Err(ApprovalError::NotInReview { state: operation.state.as_str() })
    }
}

/// Reads the object that a proposal says exists, or makes sure that there is none, before the transaction that books it.
async fn object_to_adopt(
    app: &Arc<App>,
    book: BookId,
    id: ApprovalId,
) -> Result<Option<ProviderObject>, ApprovalError> {
    let (approval, operation) = app
        .db
        .read("approval and operation", Scope::Book(book), move |tx| {
            Box::pin(async move {
                let approval = store::find(tx, id).await?.ok_or(ApprovalError::NotFound)?;
                let operation =
                    operations::find(tx, approval.operation).await?.ok_or(ApprovalError::OperationNotFound)?;
                Ok::<_, ApprovalError>((approval, operation))
            })
        })
        .await?;
    let provider = app.provider(book).await?;
    match &approval.proposal {
        Resolution::Succeeded { provider_object } => {
            let lookup = events::lookup_of(&operation, provider_object).ok_or(ApprovalError::NothingToAdopt)?;
            provider.fetch(&lookup).await.map(Some).map_err(ApprovalError::NotReadable)
        }
        // What the provider shows outranks what two people say.
        Resolution::Failed => match provider.look_up(&events::search_for(&operation)).await {
            Ok(LookedUp::Found(object)) => Err(ApprovalError::HasObject { objects: object.id().to_owned() }),
            Ok(LookedUp::Contradiction { objects }) => Err(ApprovalError::HasObject { objects: objects.join(", ") }),
            Ok(LookedUp::Absent | LookedUp::CannotTell { .. }) => Ok(None),
            Err(error) => Err(ApprovalError::NotReadable(error)),
        },
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
    let operation = operations::find(tx, approval.operation).await?.ok_or(ApprovalError::OperationNotFound)?;
    in_review(&operation)?;
    match (&approval.proposal, object) {
        (Resolution::Succeeded { .. }, Some(object)) => {
            events::adopt(tx, &operation, object, origin, journal).await?;
        }
        (Resolution::Succeeded { .. }, None) => return Err(ApprovalError::NothingToAdopt),
        (Resolution::Failed, _) => {
            let refusal = Refusal {
                code: REVIEWED.to_owned(),
                decline_code: None,
                message: approval.reason.clone(),
                request_id: None,
            };
            events::give_up(tx, &operation, &refusal, journal, origin.now).await?;
        }
    }
    Ok(operations::record_resolution(tx, operation.id, &approval.reason, actor, origin.now).await?)
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
        ApprovalState::Rejected | ApprovalState::Expired => "approval.rejected",
    };
    let change = Change {
        object_type: "approval",
        object_id: approval.id.uuid(),
        sequence: approval.sequence,
        from: from.map(ApprovalState::as_str),
        to: approval.state.as_str(),
        event,
        payload: serde_json::json!({
            "object": "approval", "id": approval.id, "state": approval.state.as_str(), "kind": "operation_resolution",
            "target": {"object": "operation", "id": public_id("operation", approval.operation.uuid())},
            "proposal": approval.proposal, "made_by": approval.made_by, "decided_by": approval.decided_by,
        }),
        actor,
        detail: approval.decision_reason.clone().or_else(|| Some(approval.reason.clone())),
        at: now,
    };
    Ok(outbox::record(tx, &change).await?)
}
