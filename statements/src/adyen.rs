//! Two of Adyen's reports: the settlement details (one row for each booking of a payout batch) and the accounting report of
//! a balance platform (one row for each change of a balance account). Neither has opening balances.

use std::io::Read;

use jiff::civil::Date;
use partita_provider::Currency;

use crate::accounts::Accounts;
use crate::amount::{POINT, currency, leading_date, signed, unsigned};
use crate::error::{Reason, Refusal};
use crate::output::{Draft, Output};
use crate::rows::{Header, Row, next_row};
use crate::statement::{Detail, filled};
use crate::text::Text;

/// Which of the reports a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    Settlement,
    Accounting,
}

/// Which report has this header, if one of them has.
pub(crate) fn recognise(line: &str) -> Option<(Report, char)> {
    let delimiter = if line.contains('\t') { '\t' } else { ',' };
    let has = |names: &[&str]| names.iter().all(|name| line.contains(name));
    if has(&["Psp Reference", "Net Credit (NC)", "Batch Number"]) {
        Some((Report::Settlement, delimiter))
    } else if has(&["BalanceAccount", "Transfer Id", "Balance (PC)"]) {
        Some((Report::Accounting, delimiter))
    } else {
        None
    }
}

/// Reads the rows to the end of the file: a statement for each merchant account, batch and currency, or for each balance
/// account and currency.
pub(crate) fn read<R: Read>(
    mut text: Text<R>,
    report: Report,
    delimiter: char,
    output: &mut Output<'_>,
) -> Result<Text<R>, Refusal> {
    let limit = output.limits().piece;
    let header = next_row(&mut text, delimiter, limit)?;
    let header = header.ok_or_else(|| Reason::Truncated("the header").at(text.line()))?;
    let columns = Header::try_new(&header.fields).map_err(|reason| reason.at(header.line))?;
    let columns = Columns { report, header: columns };
    let mut accounts = Accounts::new();
    while let Some(row) = next_row(&mut text, delimiter, limit)? {
        columns.header.fits(&row)?;
        let found = columns.booking(&row).map_err(|reason| reason.at(row.line))?;
        let Some(Booking { account, batch, currency, draft }) = found else { continue };
        let key = (account.clone(), batch.clone(), currency);
        let statement = accounts.get(key, &account, currency, output, row.line);
        let statement = statement.map_err(|reason| reason.at(row.line))?;
        statement.id = batch;
        output.entry(statement, draft)?;
    }
    accounts.close(output, text.line())?;
    Ok(text)
}

struct Columns {
    report: Report,
    header: Header,
}

struct Booking {
    account: String,
    batch: Option<String>,
    currency: Currency,
    draft: Draft,
}

impl Columns {
    fn booking(&self, row: &Row) -> Result<Option<Booking>, Reason> {
        match self.report {
            Report::Settlement => self.settlement(row).map(Some),
            Report::Accounting => self.accounting(row),
        }
    }

    fn text<'a>(&self, row: &'a Row, column: &str) -> Result<&'a str, Reason> {
        Ok(row.field(self.header.column(column)?))
    }

    fn day(&self, row: &Row, column: &str) -> Result<Date, Reason> {
        leading_date(self.text(row, column)?, "%Y-%m-%d")
    }

    fn filled(&self, row: &Row, column: &str) -> Option<String> {
        self.header.find(column).and_then(|column| filled(row.field(column)))
    }

    /// An amount that may be left out, minor units.
    fn amount(&self, row: &Row, column: &str, currency: Currency) -> Result<i64, Reason> {
        match self.text(row, column)? {
            "" => Ok(0),
            text => unsigned(text, POINT, currency),
        }
    }

    /// Net credit less net debit; what was taken in commission, markup, scheme fees and interchange is in it.
    fn settlement(&self, row: &Row) -> Result<Booking, Reason> {
        let currency = currency(self.text(row, "Net Currency")?)?;
        let credit = self.amount(row, "Net Credit (NC)", currency)?;
        let debit = self.amount(row, "Net Debit (NC)", currency)?;
        if credit != 0 && debit != 0 {
            return Err(Reason::Repeated("the net amount"));
        }
        let mut costs = 0_i64;
        for column in ["Commission (NC)", "Markup (NC)", "Scheme Fees (NC)", "Interchange (NC)"] {
            let cost = match self.filled(row, column) {
                Some(text) => signed(&text, POINT, currency)?,
                None => 0,
            };
            costs = costs.checked_add(cost).ok_or(Reason::Overflow)?;
        }
        let batch = self.filled(row, "Batch Number");
        if batch.is_none() {
            return Err(Reason::Missing("the batch (Batch Number)".to_owned()));
        }
        let amount = credit - debit;
        Ok(Booking {
            account: required(self.text(row, "Merchant Account")?, "the merchant account")?,
            batch,
            currency,
            draft: Draft {
                line: row.line,
                amount,
                fee: -costs,
                reversal: false,
                booked_on: self.day(row, "Creation Date")?,
                value_on: None,
                bank_reference: self.filled(row, "Modification Reference"),
                code: self.filled(row, "Type"),
                info: self.filled(row, "Payment Method"),
                details: vec![Detail {
                    amount: Some(amount),
                    end_to_end_id: self.filled(row, "Merchant Reference"),
                    bank_reference: self.filled(row, "Psp Reference"),
                    ..Detail::default()
                }],
            },
        })
    }

    /// What changes the balance; rows that only receive or reserve are no bookings.
    fn accounting(&self, row: &Row) -> Result<Option<Booking>, Reason> {
        let text = self.text(row, "Balance (PC)")?;
        if text.is_empty() {
            return Ok(None);
        }
        let currency = currency(self.text(row, "Payment Currency")?)?;
        let amount = signed(text, POINT, currency)?;
        if amount == 0 {
            return Ok(None);
        }
        let code = ["Category", "Type", "Status"].into_iter().filter_map(|column| self.filled(row, column));
        let value_on = self.filled(row, "Value Date").map(|text| leading_date(&text, "%Y-%m-%d")).transpose()?;
        Ok(Some(Booking {
            account: required(self.text(row, "BalanceAccount")?, "the balance account")?,
            batch: None,
            currency,
            draft: Draft {
                line: row.line,
                amount,
                fee: 0,
                reversal: false,
                booked_on: self.day(row, "Booking Date")?,
                value_on,
                bank_reference: self.filled(row, "Transaction Id"),
                code: filled(&code.collect::<Vec<_>>().join("/")),
                info: self.filled(row, "Description"),
                details: vec![Detail {
                    amount: Some(amount),
                    end_to_end_id: self.filled(row, "Reference"),
                    bank_reference: self.filled(row, "Psp Payment Psp Reference"),
                    counterparty: self.filled(row, "Counterparty Name"),
                    counterparty_account: self.filled(row, "Counterparty iban"),
                    remittance: self.filled(row, "Psp Payment Merchant Reference"),
                    ..Detail::default()
                }],
            },
        }))
    }
}

fn required(text: &str, what: &str) -> Result<String, Reason> {
    filled(text).ok_or_else(|| Reason::Missing(what.to_owned()))
}
