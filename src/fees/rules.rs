//! The terms of a policy: an ordered list of rules, of which the first that is for a line prices it. Pure.

use std::collections::BTreeMap;

use partita_provider::Currency;
use serde::{Deserialize, Serialize};

use super::countries::is_country;
use super::fault::{TermsFault, TermsProblem};
use super::policy::{FeeAmounts, Price};
use crate::id::SellerId;

/// Most rules of a policy.
pub const MOST_RULES: usize = 100;
/// Most values of one condition.
pub const MOST_VALUES: usize = 1_000;
/// Most tiers of a rule in one currency.
pub const MOST_TIERS: usize = 50;

/// What a seller's line is for. The platform's own lines are nobody's sale and have no commission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SaleKind {
    /// Goods or services.
    Item,
    /// Shipping.
    Shipping,
    /// A tip.
    Tip,
}

/// A seller's line, as far as its price depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Sale<'a> {
    /// Whose it is; none in a quote for nobody in particular, which no condition on sellers or countries is for.
    pub seller: Option<SellerId>,
    /// The seller's country, ISO 3166 alpha-2.
    pub country: Option<&'a str>,
    /// The payment's currency.
    pub currency: Currency,
    /// The platform's own category.
    pub category: Option<&'a str>,
    /// What it is for.
    pub kind: SaleKind,
    /// Net of tax, minor units.
    pub amount: i64,
}

/// Amounts from one (itself included) to below another, minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmountRange {
    /// This much or more.
    #[serde(default)]
    pub from: i64,
    /// Less than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<i64>,
}

/// Which lines a rule is for: those that meet every condition that is made. A condition with several values is met by
/// any of them; one without values is not made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Conditions {
    /// Lines of these sellers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sellers: Vec<SellerId>,
    /// Lines of sellers in these countries, ISO 3166 alpha-2.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub countries: Vec<String>,
    /// Lines of payments in these currencies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub currencies: Vec<Currency>,
    /// Lines of these categories, letter by letter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// Lines of these kinds.
    #[serde(rename = "types", skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<SaleKind>,
    /// Lines of such a net amount; in a currency that is not named, none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub amounts: BTreeMap<Currency, AmountRange>,
}

impl Conditions {
    /// Whether no condition is made: every line meets them.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn are_met_by(&self, sale: &Sale<'_>) -> bool {
        fn any<T>(values: &[T], is_it: impl Fn(&T) -> bool) -> bool {
            values.is_empty() || values.iter().any(is_it)
        }
        any(&self.sellers, |seller| sale.seller == Some(*seller))
            && any(&self.countries, |country| sale.country == Some(country.as_str()))
            && any(&self.currencies, |currency| sale.currency == *currency)
            && any(&self.categories, |category| sale.category == Some(category.as_str()))
            && any(&self.kinds, |kind| sale.kind == *kind)
            && (self.amounts.is_empty()
                || self.amounts.get(&sale.currency).is_some_and(|range| {
                    sale.amount >= range.from && range.below.is_none_or(|below| sale.amount < below)
                }))
    }
}

/// Who bears a line's part of the processor's fee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeeBearer {
    /// The platform: it is an expense.
    #[default]
    Platform,
    /// The line's seller.
    Seller,
}

impl FeeBearer {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    fn is_platform(&self) -> bool {
        *self == Self::Platform
    }
}

/// A rule: which lines it is for, and what it takes of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeeRule {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which lines it is for.
    #[serde(default, skip_serializing_if = "Conditions::is_empty")]
    pub when: Conditions,
    /// What it takes.
    pub price: Price,
    /// Who bears the line's part of the processor's fee, beside the commission.
    #[serde(default, skip_serializing_if = "FeeBearer::is_platform")]
    pub processor_fee: FeeBearer,
    /// Tax that the platform adds to the commission and owes, in basis points of it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub vat_bps: i32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(points: &i32) -> bool {
    *points == 0
}

/// What a version of a policy says: rules in their order. A line that none of them is for has no commission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FeeTerms {
    /// The rules; the first that is for a line prices it.
    pub rules: Vec<FeeRule>,
}

impl FeeTerms {
    /// The short form: one rule without conditions.
    pub fn flat(percent_bps: i32, amounts: BTreeMap<Currency, FeeAmounts>) -> Self {
        let price = Price { percent_bps, amounts, tiers: BTreeMap::new() };
        Self {
            rules: vec![FeeRule {
                name: None,
                when: Conditions::default(),
                price,
                processor_fee: FeeBearer::Platform,
                vat_bps: 0,
            }],
        }
    }

