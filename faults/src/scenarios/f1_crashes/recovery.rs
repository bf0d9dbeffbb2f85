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

/// The lease of the dead one; milliseconds.
const LEASE_MS: i64 = 1_000 * LEASE_SECONDS as i64;

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

/// How long after a death what it struck may take; milliseconds.
const BAR_MS: i64 = LEASE_MS + MARGIN_MS;

/// Measures from each death to the end of the operation that was struck. One that was struck again waits for another lease.
///
/// One that lost no attempt of its own was struck as the piece of work that makes it, or waited in the same batch: which
/// process claimed that next, and died over it, is written nowhere. So it has until its lease, and that of each later death
/// that can have held it, is over.
///
/// # Errors
/// When the database cannot be asked.
pub(super) async fn measure(scene: &mut Scene, struck: &[Struck]) -> anyhow::Result<()> {
    let (mut measured, mut slowest, mut again) = (0_u32, 0, 0_u32);
    let (mut in_batches, mut slowest_in_batches) = (0_u32, 0);
    let mut deaths: Vec<i64> = struck.iter().filter(|one| one.works).map(|one| one.at_ms).collect();
    deaths.sort_unstable();
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
            measured += 1;
            if seen.deaths == 0 {
                in_batches += 1;
                slowest_in_batches = slowest_in_batches.max(took_ms);
            } else if seen.deaths > 1 {
                again += 1;
            } else {
                slowest = slowest.max(ended - one.at_ms.max(seen.begun));
            }
            let due_by = due_by(one.at_ms, seen.begun, seen.deaths, &deaths);
            if ended > due_by {
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
    scene.note("struck_in_a_batch", in_batches);
    scene.note("slowest_in_a_batch_ms", slowest_in_batches);
    Ok(())
}

/// Until when an operation must be through that a death struck, and `lost` attempts of which nobody carried through. One that
/// began after the death was struck as the piece of work that makes it: that one has its lease, and then its own attempts
/// have theirs.
fn due_by(at_ms: i64, begun: i64, lost: i64, deaths: &[i64]) -> i64 {
    let leases = |from: i64| from + (lost - 1) * LEASE_MS + BAR_MS;
    match (lost, begun > at_ms) {
        (0, _) => last_lease(at_ms, deaths),
        (_, false) => leases(at_ms),
        (_, true) => leases(begun.min(last_lease(at_ms, deaths))),
    }
}

/// Until when what a death struck must be through, when each later one may have claimed it as soon as it could.
fn last_lease(at_ms: i64, deaths: &[i64]) -> i64 {
    deaths.iter().filter(|death| **death > at_ms).fold(at_ms + BAR_MS, |until, death| {
        let claimable = until - 2 * MARGIN_MS;
        if (claimable..=until).contains(death) { death + BAR_MS } else { until }
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_struck_before_it_begins_has_the_lease_of_what_makes_it_first() {
        assert_eq!(due_by(1_000, 500, 1, &[1_000]), 46_000);
        assert_eq!(due_by(1_000, 500, 2, &[1_000, 40_000]), 86_000);
        assert_eq!(due_by(1_000, 33_000, 1, &[1_000, 33_100]), 78_000, "struck again when it had begun");
        assert_eq!(due_by(1_000, 60_000, 1, &[1_000, 60_100]), 46_000 + 45_000, "it began too late");
        assert_eq!(due_by(1_000, 33_000, 0, &[1_000]), 46_000);
    }

    #[test]
    fn a_later_death_prolongs_only_what_it_can_have_held() {
        assert_eq!(last_lease(0, &[]), 45_000);
        assert_eq!(last_lease(0, &[0, 3_000, 20_000]), 45_000, "the first lease runs");
        assert_eq!(last_lease(0, &[3_000, 40_000]), 85_000);
        assert_eq!(last_lease(0, &[3_000, 40_000, 60_000, 80_000]), 125_000, "and the next one's");
        assert_eq!(last_lease(0, &[46_000]), 45_000, "it was over before");
    }
}
