//! Reads untrusted values: JSON without duplicate keys, and a deserializer that says where and what is wrong.
//!
//! `serde_json` knows that something is wrong only as text. Here a [`Fault`] carries the path and the kind of the fault
//! as data, so that a client gets a JSON pointer and a code. The same deserializer reads query parameters, where every
//! value is text and a single value may stand for a list.

use std::fmt;

use serde::Deserialize;
use serde::de::{
    self, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde_json::{Map, Number, Value};

use super::problem::{FieldError, Place};
use super::problem_types::{self, FieldCode};

/// Longest piece of a client's own value that a problem repeats, in characters.
const MOST_REPEATED: usize = 64;

/// Reads JSON; a key that stands twice in one object is an error.
///
/// # Errors
/// What `serde_json` says, with line and column.
pub fn parse_json(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice::<Strict>(bytes).map(|strict| strict.0)
}

/// Reads `T` from JSON that was parsed.
///
/// # Errors
/// The first [`Fault`].
pub fn read_body<'de, T: Deserialize<'de>>(value: &'de Value) -> Result<T, Fault> {
    T::deserialize(Node { value, text_only: false })
}

/// Reads `T` from query parameters, as [`super::query`] arranges them.
///
/// # Errors
/// The first [`Fault`].
pub fn read_parameters<'de, T: Deserialize<'de>>(value: &'de Value) -> Result<T, Fault> {
    T::deserialize(Node { value, text_only: true })
}

/// The JSON with the keys of every object sorted: equal for requests that mean the same.
pub fn canonical(value: &Value) -> String {
    sorted(value).to_string()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            entries.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(entries.into_iter().collect())
        }
        other => other.clone(),
    }
}

/// What is wrong with a value, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// From the value outwards: the last segment is the outermost.
    path: Vec<String>,
    code: &'static FieldCode,
    detail: String,
}

impl Fault {
    fn new(code: &'static FieldCode, detail: String) -> Self {
        Self { path: Vec::new(), code, detail }
    }

    fn inside(mut self, segment: &str) -> Self {
        self.path.push(segment.to_owned());
        self
    }

    /// The fault of a field of the body.
    pub fn of_body(self) -> FieldError {
        let path: Vec<_> = self.path.iter().rev().collect();
        FieldError { place: Place::field(&path), code: self.code, detail: self.detail }
    }

    /// The fault of a query parameter: `created_at[gte]`.
    pub fn of_query(self) -> FieldError {
        let mut segments = self.path.iter().rev();
        let mut name = segments.next().cloned().unwrap_or_default();
        for inner in segments.filter(|segment| segment.parse::<usize>().is_err()) {
            name = format!("{name}[{inner}]");
        }
        FieldError { place: Place::Parameter(name), code: self.code, detail: self.detail }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(&problem_types::INVALID_VALUE, shortened(&message.to_string()))
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let code = match unexpected {
            Unexpected::Float(_) => &problem_types::NOT_AN_INTEGER,
            _ => &problem_types::WRONG_TYPE,
        };
        Self::new(code, format!("expected {expected}, not {}", told(unexpected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let code = match unexpected {
            Unexpected::Signed(_) | Unexpected::Unsigned(_) | Unexpected::Float(_) => &problem_types::OUT_OF_RANGE,
            _ => &problem_types::INVALID_VALUE,
        };
        Self::new(code, format!("expected {expected}, not {}", told(unexpected)))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let code = if length == 0 { &problem_types::TOO_SHORT } else { &problem_types::TOO_LONG };
        Self::new(code, format!("expected {expected}, not {length}"))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let detail = format!("expected one of {}, not \"{}\"", expected.join(", "), shortened(variant));
        Self::new(&problem_types::INVALID_VALUE, detail)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let known = if expected.is_empty() { "none".to_owned() } else { expected.join(", ") };
        Self::new(&problem_types::UNKNOWN_FIELD, format!("not a field here; known are: {known}"))
            .inside(&shortened(field))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(&problem_types::MISSING, "the field is required".to_owned()).inside(field)
    }
}

fn told(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Str(text) => format!("the text \"{}\"", shortened(text)),
        Unexpected::Signed(number) => number.to_string(),
        Unexpected::Unsigned(number) => number.to_string(),
        Unexpected::Float(number) => format!("the number {number}"),
        Unexpected::Bool(truth) => truth.to_string(),
        Unexpected::Unit | Unexpected::Option => "null".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "an object".to_owned(),
        other => other.to_string(),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MOST_REPEATED) {
        Some((end, _)) if text.len() > 4 * MOST_REPEATED => format!("{}..", &text[..end]),
        _ => text.to_owned(),
    }
}

/// A value whose objects have no key twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        Number::from_f64(number).map(Value::Number).ok_or_else(|| E::custom("the number is out of range"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(de::Error::custom(format!("the key \"{}\" stands twice", shortened(&key))));
            }
            let Strict(value) = entries.next_value()?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// A value to read from. Where `text_only`, texts are read as numbers or truths if these are wanted, and one text as a
/// list of one.
#[derive(Clone, Copy)]
struct Node<'a> {
    value: &'a Value,
    text_only: bool,
}

impl<'a> Node<'a> {
    fn text(self) -> Option<&'a str> {
        self.value.as_str().filter(|_| self.text_only)
    }
}

