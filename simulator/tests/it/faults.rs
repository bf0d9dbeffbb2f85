//! Faults on demand.

use std::time::Duration;

use partita_simulator::{Fault, FaultKind, Settings};

use crate::support::{Sim, Sink, kinds};

const TOPUP: [(&str, &str); 2] = [("amount", "5000"), ("currency", "eur")];

fn plan(sim: &Sim, kind: FaultKind) {
    sim.control.plan_fault(Fault { kind, method: "POST".into(), path: "/v1/topups".into(), times: 1 });
}

#[tokio::test]
async fn too_many_requests_leave_the_key_free() {
    let sim = Sim::start().await;
    plan(&sim, FaultKind::RateLimited);
    let refused = sim.post_with_key("/v1/topups", &TOPUP, "k").await;
    assert_eq!((refused.error().0, refused.header("retry-after")), (429, Some("1")));
    let reply = sim.post_with_key("/v1/topups", &TOPUP, "k").await.ok();
    assert_eq!(reply.header("idempotent-replayed"), None);
    assert_eq!(sim.balance(None).await, (50_00, 0, 0));
    sim.finish().await;
}

#[tokio::test]
async fn server_errors_stick_to_their_key_with_and_without_an_effect() {
    let sim = Sim::start().await;
    plan(&sim, FaultKind::ErrorBefore);
    for replayed in [None, Some("true")] {
        let reply = sim.post_with_key("/v1/topups", &TOPUP, "before").await;
        assert_eq!(
            (reply.error().0, reply.error().1, reply.header("idempotent-replayed")),
            (500, "api_error", replayed)
        );
    }
    assert_eq!(sim.balance(None).await, (0, 0, 0));
    plan(&sim, FaultKind::ErrorAfter);
    for replayed in [None, Some("true")] {
        let reply = sim.post_with_key("/v1/topups", &TOPUP, "after").await;
        assert_eq!((reply.error().0, reply.header("idempotent-replayed")), (500, replayed));
    }
    assert_eq!(sim.balance(None).await, (50_00, 0, 0));
    assert_eq!(sim.control.effects().await.expect("effects").len(), 1);
    sim.finish().await;
}

#[tokio::test]
async fn a_lost_answer_can_be_asked_for_again() {
    let sim = Sim::start().await;
    plan(&sim, FaultKind::AnswerLost);
    let request = sim.request(reqwest::Method::POST, "/v1/topups").form(&TOPUP).header("idempotency-key", "k");
    let lost = request.send().await;
    let body = match lost {
        Ok(answer) => answer.text().await,
        Err(error) => Err(error),
    };
    assert!(body.is_err(), "the connection broke: {body:?}");
    let replay = sim.post_with_key("/v1/topups", &TOPUP, "k").await.ok();
    assert_eq!(replay.header("idempotent-replayed"), Some("true"));
    assert_eq!(sim.balance(None).await, (50_00, 0, 0));
    sim.finish().await;
}

/// A request whose client waits a fifth of a second.
async fn impatient(sim: &Sim, key: &str) -> Result<String, reqwest::Error> {
    let request = sim.request(reqwest::Method::POST, "/v1/topups").form(&TOPUP).header("idempotency-key", key);
    request.timeout(Duration::from_millis(200)).send().await?.text().await
}

#[tokio::test]
async fn a_request_that_hangs_may_have_had_its_effect_or_not() {
    let sim = Sim::start().await;
    for (kind, key, effect) in [(FaultKind::HangBefore, "before", 0), (FaultKind::HangAfter, "after", 50_00)] {
        plan(&sim, kind);
        let error = impatient(&sim, key).await.expect_err("nobody answers");
        assert!(error.is_timeout(), "{error:?}");
        assert_eq!(sim.balance(None).await, (effect, 0, 0), "{kind:?}");
    }
    assert_eq!(sim.post_with_key("/v1/topups", &TOPUP, "before").await.ok().header("idempotent-replayed"), None);
    let known = sim.post_with_key("/v1/topups", &TOPUP, "after").await.ok();
    assert_eq!(known.header("idempotent-replayed"), Some("true"));
    assert_eq!(sim.balance(None).await, (100_00, 0, 0));
    sim.finish().await;
}

#[tokio::test]
async fn a_request_that_hangs_for_as_long_as_is_set_breaks_off() {
    let sim = Sim::start().await;
    let settings = Settings { hang_ms: 1, ..sim.control.settings() };
    sim.control.set_settings(settings).await.expect("set");
    plan(&sim, FaultKind::HangBefore);
    let error = impatient(&sim, "k").await.expect_err("the connection breaks");
    assert!(!error.is_timeout(), "{error:?}");
    sim.finish().await;
}

