//! Releasing the share of a line that waited, and telling how long it may be held.

use jiff::Timestamp;
use partita_db::Tx;
use partita_ledger::Floors;

use super::rule::{Ground, Turn};
use super::{LineRelease, ReleaseStatus, record, store};
use crate::actor::Actor;
use crate::chart::{Kind, SellerNumber};
use crate::id::SellerId;
use crate::journal::{Journal, Record};
use crate::payments::{Funds, Line, Payment, PaymentError, PaymentStatus, chart, entries, find_lines};
use crate::reserves;

/// What became of a line that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advanced {
    /// Its share is its seller's now.
    Released,
    /// Nothing is to be done before that time; none: until something else happens.
    Waits(Option<Timestamp>),
}

/// Does what is to be done with a line that waits: releases its share, or tells that it may not be held for much longer, or not any
/// longer. The payment is locked, and the line was read under its lock.
///
/// # Errors
/// What the database says.
pub async fn advance(
    tx: &mut Tx,
    payment: &Payment,
    mut release: LineRelease,
    actor: Actor,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<Advanced, PaymentError> {
    let lines = find_lines(tx, payment.id).await?;
    let line = lines.iter().find(|line| line.number == release.line).ok_or(PaymentError::LineNotFound)?;
    let seller = line.seller.ok_or(PaymentError::LineOfPlatform { line: line.number })?;
    let ground = Ground {
        is_usable: payment.funds == Funds::Available,
        has_failed: payment.status == PaymentStatus::Failed,
        share: line.share(),
    };
    loop {
        let status = Some(release.status);
        match release.turn(ground, now) {
            Turn::Wait(at) => return Ok(Advanced::Waits(at)),
            Turn::Warn => {
                let new = LineRelease { warned_at: Some(now), ..release };
                release = store::update(tx, &new, now).await?;
                record(tx, &release, status, "payment_line.limit_near", Actor::System, now).await?;
            }
            Turn::TellLimit => {
                let new = LineRelease { limit_told_at: Some(now), ..release };
                release = store::update(tx, &new, now).await?;
                record(tx, &release, status, "payment_line.limit_reached", Actor::System, now).await?;
            }
            Turn::Release => {
                let new = LineRelease {
                    status: ReleaseStatus::Released,
                    released_at: Some(now),
                    released_amount: Some(ground.share),
                    ..release
                };
                let released = store::update(tx, &new, now).await?;
                record(tx, &released, status, "payment_line.released", actor, now).await?;
                book(tx, payment, &released, (line, seller), actor, journal, now).await?;
                return Ok(Advanced::Released);
            }
        }
    }
}

async fn book(
    tx: &mut Tx,
    payment: &Payment,
    release: &LineRelease,
    (line, (seller, number)): (&Line, (SellerId, SellerNumber)),
    actor: Actor,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), PaymentError> {
    let share = line.share();
    journal.add(Record {
        kind: Kind::LineReleased,
        source: release.key,
        subject: payment.key,
        effective_at: now,
        actor,
        floors: Floors::Pass,
        entries: entries::shares_released(chart(tx.book_id(), payment.amount.currency), &[(number, share)]),
    });
    let (ground, of) = (payment.reserve_ground(), Some(line.number));
    Ok(reserves::shares_released(tx, &ground, of, &[(seller, share)], journal.keys(), now).await?)
}
