//! Charts as SVG, each with a table of the same numbers behind it.
//!
//! Nothing is told by colour alone: signs stand at the values, falling bars are hatched, lines differ by dash and mark. Each
//! chart has a title and a description that a screen reader speaks, and is 720 wide, to be scaled by its width.

mod bars;
mod lines;
mod svg;

use partita_provider::{Currency, Money};

pub use bars::{Ageing, Bucket, Step, Waterfall};
pub use lines::{Lines, Series};

use crate::{Error, Language};

/// What every chart says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caption {
    /// Unique among the charts of a page; letters, digits, hyphens.
    pub id: String,
    /// What it shows.
    pub title: String,
    /// What is to be seen in it, in a sentence.
    pub description: String,
    /// The language of title, description and numbers.
    pub language: Language,
}

/// A drawn chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chart {
    /// The SVG alone, a document of its own.
    pub svg: String,
    /// A `<figure>` with the SVG and, to be opened below it, the table.
    pub figure: String,
}

impl Caption {
    fn check(&self) -> Result<(), Error> {
        let lawful = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if self.id.is_empty() || !self.id.chars().all(lawful) {
            return Err(Error::field(0, "id", "is not of letters, digits and hyphens"));
        }
        Ok(())
    }
}

/// Checks that an amount is in the chart's currency.
fn same_currency(row: u64, field: &'static str, expected: Currency, money: Money) -> Result<(), Error> {
    let found = money.currency;
    if found == expected { Ok(()) } else { Err(Error::Currency { row, field, expected, found }) }
}

#[cfg(test)]
mod tests;
