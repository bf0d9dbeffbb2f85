//! The cart of `POST /v1/payments`, as it is read.

use partita_provider::{CaptureMethod, Money};
use serde::Deserialize;
use utoipa::ToSchema;

use super::super::fields::{
    Amount, AmountOrZero, Currency, MOST_LINES, Metadata, PaymentToken, Reference, Text, WebAddress, currency_schema,
};
use super::super::problem::Problem;
use super::super::problem_types;
use super::charge_policy::ChargeTypeBody;
use super::discount::{CommissionOfBody, FundedByBody, Given};
use super::line_release::ReleaseRuleBody;
use crate::id::{CustomerId, FeePolicyId, PaymentMethodId, SellerId};
use crate::payments::{LineKind, NewDiscount, NewLine, NewPayment, Payer, TaxLiability};

/// What a line is for.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PaymentLineType)]
enum LineType {
    /// Goods or services of a seller.
    #[default]
    Item,
    /// Shipping by a seller.
    Shipping,
    /// A tip for a seller.
    Tip,
    /// The platform's own; has no seller.
    Platform,
    /// What the buyer does not pay. Stands after all other lines, has no tax, category, fee policy or release, and says who
    /// bears it.
    Discount,
}

/// Who owes a tax to the state.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TaxLiability)]
enum Liability {
    /// The platform, as a marketplace facilitator: it is kept as the platform's debt to the state.
    #[default]
    Platform,
    /// The seller: it is part of what the seller is owed.
    Seller,
}

/// The tax of a line.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewLineTax)]
struct NewTaxBody {
    /// On top of the line's amount.
    amount: AmountOrZero,
    /// Who owes it to the state; `platform` when absent.
    #[serde(default)]
    liability: Liability,
    /// Where it is owed, in your own words: `DE`, `US-CA`.
    jurisdiction: Option<Text<1, 40>>,
}

/// A line of a cart.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPaymentLine)]
struct NewLineBody {
    /// What it is for; `item` when absent.
    #[serde(default, rename = "type")]
    kind: LineType,
    /// Whose it is. Required, except for lines of the type `platform`, which have none, and discounts that you bear.
    seller: Option<SellerId>,
    /// Net of its tax; of a discount, what the buyer does not pay of net prices.
    amount: Amount,
    tax: Option<NewTaxBody>,
    /// Your own category of the goods.
    category: Option<Text<1, 100>>,
    /// What prices it; your default policy when absent.
    fee_policy: Option<FeePolicyId>,
    /// When its share is released; as `/v1/release_policy` says when absent. Not of lines of the types `platform` and
    /// `discount`.
    release: Option<ReleaseRuleBody>,
    /// Of a discount: who bears it.
    funded_by: Option<FundedByBody>,
    /// Of a discount that a seller bears: of which price the commission is; `discounted_price` when absent.
    commission_of: Option<CommissionOfBody>,
    /// Of a discount: the lines that it is on, by their places from 0. When absent all but tips, of its seller or of all sellers.
    /// It is spread over them in proportion to their net prices.
    #[schema(min_items = 1)]
    on: Option<Vec<u16>>,
}

/// When the buyer is charged.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CaptureMethod)]
enum Capture {
    /// At once.
    #[default]
    Automatic,
    /// When you capture. Until then the amount is held on the buyer's card, at most until `capture_before`.
    Manual,
}

/// A cart: one buyer, any number of sellers.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPayment, example = json!({
    "amount": 12000, "currency": "EUR", "payment_method": "pm_card_visa", "reference": "order-1",
    "lines": [
        {"seller": "slr_01jd9z6x5sf1vb3vsy3p0gq6ra", "amount": 6000, "tax": {"amount": 1200}},
        {"seller": "slr_01jd9z7c2wf8zr4m1v8x9q2tbk", "amount": 4000, "tax": {"amount": 800}}
    ]
}))]
pub(super) struct NewPaymentBody {
    /// What the buyer pays: the sum of all lines and their taxes, less discounts.
    amount: Amount,
    /// That of every seller in the cart.
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// The provider's token of the buyer's payment method, or the id of a saved one (`pmt_..`). Never a card number.
    payment_method: PaymentToken,
    /// Whose payment it is. A saved payment method says it itself.
    customer: Option<CustomerId>,
    /// Whether the buyer is away: a saved payment method is charged, and nobody can confirm anything at the bank. `false` when
    /// absent.
    #[serde(default)]
    off_session: bool,
    /// `automatic`, when absent: the buyer is charged at once. `manual`: when you capture (`POST ../capture`).
    #[serde(default)]
    capture_method: Capture,
    /// Where the buyer comes back to from pages of its bank or the provider, https. Without it the buyer is not sent to any.
    return_url: Option<WebAddress>,
    /// How the charge reaches its sellers; when absent, as `/v1/charge_policy` says.
    charge_type: Option<ChargeTypeBody>,
    /// The seller of the cart that the buyer buys from, to card networks and on statements. When absent it is you, or what
    /// `/v1/charge_policy` says where `charge_type` is absent too.
    on_behalf_of: Option<SellerId>,
    /// Your own id of the payment, unique among your payments.
    reference: Reference,
    /// What the provider shows in its dashboard.
    description: Option<Text<1, 500>>,
    /// 1 to 200 lines.
    #[schema(min_items = 1, max_items = 200)]
    lines: Vec<NewLineBody>,
    #[serde(default)]
    metadata: Metadata,
}

