//! Faults by seed.

use std::collections::BTreeMap;

use partita_simulator::{FaultKind, FaultPlan, WebhookPlan};
use serde_json::{Value, json};

use crate::support::{DAY, Received, START, Sim, Sink, kinds};

const TOPUP: [(&str, &str); 2] = [("amount", "5000"), ("currency", "eur")];

fn plan(seed: u64, writes: &[(FaultKind, u16)], webhooks: WebhookPlan) -> FaultPlan {
    FaultPlan { seed, writes: writes.iter().copied().collect(), webhooks, ..FaultPlan::default() }
}

/// The statuses of forty top-ups, each under a key of its own.
async fn statuses(sim: &Sim, run: &str) -> Vec<u16> {
    let mut statuses = Vec::new();
    for number in 0..40 {
        statuses.push(sim.post_with_key("/v1/topups", &TOPUP, &format!("{run}.{number}")).await.status);
    }
    statuses
}

#[tokio::test]
async fn a_seed_repeats_its_faults_whatever_the_keys() {
    let sim = Sim::start().await;
    let rates = [(FaultKind::RateLimited, 150), (FaultKind::ErrorBefore, 150), (FaultKind::ErrorAfter, 150)];
    let mut runs = BTreeMap::new();
    for (run, seed) in [("a", 1), ("b", 1), ("c", 2)] {
        sim.control.set_fault_plan(plan(seed, &rates, WebhookPlan::default())).expect("a lawful plan");
        runs.insert(run, statuses(&sim, run).await);
    }
    assert_eq!(runs["a"], runs["b"]);
    assert_ne!(runs["a"], runs["c"]);
    for status in [200, 429, 500] {
        assert!(runs["a"].contains(&status), "{status} in {:?}", runs["a"]);
    }
    sim.control.clear_faults();
    assert!(statuses(&sim, "d").await.iter().all(|status| *status == 200));
    sim.finish().await;
}

#[tokio::test]
async fn a_plan_is_set_and_read_over_http_and_a_wrong_one_is_refused() {
    let sim = Sim::start().await;
    let put = |body: Value| sim.http.put(sim.url("/_control/fault_plan")).json(&body);
    let set = sim.send(put(json!({"seed": 7, "writes": {"error_after": 1000}}))).await.ok();
    assert_eq!((&set.body["seed"], &set.body["webhooks"]["copies"]), (&7.into(), &1.into()));
    assert_eq!(sim.get("/_control/fault_plan").await.ok().body, set.body);
    assert_eq!(sim.post("/v1/topups", &TOPUP).await.status, 500);
    let too_many = put(json!({"seed": 7, "writes": {"error_after": 600, "garbage": 600}}));
    assert_eq!(sim.send(too_many).await.status, 409);
    assert_eq!(sim.send(put(json!({"seed": 7, "writes": {"gremlins": 1}}))).await.status, 422);
    sim.send(sim.http.delete(sim.url("/_control/fault_plan"))).await;
    sim.post("/v1/topups", &TOPUP).await.ok();
    sim.finish().await;
}

#[tokio::test]
async fn reads_meet_their_own_faults() {
    let sim = Sim::start().await;
    let topup = sim.fund("5000").await;
    let reads = [(FaultKind::ErrorBefore, 1_000)].into_iter().collect();
    sim.control.set_fault_plan(FaultPlan { seed: 1, reads, ..FaultPlan::default() }).expect("a lawful plan");
    let path = format!("/v1/topups/{topup}");
    assert_eq!(sim.get(&path).await.status, 500);
    sim.post("/v1/topups", &TOPUP).await.ok();
    let elsewhere = [(FaultKind::ErrorBefore, 1_000)].into_iter().collect();
    let plan = FaultPlan { seed: 1, path: "/v1/refunds".into(), reads: elsewhere, ..FaultPlan::default() };
    sim.control.set_fault_plan(plan).expect("a lawful plan");
    sim.get(&path).await.ok();
    assert_eq!(sim.get("/v1/refunds").await.status, 500);
    sim.control.clear_faults();
    sim.finish().await;
}

