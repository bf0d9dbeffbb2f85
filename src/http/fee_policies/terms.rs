//! The terms of a fee policy, as they are read: the short form, or rules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::errors;
use super::super::fields::{Amount, AmountOrZero, Country, Currency, Text};
use super::super::problem::Problem;
use super::super::problem_types;
use crate::fees::{AmountRange, Conditions, FeeAmounts, FeeBearer, FeeRule, FeeTerms, Price, SaleKind, Tier};
use crate::id::SellerId;

/// Fixed part and bounds in one currency; minor units.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FeeAmounts)]
pub(in crate::http) struct AmountsBody {
    /// Added to the percentage.
    #[serde(default)]
    fixed: AmountOrZero,
    /// The commission is at least this much.
    minimum: Option<AmountOrZero>,
    /// The commission is at most this much.
    maximum: Option<AmountOrZero>,
}

/// Basis points: hundredths of a per cent, 0 to 10000.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(try_from = "i64")]
#[schema(value_type = i32, minimum = 0, maximum = 10000, example = 1000)]
pub(in crate::http) struct BasisPoints(i32);

impl TryFrom<i64> for BasisPoints {
    type Error = &'static str;

    fn try_from(points: i64) -> Result<Self, Self::Error> {
        i32::try_from(points)
            .ok()
            .filter(|points| (0..=10_000).contains(points))
            .map(Self)
            .ok_or("must be 0 to 10000 basis points")
    }
}

/// What a seller's line is for. The platform's own lines have no commission.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SaleType)]
pub(super) enum SaleType {
    /// Goods or services of a seller.
    #[default]
    Item,
    /// Shipping by a seller.
    Shipping,
    /// A tip for a seller.
    Tip,
}

impl From<SaleType> for SaleKind {
    fn from(kind: SaleType) -> Self {
        match kind {
            SaleType::Item => Self::Item,
            SaleType::Shipping => Self::Shipping,
            SaleType::Tip => Self::Tip,
        }
    }
}

/// Net amounts of lines from one to below another; minor units.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FeeAmountRange)]
struct RangeBody {
    /// This much or more; 0 when absent.
    #[serde(default)]
    from: AmountOrZero,
    /// Less than this; no end when absent.
    below: Option<Amount>,
}

/// Which lines a rule is for: those that meet all of these. A list is met by any of its 1 to 1000 values. Without any
/// condition the rule is for every line.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FeeConditions)]
struct WhenBody {
    /// Lines of these sellers.
    #[schema(min_items = 1, max_items = 1000)]
    sellers: Option<Vec<SellerId>>,
    /// Lines of sellers in these countries: ISO 3166-1 alpha-2.
    #[schema(min_items = 1, max_items = 1000, value_type = Option<Vec<String>>)]
    countries: Option<Vec<Country>>,
    /// Lines of payments in these currencies: ISO 4217.
    #[schema(min_items = 1, max_items = 1000, value_type = Option<Vec<String>>)]
    currencies: Option<Vec<Currency>>,
    /// Lines of these categories of yours, letter by letter.
    #[schema(min_items = 1, max_items = 1000, value_type = Option<Vec<String>>)]
    categories: Option<Vec<Text<1, 100>>>,
    /// Lines of these types.
    #[schema(min_items = 1)]
    types: Option<Vec<SaleType>>,
    /// Lines of such a net amount, by currency; none in a currency that is not named.
    amounts: Option<BTreeMap<String, RangeBody>>,
}

/// Another percentage for sellers of a large volume in the calendar month.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FeeTier)]
struct TierBody {
    /// From this volume on: net amounts of the seller's lines in payments that succeeded and were made before, in this
    /// calendar month (UTC), without regard to refunds.
    from: Amount,
    /// Instead of the price's own `percent_bps`, for the whole line.
    percent_bps: BasisPoints,
}

/// What a rule takes of a line.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FeePrice)]
struct PriceBody {
    /// Of a line's net amount, rounded half up.
    percent_bps: BasisPoints,
    /// Fixed parts and bounds by currency.
    amounts: Option<BTreeMap<String, AmountsBody>>,
    /// Other percentages by the seller's volume, by currency: 1 to 50 each, ascending.
    tiers: Option<BTreeMap<String, Vec<TierBody>>>,
}

