//! Adjustments by hand: at once where the maker may do it alone, else proposed to a second person.

use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, Scope, Tx};
use partita_provider::Money;

use super::{Approval, ApprovalError, Proposal, insert};
use crate::actor::Actor;
use crate::adjustments::{self, Adjustment, AdjustmentError, AdjustmentStatus, NewAdjustment};
use crate::app::App;
use crate::id::AdjustmentId;
use crate::idempotency::{self, Begun};
use crate::journal::Journal;
use crate::transfers;

/// Why a limit is proposed, for the record of an adjustment that waits.
const ABOVE_LIMIT: &str = "above what one person may adjust alone";

/// What is to be adjusted.
#[derive(Debug, Clone)]
pub enum Adjusting {
    /// Something new.
    New(NewAdjustment),
    /// What was adjusted before is undone.
    Reversal {
        /// Which one.
        of: AdjustmentId,
        /// The platform's own id of the reversal.
        reference: String,
        /// Why, in the maker's words.
        note: String,
        /// The platform's own data.
        metadata: serde_json::Value,
    },
}

/// Stores an adjustment: booked, or with a proposal that a second person decides about.
///
/// # Errors
/// [`ApprovalError::Adjustment`]; nothing is stored then.
pub async fn adjust(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: idempotency::Request,
    asked: Adjusting,
) -> Result<Begun<AdjustmentId>, ApprovalError> {
    let now = app.clock.now();
    let (app_in, asked) = (Arc::clone(app), Arc::new(asked));
    app.db
        .run_tx("adjust balance", Scope::Book(book), move |tx| {
            let (app, asked, request) = (Arc::clone(&app_in), Arc::clone(&asked), request.clone());
            Box::pin(async move {
                if let Some(earlier) =
                    idempotency::claim_movement(tx, &request, now).await.map_err(AdjustmentError::from)?
                {
                    return Ok(earlier);
                }
                let input = input_of(tx, &asked).await?;
                let alone = adjustments::may_alone(tx, actor, input.amount, now).await?;
                let mut journal = Journal::new(&app.keys);
                let adjustment = adjustments::create(tx, actor, &input, alone, &mut journal, now).await?;
                idempotency::bind(tx, &request.key, "adjustment", adjustment.id.uuid()).await?;
                if alone {
                    schedule_transfer(tx, &adjustment, now).await?;
                } else {
                    let proposal = Proposal::Adjustment { adjustment: adjustment.id };
                    insert(tx, &app.keys, actor, proposal, ABOVE_LIMIT.to_owned(), now).await?;
                }
                journal.post(tx).await?;
                Ok(Begun::Fresh(adjustment.id))
            })
        })
        .await
}

async fn input_of(tx: &mut Tx, asked: &Adjusting) -> Result<NewAdjustment, ApprovalError> {
    match asked {
        Adjusting::New(input) => Ok(input.clone()),
        Adjusting::Reversal { of, reference, note, metadata } => {
            let original = adjustments::find_for_update(tx, *of).await?.ok_or(AdjustmentError::NotFound)?;
            Ok(adjustments::reversal_of(&original, reference.clone(), note.clone(), metadata.clone())?)
        }
    }
}

/// What a reversal undoes is where its money was sent.
async fn schedule_transfer(tx: &mut Tx, adjustment: &Adjustment, now: Timestamp) -> Result<(), ApprovalError> {
    let moved = match adjustment.reverses {
        Some(original) => adjustments::find(tx, original).await?.ok_or(AdjustmentError::NotFound)?.key,
        None => adjustment.key,
    };
    Ok(transfers::schedule_rebalance(tx, moved, now).await?)
}

/// Proposes how much one key may adjust alone in a day. What lets one person act alone is decided by two.
///
/// # Errors
/// [`ApprovalError::AnotherPending`].
pub async fn propose_limit(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    alone_up_to: Money,
    reason: String,
) -> Result<Approval, ApprovalError> {
    let now = app.clock.now();
    let app_in = Arc::clone(app);
    app.db
        .run_tx("propose adjustment limit", Scope::Book(book), move |tx| {
            let (app, reason) = (Arc::clone(&app_in), reason.clone());
            Box::pin(async move {
                insert(tx, &app.keys, actor, Proposal::AdjustmentLimit { alone_up_to }, reason, now).await
            })
        })
        .await
}

pub(super) async fn agree(
    tx: &mut Tx,
    id: AdjustmentId,
    actor: Actor,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), ApprovalError> {
    let pending = adjustments::find(tx, id).await?.ok_or(AdjustmentError::NotFound)?;
    if let Some(original) = pending.reverses {
        adjustments::find_for_update(tx, original).await?.ok_or(AdjustmentError::NotFound)?;
    }
    let booked = adjustments::agree(tx, id, actor, journal, now).await?;
    schedule_transfer(tx, &booked, now).await
}

pub(super) async fn turn_down(
    tx: &mut Tx,
    id: AdjustmentId,
    status: AdjustmentStatus,
    actor: Actor,
    now: Timestamp,
) -> Result<(), ApprovalError> {
    Ok(adjustments::end(tx, id, status, actor, now).await?)
}
