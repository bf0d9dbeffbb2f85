//! What a restart keeps, what a reset forgets, and the control calls over HTTP.

use partita_simulator::{ClockMode, Simulator, SimulatorOptions};
use serde_json::json;

use crate::support::{DAY, Reply, START, Sim, Sink};

#[tokio::test]
async fn a_restart_keeps_everything() {
    let sim = Sim::start().await;
    let sink = Sink::start().await;
    sink.register(&sim.control, false).await;
    let seller = sim.seller("daily").await;
    let payment = sim.pay("12000", "pm_card_visa").await.ok();
    let key = sim.post_with_key("/v1/topups", &[("amount", "700"), ("currency", "eur")], "k").await.ok();
    sim.control.advance(60).await.expect("time passes");
    let platform = sim.control.platform_account().to_owned();
    sim.simulator.shutdown().await;

    let sim = Sim::on(sim.database).await;
    assert_eq!(sim.control.now(), START + 60, "the clock goes on from where it was");
    assert_eq!(sim.control.platform_account(), platform);
    assert_eq!(sim.get(&format!("/v1/payment_intents/{}", payment.id())).await.ok().body["status"], "succeeded");
    assert_eq!(sim.get(&format!("/v1/accounts/{seller}")).await.ok().body["payouts_enabled"], true);
    let replay = sim.post_with_key("/v1/topups", &[("amount", "700"), ("currency", "eur")], "k").await.ok();
    assert_eq!((replay.header("idempotent-replayed"), replay.id()), (Some("true"), key.id()));
    sim.control.advance(2 * DAY).await.expect("time passes");
    assert_eq!(sim.balance(None).await, (123_80, 0, 0));
    assert!(sim.control.flush_webhooks().await.expect("a flush").delivered >= 5);
    sim.finish().await;
}

#[tokio::test]
async fn a_reset_forgets_money_but_not_endpoints() {
    let sim = Sim::start().await;
    let sink = Sink::start().await;
    sink.register(&sim.control, false).await;
    let seller = sim.seller("daily").await;
    sim.fund("5000").await;
    sim.control.reset().await.expect("a reset");
    assert_eq!(sim.balance(None).await, (0, 0, 0));
    assert_eq!(sim.get(&format!("/v1/accounts/{seller}")).await.status, 403);
    assert_eq!(sim.control.endpoints().len(), 1);
    sim.fund("5000").await;
    assert_eq!(sim.control.flush_webhooks().await.expect("a flush").delivered, 2);
    sim.finish().await;
}

#[tokio::test]
async fn the_clock_never_goes_back_and_can_be_left_to_the_machine() {
    let sim = Sim::start().await;
    assert!(sim.control.set_time(START - 1).await.is_err());
    let database = crate::support::database().await;
    let options =
        SimulatorOptions { clock: ClockMode::Manual(1_700_000_000), ..SimulatorOptions::new(&database.app_url) };
    let past = Simulator::start(options).await.expect("a running simulator");
    let control = past.control();
    assert!(control.clock_is_driven());
    let now = control.use_system_clock().await.expect("the machine's clock is later");
    assert!(now > 1_790_000_000 && !control.clock_is_driven());
    past.shutdown().await;
    sim.control.set_time(now + DAY).await.expect("far ahead");
    assert!(sim.control.use_system_clock().await.is_err(), "the machine's clock is behind");
    sim.finish().await;
}

async fn control(sim: &Sim, method: reqwest::Method, path: &str, body: serde_json::Value) -> Reply {
    sim.send(sim.http.request(method, sim.url(&format!("/_control/{path}"))).json(&body)).await
}

#[tokio::test]
async fn control_speaks_http_too() {
    use reqwest::Method;
    let sim = Sim::start().await;
    let sink = Sink::start().await;
    let (get, post, put) = (Method::GET, Method::POST, Method::PUT);
    let clock = control(&sim, post.clone(), "clock/advance", json!({ "seconds": 60 })).await.ok().body;
    assert_eq!(clock, json!({ "now": START + 60, "mode": "manual" }));
    let back = control(&sim, put.clone(), "clock", json!({ "mode": "manual", "now": START })).await;
    assert_eq!(back.status, 409);
    let endpoint = control(&sim, post.clone(), "endpoints", json!({ "url": sink.url })).await.ok().body;
    assert!(endpoint["secret"].as_str().is_some_and(|s| s.starts_with("whsec_")));
    let mut settings = control(&sim, get.clone(), "settings", json!({})).await.ok().body;
    settings["settlement_days"] = json!(0);
    control(&sim, put, "settings", settings).await.ok();
    sim.pay("12000", "pm_card_visa").await.ok();
    assert_eq!(sim.balance(None).await, (116_80, 0, 0));
    let flushed = control(&sim, post.clone(), "webhooks/flush", json!({})).await.ok().body;
    assert_eq!(flushed, json!({ "delivered": 3, "failed": 0 }));
    let event = sink.take()[0].event();
    let path = format!("events/{}/resend", event["id"].as_str().expect("an id"));
    assert_eq!(control(&sim, post.clone(), &path, json!({ "times": 2 })).await.ok().body["planned"], 2);
    let form = [("type", "express"), ("capabilities[transfers][requested]", "true")];
    let seller = sim.post("/v1/accounts", &form).await.ok().id().to_owned();
    let done = control(&sim, post.clone(), &format!("accounts/{seller}/complete"), json!({})).await.ok().body;
    assert_eq!(done["payouts_enabled"], true);
    let payout = control(&sim, post.clone(), "payouts", json!({ "amount": 1_000, "currency": "eur" })).await.ok();
    let path = format!("payouts/{}/fail", payout.id());
    let failed = control(&sim, post.clone(), &path, json!({ "code": "account_closed" })).await.ok().body;
    assert_eq!(failed["status"], "failed");
    let fault = json!({ "kind": "rate_limited", "method": "POST", "path": "/v1/topups", "times": 1 });
    assert_eq!(control(&sim, post.clone(), "faults", fault).await.status, 204);
    assert_eq!(sim.post("/v1/topups", &[("amount", "100"), ("currency", "eur")]).await.status, 429);
    assert_eq!(control(&sim, get.clone(), "effects", json!({})).await.ok().body.as_array().map(Vec::len), Some(2));
    assert_eq!(control(&sim, get.clone(), "webhooks", json!({})).await.ok().body[0]["state"], "delivered");
    assert_eq!(control(&sim, get, "books", json!({})).await.ok().body["breaks"], json!([]));
    control(&sim, post, "reset", json!({})).await.ok();
    assert_eq!(sim.balance(None).await, (0, 0, 0));
    sim.finish().await;
}
