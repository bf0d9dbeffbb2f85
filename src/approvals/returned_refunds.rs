//! Refunds that came back: decided by one person within what is declared for a day, by two above it.

use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, Scope, Tx};
use partita_provider::Money;

use super::{Approval, ApprovalError, Proposal, insert, refuse_pending, store};
use crate::actor::Actor;
use crate::app::App;
use crate::id::RefundId;
use crate::idempotency::{self, Begun};
use crate::journal::Journal;
use crate::refunds::{self, Decided, RefundError, Resolution};

/// Decides about a refund that came back: booked at once where the maker may do that alone, else proposed to a second person.
///
/// # Errors
/// [`ApprovalError::Refund`] in any other state; [`ApprovalError::AnotherPending`]. Nothing is stored then.
pub async fn resolve_refund(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: idempotency::Request,
    id: RefundId,
    outcome: Resolution,
    reason: String,
) -> Result<Begun<RefundId>, ApprovalError> {
    let now = app.clock.now();
    let decided = Decided { outcome, reason, made_by: actor.to_string(), approved_by: None };
    let (app_in, decided) = (Arc::clone(app), Arc::new(decided));
    app.db
        .run_tx("resolve refund", Scope::Book(book), move |tx| {
            let (app, decided, request) = (Arc::clone(&app_in), Arc::clone(&decided), request.clone());
            Box::pin(async move {
                if let Some(earlier) =
                    idempotency::claim_movement(tx, &request, now).await.map_err(RefundError::from)?
                {
                    return Ok(earlier);
                }
                let asked = refunds::find(tx, id).await?.ok_or(RefundError::NotFound)?;
                refunds::check_returned(&asked)?;
                idempotency::bind(tx, &request.key, "refund", id.uuid()).await?;
                let mut journal = Journal::new(&app.keys);
                // Approvals are locked before what they are about.
                if refunds::may_decide_alone(tx, actor, asked.amount, now).await? {
                    refuse_pending(tx, id.uuid(), now).await?;
                    refunds::resolve(tx, id, &decided, actor, &mut journal, now).await?;
                    // Its payment is locked now: who proposed meanwhile had to lock it, too, and is seen.
                    if store::has_pending(tx, id.uuid()).await? {
                        return Err(ApprovalError::AnotherPending);
                    }
                } else {
                    let proposal = Proposal::RefundResolution { refund: id, outcome: decided.outcome };
                    insert(tx, &app.keys, actor, proposal, decided.reason.clone(), now).await?;
                    let (_, payment) = refunds::lock_returned(tx, id).await?;
                    refunds::check_outcome(&payment, decided.outcome)?;
                }
                journal.post(tx).await?;
                Ok(Begun::Fresh(id))
            })
        })
        .await
}

/// Proposes of how much of refunds that came back one key may decide alone in a day. What lets one person act alone is decided by
/// two.
///
/// # Errors
/// [`ApprovalError::AnotherPending`].
pub async fn propose_resolution_limit(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    alone_up_to: Money,
    reason: String,
) -> Result<Approval, ApprovalError> {
    let now = app.clock.now();
    let app_in = Arc::clone(app);
    app.db
        .run_tx("propose refund resolution limit", Scope::Book(book), move |tx| {
            let (app, reason) = (Arc::clone(&app_in), reason.clone());
            Box::pin(async move {
                insert(tx, &app.keys, actor, Proposal::RefundResolutionLimit { alone_up_to }, reason, now).await
            })
        })
        .await
}

pub(super) async fn carry_out(
    tx: &mut Tx,
    approval: &Approval,
    (refund, outcome): (RefundId, Resolution),
    actor: Actor,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), ApprovalError> {
    let decided = Decided {
        outcome,
        reason: approval.reason.clone(),
        made_by: approval.made_by.clone(),
        approved_by: Some(actor),
    };
    Ok(refunds::resolve(tx, refund, &decided, actor, journal, now).await?)
}
