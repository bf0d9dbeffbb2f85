//! What shows once everything is quiet: how long each struck operation took to its end, and that the platform was told of
//! everything.

use std::collections::BTreeMap;

use anyhow::Context as _;
use partita::id::EventId;
use partita::operations::LEASE_SECONDS;
use sqlx::types::Uuid;

use super::Struck;
use super::pairs::{Kind, Way};
use crate::scenarios::Scene;
use crate::sink::Sink;

/// How much longer than the lease of the dead one an operation may take; milliseconds.
const MARGIN_MS: i64 = 5_000;

/// An operation that was under way when its process died.
#[derive(sqlx::FromRow)]
struct Seen {
    id: Uuid,
    /// Attempts that nobody carried through.
    deaths: i64,
    /// Milliseconds since 1970.
    begun: i64,
    ended: Option<i64>,
}

/// Measures from each death to the end of the operation that was struck. One that was struck again waits for another lease.
///
/// # Errors
/// When the database cannot be asked.
pub(super) async fn measure(scene: &mut Scene, struck: &[Struck]) -> anyhow::Result<()> {
    let (mut measured, mut slowest, mut again) = (0_u32, 0, 0_u32);
    for one in struck.iter().filter(|one| !matches!(one.way, Way::Approved)) {
        let Some(asked) = &one.asked else { continue };
        for seen in operations(scene, one.kind, &asked.key).await? {
            let Some(ended) = seen.ended else { continue };
            // What was through before has nothing to recover; what a client had to ask for again began later.
            let late = seen.begun > one.at_ms && !one.kind.is_queued();
            if ended <= one.at_ms || late {
                continue;
            }
            let took_ms = ended - one.at_ms;
            let leases = seen.deaths.max(1);
            measured += 1;
            if leases > 1 {
                again += 1;
            } else {
                slowest = slowest.max(took_ms);
            }
            if took_ms > leases * i64::from(LEASE_SECONDS) * 1_000 + MARGIN_MS {
                let id = partita::id::OperationId::from(seen.id);
                let detail =
                    format!("{id} took {took_ms} ms after the death at {}, of {} attempts", one.point, seen.deaths);
                scene.found.add("I7", detail);
            }
        }
    }
    scene.note("recoveries_measured", measured);
    scene.note("slowest_recovery_ms", slowest);
    scene.note("struck_more_than_once", again);
    Ok(())
}

async fn operations(scene: &Scene, kind: Kind, key: &str) -> anyhow::Result<Vec<Seen>> {
    // A refund's key leads to the reversals of its payment, a payment's to its transfers.
    let which = match kind {
        Kind::Transfer => "o.object_key = (select p.key from payments p where p.id = k.object_id)",
        Kind::Reversal => {
            "o.object_key = (select p.key from payments p join refunds r on r.payment_id = p.id where r.id = k.object_id)"
        }
        _ => "o.object_id = k.object_id",
    };
    let sql = format!(
        "select o.id,
                o.attempt - (select count(*) from provider_answers a
                             where a.book_id = o.book_id and a.operation_id = o.id) as deaths,
                (select (extract(epoch from min(h.recorded_at)) * 1000)::bigint from operation_history h
                 where h.book_id = o.book_id and h.operation_id = o.id) as begun,
                (select (extract(epoch from max(h.recorded_at)) * 1000)::bigint from operation_history h
                 where h.book_id = o.book_id and h.operation_id = o.id and h.to_state in ('succeeded', 'failed')) as ended
         from operations o join idempotency_keys k on k.book_id = o.book_id
         where k.key = $1 and o.kind = $2 and {which}"
    );
    let seen = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(key).bind(kind.command()).fetch_all(&scene.rig.admin);
    seen.await.with_context(|| format!("the operation of {key}"))
}

/// I8: every event that happened since the sink was made came there, at least once.
///
/// # Errors
/// When the database cannot be asked.
pub(super) async fn events_arrived(scene: &mut Scene, sink: &Sink) -> anyhow::Result<()> {
    // Those of its own making, and of the moments before it was known everywhere, are nobody's.
    let happened: Vec<Uuid> = sqlx::query_scalar(
        "select event_id from outbox
         where event_type not like 'webhook_endpoint.%'
             and recorded_at > (select min(created_at) + interval '5 seconds' from webhook_endpoints)
         order by event_id",
    )
    .fetch_all(&scene.rig.admin)
    .await?;
    let mut received: BTreeMap<String, u64> = BTreeMap::new();
    for came in sink.came() {
        *received.entry(came.event).or_default() += 1;
    }
    let missing: Vec<String> = happened
        .iter()
        .map(|id| EventId::from(*id).to_string())
        .filter(|id| !received.contains_key(id.as_str()))
        .collect();
    if let Some(one) = missing.first() {
        let detail = format!("{} of {} events never reached the platform, as {one}", missing.len(), happened.len());
        scene.found.add("I8", detail);
    }
    let repeated = received.values().filter(|times| **times > 1).count();
    scene.note("events_told", happened.len());
    scene.note("events_told_more_than_once", repeated);
    Ok(())
}
