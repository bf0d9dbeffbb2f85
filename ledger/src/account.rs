//! What an account is: its normal side, its class and its name.

use jiff::Timestamp;
use partita_provider::Currency;

use crate::key::AccountKey;

/// The side on which an account's balance is positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NormalSide {
    /// Assets and expenses.
    Debit,
    /// Liabilities and revenue.
    Credit,
}

impl NormalSide {
    /// `debits` and `credits` (minor units) as one balance, positive on this side.
    pub fn signed(self, debits: i128, credits: i128) -> i128 {
        match self {
            Self::Debit => debits - credits,
            Self::Credit => credits - debits,
        }
    }

    pub(crate) fn code(self) -> i16 {
        match self {
            Self::Debit => 1,
            Self::Credit => 2,
        }
    }

    pub(crate) fn from_code(code: i16) -> Option<Self> {
        match code {
            1 => Some(Self::Debit),
            2 => Some(Self::Credit),
            _ => None,
        }
    }
}

/// How an account's balance is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccountClass {
    /// One balance row. A transaction that respects floors is refused if it would lower the balance below `floor`.
    Floored {
        /// The least balance by normal side, in minor units.
        floor: i64,
    },
    /// One balance row, never checked.
    Single,
    /// A balance row per lane, never checked: for accounts that everybody posts to, as nobody waits for another.
    Striped,
}

impl AccountClass {
    pub(crate) fn code(self) -> i16 {
        match self {
            Self::Floored { .. } => 1,
            Self::Single => 2,
            Self::Striped => 3,
        }
    }

    pub(crate) fn floor(self) -> Option<i64> {
        match self {
            Self::Floored { floor } => Some(floor),
            Self::Single | Self::Striped => None,
        }
    }

    pub(crate) fn from_code(code: i16, floor: Option<i64>) -> Option<Self> {
        match (code, floor) {
            (1, Some(floor)) => Some(Self::Floored { floor }),
            (2, None) => Some(Self::Single),
            (3, None) => Some(Self::Striped),
            _ => None,
        }
    }
}

/// An account to open. Its key, once opened, never means anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAccount {
    /// The key, made by the caller.
    pub key: AccountKey,
    /// The name for people, as `sel.slr_x.available`: segments of ASCII letters, digits and `_`, joined by dots; the
    /// first in lower case; 200 characters at most; one per book and currency.
    pub path: String,
    /// The side on which the balance is positive.
    pub normal_side: NormalSide,
    /// How the balance is kept.
    pub class: AccountClass,
}

/// An account that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountView {
    /// The key.
    pub key: AccountKey,
    /// The name for people.
    pub path: String,
    /// The side on which the balance is positive.
    pub normal_side: NormalSide,
    /// How the balance is kept.
    pub class: AccountClass,
    /// When it was opened (database time).
    pub opened_at: Timestamp,
}

/// Which accounts [`list_accounts`](crate::list_accounts) gives, in order of key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountFilter {
    /// Only the account of this path and those below it: `sel.slr_x` gives `sel.slr_x.available` too.
    pub path: Option<String>,
    /// Only this currency.
    pub currency: Option<Currency>,
    /// Only after this key: the last one of the page before.
    pub after: Option<AccountKey>,
}
