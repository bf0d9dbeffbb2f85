//! Lines whose share is not released with the payment's money, but some days after that or after delivery, or when the platform
//! says so.
//!
//! 1. [`plan`]: a cart's lines say it, or the platform's declaration does; what holds of it is copied to each line that waits.
//! 2. Until it is released, the share stands in `sel.X.pending`, and everything that is taken from it is taken there.
//! 3. [`advance()`] releases it when its date has come, tells once that it may not be held for much longer, and once that it
//!    may not any longer. [`hold`] keeps it until [`ask`] lets it go; what was released stays so.
//!
//! A line that waits for nothing has no row here.

mod advance;
mod declare;
mod rule;
mod store;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, DbError, Keys, Scope, Tx};

pub use advance::{Advanced, advance};
pub use declare::declare_release_policy;
pub use rule::{AtLimit, ReleaseFrom, ReleasePolicy, ReleaseRule, ReleaseStatus};
pub use store::{WaitingMoney, find_release_by_key, find_release_policy, list_releases, waiting_of, waiting_sum_of};

use super::{ChargeType, Funds, Line, NewPayment, Payment, PaymentError, PaymentStatus, Standing};
use crate::actor::Actor;
use crate::app::App;
use crate::due;
use crate::id::{LineReleaseId, PaymentId, SellerId};
use crate::idempotency::{self, Begun};
use crate::outbox::{self, Change};
use crate::sellers::{self, Seller};

/// The kind of `due` rows that name lines that wait.
pub const RELEASE_DUE_KIND: &str = "line_release";

/// A line whose share waits by itself, and what became of it.
#[derive(Debug, Clone)]
pub struct LineRelease {
    /// Its id.
    pub id: LineReleaseId,
    /// Its number: the source of its booking.
    pub key: i64,
    /// Of which payment.
    pub payment: PaymentId,
    /// Of which of its lines, from 0.
    pub line: i32,
    /// Whose share it is.
    pub seller: SellerId,
    /// When it is released.
    pub rule: ReleaseRule,
    /// Where it stands.
    pub status: ReleaseStatus,
    /// Why a person holds it.
    pub reason: Option<String>,
    /// When it was delivered, as the platform tells it.
    pub delivered_at: Option<Timestamp>,
    /// When it is released, but not before the payment's money is usable; none while that is not known.
    pub release_at: Option<Timestamp>,
    /// For how many days after the charge it may be held.
    pub longest_hold_days: i32,
    /// How many days before that it is told.
    pub warn_days: i32,
    /// What happens then.
    pub at_limit: AtLimit,
    /// Until when it may be held; none before the charge.
    pub limit_at: Option<Timestamp>,
    /// When it was told that this is near.
    pub warned_at: Option<Timestamp>,
    /// When it was told that it has passed.
    pub limit_told_at: Option<Timestamp>,
    /// When it was released.
    pub released_at: Option<Timestamp>,
    /// What of it became usable then; minor units, signed.
    pub released_amount: Option<i64>,
    /// How often it changed.
    pub sequence: i32,
    /// When it began to wait, by the business clock.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A line of a new cart that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    line: i32,
    seller: SellerId,
    rule: ReleaseRule,
    longest_hold_days: i32,
}

/// The lines of a new cart that wait, and what is declared.
#[derive(Debug)]
pub(super) struct Plan {
    policy: ReleasePolicy,
    waiting: Vec<Waiting>,
}

/// Decides which lines of a priced cart wait, and marks them.
pub(super) async fn plan(
    tx: &mut Tx,
    input: &NewPayment,
    lines: &mut [Line],
    sellers: &HashMap<SellerId, Seller>,
) -> Result<Plan, PaymentError> {
    let policy = store::find_release_policy(tx).await?;
    let mut waiting = Vec::new();
    for (index, (line, new)) in lines.iter_mut().zip(&input.lines).enumerate() {
        let Some((id, _)) = line.seller else { continue };
        let rule = new.release.unwrap_or(policy.rule);
        if !rule.waits() {
            continue;
        }
        let seller = sellers.get(&id).ok_or(PaymentError::UnknownSeller { line: index })?;
        let longest_hold_days = policy.longest_hold(&seller.country);
        if new.release.is_some() && rule.after_days > longest_hold_days {
            return Err(PaymentError::ReleasedAfterLimit { line: index, longest: longest_hold_days });
        }
        line.standing = Standing::Waiting;
        waiting.push(Waiting { line: line.number, seller: id, rule, longest_hold_days });
    }
    Ok(Plan { policy, waiting })
}

