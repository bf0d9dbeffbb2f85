//! Fields 28C, 60, 61 and 62.

use jiff::civil::Date;
use partita_provider::Currency;

use crate::amount::{COMMA, currency, unsigned};
use crate::error::{Reason, quote};
use crate::statement::filled;

/// A balance as field 60 or 62 states it.
pub(super) struct Stated {
    pub(super) amount: i64,
    pub(super) date: Date,
    pub(super) currency: Currency,
}

/// An entry as field 61 states it.
pub(super) struct Line61 {
    pub(super) amount: i64,
    pub(super) reversal: bool,
    pub(super) value_on: Date,
    pub(super) booked_on: Date,
    /// `NTRF` and the like.
    pub(super) kind: String,
    pub(super) customer_reference: Option<String>,
    pub(super) bank_reference: Option<String>,
    pub(super) supplement: Option<String>,
}

fn damaged(tag: &str, text: &str) -> Reason {
    Reason::Field { tag: tag.to_owned(), text: quote(text) }
}

/// `5/1`: the statement's number and its page.
pub(super) fn numbers(text: &str) -> Result<(Option<u64>, Option<u64>), Reason> {
    let text = text.trim();
    let (statement, page) = text.split_once('/').map_or((text, None), |(statement, page)| (statement, Some(page)));
    let number = |text: &str| text.parse::<u64>().map_err(|_| damaged("28C", text));
    Ok((Some(number(statement)?), page.map(number).transpose()?))
}

/// `C261127EUR1234,56`
pub(super) fn balance(tag: &str, text: &str) -> Result<Stated, Reason> {
    let text = text.trim();
    let malformed = || damaged(tag, text);
    let (sign, rest) = match text.split_at_checked(1).ok_or_else(malformed)? {
        ("C", rest) => (1, rest),
        ("D", rest) => (-1, rest),
        _ => return Err(malformed()),
    };
    let (day, rest) = rest.split_at_checked(6).ok_or_else(malformed)?;
    let (code, amount) = rest.split_at_checked(3).ok_or_else(malformed)?;
    let currency = currency(code)?;
    Ok(Stated {
        amount: sign * amount_with_comma(amount, currency)?,
        date: six_digits(day).ok_or_else(malformed)?,
        currency,
    })
}

/// `2611271127C12,34NTRFEREF-1//BANK-1` and a line of supplementary details.
pub(super) fn line_61(text: &str, currency: Currency) -> Result<Line61, Reason> {
    let malformed = || damaged("61", text);
    let (first, supplement) = text.split_once('\n').unwrap_or((text, ""));
    let (day, rest) = first.split_at_checked(6).ok_or_else(malformed)?;
    let value_on = six_digits(day).ok_or_else(malformed)?;
    let (booked_on, rest) = match rest.split_at_checked(4) {
        Some((day, rest)) if day.bytes().all(|byte| byte.is_ascii_digit()) => {
            (near(day, value_on).ok_or_else(malformed)?, rest)
        }
        _ => (value_on, rest),
    };
    let marks = [("RC", -1, true), ("RD", 1, true), ("C", 1, false), ("D", -1, false)];
    let found = marks.into_iter().find_map(|(mark, sign, reversal)| Some((rest.strip_prefix(mark)?, sign, reversal)));
    let (rest, sign, reversal) = found.ok_or_else(malformed)?;
    // The funds code is the third letter of the currency.
    let rest = rest.strip_prefix(|letter: char| letter.is_ascii_uppercase()).unwrap_or(rest);
    let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != ',').ok_or_else(malformed)?;
    let (amount, rest) = rest.split_at(end);
    let (kind, references) = rest.split_at_checked(4).ok_or_else(malformed)?;
    if !kind.starts_with(['N', 'F', 'S']) {
        return Err(malformed());
    }
    let (customer, bank) = references.split_once("//").unwrap_or((references, ""));
    Ok(Line61 {
        amount: sign * amount_with_comma(amount, currency)?,
        reversal,
        value_on,
        booked_on,
        kind: kind.to_owned(),
        customer_reference: filled(customer).filter(|reference| reference != "NONREF"),
        bank_reference: filled(bank),
        supplement: filled(&supplement.replace('\n', " ")),
    })
}

