//! What brings an operation to a point that it does not pass of itself.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use partita::id::{ApprovalId, OperationId};
use partita_simulator::{Fault, FaultKind, Settings};
use serde_json::json;
use sqlx::types::Uuid;

use super::ground::{Ground, Request};
use super::pairs::{Kind, Pair, Way};
use super::{MORTAL, id_of};
use crate::rig::Rig;
use crate::scenarios::Scene;

/// How long an operation may take until it waits for its second look-up: two attempts, two pauses, one look.
const LOOKED_UP_WITHIN: Duration = Duration::from_secs(30);

/// Asks for the operation, with everything around it that the point needs. It may die at any moment.
pub(super) async fn provoke(scene: &Scene, ground: &Ground, pair: Pair, request: &Request) -> anyhow::Result<()> {
    let control = &scene.rig.control;
    let client = scene.rig.client(MORTAL)?;
    let plan = |kind| {
        let path = pair.kind.provider_path().to_owned();
        control.plan_fault(Fault { kind, method: "POST".to_owned(), path, times: 1 });
    };
    match pair.point.way {
        Way::Asked | Way::Announced | Way::Told => {}
        Way::Later => plan(FaultKind::RateLimited),
        Way::LookedUp => {
            // Its webhook would end it before anybody looks.
            control.deliver_in_background(false);
            plan(FaultKind::ErrorAfter);
        }
        Way::Approved => plan(FaultKind::ErrorBefore),
        Way::Settled => control.set_settings(Settings { settlement_days: 1, ..control.settings() }).await?,
    }
    let answer = client.post_once(&request.path, &request.key, &request.body).await;
    match pair.point.way {
        Way::Told => {
            if let (Kind::Account, Some(answer)) = (pair.kind, answer) {
                // The provider tells of an account only once something about it changes.
                let account = answer.json()["provider"]["id"].as_str().map(ToOwned::to_owned);
                control.complete_onboarding(&account.context("a seller has an account")?).await?;
            }
            control.flush_webhooks().await?;
        }
        Way::Settled => settle(&scene.rig).await?,
        Way::Approved => {
            if let Some(operation) = bring_to_review(&scene.rig, pair.kind, &request.key).await? {
                decide(scene, ground, &operation).await?;
            }
        }
        Way::Asked | Way::Announced | Way::Later | Way::LookedUp => {}
    }
    Ok(())
}

/// Takes back what [`provoke`] changed.
pub(super) async fn calm(scene: &Scene) -> anyhow::Result<()> {
    let control = &scene.rig.control;
    control.clear_faults();
    control.deliver_in_background(true);
    if control.settings().settlement_days != 0 {
        control.set_settings(Settings { settlement_days: 0, ..control.settings() }).await?;
    }
    Ok(())
}

/// Nobody holds the inbox any more.
pub(super) async fn forget_inbox_lease(rig: &Rig) -> anyhow::Result<()> {
    sqlx::query("update due set lease_until = null where kind = 'inbox'").execute(&rig.admin).await?;
    Ok(())
}

/// What the provider holds back becomes usable now, and the service looks now: days that nobody waits for.
async fn settle(rig: &Rig) -> anyhow::Result<()> {
    for sql in [
        "update balance_transactions set available_on = created where status = 'pending'",
        "update jobs set due_at = 0 where kind = 'settle'",
    ] {
        sqlx::query(sql).execute(&rig.provider_admin).await?;
    }
    sqlx::query("update due set due_at = now() where kind = 'availability'").execute(&rig.admin).await?;
    Ok(())
}

/// Waits until the operation of a key was looked up in vain, has the ten minutes pass until the second look, and waits
/// for its review; its id. None when it came to another end: the fault that was planned for it struck another one.
async fn bring_to_review(rig: &Rig, kind: Kind, key: &str) -> anyhow::Result<Option<String>> {
    let deadline = Instant::now() + LOOKED_UP_WITHIN;
    loop {
        let (id, state, looked): (Uuid, String, i32) = sqlx::query_as(
            "select o.id, o.state, o.empty_look_ups
             from operations o join idempotency_keys k on k.book_id = o.book_id and k.object_id = o.object_id
             where k.key = $1 and o.kind = $2",
        )
        .bind(key)
        .bind(kind.command())
        .fetch_one(&rig.admin)
        .await?;
        match state.as_str() {
            "needs_review" => return Ok(Some(OperationId::from(id).to_string())),
            "succeeded" | "failed" => return Ok(None),
            _ => {}
        }
        if state == "unknown" && looked > 0 {
            for sql in [
                "update operations set first_look_up_at = first_look_up_at - interval '11 minutes', next_attempt_at = now()
                 where id = $1 and state = 'unknown' and next_attempt_at > now()",
                "update due d set due_at = now() from operations o
                 where o.id = $1 and d.kind = 'operation' and d.book_id = o.book_id and d.id = o.key and d.due_at > now()",
            ] {
                sqlx::query(sql).bind(id).execute(&rig.admin).await?;
            }
        }
        anyhow::ensure!(Instant::now() < deadline, "{key} is not in review: {state}, looked up {looked} times");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// One proposes that it failed, another approves. Nobody may have heard of it.
async fn decide(scene: &Scene, ground: &Ground, operation: &str) -> anyhow::Result<()> {
    let proposal = json!({"outcome": "failed", "reason": "not in the dashboard"});
    let path = format!("/v1/operations/{operation}/resolution");
    let proposed = scene.rig.client(MORTAL)?.tell(&path, &proposal).await.context("no proposal")?;
    approve(ground, id_of(&proposed.json())?).await
}

/// The second person agrees to what nobody has been heard to agree to.
pub(super) async fn approve_what_is_left(scene: &Scene, ground: &Ground) -> anyhow::Result<()> {
    let pending: Vec<Uuid> =
        sqlx::query_scalar("select id from approvals where state = 'pending'").fetch_all(&scene.rig.admin).await?;
    for id in pending {
        approve(ground, &ApprovalId::from(id).to_string()).await?;
    }
    Ok(())
}

async fn approve(ground: &Ground, approval: &str) -> anyhow::Result<()> {
    match ground.second.tell(&format!("/v1/approvals/{approval}/approve"), &json!({})).await {
        Ok(answer) => {
            let said = String::from_utf8_lossy(&answer.bytes);
            anyhow::ensure!(answer.status < 300, "it was not approved: {} {said}", answer.status);
            Ok(())
        }
        // The process died over it.
        Err(_) => Ok(()),
    }
}