/// What a sink hears of thirty top-ups under a plan, once everything has been sent.
async fn heard(sim: &Sim, sink: &Sink, webhooks: WebhookPlan) -> Vec<Received> {
    sim.control.set_fault_plan(plan(3, &[], webhooks)).expect("a lawful plan");
    for _ in 0..30 {
        sim.fund("100").await;
    }
    sim.control.flush_webhooks().await.expect("a flush");
    sim.control.clear_faults();
    sink.take()
}

fn ids(received: &[Received]) -> Vec<String> {
    received.iter().map(|r| r.event()["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn webhooks_come_up_to_five_times_and_in_any_order() {
    let sim = Sim::start().await;
    let sink = Sink::start().await;
    sink.register(&sim.control, false).await;
    let received = heard(&sim, &sink, WebhookPlan { copies: 5, shuffled: true, ..WebhookPlan::default() }).await;
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    for id in ids(&received) {
        *times.entry(id).or_default() += 1;
    }
    assert_eq!(times.len(), 60, "two events of each top-up, none lost");
    let counts: Vec<u32> = times.into_values().collect();
    assert!(counts.iter().all(|n| (1..=5).contains(n)) && counts.contains(&1) && counts.contains(&5), "{counts:?}");
    let created = |r: &Received| r.event()["data"]["object"]["id"].as_str().expect("an id").to_owned();
    let order: Vec<String> = received.iter().map(created).collect();
    let grouped = order.chunk_by(|a, b| a == b).count();
    assert!(grouped > 60, "in the order of events each top-up would come in one go: {grouped}");
    sim.finish().await;
}

#[tokio::test]
async fn webhooks_come_late_by_the_clock() {
    let sim = Sim::start().await;
    let sink = Sink::start().await;
    sink.register(&sim.control, false).await;
    let webhooks = WebhookPlan { delay_seconds: 72 * 3_600, ..WebhookPlan::default() };
    sim.control.set_fault_plan(plan(3, &[], webhooks)).expect("a lawful plan");
    for _ in 0..30 {
        sim.fund("100").await;
    }
    let due: Vec<i64> = sim.control.deliveries().await.expect("deliveries").iter().map(|d| d.due_at - START).collect();
    assert_eq!(due.len(), 60);
    assert!(due.iter().all(|seconds| (0..=3 * DAY).contains(seconds)));
    assert!(due.iter().any(|seconds| *seconds < DAY) && due.iter().any(|seconds| *seconds > 2 * DAY));
    assert!(!due.is_sorted());
    sim.finish().await;
}

#[tokio::test]
async fn forged_foreign_and_older_webhooks_come_beside_the_true_ones() {
    let sim = Sim::start().await;
    let sink = Sink::start().await;
    sink.register(&sim.control, false).await;
    let webhooks = WebhookPlan {
        other_mode: 1_000,
        other_account: 1_000,
        unknown_type: 1_000,
        other_version: 1_000,
        ..WebhookPlan::default()
    };
    let received = heard(&sim, &sink, webhooks).await;
    assert_eq!(received.len(), 60 * 5);
    let events: Vec<Value> = received.iter().map(Received::event).collect();
    let count = |test: fn(&Value) -> bool| events.iter().filter(|event| test(event)).count();
    assert_eq!(count(|event| event["livemode"] == true), 60);
    assert_eq!(count(|event| event["account"].is_string()), 60);
    assert_eq!(count(|event| event["api_version"] == "2020-08-27"), 60);
    assert_eq!(kinds(&received).iter().filter(|kind| *kind == "unheard_of.happened").count(), 60);
    let listed = sim.get("/v1/events?limit=100").await.ok().body;
    let listed: Vec<&str> =
        listed["data"].as_array().expect("a list").iter().filter_map(|e| e["id"].as_str()).collect();
    assert_eq!(listed.len(), 60, "the list has the true ones alone");
    let distinct: std::collections::BTreeSet<String> = ids(&received).into_iter().collect();
    assert_eq!(distinct.len(), 60 * 4, "an older form keeps its id, the others have their own");
    sim.finish().await;
}
