//! Webhooks: signed, sent until answered 2xx, to the side they belong to.

use std::process::{Command, Stdio};

use axum::http::StatusCode;

use crate::support::{DAY, Received, START, Sim, Sink, kinds};

/// HMAC-SHA256 by another program than the one under test.
fn openssl_hmac(secret: &str, message: &[u8]) -> String {
    use std::io::Write;
    let mut child = Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", secret])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl runs");
    child.stdin.take().expect("a pipe").write_all(message).expect("the message is taken");
    let output = child.wait_with_output().expect("openssl ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.trim().rsplit(' ').next().unwrap_or_default().to_owned()
}

/// HMAC-SHA256 after RFC 2104, from nothing but a hash.
fn hmac_by_definition(secret: &str, message: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let mut key = secret.as_bytes().to_vec();
    if key.len() > 64 {
        key = Sha256::digest(&key).to_vec();
    }
    key.resize(64, 0);
    let pad = |byte: u8| key.iter().map(|k| k ^ byte).collect::<Vec<u8>>();
    let inner = Sha256::digest([pad(0x36).as_slice(), message].concat());
    let outer = Sha256::digest([pad(0x5c).as_slice(), &inner].concat());
    hex::encode(outer)
}

fn assert_signed(received: &Received, secret: &str, at: i64) {
    let message = [format!("{at}.").as_bytes(), &received.body].concat();
    assert_eq!(received.signature, format!("t={at},v1={}", hmac_by_definition(secret, &message)));
    if Command::new("openssl").arg("version").output().is_ok() {
        assert_eq!(received.signature, format!("t={at},v1={}", openssl_hmac(secret, &message)));
    }
}

#[tokio::test]
async fn events_are_signed_and_go_to_their_side() {
    let sim = Sim::start().await;
    let (platform, connect) = (Sink::start().await, Sink::start().await);
    let platform_secret = platform.register(&sim.control, false).await;
    let connect_secret = connect.register(&sim.control, true).await;
    assert_ne!(platform_secret, connect_secret);
    let seller = sim.seller("manual").await;
    sim.fund("5000").await;
    sim.transfer("2000", &seller).await.ok();
    let report = sim.control.flush_webhooks().await.expect("a flush");
    assert_eq!((report.delivered, report.failed), (6, 0));
    let mine = platform.take();
    assert_eq!(kinds(&mine), ["topup.created", "topup.succeeded", "transfer.created"]);
    let theirs = connect.take();
    assert_eq!(kinds(&theirs), ["account.external_account.created", "account.updated", "payment.created"]);
    for received in &mine {
        assert_signed(received, &platform_secret, START);
        assert!(received.event().get("account").is_none());
    }
    for received in &theirs {
        assert_signed(received, &connect_secret, START);
        assert_eq!(received.event()["account"], seller.as_str());
    }
    let event = mine[2].event();
    assert_eq!((&event["api_version"], &event["livemode"]), (&partita_simulator::API_VERSION.into(), &false.into()));
    let transfer = &event["data"]["object"];
    assert!(transfer["balance_transaction"].is_string(), "events are not expanded");
    assert!(event["request"]["id"].as_str().is_some_and(|id| id.starts_with("req_")));
    let id = event["id"].as_str().expect("an id");
    assert_eq!(sim.get(&format!("/v1/events/{id}")).await.ok().body, event);
    let listed = sim.get("/v1/events?type=transfer.created").await.ok().body;
    assert_eq!(listed["data"][0], event);
    assert_eq!(sim.get_as(&seller, "/v1/events").await.ok().body["data"].as_array().map(Vec::len), Some(3));
    let again = sim.control.flush_webhooks().await.expect("a flush");
    assert_eq!((again.delivered, again.failed), (0, 0));
    sim.finish().await;
}

