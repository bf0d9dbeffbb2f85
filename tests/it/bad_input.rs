//! Bad input: each kind has its own documented problem, stores nothing, and a card number is not even logged.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{Raw, cart, item};
use crate::test_app::{Answer, TestApp, text};

/// A published test number of Visa.
const CARD: &str = "4242424242424242";

/// Checks what every problem has, and that its page explains it; gives the problem.
async fn problem(t: &TestApp, answer: Answer, status: u16, code: &str) -> Value {
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{}", answer.text());
    let request_id = answer.headers["request-id"].to_str().expect("ASCII").to_owned();
    let problem = answer.expect(status);
    assert_eq!((&problem["code"], &problem["status"]), (&json!(code), &json!(status)), "{problem:#}");
    assert_eq!(problem["request_id"], json!(request_id));
    assert!(problem["retryable"].is_boolean() && problem["title"].is_string(), "{problem:#}");
    let page = t.client.get(format!("{}{}", t.base, text(&problem["type"]))).send().await.expect("an answer");
    assert_eq!(page.status(), 200, "{code} has no page");
    assert!(page.text().await.expect("a page").contains(code), "the page of {code} does not name it");
    problem
}

/// The pointers, parameters or headers with their codes.
fn faults(problem: &Value) -> Vec<(String, String)> {
    let errors = problem["errors"].as_array().map_or(&[][..], Vec::as_slice);
    let place = |error: &Value| {
        let found = ["pointer", "parameter", "header"].into_iter().find_map(|name| error[name].as_str());
        found.unwrap_or_default().to_owned()
    };
    errors.iter().map(|error| (place(error), text(&error["code"]))).collect()
}

