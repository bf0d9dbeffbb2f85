//! A statement as a bank sends it: ISO 20022 `camt.053.001.08`, for the books of those who read nothing else.
//!
//! The closing balance stands before the entries, so it has to be known first; it is compared with opening and entries when
//! the file is finished.

use std::io::Write;

use jiff::Timestamp;
use jiff::civil::Date;
use partita_provider::{Currency, Money};

use crate::amount::{plain, plain_money};
use crate::totals::Adder;
use crate::xml::Xml;
use crate::{ControlTotals, Error};

const NAMESPACE: &str = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08";
/// The element of amounts, of which the schema has 18 digits.
const ENTRIES: &str = "Amt";

/// What the statement says of itself and of its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The message's id, up to 35 characters.
    pub message: String,
    /// The statement's id, up to 35 characters.
    pub id: String,
    /// Its number within the account, from 1.
    pub number: u64,
    /// The time in the header: give the position's, not the clock's, and a run again gives the same bytes.
    pub made_at: Timestamp,
    /// First day.
    pub from: Date,
    /// Last day.
    pub to: Date,
    /// The account.
    pub account: Account,
    /// The balance as the first day began; above zero is owed to the account's owner.
    pub opening: Money,
    /// The balance as the last day ended.
    pub closing: Money,
}

/// The account that is stated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// An id of ours, up to 34 characters: these accounts are no bank's, so they have no IBAN.
    pub id: String,
    /// Whose it is, up to 140 characters.
    pub owner: String,
    /// Who keeps it, up to 140 characters.
    pub servicer: String,
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The entry's id within the statement, up to 35 characters.
    pub reference: &'a str,
    /// Above zero is a credit. Zero is written as a credit of nothing.
    pub amount: Money,
    /// The day it was booked.
    pub booked_on: Date,
    /// The day it counts from.
    pub value_on: Date,
    /// What kind of entry it is, a code of ours, up to 35 characters.
    pub kind: &'a str,
    /// The id that goes from end to end, up to 35 characters.
    pub end_to_end: Option<&'a str>,
    /// What it was for, up to 140 characters.
    pub remittance: Option<&'a str>,
}

/// Writes a statement.
pub struct Camt053<W: Write> {
    xml: Xml<W>,
    statement: Statement,
    adder: Adder,
    balance: i128,
}

impl<W: Write> Camt053<W> {
    /// Writes what stands before the entries.
    ///
    /// # Errors
    /// [`Error::Field`], [`Error::Character`] and [`Error::Currency`] with row 0, [`Error::Io`].
    pub fn try_new(out: W, statement: Statement) -> Result<Self, Error> {
        let (expected, found) = (statement.opening.currency, statement.closing.currency);
        if expected != found {
            return Err(Error::Currency { row: 0, field: "Bal", expected, found });
        }
        if statement.from > statement.to {
            return Err(Error::field(0, "FrToDt", "ends before it begins"));
        }
        let mut xml = Xml::start(out)?;
        xml.open("Document", &[("xmlns", NAMESPACE)])?;
        xml.open("BkToCstmrStmt", &[])?;
        let made_at = instant(statement.made_at);
        xml.inside("GrpHdr", |xml| {
            xml.text("MsgId", &statement.message, 35)?;
            xml.plain("CreDtTm", &made_at)
        })?;
        xml.open("Stmt", &[])?;
        xml.text("Id", &statement.id, 35)?;
        xml.plain("ElctrncSeqNb", &statement.number.to_string())?;
        xml.plain("CreDtTm", &made_at)?;
        xml.inside("FrToDt", |xml| {
            xml.plain("FrDtTm", &format!("{}T00:00:00", statement.from))?;
            xml.plain("ToDtTm", &format!("{}T23:59:59", statement.to))
        })?;
        xml.inside("Acct", |xml| write_account(xml, &statement.account, statement.opening.currency))?;
        write_balance(&mut xml, "OPBD", statement.opening, statement.from)?;
        write_balance(&mut xml, "CLBD", statement.closing, statement.to)?;
        let balance = i128::from(statement.opening.minor);
        Ok(Self { xml, statement, adder: Adder::default(), balance })
    }

