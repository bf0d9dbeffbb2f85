//! Webhooks: once, in any order, before and after the API's answer; forged, foreign, unknown and poisonous ones.

use partita::platforms::{self, Mode};
use partita_simulator::{Fault, FaultKind};
use partita_webhooks::WebhookSecret;
use partita_webhooks::endpoint::EndpointKind;
use serde_json::{Value, json};

use crate::support::{Dice, cart, item, signature, taxed};
use crate::test_app::{CONNECT_SECRET, DAY, PLATFORM_SECRET, TestApp, text};

/// Every event of the platform's own account at the provider, oldest first.
async fn platform_events(t: &TestApp) -> Vec<Value> {
    let connect: Vec<String> =
        t.control.endpoints().into_iter().filter(|endpoint| endpoint.connect).map(|endpoint| endpoint.id).collect();
    let mut events = Vec::new();
    for delivery in t.control.deliveries().await.expect("deliveries") {
        if !connect.contains(&delivery.endpoint) {
            events.push(t.at_provider("GET", &format!("/v1/events/{}", delivery.event), &[]).await);
        }
    }
    events
}

fn event(id: &str, kind: &str, object: &Value) -> Value {
    json!({"id": id, "object": "event", "type": kind, "livemode": false, "created": 1_772_442_000, "data": {"object": object}})
}

/// A payment, paid out of, refunded in part and reversed; every capability has told its events.
async fn story(t: &TestApp) -> Value {
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "daily").await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    t.top_up("float", 200_00, "EUR").await;
    let payment = t.pay(cart("order-1", "EUR", &[taxed(&a, 60_00, 12_00), taxed(&b, 40_00, 8_00)])).await;
    t.advance(6 * DAY).await;
    let refund = json!({"payment": payment["id"], "lines": [{"line": 1, "amount": 20_00}]});
    t.post("/v1/refunds", "ret-1", refund).await.expect(201);
    t.settle().await;
    payment
}

