//! One turn of one endpoint: claim what is due, send it side by side, record what came of each.

use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, Scope};
use partita_webhooks::sending::schedule::{PATIENCE, Verdict, delay_after, verdict};
use partita_webhooks::sending::{Answer, DestinationError, Parcel, SendError};
use partita_webhooks::signing_key::SigningKey;
use partita_webhooks::standard_signature::{Message, SignError, sign};
use secrecy::ExposeSecret as _;

use super::endpoints::{column, disable};
use super::state::{DeliveryStatus, DisabledReason, EndpointStatus};
use super::store::claims::{self, Claimed};
use super::store::{deliveries, endpoints as store};
use super::{Attempt, Endpoint, WebhookError};
use crate::actor::Actor;
use crate::app::App;
use crate::crash;
use crate::id::random_bytes;
use crate::outbox::{self, Event, message};
use crate::telemetry::names;

/// Most deliveries that are under way to one endpoint, in all processes together.
pub const MOST_IN_FLIGHT: i64 = 8;
/// How long a worker may take for one delivery before another takes it; an attempt ends after 15 seconds.
const LEASE_SECONDS: i32 = 45;
/// How soon an endpoint is looked at again whose deliveries another worker holds, or held when it died.
const HELD_ELSEWHERE: SignedDuration = SignedDuration::from_secs(5);
/// How long an endpoint that does not answer in time is left alone, so that it cannot keep workers busy.
const AFTER_HANGING: SignedDuration = SignedDuration::from_secs(30);

/// What one turn sends.
struct Turn {
    endpoint: Endpoint,
    mode: String,
    keys: Vec<SigningKey>,
    /// What was claimed, each with its event.
    claimed: Vec<(Claimed, Event)>,
}

/// Does one turn of the endpoint of this number; returns when the next one is due, none when nothing is left.
///
/// # Errors
/// What the database says; [`WebhookError::Vault`] and [`WebhookError::Key`] when its secrets cannot be read, and then
/// nothing is claimed.
pub async fn take_turn(app: &Arc<App>, book: BookId, key: i64) -> Result<Option<Timestamp>, WebhookError> {
    if let Some(turn) = begin(app, book, key).await? {
        let turn = &turn;
        let attempts = turn.claimed.iter().map(|(claimed, event)| attempt(app, book, turn, claimed, event));
        for recorded in futures::future::join_all(attempts).await {
            // What could not be recorded is sent again when its lease has run out.
            recorded?;
        }
    }
    next_turn(app, book, key).await
}

async fn begin(app: &Arc<App>, book: BookId, key: i64) -> Result<Option<Turn>, WebhookError> {
    let (now, vault) = (app.clock.now(), app.vault.clone());
    app.db
        .run_tx("claim deliveries", Scope::Book(book), move |tx| {
            let vault = vault.clone();
            Box::pin(async move {
                let Some(endpoint) = store::find_by_key_for_update(tx, key).await? else { return Ok(None) };
                let is_throttled = endpoint.throttled_until.is_some_and(|until| until > now);
                if endpoint.status != EndpointStatus::Enabled || is_throttled {
                    return Ok(None);
                }
                let mut keys = Vec::new();
                for secret in store::secrets(tx, endpoint.id, now).await? {
                    let text = vault.open(column(secret.id), &secret.sealed)?;
                    keys.push(SigningKey::parse(text.expose_secret())?);
                }
                let claimed = claims::claim(tx, endpoint.id, now, LEASE_SECONDS, MOST_IN_FLIGHT).await?;
                let ids: Vec<_> = claimed.iter().map(|claimed| claimed.event.uuid()).collect();
                let events = outbox::find_events(tx, &ids).await?;
                let with_event = |claimed: Claimed| {
                    let event = events.iter().find(|event| event.id == claimed.event)?;
                    Some((claimed, event.clone()))
                };
                let claimed = claimed.into_iter().filter_map(with_event).collect();
                Ok::<_, WebhookError>(Some(Turn { mode: store::mode(tx).await?, endpoint, keys, claimed }))
            })
        })
        .await
}

