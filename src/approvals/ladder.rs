//! The recovery ladder: one person may make it stricter; one that recovers less takes two.

use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, Scope, Tx};

use super::{Approval, ApprovalError, Proposal, insert, store};
use crate::actor::Actor;
use crate::app::App;
use crate::debts::{self, Policy};

/// What became of a declaration.
#[derive(Debug)]
pub enum Declared {
    /// It holds.
    Holds(Policy),
    /// A second person has to agree.
    Waits(Box<Approval>),
}

/// Declares a ladder, or proposes it to a second person where it recovers less than the one that holds.
///
/// # Errors
/// [`ApprovalError::AnotherPending`].
pub async fn declare_ladder(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    ladder: Policy,
    reason: String,
) -> Result<Declared, ApprovalError> {
    let now = app.clock.now();
    let (app_in, ladder) = (Arc::clone(app), Arc::new(ladder));
    app.db
        .run_tx("declare recovery policy", Scope::Book(book), move |tx| {
            let (app, ladder, reason) = (Arc::clone(&app_in), Arc::clone(&ladder), reason.clone());
            Box::pin(async move {
                let proposal = Proposal::RecoveryPolicy { ladder: (*ladder).clone() };
                // Approvals are locked before what they are about.
                store::find_pending_for_update(tx, proposal.place()).await?;
                if ladder.loosens(&debts::lock_policy(tx).await?) {
                    let waits = insert(tx, &app.keys, actor, proposal, reason, now).await?;
                    return Ok(Declared::Waits(Box::new(waits)));
                }
                let declared = debts::declare(tx, &ladder, &actor.to_string(), None, actor, &reason, now).await?;
                Ok(Declared::Holds(declared))
            })
        })
        .await
}

pub(super) async fn carry_out(
    tx: &mut Tx,
    approval: &Approval,
    ladder: &Policy,
    actor: Actor,
    now: Timestamp,
) -> Result<(), ApprovalError> {
    debts::lock_policy(tx).await?;
    debts::declare(tx, ladder, &approval.made_by, Some(actor), actor, &approval.reason, now).await?;
    Ok(())
}
