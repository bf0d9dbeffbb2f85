//! Payouts that a bank sent back, as people say: by one person within what is declared for a day, by two above it.

use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, Scope, Tx};
use partita_provider::Money;

use super::{Approval, ApprovalError, Proposal, insert, refuse_pending, store};
use crate::actor::Actor;
use crate::app::App;
use crate::id::PayoutId;
use crate::idempotency::{self, Begun};
use crate::journal::Journal;
use crate::payouts::bank::{self, SentBack};
use crate::payouts::{self, PayoutError};

/// Takes the word that a bank sent a payout back: booked at once where the maker may say that alone, else proposed to a second
/// person.
///
/// # Errors
/// [`ApprovalError::Payout`] in any other state; [`ApprovalError::AnotherPending`]. Nothing is stored then.
pub async fn return_payout(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: idempotency::Request,
    id: PayoutId,
    (code, reason): (String, String),
) -> Result<Begun<PayoutId>, ApprovalError> {
    let now = app.clock.now();
    let said = SentBack { code, reason, made_by: actor.to_string(), approved_by: None };
    let (app_in, said) = (Arc::clone(app), Arc::new(said));
    let begun = app
        .db
        .run_tx("return payout", Scope::Book(book), move |tx| {
            let (app, said, request) = (Arc::clone(&app_in), Arc::clone(&said), request.clone());
            Box::pin(async move {
                if let Some(earlier) =
                    idempotency::claim_movement(tx, &request, now).await.map_err(PayoutError::from)?
                {
                    return Ok(earlier);
                }
                let asked = payouts::find(tx, id).await?.ok_or(PayoutError::NotFound)?;
                bank::check_returnable(&asked)?;
                idempotency::bind(tx, &request.key, "payout", id.uuid()).await?;
                let mut journal = Journal::new(&app.keys);
                // Approvals are locked before what they are about.
                if bank::may_return_alone(tx, actor, asked.amount, now).await? {
                    refuse_pending(tx, id.uuid(), now).await?;
                    bank::send_back(tx, id, &said, actor, &mut journal, now).await?;
                    // The payout is locked now: who proposed meanwhile had to lock it, too, and is seen.
                    if store::has_pending(tx, id.uuid()).await? {
                        return Err(ApprovalError::AnotherPending);
                    }
                } else {
                    let proposal = Proposal::PayoutReturn { payout: id, code: said.code.clone() };
                    insert(tx, &app.keys, actor, proposal, said.reason.clone(), now).await?;
                    bank::lock_returnable(tx, id).await?;
                }
                journal.post(tx).await?;
                Ok(Begun::Fresh(id))
            })
        })
        .await?;
    app.wake.now();
    Ok(begun)
}

/// Proposes of how much one key may say alone in a day that it came back. What lets one person act alone is decided by two.
///
/// # Errors
/// [`ApprovalError::AnotherPending`].
pub async fn propose_return_limit(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    alone_up_to: Money,
    reason: String,
) -> Result<Approval, ApprovalError> {
    let now = app.clock.now();
    let app_in = Arc::clone(app);
    app.db
        .run_tx("propose payout return limit", Scope::Book(book), move |tx| {
            let (app, reason) = (Arc::clone(&app_in), reason.clone());
            Box::pin(async move {
                insert(tx, &app.keys, actor, Proposal::PayoutReturnLimit { alone_up_to }, reason, now).await
            })
        })
        .await
}

pub(super) async fn carry_out(
    tx: &mut Tx,
    approval: &Approval,
    (payout, code): (PayoutId, &str),
    actor: Actor,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), ApprovalError> {
    let said = SentBack {
        code: code.to_owned(),
        reason: approval.reason.clone(),
        made_by: approval.made_by.clone(),
        approved_by: Some(actor),
    };
    Ok(bank::send_back(tx, payout, &said, actor, journal, now).await?)
}
