//! Where the readers put what they find: sums, identities and limits are the same for every format.

use std::collections::HashMap;

use jiff::civil::Date;
use partita_provider::{Currency, Money};
use sha2::{Digest, Sha256};

use crate::error::{Reason, Refusal};
use crate::limits::Limits;
use crate::statement::{Balance, Detail, Entry, Fingerprint, Part, Statement};

/// What takes the parts of a file, and what is remembered about all of them.
pub(crate) struct Output<'a> {
    take: &'a mut dyn FnMut(Part),
    limits: Limits,
    statements: u32,
    entries: u64,
    /// How often each content was seen, by the beginning of its hash.
    seen: HashMap<u64, u32>,
}

/// An entry as a reader found it, before its sums and its identity.
pub(crate) struct Draft {
    pub(crate) line: u64,
    pub(crate) amount: i64,
    pub(crate) fee: i64,
    pub(crate) reversal: bool,
    pub(crate) booked_on: Date,
    pub(crate) value_on: Option<Date>,
    pub(crate) bank_reference: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) info: Option<String>,
    pub(crate) details: Vec<Detail>,
}

/// A statement whose entries are being read.
pub(crate) struct Open {
    number: u32,
    line: u64,
    pub(crate) account: String,
    pub(crate) currency: Currency,
    pub(crate) id: Option<String>,
    pub(crate) sequence: Option<u64>,
    pub(crate) page: Option<u64>,
    pub(crate) opening: Option<Balance>,
    pub(crate) closing: Option<Balance>,
    pub(crate) not_booked: u64,
    entries: u64,
    credits: i64,
    debits: i64,
    hash: Sha256,
}

impl<'a> Output<'a> {
    pub(crate) fn new(limits: Limits, take: &'a mut dyn FnMut(Part)) -> Self {
        Self { take, limits, statements: 0, entries: 0, seen: HashMap::new() }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Statements and entries so far.
    pub(crate) fn counts(&self) -> (u32, u64) {
        (self.statements, self.entries)
    }

    pub(crate) fn open(&mut self, account: String, currency: Currency, line: u64) -> Open {
        let number = self.statements;
        self.statements += 1;
        Open {
            number,
            line,
            account,
            currency,
            id: None,
            sequence: None,
            page: None,
            opening: None,
            closing: None,
            not_booked: 0,
            entries: 0,
            credits: 0,
            debits: 0,
            hash: Sha256::new(),
        }
    }

    pub(crate) fn entry(&mut self, statement: &mut Open, draft: Draft) -> Result<(), Refusal> {
        let line = draft.line;
        if self.entries == self.limits.entries {
            return Err(Reason::TooMany { what: "entries", limit: self.limits.entries }.at(line));
        }
        statement.add(draft.amount).map_err(|reason| reason.at(line))?;
        let mut entry = Entry {
            statement: statement.number,
            line,
            identity: Fingerprint([0; 32]),
            amount: Money::new(draft.amount, statement.currency),
            fee: draft.fee,
            reversal: draft.reversal,
            booked_on: draft.booked_on,
            value_on: draft.value_on,
            bank_reference: draft.bank_reference,
            code: draft.code,
            info: draft.info,
            details: draft.details,
        };
        entry.identity = self.identity(entry.content(&statement.account));
        statement.hash.update(entry.identity.0);
        self.entries += 1;
        (self.take)(Part::Entry(Box::new(entry)));
        Ok(())
    }

    /// Equal entries of a file differ by which of them each is.
    fn identity(&mut self, content: [u8; 32]) -> Fingerprint {
        let start = content.first_chunk().map_or(0, |start| u64::from_be_bytes(*start));
        let occurrence = self.seen.entry(start).or_default();
        *occurrence += 1;
        Fingerprint(Sha256::new().chain_update(content).chain_update(occurrence.to_be_bytes()).finalize().into())
    }

    /// Ends a statement whose balances, if it has them, have to be explained by its entries.
    pub(crate) fn close(&mut self, statement: Open, line: u64) -> Result<(), Refusal> {
        let statement = statement.complete().map_err(|reason| reason.at(line))?;
        (self.take)(Part::Statement(Box::new(statement)));
        Ok(())
    }
}

impl Open {
    fn add(&mut self, amount: i64) -> Result<(), Reason> {
        let side = if amount < 0 { &mut self.debits } else { &mut self.credits };
        *side = amount.checked_abs().and_then(|amount| side.checked_add(amount)).ok_or(Reason::Overflow)?;
        self.entries += 1;
        Ok(())
    }

    /// Sum of what adds and sum of what takes away, minor units.
    pub(crate) fn turnover(&self) -> (i64, i64) {
        (self.credits, self.debits)
    }

    /// Refuses an amount of another currency than the account's.
    pub(crate) fn same_currency(&self, found: Currency) -> Result<(), Reason> {
        if found == self.currency { Ok(()) } else { Err(Reason::Currency { expected: self.currency, found }) }
    }

    fn complete(mut self) -> Result<Statement, Reason> {
        if let (Some(opening), Some(closing)) = (self.opening, self.closing) {
            self.explain(opening, closing)?;
        }
        for balance in [self.opening, self.closing] {
            self.hash.update(balance.map(|balance| balance.amount).unwrap_or_default().to_be_bytes());
            self.hash.update(balance.and_then(|balance| balance.date).map(|date| date.to_string()).unwrap_or_default());
        }
        self.hash.update(self.currency.code());
        self.hash.update(&self.account);
        Ok(Statement {
            number: self.number,
            line: self.line,
            account: self.account,
            currency: self.currency,
            id: self.id,
            sequence: self.sequence,
            page: self.page,
            opening: self.opening,
            closing: self.closing,
            entries: self.entries,
            not_booked: self.not_booked,
            credits: self.credits,
            debits: self.debits,
            fingerprint: Fingerprint(self.hash.finalize().into()),
        })
    }

    fn explain(&self, opening: Balance, closing: Balance) -> Result<(), Reason> {
        let net = self.credits.checked_sub(self.debits).ok_or(Reason::Overflow)?;
        let computed = opening.amount.checked_add(net).ok_or(Reason::Overflow)?;
        let money = |minor| Money::new(minor, self.currency);
        if computed != closing.amount {
            return Err(Reason::Balance {
                opening: money(opening.amount),
                closing: money(closing.amount),
                computed: money(computed),
            });
        }
        match (opening.date, closing.date) {
            (Some(opening), Some(closing)) if closing < opening => Err(Reason::Dates { opening, closing }),
            _ => Ok(()),
        }
    }
}
