//! Why a file is refused, in sentences for the person who has to ask the bank for another one.

use std::io;

use jiff::civil::Date;
use partita_provider::{Currency, Money, mask_card_numbers};

/// A file that is refused, all of it: nothing of what was read before may be kept.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Refusal {
    /// The line of the file, from 1; of an element or record that takes several lines, the one where the fault was seen.
    pub line: u64,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// The source could not be read to its end.
    #[error("the file could not be read")]
    Io(#[source] io::Error),
    /// Nothing in it.
    #[error("the file is empty")]
    Empty,
    /// More bytes than [`crate::Limits::bytes`].
    #[error("the file is larger than {limit} bytes")]
    FileTooLarge {
        /// The most bytes a file may have.
        limit: u64,
    },
    /// A line, record, tag or text longer than [`crate::Limits::piece`].
    #[error("a line or an element is longer than {limit} bytes")]
    TooLong {
        /// The most bytes one piece may have.
        limit: usize,
    },
    /// Elements within elements beyond [`crate::Limits::depth`].
    #[error("elements are nested more than {limit} deep")]
    TooDeep {
        /// The most levels.
        limit: usize,
    },
    /// More of something than [`crate::Limits`] allows.
    #[error("there are more than {limit} {what}")]
    TooMany {
        /// Of what: entries, details of one entry, balances.
        what: &'static str,
        /// The most of them.
        limit: u64,
    },
    /// Bytes that are not text in the encoding the file is read with.
    #[error("the text is not {encoding}; if the file is in another encoding, name it")]
    Encoding {
        /// The encoding it was read with.
        encoding: &'static str,
    },
    /// A character that no text has.
    #[error("there is a control character (U+{0:04X}); the file is damaged or in another encoding")]
    ControlCharacter(u32),
    /// Neither of the formats, and no mapping of columns was given.
    #[error(
        "this is no format that is known: camt.053, MT940, a settlement report of PayPal or Adyen, or CSV with a mapping"
    )]
    UnknownFormat,
    /// A message of ISO 20022 that is not read.
    #[error("this is {0:?}; read are camt.053.001.02 and camt.053.001.08")]
    UnsupportedMessage(String),
    /// Not XML as the standard wants it.
    #[error("the XML is damaged: {0}")]
    Xml(String),
    /// A document type, with which entities could be declared.
    #[error("the XML has a document type (DOCTYPE), which no bank statement has")]
    DocumentType,
    /// An entity that XML does not know by itself.
    #[error("the XML refers to an entity {0:?}, which no bank statement has")]
    Entity(String),
    /// A field of an MT940 message that is not as it has to be.
    #[error("field :{tag}: is not as MT940 has it: {text:?}")]
    Field {
        /// The field's tag.
        tag: String,
        /// The beginning of what it holds.
        text: String,
    },
    /// A line that belongs to no field or row.
    #[error("this line is not expected here: {0:?}")]
    Unexpected(String),
    /// A quotation mark that is not closed, or text behind one that is.
    #[error("a quotation mark is not closed, or text follows behind it")]
    Quotes,
    /// A row with other columns than the header.
    #[error("the row has {found} columns, the header has {expected}")]
    Columns {
        /// As many as the header has.
        expected: usize,
        /// As many as the row has.
        found: usize,
    },
    /// A mapping of columns that cannot be applied.
    #[error("the mapping of columns cannot be applied: {0}")]
    Mapping(&'static str),
    /// The file ends before it is complete.
    #[error("the file ends too early: {0} is missing")]
    Truncated(&'static str),
    /// Something that has to be there is not.
    #[error("{0} is missing")]
    Missing(String),
    /// Something that may be there once is there again.
    #[error("{0} is there twice")]
    Repeated(&'static str),
    /// A value that is not what it should be.
    #[error("{value:?} is not {what}")]
    Unreadable {
        /// What it should be: an amount, a date, ..
        what: &'static str,
        /// The beginning of what is there.
        value: String,
    },
    /// An amount with more decimals than its currency has.
    #[error("{value:?} has more decimals than {currency} has")]
    TooFine {
        /// The amount as it stands.
        value: String,
        /// Its currency.
        currency: Currency,
    },
    /// An amount or a sum beyond 64 bits.
    #[error("an amount or a sum is too large")]
    Overflow,
    /// Two currencies where there can be only one.
    #[error("the amount is in {found}, the account is kept in {expected}")]
    Currency {
        /// The account's.
        expected: Currency,
        /// The amount's.
        found: Currency,
    },
    /// The entries do not explain how the balance changed.
    #[error("the entries do not lead from {opening} to {closing}: they lead to {computed}")]
    Balance {
        /// The opening balance.
        opening: Money,
        /// The closing balance.
        closing: Money,
        /// The opening balance and all entries.
        computed: Money,
    },
    /// A total of the file's own that is not the sum of what it is the total of.
    #[error("{what} should be {computed} by the rows, the file says {stated}")]
    Total {
        /// Which total.
        what: &'static str,
        /// The sum of what is there, minor units or a count.
        computed: i64,
        /// What the file says.
        stated: i64,
    },
    /// A statement that ends before it begins.
    #[error("the closing balance is of {closing}, before the opening balance of {opening}")]
    Dates {
        /// Date of the opening balance.
        opening: Date,
        /// Date of the closing balance.
        closing: Date,
    },
}

impl Reason {
    /// As a refusal of the file because of this line.
    pub(crate) fn at(self, line: u64) -> Refusal {
        Refusal { line, reason: self }
    }

    pub(crate) fn unreadable(what: &'static str, value: &str) -> Self {
        Self::Unreadable { what, value: quote(value) }
    }
}

/// The beginning of a text of the file, for a sentence: short, and without card numbers.
pub(crate) fn quote(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    String::from_utf8_lossy(&mask_card_numbers(start.as_bytes())).into_owned()
}
