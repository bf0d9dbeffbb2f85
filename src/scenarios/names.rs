//! What things are called in a scenario, and how a text with such names becomes one of the interface.

use std::collections::HashMap;

use anyhow::{Context as _, anyhow};
use serde_json::Value;

use super::amount;

/// What a scenario gave names to, as the service showed it.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<String, Value>);

impl Names {
    pub(super) fn give(&mut self, name: &str, thing: Value) {
        self.0.insert(name.to_owned(), thing);
    }

    /// A field of something that has a name.
    pub(super) fn field(&self, name: &str, path: &str) -> anyhow::Result<&Value> {
        let thing = self.0.get(name).with_context(|| format!("nothing is called {name} yet"))?;
        let pointer = format!("/{}", path.replace('.', "/"));
        thing.pointer(&pointer).with_context(|| format!("{name} has no {path}: {thing}"))
    }

    /// Its id.
    pub(super) fn id(&self, name: &str) -> anyhow::Result<&str> {
        self.text(name, "id")
    }

    /// A text of it.
    pub(super) fn text(&self, name: &str, path: &str) -> anyhow::Result<&str> {
        self.field(name, path)?.as_str().with_context(|| format!("{name}.{path} is no text"))
    }

    /// A path of the interface: parts that begin with `$` are names.
    pub(super) fn path(&self, path: &str) -> anyhow::Result<String> {
        let part = |part: &str| match part.strip_prefix('$') {
            Some(name) => self.named(name)?.as_str().map(str::to_owned).ok_or_else(|| anyhow!("${name} is no text")),
            None => Ok(part.to_owned()),
        };
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let parts: Vec<String> = path.split('/').map(part).collect::<anyhow::Result<_>>()?;
        let Some(query) = query else { return Ok(parts.join("/")) };
        let value = |pair: &str| match pair.split_once('=') {
            Some((key, value)) => Ok(format!("{key}={}", part(value)?)),
            None => Ok(pair.to_owned()),
        };
        let pairs: Vec<String> = query.split('&').map(value).collect::<anyhow::Result<_>>()?;
        Ok(format!("{}?{}", parts.join("/"), pairs.join("&")))
    }

    /// A body of the interface: `$name` becomes its id, an amount its minor units.
    pub(super) fn body(&self, body: &Value) -> anyhow::Result<Value> {
        Ok(match body {
            Value::String(text) => match text.strip_prefix('$') {
                Some(name) => self.named(name)?.clone(),
                None => amount::parse(text).map_or_else(|_| body.clone(), |money| Value::from(money.minor)),
            },
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.body(item)).collect::<anyhow::Result<_>>()?)
            }
            Value::Object(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), self.body(value)?)))
                    .collect::<anyhow::Result<_>>()?,
            ),
            other => other.clone(),
        })
    }

    fn named(&self, name: &str) -> anyhow::Result<&Value> {
        let (name, path) = name.split_once('.').unwrap_or((name, "id"));
        self.field(name, path)
    }
}

/// What of `wanted` the answer does not have, in words; of objects only what is named counts, of lists everything.
pub(super) fn missing(wanted: &Value, found: &Value, place: &str) -> Vec<String> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => wanted
            .iter()
            .flat_map(|(key, value)| missing(value, found.get(key).unwrap_or(&Value::Null), &format!("{place}/{key}")))
            .collect(),
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => wanted
            .iter()
            .zip(found)
            .enumerate()
            .flat_map(|(number, (wanted, found))| missing(wanted, found, &format!("{place}/{number}")))
            .collect(),
        _ if wanted == found => Vec::new(),
        _ => vec![format!("{place} is {found}, not {wanted}")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_stand_for_ids_and_amounts_for_minor_units() {
        let mut names = Names::default();
        names.give("anna", json!({"id": "sel_1", "provider": {"id": "acct_1"}}));
        assert_eq!(
            names.path("/v1/sellers/$anna?x=$anna.provider.id&y").expect("known"),
            "/v1/sellers/sel_1?x=acct_1&y"
        );
        let body =
            names.body(&json!({"seller": "$anna", "amounts": ["5.00 EUR", 3], "note": "5 euros"})).expect("known");
        assert_eq!(body, json!({"seller": "sel_1", "amounts": [500, 3], "note": "5 euros"}));
        assert!(names.path("/v1/sellers/$bert").is_err() && names.body(&json!("$anna.email")).is_err());
    }

    #[test]
    fn what_is_missing_is_named_with_its_place() {
        let found = json!({"status": "failed", "lines": [{"amount": 1}], "more": true});
        assert!(missing(&json!({"lines": [{"amount": 1}]}), &found, "").is_empty());
        assert_eq!(missing(&json!({"status": "paid"}), &found, ""), ["/status is \"failed\", not \"paid\""]);
        assert_eq!(missing(&json!({"lines": []}), &found, "").len(), 1);
        assert_eq!(missing(&json!({"none": 1}), &found, "").len(), 1);
    }
}
