//! The one form that every file is read into.

use std::fmt;

use jiff::civil::Date;
use partita_provider::{Currency, Money};
use sha2::{Digest, Sha256};

/// A SHA-256, shown as hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a file consists of, in the order in which it is known: the entries of a statement, then the statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// An entry of the statement that [`Entry::statement`] names.
    Entry(Box<Entry>),
    /// A statement that is complete and whose totals are right.
    Statement(Box<Statement>),
}

/// One account, currency and period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Which of the file's statements, from 0.
    pub number: u32,
    /// The line it begins at, from 1.
    pub line: u64,
    /// The account as the file names it: an IBAN, a bank's own number, a merchant account.
    pub account: String,
    /// The currency of every amount of it.
    pub currency: Currency,
    /// The sender's name for the statement, if it gives one.
    pub id: Option<String>,
    /// The sender's count of statements, if it counts.
    pub sequence: Option<u64>,
    /// The page of the statement, from 1, if it has pages.
    pub page: Option<u64>,
    /// The balance before the first entry, if the file has balances.
    pub opening: Option<Balance>,
    /// The balance after the last entry, if the file has balances.
    pub closing: Option<Balance>,
    /// Entries.
    pub entries: u64,
    /// Entries that the sender has listed and not booked; they are not among the entries.
    pub not_booked: u64,
    /// Sum of the entries that add to the balance, minor units, not negative.
    pub credits: i64,
    /// Sum of the entries that take from it, minor units, not negative.
    pub debits: i64,
    /// Of account, currency, balances and entries: the same statement in another file has the same.
    pub fingerprint: Fingerprint,
}

/// What an account held at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Minor units of the statement's currency; negative is overdrawn.
    pub amount: i64,
    /// The day it is of, where the file says it.
    pub date: Option<Date>,
    /// Between two pages of a statement, not between two statements.
    pub intermediate: bool,
}

/// One booking of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// [`Statement::number`] of the statement it belongs to.
    pub statement: u32,
    /// The line it begins at, from 1.
    pub line: u64,
    /// The same for the same entry in another file: see [`crate::read`].
    pub identity: Fingerprint,
    /// What it adds to the balance, negative if it takes away. Fees are taken off already.
    pub amount: Money,
    /// The part of the amount that the sender keeps as its fee, minor units: negative if taken, positive if given back.
    pub fee: i64,
    /// It takes an earlier entry back. The sign of the amount is already that of this entry.
    pub reversal: bool,
    /// The day of booking.
    pub booked_on: Date,
    /// The day from which interest counts it, where the file says it.
    pub value_on: Option<Date>,
    /// The sender's reference of the entry.
    pub bank_reference: Option<String>,
    /// What kind of transaction it is, in the sender's own codes.
    pub code: Option<String>,
    /// What the sender adds in words.
    pub info: Option<String>,
    /// The payments it consists of: usually one, none if the sender says nothing more, several in a batch.
    pub details: Vec<Detail>,
}

/// One payment of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Detail {
    /// Its part of the entry's amount, minor units with the entry's meaning of signs, if it is given in the currency of the
    /// account.
    pub amount: Option<i64>,
    /// The reference that whoever paid gave to the whole way.
    pub end_to_end_id: Option<String>,
    /// The sender's reference of the payment.
    pub bank_reference: Option<String>,
    /// The other party's name.
    pub counterparty: Option<String>,
    /// The other party's account.
    pub counterparty_account: Option<String>,
    /// What it is for; several lines are joined by a space.
    pub remittance: Option<String>,
    /// Why it came back, as a code of the scheme, if it did.
    pub return_reason: Option<String>,
}

impl Entry {
    /// What makes it this entry, but for its place among equal ones.
    pub(crate) fn content(&self, account: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut put = |bytes: &[u8]| {
            hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(bytes);
        };
        put(account.as_bytes());
        put(self.amount.currency.code().as_bytes());
        put(&self.amount.minor.to_be_bytes());
        put(&self.fee.to_be_bytes());
        put(&[u8::from(self.reversal)]);
        put(self.booked_on.to_string().as_bytes());
        put(self.value_on.map(|date| date.to_string()).unwrap_or_default().as_bytes());
        let texts = [&self.bank_reference, &self.code, &self.info];
        for text in texts {
            put(text.as_deref().unwrap_or_default().as_bytes());
        }
        for detail in &self.details {
            put(&detail.amount.unwrap_or_default().to_be_bytes());
            for text in detail.texts() {
                put(text.unwrap_or_default().as_bytes());
            }
        }
        hash.finalize().into()
    }
}

impl Detail {
    fn texts(&self) -> [Option<&str>; 6] {
        [
            self.end_to_end_id.as_deref(),
            self.bank_reference.as_deref(),
            self.counterparty.as_deref(),
            self.counterparty_account.as_deref(),
            self.remittance.as_deref(),
            self.return_reason.as_deref(),
        ]
    }
}

/// A text without blanks around it, if anything is left.
pub(crate) fn filled(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
