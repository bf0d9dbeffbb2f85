//! Onboarding links, the provider's own pages behind them, and the keys that open a book.

use jiff::SignedDuration;
use partita::platforms::{self, SCOPES};
use serde_json::{Value, json};

use crate::support::{Raw, cart, item};
use crate::test_app::{Answer, TestApp, answer, text};

const MINUTE: i64 = 60;
const DONE: &str = "https://market.example/done";

async fn new_seller(t: &TestApp, reference: &str) -> Value {
    let body = json!({
        "reference": reference, "email": format!("{reference}@example.com"), "country": "DE", "default_currency": "EUR",
    });
    t.post("/v1/sellers", reference, body).await.expect(201)
}

/// The address of a fresh link.
async fn link_of(t: &TestApp, seller: &Value) -> String {
    let path = format!("/v1/sellers/{}/onboarding_links", text(&seller["id"]));
    let link = t.send("POST", &path, None, Some(json!({"return_url": DONE}))).await.expect(201);
    assert!(text(&link["expires_at"]) > text(&link["created_at"]));
    let url = text(&link["url"]);
    assert!(url.strip_prefix(&format!("{}/onboarding/", t.base)).is_some_and(|token| token.len() >= 32), "{url}");
    url
}

async fn open(t: &TestApp, url: &str) -> Answer {
    answer(t.client.get(url)).await
}

async fn press(t: &TestApp, url: &str) -> Answer {
    answer(t.client.post(url)).await
}

fn location(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text());
    answer.headers["location"].to_str().expect("ASCII").to_owned()
}

async fn status(t: &TestApp, seller: &Value) -> Value {
    t.get(&format!("/v1/sellers/{}", text(&seller["id"]))).await["status"].clone()
}