/// Stores the lines of a new payment that wait.
pub(super) async fn insert(
    tx: &mut Tx,
    payment: &Payment,
    plan: &Plan,
    keys: &Keys,
    actor: Actor,
    now: Timestamp,
) -> Result<(), PaymentError> {
    for waiting in &plan.waiting {
        let key = keys.next(tx).await?;
        let new = new_release(key, payment, &plan.policy, waiting, now);
        store::insert(tx, &new).await?;
        record(tx, &new, None, "payment_line.waiting", actor, now).await?;
    }
    Ok(())
}

fn new_release(key: i64, payment: &Payment, policy: &ReleasePolicy, waiting: &Waiting, now: Timestamp) -> LineRelease {
    LineRelease {
        id: LineReleaseId::new(),
        key,
        payment: payment.id,
        line: waiting.line,
        seller: waiting.seller,
        rule: waiting.rule,
        status: ReleaseStatus::Waiting,
        reason: None,
        delivered_at: None,
        release_at: None,
        longest_hold_days: waiting.longest_hold_days,
        warn_days: policy.warn_days,
        at_limit: policy.at_limit,
        limit_at: None,
        warned_at: None,
        limit_told_at: None,
        released_at: None,
        released_amount: None,
        sequence: 1,
        created_at: now,
        updated_at: now,
    }
}

/// The buyer was charged, or the money became usable: the dates that count from then are known, and every line that waits is
/// looked at.
pub(super) async fn follow(tx: &mut Tx, payment: &Payment, lines: &[Line], now: Timestamp) -> Result<(), DbError> {
    if !lines.iter().any(|line| line.standing == Standing::Waiting) {
        return Ok(());
    }
    let keys = store::set_dates(tx, payment.id, payment.funds == Funds::Available, now).await?;
    due::schedule_all(tx, RELEASE_DUE_KIND, &keys, now).await
}

/// Holds the share of a line until a person releases it.
///
/// # Errors
/// [`PaymentError::LineNotFound`]; [`PaymentError::LineOfPlatform`] and [`PaymentError::LineIsSent`] for lines of which nothing can
/// be held; [`PaymentError::WrongState`] and [`PaymentError::LineState`] in states that do not allow it; nothing is stored then.
pub async fn hold(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: idempotency::Request,
    (id, number): (PaymentId, i32),
    reason: Option<String>,
) -> Result<Begun<PaymentId>, PaymentError> {
    let now = app.clock.now();
    let (app_in, reason) = (Arc::clone(app), Arc::new(reason));
    app.db
        .run_tx("hold line", Scope::Book(book), move |tx| {
            let (app, request, reason) = (Arc::clone(&app_in), request.clone(), Arc::clone(&reason));
            Box::pin(async move {
                if let Some(earlier) = idempotency::claim(tx, &request, now).await? {
                    return Ok(earlier);
                }
                let payment = super::find_for_update(tx, id).await?.ok_or(PaymentError::NotFound)?;
                let line = line_of(tx, &payment, number, "held").await?;
                let found = store::find_release(tx, id, number).await?;
                let status = found.as_ref().map_or_else(|| unheld(&payment), |found| found.status);
                if status != ReleaseStatus::Waiting {
                    return Err(PaymentError::LineState { line: number, status, action: "held" });
                }
                idempotency::bind(tx, &request.key, "payment", id.uuid()).await?;
                let held = match found {
                    Some(found) => {
                        let new = LineRelease {
                            status: ReleaseStatus::Held,
                            reason: (*reason).clone(),
                            release_at: None,
                            ..found
                        };
                        store::update(tx, &new, now).await?
                    }
                    None => begin_to_hold(tx, &payment, &line, (*reason).clone(), &app.keys, now).await?,
                };
                let before = (held.sequence > 1).then_some(status);
                record(tx, &held, before, "payment_line.held", actor, now).await?;
                due::schedule(tx, RELEASE_DUE_KIND, held.key, now).await?;
                Ok(Begun::Fresh(id))
            })
        })
        .await
}

