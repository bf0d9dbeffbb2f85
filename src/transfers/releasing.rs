//! Lines that wait meet transfers: a share that is released is sent.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, Scope, Tx};

use super::{HALTED_MINUTES, TransferError, schedule_rebalance};
use crate::actor::Actor;
use crate::app::App;
use crate::due;
use crate::id::PaymentId;
use crate::idempotency::{self, Begun};
use crate::journal::Journal;
use crate::payments::line_release::{self, Advanced, LineRelease, RELEASE_DUE_KIND};
use crate::payments::{self, Payment, PaymentError};
use crate::verify;

/// Releases the share of a line, from 0: now, or as many days after its delivery as its rule says, and never before the payment's
/// money is usable.
///
/// # Errors
/// [`TransferError::Payment`] with what [`line_release::ask`] says; nothing is stored then.
pub async fn release_line(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: idempotency::Request,
    (id, line): (PaymentId, i32),
    delivered_at: Option<Timestamp>,
) -> Result<Begun<PaymentId>, TransferError> {
    let now = app.clock.now();
    let app_in = Arc::clone(app);
    app.db
        .run_tx("release line", Scope::Book(book), move |tx| {
            let (app, request) = (Arc::clone(&app_in), request.clone());
            Box::pin(async move {
                let earlier = idempotency::claim_movement(tx, &request, now).await.map_err(PaymentError::from)?;
                if let Some(earlier) = earlier {
                    return Ok(earlier);
                }
                let payment = payments::find_for_update(tx, id).await?.ok_or(TransferError::PaymentNotFound)?;
                let asked = line_release::ask(tx, &payment, line, delivered_at, actor, now).await?;
                idempotency::bind(tx, &request.key, "payment", id.uuid()).await?;
                let (key, mut journal) = (asked.key, Journal::new(&app.keys));
                if let Some(at) = advance_in(tx, &payment, asked, actor, &mut journal, now).await? {
                    due::schedule(tx, RELEASE_DUE_KIND, key, at).await?;
                }
                journal.post(tx).await?;
                Ok(Begun::Fresh(id))
            })
        })
        .await
}

/// Looks at a line that waits: releases its share when its date has come, and tells how long it may be held. Returns when to look
/// again.
///
/// # Errors
/// [`TransferError`]; nothing is done then.
pub async fn advance_line(app: &Arc<App>, book: BookId, key: i64) -> Result<Option<Timestamp>, TransferError> {
    let now = app.clock.now();
    let app_in = Arc::clone(app);
    app.db
        .run_tx("look at line", Scope::Book(book), move |tx| {
            let app = Arc::clone(&app_in);
            Box::pin(async move {
                if verify::is_halted(tx).await? {
                    return Ok(Some(now + SignedDuration::from_mins(HALTED_MINUTES)));
                }
                let Some(found) = line_release::find_release_by_key(tx, key).await? else { return Ok(None) };
                let payment =
                    payments::find_for_update(tx, found.payment).await?.ok_or(TransferError::PaymentNotFound)?;
                let Some(release) = line_release::find_release_by_key(tx, key).await? else { return Ok(None) };
                let mut journal = Journal::new(&app.keys);
                let again = advance_in(tx, &payment, release, Actor::System, &mut journal, now).await?;
                journal.post(tx).await?;
                Ok(again)
            })
        })
        .await
}

async fn advance_in(
    tx: &mut Tx,
    payment: &Payment,
    release: LineRelease,
    actor: Actor,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<Option<Timestamp>, TransferError> {
    match line_release::advance(tx, payment, release, actor, journal, now).await? {
        Advanced::Released => {
            schedule_rebalance(tx, payment.key, now).await?;
            Ok(None)
        }
        Advanced::Waits(again) => Ok(again),
    }
}
