//! Search (docs.stripe.com/search): a small query language over an index that lags.

use serde_json::{Map, Value, json};

use crate::context::{Answer, Cx};
use crate::error::ApiError;
use crate::params::Params;
use crate::store;

/// What a row must be to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    /// Contained in the object's body.
    body: Map<String, Value>,
    /// Seconds, inclusive.
    created_from: i64,
    /// Seconds, inclusive.
    created_to: i64,
}

/// `GET /v1/{objects}/search`.
pub(crate) async fn objects(cx: &mut Cx, mut params: Params, object: &str, url: &str) -> Answer {
    let wanted = Wanted::parse(&params.required_text("query")?)?;
    let limit = params.integer("limit")?.unwrap_or(10);
    let page = params.text("page")?;
    params.finish()?;
    if !(1..=100).contains(&limit) {
        return Err(ApiError::invalid("Invalid integer: limit must be between 1 and 100").param("limit"));
    }
    let below = page.map_or(Ok(i64::MAX), |page| page.parse()).map_err(|_| invalid("page", "no such page"))?;
    let indexed_until = cx.now - i64::from(cx.settings.search_lag_seconds);
    let mut rows: Vec<(i64, Value)> = sqlx::query_as(
        "select seq, body from objects
         where account = $1 and object = $2 and created between $3 and $4 and body @> $5 and seq < $6
         order by seq desc
         limit $7",
    )
    .bind(&cx.account)
    .bind(object)
    .bind(wanted.created_from)
    .bind(wanted.created_to.min(indexed_until))
    .bind(Value::Object(wanted.body))
    .bind(below)
    .bind(limit + 1)
    .fetch_all(&mut *cx.conn)
    .await?;
    let has_more = usize::try_from(limit).is_ok_and(|limit| rows.len() > limit);
    if has_more {
        rows.pop();
    }
    let next_page = has_more.then(|| rows.last().map(|(seq, _)| seq.to_string())).flatten();
    let mut data = Vec::with_capacity(rows.len());
    for (_, body) in rows {
        data.push(store::with_children(&mut cx.conn, body).await?);
    }
    Ok(json!({ "object": "search_result", "data": data, "has_more": has_more, "next_page": next_page, "url": url }))
}

fn invalid(param: &str, why: &str) -> ApiError {
    ApiError::invalid(format!("We were unable to parse your search {param}: {why}.")).param(param)
}

impl Wanted {
    fn parse(query: &str) -> Result<Self, ApiError> {
        let mut wanted = Self { body: Map::new(), created_from: 0, created_to: i64::MAX };
        let mut rest = query.trim();
        loop {
            rest = wanted.clause(rest)?.trim_start();
            if rest.is_empty() {
                return Ok(wanted);
            }
            rest = rest
                .strip_prefix("AND ")
                .ok_or_else(|| invalid("query", "clauses are joined by AND; this simulator knows no other word"))?
                .trim_start();
        }
    }

    /// Takes one clause; what follows it.
    fn clause<'q>(&mut self, query: &'q str) -> Result<&'q str, ApiError> {
        let name_end = query.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(query.len());
        let (field, rest) = query.split_at(name_end);
        match field {
            "metadata" => {
                let (key, rest) = quoted(rest.strip_prefix('[').ok_or_else(|| invalid("query", "metadata['key']"))?)?;
                let rest = rest.strip_prefix("]:").ok_or_else(|| invalid("query", "metadata['key']:'value'"))?;
                let (value, rest) = quoted(rest)?;
                let metadata = self.body.entry("metadata").or_insert_with(|| json!({}));
                metadata[key] = value.into();
                Ok(rest)
            }
            "status" | "currency" => {
                let (value, rest) =
                    quoted(rest.strip_prefix(':').ok_or_else(|| invalid("query", "a field is followed by a colon"))?)?;
                self.body.insert(field.to_owned(), value.into());
                Ok(rest)
            }
            "created" => self.created(rest),
            _ => Err(invalid("query", &format!("field {field:?} is unsupported"))),
        }
    }

    fn created<'q>(&mut self, rest: &'q str) -> Result<&'q str, ApiError> {
        let digits_at = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (operator, rest) = rest.split_at(digits_at);
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, rest) = rest.split_at(end);
        let at: i64 = number.parse().map_err(|_| invalid("query", "created is compared with seconds"))?;
        let (from, to) = match operator {
            ":" => (at, at),
            ">" => (at.saturating_add(1), i64::MAX),
            ">=" => (at, i64::MAX),
            "<" => (0, at.saturating_sub(1)),
            "<=" => (0, at),
            _ => return Err(invalid("query", "created takes :, >, >=, < and <=")),
        };
        self.created_from = self.created_from.max(from);
        self.created_to = self.created_to.min(to);
        Ok(rest)
    }
}

/// A text between two quotes of one kind, in which a backslash takes the meaning from what follows; and what follows.
fn quoted(query: &str) -> Result<(String, &str), ApiError> {
    let open = || invalid("query", "a text stands between quotes");
    let mut chars = query.char_indices();
    let (_, quote) = chars.next().filter(|(_, c)| matches!(c, '\'' | '"')).ok_or_else(open)?;
    let mut text = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => text.push(chars.next().ok_or_else(open)?.1),
            c if c == quote => return Ok((text, &query[at + 1..])),
            c => text.push(c),
        }
    }
    Err(open())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_add_up() {
        let query = r#"metadata['op_id']:'op_1' AND metadata["a b"]:"it\"s \\" AND status:'succeeded' AND created>=5 AND created<9"#;
        let wanted = Wanted::parse(query).expect("a query");
        let body = json!({"metadata": {"op_id": "op_1", "a b": "it\"s \\"}, "status": "succeeded"});
        assert_eq!(Value::Object(wanted.body), body);
        assert_eq!((wanted.created_from, wanted.created_to), (5, 8));
    }

    #[test]
    fn what_is_no_query_is_refused() {
        for bad in [
            "",
            "op_1",
            "metadata",
            "metadata['op_id']",
            "metadata['op_id']:op_1",
            "metadata['op_id]:'op_1'",
            "metadata['op_id']:'op_1' OR status:'x'",
            "metadata['op_id']:'op_1' AND",
            "colour:'red'",
            "created~5",
            "created>=now",
        ] {
            assert!(Wanted::parse(bad).is_err(), "{bad}");
        }
    }
}