    /// Writes one entry.
    ///
    /// # Errors
    /// [`Error::Field`], [`Error::Character`], [`Error::Currency`], [`Error::Overflow`], [`Error::Io`].
    pub fn entry(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        let row = self.adder.next_row();
        let (expected, found) = (self.statement.opening.currency, entry.amount.currency);
        if expected != found {
            return Err(Error::Currency { row, field: ENTRIES, expected, found });
        }
        if !(self.statement.from..=self.statement.to).contains(&entry.booked_on) {
            return Err(Error::field(row, "BookgDt", "is not within the statement's days"));
        }
        let credit = entry.amount.minor >= 0;
        self.adder.add(usize::from(!credit), if credit { "CRDT" } else { "DBIT" }, entry.amount)?;
        self.balance += i128::from(entry.amount.minor);
        self.xml.row = row;
        self.xml.inside("Ntry", |xml| write_entry(xml, entry))
    }

    /// Ends the file, if opening and entries make the closing: credits (`CRDT`) and debits (`DBIT`, below zero).
    ///
    /// # Errors
    /// [`Error::DoesNotClose`], [`Error::Io`].
    pub fn finish(mut self) -> Result<ControlTotals, Error> {
        let closing = self.statement.closing;
        if self.balance != i128::from(closing.minor) {
            let computed = plain(self.balance, closing.currency);
            return Err(Error::DoesNotClose { computed, stated: plain_money(closing) });
        }
        for name in ["Stmt", "BkToCstmrStmt", "Document"] {
            self.xml.close(name)?;
        }
        self.xml.finish()?;
        Ok(self.adder.totals())
    }
}

fn write_account<W: Write>(xml: &mut Xml<W>, account: &Account, currency: Currency) -> Result<(), Error> {
    xml.inside("Id", |xml| xml.inside("Othr", |xml| xml.text("Id", &account.id, 34)))?;
    xml.plain("Ccy", currency.code())?;
    xml.inside("Ownr", |xml| xml.text("Nm", &account.owner, 140))?;
    xml.inside("Svcr", |xml| xml.inside("FinInstnId", |xml| xml.text("Nm", &account.servicer, 140)))
}

fn write_balance<W: Write>(xml: &mut Xml<W>, code: &str, balance: Money, on: Date) -> Result<(), Error> {
    xml.inside("Bal", |xml| {
        xml.inside("Tp", |xml| xml.inside("CdOrPrtry", |xml| xml.plain("Cd", code)))?;
        write_amount(xml, balance)?;
        xml.inside("Dt", |xml| xml.plain("Dt", &on.to_string()))
    })
}

/// The amount without its sign, and the side that says it.
fn write_amount<W: Write>(xml: &mut Xml<W>, amount: Money) -> Result<(), Error> {
    let size = plain(i128::from(amount.minor.unsigned_abs()), amount.currency);
    if size.chars().filter(char::is_ascii_digit).count() > 18 {
        return Err(Error::field(xml.row, ENTRIES, "has more than 18 digits"));
    }
    xml.text_with(ENTRIES, &[("Ccy", amount.currency.code())], &size, usize::MAX)?;
    xml.plain("CdtDbtInd", if amount.minor < 0 { "DBIT" } else { "CRDT" })
}

fn write_entry<W: Write>(xml: &mut Xml<W>, entry: &Entry<'_>) -> Result<(), Error> {
    xml.text("NtryRef", entry.reference, 35)?;
    write_amount(xml, entry.amount)?;
    xml.inside("Sts", |xml| xml.plain("Cd", "BOOK"))?;
    xml.inside("BookgDt", |xml| xml.plain("Dt", &entry.booked_on.to_string()))?;
    xml.inside("ValDt", |xml| xml.plain("Dt", &entry.value_on.to_string()))?;
    xml.inside("BkTxCd", |xml| xml.inside("Prtry", |xml| xml.text("Cd", entry.kind, 35)))?;
    if entry.end_to_end.is_none() && entry.remittance.is_none() {
        return Ok(());
    }
    xml.inside("NtryDtls", |xml| {
        xml.inside("TxDtls", |xml| {
            if let Some(end_to_end) = entry.end_to_end {
                xml.inside("Refs", |xml| xml.text("EndToEndId", end_to_end, 35))?;
            }
            // EntryTransaction10 has its amount between references and remittance; it is the entry's here.
            write_amount(xml, entry.amount)?;
            if let Some(remittance) = entry.remittance {
                xml.inside("RmtInf", |xml| xml.text("Ustrd", remittance, 140))?;
            }
            Ok(())
        })
    })
}

/// An instant in UTC to the second.
fn instant(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests;
