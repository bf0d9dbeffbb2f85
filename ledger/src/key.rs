//! The key of an account: fixed bits, so that the database can tell book and currency from the number alone.

use std::fmt;

use partita_db::BookId;
use partita_provider::Currency;

/// Bits of the number, the lowest of the key.
const NUMBER_BITS: u32 = 33;
/// Bits of the ISO 4217 number of the currency, above the number.
const CURRENCY_BITS: u32 = 10;

/// Key of an account: book (20 bits), ISO 4217 number of the currency (10 bits), number (33 bits); always positive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountKey(i64);

impl AccountKey {
    /// The largest number an account can have: 2^33 - 1.
    pub const MAX_NUMBER: u64 = (1 << NUMBER_BITS) - 1;

    /// The key of account `number` of this book and currency; `None` if the number is above [`Self::MAX_NUMBER`].
    pub fn new(book: BookId, currency: Currency, number: u64) -> Option<Self> {
        if number > Self::MAX_NUMBER {
            return None;
        }
        let number = i64::try_from(number).ok()?;
        let book = i64::from(book.get()) << (NUMBER_BITS + CURRENCY_BITS);
        let currency = i64::from(currency.numeric()) << NUMBER_BITS;
        Some(Self(book | currency | number))
    }

    /// The key with these bits; `None` if they hold no book or no currency.
    pub fn from_raw(bits: i64) -> Option<Self> {
        decode(bits).map(|_| Self(bits))
    }

    /// The bits, as the database holds them.
    pub fn get(self) -> i64 {
        self.0
    }

    /// The book the account belongs to.
    pub fn book(self) -> BookId {
        decode(self.0).expect("a key holds a book from its construction on").0
    }

    /// The account's currency.
    pub fn currency(self) -> Currency {
        decode(self.0).expect("a key holds a currency from its construction on").1
    }

    /// The account's number in its book and currency.
    pub fn number(self) -> u64 {
        self.0.unsigned_abs() & Self::MAX_NUMBER
    }

    /// Book and currency in one number: equal for two accounts that a posting may join.
    pub(crate) fn book_and_currency(self) -> i64 {
        self.0 >> NUMBER_BITS
    }
}

fn decode(bits: i64) -> Option<(BookId, Currency)> {
    let book = i32::try_from(bits >> (NUMBER_BITS + CURRENCY_BITS)).ok().and_then(BookId::try_new)?;
    let numeric = u16::try_from((bits >> NUMBER_BITS) & ((1 << CURRENCY_BITS) - 1)).ok()?;
    Some((book, Currency::from_numeric(numeric)?))
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for AccountKey {
    /// As `book/EUR/number`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.book(), self.currency(), self.number())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn eur() -> Currency {
        Currency::parse("EUR").expect("EUR is current")
    }

    #[test]
    fn the_largest_key_is_positive() {
        let book = BookId::try_new(BookId::MAX).expect("the largest book");
        let key = AccountKey::new(book, eur(), AccountKey::MAX_NUMBER).expect("the largest number");
        assert!(key.get() > 0);
        assert_eq!((key.book(), key.currency(), key.number()), (book, eur(), AccountKey::MAX_NUMBER));
        assert_eq!(AccountKey::new(book, eur(), AccountKey::MAX_NUMBER + 1), None);
    }

    #[test]
    fn bits_without_a_book_or_a_currency_are_no_key() {
        for bits in [0, -1, i64::MIN, i64::MAX, 1, 1 << 43, 978 << 33] {
            assert_eq!(AccountKey::from_raw(bits), None, "{bits} holds no key");
        }
    }

    proptest! {
        #[test]
        fn a_key_gives_back_its_parts(book in 1..=BookId::MAX, number in 0..=AccountKey::MAX_NUMBER) {
            let book = BookId::try_new(book).expect("in range");
            let key = AccountKey::new(book, eur(), number).expect("in range");
            prop_assert_eq!(key.book(), book);
            prop_assert_eq!(key.currency(), eur());
            prop_assert_eq!(key.number(), number);
            prop_assert_eq!(AccountKey::from_raw(key.get()), Some(key));
        }
    }
}
