//! The encoding of a file, named by who knows it.

use std::fmt;
use std::str::FromStr;

use encoding_rs::Encoding;
use serde::{Deserialize, Serialize};

/// An encoding by its usual name, as `utf-8`, `windows-1252`, `iso-8859-15` (the labels of the WHATWG Encoding Standard,
/// by which ISO 8859-1 is read as Windows-1252, of which it is a part).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Charset(pub(crate) &'static Encoding);

/// Not the name of an encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown encoding {0:?}")]
pub struct UnknownCharset(String);

impl FromStr for Charset {
    type Err = UnknownCharset;
    fn from_str(label: &str) -> Result<Self, UnknownCharset> {
        let known = Encoding::for_label(label.as_bytes()).map(Self);
        known.ok_or_else(|| UnknownCharset(label.chars().take(40).collect()))
    }
}

impl TryFrom<String> for Charset {
    type Error = UnknownCharset;
    fn try_from(label: String) -> Result<Self, UnknownCharset> {
        label.parse()
    }
}

impl From<Charset> for String {
    fn from(charset: Charset) -> Self {
        charset.to_string()
    }
}

impl fmt::Display for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name().to_ascii_lowercase())
    }
}
