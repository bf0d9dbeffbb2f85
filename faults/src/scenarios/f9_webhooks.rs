//! F9: the same deeds twice. Once their webhooks come once and in order; once each comes one to five times, in an order by
//! chance, up to three days late, with those of the other mode, of strangers, of unknown types and of older versions
//! among them. Both must end in the same state.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use partita_db::Scope;
use partita_simulator::{FaultPlan, WebhookPlan};
use serde_json::Map;
use sha2::{Digest as _, Sha256};

use crate::check::{self, Findings};
use crate::dice::Dice;
use crate::driven::{self, DAY, Driven};
use crate::history::Totals;
use crate::report::{Report, ms};

/// How long webhooks come late, by the driven clock.
const LATE: u32 = 72 * 3_600;

/// Deeds for each second that the run may last; each is done twice.
const DEEDS_A_SECOND: u64 = 4;

/// What was left at the end of a run.
struct End {
    state: String,
    deliveries: usize,
    totals: Totals,
}

pub(super) async fn run(seed: u64, lasts: Duration, folder: &Path) -> anyhow::Result<Report> {
    let server = driven::server(folder).await?;
    let deeds = (lasts.as_secs() * DEEDS_A_SECOND).max(20);
    let (began, mut found) = (Instant::now(), Findings::default());
    let fair = one(&server, folder, "fair", seed, deeds, None, &mut found).await.context("in order")?;
    let webhooks = WebhookPlan {
        copies: 5,
        delay_seconds: LATE,
        shuffled: true,
        other_mode: 30,
        other_account: 30,
        unknown_type: 30,
        other_version: 100,
    };
    let plan = FaultPlan { seed, webhooks, ..FaultPlan::default() };
    let foul = one(&server, folder, "foul", seed, deeds, Some(plan), &mut found).await.context("shuffled")?;
    server.shutdown().await?;
    if fair.state != foul.state {
        let differing = fair.state.lines().zip(foul.state.lines()).find(|(fair, foul)| fair != foul);
        found.add("I5", format!("the two runs end differently, first here: {differing:?}"));
    }
    let mut done = Map::new();
    done.insert("deeds_each_time".into(), deeds.into());
    done.insert("deliveries_in_order".into(), fair.deliveries.into());
    done.insert("deliveries_shuffled".into(), foul.deliveries.into());
    done.insert("hash_of_the_end".into(), hex::encode(Sha256::digest(foul.state.as_bytes())).into());
    Ok(Report {
        fault: "F9",
        title: "webhooks shuffled, late, repeated and foreign",
        seed,
        lasted_ms: ms(began.elapsed()),
        quiet_after_ms: Some(0),
        requests: foul.totals,
        done,
        violations: found.into_violations(),
    })
}

async fn one(
    server: &partita_postgres::PrivateServer,
    folder: &Path,
    name: &str,
    seed: u64,
    deeds: u64,
    plan: Option<FaultPlan>,
    found: &mut Findings,
) -> anyhow::Result<End> {
    let rig = Driven::start(server, folder, name).await?;
    let market = rig.market().await?;
    let faulty = plan.is_some();
    if let Some(plan) = plan {
        rig.control.set_fault_plan(plan)?;
    }
    let (client, mut dice) = (rig.client(0)?, Dice::new(seed, "deeds"));
    for number in 0..deeds {
        let key = format!("deed-{number}");
        let deed = market.deed(&mut dice, &key);
        let answer = client.post(deed.path, &key, &deed.body).await.context("no answer")?;
        market.learn(&deed, &answer.json());
        if number % 10 == 0 {
            rig.move_clocks(1_800).await?;
            // Late webhooks come when their time has come; those of fair weather at once.
            if faulty { rig.work().await? } else { rig.settle().await? }
        }
    }
    for _ in 0..10 {
        rig.move_clocks(DAY).await?;
        rig.settle().await?;
    }
    for (count, what) in check::open_work(&rig.admin).await? {
        found.add("I7", format!("{name}: {count} {what}"));
    }
    rig.check(found).await?;
    let end = End {
        state: state(&rig).await?,
        deliveries: rig.control.deliveries().await?.iter().filter(|delivery| delivery.state == "delivered").count(),
        totals: rig.history.totals(),
    };
    quarantined(&rig, found).await?;
    rig.stop().await;
    Ok(end)
}

/// Whatever was set aside for a person must be something that the provider never said.
async fn quarantined(rig: &Driven, found: &mut Findings) -> anyhow::Result<()> {
    let aside: Vec<String> = sqlx::query_scalar("select event_id from inbox_events where state = 'quarantined'")
        .fetch_all(&rig.admin)
        .await?;
    for event in aside {
        let said: bool = sqlx::query_scalar("select exists (select from events where id = $1)")
            .bind(&event)
            .fetch_one(&rig.provider_admin)
            .await?;
        if said {
            found.add("I7", format!("{event} is true and was set aside"));
        }
    }
    Ok(())
}

/// Everything that counts, without ids and times: the balances under the sellers' references, and each payment with what
/// was refunded of it.
async fn state(rig: &Driven) -> anyhow::Result<String> {
    let sellers = rig.client(0)?.get("/v1/sellers?limit=100").await?;
    let names: Vec<(&str, &str)> = sellers["data"]
        .as_array()
        .context("a list of sellers")?
        .iter()
        .filter_map(|seller| Some((seller["id"].as_str()?, seller["reference"].as_str()?)))
        .collect();
    let balances = rig
        .app
        .db
        .read("balances", Scope::Book(rig.book.id), |tx| {
            Box::pin(async move { partita_ledger::trial_balance(tx, None, None).await })
        })
        .await?;
    let mut lines: Vec<String> = balances
        .iter()
        .map(|row| {
            let path = names.iter().fold(row.path.clone(), |path, (id, name)| path.replace(id, name));
            format!("{path} {} {} {}", row.currency, row.debits, row.credits)
        })
        .collect();
    let payments: Vec<String> = sqlx::query_scalar(PAYMENTS).fetch_all(&rig.admin).await?;
    lines.extend(payments);
    lines.sort_unstable();
    Ok(lines.join("\n"))
}

const PAYMENTS: &str = "
    select p.reference || ' ' || p.status || ' ' || p.amount || ' ' || p.refunded_amount || ' ' || p.funds
           || ' ' || (select coalesce(string_agg(r.amount || ' ' || r.status, ', ' order by r.amount, r.status), '-')
                      from refunds r where r.book_id = p.book_id and r.payment_id = p.id)
    from payments p";
