//! A batch of bookings as DATEV takes it: EXTF, version 700, category 21 (Buchungsstapel), format version 13.
//!
//! Windows-1252, semicolons, CRLF, decimal commas; one file for each month. Fields and their limits are those that DATEV's
//! developer portal publishes for the header and the booking batch.

mod ansi;
mod columns;

use std::io::Write;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use partita_provider::{Currency, Money};

use crate::totals::Adder;
use crate::{ControlTotals, Error, amount};

/// Bookings in one file, as DATEV limits them.
const MOST_BOOKINGS: u64 = 99_999;
/// Ten digits before the comma.
const MOST_MINOR: u64 = 9_999_999_999_99;

/// What the header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Number of the tax consultant (Berater), 1001 to 9999999.
    pub consultant: u32,
    /// Number of the consultant's client (Mandant), 1 to 99999.
    pub client: u32,
    /// First day of the fiscal year, which gives the bookings their year.
    pub fiscal_year: Date,
    /// Digits of the accounts of the general ledger, 4 to 8; those of debtors and creditors have one more.
    pub account_digits: u8,
    /// First day.
    pub from: Date,
    /// Last day, in the same month.
    pub to: Date,
    /// What the batch is called: up to 30 letters, digits, spaces and `. - / _`.
    pub name: String,
    /// The time in the header: give the position's, not the clock's, and a run again gives the same bytes. Written in UTC.
    pub made_at: Timestamp,
    /// The currency of all amounts; one with two decimals.
    pub currency: Currency,
    /// Whether DATEV is to take the bookings as fixed (Festschreibung).
    pub fixed: bool,
}

/// One booking between two accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Booking<'a> {
    /// The account (Konto).
    pub account: u32,
    /// The other account (Gegenkonto).
    pub contra_account: u32,
    /// Above zero debits the account (`S`), below credits it (`H`). Not zero.
    pub amount: Money,
    /// The day of the document (Belegdatum), within the batch's.
    pub date: Date,
    /// The document's number (Belegfeld 1): up to 36 ASCII letters, digits and `_ $ & % * + - /`.
    pub document: &'a str,
    /// What it was for (Buchungstext); what is beyond 60 characters is cut.
    pub text: &'a str,
}

/// Writes a batch.
pub struct Datev<W: Write> {
    out: W,
    batch: Batch,
    adder: Adder,
}

impl Batch {
    /// The name that DATEV expects of the file: `EXTF_Buchungsstapel_202607_29098_55003.csv`.
    pub fn file_name(&self) -> String {
        let (month, consultant, client) = (self.from.strftime("%Y%m"), self.consultant, self.client);
        format!("EXTF_Buchungsstapel_{month}_{consultant}_{client}.csv")
    }

    fn check(&self) -> Result<(), Error> {
        let refuse = |wrong: bool, field, reason: &str| {
            if wrong { Err(Error::field(0, field, reason)) } else { Ok(()) }
        };
        let year_ends = self.fiscal_year.checked_add(jiff::Span::new().years(1));
        let year_ends = year_ends.map_err(|error| Error::field(0, "WJ-Beginn", error.to_string()))?;
        let nameable = |c: char| c.is_alphanumeric() || " ._-/".contains(c);
        refuse(!(1001..=9_999_999).contains(&self.consultant), "Beraternummer", "is 1001 to 9999999")?;
        refuse(!(1..=99_999).contains(&self.client), "Mandantennummer", "is 1 to 99999")?;
        refuse(!(4..=8).contains(&self.account_digits), "Sachkontenlänge", "is 4 to 8")?;
        refuse(self.from > self.to, "Datum bis", "is before the first day")?;
        refuse(self.from.first_of_month() != self.to.first_of_month(), "Datum bis", "is in another month")?;
        refuse(self.from < self.fiscal_year, "Datum von", "is before the fiscal year")?;
        refuse(self.to >= year_ends, "Datum bis", "is after the fiscal year")?;
        refuse(
            self.name.chars().count() > 30 || !self.name.chars().all(nameable),
            "Bezeichnung",
            "has more than 30 letters, digits and ` ._-/`",
        )?;
        refuse(self.currency.exponent() != 2, "WKZ", "has not two decimals")
    }

    /// The 31 fields of the header.
    fn header(&self) -> String {
        let day = |date: Date| date.strftime("%Y%m%d").to_string();
        let made_at: DateTime = self.made_at.to_zoned(TimeZone::UTC).datetime();
        let made_at = format!("{}{:03}", made_at.strftime("%Y%m%d%H%M%S"), made_at.millisecond());
        let fields = [
            "\"EXTF\";700;21;\"Buchungsstapel\";13",
            &made_at,
            "",
            "\"RE\";\"\";\"\"",
            &self.consultant.to_string(),
            &self.client.to_string(),
            &day(self.fiscal_year),
            &self.account_digits.to_string(),
            &day(self.from),
            &day(self.to),
            &quoted(&self.name),
            "\"\";1;0",
            if self.fixed { "1" } else { "0" },
            &quoted(self.currency.code()),
            ";\"\";;;\"\";;;\"\";\"\"",
        ];
        fields.join(";")
    }
}

