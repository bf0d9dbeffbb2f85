//! Balances as sums of debits and of credits.

use partita_provider::Currency;

use crate::{account::NormalSide, key::AccountKey};

/// Sums of the postings of one account, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Balance {
    /// The account.
    pub account: AccountKey,
    /// The side on which [`Balance::signed`] is positive.
    pub normal_side: NormalSide,
    /// Minor units, sum of all postings that debit the account.
    pub debits: i128,
    /// Minor units, sum of all postings that credit the account.
    pub credits: i128,
}

impl Balance {
    /// The balance in minor units, positive on the account's normal side.
    pub fn signed(&self) -> i128 {
        self.normal_side.signed(self.debits, self.credits)
    }
}

/// One line of a trial balance, in minor units. Over all lines of a currency the debits equal the credits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialBalanceRow {
    /// The account.
    pub account: AccountKey,
    /// The account's name.
    pub path: String,
    /// The account's currency.
    pub currency: Currency,
    /// The side on which the account's balance is positive.
    pub normal_side: NormalSide,
    /// Minor units, sum of all postings that debit the account.
    pub debits: i128,
    /// Minor units, sum of all postings that credit the account.
    pub credits: i128,
}
