//! What is read of the document, by its path from the root.

use jiff::civil::Date;
use partita_provider::Currency;

use super::Document;
use super::drafts::{Amount, BalanceDraft, DetailDraft, EntryDraft, Side, Statement};
use crate::amount::{POINT, currency, date, leading_date, unsigned};
use crate::error::Reason;

const STATEMENT: &str = "/BkToCstmrStmt/Stmt";
const HEADER: &str = "/BkToCstmrStmt/GrpHdr/MsgPgntn/";
const BALANCE: &str = "/Bal";
const ENTRY: &str = "/Ntry";
const DETAIL: &str = "/NtryDtls/TxDtls";

impl Document<'_, '_> {
    /// An element begins.
    pub(super) fn enter(&mut self, line: u64) -> Result<(), Reason> {
        let Some(path) = self.path.strip_prefix(STATEMENT) else { return Ok(()) };
        if path.is_empty() {
            self.statement = Some(Statement::at(line));
            self.statements += 1;
            self.held = 0;
            return Ok(());
        }
        let Some(statement) = &mut self.statement else { return Ok(()) };
        match path {
            BALANCE => statement.balance = Some(BalanceDraft::default()),
            ENTRY => {
                statement.entry = Some(EntryDraft { line, ..EntryDraft::default() });
                self.held = 0;
            }
            _ => {
                if let Some(entry) = &mut statement.entry {
                    begin_detail(entry, path.strip_prefix(ENTRY), self.output.limits().details)?;
                }
            }
        }
        Ok(())
    }

    /// An element ends that has text.
    pub(super) fn value(&mut self, text: &str) -> Result<(), Reason> {
        if let Some(path) = self.path.strip_prefix(HEADER) {
            match path {
                "PgNb" => self.page.number = Some(number(text)?),
                "LastPgInd" => self.page.is_last = Some(flag(text)?),
                _ => {}
            }
            return Ok(());
        }
        let (Some(path), Some(statement)) = (self.path.strip_prefix(STATEMENT), &mut self.statement) else {
            return Ok(());
        };
        let amount = || amount(text, &self.currency);
        if let (Some(path), Some(balance)) = (path.strip_prefix(BALANCE), &mut statement.balance) {
            return balance_value(balance, path, text, amount);
        }
        if let (Some(path), Some(entry)) = (path.strip_prefix(ENTRY), &mut statement.entry) {
            return match (path.strip_prefix(DETAIL), &mut entry.detail) {
                (Some(path), Some(detail)) => detail_value(detail, path, text, amount),
                _ => entry_value(entry, path, text, amount),
            };
        }
        statement_value(statement, path, text)
    }

    /// An element ends.
    pub(super) fn complete(&mut self, line: u64) -> Result<(), Reason> {
        let Some(path) = self.path.strip_prefix(STATEMENT) else { return Ok(()) };
        if path.is_empty() {
            return self.statement.take().map_or(Ok(()), |statement| statement.end(self.page, self.output, line));
        }
        let Some(statement) = &mut self.statement else { return Ok(()) };
        match path {
            BALANCE => statement.end_balance(self.output),
            ENTRY => statement.end_entry(self.output),
            _ => {
                if let (Some(entry), Some(DETAIL)) = (&mut statement.entry, path.strip_prefix(ENTRY)) {
                    entry.details.extend(entry.detail.take());
                }
                Ok(())
            }
        }
    }
}

fn begin_detail(entry: &mut EntryDraft, path: Option<&str>, limit: usize) -> Result<(), Reason> {
    match path {
        Some(DETAIL) if entry.details.len() == limit => {
            let limit = u64::try_from(limit).unwrap_or(u64::MAX);
            Err(Reason::TooMany { what: "payments of one entry", limit })
        }
        Some(DETAIL) => {
            entry.detail = Some(DetailDraft::default());
            Ok(())
        }
        Some("/Chrgs" | "/NtryDtls/TxDtls/Chrgs") => {
            entry.has_charges = true;
            Ok(())
        }
        _ => Ok(()),
    }
}

fn statement_value(statement: &mut Statement, path: &str, text: &str) -> Result<(), Reason> {
    let owned = || text.to_owned();
    match path {
        "/Id" => statement.id.set("the statement's name (Id)", owned()),
        "/ElctrncSeqNb" => statement.electronic_number.set("the statement's number", number(text)?),
        "/LglSeqNb" => statement.legal_number.set("the statement's number", number(text)?),
        "/StmtPgntn/PgNb" => {
            statement.page.number = Some(number(text)?);
            Ok(())
        }
        "/StmtPgntn/LastPgInd" => {
            statement.page.is_last = Some(flag(text)?);
            Ok(())
        }
        "/Acct/Id/IBAN" | "/Acct/Id/Othr/Id" => statement.account.set("the account (Acct/Id)", owned()),
        "/Acct/Ccy" => statement.currency.set("the account's currency", currency(text)?),
        "/TxsSummry/TtlCdtNtries/NbOfNtries" => count(&mut statement.credits.count, text),
        "/TxsSummry/TtlDbtNtries/NbOfNtries" => count(&mut statement.debits.count, text),
        "/TxsSummry/TtlCdtNtries/Sum" => {
            statement.credits.sum = Some(owned());
            Ok(())
        }
        "/TxsSummry/TtlDbtNtries/Sum" => {
            statement.debits.sum = Some(owned());
            Ok(())
        }
        _ => Ok(()),
    }
}

