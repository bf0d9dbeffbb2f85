//! ISO 4217 minor units on our side, Stripe's amounts on the other. No rounding: what does not fit exactly is refused.
//!
//! The rules are those of <https://docs.stripe.com/currencies> ("Special cases", "Three-decimal currencies", "Maximum
//! charge amounts").

use partita_provider::{Currency, FetchError, Money, PrepareError};

/// How Stripe writes a currency, compared with ISO 4217's minor unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    /// The minor unit is the same.
    Same,
    /// ISO has no decimals, Stripe writes two and wants them zero: ISK and UGX.
    Hundredfold,
    /// ISO has two decimals, Stripe writes none: MGA.
    Hundredth,
}

fn scale(currency: Currency) -> Scale {
    match currency.code() {
        "ISK" | "UGX" => Scale::Hundredfold,
        "MGA" => Scale::Hundredth,
        _ => Scale::Same,
    }
}

/// What Stripe charges with three decimals (docs.stripe.com/currencies#three-decimal).
const THREE_DECIMALS: [&str; 5] = ["BHD", "JOD", "KWD", "OMR", "TND"];

/// The largest amount Stripe takes, in its own unit.
///
/// Eight digits, and more where Stripe documents it for every payment method. Cards take up to twelve, but what stands
/// behind a token is not known here, so the narrower limit holds.
fn largest(currency: Currency) -> i64 {
    match currency.code() {
        "IDR" => 999_999_999_999,
        "COP" => 9_999_999_999,
        "INR" => 999_999_999,
        _ => 99_999_999,
    }
}

/// The amount as Stripe writes it.
///
/// # Errors
/// [`PrepareError::Amount`] when it is not positive, too large, or finer than Stripe accepts;
/// [`PrepareError::Unsupported`] when Stripe has no such currency.
pub(crate) fn to_stripe(money: Money) -> Result<i64, PrepareError> {
    if money.minor <= 0 {
        return Err(PrepareError::Amount(format!("{money} is not a positive amount")));
    }
    let too_large = || PrepareError::Amount(format!("{money} is more than Stripe takes at once"));
    let amount = match scale(money.currency) {
        Scale::Same => money.minor,
        Scale::Hundredfold => money.minor.checked_mul(100).ok_or_else(too_large)?,
        Scale::Hundredth if money.minor % 100 == 0 => money.minor / 100,
        Scale::Hundredth => {
            return Err(PrepareError::Amount(format!("{money}: Stripe takes no fractions of {}", money.currency)));
        }
    };
    if money.currency.exponent() == 3 && amount % 10 != 0 {
        return Err(PrepareError::Amount(format!("{money}: Stripe wants the last of three decimals to be zero")));
    }
    if amount > largest(money.currency) { Err(too_large()) } else { Ok(amount) }
}

/// The amount as Stripe writes it in a payout that is asked for by hand.
///
/// Stripe pays HUF and TWD out in whole units only, although it charges them with two decimals.
///
/// # Errors
/// [`PrepareError`] as for every amount, and for a fraction of HUF or TWD.
pub fn payout_amount(money: Money) -> Result<i64, PrepareError> {
    let amount = to_stripe(money)?;
    if matches!(money.currency.code(), "HUF" | "TWD") && amount % 100 != 0 {
        return Err(PrepareError::Amount(format!("{money}: Stripe pays {} out in whole units", money.currency)));
    }
    Ok(amount)
}

/// The largest amount up to this one that [`payout_amount`] takes; may be nothing.
pub(crate) fn payable(money: Money) -> i64 {
    let most = minor(largest(money.currency), money.currency).unwrap_or(0);
    let unit = match (money.currency.code(), scale(money.currency)) {
        ("HUF" | "TWD", _) | (_, Scale::Hundredth) => 100,
        _ if money.currency.exponent() == 3 => 10,
        _ => 1,
    };
    let amount = money.minor.min(most).max(0);
    amount - amount % unit
}

/// Stripe's word for a currency.
///
/// # Errors
/// [`PrepareError::Unsupported`].
pub(crate) fn to_stripe_currency(currency: Currency) -> Result<stripe_types::Currency, PrepareError> {
    match currency.code().to_ascii_lowercase().parse() {
        // Written as it is read: the library's list lacks them, Stripe's does not.
        Ok(known @ stripe_types::Currency::Unknown(_)) if THREE_DECIMALS.contains(&currency.code()) => Ok(known),
        Ok(stripe_types::Currency::Unknown(_)) | Err(_) => {
            Err(PrepareError::Unsupported(format!("Stripe has no currency {currency}")))
        }
        Ok(known) => Ok(known),
    }
}

/// Stripe's currency as ours.
///
/// # Errors
/// [`FetchError::Unreadable`] when it is not an ISO 4217 currency.
pub(crate) fn currency(theirs: &stripe_types::Currency) -> Result<Currency, FetchError> {
    let code = theirs.to_string().to_ascii_uppercase();
    Currency::parse(&code).map_err(|error| FetchError::Unreadable(error.to_string()))
}

