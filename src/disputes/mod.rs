//! Disputes: a buyer's bank takes a charge back, in part or whole, and the platform answers or accepts it.
//!
//! A dispute is learnt of from the provider; nothing here opens one. The provider's movements are booked when they are
//! seen, the sellers' shares of what is disputed are held, and its end gives everything back or says who bears it: by
//! the platform's declared [`Policy`], copied to each dispute when it is opened. What is held is kept from the sellers'
//! entitlement, so that the one rule of transfers takes back what was sent of it and sends it again when it is won.

mod apply;
pub mod entries;
mod error;
mod policy;
mod state;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, Scope, Tx};
use partita_provider::{AcceptDispute, Command, EvidenceFile, EvidenceKind, Money, SubmitEvidence};

pub use apply::apply;
pub use entries::DisputeShare;
pub use error::DisputeError;
pub use policy::{Bearer, Hold, Policy};
pub use state::DisputeStatus;
pub use store::{ListFilter, find, find_lines, find_policy, held_of, list, list_by_payment};

use crate::actor::Actor;
use crate::app::App;
use crate::id::{DisputeId, OperationId, PaymentId};
use crate::idempotency::{self, Begun};
use crate::operations::{self, FirstTry, NewOperation, Target};
use crate::outbox::{self, Change, Declaration};
use crate::payments;
use crate::sellers;

/// The kind of `due` rows that name disputes whose deadline comes near.
pub const DEADLINE_DUE_KIND: &str = "dispute_deadline";

/// How long before its deadline an unanswered dispute is told of for the first time.
const REMIND_FIRST_HOURS: i64 = 72;
/// And for the last time.
const REMIND_LAST_HOURS: i64 = 24;

/// A dispute.
#[derive(Debug, Clone)]
pub struct Dispute {
    /// Its id.
    pub id: DisputeId,
    /// Its number: the source of what is booked once for it.
    pub key: i64,
    /// What is disputed.
    pub payment: PaymentId,
    /// How much of it; may be more than was charged.
    pub amount: Money,
    /// Where it stands.
    pub status: DisputeStatus,
    /// The provider's word for why.
    pub reason: String,
    /// Until when evidence is taken.
    pub due_by: Option<Timestamp>,
    /// How often evidence went to the bank.
    pub submissions: i32,
    /// What the provider took; minor units.
    pub withdrawn_amount: i64,
    /// What of it came back; minor units.
    pub reinstated_amount: i64,
    /// What the provider took for it and did not give back; minor units.
    pub fee: i64,
    /// Who bears what, as declared when it was opened.
    pub policy: Policy,
    /// The provider's name.
    pub provider: String,
    /// The seller's account that a direct charge was made on; none: the platform's own.
    pub account: Option<String>,
    /// Its id at the provider.
    pub provider_dispute: String,
    /// How often it changed.
    pub sequence: i32,
    /// When we first heard of it, by the business clock.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Dispute {
    /// What the provider took and did not give back; minor units.
    pub fn outstanding(&self) -> i64 {
        self.withdrawn_amount - self.reinstated_amount
    }

    /// Whether sellers' shares are held for it.
    pub fn holds_shares(&self) -> bool {
        self.policy.hold == Hold::Shares && self.withdrawn_amount > 0 && !self.status.is_final()
    }
}

/// Declares who bears what of disputes opened from now on.
///
/// # Errors
/// What the database says.
pub async fn declare(app: &Arc<App>, book: BookId, actor: Actor, policy: Policy) -> Result<Policy, DisputeError> {
    let now = app.clock.now();
    app.db
        .run_tx("declare dispute policy", Scope::Book(book), move |tx| {
            Box::pin(async move {
                outbox::lock_declaration(tx, Declaration::DisputePolicy).await?;
                let declared = store::insert_policy(tx, policy, actor, now).await?;
                let payload = serde_json::json!({
                    "object": "dispute_policy", "version": declared.version, "liability": declared.liability.as_str(),
                    "hold": declared.hold.as_str(), "tax_relief": declared.tax_relief, "fee": declared.fee.as_str(),
                    "declared_by": actor.to_string(),
                });
                outbox::record_declaration(tx, Declaration::DisputePolicy, payload, actor, None, now).await?;
                Ok(declared)
            })
        })
        .await
}