impl NewPaymentBody {
    /// The cart as the use case takes it.
    pub(super) fn read(self) -> Result<NewPayment, Problem> {
        let count = self.lines.len();
        if !(1..=MOST_LINES).contains(&count) {
            let code = if count == 0 { &problem_types::TOO_SHORT } else { &problem_types::TOO_LONG };
            return Err(Problem::invalid_field(
                &["lines"],
                code,
                format!("expected 1 to {MOST_LINES} lines, not {count}"),
            ));
        }
        let (lines, discounts) = read_lines(self.lines)?;
        let token = self.payment_method.into_string();
        let saved = PaymentMethodId::parse(&token).ok();
        if self.off_session && self.return_url.is_some() {
            let detail = "a buyer who is away comes back from no page";
            return Err(Problem::invalid_field(&["return_url"], &problem_types::NOT_ALLOWED, detail));
        }
        Ok(NewPayment {
            reference: self.reference.into_string(),
            amount: Money::new(self.amount.minor(), self.currency),
            payer: Payer { customer: self.customer, method: saved, off_session: self.off_session },
            payment_method: if saved.is_some() { String::new() } else { token },
            description: self.description.map(Text::into_string),
            capture: match self.capture_method {
                Capture::Automatic => CaptureMethod::Automatic,
                Capture::Manual => CaptureMethod::Manual,
            },
            return_url: self.return_url.map(WebAddress::into_string),
            charge_type: self.charge_type.map(Into::into),
            on_behalf_of: self.on_behalf_of,
            lines,
            discounts,
            metadata: self.metadata.into_json(),
        })
    }
}

/// What is paid for, and the discounts after it: so every line keeps its place.
fn read_lines(lines: Vec<NewLineBody>) -> Result<(Vec<NewLine>, Vec<NewDiscount>), Problem> {
    let (mut paid_for, mut discounts) = (Vec::with_capacity(lines.len()), Vec::new());
    for (at, line) in lines.into_iter().enumerate() {
        if matches!(line.kind, LineType::Discount) {
            discounts.push(line.read_discount(at)?);
        } else if discounts.is_empty() {
            paid_for.push(line.read(at)?);
        } else {
            let detail = "discounts stand after all other lines";
            return Err(Problem::invalid_field(&["lines", &at.to_string()], &problem_types::NOT_ALLOWED, detail));
        }
    }
    if paid_for.is_empty() {
        let detail = "a cart has a line that is paid for";
        return Err(Problem::invalid_field(&["lines"], &problem_types::TOO_SHORT, detail));
    }
    Ok((paid_for, discounts))
}

impl NewLineBody {
    fn read_discount(self, at: usize) -> Result<NewDiscount, Problem> {
        for (name, is_given) in [
            ("tax", self.tax.is_some()),
            ("category", self.category.is_some()),
            ("fee_policy", self.fee_policy.is_some()),
            ("release", self.release.is_some()),
        ] {
            if is_given {
                let place = ["lines", &at.to_string(), name];
                return Err(Problem::invalid_field(&place, &problem_types::NOT_ALLOWED, "a discount has none"));
            }
        }
        let given = Given { funded_by: self.funded_by, commission_of: self.commission_of, on: self.on };
        given.read(at, self.seller, self.amount.minor())
    }

