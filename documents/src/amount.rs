//! Amounts as texts of digits: no float comes near them.

use partita_provider::{Currency, Money};

/// The whole part and the decimals of an amount without its sign: `(2250, 2)` is `("22", "50")`.
fn digits(minor: i128, currency: Currency) -> (String, String) {
    let decimals = usize::try_from(currency.exponent()).expect("a currency has four decimals at most");
    let text = format!("{:0width$}", minor.unsigned_abs(), width = decimals + 1);
    let (whole, part) = text.split_at(text.len() - decimals);
    (whole.to_owned(), part.to_owned())
}

/// As plain decimal with as many decimals as the currency has: `-22.50`.
pub(crate) fn plain(minor: i128, currency: Currency) -> String {
    signed(minor, currency, "-", "", ".")
}

/// With a sign, the digits before the point in groups of three, and the point, as given.
pub(crate) fn signed(minor: i128, currency: Currency, minus: &str, group: &str, point: &str) -> String {
    let (whole, part) = digits(minor, currency);
    let sign = if minor < 0 { minus } else { "" };
    let whole = grouped(&whole, group);
    if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}{point}{part}") }
}

fn grouped(whole: &str, group: &str) -> String {
    let mut text = String::with_capacity(whole.len() * 2);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push_str(group);
        }
        text.push(digit);
    }
    text
}

/// [`plain`] of an amount.
pub(crate) fn plain_money(money: Money) -> String {
    plain(i128::from(money.minor), money.currency)
}

/// An amount in whole units, half a unit away from zero: 1,250.50 is 1251.
pub(crate) fn whole_units(money: Money) -> i64 {
    let unit = 10_i64.pow(money.currency.exponent());
    let (whole, rest) = (money.minor / unit, money.minor % unit);
    whole + if 2 * rest.abs() >= unit { money.minor.signum() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::parse(code).expect("a known code")
    }

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        assert_eq!(plain(-2250, currency("EUR")), "-22.50");
        assert_eq!(plain(5, currency("EUR")), "0.05");
        assert_eq!(plain(-5, currency("KWD")), "-0.005");
        assert_eq!(plain(1200, currency("JPY")), "1200");
        assert_eq!(plain(0, currency("EUR")), "0.00");
        assert_eq!(plain(i128::from(i64::MIN), currency("EUR")), "-92233720368547758.08");
    }

    #[test]
    fn digits_group_by_three() {
        assert_eq!(signed(-1_234_567_89, currency("EUR"), "-", ".", ","), "-1.234.567,89");
        assert_eq!(signed(999_99, currency("EUR"), "-", ".", ","), "999,99");
        assert_eq!(signed(1_000, currency("JPY"), "-", ",", "."), "1,000");
    }

    #[test]
    fn half_a_unit_goes_away_from_zero() {
        let units = |minor, code| whole_units(Money::new(minor, currency(code)));
        assert_eq!([units(1_250_50, "EUR"), units(1_250_49, "EUR"), units(-1_250_50, "EUR")], [1251, 1250, -1251]);
        assert_eq!([units(7, "JPY"), units(1_500, "KWD"), units(1_499, "KWD")], [7, 2, 1]);
        assert_eq!(units(i64::MAX, "EUR"), 92_233_720_368_547_758);
    }
}
