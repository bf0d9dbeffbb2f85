//! A seller's statement for a period, ready for print: HTML that prints on A4 and reads on a telephone, and PDF/A.
//!
//! Opening and lines have to make the closing, in one currency; a statement that does not is not written. Both formats need
//! all lines at once, for sums by kind stand first and pages are counted: about 200 bytes a line.

mod glyphs;
mod html;
mod paper;
mod pdf;
mod words;

use jiff::Timestamp;
use jiff::civil::Date;
use partita_provider::Money;

use crate::totals::Adder;
use crate::{ControlTotals, Error, Language, amount};

/// What a PNG begins with.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const LONGEST_LOGO: usize = 200_000;

/// Everything on a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The language it is in.
    pub language: Language,
    /// Who sends it.
    pub platform: Party,
    /// A PNG for its head, up to 200 KB.
    pub logo_png: Option<Vec<u8>>,
    /// Whose account it is.
    pub seller: Party,
    /// Our id of the seller.
    pub seller_id: String,
    /// First day.
    pub from: Date,
    /// Last day.
    pub to: Date,
    /// The time zone that days are cut in, a name of the IANA database.
    pub timezone: String,
    /// The ledger's position that was read, as text.
    pub position: String,
    /// When that position was the last: the document's time.
    pub position_at: Timestamp,
    /// The balance as the first day began; above zero is owed to the seller.
    pub opening: Money,
    /// The balance as the last day ended.
    pub closing: Money,
    /// What happened, in order.
    pub lines: Vec<Line>,
    /// What of the closing is not paid out yet, and why, in the statement's language.
    pub held: Vec<Held>,
}

/// A name and the lines of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// The name.
    pub name: String,
    /// Street, city, country; as they stand on a letter.
    pub address: Vec<String>,
}

/// One movement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The day.
    pub date: Date,
    /// What kind of movement it is.
    pub kind: LineKind,
    /// Our id, or the order's.
    pub reference: String,
    /// What it was for.
    pub text: Option<String>,
    /// Above zero is for the seller.
    pub amount: Money,
}

/// A part of the closing that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Why.
    pub reason: String,
    /// How much.
    pub amount: Money,
}

/// Kinds of movements, in the order of the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LineKind {
    /// What buyers paid.
    Sale,
    /// What went back to buyers.
    Refund,
    /// What buyers or their banks took back, or gave again.
    Dispute,
    /// What the platform keeps.
    Commission,
    /// Value added tax on what it keeps.
    Vat,
    /// Other fees.
    Fee,
    /// Put into a reserve, or released.
    Reserve,
    /// Corrections by hand.
    Adjustment,
    /// Debts taken, or made.
    Debt,
    /// Paid out to the seller's bank.
    Payout,
}

impl LineKind {
    const ALL: [Self; 10] = [
        Self::Sale,
        Self::Refund,
        Self::Dispute,
        Self::Commission,
        Self::Vat,
        Self::Fee,
        Self::Reserve,
        Self::Adjustment,
        Self::Debt,
        Self::Payout,
    ];
}

/// A statement that closes, with its sums.
struct Checked<'a> {
    statement: &'a Statement,
    /// How many lines a kind has and what they come to, in minor units; kinds without lines are not there.
    summary: Vec<(LineKind, u64, i128)>,
    /// The balance after each line, in minor units.
    balances: Vec<i128>,
    totals: ControlTotals,
}

impl Statement {
    /// What a file of it is called: `statement-2026-07-01-2026-07-31-acct_1.pdf` for `pdf`.
    pub fn file_name(&self, extension: &str) -> String {
        format!("statement-{}-{}-{}.{extension}", self.from, self.to, self.seller_id)
    }

    fn check(&self) -> Result<Checked<'_>, Error> {
        let currency = self.opening.currency;
        let same = |row: u64, field: &'static str, found: Money| {
            let found = found.currency;
            if found == currency { Ok(()) } else { Err(Error::Currency { row, field, expected: currency, found }) }
        };
        same(0, "closing", self.closing)?;
        if self.from > self.to {
            return Err(Error::field(0, "to", "is before the first day"));
        }
        let no_logo = |png: &Vec<u8>| png.len() > LONGEST_LOGO || !png.starts_with(PNG);
        if self.logo_png.as_ref().is_some_and(no_logo) {
            return Err(Error::field(0, "logo", "is not a PNG of up to 200 KB"));
        }
        self.check_texts()?;
        let mut adder = Adder::default();
        let mut balance = i128::from(self.opening.minor);
        let mut balances = Vec::with_capacity(self.lines.len());
        for line in &self.lines {
            let row = adder.next_row();
            same(row, "amount", line.amount)?;
            if !(self.from..=self.to).contains(&line.date) {
                return Err(Error::field(row, "date", "is not within the statement's days"));
            }
            adder.add(0, "amount", line.amount)?;
            balance += i128::from(line.amount.minor);
            balances.push(balance);
        }
        if balance != i128::from(self.closing.minor) {
            let computed = amount::plain(balance, currency);
            return Err(Error::DoesNotClose { computed, stated: amount::plain_money(self.closing) });
        }
        for held in &self.held {
            same(0, "held", held.amount)?;
        }
        Ok(Checked { statement: self, summary: self.summary(), balances, totals: adder.totals() })
    }

    /// Texts that a page has room for.
    fn check_texts(&self) -> Result<(), Error> {
        for party in [&self.platform, &self.seller] {
            fits(0, "name", &party.name, 300)?;
            if party.address.len() > 8 {
                return Err(Error::field(0, "address", "has more than 8 lines"));
            }
            party.address.iter().try_for_each(|line| fits(0, "address", line, 100))?;
        }
        fits(0, "seller_id", &self.seller_id, 60)?;
        fits(0, "timezone", &self.timezone, 60)?;
        fits(0, "position", &self.position, 200)?;
        self.held.iter().try_for_each(|held| fits(0, "held", &held.reason, 300))?;
        for (line, row) in self.lines.iter().zip(1..) {
            fits(row, "reference", &line.reference, 200)?;
            line.text.as_ref().map_or(Ok(()), |text| fits(row, "text", text, 1_000))?;
        }
        Ok(())
    }

    fn summary(&self) -> Vec<(LineKind, u64, i128)> {
        let of = |kind| {
            let lines = self.lines.iter().filter(move |line| line.kind == kind);
            lines.fold((kind, 0, 0), |(kind, count, sum), line| (kind, count + 1, sum + i128::from(line.amount.minor)))
        };
        LineKind::ALL.into_iter().map(of).filter(|(_, count, _)| *count > 0).collect()
    }
}

fn fits(row: u64, field: &'static str, text: &str, most: usize) -> Result<(), Error> {
    let length = text.chars().count();
    if length == 0 || length > most {
        return Err(Error::field(row, field, format!("has {length} characters, 1 to {most} have room")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