/// A signed figure of Stripe's in ISO minor units.
///
/// # Errors
/// [`FetchError::Unreadable`] when it is finer than the currency's minor unit, or does not fit.
pub(crate) fn minor(amount: i64, currency: Currency) -> Result<i64, FetchError> {
    let unreadable = |why: &str| FetchError::Unreadable(format!("amount {amount} {currency} {why}"));
    match scale(currency) {
        Scale::Same => Ok(amount),
        Scale::Hundredfold if amount % 100 == 0 => Ok(amount / 100),
        Scale::Hundredfold => Err(unreadable("has a fraction that the currency does not have")),
        Scale::Hundredth => amount.checked_mul(100).ok_or_else(|| unreadable("is out of range")),
    }
}

/// Stripe's amount and currency as money.
///
/// # Errors
/// [`FetchError::Unreadable`] as [`minor`] and [`currency`].
pub(crate) fn money(amount: i64, theirs: &stripe_types::Currency) -> Result<Money, FetchError> {
    let currency = currency(theirs)?;
    Ok(Money::new(minor(amount, currency)?, currency))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(minor: i64, code: &str) -> Money {
        Money::new(minor, Currency::parse(code).expect("a known code"))
    }

    fn back(amount: i64, code: &str) -> Result<i64, FetchError> {
        minor(amount, Currency::parse(code).expect("a known code"))
    }

    #[test]
    fn ordinary_currencies_cross_unchanged() {
        for (amount, code) in [(1, "EUR"), (99_999_999, "USD"), (500, "JPY"), (12_340, "KWD"), (1_045, "HUF")] {
            assert_eq!(to_stripe(of(amount, code)), Ok(amount), "{amount} {code}");
            assert_eq!(back(amount, code), Ok(amount), "{amount} {code}");
        }
    }

    #[test]
    fn krona_and_shilling_are_written_with_two_zero_decimals() {
        for code in ["ISK", "UGX"] {
            assert_eq!(to_stripe(of(5, code)), Ok(500));
            assert_eq!(back(500, code), Ok(5));
            assert_eq!(back(-500, code), Ok(-5));
            assert!(matches!(back(550, code), Err(FetchError::Unreadable(_))), "half a {code} does not exist");
            assert_eq!(to_stripe(of(999_999, code)), Ok(99_999_900));
            assert!(to_stripe(of(1_000_000, code)).is_err(), "nine digits once written");
            assert!(to_stripe(of(i64::MAX, code)).is_err());
        }
    }

    #[test]
    fn ariary_is_written_without_the_decimals_that_iso_gives_it() {
        assert_eq!(to_stripe(of(500, "MGA")), Ok(5));
        assert_eq!(back(5, "MGA"), Ok(500));
        assert!(to_stripe(of(550, "MGA")).is_err());
        assert!(back(i64::MAX, "MGA").is_err());
    }

    #[test]
    fn three_decimals_end_in_zero_on_the_way_out_and_may_not_on_the_way_back() {
        for code in THREE_DECIMALS {
            let currency = Currency::parse(code).expect("an ISO currency");
            let written = serde_json::to_string(&to_stripe_currency(currency).expect("Stripe has it")).expect("a word");
            assert_eq!(written, format!("\"{}\"", code.to_ascii_lowercase()));
            assert!(to_stripe(of(5_124, code)).is_err());
            assert_eq!(to_stripe(of(5_120, code)), Ok(5_120));
            assert_eq!(back(5_124, code), Ok(5_124), "a fee may be finer");
        }
    }

    #[test]
    fn forint_and_dollar_of_taiwan_are_paid_out_whole() {
        for code in ["HUF", "TWD"] {
            assert!(payout_amount(of(1_045, code)).is_err());
            assert_eq!(payout_amount(of(1_000, code)), Ok(1_000));
            assert_eq!(to_stripe(of(1_045, code)), Ok(1_045), "a charge may have decimals");
        }
        assert_eq!(payout_amount(of(1_045, "EUR")), Ok(1_045));
    }

    #[test]
    fn eight_digits_are_the_limit_except_where_documented() {
        for (most, code) in
            [(99_999_999, "EUR"), (999_999_999_999, "IDR"), (9_999_999_999, "COP"), (999_999_999, "INR")]
        {
            assert_eq!(to_stripe(of(most, code)), Ok(most));
            assert!(matches!(to_stripe(of(most + 1, code)), Err(PrepareError::Amount(_))), "{code}");
        }
    }

    #[test]
    fn nothing_and_less_cannot_be_asked() {
        assert!(to_stripe(of(0, "EUR")).is_err());
        assert!(to_stripe(of(-1, "EUR")).is_err());
    }

    #[test]
    fn currencies_that_stripe_does_not_know_are_refused_both_ways() {
        let odd = Currency::parse("CLF").expect("an ISO currency");
        assert!(matches!(to_stripe_currency(odd), Err(PrepareError::Unsupported(_))));
        assert!(matches!(currency(&stripe_types::Currency::Unknown("zzz".into())), Err(FetchError::Unreadable(_))));
        let eur = Currency::parse("EUR").expect("an ISO currency");
        assert_eq!(to_stripe_currency(eur).map(|c| c.to_string()), Ok("eur".to_owned()));
        assert_eq!(currency(&stripe_types::Currency::EUR), Ok(eur));
    }

    #[test]
    fn what_stripe_lists_without_decimals_matches_iso_but_for_the_known_exceptions() {
        let listed = [
            "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF",
            "XPF",
        ];
        for code in listed {
            let currency = Currency::parse(code).expect("a known code");
            assert!(currency.exponent() == 0 || scale(currency) == Scale::Hundredth, "{code}");
        }
    }
}
