//! What shows once everything is quiet: how long each struck operation took to its end, and that the platform was told of
//! everything.

use std::collections::BTreeMap;

use anyhow::Context as _;
use partita::id::EventId;
use partita::operations::LEASE_SECONDS;
use sqlx::types::Uuid;

use super::Struck;
use super::pairs::{Kind, Way};
use crate::rig::Rig;
use crate::scenarios::Scene;
use crate::sink::Sink;

/// How much longer than the lease of the dead one an operation may take; milliseconds.
const MARGIN_MS: i64 = 5_000;

/// The lease of the dead one; milliseconds.
const LEASE_MS: i64 = 1_000 * LEASE_SECONDS as i64;

/// How long after a death, and after each claim, the next one may take to come; milliseconds.
const BAR_MS: i64 = LEASE_MS + MARGIN_MS;

/// An operation that was under way when its process died.
#[derive(sqlx::FromRow)]
struct Seen {
    id: Uuid,
    /// The number of the piece of work that brings it on.
    key: i64,
    /// And of the one that makes it, where none was asked for by a request.
    object_key: i64,
    /// Milliseconds since 1970.
    begun: i64,
    ended: Option<i64>,
}

/// Has the database keep every claim of a piece of work from now on: that somebody claimed one and died over it is written
/// nowhere else.
///
/// # Errors
/// When the database cannot be asked.
pub(super) async fn keep_claims(rig: &Rig) -> anyhow::Result<()> {
    sqlx::raw_sql(
        "create schema seen;
         create table seen.claims (kind text not null, id bigint not null, at timestamptz not null);
         create function seen.keep_claim() returns trigger language plpgsql security definer as $$
         begin
             insert into seen.claims values (new.kind, new.id, clock_timestamp());
             return null;
         end
         $$;
         create trigger due_keeps_claims after update of lease_until on due for each row
             when (new.lease_until is not null and new.lease_until is distinct from old.lease_until)
             execute function seen.keep_claim();",
    )
    .execute(&rig.admin)
    .await?;
    Ok(())
}

/// Measures from each death to the end of the operation that was struck. Whoever holds it may die, too, and so may the next
/// one: then it waits for another lease. But from a death, and from each claim that somebody died over, the next such claim
/// or the end must come within the lease. `deaths`: when a process with a worker died or was killed.
///
/// # Errors
/// When the database cannot be asked.
pub(super) async fn measure(scene: &mut Scene, struck: &[Struck], deaths: &[i64]) -> anyhow::Result<()> {
    let (mut measured, mut slowest, mut again, mut longest) = (0_u32, 0, 0_u32, 0);
    for one in struck.iter().filter(|one| !matches!(one.way, Way::Approved)) {
        let Some(asked) = &one.asked else { continue };
        for seen in operations(scene, one.kind, &asked.key).await? {
            let Some(ended) = seen.ended else { continue };
            // What was through before has nothing to recover; what a client had to ask for again began later.
            let late = seen.begun > one.at_ms && !one.kind.is_queued();
            if ended <= one.at_ms || late {
                continue;
            }
            let claims = claims(scene, &seen, one, ended).await?;
            let waited = longest_wait(one.at_ms, &claims, deaths, ended);
            measured += 1;
            slowest = slowest.max(ended - one.at_ms);
            longest = longest.max(waited);
            if ended - one.at_ms > BAR_MS {
                again += 1;
            }
            if waited > BAR_MS {
                let id = partita::id::OperationId::from(seen.id);
                let detail =
                    format!("{id} waited {waited} ms for somebody after the death at {}: {claims:?}", one.point);
                scene.found.add("I7", detail);
            }
        }
    }
    scene.note("recoveries_measured", measured);
    scene.note("longest_wait_for_a_lease_ms", longest);
    scene.note("slowest_recovery_ms", slowest);
    scene.note("struck_more_than_once", again);
    Ok(())
}

/// The longest that nobody came, from the death to the end. Who claimed it and lived has no excuse.
fn longest_wait(at_ms: i64, claims: &[i64], deaths: &[i64], ended: i64) -> i64 {
    let died_over = |claim: &&i64| deaths.iter().any(|death| (**claim..=**claim + LEASE_MS).contains(death));
    let mut moments = vec![at_ms];
    moments.extend(claims.iter().filter(died_over));
    moments.push(ended);
    moments.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
}

/// When its pieces of work were claimed between the death and its end, in order; the inbox's too, where that was struck.
async fn claims(scene: &Scene, seen: &Seen, one: &Struck, ended: i64) -> anyhow::Result<Vec<i64>> {
    let claims = sqlx::query_scalar(
        "select (extract(epoch from at) * 1000)::bigint as ms from seen.claims
         where (kind = 'operation' and id = $1 or kind = 'rebalance' and id = $2 or $3 and kind = 'inbox')
             and (extract(epoch from at) * 1000)::bigint between $4 and $5
         order by 1",
    )
    .bind(seen.key)
    .bind(seen.object_key)
    .bind(one.way == Way::Told)
    .bind(one.at_ms)
    .bind(ended);
    Ok(claims.fetch_all(&scene.rig.admin).await?)
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
        "select o.id, o.key, o.object_key,
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
    fn each_wait_for_a_dead_one_counts_and_not_their_sum() {
        assert_eq!(longest_wait(1_000, &[], &[1_000], 46_000), 45_000);
        assert_eq!(
            longest_wait(1_000, &[41_200, 81_300], &[1_000, 41_500, 82_000], 121_500),
            40_200,
            "two died over it"
        );
        assert_eq!(longest_wait(1_000, &[10_000, 60_000], &[10_100, 60_050], 60_100), 50_000, "nobody came in time");
        assert_eq!(longest_wait(1_000, &[41_000], &[42_000], 90_000), 49_000, "it was claimed and not ended");
    }

    #[test]
    fn what_somebody_claims_again_and_again_and_lives_is_not_excused() {
        let claims: Vec<i64> = (1..24).map(|n| 1_000 + 30_000 * n).collect();
        assert_eq!(longest_wait(1_000, &claims, &[1_000], 700_000), 699_000);
    }
}
