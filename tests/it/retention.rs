//! What is not kept for ever goes at its time, and nothing else does.

use partita::worker;
use serde_json::json;

use crate::sink::Sink;
use crate::support::{cart, item};
use crate::test_app::{DAY, TestApp, text};

async fn keys(t: &TestApp) -> i64 {
    t.count("select count(*) from idempotency_keys").await
}

#[tokio::test(flavor = "multi_thread")]
async fn idempotency_keys_are_kept_for_thirty_days_and_never_less_than_their_command_is_open() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let body = |reference: &str| cart(reference, "EUR", &[item(&a, 60_00)]);
    let first = t.post("/v1/payments", "order-1", body("order-1")).await;
    t.post("/v1/payments", "order-2", body("order-2")).await.expect(201);
    t.settle().await;
    // Nobody decides what became of the second one.
    let open = "update operations set state = 'needs_review', review_reason = 'nobody knows'
                where object_id = (select id from payments where reference = 'order-2')";
    assert_eq!(t.tamper(open).await, 1);
    t.tamper("delete from due where kind = 'operation'").await;
    worker::schedule_retention(&t.app).await.expect("scheduled");
    let all = keys(&t).await;
    t.advance(29 * DAY).await;
    assert_eq!(keys(&t).await, all);
    let again = t.post("/v1/payments", "order-1", body("order-1")).await;
    assert_eq!((again.status, &again.bytes), (first.status, &first.bytes), "replayed to the last day");
    t.advance(3 * DAY).await;
    assert_eq!(keys(&t).await, 1, "that of the open command");
    let held = t.post("/v1/payments", "order-2", body("order-2")).await;
    assert_eq!(held.status, 201, "{}", held.text());
    // Without its key a request is a new one; what it names may still stand in its way.
    let late = t.post("/v1/payments", "order-1", body("order-1")).await;
    assert_eq!(late.status, 409, "{}", late.text());
    assert_eq!(t.effects("/v1/payment_intents").await, 2, "nobody was charged twice");
    let closed = "update operations set state = 'succeeded', review_reason = null where state = 'needs_review'";
    assert_eq!(t.tamper(closed).await, 1);
    t.advance(2 * DAY).await;
    assert_eq!(t.count("select count(*) from idempotency_keys where key = 'order-2'").await, 0);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_an_open_command_cannot_be_removed_by_anybody() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    t.next_post_fails(partita_simulator::FaultKind::RateLimited, "/v1/payment_intents");
    t.post("/v1/payments", "order-1", cart("order-1", "EUR", &[item(&a, 60_00)])).await.expect(202);
    let admin = t.admin().await;
    let refused = sqlx::query("delete from idempotency_keys where key = 'order-1'").execute(&admin).await;
    admin.close().await;
    assert!(refused.expect_err("refused").to_string().contains("while its operation is open"));
    t.advance(DAY).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_deliveries_go_with_their_attempts_after_thirty_days_and_their_events_stay() {
    let t = TestApp::new().await;
    let (good, bad) = (Sink::start().await, Sink::start().await);
    bad.always(500);
    let endpoint = t.endpoint(&good, &["top_up.*"]).await;
    t.endpoint(&bad, &["top_up.*"]).await;
    worker::schedule_retention(&t.app).await.expect("scheduled");
    t.top_up("float", 200_00, "EUR").await;
    let deliveries = "select count(*) from webhook_deliveries";
    let attempts = "select count(*) from webhook_delivery_attempts";
    let made = t.count(deliveries).await;
    assert!(made >= 4, "{made}");
    t.advance(29 * DAY).await;
    assert_eq!(t.count(deliveries).await, made);
    assert!(t.count(attempts).await > made, "the bad one was tried again and again");
    let events = t.count("select count(*) from outbox").await;
    t.advance(3 * DAY).await;
    let delivered = t.count("select count(*) from webhook_deliveries where status = 'delivered'").await;
    assert_eq!(delivered, 0, "they ended on the first day");
    t.advance(4 * DAY).await;
    let left = t.count("select count(*) from webhook_deliveries where status not in ('pending', 'sending')").await;
    assert_eq!(left, 0, "failed ones too");
    let orphans = "select count(*) from webhook_delivery_attempts a
                   where not exists (select from webhook_deliveries d where d.book_id = a.book_id and d.id = a.delivery_id)";
    assert_eq!(t.count(orphans).await, 0);
    assert_eq!(t.count("select count(*) from outbox").await, events, "events stay");
    let event = t.list("/v1/events?type=top_up.succeeded").await[0].clone();
    let (came, id) = (good.got().len(), text(&event["id"]));
    let range = json!({"from": event["timestamp"], "before": t.clock.now(), "endpoint": endpoint["id"]});
    t.act("/v1/events/replay", range, 202).await;
    t.settle().await;
    assert!(good.got()[came..].iter().any(|got| got.body()["id"] == json!(id)), "an old event can still be sent again");
    t.finish().await;
}
