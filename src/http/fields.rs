//! Types of request fields that check themselves, so that a handler never sees a value out of bounds.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserializer, Unexpected, Visitor};
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// The largest amount: the largest integer that every JSON reader keeps exactly, 2^53 - 1.
pub const LARGEST_AMOUNT: i64 = 9_007_199_254_740_991;

/// Most lines of a payment, and of what concerns its lines.
pub const MOST_LINES: usize = 200;

/// A positive amount in minor units, 1 to 2^53 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Amount(i64);

impl Amount {
    /// The minor units.
    pub fn minor(self) -> i64 {
        self.0
    }
}

/// An amount in minor units that may be nothing, 0 to 2^53 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Default)]
pub struct AmountOrZero(i64);

impl AmountOrZero {
    /// The minor units.
    pub fn minor(self) -> i64 {
        self.0
    }
}

macro_rules! amounts {
    ($($name:ident from $least:literal: $text:literal)*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_i64(Minor { least: $least, text: $text }).map(Self)
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::Integer)
                    .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::Int64)))
                    .minimum(Some($least))
                    .maximum(Some(LARGEST_AMOUNT))
                    .description(Some(concat!("Minor units of the currency: ", $text)))
                    .into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

amounts! {
    Amount from 1: "an amount in whole minor units from 1 to 9007199254740991"
    AmountOrZero from 0: "an amount in whole minor units from 0 to 9007199254740991"
}

struct Minor {
    least: i64,
    text: &'static str,
}

impl Visitor<'_> for Minor {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<i64, E> {
        if (self.least..=LARGEST_AMOUNT).contains(&number) {
            Ok(number)
        } else {
            Err(E::invalid_value(Unexpected::Signed(number), &self))
        }
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<i64, E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }
}

/// Text of `LEAST` to `MOST` characters without control characters, and not blank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Text<const LEAST: usize, const MOST: usize>(String);

/// The platform's own id of an object.
pub type Reference = Text<1, 100>;

impl<const LEAST: usize, const MOST: usize> Text<LEAST, MOST> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, owned.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<'de, const LEAST: usize, const MOST: usize> Deserialize<'de> for Text<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let length = text.chars().count();
        if !(LEAST..=MOST).contains(&length) {
            return Err(de::Error::invalid_length(length, &format!("text of {LEAST} to {MOST} characters").as_str()));
        }
        if text.chars().any(char::is_control) {
            return Err(de::Error::custom("must have no control characters"));
        }
        if LEAST > 0 && text.trim().is_empty() {
            return Err(de::Error::custom("must not be blank"));
        }
        Ok(Self(text))
    }
}

impl<const LEAST: usize, const MOST: usize> PartialSchema for Text<LEAST, MOST> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(LEAST))
            .max_length(Some(MOST))
            .description(Some(format!("Text of {LEAST} to {MOST} characters, without control characters")))
            .into()
    }
}

impl<const LEAST: usize, const MOST: usize> ToSchema for Text<LEAST, MOST> {
    fn name() -> Cow<'static, str> {
        // Each length is a schema of its own.
        Cow::Owned(format!("Text{LEAST}To{MOST}"))
    }
}

/// An ISO 4217 currency, upper case.
pub type Currency = partita_provider::Currency;

/// The schema of a currency, for `#[schema(schema_with = currency_schema)]`.
pub fn currency_schema() -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^[A-Z]{3}$"))
        .description(Some("ISO 4217 code, upper case"))
        .examples(["EUR"])
        .into()
}

/// The platform's own notes on an object: at most 50 keys of 1 to 40 characters, values of at most 500.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Metadata(BTreeMap<String, String>);

const MOST_METADATA_KEYS: usize = 50;
const LONGEST_METADATA_KEY: usize = 40;
const LONGEST_METADATA_VALUE: usize = 500;

