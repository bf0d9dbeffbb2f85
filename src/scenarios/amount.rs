//! Amounts as people write them, `60.00 EUR`, wherever a scenario has one.

use partita_provider::{Currency, Money};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde::{Deserialize, Deserializer, de};

/// Reads `60.00 EUR`: never more decimals than the currency has.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn parse(text: &str) -> Result<Money, String> {
    let (number, code) = text.split_once(' ').ok_or_else(|| format!("{text:?} is no amount; write it as 60.00 EUR"))?;
    let currency = Currency::parse(code).map_err(|error| error.to_string())?;
    let number: Decimal = number.parse().map_err(|_| format!("{number:?} is no decimal number"))?;
    let minor =
        Decimal::from(10_u64.pow(currency.exponent())).checked_mul(number).filter(|minor| minor.fract().is_zero());
    let minor = minor.ok_or_else(|| format!("{code} has {} decimals, {number} has more", currency.exponent()))?;
    let minor = minor.to_i64().ok_or_else(|| format!("{number} {code} is too much"))?;
    Ok(Money::new(minor, currency))
}

/// An amount in a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Amount(pub(super) Money);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).map(Self).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        let minor = |text| parse(text).map(|money| money.minor);
        assert_eq!(minor("60.00 EUR"), Ok(60_00));
        assert_eq!(minor("-22.5 EUR"), Ok(-22_50));
        assert_eq!(minor("500 JPY"), Ok(500));
        assert_eq!(minor("1.234 KWD"), Ok(1_234));
        for wrong in ["60.001 EUR", "0.5 JPY", "60", "sixty EUR", "60 XYZ", "99999999999999999999 EUR", ""] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
