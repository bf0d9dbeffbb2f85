//! Conversion into the currency that the platform's balance is kept in (docs.stripe.com/currencies/conversions), at the rate of
//! the moment.

use serde::{Deserialize, Serialize};

use crate::currency::decimals;

/// What the platform's balance is kept in, and at which rates. A currency without a rate is kept as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// Lower-case code.
    pub settlement_currency: String,
    /// In any order; of each currency the one holds that began last.
    pub rates: Vec<Rate>,
    /// Whether a transfer that names a charge is in the charge's currency and converted. Stripe does not: it wants it in the currency
    /// that the charge was settled in.
    #[serde(default)]
    pub transfers_convert: bool,
}

/// What one unit of a currency is worth from some time on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Lower-case code.
    pub currency: String,
    /// In units of the settlement currency, as a decimal: `0.923077`.
    pub rate: String,
    /// From when on, in seconds of the simulator's clock.
    #[serde(default)]
    pub from: i64,
}

impl Exchange {
    /// An amount in the settlement currency, rounded half away from zero, with the rate and the currency; none where it is kept
    /// as it is. Minor units.
    pub(crate) fn convert(&self, amount: i64, currency: &str, at: i64) -> Option<(i64, &str, &str)> {
        if currency == self.settlement_currency {
            return None;
        }
        let begun = self.rates.iter().filter(|rate| rate.currency == currency && rate.from <= at);
        let rate = begun.max_by_key(|rate| rate.from)?;
        let (digits, scale) = parse(&rate.rate)?;
        let up = 10_i128.checked_pow(u32::try_from(decimals(&self.settlement_currency)).ok()?)?;
        let down = 10_i128.checked_pow(u32::try_from(scale + decimals(currency)).ok()?)?;
        let product = i128::from(amount).checked_mul(digits)?.checked_mul(up)?;
        let rounded = (product.abs() + down / 2) / down * product.signum();
        Some((i64::try_from(rounded).ok()?, &rate.rate, &self.settlement_currency))
    }
}

/// The digits of a decimal, and how many of them stand behind the point.
fn parse(decimal: &str) -> Option<(i128, usize)> {
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    (digits > 0).then_some((digits, fraction.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn into(settlement_currency: &str, rates: &[(&str, &str, i64)]) -> Exchange {
        let rate = |(currency, rate, from): &(&str, &str, i64)| Rate {
            currency: (*currency).to_owned(),
            rate: (*rate).to_owned(),
            from: *from,
        };
        let rates = rates.iter().map(rate).collect();
        Exchange { settlement_currency: settlement_currency.to_owned(), rates, transfers_convert: false }
    }

    #[test]
    fn amounts_are_converted_at_the_rate_of_the_moment() {
        let exchange = into("eur", &[("usd", "0.928205", 50), ("usd", "0.923077", 0)]);
        assert_eq!(exchange.convert(13_000, "usd", 49), Some((12_000, "0.923077", "eur")));
        assert_eq!(exchange.convert(-11_700, "usd", 50), Some((-10_860, "0.928205", "eur")));
        assert_eq!(exchange.convert(100, "gbp", 50), None, "kept as it is");
        assert_eq!(exchange.convert(100, "eur", 50), None);
    }

    #[test]
    fn decimals_of_both_currencies_count() {
        let yen = into("jpy", &[("kwd", "489.44", 0), ("usd", "149.5", 0)]);
        assert_eq!(yen.convert(10_010, "kwd", 0).map(|found| found.0), Some(4_899), "KWD 10.010 is JPY 4,899.3");
        assert_eq!(yen.convert(1, "usd", 0).map(|found| found.0), Some(1), "JPY 1.495");
        let dinar = into("kwd", &[("jpy", "0.00205", 0)]);
        assert_eq!(dinar.convert(1_000, "jpy", 0).map(|found| found.0), Some(2_050), "KWD 2.050");
    }

    #[test]
    fn what_is_no_rate_converts_nothing() {
        for rate in ["", "0", "-1", "1,5", "1.2.3"] {
            assert_eq!(into("eur", &[("usd", rate, 0)]).convert(100, "usd", 0), None, "{rate}");
        }
    }
}