impl Metadata {
    /// The notes, as they are stored.
    pub fn into_json(self) -> serde_json::Value {
        self.0.into_iter().map(|(key, value)| (key, serde_json::Value::String(value))).collect()
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<String, String>::deserialize(deserializer)?;
        if map.len() > MOST_METADATA_KEYS {
            return Err(de::Error::invalid_length(map.len(), &"at most 50 keys"));
        }
        for (key, value) in &map {
            if !(1..=LONGEST_METADATA_KEY).contains(&key.chars().count()) {
                return Err(de::Error::invalid_length(key.chars().count(), &"keys of 1 to 40 characters"));
            }
            if value.chars().count() > LONGEST_METADATA_VALUE {
                return Err(de::Error::invalid_length(value.chars().count(), &"values of at most 500 characters"));
            }
            if key.contains('\0') || value.contains('\0') {
                return Err(de::Error::custom("must not contain the character U+0000"));
            }
        }
        Ok(Self(map))
    }
}

impl PartialSchema for Metadata {
    fn schema() -> RefOr<Schema> {
        let value = ObjectBuilder::new().schema_type(Type::String).max_length(Some(LONGEST_METADATA_VALUE));
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .additional_properties(Some(AdditionalProperties::RefOr(RefOr::T(Schema::from(value.build())))))
            .description(Some(
                "Your own notes: at most 50 keys of 1 to 40 characters, values of at most 500. Never card data.",
            ))
            .examples([serde_json::json!({"basket": "b-77"})])
            .into()
    }
}

impl ToSchema for Metadata {}

/// An absolute address with the scheme https, or http towards this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebAddress(String);

impl WebAddress {
    /// The address, as it was given.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<'de> Deserialize<'de> for WebAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text::<1, 2000>(text) = Text::deserialize(deserializer)?;
        let url = url::Url::parse(&text).map_err(|_| de::Error::custom("must be an absolute address, https://.."))?;
        let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if !(url.scheme() == "https" || (url.scheme() == "http" && local)) {
            return Err(de::Error::custom("must begin with https:// (http:// only towards this machine)"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(de::Error::custom("must have no user name and password"));
        }
        Ok(Self(text))
    }
}

impl PartialSchema for WebAddress {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(utoipa::openapi::SchemaFormat::Custom("uri".to_owned())))
            .into()
    }
}

impl ToSchema for WebAddress {}

/// A day of UTC, such as `2026-11-22`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day(jiff::civil::Date);

impl Day {
    /// The day.
    pub fn date(self) -> jiff::civil::Date {
        self.0
    }

    /// When it begins; none at the end of time.
    pub fn begins(self) -> Option<jiff::Timestamp> {
        Some(self.0.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let day = text.parse().ok().filter(|_| text.len() == "2026-11-22".len());
        day.map(Self).ok_or_else(|| de::Error::custom("must be a day, such as 2026-11-22"))
    }
}

impl PartialSchema for Day {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::Date)))
            .into()
    }
}

impl ToSchema for Day {}

