//! Faults on demand.

use partita_simulator::{Fault, FaultKind};

use crate::support::Sim;

const TOPUP: [(&str, &str); 2] = [("amount", "5000"), ("currency", "eur")];

fn plan(sim: &Sim, kind: FaultKind) {
    sim.control.plan_fault(Fault { kind, method: "POST".into(), path: "/v1/topups".into(), times: 1 });
}

#[tokio::test]
async fn too_many_requests_leave_the_key_free() {
    let sim = Sim::start().await;
    plan(&sim, FaultKind::RateLimited);
    assert_eq!(sim.post_with_key("/v1/topups", &TOPUP, "k").await.error().0, 429);
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
