//! All SQL of the ledger. Every statement names the book, beside the policy that enforces it.

pub(crate) mod accounts;
pub(crate) mod anchors;
pub(crate) mod balances;
pub(crate) mod days;
pub(crate) mod history;
pub(crate) mod holds;
pub(crate) mod posting;
pub(crate) mod verify;

use partita_db::{BookId, Tx};

use crate::{error::LedgerError, key::AccountKey};

/// The book of a database transaction.
fn book_of(tx: &Tx) -> Result<BookId, LedgerError> {
    tx.book().ok_or(LedgerError::NoBook)
}

fn account_key(bits: i64) -> Result<AccountKey, LedgerError> {
    AccountKey::from_raw(bits).ok_or(LedgerError::Unreadable("an account key"))
}

fn raw_keys(accounts: &[AccountKey]) -> Vec<i64> {
    accounts.iter().map(|account| account.get()).collect()
}

/// A sum of 64-bit amounts: Postgres gives `numeric` for it, asked for as text.
fn sum(text: &str) -> Result<i128, LedgerError> {
    text.parse().map_err(|_| LedgerError::Unreadable("a sum"))
}