macro_rules! coded_texts {
    ($($(#[$doc:meta])* $name:ident, $pattern:literal, $hint:literal, $valid:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) { Ok(Self(text)) } else { Err(de::Error::custom($hint)) }
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new().schema_type(Type::String).pattern(Some($pattern)).into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

coded_texts! {
    /// ISO 3166-1 alpha-2, upper case.
    Country, "^[A-Z]{2}$", "must be a country code of two upper-case letters, such as DE",
        |text| text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase());
    /// An e-mail address, checked for its form only.
    Email, "^[^@\\s]{1,64}@[^@\\s]{3,190}$", "must be an e-mail address",
        |text| text.len() <= 254 && !text.chars().any(|c| c.is_whitespace() || c.is_control())
            && text.split_once('@').is_some_and(|(user, host)| {
                (1..=64).contains(&user.len()) && host.len() >= 3 && !host.contains('@')
                    && !host.starts_with('.') && !host.ends_with('.')
            });
    /// A BCP 47 language tag, such as `en` or `de-AT`.
    Locale, "^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", "must be a language tag such as en or de-AT",
        |text| text.len() <= 35 && text.split('-').enumerate().all(|(at, part)| {
            let letters = part.bytes().all(|b| if at == 0 { b.is_ascii_alphabetic() } else { b.is_ascii_alphanumeric() });
            let range = if at == 0 { 2..=3 } else { 2..=8 };
            letters && range.contains(&part.len())
        });
    /// A provider's token of a payment method, never a card number.
    PaymentToken, "^[A-Za-z0-9_]{3,255}$", "must be the provider's token, such as pm_card_visa",
        |text| (3..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::input::read_body;
    use super::*;

    fn code<T: for<'de> Deserialize<'de> + fmt::Debug>(value: &Value) -> &'static str {
        read_body::<T>(value).expect_err("refused on purpose").of_body().code.code
    }

    #[test]
    fn amounts_are_positive_whole_and_exact_in_every_reader() {
        assert_eq!(read_body::<Amount>(&json!(LARGEST_AMOUNT)).expect("the largest").minor(), LARGEST_AMOUNT);
        assert_eq!(read_body::<AmountOrZero>(&json!(0)).expect("nothing").minor(), 0);
        for (value, expected) in [
            (json!(0), "out_of_range"),
            (json!(-5), "out_of_range"),
            (json!(LARGEST_AMOUNT + 1), "out_of_range"),
            (json!(u64::MAX), "out_of_range"),
            (json!(1e30), "not_an_integer"),
            (json!(12.5), "not_an_integer"),
            (json!(12.0), "not_an_integer"),
            (json!("12"), "wrong_type"),
            (json!(null), "wrong_type"),
            (json!(true), "wrong_type"),
        ] {
            assert_eq!(code::<Amount>(&value), expected, "{value}");
        }
    }

    #[test]
    fn metadata_has_its_bounds() {
        let keys = |n: usize| (0..n).map(|i| (format!("k{i}"), json!("v"))).collect::<serde_json::Map<_, _>>();
        assert!(read_body::<Metadata>(&Value::Object(keys(50))).is_ok());
        assert_eq!(code::<Metadata>(&Value::Object(keys(51))), "too_long");
        assert_eq!(code::<Metadata>(&json!({"x".repeat(41): "v"})), "too_long");
        assert_eq!(code::<Metadata>(&json!({"": "v"})), "too_short");
        assert_eq!(code::<Metadata>(&json!({"k": "v".repeat(501)})), "too_long");
        assert_eq!(code::<Metadata>(&json!({"k": 1})), "wrong_type");
        assert_eq!(code::<Metadata>(&json!({"k": "a\0b"})), "invalid_value");
        assert!(read_body::<Metadata>(&json!({"k": "ü".repeat(500)})).is_ok());
    }

    #[test]
    fn texts_have_their_form() {
        assert!(read_body::<Reference>(&json!("order-1")).is_ok());
        for bad in [json!(""), json!("   "), json!("a\nb"), json!("x".repeat(101))] {
            assert!(read_body::<Reference>(&bad).is_err(), "{bad}");
        }
        assert!(read_body::<WebAddress>(&json!("https://market.example/done?x=1")).is_ok());
        assert!(read_body::<WebAddress>(&json!("http://127.0.0.1:8080/")).is_ok());
        for bad in ["http://market.example", "javascript:alert(1)", "/done", "https://u:p@market.example", "https://"] {
            assert!(read_body::<WebAddress>(&json!(bad)).is_err(), "{bad}");
        }
        for (good, bad) in [("DE", "de"), ("FR", "FRA")] {
            assert!(read_body::<Country>(&json!(good)).is_ok() && read_body::<Country>(&json!(bad)).is_err());
        }
        for (good, bad) in [("a@example.com", "a@b@c.com"), ("x.y+z@shop.example", "no at"), ("a@b.c", "@b.c")] {
            assert!(read_body::<Email>(&json!(good)).is_ok() && read_body::<Email>(&json!(bad)).is_err(), "{bad}");
        }
        for (good, bad) in [("en", "english"), ("de-AT", "de_AT"), ("zh-Hant-TW", "")] {
            assert!(read_body::<Locale>(&json!(good)).is_ok() && read_body::<Locale>(&json!(bad)).is_err(), "{bad}");
        }
        let day = read_body::<Day>(&json!("2026-03-02")).expect("a day");
        assert_eq!(day.begins(), "2026-03-02T00:00:00Z".parse().ok());
        for bad in ["2026-02-30", "02.03.2026", "2026-03-02T00:00:00Z", "2026-3-2", "", "+002026-03-02"] {
            assert!(read_body::<Day>(&json!(bad)).is_err(), "{bad}");
        }
        assert!(read_body::<PaymentToken>(&json!("pm_card_visa")).is_ok());
        assert!(read_body::<PaymentToken>(&json!("pm card")).is_err());
    }
}