/// Opens the provider's page and sends its form.
async fn fill_in(t: &TestApp, provider_page: &str, action: &str) -> Answer {
    let page = open(t, provider_page).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let html = page.text();
    let session =
        html.split("name=\"session\"").nth(1).and_then(|rest| rest.split("value=\"").nth(1)?.split('"').next());
    let form = [
        ("session", session.expect("a hidden field")),
        ("action", action),
        ("business_type", "individual"),
        ("name", "Ada Lovelace"),
        ("line1", "Main Street 1"),
        ("postal_code", "10115"),
        ("city", "Berlin"),
        ("bank_account", "DE89370400440532013000"),
        ("terms", "yes"),
    ];
    answer(t.client.post(provider_page).form(&form)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_at_a_link_uses_nothing_up_and_its_button_works_once() {
    let t = TestApp::new().await;
    let seller = new_seller(&t, "A").await;
    let url = link_of(&t, &seller).await;
    for _ in 0..3 {
        let page = open(&t, &url).await;
        assert_eq!(page.status, 200);
        assert!(page.headers["content-type"].to_str().expect("ASCII").starts_with("text/html"));
        assert!(page.headers["content-security-policy"].to_str().expect("ASCII").contains("default-src 'none'"));
        assert_eq!(
            (&page.headers["cache-control"], &page.headers["referrer-policy"]),
            (&"no-store".parse().expect("a value"), &"no-referrer".parse().expect("a value"))
        );
        assert!(page.text().contains("Marktplatz") && page.text().contains("<form"));
        assert_eq!(answer(t.client.head(&url)).await.status, 200);
    }
    assert_eq!(t.effects("/v1/account_links").await, 0, "a look asks the provider nothing");

    let forged = answer(t.client.post(&url).header("Sec-Fetch-Site", "cross-site")).await;
    assert_eq!((forged.status, t.effects("/v1/account_links").await), (403, 0), "only our own page may press");

    let provider_page = location(&press(&t, &url).await);
    assert!(provider_page.starts_with(&t.connection().await.base_url), "{provider_page}");
    for gone in [press(&t, &url).await, open(&t, &url).await] {
        assert_eq!(gone.status, 410);
    }
    assert_eq!(t.effects("/v1/account_links").await, 1);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_presses_at_once_lead_on_and_the_link_is_gone() {
    let t = TestApp::new().await;
    let seller = new_seller(&t, "A").await;
    let url = link_of(&t, &seller).await;
    let presses = futures::future::join_all((0..20).map(|_| press(&t, &url))).await;
    assert_eq!(presses.iter().filter(|answer| answer.status == 303).count(), 1, "one of them used it up");
    assert!(presses.iter().all(|answer| matches!(answer.status, 303 | 410)));
    assert_eq!(open(&t, &url).await.status, 410);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_expires_and_an_unknown_one_is_404() {
    let t = TestApp::new().await;
    let seller = new_seller(&t, "A").await;
    let url = link_of(&t, &seller).await;
    t.advance(14 * MINUTE).await;
    assert_eq!(open(&t, &url).await.status, 200);
    t.advance(MINUTE).await;
    for late in [open(&t, &url).await, press(&t, &url).await] {
        assert_eq!(late.status, 410);
    }
    let last = url.chars().last().expect("not empty");
    let changed = format!("{}{}", &url[..url.len() - 1], if last == '0' { '1' } else { '0' });
    for unknown in [changed, format!("{}/onboarding/x", t.base), format!("{}/onboarding/%00", t.base)] {
        assert_eq!(open(&t, &unknown).await.status, 404, "{unknown}");
        assert_eq!(press(&t, &unknown).await.status, 404, "{unknown}");
    }
    assert_eq!(t.effects("/v1/account_links").await, 0);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_filled_in_makes_the_seller_active_and_coming_back_alone_does_not() {
    let t = TestApp::new().await;
    let seller = new_seller(&t, "A").await;
    assert_eq!(status(&t, &seller).await, "onboarding");

    let provider_page = location(&press(&t, &link_of(&t, &seller).await).await);
    let back = fill_in(&t, &provider_page, "later").await;
    assert_eq!(location(&back), DONE, "as if it were done");
    t.settle().await;
    assert_eq!(status(&t, &seller).await, "onboarding", "coming back proves nothing");

    let provider_page = location(&press(&t, &link_of(&t, &seller).await).await);
    let back = fill_in(&t, &provider_page, "finish").await;
    assert_eq!(location(&back), DONE);
    assert_eq!(status(&t, &seller).await, "onboarding", "only the provider's word counts");
    t.settle().await;
    let shown = t.get(&format!("/v1/sellers/{}", text(&seller["id"]))).await;
    assert_eq!((&shown["status"], &shown["capabilities"]["transfers"]), (&json!("active"), &json!("active")));
    assert_eq!(shown["requirements"]["currently_due"], json!([]));
    let completed = t.list("/v1/events?type=seller.onboarding_completed").await;
    assert_eq!(completed.len(), 1);
    assert_eq!(completed[0]["data"]["object"]["id"], seller["id"]);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_waits_for_the_sellers_account_and_for_the_provider() {
    let t = TestApp::new().await;
    t.next_post_fails(partita_simulator::FaultKind::RateLimited, "/v1/accounts");
    let body = json!({"reference": "A", "email": "a@example.com", "country": "DE", "default_currency": "EUR"});
    let seller = t.post("/v1/sellers", "A", body).await.expect(202);
    let path = format!("/v1/sellers/{}/onboarding_links", text(&seller["id"]));
    let early = t.send("POST", &path, None, Some(json!({"return_url": DONE}))).await.expect(409);
    assert_eq!(early["code"], "state_conflict");
    t.advance(MINUTE).await;
    let url = link_of(&t, &seller).await;
    t.next_post_fails(partita_simulator::FaultKind::RateLimited, "/v1/account_links");
    let down = press(&t, &url).await;
    assert_eq!(down.status, 503);
    assert!(down.headers.contains_key("retry-after"));
    location(&press(&t, &url).await);
    assert_eq!(t.effects("/v1/accounts").await, 1);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_must_be_there_be_ours_and_be_valid_still() {
    let t = TestApp::new().await;
    let scopes: Vec<String> = SCOPES.iter().map(ToString::to_string).collect();
    let in_a_minute = t.clock.now() + SignedDuration::from_mins(1);
    let (_, passing) =
        platforms::create_key(&t.app, &t.book, "passing", scopes.clone(), Some(in_a_minute)).await.expect("a key");
    let (revoked_id, revoked) = platforms::create_key(&t.app, &t.book, "revoked", scopes, None).await.expect("a key");
    platforms::revoke_key(&t.app, revoked_id).await.expect("revoked");
    let unknown = platforms::keys::generate(platforms::Mode::Test);
    let get = |authorization: Option<String>| {
        let t = &t;
        async move {
            let mut request = t.client.get(format!("{}/v1/payments", t.base));
            if let Some(value) = authorization {
                request = request.header("Authorization", value);
            }
            answer(request).await
        }
    };
    assert_eq!(get(Some(format!("Bearer {passing}"))).await.status, 200);
    t.advance(MINUTE).await;
    let mut mistyped = t.key.clone();
    let last = mistyped.pop().expect("not empty");
    mistyped.push(if last == 'a' { 'b' } else { 'a' });
    for (authorization, code) in [
        (None, "authentication_required"),
        (Some("Basic eDp5".to_owned()), "authentication_required"),
        (Some(t.key.clone()), "authentication_required"),
        (Some("Bearer".to_owned()), "authentication_required"),
        (Some("Bearer garbage".to_owned()), "api_key_invalid"),
        (Some(format!("Bearer {mistyped}")), "api_key_invalid"),
        (Some(format!("Bearer {unknown}")), "api_key_invalid"),
        (Some(format!("Bearer {revoked}")), "api_key_revoked"),
        (Some(format!("Bearer {passing}")), "api_key_expired"),
    ] {
        let refused = get(authorization.clone()).await;
        assert!(refused.headers.contains_key("www-authenticate"), "{authorization:?}");
        assert_eq!(refused.expect(401)["code"], code, "{authorization:?}");
    }
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_only_what_its_scopes_name() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let counts = t.row_counts().await["payments"];
    let needs: &[(&str, &str, &str, Option<Value>)] = &[
        (
            "POST",
            "/v1/sellers",
            "sellers:write",
            Some(json!({"reference": "x", "email": "x@example.com", "country": "DE", "default_currency": "EUR"})),
        ),
        ("GET", "/v1/sellers", "sellers:read", None),
        ("POST", "/v1/payments", "payments:write", Some(cart("order-1", "EUR", &[item(&a, 10_00)]))),
        ("POST", "/v1/refunds", "payments:write", Some(json!({"payment": "pay_01h455vb4pex5vsknk084sn02q"}))),
        ("POST", "/v1/fee_policies", "payments:write", Some(json!({"reference": "x", "name": "X", "percent_bps": 1}))),
        ("GET", "/v1/payments", "payments:read", None),
        ("POST", "/v1/top_ups", "payouts:write", Some(json!({"reference": "x", "amount": 100, "currency": "EUR"}))),
        ("GET", "/v1/payouts", "payouts:read", None),
        ("GET", "/v1/ledger/trial_balance", "ledger:read", None),
        ("GET", "/v1/balances", "ledger:read", None),
        ("POST", "/v1/reconciliation/runs", "reconciliation:write", Some(json!({}))),
        ("GET", "/v1/reconciliation/runs", "reconciliation:read", None),
        ("GET", "/v1/events", "events:read", None),
    ];
    for (method, path, needed, body) in needs {
        let others: Vec<String> = SCOPES.iter().filter(|scope| *scope != needed).map(ToString::to_string).collect();
        let (_, key) = platforms::create_key(&t.app, &t.book, needed, others, None).await.expect("a key");
        let refused = t.send_as(&key, method, path, Some("a-key"), body.clone()).await.expect(403);
        assert_eq!(refused["code"], "scope_missing", "{method} {path}");
        assert!(text(&refused["detail"]).contains(needed), "{refused}");
    }
    assert_eq!(t.row_counts().await["payments"], counts);
    let (_, reader) =
        platforms::create_key(&t.app, &t.book, "reader", vec!["payments:read".to_owned()], None).await.expect("a key");
    assert_eq!(t.send_as(&reader, "GET", "/v1/payments", None, None).await.status, 200);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_open_addresses_say_how_it_is_and_no_more() {
    let t = TestApp::new().await;
    for (path, expected) in
        [("/livez", 200), ("/readyz", 200), ("/version", 200), ("/openapi.yaml", 200), ("/docs/errors", 200)]
    {
        let answer =
            t.send_raw(Raw { method: "GET", path, headers: vec![("authorization", "none")], body: Vec::new() }).await;
        assert_eq!(answer.status, expected, "{path}: {}", answer.text());
        assert!(answer.headers.contains_key("request-id"), "{path}");
    }
    assert_eq!(t.send("GET", "/metrics", None, None).await.status, 404, "that is the admin port's");
    t.finish().await;
}