/// What is to be asked of the provider about a dispute.
#[derive(Debug, Clone)]
pub enum Asked {
    /// To send this to the bank.
    Evidence(BTreeMap<EvidenceKind, String>),
    /// To give the dispute up.
    Acceptance,
}

/// Stores the intent to answer a dispute or to give it up; the caller submits the operation.
///
/// # Errors
/// [`DisputeError::WrongState`], [`DisputeError::Submitted`], [`DisputeError::Late`], [`DisputeError::CommandOpen`];
/// nothing is stored then.
pub async fn ask(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: idempotency::Request,
    id: DisputeId,
    asked: Asked,
) -> Result<Begun<DisputeId>, DisputeError> {
    let provider = app.provider(book).await?;
    let now = app.clock.now();
    let (app_in, asked) = (Arc::clone(app), Arc::new(asked));
    app.db
        .run_tx("answer dispute", Scope::Book(book), move |tx| {
            let (app, asked, provider, request) =
                (Arc::clone(&app_in), Arc::clone(&asked), Arc::clone(&provider), request.clone());
            Box::pin(async move {
                if let Some(earlier) = idempotency::claim_movement(tx, &request, now).await? {
                    return Ok(earlier);
                }
                let unlocked = store::find(tx, id).await?.ok_or(DisputeError::NotFound)?;
                let payment = payments::find_for_update(tx, unlocked.payment).await?.ok_or(DisputeError::NotFound)?;
                let dispute = store::find_for_update(tx, id).await?.ok_or(DisputeError::NotFound)?;
                refuse_unlawful(&dispute, &asked, now)?;
                let newest = operations::find_newest_by_object(tx, id.uuid()).await?;
                if newest.is_some_and(|operation| !operation.state.is_final()) {
                    return Err(DisputeError::CommandOpen);
                }
                let operation_id = OperationId::new();
                let command = command(&dispute, &asked, operation_id);
                let operation = NewOperation {
                    id: operation_id,
                    key: app.keys.next(tx).await?,
                    target: Target { object_type: "dispute", object_id: id.uuid(), object_key: payment.key },
                    provider: provider.name(),
                    request: provider.prepare(&command)?,
                    command,
                    actor,
                };
                idempotency::bind(tx, &request.key, "dispute", id.uuid()).await?;
                operations::plan(tx, &operation, FirstTry::Now, now).await?;
                Ok(Begun::Fresh(id))
            })
        })
        .await
}

/// Whether evidence can still be sent, so that a file for it is of use. Returns the dispute.
///
/// # Errors
/// [`DisputeError::NotFound`], [`DisputeError::WrongState`], [`DisputeError::Submitted`], [`DisputeError::Late`].
pub async fn can_take_files(app: &Arc<App>, book: BookId, id: DisputeId) -> Result<Dispute, DisputeError> {
    let dispute = app
        .db
        .read("look at dispute", Scope::Book(book), move |tx| Box::pin(async move { store::find(tx, id).await }))
        .await?
        .ok_or(DisputeError::NotFound)?;
    refuse_unlawful(&dispute, &Asked::Evidence(BTreeMap::new()), app.clock.now())?;
    Ok(dispute)
}

/// Hands a file over to the provider, for a dispute; the provider's token of it. Nothing is stored.
///
/// # Errors
/// [`DisputeError::Upload`].
pub async fn upload(
    app: &Arc<App>,
    book: BookId,
    dispute: &Dispute,
    file: &EvidenceFile,
) -> Result<String, DisputeError> {
    let provider = app.provider(book).await?;
    let uploaded = provider.upload_evidence(dispute.account.as_deref(), file).await;
    uploaded.map_err(|error| DisputeError::Upload { provider: provider.name(), error })
}

