//! What became of a command that nobody can tell of: proposed by one person, looked up at the provider, decided by another.

use std::sync::Arc;

use partita_db::{BookId, Scope, Tx};
use partita_provider::{LookedUp, ProviderObject, Refusal};

use super::{Approval, ApprovalError, Proposal, Resolution, insert, store};
use crate::actor::Actor;
use crate::app::App;
use crate::events;
use crate::id::{ApprovalId, OperationId};
use crate::journal::Journal;
use crate::operations::{self, Operation, OperationState};

/// The code of a refusal that people decided on.
const REVIEWED: &str = "resolved_by_review";

/// Proposes what became of a command in `needs_review`.
///
/// # Errors
/// [`ApprovalError`]: the command is not there or not in `needs_review`, or another proposal is pending.
pub async fn propose(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    operation: OperationId,
    resolution: Resolution,
    reason: String,
) -> Result<Approval, ApprovalError> {
    let now = app.clock.now();
    let app_in = Arc::clone(app);
    app.db
        .run_tx("propose resolution", Scope::Book(book), move |tx| {
            let (app, resolution, reason) = (Arc::clone(&app_in), resolution.clone(), reason.clone());
            Box::pin(async move {
                let found = operations::find(tx, operation).await?.ok_or(ApprovalError::OperationNotFound)?;
                in_review(&found)?;
                if let Resolution::Succeeded { provider_object } = &resolution {
                    events::lookup_of(&found, provider_object).ok_or(ApprovalError::NothingToAdopt)?;
                }
                insert(tx, &app.keys, actor, Proposal::Resolution { operation, resolution }, reason, now).await
            })
        })
        .await
}

fn in_review(operation: &Operation) -> Result<(), ApprovalError> {
    if operation.state == OperationState::NeedsReview {
        Ok(())
    } else {
        Err(ApprovalError::NotInReview { state: operation.state.as_str() })
    }
}

/// Reads the object that a proposal says exists, or makes sure that there is none, before the transaction that books it.
pub(super) async fn object_to_adopt(
    app: &Arc<App>,
    book: BookId,
    id: ApprovalId,
) -> Result<Option<ProviderObject>, ApprovalError> {
    let found = app
        .db
        .read("approval and operation", Scope::Book(book), move |tx| {
            Box::pin(async move {
                let approval = store::find(tx, id).await?.ok_or(ApprovalError::NotFound)?;
                let Proposal::Resolution { operation, resolution } = approval.proposal else { return Ok(None) };
                let operation = operations::find(tx, operation).await?.ok_or(ApprovalError::OperationNotFound)?;
                Ok::<_, ApprovalError>(Some((operation, resolution)))
            })
        })
        .await?;
    let Some((operation, resolution)) = found else { return Ok(None) };
    let provider = app.provider(book).await?;
    match &resolution {
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

pub(super) async fn carry_out(
    tx: &mut Tx,
    (operation, resolution): (OperationId, &Resolution),
    reason: &str,
    object: Option<&ProviderObject>,
    actor: Actor,
    origin: events::Origin<'_>,
    journal: &mut Journal,
) -> Result<(), ApprovalError> {
    let operation = operations::find(tx, operation).await?.ok_or(ApprovalError::OperationNotFound)?;
    in_review(&operation)?;
    match (resolution, object) {
        (Resolution::Succeeded { .. }, Some(object)) => {
            events::adopt(tx, &operation, object, origin, journal).await?;
        }
        (Resolution::Succeeded { .. }, None) => return Err(ApprovalError::NothingToAdopt),
        (Resolution::Failed, _) => {
            let refusal =
                Refusal { code: REVIEWED.to_owned(), decline_code: None, message: reason.to_owned(), request_id: None };
            events::give_up(tx, &operation, &refusal, journal, origin.now).await?;
        }
    }
    Ok(operations::record_resolution(tx, operation.id, reason, actor, origin.now).await?)
}
