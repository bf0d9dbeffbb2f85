//! A file that a bank takes payouts by: customer credit transfer initiation of ISO 20022, `pain.001.001.09`. Pure.
//!
//! What the schema leaves open follows the rules of SEPA for euros (EPC132-08): the service level, shared charges, characters
//! that every bank takes. Other currencies have neither service level nor those charges.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::Date;
use partita_provider::{Currency, Money};

use crate::bank_account::BankAccount;

const NAMESPACE: &str = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09";

/// One payout.
#[derive(Debug)]
pub(super) struct Order {
    /// What the bank's statement will name it by.
    pub(super) end_to_end: String,
    /// Minor units.
    pub(super) amount: i64,
    /// Where it goes.
    pub(super) to: BankAccount,
}

/// What the file asks of the bank.
#[derive(Debug)]
pub(super) struct Instruction<'a> {
    /// The file's name for the bank; no two files have the same.
    pub(super) message: String,
    pub(super) made_at: Timestamp,
    pub(super) execute_on: Date,
    pub(super) currency: Currency,
    /// Where it is paid from.
    pub(super) from: &'a BankAccount,
    pub(super) orders: &'a [Order],
}

/// An id of ours in the characters that every bank takes: these have no underscore.
pub(super) fn bank_id(id: &str) -> String {
    id.replace('_', "-")
}

/// An amount as the schema writes it: a decimal point, and as many decimals as the currency has.
fn decimal(money: Money) -> String {
    let digits = usize::try_from(money.currency.exponent()).expect("at most four");
    if digits == 0 {
        return money.minor.to_string();
    }
    let text = format!("{:0width$}", money.minor, width = digits + 1);
    let (whole, part) = text.split_at(text.len() - digits);
    format!("{whole}.{part}")
}

/// Writes elements inside one another.
#[derive(Default)]
struct Writer {
    text: String,
    depth: usize,
}

impl Writer {
    fn line(&mut self, line: &str) {
        let indent = 2 * self.depth;
        writeln!(self.text, "{:indent$}{line}", "").expect("a string takes everything");
    }

    /// An element with a text: an id, a number, or what [`BankAccount`] holds, none of which has a character of markup.
    fn leaf(&mut self, name: &str, text: &str) {
        self.line(&format!("<{name}>{text}</{name}>"));
    }

    fn inside(&mut self, name: &str, write: impl FnOnce(&mut Self)) {
        self.line(&format!("<{name}>"));
        self.depth += 1;
        write(self);
        self.depth -= 1;
        self.line(&format!("</{name}>"));
    }

    /// Leaves one inside the other: the outermost name first.
    fn nested(&mut self, names: &[&str], text: &str) {
        match names {
            [last] => self.leaf(last, text),
            [first, rest @ ..] => self.inside(first, |w| w.nested(rest, text)),
            [] => {}
        }
    }
}

/// The file's text. The sum of the orders is given to check against what they come to.
pub(super) fn write(instruction: &Instruction<'_>, sum: i64) -> String {
    let Instruction { message, made_at, execute_on, currency, from, orders } = instruction;
    let (count, sum) = (orders.len().to_string(), decimal(Money::new(sum, *currency)));
    let is_sepa = currency.code() == "EUR";
    let mut w = Writer::default();
    w.line("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    w.line(&format!("<Document xmlns=\"{NAMESPACE}\">"));
    w.depth = 1;
    w.inside("CstmrCdtTrfInitn", |w| {
        w.inside("GrpHdr", |w| {
            w.leaf("MsgId", message);
            w.leaf("CreDtTm", &made_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
            w.leaf("NbOfTxs", &count);
            w.leaf("CtrlSum", &sum);
            w.nested(&["InitgPty", "Nm"], from.holder());
        });
        w.inside("PmtInf", |w| {
            w.leaf("PmtInfId", &format!("{message}-1"));
            w.leaf("PmtMtd", "TRF");
            w.leaf("NbOfTxs", &count);
            w.leaf("CtrlSum", &sum);
            if is_sepa {
                w.nested(&["PmtTpInf", "SvcLvl", "Cd"], "SEPA");
            }
            w.nested(&["ReqdExctnDt", "Dt"], &execute_on.to_string());
            w.nested(&["Dbtr", "Nm"], from.holder());
            w.inside("DbtrAcct", |w| {
                w.nested(&["Id", "IBAN"], from.iban());
                w.leaf("Ccy", currency.code());
            });
            match from.bic() {
                Some(bic) => w.nested(&["DbtrAgt", "FinInstnId", "BICFI"], bic),
                None => w.nested(&["DbtrAgt", "FinInstnId", "Othr", "Id"], "NOTPROVIDED"),
            }
            w.leaf("ChrgBr", if is_sepa { "SLEV" } else { "SHAR" });
            for order in *orders {
                w.inside("CdtTrfTxInf", |w| write_order(w, order, *currency));
            }
        });
    });
    w.depth = 0;
    w.line("</Document>");
    w.text
}

fn write_order(w: &mut Writer, order: &Order, currency: Currency) {
    let Order { end_to_end, amount, to } = order;
    w.nested(&["PmtId", "EndToEndId"], end_to_end);
    w.inside("Amt", |w| {
        let amount = decimal(Money::new(*amount, currency));
        w.line(&format!("<InstdAmt Ccy=\"{}\">{amount}</InstdAmt>", currency.code()));
    });
    if let Some(bic) = to.bic() {
        w.nested(&["CdtrAgt", "FinInstnId", "BICFI"], bic);
    }
    w.nested(&["Cdtr", "Nm"], to.holder());
    w.nested(&["CdtrAcct", "Id", "IBAN"], to.iban());
    w.nested(&["RmtInf", "Ustrd"], end_to_end);
}

#[cfg(test)]
mod tests;
