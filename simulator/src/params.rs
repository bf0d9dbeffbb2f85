//! Form-encoded parameters with nested brackets, read strictly: what is left over at the end is unknown.

use std::collections::BTreeMap;

use crate::error::ApiError;

/// A parameter's value: text, or a hash of parameters. An array is a hash whose keys are its positions.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Text(String),
    Hash(BTreeMap<String, Node>),
}

/// The parameters of a request, or of one hash inside it. Reading takes them out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Params {
    /// Name of the hash these stand in; empty at the top.
    path: String,
    fields: BTreeMap<String, Node>,
}

impl Params {
    /// Reads `a=1&b[c]=2&d[]=3&d[]=4&e[0]=5`.
    pub(crate) fn parse(encoded: &[u8]) -> Result<Self, ApiError> {
        let mut fields = BTreeMap::new();
        for (key, value) in url::form_urlencoded::parse(encoded) {
            if value.contains('\0') || key.contains('\0') {
                return Err(ApiError::invalid("Invalid string: null bytes are not allowed"));
            }
            insert(&mut fields, &segments(&key), value.into_owned())
                .map_err(|()| ApiError::invalid(format!("Invalid hash: {key}")).param(key.into_owned()))?;
        }
        Ok(Self { path: String::new(), fields })
    }

    /// Every parameter as `name=value`, sorted: equal for equal requests whatever their encoding.
    pub(crate) fn canonical(&self) -> String {
        fn walk(out: &mut String, path: &str, node: &Node) {
            match node {
                Node::Text(text) => {
                    out.push_str(path);
                    out.push('=');
                    out.push_str(text);
                    out.push('\n');
                }
                Node::Hash(fields) => {
                    for (name, child) in fields {
                        walk(out, &format!("{path}[{name}]"), child);
                    }
                }
            }
        }
        let mut out = String::new();
        for (name, node) in &self.fields {
            walk(&mut out, name, node);
        }
        out
    }

    fn name(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}[{field}]", self.path) }
    }

    /// Text, which may be empty.
    fn raw(&mut self, field: &str) -> Result<Option<String>, ApiError> {
        match self.fields.remove(field) {
            None => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text)),
            Some(Node::Hash(_)) => {
                let name = self.name(field);
                Err(ApiError::invalid(format!("Invalid string: {name}")).param(name))
            }
        }
    }

    /// Text that is not empty.
    pub(crate) fn text(&mut self, field: &str) -> Result<Option<String>, ApiError> {
        let Some(text) = self.raw(field)? else { return Ok(None) };
        let name = self.name(field);
        if text.is_empty() {
            return Err(ApiError::invalid(format!(
                "You passed an empty string for '{name}'. We assume empty values are an attempt to unset a \
                 parameter; however '{name}' cannot be unset. You should remove '{name}' from your request or supply \
                 a non-empty value."
            ))
            .code("parameter_invalid_empty")
            .param(name));
        }
        if text.chars().count() > 5000 {
            return Err(ApiError::invalid(format!("Invalid string: {name} must be at most 5000 characters"))
                .code("parameter_invalid_string_blank")
                .param(name));
        }
        Ok(Some(text))
    }

    /// Text of at most so many characters; empty text unsets.
    pub(crate) fn long_text(&mut self, field: &str, longest: usize) -> Result<Option<String>, ApiError> {
        let Some(text) = self.raw(field)? else { return Ok(None) };
        if text.chars().count() > longest {
            let name = self.name(field);
            return Err(
                ApiError::invalid(format!("Invalid string: {name} must be at most {longest} characters")).param(name)
            );
        }
        Ok(Some(text))
    }

    /// Text that must be there.
    pub(crate) fn required_text(&mut self, field: &str) -> Result<String, ApiError> {
        self.text(field)?.ok_or_else(|| self.missing(field))
    }

    /// The error for a parameter that must be there and is not.
    pub(crate) fn missing(&self, field: &str) -> ApiError {
        let name = self.name(field);
        ApiError::invalid(format!("Missing required param: {name}.")).code("parameter_missing").param(name)
    }

    /// A whole number.
    pub(crate) fn integer(&mut self, field: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.raw(field)? else { return Ok(None) };
        let name = self.name(field);
        text.parse().map(Some).map_err(|_| {
            ApiError::invalid(format!("Invalid integer: {text}")).code("parameter_invalid_integer").param(name)
        })
    }

    /// A whole number that must be there.
    pub(crate) fn required_integer(&mut self, field: &str) -> Result<i64, ApiError> {
        self.integer(field)?.ok_or_else(|| self.missing(field))
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, field: &str) -> Result<Option<bool>, ApiError> {
        let Some(text) = self.raw(field)? else { return Ok(None) };
        let name = self.name(field);
        match text.as_str() {
            "true" | "1" => Ok(Some(true)),
            "false" | "0" => Ok(Some(false)),
            _ => Err(ApiError::invalid(format!("Invalid boolean: {text}")).param(name)),
        }
    }

    /// One of a few words.
    pub(crate) fn choice(&mut self, field: &str, words: &[&str]) -> Result<Option<String>, ApiError> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        if words.contains(&text.as_str()) {
            return Ok(Some(text));
        }
        let name = self.name(field);
        let message = format!("Invalid {name}: must be one of {}", words.join(", "));
        Err(ApiError::invalid(message).param(name))
    }

    /// A lower-case currency code that must be there.
    pub(crate) fn currency(&mut self, field: &str) -> Result<String, ApiError> {
        let code = self.required_text(field)?.to_lowercase();
        let name = self.name(field);
        crate::currency::check(&code, &name)?;
        Ok(code)
    }

    /// A hash of parameters.
    pub(crate) fn hash(&mut self, field: &str) -> Result<Option<Params>, ApiError> {
        match self.fields.remove(field) {
            None => Ok(None),
            Some(Node::Hash(fields)) => Ok(Some(Params { path: self.name(field), fields })),
            Some(Node::Text(_)) => {
                let name = self.name(field);
                Err(ApiError::invalid("Invalid object").code("parameter_unknown").param(name))
            }
        }
    }

    /// An array of texts.
    pub(crate) fn list(&mut self, field: &str) -> Result<Option<Vec<String>>, ApiError> {
        let Some(hash) = self.hash(field)? else { return Ok(None) };
        let invalid = || ApiError::invalid("Invalid array").param(hash.path.clone());
        let mut items = Vec::new();
        for (position, node) in &hash.fields {
            let position: usize = position.parse().map_err(|_| invalid())?;
            let Node::Text(text) = node else { return Err(invalid()) };
            items.push((position, text.clone()));
        }
        items.sort_unstable();
        Ok(Some(items.into_iter().map(|(_, text)| text).collect()))
    }

    /// `metadata`, within Stripe's limits (docs.stripe.com/api/metadata).
    pub(crate) fn metadata(&mut self) -> Result<Option<BTreeMap<String, String>>, ApiError> {
        let Some(mut hash) = self.hash("metadata")? else { return Ok(None) };
        let mut metadata = BTreeMap::new();
        for key in hash.fields.keys().cloned().collect::<Vec<_>>() {
            let value = hash.raw(&key)?.unwrap_or_default();
            if key.chars().count() > 40 || value.chars().count() > 500 {
                return Err(ApiError::invalid(
                    "Metadata keys must be at most 40 characters and values at most 500 characters.",
                )
                .param(hash.name(&key)));
            }
            metadata.insert(key, value);
        }
        if metadata.len() > 50 {
            return Err(ApiError::invalid("Metadata can hold at most 50 keys.").param("metadata"));
        }
        Ok(Some(metadata))
    }

    /// Refuses what nobody asked for.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        let Some(first) = self.fields.keys().next() else { return Ok(()) };
        let name = self.name(first);
        Err(ApiError::invalid(format!("Received unknown parameter: {name}")).code("parameter_unknown").param(name))
    }
}

