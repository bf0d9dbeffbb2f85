//! The hosted onboarding page: a form that a person can fill in, as Stripe's own would be.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::app::App;
use crate::context::RequestInfo;
use crate::error::ApiError;
use crate::ids::random_text;
use crate::jobs;
use crate::resources::accounts::{self, Details};

/// How long a visit may take after its link has expired, in seconds.
const VISIT_SECONDS: i64 = 3_600;

/// What the form sends.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filled {
    session: String,
    action: String,
    business_type: String,
    name: String,
    line1: String,
    postal_code: String,
    city: String,
    bank_account: String,
    terms: String,
}

/// A field that is not filled in rightly.
struct Mistake {
    field: &'static str,
    text: &'static str,
}

#[derive(Template)]
#[template(path = "onboarding.html")]
struct Page {
    token: String,
    nonce: String,
    account: String,
    filled: Filled,
    mistakes: Vec<Mistake>,
}

impl Page {
    /// What is wrong with a field; empty when nothing is.
    fn mistake(&self, field: &str) -> &'static str {
        self.mistakes.iter().find(|m| m.field == field).map_or("", |m| m.text)
    }

    fn respond(&self, status: StatusCode) -> Response {
        match self.render() {
            Ok(html) => (status, protection(&self.nonce), Html(html)).into_response(),
            Err(error) => {
                tracing::error!(%error, "the onboarding page cannot be rendered");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// Headers for a page whose address is a secret. No `form-action`: browsers apply it to where the form leads on to.
fn protection(nonce: &str) -> [(&'static str, String); 4] {
    let policy = format!("default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; frame-ancestors 'none'");
    [
        ("content-security-policy", policy),
        ("referrer-policy", "no-referrer".into()),
        ("cache-control", "no-store".into()),
        ("x-content-type-options", "nosniff".into()),
    ]
}

/// A link that leads nowhere.
fn unknown() -> Response {
    (
        StatusCode::NOT_FOUND,
        Html("<!doctype html><html lang=\"en\"><title>Not found</title><h1>This link is unknown.</h1>"),
    )
        .into_response()
}

fn failed(error: &ApiError) -> Response {
    tracing::error!(message = %error.message, "onboarding failed");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// `HEAD`: link previews must not use a link up.
pub(crate) async fn peek() -> StatusCode {
    StatusCode::OK
}

/// `GET`: the first visit opens the form; later ones, and late ones, go to the refresh address.
pub(crate) async fn open(State(app): State<Arc<App>>, Path(token): Path<String>) -> Response {
    tokio::spawn(async move { visit(&app, &token).await.unwrap_or_else(|error| failed(&error)) })
        .await
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn visit(app: &App, token: &str) -> Result<Response, ApiError> {
    let session = random_text(32);
    let account: Option<String> = sqlx::query_scalar(
        "update account_links set session = $2 where token = $1 and session is null and expires_at > $3
         returning account",
    )
    .bind(token)
    .bind(&session)
    .bind(app.clock.now())
    .fetch_optional(&app.pool)
    .await?;
    if let Some(account) = account {
        let filled = Filled { session, business_type: "individual".into(), ..Filled::default() };
        let page = Page { token: token.into(), nonce: random_text(22), account, filled, mistakes: Vec::new() };
        return Ok(page.respond(StatusCode::OK));
    }
    let refresh: Option<String> = sqlx::query_scalar("select refresh_url from account_links where token = $1")
        .bind(token)
        .fetch_optional(&app.pool)
        .await?;
    Ok(refresh.map_or_else(unknown, |address| (protection(""), Redirect::to(&address)).into_response()))
}

/// `POST`: the form, filled in or put off.
pub(crate) async fn submit(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    Form(filled): Form<Filled>,
) -> Response {
    tokio::spawn(async move { take(&app, token, filled).await.unwrap_or_else(|error| failed(&error)) })
        .await
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn take(app: &App, token: String, filled: Filled) -> Result<Response, ApiError> {
    let mut cx = app.open(None, RequestInfo::default()).await?;
    let link: Option<(String, String, String, i64, bool, Option<String>)> = sqlx::query_as(
        "select account, refresh_url, return_url, expires_at, finished, session from account_links where token = $1
         for update",
    )
    .bind(&token)
    .fetch_optional(&mut *cx.conn)
    .await?;
    let Some((account, refresh_url, return_url, expires_at, finished, session)) = link else { return Ok(unknown()) };
    let leave = |address: &str| (protection(""), Redirect::to(address)).into_response();
    if session.as_deref() != Some(filled.session.as_str()) || expires_at + VISIT_SECONDS <= cx.now {
        return Ok(leave(&refresh_url));
    }
    if finished || filled.action == "later" {
        return Ok(leave(&return_url));
    }
    let mistakes = check(&filled);
    if !mistakes.is_empty() {
        let page = Page { token, nonce: random_text(22), account, filled, mistakes };
        return Ok(page.respond(StatusCode::UNPROCESSABLE_ENTITY));
    }
    let details = Details {
        name: filled.name.trim().to_owned(),
        business_type: filled.business_type,
        bank_account: filled.bank_account,
    };
    accounts::complete(&mut cx, &account, &details).await?;
    sqlx::query("update account_links set finished = true where token = $1")
        .bind(&token)
        .execute(&mut *cx.conn)
        .await?;
    cx.commit().await?;
    jobs::run_due(app).await?;
    app.wake.notify_one();
    Ok(leave(&return_url))
}

fn check(filled: &Filled) -> Vec<Mistake> {
    let account: String = filled.bank_account.chars().filter(|c| !c.is_whitespace()).collect();
    let lawful_account =
        (8..=34).contains(&account.len()) && account.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    [
        (
            "business_type",
            ["individual", "company"].contains(&filled.business_type.as_str()),
            "Choose whether you sell as a person or a company.",
        ),
        ("name", !filled.name.trim().is_empty(), "Enter your full name or your company's name."),
        ("line1", !filled.line1.trim().is_empty(), "Enter your street and house number."),
        ("postal_code", !filled.postal_code.trim().is_empty(), "Enter your postal code."),
        ("city", !filled.city.trim().is_empty(), "Enter your city."),
        ("bank_account", lawful_account, "Enter an IBAN or account number: 8 to 34 letters and digits."),
        ("terms", filled.terms == "yes", "Agree to the terms to be paid."),
    ]
    .into_iter()
    .filter(|(_, right, _)| !right)
    .map(|(field, _, text)| Mistake { field, text })
    .collect()
}