/// A line that waited for nothing begins to be held.
async fn begin_to_hold(
    tx: &mut Tx,
    payment: &Payment,
    line: &Line,
    reason: Option<String>,
    keys: &Keys,
    now: Timestamp,
) -> Result<LineRelease, PaymentError> {
    let (seller, _) = line.seller.ok_or(PaymentError::LineOfPlatform { line: line.number })?;
    let sellers = sellers::find_by_ids(tx, &[seller]).await?;
    let country = sellers.first().map_or("", |seller| seller.country.as_str());
    let policy = store::find_release_policy(tx).await?;
    let longest_hold_days = policy.longest_hold(country);
    let waiting = Waiting { line: line.number, seller, rule: ReleaseRule::AT_ONCE, longest_hold_days };
    let key = keys.next(tx).await?;
    let charged_at = store::charged_at(tx, payment.id).await?;
    let new = LineRelease {
        status: ReleaseStatus::Held,
        reason,
        limit_at: charged_at.map(|at| rule::days_after(at, longest_hold_days)),
        ..new_release(key, payment, &policy, &waiting, now)
    };
    store::insert(tx, &new).await?;
    Ok(new)
}

/// Takes the platform's word that a line's share may go: now, or as many days after its delivery as its rule says. The payment is
/// locked; [`advance()`] releases it.
///
/// # Errors
/// As [`hold`]; [`PaymentError::DeliveredLater`] for a delivery that is still to come or was before the payment.
pub async fn ask(
    tx: &mut Tx,
    payment: &Payment,
    number: i32,
    delivered_at: Option<Timestamp>,
    actor: Actor,
    now: Timestamp,
) -> Result<LineRelease, PaymentError> {
    line_of(tx, payment, number, "released").await?;
    if delivered_at.is_some_and(|at| at > now || at < payment.created_at) {
        return Err(PaymentError::DeliveredLater);
    }
    let refused = |status| PaymentError::LineState { line: number, status, action: "released" };
    let found = store::find_release(tx, payment.id, number).await?.ok_or_else(|| refused(unheld(payment)))?;
    if found.status == ReleaseStatus::Released {
        return Err(refused(found.status));
    }
    let before = found.status;
    let new = LineRelease {
        status: ReleaseStatus::Waiting,
        release_at: Some(delivered_at.map_or(now, |at| rule::days_after(at, found.rule.after_days))),
        delivered_at: delivered_at.or(found.delivered_at),
        ..found
    };
    let asked = store::update(tx, &new, now).await?;
    record(tx, &asked, Some(before), "payment_line.scheduled", actor, now).await?;
    Ok(asked)
}

/// Where a line stands that has no row: with the payment's money.
fn unheld(payment: &Payment) -> ReleaseStatus {
    if payment.funds == Funds::Available { ReleaseStatus::Released } else { ReleaseStatus::Waiting }
}

/// A line of a locked payment, if anything of it can wait.
async fn line_of(tx: &mut Tx, payment: &Payment, number: i32, action: &'static str) -> Result<Line, PaymentError> {
    let lines = super::find_lines(tx, payment.id).await?;
    let line = lines.into_iter().find(|line| line.number == number).ok_or(PaymentError::LineNotFound)?;
    if line.seller.is_none() {
        return Err(PaymentError::LineOfPlatform { line: number });
    }
    if payment.charge_type != ChargeType::Separate {
        return Err(PaymentError::LineIsSent { line: number });
    }
    if matches!(payment.status, PaymentStatus::Failed | PaymentStatus::Canceled) {
        return Err(PaymentError::WrongState { action, status: payment.status });
    }
    Ok(line)
}

async fn record(
    tx: &mut Tx,
    release: &LineRelease,
    from: Option<ReleaseStatus>,
    event: &'static str,
    actor: Actor,
    now: Timestamp,
) -> Result<(), PaymentError> {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let change = Change {
        object_type: "payment_line",
        object_id: release.id.uuid(),
        sequence: release.sequence,
        from: from.map(ReleaseStatus::as_str),
        to: release.status.as_str(),
        event,
        payload: serde_json::json!({
            "object": "payment_line", "id": release.id, "payment": release.payment, "line": release.line,
            "seller": release.seller, "status": release.status.as_str(), "from": release.rule.from.as_str(),
            "after_days": release.rule.after_days, "delivered_at": time(release.delivered_at),
            "release_at": time(release.release_at), "limit_at": time(release.limit_at),
            "at_limit": release.at_limit.as_str(), "released_amount": release.released_amount,
        }),
        actor,
        detail: release.reason.clone().filter(|_| event == "payment_line.held"),
        at: now,
    };
    Ok(outbox::record(tx, &change).await?)
}