    fn read(self, at: usize) -> Result<NewLine, Problem> {
        Given { funded_by: self.funded_by, commission_of: self.commission_of, on: self.on }.refuse(at)?;
        let kind = match self.kind {
            LineType::Item => LineKind::Item,
            LineType::Shipping => LineKind::Shipping,
            LineType::Tip => LineKind::Tip,
            // Discounts are read apart.
            LineType::Platform | LineType::Discount => LineKind::Platform,
        };
        let of_seller = |code, detail| Problem::invalid_field(&["lines", &at.to_string(), "seller"], code, detail);
        match (kind, self.seller) {
            (LineKind::Platform, Some(_)) => {
                return Err(of_seller(&problem_types::NOT_ALLOWED, "a line of the type platform has no seller"));
            }
            (LineKind::Platform, None) | (_, Some(_)) => {}
            (_, None) => return Err(of_seller(&problem_types::MISSING, "a line of this type needs a seller")),
        }
        let liability = self.tax.as_ref().map_or(Liability::Platform, |tax| tax.liability);
        if matches!((kind, liability), (LineKind::Platform, Liability::Seller)) {
            let detail = "a line of the type platform has no seller to owe its tax";
            let place = ["lines", &at.to_string(), "tax", "liability"];
            return Err(Problem::invalid_field(&place, &problem_types::NOT_ALLOWED, detail));
        }
        let place = ["lines", &at.to_string(), "release"];
        if self.release.is_some() && kind == LineKind::Platform {
            let detail = "a line of the type platform has no share to release";
            return Err(Problem::invalid_field(&place, &problem_types::NOT_ALLOWED, detail));
        }
        let release = self.release.map(|rule| rule.read(&place)).transpose()?;
        Ok(NewLine {
            kind,
            release,
            seller: self.seller,
            amount: self.amount.minor(),
            tax_amount: self.tax.as_ref().map_or(0, |tax| tax.amount.minor()),
            tax_liability: match liability {
                Liability::Platform => TaxLiability::Platform,
                Liability::Seller => TaxLiability::Seller,
            },
            tax_jurisdiction: self.tax.and_then(|tax| tax.jurisdiction).map(Text::into_string),
            category: self.category.map(Text::into_string),
            fee_policy: self.fee_policy,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::json::read as read_body;
    use super::*;
    use crate::id::RequestId;

    fn cart() -> serde_json::Value {
        json!({
            "amount": 12000, "currency": "EUR", "payment_method": "pm_card_visa", "reference": "order-1",
            "lines": [
                {"seller": "slr_01h455vb4pex5vsknk084sn02q", "amount": 6000, "tax": {"amount": 1200}},
                {"type": "platform", "amount": 4800},
            ],
        })
    }

    fn refused(change: impl FnOnce(&mut serde_json::Value)) -> (String, String) {
        let mut cart = cart();
        change(&mut cart);
        let problem = match read_body::<NewPaymentBody>(&cart) {
            Ok(body) => body.read().expect_err("refused on purpose"),
            Err(problem) => problem,
        };
        let error = problem.body(RequestId::new()).errors.remove(0);
        (error.pointer.expect("a field"), error.code)
    }

    #[test]
    fn a_cart_is_read_with_its_defaults() {
        let new = read_body::<NewPaymentBody>(&cart()).expect("valid").read().expect("valid");
        assert_eq!(new.amount.to_string(), "120.00 EUR");
        assert_eq!(new.lines[0].kind, LineKind::Item);
        assert_eq!((new.lines[0].tax_amount, new.lines[0].tax_liability), (1200, TaxLiability::Platform));
        assert_eq!((new.lines[1].kind, new.lines[1].seller), (LineKind::Platform, None));
    }

    #[test]
    fn each_fault_of_a_cart_points_at_its_field() {
        let is = |pointer: &str, code: &str| (pointer.to_owned(), code.to_owned());
        assert_eq!(refused(|cart| cart["amount"] = json!(-5)), is("#/amount", "out_of_range"));
        assert_eq!(refused(|cart| cart["amount"] = json!(120.5)), is("#/amount", "not_an_integer"));
        assert_eq!(refused(|cart| cart["currency"] = json!("eur")), is("#/currency", "invalid_value"));
        assert_eq!(refused(|cart| cart["lines"] = json!([])), is("#/lines", "too_short"));
        assert_eq!(refused(|cart| cart["lines"][0]["seller"] = json!(null)), is("#/lines/0/seller", "missing"));
        assert_eq!(
            refused(|cart| cart["lines"][0]["seller"] = json!("pay_01h455vb4pex5vsknk084sn02q")),
            is("#/lines/0/seller", "invalid_value")
        );
        assert_eq!(
            refused(|cart| cart["lines"][1]["seller"] = json!("slr_01h455vb4pex5vsknk084sn02q")),
            is("#/lines/1/seller", "not_allowed")
        );
        assert_eq!(
            refused(|cart| cart["lines"][0]["tax"]["rate"] = json!(20)),
            is("#/lines/0/tax/rate", "unknown_field")
        );
        assert_eq!(refused(|cart| cart["lines"][0]["type"] = json!("gift")), is("#/lines/0/type", "invalid_value"));
        assert_eq!(refused(|cart| cart["capture_method"] = json!("later")), is("#/capture_method", "invalid_value"));
        let line = cart()["lines"][1].clone();
        assert_eq!(refused(|cart| cart["lines"] = json!(vec![line; 201])), is("#/lines", "too_long"));
    }
}
