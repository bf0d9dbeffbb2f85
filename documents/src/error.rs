//! Why a document cannot be written.

use std::io;

use partita_provider::Currency;

/// Why a document cannot be written. Rows count from 1, headings not among them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Where it is written to failed.
    #[error("the document cannot be written")]
    Io(#[from] io::Error),
    /// A row has not one cell for each column.
    #[error("row {row} has {found} cells, there are {expected} columns")]
    Cells {
        /// The row.
        row: u64,
        /// How many columns there are.
        expected: usize,
        /// How many cells the row has.
        found: usize,
    },
    /// A cell, or a fact of the head (row 0), is not what the format takes.
    #[error("row {row}, {field}: {reason}")]
    Field {
        /// The row; 0 is the document's head.
        row: u64,
        /// The column or element.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A text has a character that the format, or its font, has not.
    #[error("row {row}, {field}: cannot be written with the character {character:?}")]
    Character {
        /// The row; 0 is the document's head.
        row: u64,
        /// The column or element.
        field: &'static str,
        /// The first character that cannot be written.
        character: char,
    },
    /// More rows than the format takes in one file.
    #[error("row {row}: the format takes {limit} rows in one file")]
    TooManyRows {
        /// The first row too many.
        row: u64,
        /// How many it takes.
        limit: u64,
    },
    /// An amount is in another currency than the document.
    #[error("row {row}, {field}: {found} in a document of {expected}")]
    Currency {
        /// The row; 0 is the document's head.
        row: u64,
        /// The column or element.
        field: &'static str,
        /// The document's currency.
        expected: Currency,
        /// The amount's.
        found: Currency,
    },
    /// Opening and movements do not make the closing.
    #[error("opening and movements make {computed}, the closing says {stated}")]
    DoesNotClose {
        /// What opening and movements make, a plain decimal.
        computed: String,
        /// What the closing says, a plain decimal.
        stated: String,
    },
    /// A sum does not fit 128 bits.
    #[error("row {row}, {field}: the sum is out of range")]
    Overflow {
        /// The row.
        row: u64,
        /// The column.
        field: &'static str,
    },
    /// The library of the format refused.
    #[error("the {format} cannot be made: {reason}")]
    Format {
        /// The format.
        format: &'static str,
        /// In the library's words.
        reason: String,
    },
}

impl Error {
    pub(crate) fn field(row: u64, field: &'static str, reason: impl Into<String>) -> Self {
        Self::Field { row, field, reason: reason.into() }
    }
}