    /// What the short form would say, if these terms can be said in it.
    pub fn as_flat(&self) -> Option<(i32, &BTreeMap<Currency, FeeAmounts>)> {
        match self.rules.as_slice() {
            [FeeRule { name: None, when, price, processor_fee: FeeBearer::Platform, vat_bps: 0 }]
                if when.is_empty() && price.tiers.is_empty() =>
            {
                Some((price.percent_bps, &price.amounts))
            }
            _ => None,
        }
    }

    /// Whether a rule, by its place from 0, has sellers bear the processor's fee.
    pub fn passes_processor_fee(&self, rule: usize) -> bool {
        self.rules.get(rule).is_some_and(|rule| rule.processor_fee == FeeBearer::Seller)
    }

    /// What a rule, by its place from 0, adds to the commission as tax on it; basis points.
    pub fn vat_bps(&self, rule: usize) -> i32 {
        self.rules.get(rule).map_or(0, |rule| rule.vat_bps)
    }

    /// The price for every line that no earlier rule is for, if there is one.
    pub fn last_resort(&self) -> Option<&Price> {
        self.rules.iter().find(|rule| rule.when.is_empty()).map(|rule| &rule.price)
    }

    /// The first rule that is for the line, with its place from 0.
    pub fn rule_for(&self, sale: &Sale<'_>) -> Option<(usize, &FeeRule)> {
        self.rules.iter().enumerate().find(|(_, rule)| rule.when.are_met_by(sale))
    }

    /// Whether the price of the line depends on what its seller has sold in the month.
    pub fn needs_volume(&self, sale: &Sale<'_>) -> bool {
        self.rule_for(sale).is_some_and(|(_, rule)| rule.price.has_tiers(sale.currency))
    }

    /// Whether any rule has tiers.
    pub fn have_tiers(&self) -> bool {
        self.rules.iter().any(|rule| !rule.price.tiers.is_empty())
    }

    /// Refuses terms that contradict themselves or say what can never count.
    ///
    /// # Errors
    /// The first [`TermsFault`].
    pub fn check(&self) -> Result<(), TermsFault> {
        match self.rules.len() {
            0 => return Err(TermsFault::at(&[], TermsProblem::NoRules)),
            count if count > MOST_RULES => return Err(TermsFault::at(&[], TermsProblem::TooManyRules { count })),
            _ => {}
        }
        let mut last_resort = None;
        for (index, rule) in self.rules.iter().enumerate() {
            let inside = |fault: TermsFault| fault.inside(&index.to_string());
            if let Some(earlier) = last_resort {
                return Err(inside(TermsFault::at(&[], TermsProblem::Unreachable { earlier })));
            }
            rule.when.check().map_err(|fault| inside(fault.inside("when")))?;
            rule.price.check().map_err(|fault| inside(fault.inside("price")))?;
            if rule.when.is_empty() {
                last_resort = Some(index + 1);
            }
        }
        Ok(())
    }

    /// Every seller that a condition names, with its place.
    pub fn named_sellers(&self) -> impl Iterator<Item = (usize, usize, SellerId)> {
        self.rules.iter().enumerate().flat_map(|(rule, terms)| {
            terms.when.sellers.iter().enumerate().map(move |(place, seller)| (rule, place, *seller))
        })
    }
}

