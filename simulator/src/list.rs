//! Cursor lists, newest first (docs.stripe.com/api/pagination).

use serde_json::{Value, json};

use crate::context::{Answer, Cx};
use crate::error::ApiError;
use crate::params::Params;
use crate::store;

/// A list's query in its two directions: newest first, and oldest first for `ending_before`. The parameter after the
/// last one of `$head` is the limit.
macro_rules! directed {
    ($page:expr, $head:literal, $limit:literal) => {
        if $page.backwards() {
            concat!($head, " order by seq asc limit ", $limit)
        } else {
            concat!($head, " order by seq desc limit ", $limit)
        }
    };
}
pub(crate) use directed;

/// Which part of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    limit: u8,
    starting_after: Option<String>,
    ending_before: Option<String>,
    /// Seconds, inclusive.
    pub(crate) created_from: i64,
    /// Seconds, inclusive.
    pub(crate) created_to: i64,
}

/// Rows strictly between two positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) above: i64,
    pub(crate) below: i64,
}

impl Page {
    /// Reads `limit`, `starting_after`, `ending_before` and `created`.
    pub(crate) fn read(params: &mut Params) -> Result<Self, ApiError> {
        let limit = params.integer("limit")?.unwrap_or(10);
        let limit = u8::try_from(limit)
            .ok()
            .filter(|l| (1..=100).contains(l))
            .ok_or_else(|| ApiError::invalid("Invalid integer: limit must be between 1 and 100").param("limit"))?;
        let (starting_after, ending_before) = (params.text("starting_after")?, params.text("ending_before")?);
        if starting_after.is_some() && ending_before.is_some() {
            return Err(ApiError::invalid(
                "You may only specify one of these parameters: starting_after, ending_before.",
            ));
        }
        let (created_from, created_to) = created(params)?;
        Ok(Self { limit, starting_after, ending_before, created_from, created_to })
    }

    /// Whether rows are read from the oldest on.
    pub(crate) fn backwards(&self) -> bool {
        self.ending_before.is_some()
    }

    /// One row more than asked for tells whether more follow.
    pub(crate) fn fetch_limit(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// The positions of the cursors, in one of the tables that lists read.
    pub(crate) async fn bounds(&self, cx: &mut Cx, table: &str) -> Result<Bounds, ApiError> {
        let all = Bounds { above: i64::MIN, below: i64::MAX };
        let Some((param, id)) = self
            .starting_after
            .as_ref()
            .map(|id| ("starting_after", id))
            .or_else(|| self.ending_before.as_ref().map(|id| ("ending_before", id)))
        else {
            return Ok(all);
        };
        let query = match table {
            "events" => "select seq from events where id = $1 and account = $2",
            "balance_transactions" => "select seq from balance_transactions where id = $1 and account = $2",
            _ => "select seq from objects where id = $1 and account = $2",
        };
        let seq: Option<i64> =
            sqlx::query_scalar(query).bind(id).bind(&cx.account).fetch_optional(&mut *cx.conn).await?;
        let seq = seq.ok_or_else(|| ApiError::no_such_param("object", id, param))?;
        Ok(if param == "starting_after" { Bounds { below: seq, ..all } } else { Bounds { above: seq, ..all } })
    }
}

/// `created=1` or `created[gte]=1&created[lt]=9` as an inclusive range.
fn created(params: &mut Params) -> Result<(i64, i64), ApiError> {
    let (mut from, mut to) = (0, i64::MAX);
    let mut range = match params.hash("created") {
        Ok(None) => return Ok((from, to)),
        Ok(Some(range)) => range,
        Err(_) => return Err(ApiError::invalid("Invalid created: pass a hash such as created[gte]").param("created")),
    };
    if let Some(at) = range.integer("gte")? {
        from = at;
    }
    if let Some(at) = range.integer("gt")? {
        from = from.max(at.saturating_add(1));
    }
    if let Some(at) = range.integer("lte")? {
        to = at;
    }
    if let Some(at) = range.integer("lt")? {
        to = to.min(at.saturating_sub(1));
    }
    range.finish()?;
    Ok((from, to))
}

/// The list object; `rows` hold one more than asked for when more follow.
pub(crate) fn page(url: &str, mut rows: Vec<Value>, page: &Page) -> Value {
    let has_more = rows.len() > usize::from(page.limit);
    rows.truncate(usize::from(page.limit));
    if page.backwards() {
        rows.reverse();
    }
    json!({ "object": "list", "data": rows, "has_more": has_more, "url": url })
}

/// Lists objects of a kind that the account sees, below `parent` and holding `filter` where these are given.
pub(crate) async fn objects(
    cx: &mut Cx,
    mut params: Params,
    object: &str,
    url: &str,
    parent: Option<&str>,
    filter: Option<Value>,
) -> Answer {
    let page = Page::read(&mut params)?;
    params.finish()?;
    let bounds = page.bounds(cx, "objects").await?;
    let rows: Vec<Value> = sqlx::query_scalar(directed!(
        page,
        "select body from objects
         where account = $1 and object = $2 and created between $3 and $4 and seq < $5 and seq > $6
           and ($7::text is null or parent = $7) and ($8::jsonb is null or body @> $8)",
        "$9"
    ))
    .bind(&cx.account)
    .bind(object)
    .bind(page.created_from)
    .bind(page.created_to)
    .bind(bounds.below)
    .bind(bounds.above)
    .bind(parent)
    .bind(filter)
    .bind(page.fetch_limit())
    .fetch_all(&mut *cx.conn)
    .await?;
    let mut data = Vec::with_capacity(rows.len());
    for row in rows {
        data.push(store::with_children(&mut cx.conn, row).await?);
    }
    Ok(self::page(url, data, &page))
}
