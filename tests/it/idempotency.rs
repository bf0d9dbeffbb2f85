//! Idempotency keys: one effect and one answer, however often, however at once, and across a crash.

use partita::actor::Actor;
use partita::http::idempotency::fingerprint;
use partita::id::SellerId;
use partita::idempotency::{Begun, Request};
use partita::payments::{self, LineKind, NewLine, NewPayment, TaxLiability};
use partita_provider::{Currency, Money};
use serde_json::{Value, json};

use crate::support::{cart, item};
use crate::test_app::{TestApp, text};

#[tokio::test(flavor = "multi_thread")]
async fn fifty_requests_at_once_make_one_payment_and_get_one_answer() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let body = cart("order-1", "EUR", &[item(&a, 60_00)]);
    let answers = futures::future::join_all((0..50).map(|_| t.post("/v1/payments", "order-1", body.clone()))).await;
    let mut created = Vec::new();
    for answer in answers {
        match answer.status {
            201 => created.push(answer.bytes),
            409 => {
                assert!(answer.headers.contains_key("retry-after"));
                assert_eq!(answer.json()["code"], "idempotency_key_in_use");
            }
            status => panic!("{status}: {}", answer.text()),
        }
    }
    let last = t.post("/v1/payments", "order-1", body).await;
    assert_eq!((last.status, last.headers["idempotency-replayed"].as_bytes()), (201, &b"true"[..]));
    assert!(!created.is_empty() && created.iter().all(|bytes| *bytes == last.bytes), "all the same, byte for byte");
    assert_eq!(t.effects("/v1/payment_intents").await, 1);
    assert_eq!(t.count("select count(*) from payments").await, 1);
    t.settle().await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_money_request_is_done_once_per_key() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let payment = t.pay(cart("order-1", "EUR", &[item(&a, 60_00)])).await;
    let requests = [
        ("/v1/top_ups", "/v1/topups", json!({"reference": "float", "amount": 100_00, "currency": "EUR"})),
        ("/v1/refunds", "/v1/refunds", json!({"payment": payment["id"], "amount": 10_00})),
        (
            "/v1/sellers",
            "/v1/accounts",
            json!({
                "reference": "B", "email": "b@example.com", "country": "DE", "default_currency": "EUR",
            }),
        ),
    ];
    for (path, provider_path, body) in requests {
        let before = t.effects(provider_path).await;
        let first = t.post(path, "the-key", body.clone()).await;
        assert_eq!(first.status, 201, "{}", first.text());
        let again = t.post(path, "the-key", body.clone()).await;
        assert_eq!((again.status, &again.bytes), (first.status, &first.bytes), "{path}");
        assert_eq!(t.effects(provider_path).await, before + 1, "{path}");
        // Each capability has its own key here: the next one would collide.
        let mut other = body;
        other["metadata"] = json!({"changed": "yes"});
        assert_eq!(t.post(path, "the-key", other).await.expect(422)["code"], "idempotency_key_reused", "{path}");
        t.tamper("update idempotency_keys set key = 'kept-' || gen_random_uuid() where key = 'the-key'").await;
    }
    t.settle().await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_another_request_is_refused_and_nothing_is_done() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let payment = t.pay(cart("order-1", "EUR", &[item(&a, 60_00)])).await;
    let counts = t.row_counts().await;
    let others = [
        ("/v1/payments", cart("order-1", "EUR", &[item(&a, 61_00)])),
        ("/v1/payments", cart("order-2", "EUR", &[item(&a, 60_00)])),
        ("/v1/refunds", json!({"payment": payment["id"]})),
        ("/v1/top_ups", json!({"reference": "float", "amount": 60_00, "currency": "EUR"})),
    ];
    for (path, body) in others {
        let problem = t.post(path, "order-1", body).await.expect(422);
        assert_eq!((&problem["code"], &problem["retryable"]), (&json!("idempotency_key_reused"), &json!(false)));
    }
    assert_eq!(t.row_counts().await, counts);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_money_request_needs_a_proper_key() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let body = cart("order-1", "EUR", &[item(&a, 60_00)]);
    let counts = t.row_counts().await;
    for path in ["/v1/payments", "/v1/refunds", "/v1/top_ups", "/v1/payments/pay_01h455vb4pex5vsknk084sn02q/cancel"] {
        let missing = t.send("POST", path, None, Some(body.clone())).await.expect(400);
        assert_eq!(missing["code"], "idempotency_key_missing", "{path}");
    }
    for key in ["two words", &"k".repeat(256), "tab\there"] {
        assert_eq!(
            t.post("/v1/payments", key, body.clone()).await.expect(400)["code"],
            "idempotency_key_invalid",
            "{key}"
        );
    }
    assert_eq!(t.row_counts().await, counts);
    t.post("/v1/payments", &"k".repeat(255), body).await.expect(201);
    t.settle().await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_not_valid_leaves_its_key_free() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let mut wrong = cart("order-1", "EUR", &[item(&a, 60_00)]);
    wrong["amount"] = json!(61_00);
    t.post("/v1/payments", "order-1", wrong).await.expect(422);
    let unknown = cart("order-1", "EUR", &[json!({"seller": SellerId::new().to_string(), "amount": 60_00})]);
    t.post("/v1/payments", "order-1", unknown).await.expect(422);
    t.pay(cart("order-1", "EUR", &[item(&a, 60_00)])).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_stays_what_it_was_when_the_object_moves_on() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let body = cart("order-1", "EUR", &[item(&a, 60_00)]);
    let first = t.post("/v1/payments", "order-1", body.clone()).await;
    t.top_up("float", 100_00, "EUR").await;
    let id = text(&first.json()["id"]);
    t.post("/v1/refunds", "ret-1", json!({"payment": id, "amount": 20_00})).await.expect(201);
    t.advance(4 * crate::test_app::DAY).await;
    let again = t.post("/v1/payments", "order-1", body).await;
    assert_eq!(again.bytes, first.bytes);
    assert_eq!(t.get(&format!("/v1/payments/{id}")).await["funds"], "available");
    assert_eq!(again.json()["funds"], "pending");
    t.finish().await;
}

