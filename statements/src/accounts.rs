//! The statements of a file that names the account and the currency in each row.

use std::collections::BTreeMap;

use partita_provider::Currency;

use crate::error::{Reason, Refusal};
use crate::output::{Open, Output};

/// The most accounts and currencies in one file.
const MOST: usize = 10_000;

/// A statement for each key.
pub(crate) struct Accounts<K> {
    statements: BTreeMap<K, Open>,
}

impl<K: Ord> Accounts<K> {
    pub(crate) fn new() -> Self {
        Self { statements: BTreeMap::new() }
    }

    /// The statement of the key, begun at this line if there is none.
    pub(crate) fn get(
        &mut self,
        key: K,
        account: &str,
        currency: Currency,
        output: &mut Output<'_>,
        line: u64,
    ) -> Result<&mut Open, Reason> {
        if self.statements.len() == MOST && !self.statements.contains_key(&key) {
            return Err(Reason::TooMany { what: "accounts", limit: u64::try_from(MOST).unwrap_or(u64::MAX) });
        }
        Ok(self.statements.entry(key).or_insert_with(|| output.open(account.to_owned(), currency, line)))
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<Open> {
        self.statements.remove(key)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// Ends all of them.
    pub(crate) fn close(self, output: &mut Output<'_>, line: u64) -> Result<(), Refusal> {
        self.statements.into_values().try_for_each(|statement| output.close(statement, line))
    }
}
