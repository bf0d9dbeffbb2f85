//! Lists: pages, newest first, with opaque cursors that belong to the filters they were made for.

use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::problem::{Place, Problem};
use super::problem_types;

/// How many objects a page has unless the client says.
pub const DEFAULT_LIMIT: u8 = 20;
/// How many objects a page has at most.
pub const MOST_LIMIT: u8 = 100;
const MARK_BYTES: usize = 8;

/// Which page of a list, for a position of the type `P`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageOf<P> {
    /// Only what comes after this position.
    pub after: Option<P>,
    /// At most so many, 1 to 100.
    pub limit: u8,
    mark: [u8; MARK_BYTES],
}

/// Reads `limit` and `cursor`. `route` and `filters` are what the cursor is bound to; leave `limit` and `cursor` out of
/// the filters.
///
/// # Errors
/// 422 for a limit out of range, 400 `bad_cursor` for a cursor of another list, of other filters, or made up.
pub fn page<P: std::str::FromStr, F: Serialize>(
    route: &'static str,
    filters: &F,
    limit: Option<u8>,
    cursor: Option<&str>,
) -> Result<PageOf<P>, Problem> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MOST_LIMIT).contains(&limit) {
        return Err(Problem::new(&problem_types::VALIDATION_FAILED).error(
            Place::Parameter("limit".to_owned()),
            &problem_types::OUT_OF_RANGE,
            format!("expected 1 to {MOST_LIMIT}, not {limit}"),
        ));
    }
    let mark = mark(route, filters);
    let after = cursor.map(|cursor| open(cursor, mark)).transpose()?;
    Ok(PageOf { after, limit, mark })
}

fn open<P: std::str::FromStr>(cursor: &str, mark: [u8; MARK_BYTES]) -> Result<P, Problem> {
    let bad = || Problem::new(&problem_types::BAD_CURSOR);
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad())?;
    let (found, position) = bytes.split_at_checked(MARK_BYTES).ok_or_else(bad)?;
    if found != mark {
        return Err(bad());
    }
    std::str::from_utf8(position).ok().and_then(|position| position.parse().ok()).ok_or_else(bad)
}

fn mark<F: Serialize>(route: &str, filters: &F) -> [u8; MARK_BYTES] {
    let filters = serde_json::to_vec(filters).expect("filters are texts, numbers and times");
    let hash = Sha256::new().chain_update(route).chain_update([0]).chain_update(filters).finalize();
    std::array::from_fn(|at| hash[at])
}

impl<P: std::fmt::Display> PageOf<P> {
    /// The cursor of what comes after `position`.
    pub fn cursor_after(&self, position: &P) -> String {
        let mut bytes = self.mark.to_vec();
        bytes.extend_from_slice(position.to_string().as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The page that `rows` make, of which the store was asked for one more than the limit.
    pub fn list<R, T: Serialize>(
        &self,
        mut rows: Vec<R>,
        position: impl Fn(&R) -> P,
        show: impl FnMut(R) -> T,
    ) -> List<T> {
        let limit = usize::from(self.limit);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| has_more).map(|last| self.cursor_after(&position(last)));
        List { object: "list", data: rows.into_iter().map(show).collect(), has_more, next_cursor }
    }

    /// How many rows the store is asked for: one more than the page has, to know whether there are more.
    pub fn fetch_limit(&self) -> i64 {
        i64::from(self.limit) + 1
    }
}

/// A page of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct List<T> {
    /// Always `list`.
    #[schema(value_type = String, example = "list")]
    pub object: &'static str,
    /// The objects, newest first.
    pub data: Vec<T>,
    /// Whether older ones follow.
    pub has_more: bool,
    /// Send it as `cursor`, with the same filters, to get them.
    pub next_cursor: Option<String>,
}

impl<T: Serialize> List<T> {
    /// A list that is never longer than one page.
    pub fn whole(data: Vec<T>) -> Self {
        Self { object: "list", data, has_more: false, next_cursor: None }
    }

    /// The response to the request for `uri`, with a `Link` header to the next page.
    pub fn respond(self, uri: &Uri) -> Response {
        let link = self.next_cursor.as_deref().and_then(|cursor| next_link(uri, cursor));
        let mut response = axum::Json(self).into_response();
        if let Some(link) = link {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}

fn next_link(uri: &Uri, cursor: &str) -> Option<HeaderValue> {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        if name != "cursor" {
            query.append_pair(&name, &value);
        }
    }
    query.append_pair("cursor", cursor);
    HeaderValue::try_from(format!("<{}?{}>; rel=\"next\"", uri.path(), query.finish())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(limit: u8) -> PageOf<u32> {
        page("/v1/payments", &["paid"], Some(limit), None).expect("valid")
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let list = first(2).list(vec![9, 8, 7], |row| *row, |row| row);
        assert_eq!((list.data.as_slice(), list.has_more), (&[9, 8][..], true));
        let cursor = list.next_cursor.expect("more follow");
        let second = page::<u32, _>("/v1/payments", &["paid"], Some(2), Some(&cursor)).expect("its own cursor");
        assert_eq!((second.after, second.fetch_limit()), (Some(8), 3));
        let list = second.list(vec![7], |row| *row, |row| row);
        assert!(!list.has_more && list.next_cursor.is_none());
    }

    #[test]
    fn a_cursor_is_bound_to_its_list_and_filters() {
        let cursor = first(2).cursor_after(&8);
        let foreign = page::<u32, _>("/v1/refunds", &["paid"], None, Some(&cursor));
        let other_filters = page::<u32, _>("/v1/payments", &["failed"], None, Some(&cursor));
        let changed = page::<u32, _>("/v1/payments", &["paid"], None, Some(&cursor.replace('a', "b")[1..]));
        let made_up = page::<u32, _>("/v1/payments", &["paid"], None, Some("%%%"));
        let short = page::<u32, _>("/v1/payments", &["paid"], None, Some("AAAA"));
        for refused in [foreign, other_filters, changed, made_up, short] {
            let problem = refused.expect_err("refused on purpose");
            assert_eq!((problem.status().as_u16(), problem.kind().code), (400, "bad_cursor"));
        }
    }

    #[test]
    fn a_page_has_one_to_a_hundred() {
        for limit in [0, 101, 255] {
            let problem = page::<u32, _>("/v1/payments", &[""], Some(limit), None).expect_err("out of range");
            assert_eq!(problem.status(), 422);
        }
        assert_eq!(page::<u32, _>("/v1/payments", &[""], None, None).expect("the default").limit, 20);
        assert_eq!(first(100).limit, 100);
    }

    #[tokio::test]
    async fn the_link_header_leads_on_with_the_same_filters() {
        let list = List { object: "list", data: vec![1], has_more: true, next_cursor: Some("abc".to_owned()) };
        let uri =
            "/v1/payments?status=paid&cursor=old&created_at%5Bgte%5D=2026-01-01T00%3A00%3A00Z".parse().expect("a URI");
        let response = list.respond(&uri);
        assert_eq!(
            response.headers()[header::LINK],
            "</v1/payments?status=paid&created_at%5Bgte%5D=2026-01-01T00%3A00%3A00Z&cursor=abc>; rel=\"next\""
        );
        let body = axum::body::to_bytes(response.into_body(), 1000).await.expect("a body");
        assert_eq!(body, r#"{"object":"list","data":[1],"has_more":true,"next_cursor":"abc"}"#);
        assert!(!List::whole(vec![1]).respond(&uri).headers().contains_key(header::LINK));
    }
}