#[tokio::test]
async fn a_delivery_is_tried_again_until_it_is_answered_2xx() {
    let sim = Sim::start().await;
    let sink = Sink::start().await;
    let secret = sink.register(&sim.control, false).await;
    sink.answer_with(StatusCode::FOUND);
    sim.fund("5000").await;
    assert_eq!(sim.control.flush_webhooks().await.expect("a flush").failed, 2);
    let first = sink.take();
    sink.answer_with(StatusCode::INTERNAL_SERVER_ERROR);
    sim.control.advance(60).await.expect("time passes");
    assert_eq!(sim.control.flush_webhooks().await.expect("a flush").failed, 2);
    sink.take();
    sink.answer_with(StatusCode::NO_CONTENT);
    sim.control.advance(60).await.expect("time passes");
    assert_eq!(sim.control.flush_webhooks().await.expect("a flush").delivered, 2);
    let last = sink.take();
    assert_eq!(last[0].body, first[0].body, "the same bytes each time");
    assert_signed(&last[0], &secret, START + 120);
    let deliveries = sim.control.deliveries().await.expect("deliveries");
    assert!(deliveries.iter().all(|d| d.state == "delivered" && d.attempts == 3), "{deliveries:?}");
    sim.finish().await;
}

#[tokio::test]
async fn after_three_days_a_delivery_is_given_up_and_events_stay_thirty() {
    let sim = Sim::start().await;
    let sink = Sink::start().await;
    sink.register(&sim.control, false).await;
    sink.answer_with(StatusCode::BAD_GATEWAY);
    sim.fund("5000").await;
    sim.control.advance(3 * DAY).await.expect("time passes");
    assert_eq!(sim.control.flush_webhooks().await.expect("a flush").failed, 2);
    assert_eq!(sim.control.flush_webhooks().await.expect("a flush").failed, 0);
    assert!(sim.control.deliveries().await.expect("deliveries").iter().all(|d| d.state == "abandoned"));
    let event = sink.take()[0].event();
    let path = format!("/v1/events/{}", event["id"].as_str().expect("an id"));
    sim.control.advance(26 * DAY).await.expect("time passes");
    assert_eq!(sim.get(&path).await.status, 200);
    sim.control.advance(2 * DAY).await.expect("time passes");
    assert_eq!(sim.get(&path).await.status, 404);
    sim.finish().await;
}

#[tokio::test]
async fn an_event_can_be_sent_again_and_endpoints_choose_types() {
    let sim = Sim::start().await;
    let sink = Sink::start().await;
    let endpoint = partita_simulator::NewEndpoint {
        url: sink.url.clone(),
        secret: Some("whsec_given".into()),
        connect: false,
        enabled_events: vec!["topup.succeeded".into()],
    };
    let endpoint = sim.control.register_endpoint(endpoint).await.expect("an endpoint");
    assert_eq!(endpoint.secret, "whsec_given");
    sim.fund("5000").await;
    sim.control.flush_webhooks().await.expect("a flush");
    let received = sink.take();
    assert_eq!(kinds(&received), ["topup.succeeded"]);
    let id = received[0].event()["id"].as_str().expect("an id").to_owned();
    assert_eq!(sim.control.resend(&id, 4).await.expect("planned"), 4);
    sim.control.flush_webhooks().await.expect("a flush");
    let again = sink.take();
    assert_eq!(again.len(), 4);
    assert!(again.iter().all(|r| r.body == received[0].body));
    assert!(sim.control.resend("evt_nobody", 1).await.is_err());
    assert!(sim.control.remove_endpoint(&endpoint.id).await.expect("removed"));
    sim.fund("5000").await;
    assert_eq!(sim.control.flush_webhooks().await.expect("a flush").delivered, 0);
    sim.finish().await;
}

#[tokio::test]
async fn the_background_delivers_without_being_asked() {
    let sim = Sim::start().await;
    let sink = Sink::start().await;
    sink.register(&sim.control, false).await;
    sim.control.deliver_in_background(true);
    sim.fund("5000").await;
    let mut received = Vec::new();
    for _ in 0..100 {
        received.extend(sink.take());
        if received.len() >= 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let mut kinds = kinds(&received);
    kinds.sort();
    assert_eq!(kinds, ["topup.created", "topup.succeeded"]);
    sim.finish().await;
}
