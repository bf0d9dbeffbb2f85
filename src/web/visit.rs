//! Who visits: where this site is, the request's id, and whether a POST comes from a page of ours.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};

use crate::http::HttpState;
use crate::id::RequestId;

/// Where this instance is, as browsers see it.
#[derive(Debug, Clone)]
pub(super) struct Site {
    origin: Arc<str>,
}

impl Site {
    /// A site at an origin: scheme, host and port, without a slash at its end.
    pub(super) fn new(origin: &str) -> Self {
        Self { origin: origin.into() }
    }

    /// Scheme, host and port.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether it is reached over TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.origin.starts_with("https://")
    }
}

impl FromRef<HttpState> for Site {
    fn from_ref(state: &HttpState) -> Self {
        Self::new(&state.public_origin)
    }
}

/// One request for a page.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    /// Where we are.
    pub site: Site,
    /// By which the operator finds the request in the log.
    pub request_id: Option<RequestId>,
    /// What the browser asked for with.
    pub method: Method,
    /// Whether the request was made by a page of this site, or by the person directly.
    pub from_here: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Visit
where
    Site: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let site = Site::from_ref(state);
        let from_here = is_from_here(&parts.headers, site.origin());
        Ok(Self { site, request_id: parts.extensions.get().copied(), method: parts.method.clone(), from_here })
    }
}

/// Whether a request was made by a page of `origin`.
///
/// `Sec-Fetch-Site` decides where a browser sends it (<https://www.w3.org/TR/fetch-metadata/>). Older browsers send
/// `Origin`, which a page with `no-referrer` sends as `null`. What sends neither is no browser and has no cookies or
/// standing that another site could abuse: it knows the token.
fn is_from_here(headers: &HeaderMap, origin: &str) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    headers.get(header::ORIGIN).is_none_or(|from| from == "null" || from == origin)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn what_another_site_sends_is_told_apart() {
        let here = |pairs| is_from_here(&headers(pairs), "https://pay.example");
        assert!(here(&[("sec-fetch-site", "same-origin"), ("origin", "null")]));
        assert!(here(&[("sec-fetch-site", "none")]));
        assert!(!here(&[("sec-fetch-site", "cross-site"), ("origin", "https://pay.example")]));
        assert!(!here(&[("sec-fetch-site", "same-site")]));
        assert!(here(&[("origin", "https://pay.example")]) && here(&[("origin", "null")]) && here(&[]));
        assert!(!here(&[("origin", "https://evil.example")]));
        assert!(!here(&[("origin", "http://pay.example")]));
    }
}
