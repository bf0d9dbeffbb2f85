//! `POST /v1/fee_policies/{id}/quote`.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::HttpState;
use super::super::auth::Caller;
use super::super::errors;
use super::super::fields::{Amount, Currency, MOST_LINES, Text, currency_schema};
use super::super::json::{Json as Body, PathId};
use super::super::payments::discount::{CommissionOfBody, FundedByBody};
use super::super::problem::Problem;
use super::super::problem_types;
use super::super::render::Refusals;
use super::terms::SaleType;
use crate::id::{FeePolicyId, SellerId};
use crate::payments::{self, QuotedDiscount, QuotedLine};

/// The routes.
pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(quote))
}

/// What a buyer would not pay of a line.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewQuotedDiscount)]
struct DiscountBody {
    amount: Amount,
    /// Who would bear it: you, or the line's seller.
    funded_by: FundedByBody,
    /// Where the seller bears it: of which price the commission is; `discounted_price` when absent.
    #[serde(default)]
    commission_of: CommissionOfBody,
}

impl From<DiscountBody> for QuotedDiscount {
    fn from(body: DiscountBody) -> Self {
        Self {
            amount: body.amount.minor(),
            by_platform: matches!(body.funded_by, FundedByBody::Platform),
            commission_of: body.commission_of.into(),
        }
    }
}

/// A line to price.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewFeeQuoteLine)]
struct NewLineBody {
    /// Net of its tax.
    amount: Amount,
    /// Whose it would be. Without, no rule with conditions on sellers or countries is for the line, and there is no volume.
    seller: Option<SellerId>,
    /// Your own category of the goods.
    category: Option<Text<1, 100>>,
    /// What it would be for; `item` when absent.
    #[serde(default, rename = "type")]
    kind: SaleType,
    /// What the buyer would not pay of it.
    discount: Option<DiscountBody>,
}

/// What to price: one line, or a cart.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewFeeQuote, example = json!({"amount": 6000, "currency": "EUR", "category": "books"}))]
struct NewQuoteBody {
    /// Net amount of the line; not with `lines`.
    amount: Option<Amount>,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// The line's seller; not with `lines`.
    seller: Option<SellerId>,
    /// The line's category; not with `lines`.
    category: Option<Text<1, 100>>,
    /// What the line would be for, `item` when absent; not with `lines`.
    #[serde(rename = "type")]
    kind: Option<SaleType>,
    /// What the buyer would not pay of the line; not with `lines`.
    discount: Option<DiscountBody>,
    /// A cart instead of one line: 1 to 200 lines.
    #[schema(min_items = 1, max_items = 200)]
    lines: Option<Vec<NewLineBody>>,
}

impl NewQuoteBody {
    /// The lines, and whether they stand as a cart.
    fn read(self) -> Result<(Vec<QuotedLine>, bool), Problem> {
        let refused = |name: &str, code, detail: &str| Err(Problem::invalid_field(&[name], code, detail));
        let Some(lines) = self.lines else {
            let Some(amount) = self.amount else {
                return refused("amount", &problem_types::MISSING, "give an amount, or lines");
            };
            let kind = self.kind.unwrap_or_default();
            let (seller, category, discount) = (self.seller, self.category, self.discount);
            let line = NewLineBody { amount, seller, category, kind, discount };
            return Ok((vec![line.read()], false));
        };
        for (name, is_given) in [
            ("amount", self.amount.is_some()),
            ("seller", self.seller.is_some()),
            ("category", self.category.is_some()),
            ("type", self.kind.is_some()),
            ("discount", self.discount.is_some()),
        ] {
            if is_given {
                return refused(name, &problem_types::NOT_ALLOWED, "with lines, it stands in each of them");
            }
        }
        match lines.len() {
            0 => refused("lines", &problem_types::TOO_SHORT, "expected 1 to 200 lines, not 0"),
            count if count > MOST_LINES => {
                refused("lines", &problem_types::TOO_LONG, &format!("expected 1 to {MOST_LINES} lines, not {count}"))
            }
            _ => Ok((lines.into_iter().map(NewLineBody::read).collect(), true)),
        }
    }
}

impl NewLineBody {
    fn read(self) -> QuotedLine {
        QuotedLine {
            seller: self.seller,
            kind: self.kind.into(),
            amount: self.amount.minor(),
            discount: self.discount.map(Into::into),
            category: self.category.map(Text::into_string),
        }
    }
}

/// The price of a line.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = FeeQuoteLine)]
struct LineBody {
    /// Its place, from 0.
    line: usize,
    /// Net price of the line, before its discount.
    #[schema(example = 6000)]
    amount: i64,
    /// What the buyer would pay of it.
    #[schema(example = 6000)]
    pays: i64,
    /// What the platform keeps of it, with the tax on that; minor units.
    #[schema(example = 630)]
    commission: i64,
    /// The number of the rule that is for it, from 1; null when none is.
    #[schema(example = 2)]
    rule: Option<i32>,
    /// How the commission comes about.
    #[schema(example = "10 % of 60.00 EUR is 6.00, plus 0.30: 6.30 by rule 2 'books' of policy standard, version 3.")]
    explanation: String,
}

/// The price of a line or a cart.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FeeQuote)]
struct QuoteBody {
    /// Always `fee_quote`.
    #[schema(value_type = String, example = "fee_quote")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    fee_policy: FeePolicyId,
    /// The version that holds now.
    fee_policy_version: i32,
    /// Net amount of all lines.
    #[schema(example = 6000)]
    amount: i64,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// What the platform keeps of them, with the tax on that; minor units.
    #[schema(example = 600)]
    commission: i64,
    /// Each line with its rule.
    lines: Vec<LineBody>,
}

/// What a policy would keep of a line or of a cart, if it were paid now. Changes nothing.
#[utoipa::path(
    post, path = "/v1/fee_policies/{id}/quote", tag = "Fee policies", operation_id = "quote_fee",
    params(("id" = FeePolicyId, Path, description = "The policy")),
    request_body = NewQuoteBody,
    responses((status = 200, description = "The price", body = QuoteBody), Refusals),
)]
async fn quote(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<FeePolicyId>,
    Body(body): Body<NewQuoteBody>,
) -> Result<Json<QuoteBody>, Problem> {
    caller.require("payments:read")?;
    let currency = body.currency;
    let (lines, is_cart) = body.read()?;
    let amounts: Vec<i64> = lines.iter().map(|line| line.amount).collect();
    let quote = payments::quote(&state.app, caller.book, id, currency, lines)
        .await
        .map_err(|error| errors::quote_problem(error, is_cart))?;
    let lines: Vec<LineBody> = quote
        .lines
        .into_iter()
        .zip(amounts)
        .enumerate()
        .map(|(line, (price, amount))| LineBody {
            line,
            amount,
            pays: price.pays,
            commission: price.commission,
            rule: price.fee.rule,
            explanation: price.fee.sentence.unwrap_or_default(),
        })
        .collect();
    Ok(Json(QuoteBody {
        object: "fee_quote",
        mode: caller.mode.as_str(),
        fee_policy: id,
        fee_policy_version: quote.version,
        // Two hundred amounts of 53 bits have 61.
        amount: lines.iter().map(|line| line.amount).sum(),
        currency,
        commission: lines.iter().map(|line| line.commission).sum(),
        lines,
    }))
}