macro_rules! numbers_from_text {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            match self.text().map(str::parse::<i64>) {
                Some(Ok(number)) => visitor.visit_i64(number),
                _ => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(*truth),
            Value::Number(number) => {
                if let Some(signed) = number.as_i64() {
                    visitor.visit_i64(signed)
                } else if let Some(unsigned) = number.as_u64() {
                    visitor.visit_u64(unsigned)
                } else {
                    visitor.visit_f64(number.as_f64().unwrap_or(f64::INFINITY))
                }
            }
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(Items { rest: items.iter(), at: 0, text_only: self.text_only }),
            Value::Object(map) => {
                visitor.visit_map(Entries { rest: map.iter(), value: None, text_only: self.text_only })
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        // A derived visitor would take a list for a struct, field by field.
        match self.value {
            Value::Array(_) => Err(de::Error::invalid_type(Unexpected::Seq, &"an object")),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.value {
            Value::String(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.text() {
            Some(_) => {
                visitor.visit_seq(Items { rest: std::slice::from_ref(self.value).iter(), at: 0, text_only: true })
            }
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.text() {
            Some("true") => visitor.visit_bool(true),
            Some("false") => visitor.visit_bool(false),
            _ => self.deserialize_any(visitor),
        }
    }

    numbers_from_text! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    serde::forward_to_deserialize_any! {
        i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple tuple_struct map identifier
        ignored_any
    }
}

struct Items<'a> {
    rest: std::slice::Iter<'a, Value>,
    at: usize,
    text_only: bool,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(value) = self.rest.next() else { return Ok(None) };
        let at = self.at;
        self.at += 1;
        let read = seed.deserialize(Node { value, text_only: self.text_only });
        read.map(Some).map_err(|fault| fault.inside(&at.to_string()))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

struct Entries<'a> {
    rest: serde_json::map::Iter<'a>,
    value: Option<(&'a str, &'a Value)>,
    text_only: bool,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some((key, value));
        seed.deserialize(de::value::BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (key, value) = self.value.take().expect("serde asks for a value after its key");
        seed.deserialize(Node { value, text_only: self.text_only }).map_err(|fault| fault.inside(key))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Cart {
        amount: i64,
        #[serde(default)]
        lines: Vec<Line>,
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Line {
        amount: i64,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Item,
        Tip,
    }

    fn fault(value: &Value) -> (String, &'static str, String) {
        let fault = read_body::<Cart>(value).expect_err("wrong on purpose").of_body();
        let Place::Field(pointer) = fault.place else { panic!("a body has fields") };
        (pointer, fault.code.code, fault.detail)
    }

    #[test]
    fn a_good_body_is_read() {
        let cart = json!({"amount": 5, "lines": [{"amount": 1}], "kind": "tip"});
        let read: Cart = read_body(&cart).expect("valid");
        assert_eq!(read, Cart { amount: 5, lines: vec![Line { amount: 1 }], kind: Some(Kind::Tip) });
        assert_eq!(read_body::<Cart>(&json!({"amount": 5, "kind": null})).expect("valid").kind, None);
    }

    #[test]
    fn every_fault_has_its_pointer_and_code() {
        for (value, pointer, code) in [
            (json!({}), "#/amount", "missing"),
            (json!({"amount": 5, "lines": [{"amount": 1}, {}]}), "#/lines/1/amount", "missing"),
            (json!({"amount": 5, "colour": 1}), "#/colour", "unknown_field"),
            (json!({"amount": 5, "lines": [{"amount": 1, "x": 2}]}), "#/lines/0/x", "unknown_field"),
            (json!({"amount": 1.5}), "#/amount", "not_an_integer"),
            (json!({"amount": "12"}), "#/amount", "wrong_type"),
            (json!({"amount": null}), "#/amount", "wrong_type"),
            (json!({"amount": 18_446_744_073_709_551_615_u64}), "#/amount", "out_of_range"),
            (json!({"amount": 5, "lines": {}}), "#/lines", "wrong_type"),
            (json!({"amount": 5, "kind": "gift"}), "#/kind", "invalid_value"),
            (json!([]), "#", "wrong_type"),
            (json!("x"), "#", "wrong_type"),
        ] {
            let found = fault(&value);
            assert_eq!((found.0.as_str(), found.1), (pointer, code), "{value}: {}", found.2);
        }
    }

    #[test]
    fn a_key_may_stand_once() {
        assert!(parse_json(br#"{"a":1,"b":{"a":2}}"#).is_ok());
        let error = parse_json(b"{\"a\":1,\n \"a\":2}").expect_err("twice");
        assert!(error.to_string().contains("stands twice") && error.line() == 2, "{error}");
        assert!(parse_json(br#"[{"x":{"k":1,"k":1}}]"#).is_err());
        assert!(parse_json(br#"{"a":1} {"b":2}"#).is_err());
    }

    #[test]
    fn equal_requests_have_one_canonical_form() {
        let one = parse_json(br#"{ "b": [ {"y":1,"x":2} ], "a": null }"#).expect("JSON");
        let other = parse_json(br#"{"a":null,"b":[{"x":2,"y":1}]}"#).expect("JSON");
        assert_eq!(canonical(&one), canonical(&other));
        assert_eq!(canonical(&one), r#"{"a":null,"b":[{"x":2,"y":1}]}"#);
        assert_ne!(canonical(&one), canonical(&json!({"a": null, "b": []})));
    }

    #[test]
    fn what_is_told_back_is_short() {
        let long = "x".repeat(10_000);
        assert!(fault(&json!({"amount": long})).2.len() < 300);
        assert!(fault(&json!({"amount": 1, long: 1})).0.len() < 300);
    }
}
