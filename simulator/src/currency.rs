//! Which currencies and amounts Stripe takes (docs.stripe.com/currencies).

use crate::error::ApiError;

/// Presentment currencies, lower case.
const CURRENCIES: &str = "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bif bmd bnd bob brl bsd bwp byn \
    bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg \
    huf idr ils inr isk jmd jpy kes kgs khr kmf krw kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk \
    mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos \
    srd std szl thb tjs top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar zmw bhd jod kwd omr \
    tnd";

/// Currencies whose amounts have three decimals and must be a multiple of ten.
const THREE_DECIMALS: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];

/// Currencies without a minor unit that Stripe still wants in hundredths.
const ZERO_DECIMALS_AS_TWO: [&str; 2] = ["isk", "ugx"];

/// Currencies without a minor unit.
const ZERO_DECIMALS: [&str; 15] =
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"];

/// The largest amount: eight digits.
const LARGEST_AMOUNT: i64 = 99_999_999;

/// Refuses a code that is not a presentment currency.
pub(crate) fn check(code: &str, param: &str) -> Result<(), ApiError> {
    if CURRENCIES.split_whitespace().any(|known| known == code) {
        return Ok(());
    }
    let known = CURRENCIES.split_whitespace().collect::<Vec<_>>().join(", ");
    Err(ApiError::invalid(format!("Invalid currency: {code}. Stripe currently supports these currencies: {known}"))
        .param(param))
}

/// Refuses what no movement may have: zero, less, more than eight digits, a part of the smallest coin.
pub(crate) fn check_amount(amount: i64, currency: &str) -> Result<(), ApiError> {
    if amount < 1 {
        return Err(ApiError::invalid("Invalid positive integer").code("parameter_invalid_integer").param("amount"));
    }
    if amount > LARGEST_AMOUNT {
        return Err(ApiError::invalid(format!("Amount must be no more than {}", show(LARGEST_AMOUNT, currency)))
            .code("amount_too_large")
            .param("amount"));
    }
    let step = if THREE_DECIMALS.contains(&currency) {
        10
    } else if ZERO_DECIMALS_AS_TWO.contains(&currency) {
        100
    } else {
        1
    };
    if amount % step != 0 {
        return Err(ApiError::invalid(format!("Invalid amount: {currency} amounts must be divisible by {step}"))
            .param("amount"));
    }
    Ok(())
}

/// The least that can be charged, in minor units (docs.stripe.com/currencies#minimum-and-maximum-charge-amounts).
fn smallest_charge(currency: &str) -> i64 {
    match currency {
        "gbp" => 30,
        "aed" | "myr" | "pln" | "ron" => 200,
        "bgn" => 100,
        "czk" => 1500,
        "dkk" => 250,
        "hkd" => 400,
        "huf" => 17_500,
        "mxn" | "thb" => 1000,
        "nok" | "sek" => 300,
        _ => 50,
    }
}

/// Refuses charges below Stripe's minimum.
pub(crate) fn check_charge_amount(amount: i64, currency: &str) -> Result<(), ApiError> {
    check_amount(amount, currency)?;
    let least = smallest_charge(currency);
    if amount < least {
        return Err(ApiError::invalid(format!("Amount must be at least {} {currency}", show(least, currency)))
            .code("amount_too_small")
            .param("amount"));
    }
    Ok(())
}

/// How many decimals Stripe's amounts of a currency have.
pub(crate) fn decimals(currency: &str) -> usize {
    if ZERO_DECIMALS.contains(&currency) {
        0
    } else if THREE_DECIMALS.contains(&currency) {
        3
    } else {
        2
    }
}

/// An amount as Stripe's messages show it: `€1,299.00`, `¥500`, `1.250 KWD`.
pub(crate) fn show(amount: i64, currency: &str) -> String {
    let decimals = decimals(currency);
    let digits = format!("{:0width$}", amount.unsigned_abs(), width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let mut grouped = String::new();
    for (position, digit) in whole.chars().enumerate() {
        if position > 0 && (whole.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if amount < 0 { "-" } else { "" };
    let number = if decimals == 0 { grouped } else { format!("{grouped}.{fraction}") };
    match currency {
        "eur" => format!("{sign}€{number}"),
        "usd" => format!("{sign}${number}"),
        "gbp" => format!("{sign}£{number}"),
        "jpy" => format!("{sign}¥{number}"),
        other => format!("{sign}{number} {}", other.to_uppercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_in_the_decimals_of_their_currency() {
        assert_eq!(show(LARGEST_AMOUNT, "eur"), "€999,999.99");
        assert_eq!(show(5, "usd"), "$0.05");
        assert_eq!(show(1_500, "jpy"), "¥1,500");
        assert_eq!(show(1_250, "kwd"), "1.250 KWD");
        assert_eq!(show(-100_000, "chf"), "-1,000.00 CHF");
    }

    #[test]
    fn limits_are_inclusive() {
        assert!(check_charge_amount(50, "eur").is_ok());
        assert_eq!(check_charge_amount(49, "eur").expect_err("too small").code, Some("amount_too_small"));
        assert!(check_amount(LARGEST_AMOUNT, "eur").is_ok());
        assert_eq!(check_amount(LARGEST_AMOUNT + 1, "eur").expect_err("too large").code, Some("amount_too_large"));
        assert!(check_amount(0, "eur").is_err() && check_amount(-5, "eur").is_err());
        assert!(check_amount(1_255, "kwd").is_err() && check_amount(1_250, "kwd").is_ok());
        assert!(check_amount(150, "isk").is_err() && check_amount(200, "isk").is_ok());
    }
}