fn refuse_unlawful(dispute: &Dispute, asked: &Asked, now: Timestamp) -> Result<(), DisputeError> {
    let status = dispute.status;
    match asked {
        Asked::Evidence(_) if dispute.submissions > 0 && !status.is_final() => Err(DisputeError::Submitted),
        Asked::Evidence(_) if !status.wants_response() => Err(DisputeError::WrongState { action: "answered", status }),
        Asked::Evidence(_) if dispute.due_by.is_some_and(|due_by| due_by <= now) => Err(DisputeError::Late),
        Asked::Acceptance if status != DisputeStatus::NeedsResponse => {
            Err(DisputeError::WrongState { action: "accepted", status })
        }
        Asked::Evidence(_) | Asked::Acceptance => Ok(()),
    }
}

fn command(dispute: &Dispute, asked: &Asked, operation: OperationId) -> Command {
    let at_provider = dispute.provider_dispute.clone();
    let command = match asked {
        Asked::Evidence(evidence) => Command::SubmitEvidence(SubmitEvidence {
            dispute: at_provider,
            evidence: evidence.clone(),
            metadata: sellers::metadata(operation, &dispute.id.to_string()),
        }),
        Asked::Acceptance => Command::AcceptDispute(AcceptDispute { dispute: at_provider }),
    };
    command.on(dispute.account.as_deref())
}

/// Tells of a dispute that is not answered and whose deadline is near. Returns when to look again.
///
/// # Errors
/// What the database says.
pub async fn remind(app: &Arc<App>, book: BookId, key: i64) -> Result<Option<Timestamp>, DisputeError> {
    let now = app.clock.now();
    app.db
        .run_tx("remind of dispute", Scope::Book(book), move |tx| {
            Box::pin(async move {
                let dispute = store::find_by_key_for_update(tx, key).await?.ok_or(DisputeError::NotFound)?;
                let Some(due_by) = dispute.due_by.filter(|due_by| now < *due_by) else { return Ok(None) };
                if !dispute.status.wants_response() || dispute.submissions > 0 {
                    return Ok(None);
                }
                let first = due_by - SignedDuration::from_hours(REMIND_FIRST_HOURS);
                if now < first {
                    return Ok(Some(first));
                }
                let changed = store::update(tx, &dispute, now).await?;
                record(tx, &changed, Some(dispute.status), "dispute.response_due", Actor::System, now).await?;
                let last = due_by - SignedDuration::from_hours(REMIND_LAST_HOURS);
                Ok(Some(last).filter(|last| now < *last))
            })
        })
        .await
}

async fn record(
    tx: &mut Tx,
    dispute: &Dispute,
    from: Option<DisputeStatus>,
    event: &'static str,
    actor: Actor,
    now: Timestamp,
) -> Result<(), DisputeError> {
    let change = Change {
        object_type: "dispute",
        object_id: dispute.id.uuid(),
        sequence: dispute.sequence,
        from: from.map(DisputeStatus::as_str),
        to: dispute.status.as_str(),
        event,
        payload: serde_json::json!({
            "object": "dispute", "id": dispute.id, "payment": dispute.payment, "status": dispute.status.as_str(),
            "amount": dispute.amount.minor, "currency": dispute.amount.currency, "reason": dispute.reason,
            "fee": dispute.fee, "withdrawn_amount": dispute.withdrawn_amount,
            "reinstated_amount": dispute.reinstated_amount, "evidence_due_at": dispute.due_by.map(|at| at.to_string()),
            "evidence_submissions": dispute.submissions,
        }),
        actor,
        detail: (event == "dispute.opened").then(|| dispute.reason.clone()),
        at: now,
    };
    Ok(outbox::record(tx, &change).await?)
}
