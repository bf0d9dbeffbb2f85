//! A fee in words: how it came about, for people who want to check it with pencil and paper. Pure.

use partita_provider::{Currency, Money};

use super::policy::{Calculation, Priced};
use super::rules::{FeeTerms, Sale};

/// The sentence that a line keeps: `10 % of 60.00 EUR is 6.00, plus 0.30, at least 0.50: 6.30 by rule 2 'books from
/// Germany' of policy standard, version 3.`
pub fn sentence(reference: &str, version: i32, terms: &FeeTerms, sale: &Sale<'_>, priced: Option<&Priced>) -> String {
    let Some(priced) = priced else {
        return format!("No rule of policy {reference}, version {version}, is for this line: no commission.");
    };
    let name = terms.rules.get(priced.rule).and_then(|rule| rule.name.as_deref());
    let name = name.map_or_else(String::new, |name| format!(" '{name}'"));
    format!(
        "{}: {} by rule {}{name} of policy {reference}, version {version}.",
        steps(sale, &priced.calculation),
        plain(priced.calculation.commission, sale.currency),
        priced.rule_number(),
    )
}

/// What is said of the tax on a commission: `With 21 % VAT of 1.26 on it, 7.26.`
pub fn vat_sentence(vat_bps: i32, vat: i64, commission: i64, currency: Currency) -> String {
    let (rate, vat, all) = (percent(vat_bps), plain(vat, currency), plain(commission, currency));
    format!("With {rate} % VAT of {vat} on it, {all}.")
}

fn steps(sale: &Sale<'_>, calculation: &Calculation) -> String {
    let minor = |amount| plain(amount, sale.currency);
    let mut parts = vec![format!("{} %", percent(calculation.percent_bps))];
    if let Some(volume) = calculation.volume {
        let range = match (volume.from, volume.below) {
            (Some(from), Some(below)) => format!("from {} to below {}", minor(from), minor(below)),
            (Some(from), None) => format!("from {} on", minor(from)),
            (None, Some(below)) => format!("below {}", minor(below)),
            (None, None) => "any".to_owned(),
        };
        parts.push(format!(" (sales of the month {range}; {} so far)", minor(volume.sold)));
    }
    parts.push(format!(" of {} is {}", Money::new(sale.amount, sale.currency), minor(calculation.share)));
    if calculation.fixed > 0 {
        parts.push(format!(", plus {}", minor(calculation.fixed)));
    }
    if let Some(minimum) = calculation.minimum {
        parts.push(format!(", at least {}", minor(minimum)));
    }
    if let Some(maximum) = calculation.maximum {
        parts.push(format!(", at most {}", minor(maximum)));
    }
    if calculation.is_cut_to_the_line {
        parts.push(", never more than the line".to_owned());
    }
    parts.concat()
}

/// Basis points as a percentage, without zeros at the end: 1000 is 10, 1250 is 12.5, 5 is 0.05.
fn percent(bps: i32) -> String {
    let decimals = format!("{:02}", bps % 100);
    match decimals.trim_end_matches('0') {
        "" => (bps / 100).to_string(),
        decimals => format!("{}.{decimals}", bps / 100),
    }
}

/// An amount without its currency: `6.30`.
fn plain(minor: i64, currency: Currency) -> String {
    let text = Money::new(minor, currency).to_string();
    text.split_once(' ').map_or_else(|| text.clone(), |(amount, _)| amount.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::policy::{FeeAmounts, Tier, price};
    use super::super::rules::SaleKind;
    use super::*;

    fn told(terms: &FeeTerms, amount: i64, currency: &str, volume: i64) -> String {
        let currency = Currency::parse(currency).expect("a currency");
        let sale = Sale { seller: None, country: Some("DE"), currency, category: None, kind: SaleKind::Item, amount };
        sentence("standard", 3, terms, &sale, price(terms, &sale, volume).as_ref())
    }

    fn eur() -> Currency {
        Currency::parse("EUR").expect("a currency")
    }

    /// Rule 1 is for France, rule 2, which has a name, for Germany.
    fn standard() -> FeeTerms {
        let amounts = FeeAmounts { fixed: 30, minimum: Some(50), maximum: None };
        let mut terms = FeeTerms::flat(1_000, BTreeMap::from([(eur(), amounts)]));
        terms.rules.push(terms.rules[0].clone());
        terms.rules[0].when.countries = vec!["FR".to_owned()];
        terms.rules[1].when.countries = vec!["DE".to_owned()];
        terms.rules[1].name = Some("books from Germany".to_owned());
        terms
    }

    #[test]
    fn a_sentence_says_each_step_and_who_decided() {
        assert_eq!(
            told(&standard(), 60_00, "EUR", 0),
            "10 % of 60.00 EUR is 6.00, plus 0.30, at least 0.50: 6.30 by rule 2 'books from Germany' of policy standard, \
             version 3."
        );
        assert_eq!(
            told(&FeeTerms::flat(1_250, BTreeMap::new()), 1_001, "JPY", 0),
            "12.5 % of 1001 JPY is 125: 125 by rule 1 of policy standard, version 3."
        );
        assert_eq!(
            told(&standard(), 20, "EUR", 0),
            "10 % of 0.20 EUR is 0.02, plus 0.30, at least 0.50, never more than the line: 0.20 by rule 2 'books from \
             Germany' of policy standard, version 3."
        );
    }

    #[test]
    fn tiers_say_where_the_seller_stands() {
        let mut terms = FeeTerms::flat(1_000, BTreeMap::new());
        let tiers = vec![Tier { from: 10_000_00, percent_bps: 800 }, Tier { from: 50_000_00, percent_bps: 505 }];
        terms.rules[0].price.tiers.insert(eur(), tiers);
        let end = "by rule 1 of policy standard, version 3.";
        assert_eq!(
            told(&terms, 60_00, "EUR", 1_00),
            format!("10 % (sales of the month below 10000.00; 1.00 so far) of 60.00 EUR is 6.00: 6.00 {end}")
        );
        assert_eq!(
            told(&terms, 60_00, "EUR", 12_000_00),
            format!(
                "8 % (sales of the month from 10000.00 to below 50000.00; 12000.00 so far) of 60.00 EUR is 4.80: 4.80 {end}"
            )
        );
        assert_eq!(
            told(&terms, 60_00, "EUR", 50_000_00),
            format!("5.05 % (sales of the month from 50000.00 on; 50000.00 so far) of 60.00 EUR is 3.03: 3.03 {end}")
        );
    }

    #[test]
    fn what_no_rule_is_for_is_said_too() {
        let mut terms = standard();
        terms.rules.truncate(1);
        assert_eq!(
            told(&terms, 60_00, "EUR", 0),
            "No rule of policy standard, version 3, is for this line: no commission."
        );
    }

    #[test]
    fn percentages_have_no_zeros_at_the_end() {
        for (bps, text) in [(0, "0"), (5, "0.05"), (50, "0.5"), (100, "1"), (1_250, "12.5"), (10_000, "100")] {
            assert_eq!(percent(bps), text);
        }
    }
}
