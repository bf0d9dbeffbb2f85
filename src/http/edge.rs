//! What every request passes, from the outside in: request id, log line and metrics, security headers, the writing of
//! problems, panics, the time limit, and the look for card numbers in the address.
//!
//! The log has the route's template, never the path, the query, a header or a body: these may hold personal data.

use std::any::Any;
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::{Router, middleware};
use tokio::time::Instant;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument as _;

use super::body;
use super::problem::{Problem, Unwritten};
use super::problem_types;
use crate::id::RequestId;
use crate::telemetry::names;

/// The response header with the request's id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
/// How long a request may take. Longer than any wait for a provider.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(30);

/// Puts the edge around a router.
pub fn wrap(router: Router) -> Router {
    router
        .layer(middleware::from_fn(refuse_card_numbers_in_address))
        .layer(middleware::from_fn(limit_time))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(account))
}

/// 404 for paths that lead nowhere.
pub async fn route_not_found() -> Problem {
    Problem::new(&problem_types::ROUTE_NOT_FOUND)
}

/// 405 for methods that a path does not have.
pub async fn method_not_allowed() -> Problem {
    Problem::new(&problem_types::METHOD_NOT_ALLOWED)
}

/// The caller's place in a distributed trace: the value of `traceparent`, if it was valid.
/// See <https://www.w3.org/TR/trace-context/>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceParent(String);

impl TraceParent {
    fn read(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACE_PARENT).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        let text = value.to_str().ok()?;
        let parts: Vec<_> = text.split('-').collect();
        let [version, trace, parent, flags] = parts[..] else { return None };
        let hex = |part: &str, length: usize| {
            part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let given = |part: &str| part.bytes().any(|b| b != b'0');
        let valid =
            version == "00" && hex(trace, 32) && given(trace) && hex(parent, 16) && given(parent) && hex(flags, 2);
        valid.then(|| Self(text.to_owned()))
    }

    /// The trace's id, 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        &self.0[3..35]
    }

    /// The whole value, to be passed on.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