/// `a[b][]` as `a`, `b`, and an empty name. A name with stray brackets stays whole, and so is unknown.
fn segments(key: &str) -> Vec<&str> {
    let Some((head, mut rest)) = key.split_once('[') else { return vec![key] };
    let mut parts = vec![head];
    loop {
        let Some((part, after)) = rest.split_once(']') else { return vec![key] };
        parts.push(part);
        if after.is_empty() {
            return parts;
        }
        match after.strip_prefix('[') {
            Some(next) => rest = next,
            None => return vec![key],
        }
    }
}

fn insert(fields: &mut BTreeMap<String, Node>, path: &[&str], value: String) -> Result<(), ()> {
    let Some((head, rest)) = path.split_first() else { return Err(()) };
    let name = if head.is_empty() { fields.len().to_string() } else { (*head).to_owned() };
    if rest.is_empty() {
        return match fields.insert(name, Node::Text(value)) {
            Some(Node::Hash(_)) => Err(()),
            _ => Ok(()),
        };
    }
    match fields.entry(name).or_insert_with(|| Node::Hash(BTreeMap::new())) {
        Node::Hash(children) => insert(children, rest, value),
        Node::Text(_) => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Params {
        Params::parse(text.as_bytes()).expect("lawful parameters")
    }

    #[test]
    fn brackets_nest_and_both_array_spellings_are_equal() {
        let mut params = parse("a=1&metadata[k]=v%20w&expand[]=x&expand[]=y&deep[in][side]=z");
        assert_eq!(params.integer("a").ok().flatten(), Some(1));
        assert_eq!(params.list("expand").ok().flatten(), Some(vec!["x".to_owned(), "y".to_owned()]));
        let metadata = params.metadata().expect("lawful").expect("given");
        assert_eq!(metadata.get("k").map(String::as_str), Some("v w"));
        let mut deep = params.hash("deep").expect("a hash").expect("given");
        let mut inside = deep.hash("in").expect("a hash").expect("given");
        assert_eq!(inside.text("side").ok().flatten().as_deref(), Some("z"));
        assert!(params.finish().is_ok());
        assert_eq!(parse("expand[]=x&expand[]=y").canonical(), parse("expand[1]=y&expand[0]=x").canonical());
    }

    #[test]
    fn what_nobody_reads_is_unknown_by_its_full_name() {
        let mut params = parse("a[b]=1&a[c]=2");
        let mut a = params.hash("a").expect("a hash").expect("given");
        assert_eq!(a.integer("b").ok().flatten(), Some(1));
        let error = a.finish().expect_err("c is left");
        assert_eq!((error.code, error.param.as_deref()), (Some("parameter_unknown"), Some("a[c]")));
        assert!(parse("a[b=1").finish().is_err());
    }

    #[test]
    fn wrong_shapes_and_missing_values_are_told_apart() {
        let mut params = parse("amount=1.5&currency=&metadata=x");
        assert_eq!(params.integer("amount").expect_err("not whole").code, Some("parameter_invalid_integer"));
        assert_eq!(params.text("currency").expect_err("empty").code, Some("parameter_invalid_empty"));
        assert_eq!(params.required_text("nothing").expect_err("missing").code, Some("parameter_missing"));
        assert!(params.metadata().is_err());
        assert!(Params::parse(b"a=1&a[b]=2").is_err());
    }
}
