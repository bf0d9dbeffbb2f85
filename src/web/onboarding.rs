//! The page behind an onboarding link, and its button.
//!
//! The token in the address is the only secret: there is no session and no cookie, so a request that carries the token
//! can only do what its owner could. A POST from another website is refused all the same.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use partita_db::Scope;
use url::Url;

use super::notice::{self, Trouble};
use super::page::{self, Forms, Head};
use super::texts::{ENGLISH, Texts, texts_for};
use super::visit::Visit;
use crate::http::HttpState;
use crate::payouts;
use crate::sellers::{self, OnboardingPage, SellerError};

/// `GET`: shows what the link is for. Uses nothing up.
pub(super) async fn open(State(state): State<HttpState>, visit: Visit, Path(token): Path<String>) -> Response {
    let found = look(&state, &token).await;
    show(&visit, found, state.app.clock.now())
}

/// What a link is for, and whether payouts are kept from the seller's bank account, as it sent one back.
async fn look(state: &HttpState, token: &str) -> Result<(OnboardingPage, bool), SellerError> {
    let found = sellers::open_link(&state.app, token).await?;
    let seller = found.seller.id;
    let blocks = state
        .app
        .db
        .read("blocked bank account", Scope::Book(found.book), move |tx| {
            Box::pin(async move { payouts::find_blocks(tx, &[seller]).await })
        })
        .await?;
    Ok((found, !blocks.is_empty()))
}

/// `POST`, the button: uses the link up and leads on to the provider.
pub(super) async fn follow(State(state): State<HttpState>, visit: Visit, Path(token): Path<String>) -> Response {
    if !visit.from_here {
        return refuse(&visit);
    }
    let address = sellers::follow_link(&state.app, &token).await;
    lead_on(&visit, address)
}

#[derive(Template)]
#[template(path = "onboarding.html")]
struct Page<'a> {
    head: &'a Head,
    texts: &'static Texts,
    title: String,
    platform: &'a str,
    test_mode: bool,
    purpose: String,
    reference: &'a str,
    email: &'a str,
    steps: Vec<String>,
    validity: String,
    expires_at: Timestamp,
    expires_text: String,
    footer: String,
}

fn show(visit: &Visit, found: Result<(OnboardingPage, bool), SellerError>, now: Timestamp) -> Response {
    let (found, sent_back) = match found {
        Ok(found) => found,
        Err(error) => return notice::show(visit, &ENGLISH, error.into()),
    };
    let texts = texts_for(&found.seller.locale);
    let head = Head::new(texts);
    let platform = found.platform.as_str();
    let minutes = found.expires_at.duration_since(now).as_mins();
    let page = Page {
        head: &head,
        texts,
        title: (texts.title)(platform),
        platform,
        test_mode: found.test_mode,
        purpose: if sent_back { (texts.bank_account)(platform) } else { (texts.purpose)(platform) },
        reference: &found.seller.reference,
        email: &found.seller.email,
        steps: (texts.steps)(platform),
        validity: (texts.validity)(minutes),
        expires_at: found.expires_at,
        expires_text: (texts.time)(found.expires_at),
        footer: (texts.footer)(platform),
    };
    let forms = if found.test_mode { Forms::TestProvider } else { Forms::Provider };
    page::respond(&visit.site, StatusCode::OK, &head, forms, &page)
}

fn refuse(visit: &Visit) -> Response {
    tracing::warn!("an onboarding button was pressed from another website");
    notice::show(visit, &ENGLISH, Trouble::Foreign)
}

fn lead_on(visit: &Visit, address: Result<String, SellerError>) -> Response {
    let address = match address {
        Ok(address) => address,
        Err(error) => return notice::show(visit, &ENGLISH, error.into()),
    };
    let Some(location) = location(&address) else {
        tracing::error!("the provider's onboarding address is no web address");
        return notice::show(visit, &ENGLISH, Trouble::Failed);
    };
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// A provider's address as a `Location`; none unless it is one that a browser opens as a website.
fn location(address: &str) -> Option<HeaderValue> {
    let url = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    HeaderValue::try_from(String::from(url)).ok()
}

#[cfg(test)]
mod tests;
