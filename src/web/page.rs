//! What every page has: its language, its nonce and the headers that protect it.

use askama::Template;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};

use super::texts::Texts;
use super::visit::Site;
use crate::id::random_hex;

/// Bytes of a nonce; CSP asks for 128 bits at least (<https://www.w3.org/TR/CSP3/#security-nonces>).
const NONCE_BYTES: usize = 16;

/// What the head of a page needs.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub lang: &'static str,
    pub nonce: String,
}

impl Head {
    /// The head of a new page in a language.
    pub(super) fn new(texts: &Texts) -> Self {
        Self { lang: texts.lang, nonce: random_hex::<NONCE_BYTES>() }
    }
}

/// Where a page's forms may lead, redirects included (browsers differ in whether they check those).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forms {
    /// There are none.
    None,
    /// To us and on to a provider's page.
    Provider,
    /// The same, but the provider may be a simulator without TLS.
    TestProvider,
}

impl Forms {
    fn sources(self) -> &'static str {
        match self {
            Self::None => "'none'",
            Self::Provider => "'self' https:",
            Self::TestProvider => "'self' https: http:",
        }
    }
}

/// Renders a page.
pub(super) fn respond(site: &Site, status: StatusCode, head: &Head, forms: Forms, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, headers(site, head, forms), Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn headers(site: &Site, head: &Head, forms: Forms) -> HeaderMap {
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{}'; form-action {}; base-uri 'none'; frame-ancestors 'none'",
        head.nonce,
        forms.sources()
    );
    let policy = HeaderValue::try_from(policy).expect("a nonce is hexadecimal, the rest is fixed");
    let mut headers = HeaderMap::from_iter([(header::CONTENT_SECURITY_POLICY, policy)]);
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // For browsers that do not know frame-ancestors.
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=()"),
        (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if site.is_secure() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    headers
}
