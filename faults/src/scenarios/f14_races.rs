//! F14: fifty clients ask for the same thing at the same moment, or for things that cannot all be.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::Scene;
use crate::client::Answer;
use crate::dice::Dice;

/// Clients at the barrier.
const CLIENTS: usize = 50;

pub(super) async fn strike(scene: &mut Scene) -> anyhow::Result<()> {
    let mut dice = Dice::new(scene.rig.seed, "races");
    let mut rounds = 0_u64;
    while rounds == 0 || Instant::now() < scene.until {
        same_key(scene, &mut dice, rounds).await?;
        two_meanings(scene, &mut dice, rounds).await?;
        same_refund(scene, &mut dice, rounds).await?;
        two_refunds_too_much(scene, &mut dice, rounds).await?;
        rounds += 1;
    }
    scene.note("rounds", rounds);
    scene.note("clients_at_the_barrier", CLIENTS);
    Ok(())
}

/// Lets everyone post at once; what each was answered.
async fn at_once(scene: &Scene, requests: Vec<(&'static str, String, Value)>) -> anyhow::Result<Vec<Answer>> {
    let barrier = Arc::new(Barrier::new(requests.len()));
    let mut racing = JoinSet::new();
    for (number, (path, key, body)) in requests.into_iter().enumerate() {
        let (client, barrier) = (scene.rig.client(number)?, Arc::clone(&barrier));
        racing.spawn(async move {
            barrier.wait().await;
            client.post(path, &key, &body).await
        });
    }
    racing.join_all().await.into_iter().map(|answer| answer.context("no answer")).collect()
}

/// One key, fifty times: one payment, one answer.
async fn same_key(scene: &mut Scene, dice: &mut Dice, round: u64) -> anyhow::Result<()> {
    let key = format!("same-key-{round}");
    let deed = scene.market.payment(dice, &key);
    let requests = (0..CLIENTS).map(|_| (deed.path, key.clone(), deed.body.clone())).collect();
    let answers = at_once(scene, requests).await?;
    let first = &answers[0];
    if answers.iter().any(|answer| (answer.status, &answer.bytes) != (first.status, &first.bytes)) {
        scene.found.add("I3", format!("{key} was answered in two ways"));
    }
    Ok(())
}

/// One key for fifty different payments: one of them is made, the others are refused.
async fn two_meanings(scene: &mut Scene, dice: &mut Dice, round: u64) -> anyhow::Result<()> {
    let key = format!("two-meanings-{round}");
    let requests = (0..CLIENTS)
        .map(|number| {
            let deed = scene.market.payment(dice, &format!("{key}-{number}"));
            (deed.path, key.clone(), deed.body)
        })
        .collect();
    let answers = at_once(scene, requests).await?;
    // A declined payment is one that was made.
    let made = answers.iter().filter(|answer| answer.status < 300 || answer.status == 402).count();
    if made != 1 {
        scene.found.add("I3", format!("{key} stands for {made} payments"));
    }
    Ok(())
}

/// A payment that succeeded; its id and amount.
async fn paid(scene: &Scene, dice: &mut Dice, reference: &str) -> anyhow::Result<(String, i64)> {
    let mut body = scene.market.payment(dice, reference).body;
    body["payment_method"] = json!("pm_card_visa");
    let answer = scene.rig.client(0)?.post("/v1/payments", reference, &body).await.context("no answer")?;
    let payment = answer.json();
    anyhow::ensure!(payment["status"] == "succeeded", "{payment}");
    let id = payment["id"].as_str().context("a payment has an id")?.to_owned();
    Ok((id, body["amount"].as_i64().context("ours")?))
}

/// The same refund of the whole under fifty keys: one can be given.
async fn same_refund(scene: &mut Scene, dice: &mut Dice, round: u64) -> anyhow::Result<()> {
    let (payment, amount) = paid(scene, dice, &format!("whole-{round}")).await?;
    let body = json!({"payment": payment, "amount": amount});
    let requests = (0..CLIENTS).map(|n| ("/v1/refunds", format!("whole-{round}-{n}"), body.clone())).collect();
    expect_one(scene, &payment, &at_once(scene, requests).await?);
    Ok(())
}

/// Fifty refunds of six tenths each: one can be given.
async fn two_refunds_too_much(scene: &mut Scene, dice: &mut Dice, round: u64) -> anyhow::Result<()> {
    let (payment, amount) = paid(scene, dice, &format!("most-{round}")).await?;
    let body = json!({"payment": payment, "amount": amount * 6 / 10});
    let requests = (0..CLIENTS).map(|n| ("/v1/refunds", format!("most-{round}-{n}"), body.clone())).collect();
    expect_one(scene, &payment, &at_once(scene, requests).await?);
    Ok(())
}

fn expect_one(scene: &mut Scene, payment: &str, answers: &[Answer]) {
    let given = answers.iter().filter(|answer| answer.status < 300).count();
    let refused = answers.iter().filter(|answer| (400..500).contains(&answer.status)).count();
    if (given, given + refused) != (1, answers.len()) {
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        scene.found.add("I11", format!("{payment}: {given} of {} refunds were given: {statuses:?}", answers.len()));
    }
}