fn good(seller: &Value) -> Value {
    cart("order-1", "EUR", &[item(seller, 60_00), item(seller, 40_00)])
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_cart_has_its_place_and_changes_nothing() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let other = t.tenant("other").await;
    let body = json!({"reference": "A", "email": "a@example.org", "country": "DE", "default_currency": "EUR"});
    let theirs = t.send_as(&other.key, "POST", "/v1/sellers", Some("A"), Some(body)).await.expect(201);
    let counts = t.row_counts().await;
    let table: Vec<(&str, Value, &str, &str)> = vec![
        ("/colour", json!("red"), "#/colour", "unknown_field"),
        ("/lines/0/colour", json!("red"), "#/lines/0/colour", "unknown_field"),
        ("/amount", json!(99_99), "#/amount", "sum_mismatch"),
        ("/amount", json!(-100_00), "#/amount", "out_of_range"),
        ("/amount", json!(0), "#/amount", "out_of_range"),
        ("/amount", json!(9_007_199_254_740_992_i64), "#/amount", "out_of_range"),
        ("/amount", json!(100_00.5), "#/amount", "not_an_integer"),
        ("/amount", json!(1e300), "#/amount", "not_an_integer"),
        ("/amount", json!("10000"), "#/amount", "wrong_type"),
        ("/amount", json!(null), "#/amount", "wrong_type"),
        ("/amount", json!([100_00]), "#/amount", "wrong_type"),
        ("/lines/0/amount", json!(-60_00), "#/lines/0/amount", "out_of_range"),
        ("/lines/1/amount", json!(0), "#/lines/1/amount", "out_of_range"),
        ("/lines/1/amount", json!("4000"), "#/lines/1/amount", "wrong_type"),
        ("/lines/0/tax", json!({"amount": -1}), "#/lines/0/tax/amount", "out_of_range"),
        ("/lines/0/tax", json!({"amount": 100, "liability": "buyer"}), "#/lines/0/tax/liability", "invalid_value"),
        ("/lines/0/type", json!("gift"), "#/lines/0/type", "invalid_value"),
        ("/lines/0/type", json!("platform"), "#/lines/0/seller", "not_allowed"),
        ("/lines/0/seller", json!(null), "#/lines/0/seller", "missing"),
        ("/lines/0/seller", json!("slr_unknown"), "#/lines/0/seller", "invalid_value"),
        ("/lines/0/seller", json!("slr_01h455vb4pex5vsknk084sn02q"), "#/lines/0/seller", "unknown_reference"),
        ("/lines/1/seller", theirs["id"].clone(), "#/lines/1/seller", "unknown_reference"),
        ("/lines/0/fee_policy", json!("fep_01h455vb4pex5vsknk084sn02q"), "#/lines/0/fee_policy", "unknown_reference"),
        ("/lines", json!([]), "#/lines", "too_short"),
        ("/lines", json!({}), "#/lines", "wrong_type"),
        ("/currency", json!("USD"), "#/lines/0/seller", "currency_mismatch"),
        ("/currency", json!("eur"), "#/currency", "invalid_value"),
        ("/currency", json!("XXQ"), "#/currency", "invalid_value"),
        ("/payment_method", json!("a card"), "#/payment_method", "invalid_value"),
        ("/capture_method", json!("later"), "#/capture_method", "invalid_value"),
        ("/return_url", json!("javascript:alert(1)"), "#/return_url", "invalid_value"),
        ("/reference", json!(""), "#/reference", "too_short"),
        ("/reference", json!("x".repeat(101)), "#/reference", "too_long"),
        ("/reference", json!("nul\u{0}byte"), "#/reference", "invalid_value"),
        ("/metadata", json!({"k": 1}), "#/metadata/k", "wrong_type"),
        ("/metadata", json!({"k": "v".repeat(501)}), "#/metadata", "too_long"),
    ];
    for (number, (place, value, pointer, code)) in table.into_iter().enumerate() {
        let mut body = good(&a);
        let (parent, name) = place.rsplit_once('/').expect("a pointer");
        body.pointer_mut(parent).expect("there")[name] = value.clone();
        let answer = t.post("/v1/payments", &format!("key-{number}"), body).await;
        let problem = problem(&t, answer, 422, "validation_failed").await;
        assert!(
            faults(&problem).contains(&(pointer.to_owned(), code.to_owned())),
            "{place} = {value}: {:?}",
            faults(&problem)
        );
    }
    let mut missing = good(&a);
    missing.as_object_mut().expect("an object").remove("reference");
    let answer = t.post("/v1/payments", "missing", missing).await;
    let missing = problem(&t, answer, 422, "validation_failed").await;
    assert_eq!(faults(&missing), [("#/reference".to_owned(), "missing".to_owned())]);
    assert_eq!(t.row_counts().await, counts, "no row of any table");
    assert_eq!(t.effects("/v1/payment_intents").await, 0);
    t.close().await;
}