impl Conditions {
    fn check(&self) -> Result<(), TermsFault> {
        for (name, count) in [
            ("sellers", self.sellers.len()),
            ("countries", self.countries.len()),
            ("currencies", self.currencies.len()),
            ("categories", self.categories.len()),
        ] {
            if count > MOST_VALUES {
                return Err(TermsFault::at(&[name], TermsProblem::TooManyValues { count }));
            }
        }
        if let Some(place) = self.countries.iter().position(|country| !is_country(country)) {
            return Err(TermsFault::at(&["countries", &place.to_string()], TermsProblem::UnknownCountry));
        }
        for (currency, range) in &self.amounts {
            let fault = |name| TermsFault::at(&["amounts", currency.code(), name], TermsProblem::EmptyRange);
            if range.from < 0 {
                return Err(fault("from"));
            }
            if range.below.is_some_and(|below| below <= range.from) {
                return Err(fault("below"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::policy::Tier;
    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::parse(code).expect("a currency")
    }

    fn rule(percent_bps: i32, when: Conditions) -> FeeRule {
        FeeRule {
            name: None,
            when,
            price: Price { percent_bps, ..Price::default() },
            processor_fee: FeeBearer::Platform,
            vat_bps: 0,
        }
    }

    fn sale(amount: i64) -> Sale<'static> {
        Sale {
            seller: None,
            country: Some("DE"),
            currency: currency("EUR"),
            category: Some("books"),
            kind: SaleKind::Item,
            amount,
        }
    }

    /// The place of the rule that is for a sale.
    fn found(rules: &[FeeRule], sale: &Sale<'_>) -> Option<usize> {
        FeeTerms { rules: rules.to_vec() }.rule_for(sale).map(|(place, _)| place)
    }

    #[test]
    fn each_condition_lets_through_what_it_names_and_nothing_else() {
        let seller = SellerId::new();
        let range = |from, below| BTreeMap::from([(currency("EUR"), AmountRange { from, below })]);
        let base = Conditions::default;
        for (when, passes, fails) in [
            (Conditions { sellers: vec![seller], ..base() }, Sale { seller: Some(seller), ..sale(1) }, sale(1)),
            (
                Conditions { countries: vec!["AT".into(), "DE".into()], ..base() },
                sale(1),
                Sale { country: Some("FR"), ..sale(1) },
            ),
            (
                Conditions { currencies: vec![currency("EUR")], ..base() },
                sale(1),
                Sale { currency: currency("USD"), ..sale(1) },
            ),
            (
                Conditions { categories: vec!["books".into()], ..base() },
                sale(1),
                Sale { category: Some("Books"), ..sale(1) },
            ),
            (Conditions { categories: vec!["books".into()], ..base() }, sale(1), Sale { category: None, ..sale(1) }),
            (
                Conditions { kinds: vec![SaleKind::Item, SaleKind::Tip], ..base() },
                sale(1),
                Sale { kind: SaleKind::Shipping, ..sale(1) },
            ),
            (Conditions { amounts: range(10_00, Some(20_00)), ..base() }, sale(10_00), sale(20_00)),
            (Conditions { amounts: range(10_00, Some(20_00)), ..base() }, sale(19_99), sale(9_99)),
            (
                Conditions { amounts: range(0, None), ..base() },
                sale(i64::MAX),
                Sale { currency: currency("USD"), ..sale(1) },
            ),
        ] {
            let rules = [rule(0, when)];
            assert_eq!(found(&rules, &passes), Some(0), "{rules:?}");
            assert_eq!(found(&rules, &fails), None, "{rules:?}");
        }
    }

    #[test]
    fn the_first_rule_that_is_for_a_line_wins() {
        let german = Conditions { countries: vec!["DE".into()], ..Conditions::default() };
        let books = Conditions { categories: vec!["books".into()], ..Conditions::default() };
        let rules = [rule(1, german.clone()), rule(2, books.clone()), rule(3, Conditions::default())];
        assert_eq!(found(&rules, &sale(1)), Some(0));
        assert_eq!(found(&rules, &Sale { country: Some("FR"), ..sale(1) }), Some(1));
        assert_eq!(found(&rules, &Sale { country: Some("FR"), category: None, ..sale(1) }), Some(2));
        let swapped = [rule(2, books), rule(1, german)];
        assert_eq!(found(&swapped, &sale(1)), Some(0));
        assert_eq!(found(&swapped, &Sale { country: Some("FR"), category: None, ..sale(1) }), None);
    }

    fn fault(rules: Vec<FeeRule>) -> (String, TermsProblem) {
        let fault = FeeTerms { rules }.check().expect_err("refused on purpose");
        (fault.path.join("/"), fault.problem)
    }

    #[test]
    fn each_fault_has_its_place() {
        let all = Conditions::default;
        let eur = currency("EUR");
        assert_eq!(fault(Vec::new()), (String::new(), TermsProblem::NoRules));
        assert_eq!(fault(vec![rule(1, all()); 101]), (String::new(), TermsProblem::TooManyRules { count: 101 }));
        assert_eq!(
            fault(vec![rule(1, all()), rule(1, all())]),
            ("1".to_owned(), TermsProblem::Unreachable { earlier: 1 })
        );
        let unknown = Conditions { countries: vec!["DE".into(), "XX".into()], ..all() };
        assert_eq!(fault(vec![rule(1, unknown)]), ("0/when/countries/1".to_owned(), TermsProblem::UnknownCountry));
        let many = Conditions { categories: vec!["x".into(); 1_001], ..all() };
        assert_eq!(
            fault(vec![rule(1, many)]),
            ("0/when/categories".to_owned(), TermsProblem::TooManyValues { count: 1_001 })
        );
        let empty = BTreeMap::from([(eur, AmountRange { from: 5, below: Some(5) })]);
        assert_eq!(
            fault(vec![rule(1, Conditions { amounts: empty, ..all() })]),
            ("0/when/amounts/EUR/below".to_owned(), TermsProblem::EmptyRange)
        );
        let crossed = FeeAmounts { fixed: 0, minimum: Some(2), maximum: Some(1) };
        let price = Price { amounts: BTreeMap::from([(eur, crossed)]), ..Price::default() };
        assert_eq!(
            fault(vec![FeeRule { name: None, when: all(), price, processor_fee: FeeBearer::Platform, vat_bps: 0 }]),
            ("0/price/amounts/EUR/minimum".to_owned(), TermsProblem::MinimumAboveMaximum)
        );
        for tiers in [vec![0], vec![5, 5], vec![5, 4]] {
            let place = format!("0/price/tiers/EUR/{}/from", tiers.len() - 1);
            let tiers = tiers.into_iter().map(|from| Tier { from, percent_bps: 1 }).collect();
            let price = Price { tiers: BTreeMap::from([(eur, tiers)]), ..Price::default() };
            assert_eq!(
                fault(vec![FeeRule { name: None, when: all(), price, processor_fee: FeeBearer::Platform, vat_bps: 0 }]),
                (place, TermsProblem::TiersDoNotAscend)
            );
        }
    }

    #[test]
    fn the_short_form_is_one_rule_without_conditions_name_and_tiers() {
        let short = FeeTerms::flat(1_000, BTreeMap::new());
        assert_eq!(short.as_flat(), Some((1_000, &BTreeMap::new())));
        assert_eq!(short.last_resort().map(|price| price.percent_bps), Some(1_000));
        let named = FeeTerms { rules: vec![FeeRule { name: Some("all".into()), ..short.rules[0].clone() }] };
        assert_eq!((named.as_flat(), named.check()), (None, Ok(())));
        let passing = FeeTerms { rules: vec![FeeRule { processor_fee: FeeBearer::Seller, ..short.rules[0].clone() }] };
        assert_eq!((passing.as_flat(), passing.passes_processor_fee(0)), (None, true));
        let taxed = FeeTerms { rules: vec![FeeRule { vat_bps: 2_100, ..short.rules[0].clone() }] };
        assert_eq!((taxed.as_flat(), taxed.vat_bps(0)), (None, 2_100));
        let stored = serde_json::to_value(&passing).expect("serialises");
        assert_eq!(stored[0]["processor_fee"], "seller");
        assert_eq!(serde_json::from_value::<FeeTerms>(stored).expect("read back"), passing);
        let german = Conditions { countries: vec!["DE".into()], ..Conditions::default() };
        let terms = FeeTerms { rules: vec![rule(1, german)] };
        assert_eq!((terms.as_flat(), terms.last_resort()), (None, None));
    }

    #[test]
    fn terms_are_stored_as_they_are_written() {
        let text = serde_json::json!([
            {"name": "books", "when": {"categories": ["books"], "types": ["item"], "amounts": {"EUR": {"from": 1, "below": 9}}},
             "price": {"percent_bps": 500, "amounts": {"EUR": {"fixed": 30, "minimum": 50, "maximum": null}}}},
            {"price": {"percent_bps": 1000, "tiers": {"EUR": [{"from": 5, "percent_bps": 900}]}}},
        ]);
        let terms: FeeTerms = serde_json::from_value(text.clone()).expect("terms");
        assert_eq!(serde_json::to_value(&terms).expect("stored"), text);
    }

    fn conditions() -> impl Strategy<Value = Conditions> {
        let words = |all: &'static [&'static str]| {
            prop::collection::vec(prop::sample::select(all).prop_map(ToOwned::to_owned), 0..2)
        };
        let range = (0_i64..200, prop::option::of(0_i64..200));
        let amounts = prop::collection::btree_map(
            prop::sample::select(&["EUR", "USD"][..]).prop_map(currency),
            range.prop_map(|(from, below)| AmountRange { from, below }),
            0..2,
        );
        (words(&["DE", "FR"]), words(&["books", "toys"]), amounts).prop_map(|(countries, categories, amounts)| {
            Conditions { countries, categories, amounts, ..Conditions::default() }
        })
    }

    proptest! {
        /// No earlier rule is for the line, and which rules come later does not matter.
        #[test]
        fn first_match_wins(
            rules in prop::collection::vec(conditions().prop_map(|when| rule(1, when)), 0..8), amount in 0_i64..200,
            country in prop::sample::select(&["DE", "FR", "US"][..]),
            category in prop::option::of(prop::sample::select(&["books", "toys"][..])),
        ) {
            let sale = Sale { country: Some(country), category, ..sale(amount) };
            match found(&rules, &sale) {
                Some(place) => {
                    prop_assert!(rules[..place].iter().all(|rule| found(std::slice::from_ref(rule), &sale).is_none()));
                    prop_assert_eq!(found(&rules[..=place], &sale), Some(place));
                }
                None => prop_assert!(rules.iter().all(|rule| found(std::slice::from_ref(rule), &sale).is_none())),
            }
        }
    }
}