/// The first transaction of `POST /v1/payments` alone: as if the process had died before it called the provider.
async fn plan_and_die(t: &TestApp, key: &str, body: &Value) {
    let currency = Currency::parse(&text(&body["currency"])).expect("a currency");
    let lines = body["lines"].as_array().expect("lines").iter().map(|line| NewLine {
        kind: LineKind::Item,
        seller: Some(text(&line["seller"]).parse().expect("an id")),
        amount: line["amount"].as_i64().expect("minor units"),
        tax_amount: 0,
        tax_liability: TaxLiability::Platform,
        tax_jurisdiction: None,
        category: None,
        fee_policy: None,
        release: None,
    });
    let new = NewPayment {
        reference: text(&body["reference"]),
        amount: Money::new(body["amount"].as_i64().expect("minor units"), currency),
        payment_method: text(&body["payment_method"]),
        description: None,
        capture: partita_provider::CaptureMethod::Automatic,
        return_url: None,
        payer: partita::payments::Payer::default(),
        charge_type: None,
        on_behalf_of: None,
        lines: lines.collect(),
        discounts: Vec::new(),
        metadata: json!({}),
    };
    let request = Request { key: key.to_owned(), fingerprint: fingerprint("POST", "/v1/payments", body) };
    let begun = payments::create(&t.app, t.book.id, Actor::System, request, new).await.expect("planned");
    assert!(matches!(begun, Begun::Fresh(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_the_same_request_resumes() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let body = cart("order-1", "EUR", &[item(&a, 60_00)]);
    plan_and_die(&t, "order-1", &body).await;
    let in_use = t.post("/v1/payments", "order-1", body.clone()).await;
    assert!(in_use.headers.contains_key("retry-after"));
    assert_eq!(in_use.expect(409)["code"], "idempotency_key_in_use", "the dead one's lease still runs");
    assert_eq!(t.effects("/v1/payment_intents").await, 0);
    t.expire_leases().await;
    let resumed = t.post("/v1/payments", "order-1", body.clone()).await;
    let bytes = resumed.bytes.clone();
    assert_eq!(resumed.expect(201)["status"], "succeeded");
    t.settle().await;
    assert_eq!(t.post("/v1/payments", "order-1", body).await.bytes, bytes);
    assert_eq!(t.effects("/v1/payment_intents").await, 1);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_the_worker_goes_on_alone() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let body = cart("order-1", "EUR", &[item(&a, 60_00)]);
    plan_and_die(&t, "order-1", &body).await;
    t.settle().await;
    assert_eq!(t.effects("/v1/payment_intents").await, 0, "not before the lease has run out");
    t.expire_leases().await;
    t.settle().await;
    assert_eq!(t.effects("/v1/payment_intents").await, 1);
    assert_eq!(t.post("/v1/payments", "order-1", body).await.expect(201)["status"], "succeeded");
    assert_eq!(t.effects("/v1/payment_intents").await, 1);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_fifty_requests_and_the_worker_resume_it_once() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let body = cart("order-1", "EUR", &[item(&a, 60_00)]);
    plan_and_die(&t, "order-1", &body).await;
    t.expire_leases().await;
    let requests = futures::future::join_all((0..50).map(|_| t.post("/v1/payments", "order-1", body.clone())));
    let (answers, drained) = tokio::join!(requests, partita::worker::drain(&t.app));
    drained.expect("drained");
    assert!(answers.iter().all(|answer| matches!(answer.status, 201 | 409)));
    assert_eq!(t.effects("/v1/payment_intents").await, 1);
    t.settle().await;
    assert_eq!(t.post("/v1/payments", "order-1", body).await.expect(201)["status"], "succeeded");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_two_platforms_never_meet() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let other = t.tenant("other").await;
    let seller = json!({"reference": "A", "email": "a@example.org", "country": "DE", "default_currency": "EUR"});
    let b = t.send_as(&other.key, "POST", "/v1/sellers", Some("A"), Some(seller)).await.expect(201);
    assert_ne!(a["id"], b["id"]);
    let mine = t.post("/v1/payments", "order-1", cart("order-1", "EUR", &[item(&a, 10_00)])).await.expect(201);
    let body = Some(cart("order-1", "EUR", &[item(&b, 20_00)]));
    let theirs = t.send_as(&other.key, "POST", "/v1/payments", Some("order-1"), body).await.expect(201);
    assert_eq!((&mine["amount"], &theirs["amount"]), (&json!(10_00), &json!(20_00)));
    assert_eq!(t.effects("/v1/payment_intents").await, 2);
    // Two platforms share one account at the provider here, which is no reconcilable state.
    t.close().await;
}
