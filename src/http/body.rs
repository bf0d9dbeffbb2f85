//! Takes a request's body in: how large, how slow, of which kind; and refuses card numbers before anything else sees it.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::Value;

use super::input;
use super::problem::{Place, Problem};
use super::problem_types;

/// Most bytes of a request's body.
pub const MOST_BYTES: usize = 256 * 1024;
/// How long a body may take to arrive.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// Reads the raw body.
///
/// # Errors
/// 415 for any `Content-Encoding`, 413 over `most_bytes`, 408 when it does not arrive in time, 400 when it breaks off.
pub async fn read_bytes(headers: &HeaderMap, body: Body, most_bytes: usize) -> Result<Bytes, Problem> {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(unread(Problem::new(&problem_types::CONTENT_ENCODING_UNSUPPORTED)));
    }
    let too_large = || {
        let detail = format!("The body may have {most_bytes} bytes at most.");
        unread(Problem::new(&problem_types::BODY_TOO_LARGE).detail(detail))
    };
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > most_bytes)) {
        return Err(too_large());
    }
    let read = tokio::time::timeout(READ_TIMEOUT, Limited::new(body, most_bytes).collect()).await;
    match read {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if is_length_limit(error.as_ref()) => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(&problem_types::BAD_REQUEST).detail("The body broke off.")),
        Err(_) => Err(Problem::new(&problem_types::REQUEST_TIMEOUT)),
    }
}

/// A refusal of a body that was not read to its end: the client must not use the connection again.
fn unread(problem: Problem) -> Problem {
    problem.header(header::CONNECTION, HeaderValue::from_static("close"))
}

fn is_length_limit(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| (*error).source()).any(<dyn std::error::Error>::is::<LengthLimitError>)
}

