//! How the columns of a bank's own CSV are to be read, as the operator declares it.

use serde::{Deserialize, Serialize};

use crate::charset::Charset;
use crate::error::Reason;

/// A mapping of columns, usually from JSON. Columns are named as in the header, whatever their case, blanks and signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The file's encoding; UTF-8 if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Charset>,
    /// What stands between columns.
    #[serde(default = "comma")]
    pub delimiter: char,
    /// Lines before the header.
    #[serde(default)]
    pub skip_lines: u32,
    /// What stands before the decimals.
    #[serde(default = "point")]
    pub decimal_mark: char,
    /// What stands between groups of three digits, if anything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thousands_mark: Option<char>,
    /// How dates are written, in the letters of strftime: `%d.%m.%Y`.
    #[serde(default = "iso_date")]
    pub date_format: String,
    /// The account that the file is of.
    pub account: Given,
    /// The currency of the amounts.
    pub currency: Given,
    /// The amounts and their signs.
    pub amount: Amounts,
    /// Which row is the oldest, for the balances.
    #[serde(default)]
    pub order: Order,
    /// The column with the day of booking.
    pub booked_on: String,
    /// The column with the value date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_on: Option<String>,
    /// The column with the balance after each row: the rows then have to explain it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<String>,
    /// The column with the bank's reference of the entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bank_reference: Option<String>,
    /// The column with the reference of whoever paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_to_end_id: Option<String>,
    /// The column with the other party's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counterparty: Option<String>,
    /// The column with the other party's account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counterparty_account: Option<String>,
    /// The columns that say what it is for, joined by a blank.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remittance: Vec<String>,
}

/// Something that is the same for the whole file, or stands in a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Given {
    /// This, for every row.
    Fixed(String),
    /// What stands in the column of this name.
    Column(String),
}

/// In which columns the amounts stand, and how they say which way the money went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Amounts {
    /// One column, with a minus for what was taken.
    Signed {
        /// Its name.
        column: String,
    },
    /// One column without a sign, and another that says the side.
    Sided {
        /// The column of the amount.
        column: String,
        /// The column of the side.
        side: String,
        /// What stands there for a credit.
        credit: String,
        /// What stands there for a debit.
        debit: String,
    },
    /// A column for each side, of which one is filled.
    Split {
        /// The column of credits.
        credit: String,
        /// The column of debits.
        debit: String,
    },
}

/// Which row comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The oldest.
    #[default]
    OldestFirst,
    /// The newest.
    NewestFirst,
}

impl Mapping {
    /// Whether it can be applied at all.
    ///
    /// # Errors
    /// [`Reason::Mapping`] that says what is wrong.
    pub fn check(&self) -> Result<(), Reason> {
        let is_mark = |mark: char| !mark.is_alphanumeric() && !mark.is_control() && !matches!(mark, '"' | '-' | '+');
        let wrong = |condition: bool, why: &'static str| if condition { Err(Reason::Mapping(why)) } else { Ok(()) };
        wrong(
            !is_mark(self.delimiter) && self.delimiter != '\t',
            "the delimiter is a letter, a digit or a quotation mark",
        )?;
        wrong(!is_mark(self.decimal_mark), "the decimal mark is not a mark")?;
        wrong(!self.thousands_mark.is_none_or(is_mark), "the mark for thousands is not a mark")?;
        wrong(self.thousands_mark == Some(self.decimal_mark), "decimals and thousands have the same mark")?;
        let sample = jiff::civil::date(2026, 11, 27);
        let written = jiff::fmt::strtime::format(&self.date_format, sample);
        let written = written.map_err(|_| Reason::Mapping("the date format is not one of strftime"))?;
        let read = jiff::civil::Date::strptime(&self.date_format, &written);
        wrong(read.ok() != Some(sample), "the date format does not give a year, a month and a day")?;
        match &self.amount {
            Amounts::Sided { credit, debit, .. } => wrong(credit == debit, "credit and debit have the same word"),
            Amounts::Split { credit, debit } => wrong(credit == debit, "credit and debit have the same column"),
            Amounts::Signed { .. } => Ok(()),
        }
    }
}

fn comma() -> char {
    ','
}

fn point() -> char {
    '.'
}

fn iso_date() -> String {
    "%Y-%m-%d".to_owned()
}
