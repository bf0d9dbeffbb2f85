//! CSV of RFC 4180: UTF-8, CRLF, a line of names first, plain decimals, ISO 8601.

use std::borrow::Cow;
use std::io::{self, Write};

use super::{Cell, Column, Sheet, TableWriter};
use crate::amount::plain_money;
use crate::{ControlTotals, Error};

/// Writes CSV.
pub struct Csv<W: Write> {
    sheet: Sheet,
    writer: csv::Writer<W>,
}

impl<W: Write> Csv<W> {
    /// Writes the line of names.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn try_new(out: W, columns: &[Column]) -> Result<Self, Error> {
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
        writer.write_record(columns.iter().map(|column| column.name)).map_err(io::Error::from)?;
        Ok(Self { sheet: Sheet::new(columns), writer })
    }
}

impl<W: Write> TableWriter for Csv<W> {
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), Error> {
        self.sheet.take(cells)?;
        let texts = cells.iter().map(|cell| text(*cell));
        for cell in texts {
            self.writer.write_field(cell.as_ref()).map_err(io::Error::from)?;
        }
        self.writer.write_record(None::<&[u8]>).map_err(io::Error::from)?;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<ControlTotals, Error> {
        self.writer.flush()?;
        Ok(self.sheet.adder.totals())
    }
}

fn text(cell: Cell<'_>) -> Cow<'_, str> {
    match cell {
        Cell::Empty => Cow::Borrowed(""),
        Cell::Text(text) => guarded(text),
        Cell::Amount(money) => Cow::Owned(plain_money(money)),
        Cell::Integer(number) => Cow::Owned(number.to_string()),
        Cell::Date(date) => Cow::Owned(date.to_string()),
        Cell::Time(time) => Cow::Owned(time.to_string()),
    }
}

/// A text that a spreadsheet would calculate gets an apostrophe before it, as OWASP's page on CSV injection advises; one
/// that begins with an apostrophe gets another, so that the reader who takes one off has the text as it was.
fn guarded(text: &str) -> Cow<'_, str> {
    let calculated = ['=', '+', '-', '@', '\t', '\r', '\n', '\'', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];
    if text.trim_start_matches(' ').starts_with(calculated) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}