#[tokio::test]
async fn a_key_can_be_in_use_without_reason() {
    let sim = Sim::start().await;
    plan(&sim, FaultKind::KeyInUse);
    let busy = sim.post_with_key("/v1/topups", &TOPUP, "k").await;
    assert_eq!(busy.error(), (409, "idempotency_error", "idempotency_key_in_use", ""));
    assert_eq!(sim.balance(None).await, (0, 0, 0));
    assert_eq!(sim.post_with_key("/v1/topups", &TOPUP, "k").await.ok().header("idempotent-replayed"), None);
    sim.finish().await;
}

#[tokio::test]
async fn answers_that_cannot_be_read_have_had_their_effect_once() {
    let sim = Sim::start().await;
    for (kind, key) in [(FaultKind::Garbage, "garbage"), (FaultKind::Doubled, "doubled")] {
        plan(&sim, kind);
        let broken = sim.post_with_key("/v1/topups", &TOPUP, key).await.ok();
        assert!(broken.text.starts_with('{') && broken.body.is_null(), "{kind:?}: {}", broken.text);
        let known = sim.post_with_key("/v1/topups", &TOPUP, key).await.ok();
        assert_eq!(known.header("idempotent-replayed"), Some("true"));
        assert!(known.id().starts_with("tu_"));
    }
    assert_eq!(sim.balance(None).await, (100_00, 0, 0));
    sim.finish().await;
}

#[tokio::test]
async fn words_that_nobody_knows_are_in_the_answer_only() {
    let sim = Sim::start().await;
    plan(&sim, FaultKind::UnknownWord);
    let odd = sim.post_with_key("/v1/topups", &TOPUP, "k").await.ok();
    assert_eq!(odd.body["status"], "unheard_of");
    let known = sim.post_with_key("/v1/topups", &TOPUP, "k").await.ok();
    assert_eq!((known.id(), &known.body["status"]), (odd.id(), &"pending".into()));
    sim.finish().await;
}

#[tokio::test]
async fn a_request_that_is_repeated_on_its_way_strikes_twice_only_without_a_key() {
    let sim = Sim::start().await;
    plan(&sim, FaultKind::Repeated);
    let told = sim.post_with_key("/v1/topups", &TOPUP, "k").await.ok();
    assert_eq!(told.header("idempotent-replayed"), Some("true"));
    assert_eq!(sim.control.effects().await.expect("effects").len(), 1);
    plan(&sim, FaultKind::Repeated);
    sim.post("/v1/topups", &TOPUP).await.ok();
    assert_eq!(sim.control.effects().await.expect("effects").len(), 3);
    sim.finish().await;
}

#[tokio::test]
async fn a_webhook_can_be_ahead_of_the_answer() {
    let sim = Sim::start().await;
    let sink = Sink::start().await;
    sink.register(&sim.control, false).await;
    sim.post("/v1/topups", &TOPUP).await.ok();
    assert_eq!(kinds(&sink.take()), [""; 0], "only when flushed");
    plan(&sim, FaultKind::WebhookFirst);
    let told = sim.post("/v1/topups", &TOPUP).await.ok();
    let received = sink.take();
    assert_eq!(kinds(&received), ["topup.created"], "what the clock brought at once belongs to no request");
    assert_eq!(received[0].event()["data"]["object"]["id"], told.id());
    sim.finish().await;
}

#[tokio::test]
async fn each_effect_is_in_the_log_once_with_who_asked_for_it() {
    let sim = Sim::start().await;
    let form = [TOPUP.as_slice(), &[("metadata[op_id]", "op_1")]].concat();
    for kind in [FaultKind::AnswerLost, FaultKind::Garbage, FaultKind::Repeated, FaultKind::HangAfter] {
        plan(&sim, kind);
        let request = sim.request(reqwest::Method::POST, "/v1/topups").form(&form).header("idempotency-key", "op_1.1");
        let _lost = request.timeout(Duration::from_millis(200)).send().await;
    }
    let effects = sim.control.effects().await.expect("effects");
    let [effect] = effects.as_slice() else { panic!("one effect: {effects:?}") };
    let asked_by = (effect.operation.as_deref(), effect.idempotency_key.as_deref());
    assert_eq!(asked_by, (Some("op_1"), Some("op_1.1")));
    assert!(effect.request_id.starts_with("req_"));
    assert!(effect.object.as_deref().is_some_and(|id| id.starts_with("tu_")));
    let told = sim.get("/_control/effects").await.ok().body;
    assert_eq!(told[0]["operation"], "op_1");
    sim.post_with_key("/v1/topups", &form, "op_1.2").await.ok();
    let twice = sim.control.effects().await.expect("effects");
    assert_eq!(twice.iter().filter(|effect| effect.operation.as_deref() == Some("op_1")).count(), 2, "a double shows");
    sim.finish().await;
}
