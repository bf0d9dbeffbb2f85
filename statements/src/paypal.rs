//! PayPal's settlement report (STL), version 9: rows that say in their first column what they are.
//!
//! ```text
//! RH  report header     FH  file header
//! SH  section header    CH  column header   SB  section body   SF  section footer, one per currency   SC  count of SB
//! RF  report footer, one per currency       RC  count of SB in the report
//! FF  count of SB in the file
//! ```
//!
//! Amounts are integers of hundredths in every currency, their sign is in a column of its own. A footer has the totals of
//! gross amounts and of fees and the balances, which have to follow from the rows.

use std::collections::BTreeMap;
use std::io::Read;

use partita_provider::Currency;

use crate::accounts::Accounts;
use crate::amount::{currency, hundredths, leading_date};
use crate::error::{Reason, Refusal, quote};
use crate::output::{Draft, Output};
use crate::rows::{Header, Row, next_row};
use crate::statement::{Balance, Detail, filled};
use crate::text::Text;

/// Whether the first line of a file is one of this report.
pub(crate) fn recognise(line: &str) -> Option<char> {
    let rest = ["\"RH\"", "RH", "\"FH\"", "FH"].into_iter().find_map(|name| line.strip_prefix(name))?;
    rest.chars().next().filter(|delimiter| matches!(delimiter, ',' | '\t'))
}

/// Reads the rows to the end of the file: a statement for each section and currency.
pub(crate) fn read<R: Read>(mut text: Text<R>, delimiter: char, output: &mut Output<'_>) -> Result<Text<R>, Refusal> {
    let limit = output.limits().piece;
    let mut report = Report::new(output);
    while let Some(row) = next_row(&mut text, delimiter, limit)? {
        report.take(&row).map_err(|reason| reason.at(row.line))?;
    }
    match report.stage {
        Stage::Ended => Ok(text),
        _ => Err(Reason::Truncated("the end of the file (row FF)").at(text.line())),
    }
}

/// What came last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begun,
    ReportHeader,
    File,
    Section,
    Body,
    Footer,
    Report,
    Ended,
}

/// Totals of one currency, minor units.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Totals {
    gross_credits: i64,
    gross_debits: i64,
    fee_credits: i64,
    fee_debits: i64,
}

struct Report<'a, 'b> {
    output: &'a mut Output<'b>,
    stage: Stage,
    /// The report is in this file alone, so that its totals can be checked.
    is_whole: bool,
    account: String,
    columns: Option<Columns>,
    statements: Accounts<Currency>,
    section: BTreeMap<Currency, Totals>,
    all: BTreeMap<Currency, Totals>,
    rows_of_section: i64,
    rows: i64,
}

impl<'a, 'b> Report<'a, 'b> {
    fn new(output: &'a mut Output<'b>) -> Self {
        Self {
            output,
            stage: Stage::Begun,
            is_whole: false,
            account: String::new(),
            columns: None,
            statements: Accounts::new(),
            section: BTreeMap::new(),
            all: BTreeMap::new(),
            rows_of_section: 0,
            rows: 0,
        }
    }

    fn take(&mut self, row: &Row) -> Result<(), Reason> {
        use Stage::{Begun, Body, Ended, File, Footer, ReportHeader, Section};
        let stage = match (row.field(0), self.stage) {
            ("RH", Begun) => ReportHeader,
            ("FH", Begun | ReportHeader) => {
                self.is_whole = self.stage == ReportHeader && row.field(1).trim_start_matches('0') == "1";
                File
            }
            ("SH", File) => {
                let account = filled(row.field(3));
                self.account = account.ok_or_else(|| Reason::Missing("the account (row SH)".to_owned()))?;
                self.rows_of_section = 0;
                Section
            }
            ("CH", Section) => {
                self.columns = Some(Columns::try_new(&row.fields)?);
                Body
            }
            ("SB", Body) => {
                self.body(row)?;
                Body
            }
            ("SF", Section | Body | Footer) => {
                self.footer(row)?;
                Footer
            }
            ("SC", Section | Body | Footer) => {
                count(row, "the number of rows of the section", self.rows_of_section)?;
                self.end_section()?;
                File
            }
            ("RF", File | Stage::Report) => {
                self.report_footer(row)?;
                Stage::Report
            }
            ("RC", File | Stage::Report) => {
                if self.is_whole {
                    count(row, "the number of rows of the report", self.rows)?;
                }
                Stage::Report
            }
            ("FF", File | Stage::Report) => {
                count(row, "the number of rows of the file", self.rows)?;
                Ended
            }
            (name, _) => return Err(Reason::Unexpected(quote(name))),
        };
        self.stage = stage;
        Ok(())
    }

    fn body(&mut self, row: &Row) -> Result<(), Reason> {
        let Some(columns) = &self.columns else { return Err(Reason::Missing("the columns (row CH)".to_owned())) };
        columns.header.fits(row).map_err(|refusal| refusal.reason)?;
        let currency = currency(row.field(columns.currency))?;
        let gross = with_side(row.field(columns.side), row.field(columns.gross), currency)?;
        let fee = columns.fee(row, currency)?;
        let amount = gross.checked_add(fee).ok_or(Reason::Overflow)?;
        let text = |column: usize| filled(row.field(column));
        let day = |column: usize| leading_date(row.field(column), "%Y/%m/%d");
        let draft = Draft {
            line: row.line,
            amount,
            fee,
            reversal: false,
            booked_on: day(columns.completed)?,
            value_on: None,
            bank_reference: text(columns.transaction),
            code: text(columns.code),
            info: None,
            details: vec![Detail {
                amount: Some(amount),
                end_to_end_id: text(columns.invoice),
                bank_reference: text(columns.reference),
                ..Detail::default()
            }],
        };
        let statement = self.statements.get(currency, &self.account, currency, self.output, row.line)?;
        self.output.entry(statement, draft).map_err(|refusal| refusal.reason)?;
        for totals in [&mut self.section, &mut self.all] {
            totals.entry(currency).or_default().add(gross, fee)?;
        }
        self.rows_of_section += 1;
        self.rows += 1;
        Ok(())
    }

