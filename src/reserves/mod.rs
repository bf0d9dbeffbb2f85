//! Reserves: what of sellers' money is kept back against refunds and disputes, by rule or by hand.
//!
//! 1. [`shares_released`]: when a payment's shares become usable, the declared rules say what is to be kept back of them.
//! 2. [`take`]: the rule of transfers puts that in before it sends anything, as far as the seller has it.
//! 3. [`draw`]: a refund, a dispute or a late failure of the very payment uses its reserve first; [`restore`] puts back what
//!    that did not need in the end.
//! 4. [`release`]: on its date, or by hand, what is left goes back to what the seller can be sent.
//!
//! Every step is of one payment and booked under it: what a seller has of a payment is its share, less what is kept back of
//! it. So nothing that is kept back is sent, and nothing is missing that is only kept back.

pub mod entries;
mod error;
mod keeping;
mod rules;
mod store;

use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, DbError, Scope, Tx};
use partita_provider::Money;

pub use error::ReserveError;
pub use keeping::{Ground, draw, is_over, release, restore, shares_released, take};
pub use rules::{Declared, Rolling, Rules};
pub use store::{
    Held, ListFilter, Part, Step, find, find_by_key_for_update, find_declared, held_of, list, list_held, list_next,
    list_parts, list_steps, steps_of,
};

use crate::actor::Actor;
use crate::app::App;
use crate::chart::SellerNumber;
use crate::due;
use crate::id::{PaymentId, ReserveId, SellerId};
use crate::idempotency::{self, Begun};
use crate::outbox::{self, Change, Declaration};
use crate::words::words;

/// The kind of `due` rows that name reserves to be filled or released.
pub const DUE_KIND: &str = "reserve";

words! {
    /// Why something is kept back.
    ReserveKind {
        /// By a rule: a part of one share, until a date.
        Rolling = "rolling",
        /// By a rule: sales fill it up to an amount, as long as the rule holds.
        Fixed = "fixed",
        /// By a person: sales fill it up to an amount, until a date.
        Manual = "manual",
    }

    /// Where a reserve stands.
    ReserveStatus {
        /// It keeps what is in it, and is filled.
        Open = "open",
        /// What is left goes back to the seller.
        Releasing = "releasing",
        /// It holds nothing any more.
        Released = "released",
    }

    /// What happens to a reserve's money.
    StepKind {
        /// Put in.
        Take = "take",
        /// Used for a refund, a dispute or a late failure.
        Draw = "draw",
        /// Put back, as that did not stay.
        Restore = "restore",
        /// Given back to the seller.
        Release = "release",
    }
}

/// What of a seller's money is kept back.
#[derive(Debug, Clone)]
pub struct Reserve {
    /// Its id.
    pub id: ReserveId,
    /// Its number.
    pub key: i64,
    /// Whose money it is.
    pub seller: SellerId,
    /// How ledger account keys name the seller.
    pub number: SellerNumber,
    /// Of which payment's share; none where any sale fills it.
    pub payment: Option<PaymentId>,
    /// Why it is kept back.
    pub kind: ReserveKind,
    /// The declaration that a rule stands in.
    pub policy_version: Option<i32>,
    /// How much is to be kept back.
    pub amount: Money,
    /// Where it stands.
    pub status: ReserveStatus,
    /// What was put in; minor units.
    pub taken: i64,
    /// What refunds, disputes and late failures used; minor units.
    pub drawn: i64,
    /// What was given back; minor units.
    pub released: i64,
    /// Why, in a person's words.
    pub reason: Option<String>,
    /// When it is given back; none: when its rule ends.
    pub release_at: Option<Timestamp>,
    /// Who made it.
    pub created_by: String,
    /// How often it changed.
    pub sequence: i32,
    /// When it was made, by the business clock.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Reserve {
    /// What is in it; minor units.
    pub fn held(&self) -> i64 {
        self.taken - self.drawn - self.released
    }

    /// What may still be put in; minor units. What was used of a fixed reserve is filled again, of others not.
    pub fn room(&self) -> i64 {
        let filled = if self.kind == ReserveKind::Fixed { self.held() } else { self.taken };
        if self.status == ReserveStatus::Open { (self.amount.minor - filled).max(0) } else { 0 }
    }
}

