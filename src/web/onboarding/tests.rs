//! The pages as a browser gets them, from what the use cases answer.

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, Method, Request};
use axum::routing::get;
use jiff::ToSpan as _;
use partita_db::BookId;
use partita_provider::{Currency, PayoutInterval};
use tower::ServiceExt as _;

use super::super::visit::Site;
use super::*;
use crate::chart::SellerNumber;
use crate::http::edge;
use crate::id::SellerId;
use crate::sellers::{Seller, SellerStatus, Standing};

const NOW: &str = "2026-03-07T08:00:00Z";
const PROVIDER: &str = "https://connect.stripe.com/setup/e/acct_1/x";

fn now() -> Timestamp {
    NOW.parse().expect("a time")
}

fn page(platform: &str, test_mode: bool, reference: &str, email: &str) -> OnboardingPage {
    let seller = Seller {
        id: SellerId::new(),
        key: 1,
        number: SellerNumber(1),
        reference: reference.to_owned(),
        email: email.to_owned(),
        country: "DE".to_owned(),
        default_currency: Currency::parse("EUR").expect("a currency"),
        business_type: None,
        locale: "de-DE".to_owned(),
        payout_interval: PayoutInterval::Daily,
        status: SellerStatus::Onboarding,
        account: Some("acct_1".to_owned()),
        standing: Standing::default(),
        metadata: serde_json::Value::Null,
        sequence: 1,
        created_at: now(),
        updated_at: now(),
    };
    let book = BookId::try_new(1).expect("in range");
    OnboardingPage { book, platform: platform.to_owned(), test_mode, seller, expires_at: now() + 14.minutes() }
}

/// What a use case answers for a token.
fn found(token: &str) -> Result<(OnboardingPage, bool), SellerError> {
    match token {
        "test" => Ok((page("Fair & Market", true, "shop-a", "a@example.com"), false)),
        "live" => Ok((page("Fair & Market", false, "shop-a", "a@example.com"), false)),
        "blocked" => Ok((page("Fair & Market", false, "shop-a", "a@example.com"), true)),
        "hostile" => Ok((page("<script>alert(1)</script>", true, "\"><img src=x>", "'onload='x@example.com"), false)),
        other => Err(error(other)),
    }
}

fn address(token: &str) -> Result<String, SellerError> {
    match token {
        "test" | "live" => Ok(PROVIDER.to_owned()),
        "script" => Ok("javascript:alert(1)".to_owned()),
        "split" => Ok("https://connect.stripe.com/x\r\nset-cookie: a=b".to_owned()),
        other => Err(error(other)),
    }
}

fn error(token: &str) -> SellerError {
    match token {
        "expired" => SellerError::LinkExpired,
        "used" => SellerError::LinkUsed,
        "down" => SellerError::ProviderUnavailable("no definite answer".to_owned()),
        "outage" => SellerError::Db(partita_db::DbError::ShutDown),
        "defect" => SellerError::OtherAccount,
        _ => SellerError::LinkNotFound,
    }
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    html: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }
}

async fn send_to(origin: &str, request: Request<Body>) -> Answer {
    let open = get(|visit: Visit, Path(token): Path<String>| async move { show(&visit, found(&token), now()) });
    let follow = |visit: Visit, Path(token): Path<String>| async move {
        if visit.from_here { lead_on(&visit, address(&token)) } else { refuse(&visit) }
    };
    let routes = Router::new()
        .route("/", get(super::super::landing::show))
        .route("/onboarding/{token}", open.post(follow))
        .with_state(Site::new(origin));
    let response = edge::wrap(routes).oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 100_000).await.expect("a body");
    let html = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    Answer { status: parts.status.as_u16(), headers: parts.headers, html }
}

async fn send(method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send_to("https://pay.example", request.body(Body::empty()).expect("a request")).await
}

async fn opened(token: &str) -> Answer {
    send(Method::GET, &format!("/onboarding/{token}"), &[]).await
}

async fn pressed(token: &str) -> Answer {
    send(Method::POST, &format!("/onboarding/{token}"), &[("sec-fetch-site", "same-origin")]).await
}

#[tokio::test]
async fn the_page_says_who_is_meant_what_comes_and_until_when() {
    let answer = opened("test").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/html; charset=utf-8"));
    for text in [
        "Set up how Fair &#38; Market pays you",
        "shop-a",
        "a@example.com",
        "another 14 minutes",
        "7 March 2026, 08:14 UTC",
    ] {
        assert!(answer.html.contains(text), "{text}: {}", answer.html);
    }
    assert!(
        answer.html.contains("<form method=\"post\">") && answer.html.contains("datetime=\"2026-03-07T08:14:00Z\"")
    );
}

#[tokio::test]
async fn who_sent_a_payout_back_is_told_why_another_bank_account_is_wanted() {
    assert!(opened("blocked").await.html.contains("Your bank sent a payout back"));
    assert!(!opened("live").await.html.contains("Your bank sent a payout back"));
}

#[tokio::test]
async fn play_money_is_said_to_be_play_money() {
    assert!(opened("test").await.html.contains("Test mode"));
    assert!(!opened("live").await.html.contains("Test mode"));
}

