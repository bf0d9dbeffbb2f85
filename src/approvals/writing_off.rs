//! Giving up a seller's debt takes two people.

use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, Scope, Tx};

use super::{Approval, ApprovalError, Proposal, insert};
use crate::actor::Actor;
use crate::app::App;
use crate::chart::Chart;
use crate::debts::{self, DebtError};
use crate::id::{DebtId, Of};
use crate::journal::Journal;
use crate::{adjustments, payments, sellers};

/// Proposes to give up what is left of a debt, if the declared ladder lets it.
///
/// # Errors
/// [`ApprovalError::Debt`], [`ApprovalError::AnotherPending`].
pub async fn propose_write_off(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    id: DebtId,
    reason: String,
) -> Result<Approval, ApprovalError> {
    let now = app.clock.now();
    let app_in = Arc::clone(app);
    app.db
        .run_tx("propose write-off", Scope::Book(book), move |tx| {
            let (app, reason) = (Arc::clone(&app_in), reason.clone());
            Box::pin(async move {
                let debt = debts::find(tx, id).await?.ok_or(DebtError::NotFound)?;
                debts::may_write_off(&debt, &debts::find_policy(tx).await?, now)?;
                let proposal = Proposal::WriteOff { debt: id, left: debt.left() };
                insert(tx, &app.keys, actor, proposal, reason, now).await
            })
        })
        .await
}

/// A debt only shrinks: what is given up is at most what was proposed.
pub(super) async fn carry_out(
    tx: &mut Tx,
    id: DebtId,
    reason: &str,
    actor: Actor,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), ApprovalError> {
    let debt = debts::find(tx, id).await?.ok_or(DebtError::NotFound)?;
    // The ladder may have changed since it was proposed.
    debts::may_write_off(&debt, &debts::find_policy(tx).await?, now)?;
    let seller = sellers::find(tx, debt.seller).await?.ok_or(DebtError::NotFound)?;
    let subject = match debt.of {
        Of::Payment(payment) => payments::find(tx, payment).await?.map(|payment| payment.key),
        Of::Adjustment(adjustment) => adjustments::find(tx, adjustment).await?.map(|adjustment| adjustment.key),
    };
    let subject = subject.ok_or(DebtError::NotFound)?;
    let chart = Chart { book: tx.book_id(), currency: debt.amount.currency };
    chart.open_platform(tx).await?;
    Ok(debts::write_off(tx, id, (seller.number, subject), reason, actor, journal, now).await?)
}
