//! Discounts of a cart: as they are read and shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::problem::Problem;
use super::super::problem_types;
use crate::id::SellerId;
use crate::payments::{CommissionOf, Discount, FundedBy, NewDiscount};

/// Who bears a discount.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DiscountFunder)]
pub(in crate::http) enum FundedByBody {
    /// The seller that the line names: its share is less.
    Seller,
    /// You, out of your commission: sellers have their full shares. No more than the commission, without the tax on it.
    Platform,
}

/// Of which price the commission is, where the seller bears the discount.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DiscountCommissionOf)]
pub(in crate::http) enum CommissionOfBody {
    /// Of what the buyer pays.
    #[default]
    DiscountedPrice,
    /// Of the price before the discount; never more than what the buyer pays.
    FullPrice,
}

impl From<CommissionOfBody> for CommissionOf {
    fn from(body: CommissionOfBody) -> Self {
        match body {
            CommissionOfBody::DiscountedPrice => Self::DiscountedPrice,
            CommissionOfBody::FullPrice => Self::FullPrice,
        }
    }
}

/// What only discounts say.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) funded_by: Option<FundedByBody>,
    pub(super) commission_of: Option<CommissionOfBody>,
    pub(super) on: Option<Vec<u16>>,
}

impl Given {
    /// Refuses them on a line that is none.
    pub(super) fn refuse(&self, at: usize) -> Result<(), Problem> {
        for (name, is_given) in [
            ("funded_by", self.funded_by.is_some()),
            ("commission_of", self.commission_of.is_some()),
            ("on", self.on.is_some()),
        ] {
            if is_given {
                let place = ["lines", &at.to_string(), name];
                return Err(Problem::invalid_field(&place, &problem_types::NOT_ALLOWED, "only discounts have it"));
            }
        }
        Ok(())
    }

    /// The discount that stands at this place of a cart.
    pub(super) fn read(self, at: usize, seller: Option<SellerId>, amount: i64) -> Result<NewDiscount, Problem> {
        let fault = |name: &str, code, detail: &str| {
            Err(Problem::invalid_field(&["lines", &at.to_string(), name], code, detail))
        };
        let funded_by = match (self.funded_by, seller) {
            (None, _) => return fault("funded_by", &problem_types::MISSING, "a discount says who bears it"),
            (Some(FundedByBody::Seller), None) => {
                return fault("seller", &problem_types::MISSING, "a seller's discount names the seller");
            }
            (Some(FundedByBody::Platform), Some(_)) => {
                return fault("seller", &problem_types::NOT_ALLOWED, "the platform bears it: name lines by `on`");
            }
            (Some(FundedByBody::Seller), Some(seller)) => FundedBy::Seller(seller),
            (Some(FundedByBody::Platform), None) => FundedBy::Platform,
        };
        if funded_by == FundedBy::Platform && self.commission_of.is_some() {
            let detail = "where the platform bears the discount, the commission is that of the full price";
            return fault("commission_of", &problem_types::NOT_ALLOWED, detail);
        }
        if self.on.as_ref().is_some_and(Vec::is_empty) {
            return fault("on", &problem_types::TOO_SHORT, "name at least one line, or leave it out");
        }
        Ok(NewDiscount {
            line: i32::try_from(at).expect("a cart has few lines"),
            amount,
            funded_by,
            commission_of: self.commission_of.unwrap_or_default().into(),
            on: self.on.map(|lines| lines.into_iter().map(i32::from).collect()),
        })
    }
}

/// What a line has of a discount; minor units.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = DiscountPart)]
struct PartBody {
    /// The line, from 0.
    line: i32,
    /// What the buyer does not pay of it.
    #[schema(example = 600)]
    amount: i64,
}

/// What the buyer did not pay, and who bears it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PaymentDiscount)]
pub(super) struct DiscountBody {
    /// Its place in the cart, from 0.
    line: i32,
    /// Minor units.
    #[schema(example = 1000)]
    amount: i64,
    /// `seller` or `platform`.
    #[schema(value_type = String, example = "platform")]
    funded_by: &'static str,
    /// The seller that bears it.
    seller: Option<SellerId>,
    /// `discounted_price` or `full_price`: of which price the commission is, where a seller bears it.
    #[schema(value_type = String, example = "discounted_price")]
    commission_of: &'static str,
    /// How it is spread, in the order of the lines.
    parts: Vec<PartBody>,
}

impl From<Discount> for DiscountBody {
    fn from(discount: Discount) -> Self {
        Self {
            line: discount.line,
            amount: discount.amount,
            funded_by: discount.funded_by.as_str(),
            seller: discount.funded_by.seller(),
            commission_of: discount.commission_of.as_str(),
            parts: discount.parts.into_iter().map(|(line, amount)| PartBody { line, amount }).collect(),
        }
    }
}
