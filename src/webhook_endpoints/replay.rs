//! From events to deliveries: those that have just happened, and those that somebody wants again.

use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, Scope, Tx};

use super::state::{DeliveryReason, EndpointStatus};
use super::store::deliveries::{self, NewDelivery};
use super::store::endpoints as store;
use super::{DUE_KIND, Delivery, Endpoint, WebhookError, filter};
use crate::actor::Actor;
use crate::app::App;
use crate::due;
use crate::id::{DeliveryId, WebhookEndpointId};
use crate::outbox::{self, Announcement};

/// Most events that one replay takes, and most deliveries that it makes.
pub const MOST_REPLAYED: i64 = 10_000;
/// Events that are fanned out in one transaction.
const AT_ONCE: i64 = 256;

/// A range of events.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// Events that occurred then or later.
    pub from: Timestamp,
    /// Events that occurred before.
    pub before: Timestamp,
    /// For this endpoint only; none: for every one that is enabled.
    pub endpoint: Option<WebhookEndpointId>,
}

/// Makes the deliveries of one batch of the book's newest events; returns how many events that were.
///
/// # Errors
/// What the database says.
pub async fn fan_out(app: &Arc<App>, book: BookId) -> Result<usize, WebhookError> {
    let now = app.clock.now();
    app.db
        .run_tx("fan out events", Scope::Book(book), move |tx| {
            Box::pin(async move {
                let events = outbox::take_unannounced(tx, AT_ONCE).await?;
                let endpoints = store::list_enabled(tx, None).await?;
                deliver(tx, &events, &endpoints, DeliveryReason::Event, Actor::System, now).await?;
                Ok::<_, WebhookError>(events.len())
            })
        })
        .await
}

/// Makes a delivery of each event for each endpoint that wants it, due at once; returns how many. More than
/// [`MOST_REPLAYED`] are only made of events that happened.
async fn deliver(
    tx: &mut Tx,
    events: &[Announcement],
    endpoints: &[Endpoint],
    reason: DeliveryReason,
    actor: Actor,
    now: Timestamp,
) -> Result<usize, WebhookError> {
    let mut new = Vec::new();
    let mut addressed = Vec::new();
    for endpoint in endpoints {
        let before = new.len();
        let wanted = events.iter().filter(|event| filter::wants(&endpoint.events, &event.event_type));
        new.extend(wanted.map(|event| NewDelivery {
            id: DeliveryId::new(),
            endpoint: endpoint.id,
            event: event.id,
            reason,
        }));
        if new.len() > before {
            // One that hangs is left alone for a while, however much there is to tell.
            addressed.push((endpoint.key, endpoint.throttled_until.map_or(now, |until| until.max(now))));
        }
    }
    if reason != DeliveryReason::Event && new.len() > most_replayed() {
        return Err(WebhookError::RangeTooLarge { most: MOST_REPLAYED });
    }
    deliveries::insert(tx, &new, actor, now).await?;
    // In one order in every transaction, and last: the rows are locked until the commit.
    addressed.sort_unstable();
    for (key, at) in addressed {
        due::schedule(tx, DUE_KIND, key, at).await?;
    }
    Ok(new.len())
}

fn most_replayed() -> usize {
    usize::try_from(MOST_REPLAYED).expect("a small number")
}

/// Sends one event to one endpoint again, under the event's same id; a new delivery with a schedule of its own.
///
/// # Errors
/// [`WebhookError::DeliveryNotFound`]; [`WebhookError::NotEnabled`] also for an endpoint that was deleted.
pub async fn resend(app: &Arc<App>, book: BookId, id: DeliveryId, actor: Actor) -> Result<Delivery, WebhookError> {
    let (now, new) = (app.clock.now(), DeliveryId::new());
    app.db
        .run_tx("resend webhook", Scope::Book(book), move |tx| {
            Box::pin(async move {
                let old = deliveries::find_delivery(tx, id).await?.ok_or(WebhookError::DeliveryNotFound)?;
                let endpoint = store::find_for_update(tx, old.endpoint).await?;
                let endpoint = endpoint.filter(|endpoint| endpoint.status == EndpointStatus::Enabled);
                let endpoint = endpoint.ok_or(WebhookError::NotEnabled)?;
                let again =
                    NewDelivery { id: new, endpoint: old.endpoint, event: old.event, reason: DeliveryReason::Resend };
                deliveries::insert(tx, &[again], actor, now).await?;
                due::schedule(tx, DUE_KIND, endpoint.key, now).await?;
                deliveries::find_delivery(tx, new).await?.ok_or(WebhookError::DeliveryNotFound)
            })
        })
        .await
}

/// Sends the events of a range again to the endpoints that want them, all or, where the range has too many, none; returns
/// how many deliveries that makes.
///
/// # Errors
/// [`WebhookError::RangeEmpty`], [`WebhookError::RangeTooLarge`]; [`WebhookError::NotFound`] and
/// [`WebhookError::NotEnabled`] of the named endpoint.
pub async fn replay(app: &Arc<App>, book: BookId, range: Range, actor: Actor) -> Result<usize, WebhookError> {
    if range.before <= range.from {
        return Err(WebhookError::RangeEmpty);
    }
    let now = app.clock.now();
    app.db
        .run_tx("replay events", Scope::Book(book), move |tx| {
            Box::pin(async move {
                let endpoints = match range.endpoint {
                    None => store::list_enabled(tx, None).await?,
                    Some(id) => {
                        store::find(tx, id).await?.ok_or(WebhookError::NotFound)?;
                        let enabled = store::list_enabled(tx, Some(id)).await?;
                        if enabled.is_empty() {
                            return Err(WebhookError::NotEnabled);
                        }
                        enabled
                    }
                };
                let events = outbox::list_range(tx, range.from, range.before, MOST_REPLAYED + 1).await?;
                if events.len() > most_replayed() {
                    return Err(WebhookError::RangeTooLarge { most: MOST_REPLAYED });
                }
                deliver(tx, &events, &endpoints, DeliveryReason::Replay, actor, now).await
            })
        })
        .await
}