/// Who bears a line's part of the processor's fee. The fee of a charge is divided over all lines by their net amounts.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = FeeBearer)]
enum BearerBody {
    /// You: it is your expense.
    #[default]
    Platform,
    /// The line's seller: it is taken from the seller's share when the buyer is charged.
    Seller,
}

/// A rule of a fee policy. The first rule that is for a line prices it; a line that no rule is for has no commission.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FeeRule)]
pub(in crate::http) struct RuleBody {
    /// What you call it; stands in explanations.
    name: Option<Text<1, 100>>,
    #[serde(default)]
    when: WhenBody,
    price: PriceBody,
    /// Who bears the line's part of the processor's fee, beside the commission; `platform` when absent.
    #[serde(default)]
    processor_fee: BearerBody,
    /// Tax on the commission, which you add to it and owe to the state: basis points of the commission; 0 when absent.
    vat_bps: Option<BasisPoints>,
}

/// The fields of a body that may hold terms: the short form (`percent_bps`, `amounts`), or `rules`.
pub(in crate::http) struct Given {
    pub percent_bps: Option<BasisPoints>,
    pub amounts: Option<BTreeMap<String, AmountsBody>>,
    pub rules: Option<Vec<RuleBody>>,
}

impl Given {
    /// Whether there are no terms at all.
    pub(super) fn is_nothing(&self) -> bool {
        self.percent_bps.is_none() && self.amounts.is_none() && self.rules.is_none()
    }

    /// The terms, checked.
    pub(in crate::http) fn read(self) -> Result<FeeTerms, Problem> {
        let not_both = "give either percent_bps and amounts, or rules";
        match (self.percent_bps, self.amounts, self.rules) {
            (Some(_), _, Some(_)) => Err(Problem::invalid_field(&["rules"], &problem_types::NOT_ALLOWED, not_both)),
            (None, Some(_), Some(_)) => {
                Err(Problem::invalid_field(&["amounts"], &problem_types::NOT_ALLOWED, not_both))
            }
            (None, _, None) => {
                Err(Problem::invalid_field(&["percent_bps"], &problem_types::MISSING, "the field is required"))
            }
            (Some(percent), amounts, None) => {
                let terms = FeeTerms::flat(percent.0, read_amounts(&[], amounts)?);
                // In the short form the price of the only rule stands at the top.
                terms.check().map_err(|fault| errors::terms_problem(&fault.path[2..], &fault))?;
                Ok(terms)
            }
            (None, None, Some(rules)) => {
                let rules: Result<Vec<FeeRule>, Problem> =
                    rules.into_iter().enumerate().map(|(place, rule)| rule.read(&place.to_string())).collect();
                let terms = FeeTerms { rules: rules? };
                terms.check().map_err(|fault| errors::rules_problem(&fault))?;
                Ok(terms)
            }
        }
    }
}

/// Reads the values of a map from currencies; `path` is where the map stands.
fn by_currency<T, R>(
    path: &[&str],
    given: Option<BTreeMap<String, T>>,
    read: impl Fn(T) -> R,
) -> Result<BTreeMap<Currency, R>, Problem> {
    let mut values = BTreeMap::new();
    for (code, value) in given.unwrap_or_default() {
        let currency = Currency::parse(&code).map_err(|error| {
            let path: Vec<&str> = path.iter().copied().chain([code.as_str()]).collect();
            Problem::invalid_field(&path, &problem_types::INVALID_VALUE, error.to_string())
        })?;
        values.insert(currency, read(value));
    }
    Ok(values)
}

fn read_amounts(
    prefix: &[&str],
    given: Option<BTreeMap<String, AmountsBody>>,
) -> Result<BTreeMap<Currency, FeeAmounts>, Problem> {
    let path: Vec<&str> = prefix.iter().copied().chain(["amounts"]).collect();
    by_currency(&path, given, |amounts| FeeAmounts {
        fixed: amounts.fixed.minor(),
        minimum: amounts.minimum.map(AmountOrZero::minor),
        maximum: amounts.maximum.map(AmountOrZero::minor),
    })
}