async fn attempt(
    app: &Arc<App>,
    book: BookId,
    turn: &Turn,
    claimed: &Claimed,
    event: &Event,
) -> Result<(), WebhookError> {
    let (at, started) = (app.clock.now(), Instant::now());
    crash::point_of("before_send", event.event_type.split('.').take(1));
    let sent = send(app, turn, event, at).await;
    crash::point_of("after_send", event.event_type.split('.').take(1));
    let duration_ms = i32::try_from(started.elapsed().as_millis()).unwrap_or(i32::MAX);
    let outcome = outcome_of(&sent);
    let (answer, error) = match sent {
        Ok(answer) => (Some(answer), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let attempt = Attempt { number: claimed.attempt, at, duration_ms, answer, error };
    record(app, book, turn, *claimed, attempt, outcome).await
}

/// Why an attempt has no answer.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error(transparent)]
    Destination(#[from] DestinationError),
    #[error(transparent)]
    Sign(#[from] SignError),
    #[error(transparent)]
    Send(#[from] SendError),
}

async fn send(app: &Arc<App>, turn: &Turn, event: &Event, at: Timestamp) -> Result<Answer, Unanswered> {
    // Judged anew each time: what the operator allows may have changed since the endpoint was made.
    let destination = app.courier.destination(&turn.endpoint.url)?;
    let (id, body) = (event.id.to_string(), message(event, &turn.endpoint.api_version, &turn.mode));
    let signature = sign(&turn.keys, Message { id: &id, timestamp: at, body: &body })?;
    Ok(app.courier.send(Parcel { destination, id, timestamp: at, signature, body }, at).await?)
}

fn outcome_of(sent: &Result<Answer, Unanswered>) -> Verdict {
    match sent {
        Ok(answer) => verdict(answer.status, answer.retry_after),
        Err(error) => {
            let hangs = matches!(error, Unanswered::Send(SendError::TimedOut));
            Verdict::Failed { not_before: None, throttle: hangs.then_some(AFTER_HANGING) }
        }
    }
}

async fn record(
    app: &Arc<App>,
    book: BookId,
    turn: &Turn,
    claimed: Claimed,
    attempt: Attempt,
    outcome: Verdict,
) -> Result<(), WebhookError> {
    let (now, id, [jitter]) = (app.clock.now(), turn.endpoint.id, random_bytes());
    let status = app
        .db
        .run_tx("record delivery", Scope::Book(book), move |tx| {
            let attempt = attempt.clone();
            Box::pin(async move {
                let endpoint = store::find_for_update(tx, id).await?;
                let (status, next) = follow_up(outcome, &claimed, now, jitter);
                let ours = claims::conclude(tx, &claimed, status, next, now).await?;
                deliveries::insert_attempt(tx, claimed.id, &attempt).await?;
                if let Some(endpoint) = endpoint.filter(|endpoint| ours && endpoint.status == EndpointStatus::Enabled) {
                    note_health(tx, endpoint, outcome, now).await?;
                }
                Ok::<_, WebhookError>(status)
            })
        })
        .await?;
    let outcome = match (outcome, status) {
        (Verdict::Delivered, _) => "delivered",
        (Verdict::Gone, _) => "gone",
        (Verdict::Failed { .. }, DeliveryStatus::Failed) => "given_up",
        (Verdict::Failed { .. }, _) => "failed",
    };
    metrics::counter!(names::WEBHOOK_DELIVERIES, "outcome" => outcome).increment(1);
    Ok(())
}

/// What becomes of a delivery, and when it is tried again.
fn follow_up(outcome: Verdict, claimed: &Claimed, now: Timestamp, jitter: u8) -> (DeliveryStatus, Option<Timestamp>) {
    let not_before = match outcome {
        Verdict::Delivered => return (DeliveryStatus::Delivered, None),
        Verdict::Gone => return (DeliveryStatus::Failed, None),
        Verdict::Failed { not_before, .. } => not_before.unwrap_or(SignedDuration::ZERO),
    };
    match delay_after(claimed.attempt, jitter).filter(|_| claimed.reason.is_tried_again()) {
        Some(delay) => (DeliveryStatus::Pending, Some(now + delay.max(not_before))),
        None => (DeliveryStatus::Failed, None),
    }
}

/// Notes what an attempt says of its endpoint, whose row is locked.
async fn note_health(
    tx: &mut partita_db::Tx,
    endpoint: Endpoint,
    outcome: Verdict,
    now: Timestamp,
) -> Result<(), WebhookError> {
    match outcome {
        Verdict::Delivered => Ok(store::set_health(tx, endpoint.id, None, endpoint.throttled_until).await?),
        Verdict::Gone => disable(tx, endpoint, DisabledReason::Gone, Actor::System, now).await.map(drop),
        Verdict::Failed { throttle, .. } => {
            let since = endpoint.failing_since.unwrap_or(now);
            if now.duration_since(since) >= PATIENCE {
                return disable(tx, endpoint, DisabledReason::Failing, Actor::System, now).await.map(drop);
            }
            let until = throttle.map(|wait| now + wait).max(endpoint.throttled_until);
            Ok(store::set_health(tx, endpoint.id, Some(since), until).await?)
        }
    }
}

async fn next_turn(app: &Arc<App>, book: BookId, key: i64) -> Result<Option<Timestamp>, WebhookError> {
    let now = app.clock.now();
    app.db
        .run_tx("next delivery", Scope::Book(book), move |tx| {
            Box::pin(async move {
                let endpoint = store::find_by_key_for_update(tx, key).await?;
                let Some(endpoint) = endpoint.filter(|endpoint| endpoint.status == EndpointStatus::Enabled) else {
                    return Ok(None);
                };
                let left = claims::left(tx, endpoint.id).await?;
                let held = (left.sending > 0).then_some(now + HELD_ELSEWHERE);
                let next = [left.next, held].into_iter().flatten().min();
                Ok::<_, WebhookError>(next.map(|next| endpoint.throttled_until.map_or(next, |until| next.max(until))))
            })
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{DeliveryId, EventId};
    use crate::webhook_endpoints::DeliveryReason;

    fn claimed(attempt: i32, reason: DeliveryReason) -> Claimed {
        Claimed { id: DeliveryId::new(), event: EventId::new(), reason, attempt }
    }

    #[test]
    fn a_failure_is_tried_again_until_the_tenth() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().expect("a time");
        let failed = Verdict::Failed { not_before: None, throttle: None };
        let after = |attempt, reason| follow_up(failed, &claimed(attempt, reason), now, 0);
        let in_seconds = |seconds| (DeliveryStatus::Pending, Some(now + SignedDuration::from_secs(seconds)));
        assert_eq!(after(1, DeliveryReason::Event), in_seconds(5));
        assert_eq!(after(2, DeliveryReason::Resend), in_seconds(300));
        assert_eq!(after(9, DeliveryReason::Replay), in_seconds(24 * 3_600));
        assert_eq!(after(10, DeliveryReason::Event), (DeliveryStatus::Failed, None));
        assert_eq!(after(1, DeliveryReason::Test), (DeliveryStatus::Failed, None));
    }

    #[test]
    fn a_wish_to_wait_makes_the_delay_longer_never_shorter() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().expect("a time");
        let asked = |seconds| Verdict::Failed { not_before: Some(SignedDuration::from_secs(seconds)), throttle: None };
        let next = |outcome| follow_up(outcome, &claimed(2, DeliveryReason::Event), now, 0).1.expect("again");
        assert_eq!(next(asked(900)), now + SignedDuration::from_secs(900));
        assert_eq!(next(asked(1)), now + SignedDuration::from_secs(300));
    }

    #[test]
    fn an_endpoint_that_hangs_is_left_alone_for_a_while() {
        let failed = |throttle| Verdict::Failed { not_before: None, throttle };
        assert_eq!(outcome_of(&Err(SendError::TimedOut.into())), failed(Some(AFTER_HANGING)));
        assert_eq!(outcome_of(&Err(SendError::NotConnected("nobody listens".to_owned()).into())), failed(None));
    }

    #[test]
    fn success_and_gone_are_final() {
        let now = Timestamp::UNIX_EPOCH;
        let one = claimed(1, DeliveryReason::Event);
        assert_eq!(follow_up(Verdict::Delivered, &one, now, 0), (DeliveryStatus::Delivered, None));
        assert_eq!(follow_up(Verdict::Gone, &one, now, 0), (DeliveryStatus::Failed, None));
    }
}