/// Amounts of SWIFT always have their comma.
fn amount_with_comma(text: &str, currency: Currency) -> Result<i64, Reason> {
    if text.contains(',') {
        unsigned(text, COMMA, currency)
    } else {
        Err(Reason::unreadable("an amount with a comma", text))
    }
}

/// `YYMMDD`; years from 80 on are of the last century, as SWIFT has it.
fn six_digits(text: &str) -> Option<Date> {
    let (year, day) = text.split_at_checked(2)?;
    let year = two_digits(year)?;
    month_and_day(day, i16::from(year) + if year < 80 { 2000 } else { 1900 })
}

fn month_and_day(text: &str, year: i16) -> Option<Date> {
    let (month, day) = text.split_at_checked(2)?;
    Date::new(year, two_digits(month)?, two_digits(day)?).ok()
}

fn two_digits(text: &str) -> Option<i8> {
    match text.as_bytes() {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => i8::try_from((tens - b'0') * 10 + (ones - b'0')).ok(),
        _ => None,
    }
}

/// The day of booking has no year: it is the one nearest to the value date.
fn near(text: &str, value_on: Date) -> Option<Date> {
    let candidates = (-1..=1).filter_map(|years| month_and_day(text, value_on.year() + years));
    candidates.min_by_key(|date| (*date - value_on).get_days().abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eur() -> Currency {
        Currency::parse("EUR").expect("a known code")
    }

    fn line(text: &str) -> Line61 {
        line_61(text, eur()).expect("a field that is right")
    }

    #[test]
    fn the_year_of_booking_is_the_nearest_to_the_value_date() {
        assert_eq!(line("2512310102C1,NTRFX").booked_on.to_string(), "2026-01-02");
        assert_eq!(line("2601021231C1,NTRFX").booked_on.to_string(), "2025-12-31");
        assert_eq!(line("261127C1,NTRFX").booked_on.to_string(), "2026-11-27");
    }

    #[test]
    fn a_reversed_credit_takes_away_and_a_reversed_debit_gives() {
        let read = |mark: &str| {
            let line = line(&format!("2611271127{mark}R12,30NMSCREF//BANK\nmore"));
            (line.amount, line.reversal)
        };
        assert_eq!([read("C"), read("D")], [(12_30, false), (-12_30, false)]);
        assert_eq!([read("RC"), read("RD")], [(-12_30, true), (12_30, true)]);
    }

    #[test]
    fn references_and_details_are_told_apart() {
        let read = line("261127D0,05NTRFNONREF//B-1\nsecond line");
        assert_eq!((read.customer_reference, read.bank_reference.as_deref()), (None, Some("B-1")));
        assert_eq!(read.supplement.as_deref(), Some("second line"));
        assert_eq!(line("261127D0,05NTRFINV 7").customer_reference.as_deref(), Some("INV 7"));
    }

    #[test]
    fn damaged_fields_are_refused() {
        for bad in [
            "",
            "2611",
            "261327C1,NTRF",
            "2611271127X1,NTRF",
            "2611271127C1NTRFX",
            "2611271127C1,XTRF",
            "2611271127C1,",
        ] {
            assert!(line_61(bad, eur()).is_err(), "{bad:?}");
        }
        for bad in ["", "C", "X261127EUR1,", "C261127EUR1", "C261127XXX1,", "C261199EUR1,", "C261127EUR", "Cäöü27EUR1,"]
        {
            assert!(balance("60F", bad).is_err(), "{bad:?}");
        }
        assert_eq!(balance("60F", "D991231EUR1,5").map(|b| (b.amount, b.date.year())).expect("right"), (-1_50, 1999));
    }
}