fn balance_value(
    balance: &mut BalanceDraft,
    path: &str,
    text: &str,
    amount: impl Fn() -> Result<Amount, Reason>,
) -> Result<(), Reason> {
    match path {
        "/Tp/CdOrPrtry/Cd" | "/Tp/CdOrPrtry/Prtry" => balance.code.set("the kind of a balance", text.to_owned()),
        "/Amt" => balance.amount.set("the amount of a balance", amount()?),
        "/CdtDbtInd" => balance.side.set("the side of a balance", side(text)?),
        "/Dt/Dt" | "/Dt/DtTm" => balance.date.set("the date of a balance", day(text)?),
        _ => Ok(()),
    }
}

fn entry_value(
    entry: &mut EntryDraft,
    path: &str,
    text: &str,
    amount: impl Fn() -> Result<Amount, Reason>,
) -> Result<(), Reason> {
    let owned = || text.to_owned();
    match path {
        "/Amt" => entry.amount.set("the amount of an entry", amount()?),
        "/CdtDbtInd" => entry.side.set("the side of an entry", side(text)?),
        "/RvslInd" => entry.reversal.set("whether an entry is a reversal", flag(text)?),
        "/Sts" | "/Sts/Cd" | "/Sts/Prtry" => entry.status.set("the status of an entry", owned()),
        "/BookgDt/Dt" | "/BookgDt/DtTm" => entry.booked_on.set("the day of booking", day(text)?),
        "/ValDt/Dt" | "/ValDt/DtTm" => entry.value_on.set("the value date", day(text)?),
        "/AcctSvcrRef" => entry.bank_reference.set("the bank's reference of an entry", owned()),
        "/BkTxCd/Domn/Cd" | "/BkTxCd/Domn/Fmly/Cd" | "/BkTxCd/Domn/Fmly/SubFmlyCd" | "/BkTxCd/Prtry/Cd" => {
            entry.code.push(owned());
            Ok(())
        }
        "/AddtlNtryInf" => entry.info.set("additional information of an entry", owned()),
        "/NtryDtls/Btch/NbOfTxs" => entry.batch_size.set("the size of a batch", number(text)?),
        _ => Ok(()),
    }
}

fn detail_value(
    detail: &mut DetailDraft,
    path: &str,
    text: &str,
    amount: impl Fn() -> Result<Amount, Reason>,
) -> Result<(), Reason> {
    let owned = || text.to_owned();
    match path {
        "/Amt" => detail.amount.set("the amount of a payment", amount()?),
        "/AmtDtls/TxAmt/Amt" => detail.transaction_amount.set("the amount of a payment", amount()?),
        "/CdtDbtInd" => detail.side.set("the side of a payment", side(text)?),
        "/Refs/EndToEndId" => detail.end_to_end_id.set("an end-to-end reference", owned()),
        "/Refs/AcctSvcrRef" => detail.bank_reference.set("the bank's reference of a payment", owned()),
        "/RltdPties/Dbtr/Nm" | "/RltdPties/Dbtr/Pty/Nm" => detail.debtor.set("a debtor's name", owned()),
        "/RltdPties/Cdtr/Nm" | "/RltdPties/Cdtr/Pty/Nm" => detail.creditor.set("a creditor's name", owned()),
        "/RltdPties/DbtrAcct/Id/IBAN" | "/RltdPties/DbtrAcct/Id/Othr/Id" => {
            detail.debtor_account.set("a debtor's account", owned())
        }
        "/RltdPties/CdtrAcct/Id/IBAN" | "/RltdPties/CdtrAcct/Id/Othr/Id" => {
            detail.creditor_account.set("a creditor's account", owned())
        }
        "/RmtInf/Ustrd" | "/RmtInf/Strd/CdtrRefInf/Ref" => {
            detail.remittance.push(owned());
            Ok(())
        }
        "/RtrInf/Rsn/Cd" | "/RtrInf/Rsn/Prtry" => detail.return_reason.set("the reason of a return", owned()),
        _ => Ok(()),
    }
}

fn amount(text: &str, code: &str) -> Result<Amount, Reason> {
    let currency = currency(code)?;
    Ok(Amount { minor: minor(text, currency)?, currency })
}

/// Minor units of an amount as XML has it.
pub(super) fn minor(text: &str, currency: Currency) -> Result<i64, Reason> {
    unsigned(text, POINT, currency)
}

fn side(text: &str) -> Result<Side, Reason> {
    match text {
        "CRDT" => Ok(Side::Credit),
        "DBIT" => Ok(Side::Debit),
        _ => Err(Reason::unreadable("CRDT or DBIT", text)),
    }
}

fn flag(text: &str) -> Result<bool, Reason> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Reason::unreadable("true or false", text)),
    }
}

/// A date, or the day of a timestamp in its own zone.
fn day(text: &str) -> Result<Date, Reason> {
    let text = text.trim_end_matches('Z');
    // A date may have a zone of its own, as 2026-11-27+01:00.
    let day = if text.len() > 10 && !text.contains('T') { text.get(..10).unwrap_or(text) } else { text };
    if day.contains('T') { leading_date(day, "%Y-%m-%d") } else { date(day, "%Y-%m-%d") }
}

fn number(text: &str) -> Result<u64, Reason> {
    text.parse().map_err(|_| Reason::unreadable("a number", text))
}

fn count(into: &mut Option<i64>, text: &str) -> Result<(), Reason> {
    *into = Some(text.parse().map_err(|_| Reason::unreadable("a number", text))?);
    Ok(())
}
