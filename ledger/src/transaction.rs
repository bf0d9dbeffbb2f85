//! What a caller asks to post.

use std::collections::HashSet;

use jiff::Timestamp;
use partita_db::BookId;

use crate::key::AccountKey;

/// An amount that moves from the credit account to the debit account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NewPosting {
    /// The account that is debited.
    pub debit: AccountKey,
    /// The account that is credited.
    pub credit: AccountKey,
    /// Minor units of the accounts' currency, above zero.
    pub amount: i64,
    /// The payment, operation or payout that the posting belongs to.
    pub subject: i64,
}

/// Whether a transaction may take a floored account below its floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Floors {
    /// It is refused if its net effect would lower a floored account below its floor.
    Respect,
    /// It is not checked: refunds, disputes and reversals happen whether or not there is money.
    Pass,
}

/// An atomic set of postings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTransaction {
    /// Made by the caller, once in the book.
    pub id: i64,
    /// What happened: a code of `ledger_transaction_kinds`.
    pub kind: i16,
    /// What caused it. One transaction per kind and source: the next one is a replay, or refused if it differs.
    pub source: i64,
    /// Who did it.
    pub actor: i64,
    /// When it happened to the business; kept to the microsecond.
    pub effective_at: Timestamp,
    /// Whether floors are checked.
    pub floors: Floors,
    /// What is moved, at least one and at most [`NewTransaction::MAX_POSTINGS`].
    pub postings: Vec<NewPosting>,
}

impl NewTransaction {
    /// The most postings one transaction can have.
    pub const MAX_POSTINGS: usize = 10_000;

    /// Whether it could be posted to this book at all.
    ///
    /// # Errors
    /// [`Malformed`]: what no book would take.
    pub fn check(&self, book: BookId) -> Result<(), Malformed> {
        if self.postings.is_empty() {
            return Err(Malformed::NoPostings);
        }
        if self.postings.len() > Self::MAX_POSTINGS {
            return Err(Malformed::TooManyPostings);
        }
        self.postings.iter().try_for_each(|posting| posting.check(book))
    }
}

impl NewPosting {
    fn check(&self, book: BookId) -> Result<(), Malformed> {
        let Self { debit, credit, amount, .. } = *self;
        if amount <= 0 {
            return Err(Malformed::AmountNotPositive { amount });
        }
        if debit == credit {
            return Err(Malformed::OneAccount { account: debit });
        }
        if debit.book_and_currency() != credit.book_and_currency() {
            return Err(Malformed::AcrossCurrenciesOrBooks { debit, credit });
        }
        if debit.book() != book {
            return Err(Malformed::OtherBook { account: debit });
        }
        Ok(())
    }
}

/// Why a transaction could not be posted to any book: a mistake of the caller, found before the database is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A transaction moves something.
    #[error("no postings")]
    NoPostings,
    /// More than [`NewTransaction::MAX_POSTINGS`].
    #[error("too many postings")]
    TooManyPostings,
    /// Amounts are above zero; the sides say the direction.
    #[error("amount {amount} is not positive")]
    AmountNotPositive {
        /// Minor units as given.
        amount: i64,
    },
    /// Debit and credit are one account.
    #[error("{account} is both debited and credited by one posting")]
    OneAccount {
        /// The account.
        account: AccountKey,
    },
    /// The sides differ in currency or book.
    #[error("{debit} and {credit} are of different currencies or books")]
    AcrossCurrenciesOrBooks {
        /// The account to be debited.
        debit: AccountKey,
        /// The account to be credited.
        credit: AccountKey,
    },
    /// The accounts belong to another book than the database transaction.
    #[error("{account} belongs to another book")]
    OtherBook {
        /// The account to be debited.
        account: AccountKey,
    },
}

/// A whole transaction to undo by a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewReversal {
    /// Id of the transaction to undo.
    pub original: i64,
    /// Id of the new transaction.
    pub id: i64,
    /// What happened: a code of `ledger_transaction_kinds`.
    pub kind: i16,
    /// What caused it.
    pub source: i64,
    /// Who did it.
    pub actor: i64,
    /// When it happened to the business.
    pub effective_at: Timestamp,
    /// Whether floors are checked; a reversal usually passes them.
    pub floors: Floors,
}

/// Whether two of the transactions share kind and source, so that one may be the other's replay.
pub(crate) fn has_repeated_source<'a>(transactions: impl Iterator<Item = &'a NewTransaction>) -> bool {
    let mut seen = HashSet::new();
    let mut sources = transactions.map(|t| (t.kind, t.source));
    !sources.all(|source| seen.insert(source))
}

#[cfg(test)]
mod tests {
    use partita_provider::Currency;

    use super::*;

    fn key(book: i32, currency: &str, number: u64) -> AccountKey {
        let book = BookId::try_new(book).expect("a book");
        AccountKey::new(book, Currency::parse(currency).expect("a currency"), number).expect("a key")
    }

    fn check(debit: AccountKey, credit: AccountKey, amount: i64) -> Result<(), Malformed> {
        NewPosting { debit, credit, amount, subject: 1 }.check(BookId::try_new(1).expect("a book"))
    }

    #[test]
    fn a_posting_joins_two_accounts_of_one_book_and_currency() {
        let (a, b) = (key(1, "EUR", 1), key(1, "EUR", 2));
        assert_eq!(check(a, b, 1), Ok(()));
        assert_eq!(check(a, b, 0), Err(Malformed::AmountNotPositive { amount: 0 }));
        assert_eq!(check(a, b, i64::MIN), Err(Malformed::AmountNotPositive { amount: i64::MIN }));
        assert_eq!(check(a, a, 1), Err(Malformed::OneAccount { account: a }));
        for other in [key(1, "USD", 2), key(2, "EUR", 2)] {
            assert_eq!(check(a, other, 1), Err(Malformed::AcrossCurrenciesOrBooks { debit: a, credit: other }));
        }
        let foreign = key(2, "EUR", 1);
        assert_eq!(check(foreign, key(2, "EUR", 2), 1), Err(Malformed::OtherBook { account: foreign }));
    }
}