async fn account(mut request: Request, next: Next) -> Response {
    let request_id = RequestId::new();
    let started = Instant::now();
    let trace = TraceParent::read(request.headers());
    let method = known_method(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    request.extensions_mut().insert(request_id);
    if let Some(trace) = &trace {
        request.extensions_mut().insert(trace.clone());
    }
    let trace_id = trace.as_ref().map(TraceParent::trace_id);
    let span = tracing::info_span!("request", %request_id, method, route, trace_id);
    let response = next.run(request).instrument(span.clone()).await;

    let problem = response.extensions().get::<Unwritten>().cloned();
    let mut response = match &problem {
        Some(problem) => write(problem, request_id, response.headers()),
        None => response,
    };
    secure(response.headers_mut());
    response.headers_mut().insert(REQUEST_ID, header_of(&request_id.to_string()));
    if let Some(trace) = &trace {
        response.headers_mut().insert(TRACE_PARENT, header_of(trace.as_str()));
    }
    let took = started.elapsed();
    span.in_scope(|| log(response.status().as_u16(), took, problem.as_ref().map(|problem| &*problem.0)));
    measure(method, &route, response.status().as_u16(), took);
    response
}

/// Writes a problem's body; headers that layers added to the placeholder stay.
fn write(Unwritten(problem): &Unwritten, request_id: RequestId, added: &HeaderMap) -> Response {
    let mut written = problem.render(request_id);
    for (name, value) in added {
        if name != header::CONTENT_LENGTH && !written.headers().contains_key(name) {
            written.headers_mut().append(name, value.clone());
        }
    }
    written
}

fn secure(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        // Pages bring their own policy.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

fn log(status: u16, took: Duration, problem: Option<&Problem>) {
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let code = problem.map(|problem| problem.kind().code);
    let cause = problem.and_then(Problem::cause);
    match status {
        500 => tracing::error!(status, ms, code, cause, "request failed"),
        501..=599 => tracing::warn!(status, ms, code, cause, "request failed"),
        _ => tracing::info!(status, ms, code, "request"),
    }
}

fn measure(method: &'static str, route: &str, status: u16, took: Duration) {
    let route = route.to_owned();
    metrics::counter!(names::HTTP_REQUESTS, "method" => method, "route" => route.clone(), "status" => status.to_string())
        .increment(1);
    metrics::histogram!(names::HTTP_DURATION, "method" => method, "route" => route).record(took.as_secs_f64());
}

/// A method's name; made-up ones share one, since they stand in labels of metrics.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

async fn limit_time(request: Request, next: Next) -> Response {
    // Dropping the handler is safe: each unit of work at the database runs in a task of its own, to its end.
    match tokio::time::timeout(HANDLER_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(&problem_types::TIMED_OUT).into_response(),
    }
}

// By value, as the layer wants it.
#[expect(clippy::needless_pass_by_value, reason = "the signature that CatchPanicLayer::custom takes")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    Problem::internal(&Panicked(message)).into_response()
}

#[derive(Debug, thiserror::Error)]
#[error("panicked: {0}")]
struct Panicked(String);

async fn refuse_card_numbers_in_address(request: Request, next: Next) -> Response {
    if has_card_number(request.uri()) {
        return body::card_number_refused(None).into_response();
    }
    next.run(request).await
}

fn has_card_number(uri: &Uri) -> bool {
    let holds = |text: &str| partita_provider::contains_card_number(text.as_bytes());
    // Decoded, since `%34242..` is a card number too. The path is no form, but is decoded in the same way.
    [uri.path(), uri.query().unwrap_or_default()].into_iter().any(|part| {
        holds(part) || url::form_urlencoded::parse(part.as_bytes()).any(|(name, value)| holds(&name) || holds(&value))
    })
}

fn header_of(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).expect("ids and checked trace parents are visible ASCII")
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::{get, post};
    use serde_json::Value;
    use tower::ServiceExt as _;

    use super::super::json::{Json, PathId};
    use super::*;
    use crate::id::PaymentId;

    fn app() -> Router {
        let routes = Router::new()
            .route("/v1/payments/{id}", get(|PathId(id): PathId<PaymentId>| async move { id.to_string() }))
            .route("/v1/payments", post(|Json(body): Json<Value>| async move { body.to_string() }))
            .route("/panic", get(|| async { panic_now() }))
            .route("/slow", get(std::future::pending::<()>))
            .route("/page", get(|| async { ([(header::CONTENT_SECURITY_POLICY, "default-src 'self'")], "page") }))
            .fallback(route_not_found)
            .method_not_allowed_fallback(method_not_allowed);
        wrap(routes)
    }

    #[expect(clippy::panic, reason = "to be caught")]
    fn panic_now() -> &'static str {
        panic!("secret state")
    }

    async fn send(request: axum::http::request::Builder) -> (Response<()>, Value) {
        let response = app().oneshot(request.body(Body::empty()).expect("a request")).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 100_000).await.expect("a body");
        (Response::from_parts(parts, ()), serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    #[tokio::test]
    async fn every_answer_has_an_id_and_is_not_stored_or_sniffed() {
        for path in ["/nowhere", "/panic", "/page", "/v1/payments/pay_01h455vb4pex5vsknk084sn02q"] {
            let (response, body) = send(Request::get(path)).await;
            let headers = response.headers();
            let id = headers[REQUEST_ID].to_str().expect("ASCII");
            assert!(id.parse::<RequestId>().is_ok(), "{id}");
            assert_eq!(headers[header::CACHE_CONTROL], "no-store", "{path}");
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            if body.is_object() {
                assert_eq!(body["request_id"], id);
                assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
            }
        }
        let (page, _) = send(Request::get("/page")).await;
        assert_eq!(page.headers()[header::CONTENT_SECURITY_POLICY], "default-src 'self'");
    }

    #[tokio::test]
    async fn wrong_addresses_and_methods_are_problems() {
        let (response, body) = send(Request::get("/nowhere")).await;
        assert_eq!((response.status().as_u16(), body["code"].as_str()), (404, Some("route_not_found")));
        let (response, body) = send(Request::delete("/v1/payments")).await;
        assert_eq!((response.status().as_u16(), body["code"].as_str()), (405, Some("method_not_allowed")));
        assert_eq!(response.headers()[header::ALLOW], "POST");
        let (response, body) = send(Request::get("/v1/payments/slr_01h455vb4pex5vsknk084sn02q")).await;
        assert_eq!((response.status().as_u16(), body["code"].as_str()), (404, Some("not_found")));
    }

    #[tokio::test]
    async fn a_panic_is_answered_without_its_message() {
        let (response, body) = send(Request::get("/panic")).await;
        assert_eq!((response.status().as_u16(), body["code"].as_str()), (500, Some("internal_error")));
        assert!(!body.to_string().contains("secret"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_hangs_is_given_up() {
        let (response, body) = send(Request::get("/slow")).await;
        assert_eq!((response.status().as_u16(), body["code"].as_str()), (504, Some("timed_out")));
        assert!(response.headers().contains_key(header::RETRY_AFTER));
    }

    #[tokio::test]
    async fn a_card_number_in_the_address_is_refused() {
        for path in ["/v1/payments/4242424242424242", "/page?q=4242%204242+4242%204242", "/page?q=%34242424242424242"] {
            let (response, body) = send(Request::get(path)).await;
            assert_eq!(
                (response.status().as_u16(), body["code"].as_str()),
                (422, Some("card_number_refused")),
                "{path}"
            );
            assert!(!body.to_string().contains("4242"));
        }
    }

    #[tokio::test]
    async fn a_valid_trace_parent_is_passed_on() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let (response, _) = send(Request::get("/page").header(TRACE_PARENT, valid)).await;
        assert_eq!(response.headers()[TRACE_PARENT], valid);
        for bad in [
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "x",
        ] {
            let (response, _) = send(Request::get("/page").header(TRACE_PARENT, bad)).await;
            assert!(!response.headers().contains_key(TRACE_PARENT), "{bad}");
        }
    }
}
