//! Webhooks out: from the change of a payment to the receiver, with everything that may go wrong on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use partita::worker;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::sink::{Reply, Sink};
use crate::support::{cart, item, paid_with};
use crate::test_app::{DAY, TestApp, text};

const HOUR: i64 = 3_600;
/// A little longer than each delay of the schedule with its jitter, in seconds.
const DELAYS: [i64; 9] = [6, 330, 1_980, 7_920, 19_800, 39_600, 55_440, 79_200, 95_040];

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_a_payment_reaches_who_asked_for_it_signed_and_in_order() {
    let t = TestApp::new().await;
    let (sink, other) = (Sink::start().await, Sink::start().await);
    let endpoint = t.endpoint(&sink, &["payment.*"]).await;
    let refunds_only = t.endpoint(&other, &["refund.succeeded"]).await;
    let secret = text(&endpoint["secret"]);
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "32 random bytes");
    assert_ne!(secret, text(&refunds_only["secret"]));
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let payment = t.pay(cart("order-1", "EUR", &[item(&a, 100_00)])).await;
    t.advance(6 * DAY).await;

    let got = sink.got();
    let mut sequences = BTreeMap::<String, Vec<i64>>::new();
    for message in &got {
        assert_eq!((message.signed_with(&secret), message.signature.split(' ').count()), (1, 1));
        let body = message.body();
        assert_eq!(body["id"], json!(message.id));
        assert!(message.raw.len() < 20_000 && body["mode"] == "test" && body["api_version"].is_string());
        let id = text(&body["data"]["object"]["id"]);
        sequences.entry(id).or_default().push(body["sequence"].as_i64().expect("a number"));
    }
    let [(id, mut seen)] = <[_; 1]>::try_from(Vec::from_iter(sequences)).expect("one payment");
    seen.sort_unstable();
    let last = i64::try_from(seen.len()).expect("few");
    assert_eq!((id, seen), (text(&payment["id"]), (1..=last).collect::<Vec<_>>()), "no gap");
    let mut types = sink.types();
    types.sort_unstable();
    assert_eq!(types, ["payment.created", "payment.funds_available", "payment.succeeded"]);
    let paid = got.iter().find(|got| got.body()["type"] == "payment.succeeded").expect("it succeeded");
    assert_eq!(paid.body()["data"]["object"]["status"], "succeeded");
    assert_eq!(paid.body()["data"]["previous"]["status"], "processing");
    // What is listed is what is sent.
    let listed = t.list("/v1/events?type=payment.succeeded").await;
    assert_eq!(listed, [paid.body()]);
    assert!(other.got().is_empty());

    let deliveries = t.deliveries(&endpoint).await;
    assert_eq!(deliveries.len(), 3);
    for delivery in &deliveries {
        assert_eq!((&delivery["status"], &delivery["attempt_count"]), (&json!("delivered"), &json!(1)));
        let attempts = t.delivery(delivery).await["attempts"].clone();
        assert_eq!((&attempts[0]["response_status"], &attempts[0]["response_body"]), (&json!(204), &json!("")));
    }
    assert!(t.deliveries(&refunds_only).await.is_empty());
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_delivery_is_tried_again_later_under_its_same_id() {
    let t = TestApp::new().await;
    let sink = Sink::start().await;
    sink.then(&[500, 302, 404, 503]);
    let endpoint = t.endpoint(&sink, &["seller.created"]).await;
    let body = json!({"reference": "A", "email": "a@example.org", "country": "DE", "default_currency": "EUR"});
    t.post("/v1/sellers", "A", body).await.expect(201);
    t.settle().await;
    for (attempt, delay) in DELAYS[..4].iter().enumerate() {
        assert_eq!(sink.got().len(), attempt + 1);
        t.advance(delay - delay / 5).await;
        assert_eq!(sink.got().len(), attempt + 1, "not before its time");
        t.advance(delay / 5).await;
    }
    let got = sink.got();
    assert_eq!(got.len(), 5);
    let secret = text(&endpoint["secret"]);
    assert!(got.iter().all(|one| one.id == got[0].id && one.raw == got[0].raw && one.signed_with(&secret) == 1));
    let times: Vec<i64> = got.iter().map(|one| one.timestamp).collect();
    for (pair, least) in times.windows(2).zip([5, 300, 1_800, 7_200]) {
        assert!(pair[1] - pair[0] >= least, "each attempt has its own time: {times:?}");
    }
    let [delivery] = <[_; 1]>::try_from(t.deliveries(&endpoint).await).expect("one");
    let delivery = t.delivery(&delivery).await;
    assert_eq!((&delivery["status"], &delivery["attempt_count"]), (&json!("delivered"), &json!(5)));
    let statuses: Vec<_> = (0..5).map(|at| delivery["attempts"][at]["response_status"].clone()).collect();
    assert_eq!(statuses, [500, 302, 404, 503, 204]);
    assert_eq!(t.endpoint_now(&endpoint).await["failing_since"], Value::Null);
    t.advance(DAY).await;
    assert_eq!(sink.got().len(), 5);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_gets_too_much_is_left_alone_for_as_long_as_it_asks() {
    let t = TestApp::new().await;
    let sink = Sink::start().await;
    t.endpoint(&sink, &["webhook_endpoint.updated"]).await;
    let bystander = t.bystander().await;
    sink.next(Reply { status: 429, retry_after: Some(120) });
    t.something_happens(&bystander, "one").await;
    t.settle().await;
    t.something_happens(&bystander, "two").await;
    t.advance(100).await;
    assert_eq!(sink.got().len(), 1, "nothing is sent, not even what is new");
    t.advance(30).await;
    assert_eq!(sink.got().len(), 3);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_disables_and_what_waits_stays() {
    let t = TestApp::new().await;
    let (sink, watcher) = (Sink::start().await, Sink::start().await);
    let endpoint = t.endpoint(&sink, &["webhook_endpoint.updated"]).await;
    t.endpoint(&watcher, &["webhook_endpoint.disabled"]).await;
    let bystander = t.bystander().await;
    sink.then(&[500, 410]);
    t.something_happens(&bystander, "one").await;
    t.settle().await;
    t.something_happens(&bystander, "two").await;
    t.settle().await;
    let gone = t.endpoint_now(&endpoint).await;
    assert_eq!((&gone["status"], &gone["disabled_reason"]), (&json!("disabled"), &json!("gone")));
    let told = watcher.got()[0].body();
    assert_eq!((&told["type"], &told["data"]["object"]["id"]), (&json!("webhook_endpoint.disabled"), &endpoint["id"]));
    assert_eq!(told["data"]["previous"], json!({"status": "enabled", "disabled_reason": null}));
    t.something_happens(&bystander, "nobody is told").await;
    t.advance(HOUR).await;
    assert_eq!(sink.got().len(), 2);
    let path = format!("/v1/webhook_endpoints/{}", text(&endpoint["id"]));
    t.act(&format!("{path}/test"), json!({}), 409).await;
    t.send("PATCH", &path, None, Some(json!({"status": "enabled"}))).await.expect(200);
    t.settle().await;
    // The first one had failed and waited; the second was final.
    let statuses: Vec<_> = t.deliveries(&endpoint).await.iter().map(|one| text(&one["status"])).collect();
    assert_eq!(statuses, ["failed", "delivered"]);
    assert_eq!(sink.got()[2].id, sink.got()[0].id);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_hangs_harms_nobody_else() {
    let t = TestApp::new().await;
    let (hanging, healthy) = (Sink::start_hanging().await, Sink::start().await);
    let slow = t.endpoint(&hanging, &["webhook_endpoint.updated"]).await;
    t.endpoint(&healthy, &["webhook_endpoint.updated"]).await;
    let bystander = t.bystander().await;
    for number in 0..20 {
        t.something_happens(&bystander, &format!("change {number}")).await;
    }
    let stop = CancellationToken::new();
    let workers: Vec<_> = (0..2).map(|_| tokio::spawn(worker::run(Arc::clone(&t.app), stop.clone()))).collect();
    healthy.until(20).await;
    hanging.until(8).await;
    t.something_happens(&bystander, "and one more").await;
    healthy.until(21).await;
    assert_eq!(hanging.got().len(), 8, "no more are under way to it, whoever looks");
    hanging.open(100);
    hanging.until(21).await;
    stop.cancel();
    for worker in workers {
        worker.await.expect("it ended");
    }
    t.settle().await;
    for sink in [&healthy, &hanging] {
        let ids: BTreeSet<_> = sink.got().into_iter().map(|got| got.id).collect();
        assert_eq!((ids.len(), sink.got().len()), (21, 21), "each once");
    }
    assert!(t.deliveries(&slow).await.iter().all(|delivery| delivery["status"] == "delivered"));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_left_alone_gets_no_turn_for_each_event() {
    let t = TestApp::new().await;
    let sink = Sink::start().await;
    t.endpoint(&sink, &["webhook_endpoint.updated"]).await;
    let bystander = t.bystander().await;
    t.settle().await;
    let until =
        "update webhook_endpoints set throttled_until = '2026-03-02T09:30:00Z', failing_since = '2026-03-02T09:00:00Z'";
    assert!(t.tamper(until).await > 0);
    t.something_happens(&bystander, "a change").await;
    partita::webhook_endpoints::fan_out(&t.app, t.book.id).await.expect("fanned out");
    let due = "update due set due_at = due_at where kind = 'webhook_endpoint'";
    let later = format!("{due} and due_at = '2026-03-02T09:30:00Z'");
    assert_eq!(t.tamper(&later).await, t.tamper(due).await, "not before it may be asked again");
    assert!(t.tamper(due).await > 0 && sink.got().is_empty());
    t.advance(HOUR).await;
    assert_eq!(sink.got().len(), 1);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_workers_send_each_event_once() {
    let t = TestApp::new().await;
    let sink = Sink::start().await;
    t.endpoint(&sink, &["webhook_endpoint.updated"]).await;
    let bystander = t.bystander().await;
    for number in 0..30 {
        t.something_happens(&bystander, &format!("change {number}")).await;
    }
    let drains = (0..4).map(|_| worker::drain(&t.app));
    for drained in futures::future::join_all(drains).await {
        drained.expect("drained");
    }
    t.advance(60).await;
    let ids: BTreeSet<_> = sink.got().into_iter().map(|got| got.id).collect();
    assert_eq!((ids.len(), sink.got().len()), (30, 30));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_failures_end_a_delivery_and_75_hours_of_them_its_endpoint() {
    let t = TestApp::new().await;
    let (sink, watcher) = (Sink::start().await, Sink::start().await);
    sink.always(500);
    let endpoint = t.endpoint(&sink, &["webhook_endpoint.updated"]).await;
    t.endpoint(&watcher, &["webhook_endpoint.disabled"]).await;
    let bystander = t.bystander().await;
    t.something_happens(&bystander, "one").await;
    t.settle().await;
    for delay in DELAYS {
        assert_eq!(t.endpoint_now(&endpoint).await["status"], "enabled");
        assert!(watcher.got().is_empty());
        t.advance(delay).await;
    }
    assert_eq!(sink.got().len(), 10);
    let [delivery] = <[_; 1]>::try_from(t.deliveries(&endpoint).await).expect("one");
    assert_eq!((&delivery["status"], &delivery["attempt_count"]), (&json!("failed"), &json!(10)));
    let disabled = t.endpoint_now(&endpoint).await;
    assert_eq!((&disabled["status"], &disabled["disabled_reason"]), (&json!("disabled"), &json!("failing")));
    assert_eq!(watcher.types(), ["webhook_endpoint.disabled"]);
    assert_eq!(t.list("/v1/events?type=webhook_endpoint.disabled").await.len(), 1);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_success_ends_the_count_of_failures() {
    let t = TestApp::new().await;
    let sink = Sink::start().await;
    sink.always(500);
    let endpoint = t.endpoint(&sink, &["webhook_endpoint.updated"]).await;
    let bystander = t.bystander().await;
    t.something_happens(&bystander, "one").await;
    t.advance(2 * DAY).await;
    assert!(t.endpoint_now(&endpoint).await["failing_since"].is_string());
    sink.next(Reply::from(200));
    t.something_happens(&bystander, "two").await;
    t.settle().await;
    t.advance(2 * DAY).await;
    assert_eq!(t.endpoint_now(&endpoint).await["status"], "enabled");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_can_be_had_again_one_by_one_or_by_the_range() {
    let t = TestApp::new().await;
    let (sink, other) = (Sink::start().await, Sink::start().await);
    let endpoint = t.endpoint(&sink, &["payment.succeeded", "payment.failed"]).await;
    t.endpoint(&other, &["payment.failed"]).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let began = t.clock.now();
    t.pay(cart("order-1", "EUR", &[item(&a, 10_00)])).await;
    t.advance(HOUR).await;
    let between = t.clock.now();
    let declined = paid_with(cart("order-2", "EUR", &[item(&a, 10_00)]), "pm_card_chargeDeclined");
    t.post("/v1/payments", "order-2", declined).await.expect(402);
    t.settle().await;
    assert_eq!((sink.got().len(), other.got().len()), (2, 1));

    let first = t.deliveries(&endpoint).await.pop().expect("the oldest");
    let again = t.act(&format!("/v1/deliveries/{}/resend", text(&first["id"])), json!({}), 202).await;
    assert_eq!(
        (&again["reason"], &again["status"], &again["event"]),
        (&json!("resend"), &json!("pending"), &first["event"])
    );
    t.settle().await;
    assert_eq!(t.delivery(&again).await["status"], "delivered");
    assert_eq!(
        (&sink.got()[2].id, &sink.got()[2].raw),
        (&sink.got()[0].id, &sink.got()[0].raw),
        "for the receiver it is one"
    );

    let before = t.clock.now() + jiff::SignedDuration::from_secs(1);
    let replay = async |range: Value| t.act("/v1/events/replay", range, 202).await["delivery_count"].clone();
    assert_eq!(replay(json!({"from": began, "before": before})).await, 3);
    t.settle().await;
    assert_eq!((sink.got().len(), other.got().len()), (5, 2));
    assert_eq!(replay(json!({"from": began, "before": between, "endpoint": endpoint["id"]})).await, 1);
    assert_eq!(replay(json!({"from": before, "before": "2030-01-01T00:00:00Z"})).await, 0);
    t.settle().await;
    assert_eq!((sink.got().len(), other.got().len()), (6, 2));
    t.act("/v1/events/replay", json!({"from": before, "before": began}), 422).await;
    let unknown = json!({"from": began, "before": before, "endpoint": "whe_01jd9z8p3hfh7s4k2n0q5r6t7v"});
    t.act("/v1/events/replay", unknown, 404).await;

    let tested = t.act(&format!("/v1/webhook_endpoints/{}/test", text(&endpoint["id"])), json!({}), 202).await;
    sink.next(Reply::from(500));
    t.advance(HOUR).await;
    let tested = t.delivery(&tested).await;
    assert_eq!((&tested["status"], &tested["attempt_count"]), (&json!("failed"), &json!(1)), "a test is tried once");
    assert_eq!((sink.types().pop().as_deref(), other.got().len()), (Some("webhook_endpoint.tested"), 2));
    let mut listed = tested;
    listed.as_object_mut().expect("an object").remove("attempts");
    assert_eq!(t.list("/v1/deliveries?status=failed").await, [listed]);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_dies_between_sending_and_noting_it_makes_it_come_twice_and_never_not_at_all() {
    let t = TestApp::new().await;
    let sink = Sink::start_hanging().await;
    let endpoint = t.endpoint(&sink, &["webhook_endpoint.updated"]).await;
    let bystander = t.bystander().await;
    t.something_happens(&bystander, "one").await;
    let app = Arc::clone(&t.app);
    let dying = tokio::spawn(async move { worker::drain(&app).await });
    sink.until(1).await;
    dying.abort();
    assert!(dying.await.expect_err("it died").is_cancelled());
    assert_eq!(t.deliveries(&endpoint).await[0]["status"], "sending");
    t.forget_leases().await;
    sink.open(10);
    t.settle().await;
    let got = sink.got();
    assert_eq!((got.len(), &got[0].id), (2, &got[1].id));
    let delivery = t.delivery(&t.deliveries(&endpoint).await[0]).await;
    assert_eq!((&delivery["status"], &delivery["attempt_count"]), (&json!("delivered"), &json!(2)));
    let known: Vec<_> =
        delivery["attempts"].as_array().expect("a list").iter().map(|one| one["number"].clone()).collect();
    assert_eq!(known, [2], "what came of the first nobody knows");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_result_of_an_attempt_that_was_given_up_changes_nothing() {
    let t = TestApp::new().await;
    let sink = Sink::start_hanging().await;
    let endpoint = t.endpoint(&sink, &["webhook_endpoint.updated"]).await;
    let bystander = t.bystander().await;
    t.something_happens(&bystander, "one").await;
    let drain = || {
        let app = Arc::clone(&t.app);
        tokio::spawn(async move { worker::drain(&app).await })
    };
    let first = drain();
    sink.until(1).await;
    t.forget_leases().await;
    let second = drain();
    sink.until(2).await;
    // Whichever is answered first is answered 500, the other 204; the attempt that counts is the second.
    sink.then(&[500, 204]);
    sink.open(10);
    for drained in [first, second] {
        drained.await.expect("ended").expect("drained");
    }
    t.settle().await;
    let delivery = t.delivery(&t.deliveries(&endpoint).await[0]).await;
    let attempts = delivery["attempts"].as_array().expect("a list").clone();
    assert_eq!(attempts.len(), 2, "{delivery:#}");
    let second = attempts.iter().find(|one| one["number"] == 2).expect("the second");
    let expected = if second["response_status"] == 204 { "delivered" } else { "pending" };
    assert_eq!(delivery["status"], expected, "{delivery:#}");
    // Five minutes and the jitter, if it was the second that failed.
    t.advance(600).await;
    assert_eq!(t.delivery(&delivery).await["status"], "delivered");
    t.finish().await;
}
