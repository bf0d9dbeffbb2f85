//! Webhooks: signed as Stripe signs, sent until answered 2xx (docs.stripe.com/webhooks).
//!
//! The signature is written here on its own, so that a shared mistake in a verifier cannot cancel itself out.

use std::time::Duration;

use futures::StreamExt;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::app::App;
use crate::dice;
use crate::error::ApiError;
use crate::settings::DAY;

/// Seconds until the next attempt, by attempts made; the last one repeats.
const BACKOFF_SECONDS: [i64; 8] = [10, 60, 300, 1_800, 7_200, 18_000, 36_000, 36_000];

/// After this many seconds no more attempts are made.
const GIVE_UP_SECONDS: i64 = 3 * DAY;

/// How long an endpoint may take to answer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Where events are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Endpoint {
    /// Id, as `we_..`.
    pub id: String,
    /// Address that events are posted to.
    pub url: String,
    /// Signing secret, as `whsec_..`; the whole text is the key.
    pub secret: String,
    /// Whether it hears of connected accounts; otherwise of the platform's own.
    pub connect: bool,
    /// Event types, `*` for all.
    pub enabled_events: Vec<String>,
}

impl Endpoint {
    /// Whether an event of this type, on a connected account or the platform's, is sent here.
    pub(crate) fn hears(&self, connected: bool, kind: &str) -> bool {
        self.connect == connected && self.enabled_events.iter().any(|e| e == "*" || e == kind)
    }
}

/// What became of a round of deliveries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FlushReport {
    /// Answered 2xx.
    pub delivered: u64,
    /// Not answered, or not with 2xx; they stay due.
    pub failed: u64,
}

/// A delivery of an event to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Delivery {
    /// Number, in order of planning.
    pub id: i64,
    /// The event's id.
    pub event: String,
    /// The event's type.
    #[serde(rename = "type")]
    #[sqlx(rename = "type")]
    pub kind: String,
    /// The endpoint's id.
    pub endpoint: String,
    /// When it is next tried; seconds.
    pub due_at: i64,
    /// How often it was tried.
    pub attempts: i32,
    /// `pending`, `delivered` or `abandoned`.
    pub state: String,
    /// HTTP status of the last answer.
    pub last_status: Option<i32>,
    /// Why there was no answer.
    pub last_error: Option<String>,
}

/// The `Stripe-Signature` header of a body sent at `at` (seconds).
pub fn sign(secret: &str, at: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(at.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes()))
}

#[derive(Debug, sqlx::FromRow)]
struct Due {
    id: i64,
    attempts: i32,
    created: i64,
    payload: String,
    url: String,
    secret: String,
}

/// Which deliveries a round takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Round<'a> {
    /// Those whose time has come, several at once.
    Due,
    /// All that are not delivered, one after the other in order of events.
    All,
    /// Those of what one request brought about, one after the other, whether or not their time has come.
    OfRequest(&'a str),
}

/// Makes one attempt at each delivery of the round.
pub(crate) async fn deliver(app: &App, round: Round<'_>) -> Result<FlushReport, ApiError> {
    // One round at a time: no delivery is attempted twice at once.
    let _round = app.delivering.lock().await;
    let mut report = FlushReport::default();
    let at_once = if round == Round::Due { 16 } else { 1 };
    let mut after = 0;
    loop {
        let ids = pending(app, round, after).await?;
        // What a delivery brings about is planned behind all that were there: it belongs to the round.
        let Some(last) = ids.iter().max() else { return Ok(report) };
        after = *last;
        for batch in ids.chunks(100) {
            let batch = load(app, batch).await?;
            let mut attempts = futures::stream::iter(batch).map(|due| attempt(app, due)).buffered(at_once);
            while let Some(delivered) = attempts.next().await {
                if delivered? {
                    report.delivered += 1;
                } else {
                    report.failed += 1;
                }
            }
        }
    }
}

/// The deliveries of a round in the order of events, or in one by chance when that is planned.
async fn pending(app: &App, round: Round<'_>, after: i64) -> Result<Vec<i64>, ApiError> {
    let (until, request) = match round {
        Round::Due => (app.clock.now(), None),
        Round::All => (i64::MAX, None),
        Round::OfRequest(id) => (i64::MAX, Some(id)),
    };
    let mut ids: Vec<i64> = sqlx::query_scalar(
        "select d.id
         from deliveries d join events e on e.id = d.event
         where d.state = 'pending' and d.due_at <= $1 and d.id > $3
           and ($2::text is null or e.request_id = $2)
         order by d.id",
    )
    .bind(until)
    .bind(request)
    .bind(after)
    .fetch_all(&app.pool)
    .await?;
    if let Some(seed) = app.faults.shuffled() {
        ids.sort_by_key(|id| dice::roll(seed, "order", id.unsigned_abs()));
    }
    Ok(ids)
}

async fn load(app: &App, ids: &[i64]) -> Result<Vec<Due>, ApiError> {
    Ok(sqlx::query_as(
        "select d.id, d.attempts, e.created, coalesce(d.payload, e.payload) as payload, w.url, w.secret
         from unnest($1::bigint[]) with ordinality as wanted (id, position)
             join deliveries d on d.id = wanted.id
             join events e on e.id = d.event
             join webhook_endpoints w on w.id = d.endpoint
         where d.state = 'pending'
         order by position",
    )
    .bind(ids)
    .fetch_all(&app.pool)
    .await?)
}

async fn attempt(app: &App, due: Due) -> Result<bool, ApiError> {
    let now = app.clock.now();
    let signature = sign(&due.secret, now, due.payload.as_bytes());
    let sent = app
        .http
        .post(&due.url)
        .header("content-type", "application/json; charset=utf-8")
        .header("user-agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
        .header("stripe-signature", signature)
        .body(due.payload)
        .timeout(TIMEOUT)
        .send()
        .await;
    let (status, error) = match &sent {
        Ok(answer) => (Some(i32::from(answer.status().as_u16())), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let delivered = status.is_some_and(|s| (200..300).contains(&s));
    let state = if delivered {
        "delivered"
    } else if now - due.created >= GIVE_UP_SECONDS {
        "abandoned"
    } else {
        "pending"
    };
    let step = usize::try_from(due.attempts).unwrap_or(0).min(BACKOFF_SECONDS.len() - 1);
    sqlx::query(
        "update deliveries
         set attempts = attempts + 1, state = $2, last_status = $3, last_error = $4, due_at = $5,
             delivered_at = case when $2 = 'delivered' then $6 end
         where id = $1",
    )
    .bind(due.id)
    .bind(state)
    .bind(status)
    .bind(error)
    .bind(if delivered { now } else { now + BACKOFF_SECONDS[step] })
    .bind(now)
    .execute(&app.pool)
    .await?;
    Ok(delivered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_covers_the_time_and_the_raw_body_under_the_whole_secret() {
        // Computed with: printf '%s' '12345.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test
        let header = sign("whsec_test", 12_345, br#"{"id":"evt_1"}"#);
        assert_eq!(header, "t=12345,v1=8c990f992d95eb2978e78609f4caf526f4191a35a20d6ab00c821fc4f95c6338");
    }

    #[test]
    fn endpoints_hear_their_side_and_their_types() {
        let endpoint = Endpoint {
            id: "we_1".into(),
            url: "http://localhost".into(),
            secret: "whsec_1".into(),
            connect: true,
            enabled_events: vec!["payout.paid".into()],
        };
        assert!(endpoint.hears(true, "payout.paid"));
        assert!(!endpoint.hears(false, "payout.paid"));
        assert!(!endpoint.hears(true, "payout.failed"));
    }
}
