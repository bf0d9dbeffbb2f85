//! Problems: what went wrong, as RFC 9457 `application/problem+json`.
//!
//! Handlers return a [`Problem`]; the edge (`edge.rs`) adds the request id, writes the body and logs what the client is
//! not told. A 5xx body never says more than its title and the request id.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use partita_db::DbError;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem_types::{self, FieldCode, ProblemType};
use crate::id::RequestId;

/// The media type of problems.
pub const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");
/// What a client waits after a passing failure when nothing better is known.
const DEFAULT_RETRY: Duration = Duration::from_secs(2);

/// Where in a request a fault is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A field of the body, as a JSON pointer in URI fragment form: `#/lines/0/amount`.
    Field(String),
    /// A query parameter, by its name.
    Parameter(String),
    /// A header, by its name.
    Header(&'static str),
}

impl Place {
    /// The field of the body at `path`, for instance `["lines", "0", "amount"]`.
    pub fn field<S: AsRef<str>>(path: &[S]) -> Self {
        let mut pointer = "#".to_owned();
        for segment in path {
            pointer.push('/');
            pointer.push_str(&segment.as_ref().replace('~', "~0").replace('/', "~1"));
        }
        Self::Field(pointer)
    }
}

/// One fault in the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Where it is.
    pub place: Place,
    /// What it is.
    pub code: &'static FieldCode,
    /// In words, for a person.
    pub detail: String,
}

/// What the payment provider said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProviderProblem {
    /// The provider's name.
    #[schema(example = "stripe")]
    pub name: String,
    /// The provider's error code.
    #[schema(example = "card_declined")]
    pub code: String,
    /// The issuer's reason, for a declined payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "insufficient_funds")]
    pub decline_code: Option<String>,
    /// The provider's own id of its request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "req_8pTNu1bUmYDJpz")]
    pub request_id: Option<String>,
}

/// Why a request was not done.
#[derive(Debug, Clone)]
pub struct Problem(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: &'static ProblemType,
    detail: Option<Cow<'static, str>>,
    errors: Vec<FieldError>,
    provider: Option<ProviderProblem>,
    object: Option<serde_json::Value>,
    retry_after: Option<Duration>,
    headers: HeaderMap,
    cause: Option<String>,
}

/// A problem as it stands in a response's extensions until the edge has written it.
#[derive(Debug, Clone)]
pub struct Unwritten(pub Arc<Problem>);

impl Problem {
    /// A problem without anything particular.
    pub fn new(kind: &'static ProblemType) -> Self {
        let passing = kind.retryable && matches!(kind.status, 409 | 429 | 502..=504);
        Self(Box::new(Inner {
            kind,
            detail: None,
            errors: Vec::new(),
            provider: None,
            object: None,
            retry_after: passing.then_some(DEFAULT_RETRY),
            headers: HeaderMap::new(),
            cause: None,
        }))
    }

    /// Says what is particular to this occurrence. Shown to the client unless the status is 5xx.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds a fault of a field or parameter.
    #[must_use]
    pub fn error(mut self, place: Place, code: &'static FieldCode, detail: impl Into<String>) -> Self {
        self.0.errors.push(FieldError { place, code, detail: detail.into() });
        self
    }

    /// Says what the provider answered.
    #[must_use]
    pub fn provider(mut self, provider: ProviderProblem) -> Self {
        self.0.provider = Some(provider);
        self
    }

    /// Shows the object that the problem is about, for instance the declined payment.
    #[must_use]
    pub fn object(mut self, object: serde_json::Value) -> Self {
        self.0.object = Some(object);
        self
    }

