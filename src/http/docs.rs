//! The documentation that an instance serves about itself, without reaching for anything outside: the reference, the
//! contract, and a page for each problem.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa_swagger_ui::Config;

use super::openapi::openapi_yaml;
use super::problem::Problem;
use super::problem_types::{self, ALL, FIELD_CODES, ProblemType};

/// Scripts and styles of this origin only. The reference page sets styles on its elements, hence the exception.
const REFERENCE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// The pages of problems have one style sheet, in the page, and no script.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

static CONTRACT: LazyLock<String> = LazyLock::new(openapi_yaml);
static REFERENCE: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    // No request goes out from the page to have the contract judged elsewhere.
    Arc::new(Config::from("/openapi.yaml").validator_url("none").display_request_duration(true).filter(true))
});

/// The routes.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/openapi.yaml", get(contract))
        .route("/docs", get(|| async { Redirect::permanent("/docs/") }))
        .route("/docs/", get(|| async { reference("") }))
        .route("/docs/errors", get(|| async { page("Problems", &list_html()) }))
        .route("/docs/errors/{slug}", get(explain))
        .route("/docs/{*file}", get(|Path(file): Path<String>| async move { reference(&file) }))
}

async fn contract() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/yaml")], CONTRACT.as_str())
}

fn reference(file: &str) -> Response {
    match utoipa_swagger_ui::serve(file, Arc::clone(&REFERENCE)) {
        Ok(Some(found)) => {
            let media = HeaderValue::try_from(found.content_type).unwrap_or(HeaderValue::from_static("text/plain"));
            let headers = [(header::CONTENT_TYPE, media), (header::CONTENT_SECURITY_POLICY, REFERENCE_POLICY)];
            (headers, found.bytes.into_owned()).into_response()
        }
        Ok(None) => Problem::new(&problem_types::ROUTE_NOT_FOUND).into_response(),
        Err(error) => Problem::internal(&*error).into_response(),
    }
}

async fn explain(Path(slug): Path<String>) -> Response {
    match ProblemType::by_slug(&slug) {
        Some(kind) => page(kind.title, &kind_html(kind)),
        None => Problem::not_found("problem type").into_response(),
    }
}

fn page(title: &str, content: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title} - Partita</title>\n\
         <style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;\
         background:#fff}}code{{background:#f0f0f0;padding:.1rem .25rem}}dt{{font-weight:600;margin-top:1rem}}\
         dd{{margin-left:1rem}}a{{color:#0b4f9e}}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{content}</main>\n</body>\n</html>\n"
    );
    ([(header::CONTENT_SECURITY_POLICY, PAGE_POLICY)], Html(html)).into_response()
}

fn kind_html(kind: &ProblemType) -> String {
    let again = if kind.retryable {
        "The same request, with the same <code>Idempotency-Key</code>, may succeed later."
    } else {
        "The same request will not succeed: something must change first."
    };
    let ProblemType { code, status, explanation, .. } = kind;
    format!(
        "<p>Code <code>{code}</code>, HTTP status {status}.</p>\n<p>{explanation}</p>\n<p>{again}</p>\n\
         <p><a href=\"/docs/errors\">All problems</a> · <a href=\"/docs/\">Reference</a></p>\n"
    )
}

fn list_html() -> String {
    let mut html = "<p>Errors are <code>application/problem+json</code> (RFC 9457). Decide by <code>code</code>; \
        <code>request_id</code> finds the request in the log.</p>\n<h2>Codes</h2>\n<dl>\n"
        .to_owned();
    for kind in ALL {
        let (slug, code, status, title) = (kind.slug(), kind.code, kind.status, kind.title);
        writeln!(html, "<dt><a href=\"/docs/errors/{slug}\"><code>{code}</code></a> ({status})</dt><dd>{title}.</dd>")
            .expect("writing to a string cannot fail");
    }
    html.push_str("</dl>\n<h2>Codes of single fields</h2>\n<dl>\n");
    for field in FIELD_CODES {
        writeln!(html, "<dt><code>{}</code></dt><dd>{}</dd>", field.code, field.explanation)
            .expect("writing to a string cannot fail");
    }
    html + "</dl>\n"
}

/// The same list in Markdown, for the documentation in the repository.
pub fn problems_markdown() -> String {
    let mut text =
        "# Problems\n\nErrors are `application/problem+json` (RFC 9457). Decide by `code`. Each has a page at \
        `/docs/errors/<code-in-kebab-case>` of every instance. Generated from `src/http/problem_types.rs`.\n\n\
        | code | status | same request again? | what it means |\n|---|---|---|---|\n"
            .to_owned();
    for kind in ALL {
        let again = if kind.retryable { "may succeed later" } else { "no" };
        writeln!(text, "| `{}` | {} | {again} | {}. {} |", kind.code, kind.status, kind.title, kind.explanation)
            .expect("writing to a string cannot fail");
    }
    text.push_str("\n## Codes of single fields (`errors[].code`)\n\n| code | what it means |\n|---|---|\n");
    for field in FIELD_CODES {
        writeln!(text, "| `{}` | {} |", field.code, field.explanation).expect("writing to a string cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn read(path: &str) -> (u16, Option<HeaderValue>, String) {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let response = super::super::edge::wrap(routes()).oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 10_000_000).await.expect("a body");
        let policy = parts.headers.get(header::CONTENT_SECURITY_POLICY).cloned();
        (parts.status.as_u16(), policy, String::from_utf8_lossy(&bytes).into_owned())
    }

    #[tokio::test]
    async fn the_reference_is_served_whole_and_asks_for_nothing_outside() {
        let (status, policy, html) = read("/docs/").await;
        assert_eq!((status, policy), (200, Some(REFERENCE_POLICY)));
        assert!(!html.contains("https://") && !html.contains("http://"), "{html}");
        for attribute in html.split(['"', '\'']).filter(|text| text.starts_with("./")) {
            let (status, _, content) = read(&format!("/docs/{}", &attribute[2..])).await;
            assert!(status == 200 && !content.is_empty(), "{attribute}");
        }
        let (_, _, script) = read("/docs/swagger-initializer.js").await;
        assert!(script.contains("/openapi.yaml"), "{script}");
        assert_eq!(read("/docs/nothing.js").await.0, 404);
        assert_eq!(read("/docs").await.0, 308);
    }

    #[tokio::test]
    async fn every_problem_has_its_page() {
        let (_, _, list) = read("/docs/errors").await;
        for kind in ALL {
            let (status, policy, html) = read(&kind.uri()).await;
            assert_eq!((status, policy), (200, Some(PAGE_POLICY)), "{}", kind.code);
            assert!(html.contains(kind.explanation) && list.contains(&kind.uri()), "{}", kind.code);
        }
        assert_eq!(read("/docs/errors/no-such-thing").await.0, 404);
    }

    #[tokio::test]
    async fn the_contract_is_served() {
        let (status, _, yaml) = read("/openapi.yaml").await;
        assert!(status == 200 && yaml.starts_with("openapi: 3.1"), "{}", &yaml[..50.min(yaml.len())]);
    }
}
