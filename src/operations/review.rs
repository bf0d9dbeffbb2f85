//! What is told of a command that two people have to decide about.

use jiff::Timestamp;
use partita_db::{DbError, Tx};

use super::{Operation, OperationState, store};
use crate::actor::Actor;
use crate::id::{OperationId, public_id};
use crate::outbox::{self, Change};

/// Tells that people have to decide; in the transaction that made it so of a command as it was `before`.
///
/// # Errors
/// What the database says.
pub async fn record_review(tx: &mut Tx, before: &Operation, why: &str, now: Timestamp) -> Result<(), DbError> {
    let Some(operation) = store::find(tx, before.id).await? else { return Ok(()) };
    record(tx, &operation, before.state.as_str(), "operation.needs_review", why, Actor::System, now).await
}

/// Tells how people decided; in the transaction of the decision.
///
/// # Errors
/// What the database says.
pub async fn record_resolution(
    tx: &mut Tx,
    id: OperationId,
    why: &str,
    actor: Actor,
    now: Timestamp,
) -> Result<(), DbError> {
    store::count_event(tx, id).await?;
    let Some(operation) = store::find(tx, id).await? else { return Ok(()) };
    let review = OperationState::NeedsReview.as_str();
    record(tx, &operation, review, "operation.resolved", why, actor, now).await
}

async fn record(
    tx: &mut Tx,
    operation: &Operation,
    from: &'static str,
    event: &'static str,
    why: &str,
    actor: Actor,
    now: Timestamp,
) -> Result<(), DbError> {
    let change = Change {
        object_type: "operation",
        object_id: operation.id.uuid(),
        sequence: operation.sequence,
        from: Some(from),
        to: operation.state.as_str(),
        event,
        payload: serde_json::json!({
            "object": "operation", "id": operation.id, "kind": operation.kind, "state": operation.state.as_str(),
            "target": {
                "object": operation.object_type, "id": public_id(&operation.object_type, operation.object_id),
            },
            "review_reason": operation.review_reason,
        }),
        actor,
        detail: Some(why.to_owned()),
        at: now,
    };
    outbox::record(tx, &change).await
}