    fn footer(&mut self, row: &Row) -> Result<(), Reason> {
        let (currency, stated) = stated_totals(row)?;
        stated.check(self.section.remove(&currency).unwrap_or_default())?;
        let balance = |column: usize| {
            let amount = with_side(row.field(column), row.field(column + 1), currency)?;
            Ok::<_, Reason>(Some(Balance { amount, date: None, intermediate: false }))
        };
        let (opening, closing) = (balance(6)?, balance(8)?);
        self.statements.get(currency, &self.account, currency, self.output, row.line)?;
        let Some(mut statement) = self.statements.remove(&currency) else { return Ok(()) };
        (statement.opening, statement.closing) = (opening, closing);
        self.output.close(statement, row.line).map_err(|refusal| refusal.reason)
    }

    fn end_section(&self) -> Result<(), Reason> {
        match self.section.keys().next() {
            Some(currency) => Err(Reason::Missing(format!("the footer of {currency} (row SF)"))),
            None => Ok(()),
        }
    }

    fn report_footer(&mut self, row: &Row) -> Result<(), Reason> {
        let (currency, stated) = stated_totals(row)?;
        if self.is_whole { stated.check(self.all.remove(&currency).unwrap_or_default()) } else { Ok(()) }
    }
}

/// A footer's currency and totals.
fn stated_totals(row: &Row) -> Result<(Currency, Totals), Reason> {
    const FIELDS: usize = 10;
    if row.fields.len() < FIELDS {
        return Err(Reason::Columns { expected: FIELDS, found: row.fields.len() });
    }
    let currency = currency(row.field(1))?;
    let total = |column: usize| hundredths(row.field(column), currency);
    let totals =
        Totals { gross_credits: total(2)?, gross_debits: total(3)?, fee_credits: total(4)?, fee_debits: total(5)? };
    Ok((currency, totals))
}

impl Totals {
    fn add(&mut self, gross: i64, fee: i64) -> Result<(), Reason> {
        let gross_total = if gross < 0 { &mut self.gross_debits } else { &mut self.gross_credits };
        let fee_total = if fee < 0 { &mut self.fee_debits } else { &mut self.fee_credits };
        for (total, amount) in [(gross_total, gross), (fee_total, fee)] {
            *total = amount.checked_abs().and_then(|amount| total.checked_add(amount)).ok_or(Reason::Overflow)?;
        }
        Ok(())
    }

    /// Refuses totals that are stated otherwise than the rows have them.
    fn check(self, computed: Self) -> Result<(), Reason> {
        let pairs = [
            ("the total of credits", self.gross_credits, computed.gross_credits),
            ("the total of debits", self.gross_debits, computed.gross_debits),
            ("the total of fees given back", self.fee_credits, computed.fee_credits),
            ("the total of fees", self.fee_debits, computed.fee_debits),
        ];
        match pairs.into_iter().find(|(_, stated, computed)| stated != computed) {
            Some((what, stated, computed)) => Err(Reason::Total { what, computed, stated }),
            None => Ok(()),
        }
    }
}

fn count(row: &Row, what: &'static str, computed: i64) -> Result<(), Reason> {
    let stated = row.field(1).parse().map_err(|_| Reason::unreadable("a number", row.field(1)))?;
    if computed == stated { Ok(()) } else { Err(Reason::Total { what, computed, stated }) }
}

fn with_side(side: &str, amount: &str, currency: Currency) -> Result<i64, Reason> {
    let amount = hundredths(amount, currency)?;
    match side {
        "CR" => Ok(amount),
        "DR" => Ok(-amount),
        side => Err(Reason::unreadable("CR or DR", side)),
    }
}

/// Where the columns stand that are read.
struct Columns {
    header: Header,
    transaction: usize,
    invoice: usize,
    reference: usize,
    code: usize,
    completed: usize,
    side: usize,
    gross: usize,
    currency: usize,
    fee_side: usize,
    fee: usize,
    fee_currency: usize,
}

impl Columns {
    fn try_new(names: &[String]) -> Result<Self, Reason> {
        let header = Header::try_new(names)?;
        Ok(Self {
            transaction: header.column("Transaction ID")?,
            invoice: header.column("Invoice ID")?,
            reference: header.column("PayPal Reference ID")?,
            code: header.column("Transaction Event Code")?,
            completed: header.column("Transaction Completion Date")?,
            side: header.column("Transaction Debit or Credit")?,
            gross: header.column("Gross Transaction Amount")?,
            currency: header.column("Gross Transaction Currency")?,
            fee_side: header.column("Fee Debit or Credit")?,
            fee: header.column("Fee Amount")?,
            fee_currency: header.column("Fee Currency")?,
            header,
        })
    }

    /// The fee as it acts on the balance; a row may have none.
    fn fee(&self, row: &Row, gross_currency: Currency) -> Result<i64, Reason> {
        if row.field(self.fee).is_empty() {
            return Ok(0);
        }
        let found = currency(row.field(self.fee_currency))?;
        if found != gross_currency {
            return Err(Reason::Currency { expected: gross_currency, found });
        }
        with_side(row.field(self.fee_side), row.field(self.fee), found)
    }
}