    /// Says how long to wait before trying again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Adds a header to the response.
    #[must_use]
    pub fn header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Keeps an error for the log; the client does not see it.
    #[must_use]
    pub fn caused_by(mut self, error: &(dyn Error + 'static)) -> Self {
        self.0.cause = Some(chain(error));
        self
    }

    /// A fault of ours: 500, the error goes to the log.
    pub fn internal(error: &(dyn Error + 'static)) -> Self {
        Self::new(&problem_types::INTERNAL_ERROR).caused_by(error)
    }

    /// 422 with one fault of a body's field. `path` is for instance `["lines", "0", "amount"]`.
    pub fn invalid_field<S: AsRef<str>>(path: &[S], code: &'static FieldCode, detail: impl Into<String>) -> Self {
        Self::new(&problem_types::VALIDATION_FAILED).error(Place::field(path), code, detail)
    }

    /// 422 with several faults; `None` when there are none.
    pub fn invalid(errors: Vec<FieldError>) -> Option<Self> {
        if errors.is_empty() {
            return None;
        }
        let mut problem = Self::new(&problem_types::VALIDATION_FAILED);
        problem.0.errors = errors;
        Some(problem)
    }

    /// 404 for an object that is not in the caller's book.
    pub fn not_found(what: &'static str) -> Self {
        Self::new(&problem_types::NOT_FOUND).detail(format!("There is no such {what}."))
    }

    /// What kind it is.
    pub fn kind(&self) -> &'static ProblemType {
        self.0.kind
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What the log says of it beyond the code, if anything.
    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The body, as the client gets it.
    pub fn body(&self, request_id: RequestId) -> ProblemBody {
        let Inner { kind, detail, errors, provider, object, .. } = &*self.0;
        let private = kind.status >= 500;
        ProblemBody {
            kind: kind.uri(),
            title: kind.title.to_owned(),
            status: kind.status,
            detail: detail.as_ref().filter(|_| !private).map(|text| text.clone().into_owned()),
            code: kind.code.to_owned(),
            request_id: request_id.to_string(),
            retryable: kind.retryable,
            errors: if private { Vec::new() } else { errors.iter().map(ErrorBody::from).collect() },
            provider: provider.clone().filter(|_| !private),
            object: object.clone().filter(|_| !private),
        }
    }

    /// The body's bytes.
    pub fn body_bytes(&self, request_id: RequestId) -> Vec<u8> {
        serde_json::to_vec(&self.body(request_id)).expect("text, numbers and lists always serialise")
    }

    /// The finished response.
    pub fn render(&self, request_id: RequestId) -> Response {
        let mut headers = self.0.headers.clone();
        headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
        if let Some(wait) = self.0.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        if self.0.kind.status == 401 {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"partita\""));
        }
        (self.status(), headers, self.body_bytes(request_id)).into_response()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(Unwritten(Arc::new(self)));
        response
    }
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        let passing = error.is_unavailable();
        let kind = if passing { &problem_types::TEMPORARILY_UNAVAILABLE } else { &problem_types::INTERNAL_ERROR };
        Self::new(kind).caused_by(&error)
    }
}

/// The body of an error. See <https://www.rfc-editor.org/rfc/rfc9457>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Address of the page that explains this kind of problem, served by this instance.
    #[serde(rename = "type")]
    #[schema(example = "/docs/errors/validation-failed")]
    pub kind: String,
    /// The same for every occurrence of this kind.
    #[schema(example = "The request is not valid")]
    pub title: String,
    /// HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// What is particular to this occurrence. Absent in 5xx.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Machine-readable kind; decide by this.
    #[schema(example = "validation_failed")]
    pub code: String,
    /// The request's id, also in the header `Request-Id`.
    #[schema(example = "rqt_01jd9z6x5sf1vb3vsy3p0gq6ra")]
    pub request_id: String,
    /// Whether the same request with the same `Idempotency-Key` may succeed later.
    pub retryable: bool,
    /// Each fault of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ErrorBody>,
    /// What the payment provider said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderProblem>,
    /// The object that the problem is about, when it exists: the declined payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub object: Option<serde_json::Value>,
}