#[tokio::test]
async fn what_platforms_and_sellers_write_is_shown_and_not_run() {
    let answer = opened("hostile").await;
    assert_eq!(answer.status, 200);
    for text in ["<script", "<img", "'onload='"] {
        assert!(!answer.html.contains(text), "{text}: {}", answer.html);
    }
    assert!(answer.html.contains("&#60;script&#62;alert(1)"), "{}", answer.html);
}

#[tokio::test]
async fn pages_load_nothing_and_are_neither_framed_stored_nor_named() {
    for answer in [opened("test").await, opened("none").await, pressed("down").await, send(Method::GET, "/", &[]).await]
    {
        let policy = answer.header("content-security-policy");
        let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).expect("a nonce");
        assert!(nonce.len() == 32 && answer.html.contains(&format!("<style nonce=\"{nonce}\">")), "{policy}");
        for part in ["default-src 'none';", "base-uri 'none';", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("cross-origin-opener-policy", "same-origin"),
            ("x-frame-options", "DENY"),
            ("x-robots-tag", "noindex, nofollow"),
            ("strict-transport-security", "max-age=31536000"),
        ] {
            assert_eq!(answer.header(name), value, "{name}");
        }
        for outside in ["<script", "<link", "<img", "src=", "@import", "url("] {
            assert!(!answer.html.contains(outside), "{outside}");
        }
    }
    assert_ne!(
        opened("test").await.header("content-security-policy"),
        opened("test").await.header("content-security-policy")
    );
}

#[tokio::test]
async fn forms_lead_to_web_addresses_only() {
    let policy = async |token| opened(token).await.header("content-security-policy").to_owned();
    assert!(policy("live").await.contains("form-action 'self' https:;"));
    assert!(policy("test").await.contains("form-action 'self' https: http:;"));
    assert!(policy("none").await.contains("form-action 'none';"));
}

#[tokio::test]
async fn without_tls_no_browser_is_told_to_insist_on_it() {
    let request = Request::get("/").body(Body::empty()).expect("a request");
    let answer = send_to("http://127.0.0.1:8080", request).await;
    assert_eq!((answer.status, answer.header("strict-transport-security")), (200, ""));
    assert!(answer.html.contains("http://127.0.0.1:8080/v1/payments"));
}

#[tokio::test]
async fn the_button_leads_on_to_the_provider() {
    let answer = pressed("live").await;
    assert_eq!((answer.status, answer.header("location")), (303, PROVIDER));
    assert_eq!((answer.header("cache-control"), answer.header("referrer-policy")), ("no-store", "no-referrer"));
}

#[tokio::test]
async fn an_address_that_is_no_website_is_not_followed() {
    for token in ["script", "split"] {
        let answer = pressed(token).await;
        assert!(!answer.headers.contains_key("set-cookie") && !answer.header("location").starts_with("javascript"));
    }
    assert_eq!(pressed("script").await.status, 500);
}

#[tokio::test]
async fn a_press_from_another_website_is_refused() {
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example")],
    ] {
        let answer = send(Method::POST, "/onboarding/live", headers).await;
        assert_eq!((answer.status, answer.header("location")), (403, ""));
        assert!(answer.html.contains("another website"));
    }
    let old_browser = send(Method::POST, "/onboarding/live", &[("origin", "null")]).await;
    assert_eq!(old_browser.status, 303);
}

#[tokio::test]
async fn each_trouble_has_its_page() {
    for (token, status, title) in [
        ("none", 404, "We do not know this link"),
        ("expired", 410, "This link has run out"),
        ("used", 410, "This link was used already"),
        ("outage", 503, "This page cannot be shown just now"),
        ("defect", 500, "Something went wrong here"),
    ] {
        for answer in [opened(token).await, pressed(token).await] {
            assert_eq!(answer.status, status, "{token}");
            assert!(answer.html.contains(&format!("<h1>{title}</h1>")), "{}", answer.html);
            assert!(answer.html.contains("What you can do"));
        }
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again_in_the_same_way() {
    let down = pressed("down").await;
    assert_eq!((down.status, down.header("retry-after")), (503, "30"));
    assert!(down.html.contains("<form method=\"post\">") && down.html.contains("Your link is still good"));
    let outage = opened("outage").await;
    assert_eq!(outage.header("retry-after"), "30");
    // Trying to look again must not press the button.
    assert!(outage.html.contains("<form method=\"get\">") && !outage.html.contains("\"post\""));
    let used = pressed("used").await;
    assert!(used.header("retry-after").is_empty() && !used.html.contains("<form"));
}

#[tokio::test]
async fn faults_name_the_request_for_the_operator() {
    for token in ["down", "outage", "defect"] {
        let answer = pressed(token).await;
        assert!(answer.html.contains(answer.header("request-id")) && answer.html.contains("rqt_"), "{token}");
    }
    assert!(!opened("none").await.html.contains("rqt_"));
}

#[tokio::test]
async fn looking_by_head_is_looking() {
    let answer = send(Method::HEAD, "/onboarding/test", &[]).await;
    assert_eq!((answer.status, answer.html.as_str()), (200, ""));
}
