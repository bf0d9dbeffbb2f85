//! XLSX: numbers as numbers, with the decimals of their currency; days as days; rows go to a temporary file as they come.

use std::io::{Seek, Write};

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use partita_provider::{Currency, Money};
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, Worksheet, XlsxError};

use super::{Cell, Column, Kind, Sheet, TableWriter};
use crate::amount::plain_money;
use crate::{ControlTotals, Error};

/// Rows below the line of names; a sheet has 2^20.
const MOST_ROWS: u64 = 1_048_575;
/// The longest text of a cell.
const LONGEST_TEXT: usize = 32_767;
/// As far as a spreadsheet counts exactly: 15 digits.
const MOST_MINOR: u64 = 999_999_999_999_999;

/// Writes XLSX, once it is finished.
pub struct Xlsx<W: Write + Seek + Send> {
    sheet: Sheet,
    book: Workbook,
    formats: Formats,
    out: W,
}

struct Formats {
    date: Format,
    time: Format,
    /// By number of decimals, up to the four of CLF and UYW.
    amounts: [Format; 5],
}

impl<W: Write + Seek + Send> Xlsx<W> {
    /// Begins a sheet of this name, which has 1 to 31 characters; `made_at` stands in the file's properties.
    ///
    /// # Errors
    /// [`Error::Format`] for a name that no sheet may have.
    pub fn try_new(out: W, name: &str, made_at: Timestamp, columns: &[Column]) -> Result<Self, Error> {
        let mut book = Workbook::new();
        book.set_properties(&DocProperties::new().set_title(name).set_creation_datetime(&excel_time(made_at)?));
        let page = book.add_worksheet_with_constant_memory().map_err(refused)?;
        page.set_name(name).map_err(refused)?;
        set_up(page, columns).map_err(refused)?;
        let amount = |decimals: &str| Format::new().set_num_format(decimals);
        let formats = Formats {
            date: Format::new().set_num_format("yyyy-mm-dd"),
            time: Format::new().set_num_format("yyyy-mm-dd hh:mm:ss"),
            amounts: ["#,##0", "#,##0.0", "#,##0.00", "#,##0.000", "#,##0.0000"].map(amount),
        };
        Ok(Self { sheet: Sheet::new(columns), book, formats, out })
    }
}

impl<W: Write + Seek + Send> TableWriter for Xlsx<W> {
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), Error> {
        let row = self.sheet.take(cells)?;
        let line = u32::try_from(row).ok().filter(|_| row <= MOST_ROWS);
        let line = line.ok_or(Error::TooManyRows { row, limit: MOST_ROWS })?;
        let page = self.book.worksheet_from_index(0).map_err(refused)?;
        for (place, (column, cell)) in (0..).zip(self.sheet.columns.iter().zip(cells)) {
            let told = |reason: &str| Error::field(row, column.name, reason);
            let written = match *cell {
                Cell::Empty => continue,
                Cell::Text(text) if text.chars().count() > LONGEST_TEXT => {
                    return Err(told("is longer than the 32,767 characters of a cell"));
                }
                Cell::Text(text) => page.write_string(line, place, text),
                Cell::Amount(money) if money.minor.unsigned_abs() > MOST_MINOR => {
                    return Err(told("has more than the 15 digits that a spreadsheet counts exactly"));
                }
                Cell::Amount(money) => {
                    page.write_number_with_format(line, place, number(money), self.formats.amount(money.currency))
                }
                Cell::Integer(integer) if integer.unsigned_abs() > MOST_MINOR => {
                    return Err(told("has more than the 15 digits that a spreadsheet counts exactly"));
                }
                Cell::Integer(integer) => page.write_number(line, place, exact(&integer.to_string())),
                Cell::Date(date) => {
                    page.write_datetime_with_format(line, place, &excel_date(date)?, &self.formats.date)
                }
                Cell::Time(time) => {
                    page.write_datetime_with_format(line, place, &excel_time(time)?, &self.formats.time)
                }
            };
            written.map_err(|error| told(&error.to_string()))?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<ControlTotals, Error> {
        self.book.save_to_writer(&mut self.out).map_err(refused)?;
        self.out.flush()?;
        Ok(self.sheet.adder.totals())
    }
}

impl Formats {
    fn amount(&self, currency: Currency) -> &Format {
        let decimals = usize::try_from(currency.exponent()).expect("a currency has four decimals at most");
        &self.amounts[decimals]
    }
}

fn set_up(page: &mut Worksheet, columns: &[Column]) -> Result<(), XlsxError> {
    let bold = Format::new().set_bold();
    page.set_freeze_panes(1, 0)?;
    for (place, column) in (0..).zip(columns) {
        let width = match column.kind {
            Kind::Text => 32,
            Kind::Amount | Kind::Time => 20,
            Kind::Integer | Kind::Date => 12,
        };
        page.set_column_width(place, width)?;
    }
    for (place, column) in (0..).zip(columns) {
        page.write_string_with_format(0, place, column.name, &bold)?;
    }
    Ok(())
}

/// An amount of up to 15 digits as the number a spreadsheet keeps, read from its decimal text: exact when shown.
fn number(money: Money) -> f64 {
    exact(&plain_money(money))
}

fn exact(decimal: &str) -> f64 {
    decimal.parse().expect("digits with a point are a number")
}

fn excel_date(date: civil::Date) -> Result<ExcelDateTime, Error> {
    let year = u16::try_from(date.year()).unwrap_or(0);
    let (month, day) = (date.month().unsigned_abs(), date.day().unsigned_abs());
    ExcelDateTime::from_ymd(year, month, day).map_err(refused)
}

fn excel_time(time: Timestamp) -> Result<ExcelDateTime, Error> {
    let utc = time.to_zoned(TimeZone::UTC).datetime();
    let (hour, minute, second) = (utc.hour().unsigned_abs(), utc.minute().unsigned_abs(), utc.second().unsigned_abs());
    excel_date(utc.date())?.and_hms(hour.into(), minute, second).map_err(refused)
}

fn refused(error: XlsxError) -> Error {
    match error {
        XlsxError::IoError(error) => Error::Io(error),
        other => Error::Format { format: "XLSX", reason: other.to_string() },
    }
}
