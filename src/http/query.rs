//! `Query<T>`: query parameters, strictly. Unknown ones are refused, a repeated one is a list ("or"), and
//! `created_at[gte]=..` reads into a field of a field.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::input;
use super::problem::{Place, Problem};
use super::problem_types;

/// Query parameters of the shape `T`. Unknown ones must be refused by `T` (`deny_unknown_fields`); a field that may be
/// repeated is a `Vec`.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let value = arrange(parts.uri.query().unwrap_or_default())?;
        let read = input::read_parameters(&value);
        read.map(Self).map_err(|fault| Problem::invalid(vec![fault.of_query()]).expect("there is one fault"))
    }
}

/// Demands that every value of a filter is one of the words that it knows.
///
/// # Errors
/// 422 naming the parameter.
pub fn known_words(name: &'static str, values: &[String], is_known: fn(&str) -> bool) -> Result<(), Problem> {
    match values.iter().find(|value| !is_known(value)) {
        None => Ok(()),
        Some(_) => Err(Problem::new(&problem_types::VALIDATION_FAILED).error(
            Place::Parameter(name.to_owned()),
            &problem_types::INVALID_VALUE,
            format!("not a {name} of these objects"),
        )),
    }
}

/// Refuses every query parameter: for routes that have none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParameters {}

/// A range of time, as `created_at[gte]=2026-01-01T00:00:00Z`. Bounds are RFC 3339.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeRange {
    /// At this time or later.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub gte: Option<Timestamp>,
    /// Later than this time.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub gt: Option<Timestamp>,
    /// At this time or earlier.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub lte: Option<Timestamp>,
    /// Earlier than this time.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub lt: Option<Timestamp>,
}

/// What lies between two times that a row can tell apart.
const RESOLUTION: SignedDuration = SignedDuration::from_micros(1);

impl TimeRange {
    /// The lower bound, itself included.
    pub fn from(&self) -> Option<Timestamp> {
        let after = self.gt.map(|time| time.saturating_add(RESOLUTION).unwrap_or(Timestamp::MAX));
        self.gte.into_iter().chain(after).max()
    }

    /// The upper bound, itself excluded.
    pub fn before(&self) -> Option<Timestamp> {
        let after = self.lte.map(|time| time.saturating_add(RESOLUTION).unwrap_or(Timestamp::MAX));
        self.lt.into_iter().chain(after).min()
    }
}

/// The parameters as a value: `a=1&a=2&b[c]=3` is `{"a": ["1", "2"], "b": {"c": "3"}}`.
fn arrange(query: &str) -> Result<Value, Problem> {
    let mut top = Map::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if let Some((outer, inner)) = name.strip_suffix(']').and_then(|name| name.split_once('[')) {
            let nested = top.entry(outer.to_owned()).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(nested) = nested else { return Err(contradicts(&name)) };
            add(nested, inner, value.into_owned());
        } else if matches!(top.get(name.as_ref()), Some(Value::Object(_))) {
            return Err(contradicts(&name));
        } else {
            add(&mut top, &name, value.into_owned());
        }
    }
    Ok(Value::Object(top))
}

fn add(map: &mut Map<String, Value>, name: &str, value: String) {
    match map.get_mut(name) {
        None => {
            map.insert(name.to_owned(), Value::String(value));
        }
        Some(Value::Array(values)) => values.push(Value::String(value)),
        Some(one) => *one = Value::Array(vec![one.take(), Value::String(value)]),
    }
}

fn contradicts(name: &str) -> Problem {
    Problem::new(&problem_types::VALIDATION_FAILED).error(
        Place::Parameter(name.to_owned()),
        &problem_types::INVALID_VALUE,
        "give either a value or bounds, not both",
    )
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Filters {
        limit: Option<u8>,
        #[serde(default)]
        status: Vec<String>,
        #[serde(default)]
        created_at: TimeRange,
        automatic: Option<bool>,
    }

    async fn read(query: &str) -> Result<Filters, Problem> {
        let request = Request::get(format!("/v1/payments?{query}")).body(()).expect("a request");
        let (mut parts, ()) = request.into_parts();
        Query::from_request_parts(&mut parts, &()).await.map(|Query(filters)| filters)
    }

    #[tokio::test]
    async fn filters_repeat_and_nest() {
        let filters =
            read("limit=5&status=paid&status=failed&created_at%5Bgte%5D=2026-01-01T00:00:00Z&automatic=true").await;
        let filters = filters.expect("valid");
        assert_eq!(filters.limit, Some(5));
        assert_eq!(filters.status, ["paid", "failed"]);
        assert_eq!(filters.created_at.gte, Some("2026-01-01T00:00:00Z".parse().expect("a time")));
        assert_eq!(filters.automatic, Some(true));
        assert_eq!(read("status=paid").await.expect("one is a list").status, ["paid"]);
        assert!(read("").await.expect("nothing").status.is_empty());
    }

    #[test]
    fn bounds_are_half_open() {
        let time = |text: &str| Some(text.parse::<Timestamp>().expect("a time"));
        let range =
            TimeRange { gt: time("2026-01-01T00:00:00Z"), lte: time("2026-02-01T00:00:00Z"), ..TimeRange::default() };
        assert_eq!(range.from(), time("2026-01-01T00:00:00.000001Z"));
        assert_eq!(range.before(), time("2026-02-01T00:00:00.000001Z"));
        let range =
            TimeRange { gte: time("2026-01-01T00:00:00Z"), lt: time("2026-02-01T00:00:00Z"), ..TimeRange::default() };
        assert_eq!((range.from(), range.before()), (range.gte, range.lt));
        assert_eq!(TimeRange::default().from(), None);
    }

    #[tokio::test]
    async fn what_is_not_known_or_not_clear_is_refused() {
        for (query, parameter, code) in [
            ("colour=red", "colour", "unknown_field"),
            ("created_at[from]=2026-01-01T00:00:00Z", "created_at[from]", "unknown_field"),
            ("created_at[gte]=yesterday", "created_at[gte]", "invalid_value"),
            ("limit=1&limit=2", "limit", "wrong_type"),
            ("limit=ten", "limit", "wrong_type"),
            ("limit=-1", "limit", "out_of_range"),
            ("created_at=1&created_at[gte]=2026-01-01T00:00:00Z", "created_at[gte]", "invalid_value"),
        ] {
            let problem = read(query).await.expect_err("refused on purpose");
            let body = problem.body(crate::id::RequestId::new());
            assert_eq!(body.status, 422);
            assert_eq!(body.errors[0].parameter.as_deref(), Some(parameter), "{query}");
            assert_eq!(body.errors[0].code, code, "{query}");
        }
    }
}
