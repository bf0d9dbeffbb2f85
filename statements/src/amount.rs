//! Amounts and dates as they are written.

use jiff::civil::Date;
use partita_provider::Currency;

use crate::error::{Reason, quote};

/// The marks within a written amount.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marks {
    pub(crate) decimal: char,
    pub(crate) thousands: Option<char>,
}

/// As in XML: `1234.56`.
pub(crate) const POINT: Marks = Marks { decimal: '.', thousands: None };

/// As in SWIFT messages: `1234,56`.
pub(crate) const COMMA: Marks = Marks { decimal: ',', thousands: None };

/// Minor units of an amount without a sign. Decimals beyond the currency's may only be zeros, and a mark for thousands has
/// to stand between groups of three, so that a decimal point is not taken for one.
pub(crate) fn unsigned(text: &str, marks: Marks, currency: Currency) -> Result<i64, Reason> {
    let unreadable = || Reason::unreadable("an amount", text);
    let (whole, fraction) = text.split_once(marks.decimal).unwrap_or((text, ""));
    let whole = match marks.thousands {
        Some(mark) if whole.contains(mark) => ungrouped(whole, mark).ok_or_else(unreadable)?,
        _ => whole.to_owned(),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(&whole) || !digits(fraction) {
        return Err(unreadable());
    }
    let decimals = usize::try_from(currency.exponent()).map_err(|_| Reason::Overflow)?;
    let (kept, beyond) = fraction.split_at(fraction.len().min(decimals));
    if beyond.bytes().any(|byte| byte != b'0') {
        return Err(Reason::TooFine { value: quote(text), currency });
    }
    let mut digits = whole.bytes().chain(kept.bytes()).chain(std::iter::repeat_n(b'0', decimals - kept.len()));
    digits.try_fold(0_i64, append_digit).ok_or(Reason::Overflow)
}

/// The same with a sign before or behind it.
pub(crate) fn signed(text: &str, marks: Marks, currency: Currency) -> Result<i64, Reason> {
    let text = text.trim();
    let negative = text.strip_prefix('-').or_else(|| text.strip_suffix('-'));
    match (negative, text.strip_prefix('+')) {
        (Some(amount), _) => unsigned(amount.trim(), marks, currency).map(|minor| -minor),
        (None, Some(amount)) => unsigned(amount.trim(), marks, currency),
        (None, None) => unsigned(text, marks, currency),
    }
}

/// An integer of hundredths as the currency's minor units: what PayPal writes for every currency.
pub(crate) fn hundredths(text: &str, currency: Currency) -> Result<i64, Reason> {
    let unreadable = || Reason::unreadable("an amount in hundredths", text);
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(unreadable());
    }
    let hundredths = text.bytes().try_fold(0_i64, append_digit).ok_or(Reason::Overflow)?;
    let exponent = currency.exponent();
    if exponent >= 2 {
        return 10_i64.checked_pow(exponent - 2).and_then(|unit| hundredths.checked_mul(unit)).ok_or(Reason::Overflow);
    }
    let unit = 10_i64.pow(2 - exponent);
    if hundredths % unit == 0 { Ok(hundredths / unit) } else { Err(Reason::TooFine { value: quote(text), currency }) }
}

fn append_digit(value: i64, digit: u8) -> Option<i64> {
    value.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
}

fn ungrouped(whole: &str, mark: char) -> Option<String> {
    let mut groups = whole.split(mark);
    let first = groups.next().filter(|first| (1..=3).contains(&first.len()))?;
    let mut joined = first.to_owned();
    for group in groups {
        joined.push_str(Some(group).filter(|group| group.len() == 3)?);
    }
    Some(joined)
}

pub(crate) fn currency(code: &str) -> Result<Currency, Reason> {
    Currency::parse(code).map_err(|_| Reason::unreadable("a currency", code))
}

/// A date by a format of strptime; what follows is not looked at if the format is followed by a time.
pub(crate) fn date(text: &str, format: &str) -> Result<Date, Reason> {
    Date::strptime(format, text).map_err(|_| Reason::unreadable("a date", text))
}

/// The date at the beginning of a timestamp, which is the day in the zone that the timestamp is written in.
pub(crate) fn leading_date(text: &str, format: &str) -> Result<Date, Reason> {
    let day = text.split(['T', ' ']).next().unwrap_or_default();
    date(day, format)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency_of(code: &str) -> Currency {
        Currency::parse(code).expect("a known code")
    }

    #[test]
    fn amounts_are_minor_units_of_their_currency() {
        let eur = currency_of("EUR");
        let german = Marks { decimal: ',', thousands: Some('.') };
        assert_eq!(unsigned("1234.56", POINT, eur).expect("readable"), 1234_56);
        assert_eq!(unsigned("1234,5", COMMA, eur).expect("readable"), 1234_50);
        assert_eq!(unsigned("1234,", COMMA, eur).expect("readable"), 1234_00);
        assert_eq!(unsigned("1.234.567,89", german, eur).expect("readable"), 1_234_567_89);
        assert_eq!(signed("-1.234,00", german, eur).expect("readable"), -1234_00);
        assert_eq!(signed("12,00-", german, eur).expect("readable"), -12_00);
        assert_eq!(signed("+12", german, eur).expect("readable"), 12_00);
        assert_eq!(unsigned("0.10000", POINT, eur).expect("zeros beyond"), 10);
        assert_eq!(unsigned("1200", POINT, currency_of("JPY")).expect("readable"), 1200);
        assert_eq!(unsigned("1.2", POINT, currency_of("KWD")).expect("readable"), 1200);
    }

    #[test]
    fn what_is_not_quite_an_amount_is_refused() {
        let eur = currency_of("EUR");
        let german = Marks { decimal: ',', thousands: Some('.') };
        for bad in ["", ".", "-1", "1e3", "1 000", "0x1", "1.2.3", "1,0", "\u{661}"] {
            assert!(matches!(unsigned(bad, POINT, eur), Err(Reason::Unreadable { .. })), "{bad:?}");
        }
        for bad in ["1.23", "1234.567", ".123", "1..234", "--1", "-1-", "+-1"] {
            assert!(matches!(signed(bad, german, eur), Err(Reason::Unreadable { .. })), "{bad:?}");
        }
        assert!(matches!(unsigned("0.001", POINT, eur), Err(Reason::TooFine { .. })));
        assert!(matches!(unsigned("1.5", POINT, currency_of("JPY")), Err(Reason::TooFine { .. })));
        assert_eq!(unsigned("92233720368547758.07", POINT, eur).expect("the largest"), i64::MAX);
        assert!(matches!(unsigned("92233720368547758.08", POINT, eur), Err(Reason::Overflow)));
    }

    #[test]
    fn hundredths_follow_the_decimals_of_the_currency() {
        assert_eq!(hundredths("10000", currency_of("USD")).expect("readable"), 100_00);
        assert_eq!(hundredths("10000", currency_of("JPY")).expect("readable"), 100);
        assert_eq!(hundredths("150", currency_of("KWD")).expect("readable"), 1500);
        assert!(matches!(hundredths("10050", currency_of("JPY")), Err(Reason::TooFine { .. })));
        assert!(matches!(hundredths("1.00", currency_of("USD")), Err(Reason::Unreadable { .. })));
        assert!(matches!(hundredths("99999999999999999999", currency_of("USD")), Err(Reason::Overflow)));
    }
}
