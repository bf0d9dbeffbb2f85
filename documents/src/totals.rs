//! What a file adds up to: the numbers that an accountant compares before opening it.

use std::collections::BTreeMap;

use partita_provider::{Currency, Money};
use serde::Serialize;

use crate::Error;
use crate::amount::plain;

/// How many rows a file has, and what its amounts come to.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct ControlTotals {
    /// Rows written, headings not among them.
    pub rows: u64,
    /// For each column of amounts and each currency in it, in the order of columns and codes.
    pub sums: Vec<Sum>,
}

/// What one column's amounts of one currency come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// The column's name in the file.
    pub column: &'static str,
    /// The currency.
    pub currency: Currency,
    /// How many amounts there are.
    pub count: u64,
    /// Their sum, a plain decimal in units of the currency.
    pub total: String,
}

/// Adds up while a file is written.
#[derive(Debug, Default)]
pub(crate) struct Adder {
    rows: u64,
    sums: BTreeMap<(usize, Currency), (&'static str, u64, i128)>,
}

impl Adder {
    /// The number of the row that comes next; it counts from now on.
    pub(crate) fn next_row(&mut self) -> u64 {
        self.rows += 1;
        self.rows
    }

    /// Adds an amount of the row at hand to those of a column; `order` says where the column stands.
    pub(crate) fn add(&mut self, order: usize, column: &'static str, amount: Money) -> Result<(), Error> {
        let (_, count, sum) = self.sums.entry((order, amount.currency)).or_insert((column, 0, 0));
        *count += 1;
        *sum = sum.checked_add(i128::from(amount.minor)).ok_or(Error::Overflow { row: self.rows, field: column })?;
        Ok(())
    }

    pub(crate) fn totals(&self) -> ControlTotals {
        let sum = |(&(_, currency), &(column, count, minor)): (&(usize, Currency), &(&'static str, u64, i128))| Sum {
            column,
            currency,
            count,
            total: plain(minor, currency),
        };
        ControlTotals { rows: self.rows, sums: self.sums.iter().map(sum).collect() }
    }
}