/// Headers and body of a request, and the status and code that it gets.
type Refused<'a> = (Vec<(&'a str, &'a str)>, Vec<u8>, u16, &'a str);

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_json_of_ours_are_refused_before_they_are_read() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let counts = t.row_counts().await;
    let json_type = ("content-type", "application/json");
    let good = good(&a).to_string();
    let twice =
        good.replacen("\"amount\"", "\"currency\":\"EUR\",\"amount\"", 1).replacen('{', "{\"currency\":\"EUR\",", 1);
    let large = format!("{{\"reference\":\"{}\"}}", "x".repeat(256 * 1024));
    let table: Vec<Refused<'_>> = vec![
        (vec![json_type], b"{\"amount\": 1,".to_vec(), 400, "invalid_json"),
        (vec![json_type], b"{} {}".to_vec(), 400, "invalid_json"),
        (vec![json_type], b"{\"amount\": 01}".to_vec(), 400, "invalid_json"),
        (vec![json_type], b"{\"amount\": NaN}".to_vec(), 400, "invalid_json"),
        (vec![json_type], b"\xff\xfe{}".to_vec(), 400, "invalid_json"),
        (vec![json_type], "[".repeat(100_000).into_bytes(), 400, "invalid_json"),
        (vec![json_type], twice.into_bytes(), 400, "invalid_json"),
        (vec![json_type], b"[1]".to_vec(), 422, "validation_failed"),
        (vec![json_type], large.into_bytes(), 413, "body_too_large"),
        (vec![], good.clone().into_bytes(), 415, "content_type_unsupported"),
        (vec![("content-type", "text/plain")], good.clone().into_bytes(), 415, "content_type_unsupported"),
        (
            vec![("content-type", "application/json; charset=latin1")],
            good.clone().into_bytes(),
            415,
            "content_type_unsupported",
        ),
        (vec![json_type, ("content-encoding", "gzip")], good.into_bytes(), 415, "content_encoding_unsupported"),
    ];
    for (mut headers, body, status, code) in table {
        headers.push(("idempotency-key", "a-key"));
        let answer = t.send_raw(Raw { method: "POST", path: "/v1/payments", headers, body }).await;
        problem(&t, answer, status, code).await;
    }
    assert_eq!(t.row_counts().await, counts);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_and_parameters_are_taken_strictly() {
    let t = TestApp::new().await;
    let counts = t.row_counts().await;
    let table = [
        ("GET", "/v1/payments/pay_1", 404, "not_found"),
        ("GET", "/v1/payments/slr_01h455vb4pex5vsknk084sn02q", 404, "not_found"),
        ("GET", "/v1/payments/pay_01h455vb4pex5vsknk084sn02q", 404, "not_found"),
        ("GET", "/v1/payments?colour=red", 422, "validation_failed"),
        ("GET", "/v1/payments/pay_01h455vb4pex5vsknk084sn02q?expand=lines", 422, "validation_failed"),
        ("GET", "/v1/payments?status=lost", 422, "validation_failed"),
        ("GET", "/v1/payments?limit=0", 422, "validation_failed"),
        ("GET", "/v1/payments?limit=101", 422, "validation_failed"),
        ("GET", "/v1/payments?limit=ten", 422, "validation_failed"),
        ("GET", "/v1/payments?created_at[gte]=yesterday", 422, "validation_failed"),
        ("GET", "/v1/payments?cursor=made-up", 400, "bad_cursor"),
        ("GET", "/v1/gifts", 404, "route_not_found"),
        ("GET", "/v2/payments", 404, "route_not_found"),
        ("DELETE", "/v1/payments", 405, "method_not_allowed"),
        ("PUT", "/v1/payments/pay_01h455vb4pex5vsknk084sn02q", 405, "method_not_allowed"),
    ];
    for (method, path, status, code) in table {
        let answer = t.send(method, path, None, None).await;
        let allowed = answer.headers.get("allow").is_some();
        problem(&t, answer, status, code).await;
        assert_eq!(allowed, status == 405, "{method} {path}");
    }
    let answer = t.send("GET", "/v1/payments?limit=0&colour=red", None, None).await;
    let places: Vec<String> =
        faults(&problem(&t, answer, 422, "validation_failed").await).into_iter().map(|f| f.0).collect();
    assert!(places.iter().all(|place| ["limit", "colour"].contains(&place.as_str())), "{places:?}");
    assert_eq!(t.row_counts().await, counts);
    t.finish().await;
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// On one thread, so that everything this test's service logs goes to this test.
#[tokio::test]
async fn a_card_number_is_refused_and_neither_stored_nor_logged() {
    let log = Log::default();
    let written = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("partita=trace,sqlx=trace,tower_http=trace")
        .with_ansi(false)
        .with_writer(move || written.clone())
        .finish();
    // A second one, or the tests on other threads, which have none, would switch off for all what they log first.
    let _deaf = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let _while_this_runs = tracing::subscriber::set_default(subscriber);

    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let counts = t.row_counts().await;
    let spaced = "4242 4242 4242 4242";
    let places: Vec<(&str, Value, Option<&str>)> = vec![
        ("/metadata", json!({"note": CARD}), Some("#/metadata/note")),
        ("/metadata", json!({CARD: "note"}), Some("#/metadata")),
        ("/description", json!(format!("card {spaced} please")), Some("#/description")),
        ("/reference", json!("4242-4242-4242-4242"), Some("#/reference")),
        ("/payment_method", json!(CARD), Some("#/payment_method")),
        ("/amount", json!(4_242_424_242_424_242_i64), Some("#/amount")),
        ("/lines/0/category", json!("5555.5555.5555.4444"), Some("#/lines/0/category")),
        ("/unknown", json!([{"deep": "378282246310005"}]), Some("#/unknown/0/deep")),
    ];
    for (place, value, pointer) in places {
        let mut body = good(&a);
        let (parent, name) = place.rsplit_once('/').expect("a pointer");
        body.pointer_mut(parent).expect("there")[name] = value;
        let answer = t.post("/v1/payments", "a-key", body).await;
        assert!(!answer.text().contains("4242") && !answer.text().contains("378282"), "{}", answer.text());
        let problem = problem(&t, answer, 422, "card_number_refused").await;
        assert_eq!(faults(&problem).first().map(|fault| fault.0.as_str()), pointer, "{place}");
    }
    let broken = format!("{{\"note\": \"{CARD}\"");
    let headers = vec![("content-type", "application/json"), ("idempotency-key", "a-key")];
    let answer = t.send_raw(Raw { method: "POST", path: "/v1/payments", headers, body: broken.into_bytes() }).await;
    problem(&t, answer, 422, "card_number_refused").await;
    let answer = t.post("/v1/payments", "4242-4242-4242-4242", good(&a)).await;
    problem(&t, answer, 422, "card_number_refused").await;
    for path in [
        "/v1/payments?reference=4242424242424242",
        "/v1/payments?reference=4242%204242%204242%204242",
        "/v1/payments/4242424242424242",
    ] {
        let answer = t.send("GET", path, None, None).await;
        problem(&t, answer, 422, "card_number_refused").await;
    }
    assert_eq!(t.row_counts().await, counts);

    let logged = String::from_utf8_lossy(&log.0.lock().expect("not poisoned")).into_owned();
    assert!(logged.contains("card_number_refused"), "the refusal itself is logged");
    for digits in [CARD, spaced, "4242-4242", "5555.5555", "378282246310005"] {
        assert_eq!(logged.lines().find(|line| line.contains(digits)), None, "{digits} was logged");
    }
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_resources_refuse_what_they_do_not_know_too() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let counts = t.row_counts().await;
    let links = format!("/v1/sellers/{}/onboarding_links", text(&a["id"]));
    let table = [
        (
            "/v1/sellers",
            json!({"reference": "x", "email": "no address", "country": "DE", "default_currency": "EUR"}),
            "#/email",
        ),
        (
            "/v1/sellers",
            json!({"reference": "x", "email": "a@example.com", "country": "Germany", "default_currency": "EUR"}),
            "#/country",
        ),
        ("/v1/sellers", json!({"reference": "x", "email": "a@example.com", "country": "DE"}), "#/default_currency"),
        ("/v1/top_ups", json!({"reference": "x", "amount": -1, "currency": "EUR"}), "#/amount"),
        ("/v1/top_ups", json!({"reference": "x", "amount": 100_000_000, "currency": "EUR"}), "#/amount"),
        ("/v1/fee_policies", json!({"reference": "x", "name": "X", "percent_bps": 10_001}), "#/percent_bps"),
        (
            "/v1/fee_policies",
            json!({"reference": "x", "name": "X", "percent_bps": 1, "amounts": {"EUR": {"minimum": 2, "maximum": 1}}}),
            "#/amounts/EUR/minimum",
        ),
        (links.as_str(), json!({"return_url": "javascript:alert(1)"}), "#/return_url"),
        (links.as_str(), json!({"return_url": "http://market.example/done"}), "#/return_url"),
        ("/v1/reconciliation/runs", json!({"everything": true}), "#/everything"),
    ];
    for (path, body, pointer) in table {
        let answer = t.post(path, "a-key", body.clone()).await;
        let problem = problem(&t, answer, 422, "validation_failed").await;
        assert_eq!(faults(&problem)[0].0, pointer, "{path} {body}");
    }
    assert_eq!(t.row_counts().await, counts);
    let taken = json!({"reference": "A", "email": "a@example.com", "country": "DE", "default_currency": "EUR"});
    let answer = t.post("/v1/sellers", "another", taken).await;
    problem(&t, answer, 409, "reference_taken").await;
    assert_eq!(t.row_counts().await, counts);
    t.finish().await;
}