/// What a person wants to be kept back.
#[derive(Debug, Clone)]
pub struct NewReserve {
    /// Of whose money.
    pub seller: SellerId,
    /// Up to how much.
    pub amount: Money,
    /// Why.
    pub reason: String,
    /// Until when.
    pub release_at: Timestamp,
}

/// Makes a reserve by hand: the worker fills it with what the seller has, and with later sales.
///
/// # Errors
/// [`ReserveError`]; nothing is stored then.
pub async fn create(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: idempotency::Request,
    new: NewReserve,
) -> Result<Begun<ReserveId>, ReserveError> {
    let now = app.clock.now();
    if new.release_at <= now {
        return Err(ReserveError::ReleasedBeforeMade);
    }
    let (app_in, new) = (Arc::clone(app), Arc::new(new));
    app.db
        .run_tx("create reserve", Scope::Book(book), move |tx| {
            let (app, new, request) = (Arc::clone(&app_in), Arc::clone(&new), request.clone());
            Box::pin(async move {
                if let Some(earlier) = idempotency::claim_movement(tx, &request, now).await? {
                    return Ok(earlier);
                }
                let currency = store::find_seller(tx, new.seller).await?.ok_or(ReserveError::SellerNotFound)?;
                if currency != new.amount.currency {
                    return Err(ReserveError::SellerCurrency { seller: currency });
                }
                let key = app.keys.next(tx).await?;
                let made = store::NewRow {
                    seller: new.seller,
                    kind: ReserveKind::Manual,
                    amount: new.amount,
                    payment: None,
                    line: None,
                    policy_version: None,
                    reason: Some(new.reason.clone()),
                    release_at: Some(new.release_at),
                };
                let reserve = store::insert(tx, key, &made, actor, now).await?.ok_or(ReserveError::Overtaken)?;
                idempotency::bind(tx, &request.key, "reserve", reserve.id.uuid()).await?;
                record(tx, &reserve, None, "reserve.created", actor, None, now).await?;
                due::schedule(tx, DUE_KIND, key, now).await?;
                Ok(Begun::Fresh(reserve.id))
            })
        })
        .await
}

/// Has a reserve given back before its time; the worker does it, payment by payment.
///
/// # Errors
/// [`ReserveError::NotOpen`] where that is done or under way; nothing is stored then.
pub async fn release_by_hand(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: idempotency::Request,
    id: ReserveId,
    reason: String,
) -> Result<Begun<ReserveId>, ReserveError> {
    let now = app.clock.now();
    let reason = Arc::new(reason);
    app.db
        .run_tx("release reserve by hand", Scope::Book(book), move |tx| {
            let (request, reason) = (request.clone(), Arc::clone(&reason));
            Box::pin(async move {
                if let Some(earlier) = idempotency::claim_movement(tx, &request, now).await? {
                    return Ok(earlier);
                }
                let reserve = store::find_for_update(tx, id).await?.ok_or(ReserveError::NotFound)?;
                if reserve.status != ReserveStatus::Open {
                    return Err(ReserveError::NotOpen { status: reserve.status });
                }
                idempotency::bind(tx, &request.key, "reserve", id.uuid()).await?;
                begin_release(tx, &reserve, actor, Some(reason.to_string()), now).await?;
                Ok(Begun::Fresh(id))
            })
        })
        .await
}

/// From now on what is left of a locked reserve goes back to the seller.
///
/// # Errors
/// What the database says.
pub async fn begin_release(
    tx: &mut Tx,
    reserve: &Reserve,
    actor: Actor,
    reason: Option<String>,
    now: Timestamp,
) -> Result<Reserve, ReserveError> {
    let new = Reserve { status: ReserveStatus::Releasing, ..reserve.clone() };
    let changed = store::update(tx, &new, now).await?;
    record(tx, &changed, Some(reserve.status), "reserve.releasing", actor, reason, now).await?;
    due::schedule(tx, DUE_KIND, reserve.key, now).await?;
    Ok(changed)
}