/// Reads a JSON body; an empty one stands for `{}`.
///
/// # Errors
/// Those of [`read_bytes`]; 415 when it is not said to be JSON, 422 when it holds a card number, 400 when it is not JSON.
pub async fn read_json(headers: &HeaderMap, body: Body) -> Result<Value, Problem> {
    let bytes = read_bytes(headers, body, MOST_BYTES).await?;
    if bytes.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    if !is_json(headers) {
        return Err(Problem::new(&problem_types::CONTENT_TYPE_UNSUPPORTED));
    }
    // The raw bytes first: what cannot be parsed is refused for its card number all the same.
    let has_card_number = partita_provider::contains_card_number(&bytes);
    match input::parse_json(&bytes) {
        Ok(value) if has_card_number => Err(card_number_refused(find_card_number(&value, &mut Vec::new()))),
        _ if has_card_number => Err(card_number_refused(None)),
        Ok(value) => Ok(value),
        Err(error) => Err(invalid_json(&error)),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let mut parts = value.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/json"));
    is_json && parts.all(|parameter| parameter.replace('"', "").eq_ignore_ascii_case("charset=utf-8"))
}

fn invalid_json(error: &serde_json::Error) -> Problem {
    // What serde_json says may repeat the client's text only for a key that stands twice, which was cut short.
    Problem::new(&problem_types::INVALID_JSON).detail(format!("Not valid JSON: {error}."))
}

/// The refusal of a card number at `pointer`.
pub fn card_number_refused(pointer: Option<Place>) -> Problem {
    let problem = Problem::new(&problem_types::CARD_NUMBER_REFUSED);
    match pointer {
        Some(place) => problem.error(
            place,
            &problem_types::CARD_NUMBER,
            "card data must never be sent here; use the provider's token",
        ),
        None => problem,
    }
}

/// Where in the value the card number stands, if it stands within one field.
fn find_card_number(value: &Value, path: &mut Vec<String>) -> Option<Place> {
    let holds = |text: &str| partita_provider::contains_card_number(text.as_bytes());
    match value {
        Value::String(text) => holds(text).then(|| Place::field(path)),
        Value::Number(number) => holds(&number.to_string()).then(|| Place::field(path)),
        Value::Array(items) => items.iter().enumerate().find_map(|(at, item)| within(at.to_string(), item, path)),
        Value::Object(map) => map.iter().find_map(|(key, value)| {
            // A key that is a card number is not repeated: the pointer ends before it.
            if holds(key) { Some(Place::field(path)) } else { within(key.clone(), value, path) }
        }),
        Value::Null | Value::Bool(_) => None,
    }
}

fn within(segment: String, value: &Value, path: &mut Vec<String>) -> Option<Place> {
    path.push(segment);
    let found = find_card_number(value, path);
    path.pop();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json_headers() -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))])
    }

    async fn refused(headers: HeaderMap, body: impl Into<Body>) -> Problem {
        read_json(&headers, body.into()).await.expect_err("refused on purpose")
    }

    fn pointer(problem: &Problem) -> Option<String> {
        problem.body(crate::id::RequestId::new()).errors.first().and_then(|error| error.pointer.clone())
    }

    #[tokio::test]
    async fn json_is_taken_and_nothing_else() {
        assert_eq!(read_json(&json_headers(), Body::from("{\"a\":1}")).await.expect("JSON")["a"], 1);
        assert!(read_json(&HeaderMap::new(), Body::empty()).await.expect("empty is {}").is_object());
        assert_eq!(refused(HeaderMap::new(), "{}").await.kind().code, "content_type_unsupported");
        let mut headers = json_headers();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=\"UTF-8\""));
        assert!(read_json(&headers, Body::from("{}")).await.is_ok());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        assert_eq!(refused(headers, "{}").await.status(), 415);
        let mut headers = json_headers();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("zstd"));
        assert_eq!(refused(headers, "{}").await.kind().code, "content_encoding_unsupported");
    }

    #[tokio::test]
    async fn malformed_json_is_refused_with_its_place() {
        let problem = refused(json_headers(), "{\"a\":\n  1,}").await;
        assert_eq!(problem.status(), 400);
        let detail = problem.body(crate::id::RequestId::new()).detail.expect("a detail");
        assert!(detail.contains("line 2 column"), "{detail}");
        assert_eq!(refused(json_headers(), vec![b'"', 0xff, b'"']).await.status(), 400);
        assert_eq!(refused(json_headers(), "[".repeat(100_000)).await.status(), 400);
    }

    #[tokio::test]
    async fn a_large_body_is_refused_announced_or_not() {
        let mut headers = json_headers();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(MOST_BYTES + 1));
        assert_eq!(refused(headers, "{}").await.status(), 413);
        let large = format!("\"{}\"", "x".repeat(MOST_BYTES));
        assert_eq!(refused(json_headers(), large).await.status(), 413);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let body = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(refused(json_headers(), body).await.status(), 408);
    }

    #[tokio::test]
    async fn a_card_number_is_refused_wherever_it_stands() {
        for (body, at) in [
            (r#"{"metadata":{"note":"4242 4242 4242 4242"}}"#, Some("#/metadata/note")),
            (r#"{"lines":[{"amount":4242424242424242}]}"#, Some("#/lines/0/amount")),
            (r#"{"metadata":{"4242424242424242":"x"}}"#, Some("#/metadata")),
            (r#"{"note":"\u0034242424242424242"}"#, Some("#/note")),
            (r#"{"broken": "4242424242424242""#, None),
        ] {
            let problem = refused(json_headers(), body).await;
            assert_eq!(problem.kind().code, "card_number_refused", "{body}");
            assert_eq!(pointer(&problem).as_deref(), at, "{body}");
            let told = String::from_utf8(problem.body_bytes(crate::id::RequestId::new())).expect("UTF-8");
            assert!(!told.contains("4242"), "{told}");
        }
        assert!(read_json(&json_headers(), Body::from(r#"{"reference":"order_4242424242424242"}"#)).await.is_ok());
    }
}