impl<W: Write> Datev<W> {
    /// Writes the header and the line of names.
    ///
    /// # Errors
    /// [`Error::Field`] with row 0 for a header that DATEV would refuse, [`Error::Io`].
    pub fn try_new(out: W, batch: Batch) -> Result<Self, Error> {
        batch.check()?;
        let header = batch.header();
        let mut datev = Self { out, batch, adder: Adder::default() };
        datev.line(0, "Bezeichnung", &header)?;
        datev.line(0, "Bezeichnung", &columns::names().join(";"))?;
        Ok(datev)
    }

    /// Writes one booking.
    ///
    /// # Errors
    /// [`Error::Field`], [`Error::Character`], [`Error::Currency`], [`Error::TooManyRows`], [`Error::Io`].
    pub fn booking(&mut self, booking: &Booking<'_>) -> Result<(), Error> {
        let row = self.adder.next_row();
        if row > MOST_BOOKINGS {
            return Err(Error::TooManyRows { row, limit: MOST_BOOKINGS });
        }
        self.check(row, booking)?;
        let debit = booking.amount.minor > 0;
        let size = i128::from(booking.amount.minor.unsigned_abs());
        let mut fields = vec![String::new(); columns::COUNT];
        fields[columns::AMOUNT] = amount::signed(size, self.batch.currency, "", "", ",");
        fields[columns::SIDE] = quoted(if debit { "S" } else { "H" });
        fields[columns::CURRENCY] = quoted(self.batch.currency.code());
        fields[columns::ACCOUNT] = booking.account.to_string();
        fields[columns::CONTRA_ACCOUNT] = booking.contra_account.to_string();
        fields[columns::DATE] = booking.date.strftime("%d%m").to_string();
        fields[columns::DOCUMENT] = quoted(booking.document);
        fields[columns::TEXT] = quoted(&cut(&ansi::spelled(booking.text, row, "Buchungstext")?));
        fields[columns::FIXED] = u8::from(self.batch.fixed).to_string();
        self.line(row, "Buchungstext", &fields.join(";"))?;
        let (order, side) = if debit { (0, "S") } else { (1, "H") };
        let positive = i64::try_from(size).expect("it has 12 digits at most");
        self.adder.add(order, side, Money::new(positive, self.batch.currency))
    }

    /// Ends the file: what was debited to the accounts (`S`) and credited (`H`).
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(mut self) -> Result<ControlTotals, Error> {
        self.out.flush()?;
        Ok(self.adder.totals())
    }

    fn check(&self, row: u64, booking: &Booking<'_>) -> Result<(), Error> {
        let refuse = |wrong: bool, field, reason: &str| {
            if wrong { Err(Error::field(row, field, reason)) } else { Ok(()) }
        };
        let (expected, found) = (self.batch.currency, booking.amount.currency);
        if expected != found {
            return Err(Error::Currency { row, field: "WKZ Umsatz", expected, found });
        }
        // Accounts of persons have one digit more than those of the general ledger.
        let beyond = 10_u32.pow(u32::from(self.batch.account_digits) + 1);
        let no_account = |account: u32| account == 0 || account >= beyond;
        let lawful = |c: char| c.is_ascii_alphanumeric() || "_$&%*+-/".contains(c);
        let document = booking.document;
        refuse(booking.amount.minor == 0, "Umsatz", "is zero")?;
        refuse(
            booking.amount.minor.unsigned_abs() > MOST_MINOR,
            "Umsatz",
            "has more than ten digits before the comma",
        )?;
        refuse(no_account(booking.account), "Konto", "has more digits than the header says, or is 0")?;
        refuse(no_account(booking.contra_account), "Gegenkonto", "has more digits than the header says, or is 0")?;
        refuse(booking.account == booking.contra_account, "Gegenkonto", "is the account itself")?;
        let within = (self.batch.from..=self.batch.to).contains(&booking.date);
        refuse(!within, "Belegdatum", "is not within the batch's days")?;
        refuse(
            document.len() > 36 || !document.chars().all(lawful),
            "Belegfeld 1",
            "has more than 36 letters, digits and `_$&%*+-/`",
        )
    }

    fn line(&mut self, row: u64, field: &'static str, line: &str) -> Result<(), Error> {
        self.out.write_all(&ansi::encoded(line, row, field)?)?;
        Ok(self.out.write_all(b"\r\n")?)
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn cut(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests;
