//! Webhook endpoints: made, signed anew, deleted, by whom, and to which addresses.

use serde_json::{Value, json};

use crate::sink::Sink;
use crate::test_app::{DAY, TestApp, text};

#[tokio::test(flavor = "multi_thread")]
async fn while_a_secret_is_rotated_both_sign() {
    let t = TestApp::new().await;
    let sink = Sink::start().await;
    let endpoint = t.endpoint(&sink, &["webhook_endpoint.updated"]).await;
    let bystander = t.bystander().await;
    let path = format!("/v1/webhook_endpoints/{}/rotate_secret", text(&endpoint["id"]));
    let first = text(&endpoint["secret"]);
    let rotated = t.act(&path, json!({}), 200).await;
    let second = text(&rotated["secret"]);
    assert!(rotated["rotation_ends_at"].is_string() && first != second);
    let signed = async |what: &str| {
        t.something_happens(&bystander, what).await;
        t.settle().await;
        sink.got().pop().expect("it came")
    };
    let got = signed("both").await;
    assert_eq!((got.signed_with(&second), got.signed_with(&first)), (1, 1));
    t.advance(DAY - 60).await;
    assert_eq!(signed("still both").await.signed_with(&first), 1);
    t.advance(61).await;
    let got = signed("the new one").await;
    assert_eq!((got.signed_with(&second), got.signed_with(&first)), (1, 0));
    assert_eq!(t.endpoint_now(&endpoint).await["rotation_ends_at"], Value::Null);
    // One that somebody else knows ends at once.
    let third = text(&t.act(&path, json!({"overlap_seconds": 0}), 200).await["secret"]);
    let got = signed("at once").await;
    assert_eq!((got.signed_with(&third), got.signed_with(&second)), (1, 0));
    for _ in 0..3 {
        t.act(&path, json!({}), 200).await;
    }
    t.act(&path, json!({}), 409).await;
    for bad in [-1, 86_401] {
        t.act(&path, json!({"overlap_seconds": bad}), 422).await;
    }
    assert!(t.endpoint_now(&endpoint).await.get("secret").is_none(), "shown once");
    let clear =
        "select count(*) from webhook_endpoint_secrets where position('whsec_' in encode(sealed, 'escape')) > 0";
    assert_eq!(t.count(clear).await, 0);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_pair_signs_for_those_who_want_no_shared_secret() {
    let t = TestApp::new().await;
    let sink = Sink::start().await;
    let body = json!({"url": sink.url, "events": ["webhook_endpoint.updated"], "signing": "ed25519"});
    let endpoint = t.act("/v1/webhook_endpoints", body, 201).await;
    assert_eq!(endpoint["secret"], Value::Null);
    let first = text(&endpoint["public_key"]);
    let bystander = t.bystander().await;
    t.something_happens(&bystander, "one").await;
    t.settle().await;
    assert!(sink.got()[0].signed_with_public_key(&first));
    let path = format!("/v1/webhook_endpoints/{}/rotate_secret", text(&endpoint["id"]));
    let second = text(&t.act(&path, json!({}), 200).await["public_key"]);
    t.something_happens(&bystander, "two").await;
    t.settle().await;
    let got = &sink.got()[1];
    assert!(got.signed_with_public_key(&first) && got.signed_with_public_key(&second) && first != second);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_not_public_are_refused_when_they_are_stored_and_when_they_are_dialled() {
    let t = TestApp::new().await;
    let create = async |url: &str| {
        let body = json!({"url": url, "events": ["*"]});
        t.send("POST", "/v1/webhook_endpoints", None, Some(body)).await
    };
    for url in [
        "http://10.0.0.1/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://2852039166/",
        "https://0x7f000002/",
        "https://0177.0.0.2/",
        "https://127.2/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/",
        "https://shop.example:8443@10.0.0.1/",
        "ftp://shop.example/",
        "shop.example",
    ] {
        let problem = create(url).await.expect(422);
        assert_eq!(problem["errors"][0]["pointer"], "#/url", "{url}");
    }
    let endpoint = create("https://shop.example/hooks").await.expect(201);
    let path = format!("/v1/webhook_endpoints/{}", text(&endpoint["id"]));
    t.send("PATCH", &path, None, Some(json!({"url": "https://192.168.0.1/"}))).await.expect(422);
    for events in [json!([]), json!(["payment.exploded"]), json!(["pay*"]), json!(vec!["*"; 51])] {
        let body = json!({"url": "https://shop.example/", "events": events});
        t.act("/v1/webhook_endpoints", body, 422).await;
    }

    // What was allowed once and is no more, or was written behind the service's back: nothing is dialled.
    let canary = tokio::net::TcpListener::bind("127.0.0.2:0").await.expect("a port");
    let port = canary.local_addr().expect("bound").port();
    t.tamper(&format!("update webhook_endpoints set url = 'http://127.0.0.2:{port}/'")).await;
    let test = t.act(&format!("{path}/test"), json!({}), 202).await;
    t.settle().await;
    let delivery = t.delivery(&test).await;
    assert_eq!(delivery["status"], "failed");
    let error = text(&delivery["attempts"][0]["error"]);
    assert!(error.contains("127.0.0.2 may not be sent to: loopback"), "{error}");
    let dialled = tokio::time::timeout(std::time::Duration::ZERO, canary.accept()).await;
    assert!(dialled.is_err(), "nobody came");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_endpoint_is_gone_and_its_log_stays() {
    let t = TestApp::new().await;
    let sink = Sink::start().await;
    sink.always(500);
    let endpoint = t.endpoint(&sink, &["webhook_endpoint.updated"]).await;
    let bystander = t.bystander().await;
    t.something_happens(&bystander, "one").await;
    t.settle().await;
    let path = format!("/v1/webhook_endpoints/{}", text(&endpoint["id"]));
    assert_eq!(t.send("DELETE", &path, None, None).await.status, 204);
    assert_eq!(t.send("GET", &path, None, None).await.status, 404);
    assert_eq!(t.send("DELETE", &path, None, None).await.status, 404);
    t.advance(DAY).await;
    assert_eq!(sink.got().len(), 1);
    let [delivery] = <[_; 1]>::try_from(t.deliveries(&endpoint).await).expect("one");
    assert_eq!(delivery["status"], "canceled");
    t.act(&format!("/v1/deliveries/{}/resend", text(&delivery["id"])), json!({}), 409).await;
    assert_eq!(t.list("/v1/webhook_endpoints").await.len(), 1);
    assert_eq!(t.count("select count(*) from due where kind = 'webhook_endpoint'").await, 0);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_keys_with_the_scope_see_and_change_endpoints() {
    let t = TestApp::new().await;
    let endpoint = t.bystander().await;
    let path = format!("/v1/webhook_endpoints/{}", text(&endpoint["id"]));
    let key = async |scope: &str| {
        let scopes = vec![scope.to_owned()];
        partita::platforms::create_key(&t.app, &t.book, "narrow", scopes, None).await.expect("a key").1
    };
    let (reader, stranger) = (key("webhooks:read").await, key("events:read").await);
    for (method, path, body) in [
        ("POST", "/v1/webhook_endpoints".to_owned(), Some(json!({"url": "https://shop.example/", "events": ["*"]}))),
        ("PATCH", path.clone(), Some(json!({"status": "disabled"}))),
        ("DELETE", path.clone(), None),
        ("POST", format!("{path}/rotate_secret"), None),
        ("POST", format!("{path}/test"), None),
        ("POST", "/v1/events/replay".to_owned(), Some(json!({"from": t.clock.now(), "before": t.clock.now()}))),
    ] {
        let answer = t.send_as(&reader, method, &path, None, body).await;
        assert_eq!((answer.status, &answer.json()["code"]), (403, &json!("scope_missing")), "{method} {path}");
    }
    for path in [path.as_str(), "/v1/webhook_endpoints", "/v1/deliveries"] {
        assert_eq!(t.send_as(&reader, "GET", path, None, None).await.status, 200, "{path}");
        assert_eq!(t.send_as(&stranger, "GET", path, None, None).await.status, 403, "{path}");
    }
    t.finish().await;
}