/// One fault of the request. One of `pointer`, `parameter` and `header` says where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ProblemError)]
pub struct ErrorBody {
    /// JSON pointer into the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "#/lines/0/amount")]
    pub pointer: Option<String>,
    /// Name of the query parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// Name of the header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Machine-readable fault.
    #[schema(example = "out_of_range")]
    pub code: String,
    /// In words, for a person.
    #[schema(example = "expected an amount in minor units from 1 to 9007199254740991, not -5")]
    pub detail: String,
}

impl From<&FieldError> for ErrorBody {
    fn from(error: &FieldError) -> Self {
        let mut body = Self {
            pointer: None,
            parameter: None,
            header: None,
            code: error.code.code.to_owned(),
            detail: error.detail.clone(),
        };
        match &error.place {
            Place::Field(pointer) => body.pointer = Some(pointer.clone()),
            Place::Parameter(name) => body.parameter = Some(name.clone()),
            Place::Header(name) => body.header = Some((*name).to_owned()),
        }
        body
    }
}

/// Seconds, rounded up, at least one: what `Retry-After` takes.
pub fn whole_seconds(wait: Duration) -> u64 {
    let seconds = if wait.subsec_nanos() > 0 { wait.as_secs().saturating_add(1) } else { wait.as_secs() };
    seconds.max(1)
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        write!(text, ": {error}").expect("writing to a string cannot fail");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(problem: &Problem) -> serde_json::Value {
        serde_json::from_slice(&problem.body_bytes(RequestId::new())).expect("problems are JSON")
    }

    #[test]
    fn a_fault_of_the_request_is_told_with_its_pointer() {
        let problem = Problem::invalid_field(&["lines", "0", "a/b~c"], &problem_types::OUT_OF_RANGE, "too large");
        let body = json(&problem);
        assert_eq!(body["type"], "/docs/errors/validation-failed");
        assert_eq!(body["status"], 422);
        assert_eq!(body["retryable"], false);
        assert_eq!(body["errors"][0]["pointer"], "#/lines/0/a~1b~0c");
        assert_eq!(body["errors"][0]["code"], "out_of_range");
        assert!(body["errors"][0].get("parameter").is_none());
    }

    #[test]
    fn a_fault_of_ours_tells_nothing_but_its_title_and_the_request() {
        let error = std::io::Error::other("password=hunter2");
        let problem = Problem::internal(&error).detail("secret detail").error(
            Place::Parameter("x".to_owned()),
            &problem_types::MISSING,
            "secret",
        );
        let body = json(&problem);
        assert!(!body.to_string().contains("secret") && !body.to_string().contains("hunter2"), "{body}");
        assert!(body["request_id"].as_str().is_some_and(|id| id.starts_with("rqt_")));
        assert_eq!(problem.cause(), Some("password=hunter2"));
    }

    #[test]
    fn a_passing_failure_says_when_to_come_back() {
        let response = Problem::new(&problem_types::TEMPORARILY_UNAVAILABLE).render(RequestId::new());
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        let asked = Problem::new(&problem_types::TOO_MANY_REQUESTS).retry_after(Duration::from_millis(1200));
        assert_eq!(asked.render(RequestId::new()).headers()[header::RETRY_AFTER], "2");
        assert!(!Problem::not_found("payment").render(RequestId::new()).headers().contains_key(header::RETRY_AFTER));
    }

    #[test]
    fn a_missing_key_says_how_to_authenticate() {
        let response = Problem::new(&problem_types::AUTHENTICATION_REQUIRED).render(RequestId::new());
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer realm=\"partita\"");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }

    #[test]
    fn a_lost_database_passes_and_a_wrong_statement_does_not() {
        let lost = DbError::Sqlx(sqlx::Error::PoolTimedOut);
        assert_eq!(Problem::from(lost).status(), 503);
        // Only the same request under its idempotency key can find out, and it may come at once.
        let unknown = DbError::CommitUnknown { name: "pay", xid: 7, reason: "gone".to_owned() };
        assert_eq!(Problem::from(unknown).status(), 503);
        assert_eq!(Problem::from(DbError::Sqlx(sqlx::Error::RowNotFound)).status(), 500);
    }
}
