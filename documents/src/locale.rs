//! Numbers and dates as people of a language write them.

use jiff::civil::Date;
use partita_provider::{Currency, Money};

use crate::amount;

/// A language that documents for people are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// German.
    German,
    /// French.
    French,
    /// English, with days before months written out.
    English,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::German, Self::French, Self::English];

    /// The tag of BCP 47.
    pub fn tag(self) -> &'static str {
        self.pick("de", "fr", "en")
    }

    /// One of three texts.
    pub(crate) fn pick<T>(self, german: T, french: T, english: T) -> T {
        match self {
            Self::German => german,
            Self::French => french,
            Self::English => english,
        }
    }

    /// An amount without its currency, with a true minus: `−1.234,56`, `−1 234,56` (narrow no-break space), `−1,234.56`.
    pub(crate) fn amount(self, money: Money) -> String {
        self.minor(i128::from(money.minor), money.currency)
    }

    pub(crate) fn minor(self, minor: i128, currency: Currency) -> String {
        let (group, point) = self.pick((".", ","), ("\u{202f}", ","), (",", "."));
        amount::signed(minor, currency, "\u{2212}", group, point)
    }

    /// A day: `01.07.2026`, `01/07/2026`, `1 Jul 2026`.
    pub(crate) fn date(self, date: Date) -> String {
        let format = self.pick("%d.%m.%Y", "%d/%m/%Y", "%-d %b %Y");
        date.strftime(format).to_string()
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn amounts_and_dates_are_those_of_the_language() {
        let money = Money::new(-1_234_56, Currency::parse("EUR").expect("a known code"));
        let written = |language: Language| (language.amount(money), language.date(date(2026, 7, 1)));
        assert_eq!(written(Language::German), ("\u{2212}1.234,56".to_owned(), "01.07.2026".to_owned()));
        assert_eq!(written(Language::French), ("\u{2212}1\u{202f}234,56".to_owned(), "01/07/2026".to_owned()));
        assert_eq!(written(Language::English), ("\u{2212}1,234.56".to_owned(), "1 Jul 2026".to_owned()));
    }
}