/// Brings a locked fixed reserve to what its rule says now; one whose rule has ended is given back.
///
/// # Errors
/// What the database says.
pub async fn follow_rule(tx: &mut Tx, reserve: &Reserve, now: Timestamp) -> Result<Reserve, ReserveError> {
    let wanted = find_declared(tx, reserve.seller).await?.rules.fixed_in(reserve.amount.currency);
    if wanted == 0 {
        return begin_release(tx, reserve, Actor::System, None, now).await;
    }
    if wanted == reserve.amount.minor {
        return Ok(reserve.clone());
    }
    let new = Reserve { amount: Money::new(wanted, reserve.amount.currency), ..reserve.clone() };
    let changed = store::update(tx, &new, now).await?;
    record(tx, &changed, Some(reserve.status), "reserve.changed", Actor::System, None, now).await?;
    Ok(changed)
}

/// Declares what is kept back from now on: of one seller, or of all that have no declaration of their own. Without rules, a
/// seller has none of its own any more. Fixed reserves follow at once, shares that were released before keep theirs.
///
/// # Errors
/// [`ReserveError::SellerNotFound`].
pub async fn declare(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    seller: Option<SellerId>,
    rules: Option<Rules>,
) -> Result<Declared, ReserveError> {
    let now = app.clock.now();
    let rules = Arc::new(rules);
    app.db
        .run_tx("declare reserve policy", Scope::Book(book), move |tx| {
            let rules = Arc::clone(&rules);
            Box::pin(async move {
                if let Some(id) = seller {
                    store::find_seller(tx, id).await?.ok_or(ReserveError::SellerNotFound)?;
                }
                outbox::lock_declaration(tx, Declaration::ReservePolicy).await?;
                store::insert_policy(tx, seller, (*rules).as_ref(), actor, now).await?;
                let payload = told(seller, (*rules).as_ref());
                outbox::record_declaration(tx, Declaration::ReservePolicy, payload, actor, None, now).await?;
                store::schedule_fixed(tx, DUE_KIND, seller, now).await?;
                Ok(match seller {
                    Some(id) => find_declared(tx, id).await?,
                    None => store::find_declared_for_all(tx).await?,
                })
            })
        })
        .await
}

/// A declaration, as its event has it. Without rules: the seller has none of its own any more.
fn told(seller: Option<SellerId>, rules: Option<&Rules>) -> serde_json::Value {
    let rolling = rules.and_then(|rules| rules.rolling);
    let fixed = |amount: &Money| serde_json::json!({"amount": amount.minor, "currency": amount.currency});
    serde_json::json!({
        "object": "reserve_policy", "seller": seller, "inherits": rules.is_none(),
        "rolling": rolling.map(|one| serde_json::json!({"percent_bps": one.percent_bps, "hold_days": one.hold_days})),
        "fixed": rules.map(|rules| rules.fixed.iter().map(fixed).collect::<Vec<_>>()).unwrap_or_default(),
    })
}

/// What holds: for a seller, or for all that have no declaration of their own.
///
/// # Errors
/// [`ReserveError::SellerNotFound`].
pub async fn declared(tx: &mut Tx, seller: Option<SellerId>) -> Result<Declared, ReserveError> {
    let Some(id) = seller else { return Ok(store::find_declared_for_all(tx).await?) };
    store::find_seller(tx, id).await?.ok_or(ReserveError::SellerNotFound)?;
    Ok(find_declared(tx, id).await?)
}

async fn record(
    tx: &mut Tx,
    reserve: &Reserve,
    from: Option<ReserveStatus>,
    event: &'static str,
    actor: Actor,
    detail: Option<String>,
    now: Timestamp,
) -> Result<(), DbError> {
    let change = Change {
        object_type: "reserve",
        object_id: reserve.id.uuid(),
        sequence: reserve.sequence,
        from: from.map(ReserveStatus::as_str),
        to: reserve.status.as_str(),
        event,
        payload: serde_json::json!({
            "object": "reserve", "id": reserve.id, "seller": reserve.seller, "payment": reserve.payment,
            "kind": reserve.kind.as_str(), "status": reserve.status.as_str(), "amount": reserve.amount.minor,
            "currency": reserve.amount.currency, "held": reserve.held(), "drawn": reserve.drawn,
            "released": reserve.released, "release_at": reserve.release_at.map(|at| at.to_string()),
        }),
        actor,
        detail,
        at: now,
    };
    outbox::record(tx, &change).await
}
