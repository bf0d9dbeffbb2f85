//! Tables: rows of the same columns, as CSV, JSON or XLSX.

mod comma;
mod json;
mod spreadsheet;

use jiff::Timestamp;
use jiff::civil::Date;
use partita_provider::Money;

pub use comma::Csv;
pub use json::Json;
pub use spreadsheet::Xlsx;

use crate::totals::Adder;
use crate::{ControlTotals, Error};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// Money; the currency goes into a column of its own where a table has several.
    Amount,
    /// A number without a unit.
    Integer,
    /// A day.
    Date,
    /// An instant, shown in UTC.
    Time,
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name, snake_case.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
}

impl Column {
    /// A column.
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind }
    }
}

/// What stands in one column of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Nothing.
    Empty,
    /// In a column of texts.
    Text(&'a str),
    /// In a column of amounts.
    Amount(Money),
    /// In a column of integers.
    Integer(i64),
    /// In a column of days.
    Date(Date),
    /// In a column of instants.
    Time(Timestamp),
}

impl Cell<'_> {
    fn kind(self) -> Option<Kind> {
        match self {
            Self::Empty => None,
            Self::Text(_) => Some(Kind::Text),
            Self::Amount(_) => Some(Kind::Amount),
            Self::Integer(_) => Some(Kind::Integer),
            Self::Date(_) => Some(Kind::Date),
            Self::Time(_) => Some(Kind::Time),
        }
    }
}

/// Writes a table, a row after the other, in memory that does not grow with them.
pub trait TableWriter {
    /// Writes one row.
    ///
    /// # Errors
    /// [`Error::Cells`] and [`Error::Field`] for a row that does not fit the columns, those of the format, [`Error::Io`].
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), Error>;

    /// Ends the file, and says what it adds up to.
    ///
    /// # Errors
    /// Those of the format, [`Error::Io`].
    fn finish(self: Box<Self>) -> Result<ControlTotals, Error>;
}

/// The columns, and what their amounts come to.
struct Sheet {
    columns: Vec<Column>,
    adder: Adder,
}

impl Sheet {
    fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), adder: Adder::default() }
    }

    /// Checks a row against the columns and adds it up; its number.
    fn take(&mut self, cells: &[Cell<'_>]) -> Result<u64, Error> {
        let row = self.adder.next_row();
        let (expected, found) = (self.columns.len(), cells.len());
        if expected != found {
            return Err(Error::Cells { row, expected, found });
        }
        for (index, (column, cell)) in self.columns.iter().zip(cells).enumerate() {
            if cell.kind().is_some_and(|kind| kind != column.kind) {
                return Err(Error::field(row, column.name, format!("{cell:?} in a column of {:?}", column.kind)));
            }
            if let Cell::Amount(amount) = cell {
                self.adder.add(index, column.name, *amount)?;
            }
        }
        Ok(row)
    }
}

#[cfg(test)]
mod tests;
