//! The `Idempotency-Key` of money requests: what it must look like, what request it stands for, and how a repeated
//! request is answered. The rows are the business of [`crate::idempotency`].

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, OriginalUri, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::problem::{self, Place, Problem};
use super::{body, input, json, problem_types};
use crate::idempotency::Request as Claim;

/// The request header.
pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// The response header that says that the answer is an earlier one.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// How long a client should wait while the first request with its key is under way.
const IN_FLIGHT_RETRY: Duration = Duration::from_secs(1);
const LONGEST_KEY: usize = 255;

/// A JSON body of the shape `T` that came with a valid `Idempotency-Key`.
#[derive(Debug)]
pub struct Idempotent<T> {
    /// The key, and what it stands for.
    pub claim: Claim,
    /// The body.
    pub body: T,
}

/// A JSON body of the shape `T` that may have come with an `Idempotency-Key`: for what moves no money.
#[derive(Debug)]
pub struct MaybeIdempotent<T> {
    /// The key, and what it stands for, if there was one.
    pub claim: Option<Claim>,
    /// The body.
    pub body: T,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Idempotent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !request.headers().contains_key(HEADER) {
            return Err(Problem::new(&problem_types::IDEMPOTENCY_KEY_MISSING));
        }
        let MaybeIdempotent { claim, body } = MaybeIdempotent::from_request(request, state).await?;
        let claim = claim.ok_or_else(|| Problem::new(&problem_types::IDEMPOTENCY_KEY_MISSING))?;
        Ok(Self { claim, body })
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for MaybeIdempotent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let key = read_key(request.headers())?;
        let (parts, content) = request.into_parts();
        let path =
            parts.extensions.get::<OriginalUri>().map_or(parts.uri.path(), |original| original.0.path()).to_owned();
        let value = body::read_json(&parts.headers, content).await?;
        let fingerprint = fingerprint(parts.method.as_str(), &path, &value);
        let claim = key.map(|key| Claim { key, fingerprint });
        crate::crash::point("before_intent");
        Ok(Self { claim, body: json::read(&value)? })
    }
}

/// What a request asks for, as 32 bytes: equal for requests that differ in the order of keys and in white space only.
pub fn fingerprint(method: &str, path: &str, body: &serde_json::Value) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [method, path, &input::canonical(body)] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().into()
}

fn read_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let invalid = || Problem::new(&problem_types::IDEMPOTENCY_KEY_INVALID);
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid());
    }
    let key = value.as_bytes();
    if !(1..=LONGEST_KEY).contains(&key.len()) || !key.iter().all(u8::is_ascii_graphic) {
        return Err(invalid());
    }
    if partita_provider::contains_card_number(key) {
        return Err(body::card_number_refused(Some(Place::Header("Idempotency-Key"))));
    }
    Ok(Some(String::from_utf8_lossy(key).into_owned()))
}

/// An answer that was fixed for a key: sent as it stands, byte for byte. `replayed` says that an earlier request fixed it.
pub fn answer(status: u16, body: Vec<u8>, replayed: bool) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let media = if status >= 400 { problem::CONTENT_TYPE } else { HeaderValue::from_static("application/json") };
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// 409: the first request with the key has no answer yet.
pub fn in_flight() -> Problem {
    Problem::new(&problem_types::IDEMPOTENCY_KEY_IN_USE).retry_after(IN_FLIGHT_RETRY)
}

/// 422: the key came before with another request.
pub fn reused() -> Problem {
    Problem::new(&problem_types::IDEMPOTENCY_KEY_REUSED)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        amount: i64,
    }

    async fn read(path: &str, keys: &[&str], body: &str) -> Result<Idempotent<Order>, Problem> {
        let mut request = axum::http::Request::post(path).header("content-type", "application/json");
        for key in keys {
            request = request.header(HEADER, *key);
        }
        Idempotent::from_request(request.body(Body::from(body.to_owned())).expect("a request"), &()).await
    }

    #[tokio::test]
    async fn the_same_request_has_the_same_fingerprint_and_no_other() {
        let first = read("/v1/payments", &["order-1"], r#"{"amount":5}"#).await.expect("valid");
        assert_eq!((first.claim.key.as_str(), first.body.amount), ("order-1", 5));
        let same = read("/v1/payments?", &["order-1"], "{ \"amount\" : 5 }").await.expect("valid");
        assert_eq!(first.claim.fingerprint, same.claim.fingerprint);
        for (path, body) in [("/v1/refunds", r#"{"amount":5}"#), ("/v1/payments", r#"{"amount":6}"#)] {
            assert_ne!(read(path, &["order-1"], body).await.expect("valid").claim.fingerprint, first.claim.fingerprint);
        }
        let value = serde_json::json!({"amount": 5});
        assert_ne!(fingerprint("POST", "/v1/payments", &value), fingerprint("PUT", "/v1/payments", &value));
    }

    #[tokio::test]
    async fn the_key_is_checked_before_the_body() {
        let long = "k".repeat(256);
        for (keys, code) in [
            (&[][..], "idempotency_key_missing"),
            (&[""], "idempotency_key_invalid"),
            (&["two words"], "idempotency_key_invalid"),
            (&["one", "two"], "idempotency_key_invalid"),
            (&[long.as_str()], "idempotency_key_invalid"),
            (&["4242-4242-4242-4242"], "card_number_refused"),
        ] {
            let problem = read("/v1/payments", keys, "not JSON").await.expect_err("refused on purpose");
            assert_eq!(problem.kind().code, code, "{keys:?}");
        }
        assert!(read("/v1/payments", &["k".repeat(255).as_str()], r#"{"amount":5}"#).await.is_ok());
    }

    #[tokio::test]
    async fn an_answer_is_repeated_byte_for_byte() {
        let stored = b"{\"b\":1, \"a\":2}".to_vec();
        let response = answer(201, stored.clone(), true);
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()[REPLAYED], "true");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(axum::body::to_bytes(response.into_body(), 1000).await.expect("a body"), stored);
        let declined = answer(402, stored, false);
        assert_eq!(declined.headers()[header::CONTENT_TYPE], "application/problem+json");
        assert!(!declined.headers().contains_key(REPLAYED));
        assert_eq!(in_flight().render(crate::id::RequestId::new()).headers()[header::RETRY_AFTER], "1");
    }
}
