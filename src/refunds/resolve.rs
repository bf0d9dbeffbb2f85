//! Deciding about a refund that came back: the buyer is still owed, and only a person knows another way to pay.

use std::sync::Arc;

use partita_db::{BookId, Scope};
use partita_ledger::Floors;

use super::apply::{find_locked, keep_again};
use super::{RefundError, RefundStatus, record, store};
use crate::actor::Actor;
use crate::app::App;
use crate::chart::Kind;
use crate::id::RefundId;
use crate::idempotency::{self, Begun};
use crate::journal::{Journal, Record};
use crate::payments::{self, PaymentStatus};
use crate::transfers;

/// What somebody decides about a refund that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// The buyer is not owed any more: everyone has back what was taken for it.
    Reinstated,
    /// The buyer was paid from the platform's bank account.
    PaidFromBank,
}

/// Takes the decision about a refund that came back, once, and books it.
///
/// # Errors
/// [`RefundError::NotReturned`] in any other state; nothing is stored then.
pub async fn resolve(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: idempotency::Request,
    id: RefundId,
    decided: Resolution,
    reason: String,
) -> Result<Begun<RefundId>, RefundError> {
    let now = app.clock.now();
    let (app_in, reason) = (Arc::clone(app), Arc::new(reason));
    app.db
        .run_tx("resolve refund", Scope::Book(book), move |tx| {
            let (app, reason, request) = (Arc::clone(&app_in), Arc::clone(&reason), request.clone());
            Box::pin(async move {
                if let Some(earlier) = idempotency::claim_movement(tx, &request, now).await? {
                    return Ok(earlier);
                }
                let (refund, payment) = find_locked(tx, Some(id), "").await?.ok_or(RefundError::NotFound)?;
                if refund.status != RefundStatus::Returned {
                    return Err(RefundError::NotReturned { status: refund.status });
                }
                let status = match decided {
                    Resolution::Reinstated => RefundStatus::Failed,
                    Resolution::PaidFromBank => RefundStatus::Settled,
                };
                let changed = store::set_resolved(tx, &refund, status, &reason, actor, now).await?;
                let event = if status == RefundStatus::Failed { "refund.failed" } else { "refund.settled" };
                record(tx, &changed, Some(refund.status), event, actor, now).await?;
                idempotency::bind(tx, &request.key, "refund", id.uuid()).await?;
                let chart = payments::chart(book, refund.amount.currency);
                let mut journal = Journal::new(&app.keys);
                let booked = |kind, entries| Record {
                    kind,
                    source: refund.key,
                    subject: payment.key,
                    effective_at: now,
                    actor,
                    floors: Floors::Pass,
                    entries,
                };
                match decided {
                    Resolution::PaidFromBank => {
                        let settled = payments::refund_settled(chart, refund.amount.minor);
                        journal.add(booked(Kind::RefundSettled, settled));
                    }
                    Resolution::Reinstated => {
                        let shares = store::find_lines(tx, id).await?;
                        let lines = payments::find_lines(tx, payment.id).await?;
                        let has_failed = payment.status == PaymentStatus::Failed;
                        payments::give_up_refund(tx, &payment, &shares, now).await?;
                        transfers::schedule_rebalance(tx, payment.key, now).await?;
                        let given = payments::refund_reinstated(chart, &lines, &shares, payment.funds, has_failed);
                        journal.add(booked(Kind::RefundReinstated, given));
                        keep_again(tx, &refund, &payment, &lines, &shares, &mut journal, now).await?;
                    }
                }
                journal.post(tx).await?;
                Ok(Begun::Fresh(id))
            })
        })
        .await
}