#[tokio::test(flavor = "multi_thread")]
async fn every_webhook_five_times_again_changes_nothing() {
    let t = TestApp::new().await;
    story(&t).await;
    let (counts, balances) = (t.row_counts().await, t.balances().await);
    let mut events: Vec<String> =
        t.control.deliveries().await.expect("deliveries").into_iter().map(|delivery| delivery.event).collect();
    events.sort();
    events.dedup();
    assert!(events.len() > 15, "{events:?}");
    for event in events {
        assert_eq!(t.control.resend(&event, 5).await.expect("resent"), 5);
    }
    t.settle().await;
    assert_eq!(t.row_counts().await, counts);
    assert_eq!(t.balances().await, balances);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_in_any_order_and_number_end_at_the_same_books() {
    let t = TestApp::new().await;
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    t.next_post_fails(FaultKind::AnswerLost, "/v1/payment_intents");
    let body = cart("order-1", "EUR", &[taxed(&a, 60_00, 12_00)]);
    let payment = t.post("/v1/payments", "order-1", body).await.expect(202);
    t.next_post_fails(FaultKind::AnswerLost, "/v1/topups");
    let body = json!({"reference": "float", "amount": 100_00, "currency": "EUR"});
    t.post("/v1/top_ups", "float", body).await.expect(202);

    let mut events: Vec<Value> = platform_events(&t).await.into_iter().flat_map(|event| vec![event; 5]).collect();
    let mut dice = Dice::new(7);
    for last in (1..events.len()).rev() {
        let other = dice.roll(0, i64::try_from(last).expect("few"));
        events.swap(last, usize::try_from(other).expect("few"));
    }
    for (number, event) in events.iter().enumerate() {
        assert_eq!(t.webhook(0, event).await.status, 200);
        if number % 7 == 0 {
            partita::worker::drain(&t.app).await.expect("drained");
        }
    }
    partita::worker::drain(&t.app).await.expect("drained");
    let payment = t.payment(&payment).await;
    assert_eq!(payment["status"], "succeeded", "told by webhook alone");
    assert_eq!(t.list("/v1/top_ups").await[0]["status"], "succeeded");
    t.settle().await;
    t.advance(4 * DAY).await;
    assert_eq!(t.balances().await["conn.available.A EUR"], 54_00);
    assert_eq!((t.effects("/v1/payment_intents").await, t.effects("/v1/topups").await), (1, 1));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_comes_before_the_answer_is_taken_and_the_answer_adds_nothing() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    t.next_post_fails(FaultKind::AnswerLost, "/v1/payment_intents");
    let body = cart("order-1", "EUR", &[item(&a, 60_00)]);
    let payment = t.post("/v1/payments", "order-1", body).await.expect(202);
    // Not a second has passed: the retry is not due, the webhook is there.
    t.settle().await;
    assert_eq!(t.payment(&payment).await["status"], "succeeded");
    let balances = t.balances().await;
    // Now the first answer comes late: the same bytes under the same key give it again.
    t.tamper(
        "update operations set state = 'submitting', lease_until = clock_timestamp() - interval '1 second'
         where kind = 'create_payment'",
    )
    .await;
    t.tamper(
        "insert into due (kind, book_id, id, due_at)
         select 'operation', book_id, key, 'epoch' from operations where state = 'submitting'
         on conflict (kind, book_id, id) do update set due_at = 'epoch', lease_until = null",
    )
    .await;
    t.settle().await;
    assert_eq!(t.count("select max(attempt)::bigint from operations where kind = 'create_payment'").await, 2);
    assert_eq!(t.balances().await, balances);
    assert_eq!(t.effects("/v1/payment_intents").await, 1);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_webhook_is_refused_without_a_word_and_leaves_no_row() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    t.pay(cart("order-1", "EUR", &[item(&a, 60_00)])).await;
    let counts = t.row_counts().await;
    let body = event("evt_forged", "payment_intent.succeeded", &json!({"object": "payment_intent", "id": "pi_1"}));
    let bytes = body.to_string().into_bytes();
    let now = t.clock.now().as_second();
    let good = signature(PLATFORM_SECRET, now, &bytes);
    let (_, good_hex) = good.rsplit_once('=').expect("v1=");
    let table = [
        None,
        Some(String::new()),
        Some("t=,v1=".to_owned()),
        Some(format!("t={now}")),
        Some(format!("v1={good_hex}")),
        Some(format!("t={now},v0={good_hex}")),
        Some(format!("t={now},v1={}", &good_hex[..8])),
        Some(format!("t={},v1={good_hex}", now - 1)),
        Some(format!("t={now},v1={}", "0".repeat(64))),
        Some(signature("whsec_of_somebody_else", now, &bytes)),
        Some(signature(CONNECT_SECRET, now, &bytes)),
        Some(signature("", now, &bytes)),
        Some(signature(PLATFORM_SECRET, now - 301, &bytes)),
        Some(signature(PLATFORM_SECRET, now + 301, &bytes)),
        Some(signature(PLATFORM_SECRET, now, b"{}")),
    ];
    for header in table {
        let answer = t.webhook_with(0, header.as_deref(), bytes.clone()).await;
        assert_eq!(answer.status, 400, "{header:?}: {}", answer.text());
        let problem = answer.json();
        assert_eq!((&problem["code"], &problem["detail"]), (&json!("webhook_refused"), &Value::Null), "{header:?}");
    }
    // What is signed but no event is refused as well.
    for body in [&b""[..], b"{", b"[]", b"{\"id\":\"evt_1\"}", b"\xff"] {
        let signed = signature(PLATFORM_SECRET, now, body);
        assert_eq!(t.webhook_with(0, Some(&signed), body.to_vec()).await.status, 400);
    }
    for path in ["/webhooks/stripe/made-up-token-of-enough-length", "/webhooks/stripe/", "/webhooks/other/"] {
        let path = if path.ends_with("other/") { format!("{path}{}", t.endpoints[0]) } else { path.to_owned() };
        let request = t.client.post(format!("{}{path}", t.base)).header("Stripe-Signature", &good).body(bytes.clone());
        assert_eq!(crate::test_app::answer(request).await.status, 404, "{path}");
    }
    let large = vec![b' '; 1_048_577];
    assert_eq!(t.webhook_with(0, Some(&signature(PLATFORM_SECRET, now, &large)), large).await.status, 413);
    assert_eq!(t.row_counts().await, counts, "no row of any table");
    // The bytes are good: only the signature was wrong.
    assert_eq!(t.webhook_with(0, Some(&format!("{good},v1={}", "0".repeat(64))), bytes).await.status, 200);
    assert_eq!(t.row_counts().await["inbox_events"], counts["inbox_events"] + 1);
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_of_the_other_mode_is_not_taken() {
    let t = TestApp::new().await;
    let live_book = platforms::book_of(&t.app, "market", Mode::Live).await.expect("a book");
    let secret = WebhookSecret::parse(CONNECT_SECRET).expect("a secret");
    let live_endpoint =
        platforms::open_webhook_endpoint(&t.app, &live_book, EndpointKind::Connect, secret).await.expect("an endpoint");
    let counts = t.row_counts().await;
    let mut live = event("evt_live", "account.updated", &json!({"object": "account", "id": "acct_1"}));
    live["livemode"] = json!(true);
    for endpoint in 0..2 {
        assert_eq!(t.webhook(endpoint, &live).await.status, 400, "a test endpoint hears of tests only");
    }
    // A live Connect endpoint hears of both (docs.stripe.com/connect/webhooks): what is a test is left out.
    let test = event("evt_test", "account.updated", &json!({"object": "account", "id": "acct_1"})).to_string();
    let signed = signature(CONNECT_SECRET, t.clock.now().as_second(), test.as_bytes());
    let path = format!("{}/webhooks/stripe/{live_endpoint}", t.base);
    let request = t.client.post(path).header("Stripe-Signature", signed).body(test);
    assert_eq!(crate::test_app::answer(request).await.status, 200);
    assert_eq!(t.row_counts().await, counts);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_type_is_kept_and_ignored() {
    let t = TestApp::new().await;
    let unknown = event("evt_new", "customer.created", &json!({"object": "customer", "id": "cus_1"}));
    for _ in 0..3 {
        assert_eq!(t.webhook(0, &unknown).await.status, 200);
    }
    t.settle().await;
    let kept = "select count(*) from inbox_events where event_id = 'evt_new' and kind = 'customer.created' and state = 'ignored'";
    assert_eq!(t.count(kept).await, 1);
    assert_eq!(t.count("select count(*) from inbox_events where raw is not null").await, 1);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_a_hint_what_it_claims_is_not_believed() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let waiting =
        crate::support::paid_with(cart("order-1", "EUR", &[item(&a, 60_00)]), "pm_card_authenticationRequired");
    let waiting = t.post("/v1/payments", "order-1", waiting).await.expect(201);
    // Properly signed, and wrong: the object that is read says otherwise.
    let lie =
        json!({"object": "payment_intent", "id": waiting["provider"]["id"], "status": "succeeded", "amount": 60_00});
    assert_eq!(t.webhook(0, &event("evt_lie", "payment_intent.succeeded", &lie)).await.status, 200);
    t.settle().await;
    assert_eq!(t.payment(&waiting).await["status"], "requires_action");
    assert!(t.balances().await.is_empty());
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisonous_event_is_set_aside_and_the_others_are_applied() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    t.next_post_fails(FaultKind::RateLimited, "/v1/payment_intents");
    let payment = t.post("/v1/payments", "order-1", cart("order-1", "EUR", &[item(&a, 2_000_00)])).await.expect(202);
    // Somebody pays one euro and names the payment of two thousand.
    let named = text(&payment["id"]);
    let form = [
        ("amount", "100"),
        ("currency", "eur"),
        ("confirm", "true"),
        ("payment_method", "pm_card_visa"),
        ("automatic_payment_methods[enabled]", "true"),
        ("automatic_payment_methods[allow_redirects]", "never"),
        ("metadata[partita_object]", named.as_str()),
    ];
    t.at_provider("POST", "/v1/payment_intents", &form).await;
    t.top_up("float", 100_00, "EUR").await;
    let poisoned = t.count("select count(*) from inbox_events where state = 'quarantined' and last_error like '%contradicts the payment%'").await;
    assert!(poisoned > 0, "a person has to look");
    assert_eq!(t.payment(&payment).await["status"], "processing", "one euro does not pay it");
    assert_eq!(t.list("/v1/top_ups").await[0]["status"], "succeeded", "the others of the batch are applied");
    t.advance(60).await;
    assert_eq!(t.payment(&payment).await["status"], "succeeded", "its own charge does");
    assert_eq!(t.balances().await["sel.A.pending EUR"], 2_000_00);
    // The euro is nobody's and stays a break of the reconciliation.
    assert!(t.reconcile().await.breaks > 0);
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_provider_puts_events_off_and_gives_none_up() {
    let t = TestApp::new().await;
    let body = json!({"reference": "float", "amount": 100_00, "currency": "EUR"});
    let top_up = t.post("/v1/top_ups", "float", body).await.expect(201);
    let kind = FaultKind::RateLimited;
    t.control.plan_fault(Fault { kind, method: "GET".to_owned(), path: "/v1/".to_owned(), times: u32::MAX });
    for _ in 0..15 {
        t.advance(61).await;
    }
    let path = format!("/v1/top_ups/{}", text(&top_up["id"]));
    assert_eq!(t.get(&path).await["status"], "pending", "nobody could look");
    assert_eq!(t.count("select count(*) from inbox_events where state = 'quarantined'").await, 0);
    assert!(t.count("select count(*) from inbox_events where state in ('received', 'parked')").await > 0);
    t.control.clear_faults();
    t.advance(3_600).await;
    assert_eq!(t.get(&path).await["status"], "succeeded");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_foreign_object_waits_and_does_not_hold_up_the_others() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let form = [("amount", "5000"), ("currency", "eur")];
    t.at_provider("POST", "/v1/topups", &form).await;
    t.pay(cart("order-1", "EUR", &[item(&a, 60_00)])).await;
    let parked =
        "select count(*) from inbox_events where state = 'parked' and kind like 'topup.%' and last_error is not null";
    assert_eq!(t.count(parked).await, 2, "topup.created and topup.succeeded");
    assert_eq!(
        t.count("select count(*) from inbox_events where state not in ('parked', 'applied', 'ignored')").await,
        0
    );
    assert!(!t.balances().await.contains_key("prov.available EUR"), "nothing is booked on a guess");
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_number_in_a_webhook_is_masked_before_it_is_stored() {
    let t = TestApp::new().await;
    let object =
        json!({"object": "customer", "id": "cus_1", "description": "call 4242 4242 4242 4242", "n": "378282246310005"});
    assert_eq!(t.webhook(0, &event("evt_card", "customer.updated", &object)).await.status, 200);
    let admin = t.admin().await;
    let (raw, masked): (Vec<u8>, bool) =
        sqlx::query_as("select raw, masked from inbox_events where event_id = 'evt_card'")
            .fetch_one(&admin)
            .await
            .expect("kept");
    admin.close().await;
    let raw = String::from_utf8(raw).expect("text");
    assert!(masked && !raw.contains("4242 4242 4242") && !raw.contains("37828224631"), "{raw}");
    let parsed: Value = serde_json::from_str(&raw).expect("still JSON");
    assert_eq!(parsed["data"]["object"]["id"], "cus_1");
    t.finish().await;
}
