//! One turn of one endpoint: claim what is due, send it side by side, record what came of each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
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

/// How long a turn goes on with what is due. With an attempt's fifteen seconds it ends before its lease in `due` does.
const GOES_ON: Duration = Duration::from_secs(10);

/// What one turn sends at once.
struct Turn {
    endpoint: Endpoint,
    mode: String,
    keys: Vec<SigningKey>,
    /// What was claimed, each with its event.
    claimed: Vec<(Claimed, Event)>,
}

/// Does one turn of the endpoint of this number; returns when the next one is due, none when nothing is left. What is due
/// by then goes out too, for a while, so that an endpoint with much to get does not wait for its next turn.
///
/// # Errors
/// What the database says; [`WebhookError::Vault`] and [`WebhookError::Key`] when its secrets cannot be read, and then
/// nothing is claimed.
pub async fn take_turn(app: &Arc<App>, book: BookId, key: i64) -> Result<Option<Timestamp>, WebhookError> {
    let began = Instant::now();
    while began.elapsed() < GOES_ON {
        let turn = begin(app, book, key).await?.filter(|turn| !turn.claimed.is_empty());
        let Some(turn) = &turn else { break };
        let attempts = turn.claimed.iter().map(|(claimed, event)| attempt(app, turn, claimed, event));
        let mut ended = attempts.collect::<FuturesUnordered<_>>().ready_chunks(turn.claimed.len());
        let mut recorded = Ok(());
        while let Some(together) = ended.next().await {
            recorded = recorded.and(record(app, book, turn, together).await);
        }
        // What could not be recorded is sent again when its lease has run out.
        recorded?;
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

/// An attempt that was made, and what follows of it.
#[derive(Clone)]
struct Ended {
    claimed: Claimed,
    attempt: Attempt,
    verdict: Verdict,
}

async fn attempt(app: &Arc<App>, turn: &Turn, claimed: &Claimed, event: &Event) -> Ended {
    let (at, started) = (app.clock.now(), Instant::now());
    crash::point_of("before_send", event.event_type.split('.').take(1));
    let sent = send(app, turn, event, at).await;
    crash::point_of("after_send", event.event_type.split('.').take(1));
    let duration_ms = i32::try_from(started.elapsed().as_millis()).unwrap_or(i32::MAX);
    let verdict = outcome_of(&sent);
    let (answer, error) = match sent {
        Ok(answer) => (Some(answer), None),
        Err(error) => (None, Some(error.to_string())),
    };
    Ended { claimed: *claimed, attempt: Attempt { number: claimed.attempt, at, duration_ms, answer, error }, verdict }
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

/// Records attempts that ended together, in one transaction. The endpoint's row, which every turn of it wants, is locked
/// only when the attempts say something new of it.
async fn record(app: &Arc<App>, book: BookId, turn: &Turn, together: Vec<Ended>) -> Result<(), WebhookError> {
    let (now, id, [jitter]) = (app.clock.now(), turn.endpoint.id, random_bytes());
    let is_well = |ended: &Ended| ended.verdict == Verdict::Delivered;
    let nothing_new = turn.endpoint.failing_since.is_none() && together.iter().all(is_well);
    let statuses = app
        .db
        .run_tx("record deliveries", Scope::Book(book), move |tx| {
            let together = together.clone();
            Box::pin(async move {
                let endpoint = if nothing_new { None } else { store::find_for_update(tx, id).await? };
                let mut endpoint = endpoint.filter(|endpoint| endpoint.status == EndpointStatus::Enabled);
                let mut statuses = Vec::with_capacity(together.len());
                for Ended { claimed, attempt, verdict } in &together {
                    let (status, next) = follow_up(*verdict, claimed, now, jitter);
                    let ours = claims::conclude(tx, claimed, status, next, now).await?;
                    deliveries::insert_attempt(tx, claimed.id, attempt).await?;
                    if ours && let Some(healthy) = endpoint.take() {
                        endpoint = note_health(tx, healthy, *verdict, now).await?;
                    }
                    statuses.push((*verdict, status));
                }
                Ok::<_, WebhookError>(statuses)
            })
        })
        .await?;
    for outcome in statuses {
        let outcome = match outcome {
            (Verdict::Delivered, _) => "delivered",
            (Verdict::Gone, _) => "gone",
            (Verdict::Failed { .. }, DeliveryStatus::Failed) => "given_up",
            (Verdict::Failed { .. }, _) => "failed",
        };
        metrics::counter!(names::WEBHOOK_DELIVERIES, "outcome" => outcome).increment(1);
    }
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

/// Notes what an attempt says of its endpoint, whose row is locked; returns the endpoint unless it is disabled now.
async fn note_health(
    tx: &mut partita_db::Tx,
    endpoint: Endpoint,
    outcome: Verdict,
    now: Timestamp,
) -> Result<Option<Endpoint>, WebhookError> {
    let (failing_since, throttled_until) = match outcome {
        Verdict::Delivered => (None, endpoint.throttled_until),
        Verdict::Gone => {
            disable(tx, endpoint, DisabledReason::Gone, Actor::System, now).await?;
            return Ok(None);
        }
        Verdict::Failed { throttle, .. } => {
            let since = endpoint.failing_since.unwrap_or(now);
            if now.duration_since(since) >= PATIENCE {
                disable(tx, endpoint, DisabledReason::Failing, Actor::System, now).await?;
                return Ok(None);
            }
            (Some(since), throttle.map(|wait| now + wait).max(endpoint.throttled_until))
        }
    };
    if (failing_since, throttled_until) != (endpoint.failing_since, endpoint.throttled_until) {
        store::set_health(tx, endpoint.id, failing_since, throttled_until).await?;
    }
    Ok(Some(Endpoint { failing_since, throttled_until, ..endpoint }))
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