impl RuleBody {
    fn read(self, place: &str) -> Result<FeeRule, Problem> {
        let tiers = |tiers: Vec<TierBody>| -> Vec<Tier> {
            let tier = |tier: TierBody| Tier { from: tier.from.minor(), percent_bps: tier.percent_bps.0 };
            tiers.into_iter().map(tier).collect()
        };
        Ok(FeeRule {
            name: self.name.map(Text::into_string),
            when: self.when.read(place)?,
            price: Price {
                percent_bps: self.price.percent_bps.0,
                amounts: read_amounts(&["rules", place, "price"], self.price.amounts)?,
                tiers: by_currency(&["rules", place, "price", "tiers"], self.price.tiers, tiers)?,
            },
            processor_fee: match self.processor_fee {
                BearerBody::Platform => FeeBearer::Platform,
                BearerBody::Seller => FeeBearer::Seller,
            },
            vat_bps: self.vat_bps.map_or(0, |points| points.0),
        })
    }
}

impl WhenBody {
    fn read(self, place: &str) -> Result<Conditions, Problem> {
        /// The values of a condition. An empty list would be met by nothing or by everything: nobody could tell.
        fn values<T>(place: &str, name: &str, given: Option<Vec<T>>) -> Result<Vec<T>, Problem> {
            match given {
                Some(values) if values.is_empty() => Err(Problem::invalid_field(
                    &["rules", place, "when", name],
                    &problem_types::TOO_SHORT,
                    "a condition has at least one value; leave it out to make none",
                )),
                given => Ok(given.unwrap_or_default()),
            }
        }
        if self.amounts.as_ref().is_some_and(BTreeMap::is_empty) {
            values(place, "amounts", Some(Vec::<()>::new()))?;
        }
        let range = |range: RangeBody| AmountRange { from: range.from.minor(), below: range.below.map(Amount::minor) };
        Ok(Conditions {
            sellers: values(place, "sellers", self.sellers)?,
            countries: values(place, "countries", self.countries)?.into_iter().map(Country::into_string).collect(),
            currencies: values(place, "currencies", self.currencies)?,
            categories: values(place, "categories", self.categories)?.into_iter().map(Text::into_string).collect(),
            kinds: values(place, "types", self.types)?.into_iter().map(SaleKind::from).collect(),
            amounts: by_currency(&["rules", place, "when", "amounts"], self.amounts, range)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::json::read as read_body;
    use super::*;
    use crate::id::RequestId;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        percent_bps: Option<BasisPoints>,
        amounts: Option<BTreeMap<String, AmountsBody>>,
        rules: Option<Vec<RuleBody>>,
    }

    fn read(body: &Value) -> Result<FeeTerms, Problem> {
        let Body { percent_bps, amounts, rules } = read_body(body)?;
        Given { percent_bps, amounts, rules }.read()
    }

    fn refused(body: &Value) -> (String, String) {
        let error = read(body).expect_err("refused on purpose").body(RequestId::new()).errors.remove(0);
        (error.pointer.expect("a field"), error.code)
    }

    #[test]
    fn rules_are_read_as_they_are_shown() {
        let rules = json!([
            {"name": "books", "when": {"countries": ["DE"], "currencies": ["EUR"], "categories": ["books"], "types": ["item"],
             "amounts": {"EUR": {"from": 1, "below": 9}}},
             "price": {"percent_bps": 500, "amounts": {"EUR": {"fixed": 30, "minimum": 50, "maximum": null}}}},
            {"price": {"percent_bps": 1000, "tiers": {"EUR": [{"from": 5, "percent_bps": 900}]}}},
        ]);
        let terms = read(&json!({"rules": rules})).expect("valid");
        assert_eq!(serde_json::to_value(&terms.rules).expect("JSON"), rules);
        let short = read(&json!({"percent_bps": 1000})).expect("valid");
        assert_eq!(short, read(&json!({"rules": [{"price": {"percent_bps": 1000}}]})).expect("valid"));
    }

    #[test]
    fn each_fault_points_at_its_field() {
        let is = |pointer: &str, code: &str| (pointer.to_owned(), code.to_owned());
        let rule = |rule: Value| json!({"rules": [{"when": {"types": ["tip"]}, "price": {"percent_bps": 1}}, rule]});
        let when = |when: Value| rule(json!({"when": when, "price": {"percent_bps": 1}}));
        let price = |price: Value| rule(json!({"price": price}));
        let all = json!({"price": {"percent_bps": 1}});
        for (body, pointer, code) in [
            (json!({}), "#/percent_bps", "missing"),
            (json!({"percent_bps": 1, "rules": []}), "#/rules", "not_allowed"),
            (json!({"amounts": {}, "rules": []}), "#/amounts", "not_allowed"),
            (json!({"percent_bps": 10_001}), "#/percent_bps", "invalid_value"),
            (json!({"percent_bps": 1, "amounts": {"XYZ": {}}}), "#/amounts/XYZ", "invalid_value"),
            (
                json!({"percent_bps": 1, "amounts": {"EUR": {"minimum": 2, "maximum": 1}}}),
                "#/amounts/EUR/minimum",
                "out_of_range",
            ),
            (json!({"rules": []}), "#/rules", "too_short"),
            (json!({"rules": vec![all.clone(); 101]}), "#/rules", "too_long"),
            (json!({"rules": [all, all]}), "#/rules/1", "not_allowed"),
            (when(json!({"countries": ["DE", "XX"]})), "#/rules/1/when/countries/1", "invalid_value"),
            (when(json!({"countries": ["de"]})), "#/rules/1/when/countries/0", "invalid_value"),
            (when(json!({"currencies": ["EUR", "EURO"]})), "#/rules/1/when/currencies/1", "invalid_value"),
            (when(json!({"sellers": ["pay_01h455vb4pex5vsknk084sn02q"]})), "#/rules/1/when/sellers/0", "invalid_value"),
            (when(json!({"types": ["platform"]})), "#/rules/1/when/types/0", "invalid_value"),
            (when(json!({"categories": []})), "#/rules/1/when/categories", "too_short"),
            (when(json!({"categories": vec!["x"; 1_001]})), "#/rules/1/when/categories", "too_long"),
            (when(json!({"amounts": {}})), "#/rules/1/when/amounts", "too_short"),
            (when(json!({"amounts": {"ABC": {}}})), "#/rules/1/when/amounts/ABC", "invalid_value"),
            (
                when(json!({"amounts": {"EUR": {"from": 5, "below": 5}}})),
                "#/rules/1/when/amounts/EUR/below",
                "out_of_range",
            ),
            (when(json!({"colour": "red"})), "#/rules/1/when/colour", "unknown_field"),
            (price(json!({})), "#/rules/1/price/percent_bps", "missing"),
            (
                rule(json!({"price": {"percent_bps": 1}, "processor_fee": "buyer"})),
                "#/rules/1/processor_fee",
                "invalid_value",
            ),
            (rule(json!({"price": {"percent_bps": 1}, "vat_bps": 10_001})), "#/rules/1/vat_bps", "invalid_value"),
            (
                price(json!({"percent_bps": 1, "amounts": {"EUR": {"minimum": 2, "maximum": 1}}})),
                "#/rules/1/price/amounts/EUR/minimum",
                "out_of_range",
            ),
            (price(json!({"percent_bps": 1, "tiers": {"ABC": []}})), "#/rules/1/price/tiers/ABC", "invalid_value"),
            (price(json!({"percent_bps": 1, "tiers": {"EUR": []}})), "#/rules/1/price/tiers/EUR", "too_short"),
            (
                price(
                    json!({"percent_bps": 1, "tiers": {"EUR": [{"from": 5, "percent_bps": 1}, {"from": 5, "percent_bps": 0}]}}),
                ),
                "#/rules/1/price/tiers/EUR/1/from",
                "out_of_range",
            ),
        ] {
            assert_eq!(refused(&body), is(pointer, code), "{body}");
        }
    }
}
