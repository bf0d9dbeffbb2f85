//! The split of a cart: pricing its lines, and what each seller gets of it. Pure.

use std::collections::{BTreeMap, HashMap};

use super::{Line, NewLine, NewPayment, PaymentError, Policies, TaxLiability};
use crate::chart::SellerNumber;
use crate::fees::commission;
use crate::id::SellerId;
use crate::sellers::{Seller, SellerStatus};

/// Refuses a cart whose lines and taxes do not make its amount.
pub(super) fn check_sum(input: &NewPayment) -> Result<(), PaymentError> {
    let sum: i128 = input.lines.iter().map(|line| i128::from(line.amount) + i128::from(line.tax_amount)).sum();
    if sum == i128::from(input.amount.minor) {
        Ok(())
    } else {
        Err(PaymentError::WrongSum { sum, amount: input.amount.minor })
    }
}

/// Prices every line by its policy.
pub(super) fn price(
    input: &NewPayment,
    sellers: &HashMap<SellerId, Seller>,
    policies: &Policies,
) -> Result<Vec<Line>, PaymentError> {
    input.lines.iter().enumerate().map(|(index, line)| price_line(index, line, input, sellers, policies)).collect()
}

fn price_line(
    index: usize,
    line: &NewLine,
    input: &NewPayment,
    sellers: &HashMap<SellerId, Seller>,
    policies: &Policies,
) -> Result<Line, PaymentError> {
    let currency = input.amount.currency;
    if line.seller.is_none() && line.tax_liability == TaxLiability::Seller {
        return Err(PaymentError::TaxOfNoSeller { line: index });
    }
    let seller = match line.seller {
        None => None,
        Some(id) => {
            let seller = sellers.get(&id).ok_or(PaymentError::UnknownSeller { line: index })?;
            if seller.status == SellerStatus::Failed {
                return Err(PaymentError::SellerFailed { line: index });
            }
            if seller.default_currency != currency {
                return Err(PaymentError::SellerCurrency {
                    line: index,
                    seller: seller.default_currency,
                    payment: currency,
                });
            }
            Some((id, seller.number))
        }
    };
    // What the platform sells itself is all the platform's; there is nothing to take a commission of.
    let policy = match line.fee_policy {
        _ if seller.is_none() => None,
        Some(id) => policies.named.get(&id),
        None => policies.default.as_ref(),
    };
    Ok(Line {
        number: i32::try_from(index).expect("a cart has few lines"),
        kind: line.kind,
        seller,
        amount: line.amount,
        tax_amount: line.tax_amount,
        tax_liability: line.tax_liability,
        tax_jurisdiction: line.tax_jurisdiction.clone(),
        category: line.category.clone(),
        commission: policy.map_or(0, |policy| commission(&policy.terms, line.amount, currency)),
        fee_policy: policy.map(|policy| (policy.id, policy.version)),
        refunded_amount: 0,
        refunded_tax: 0,
        returned_commission: 0,
    })
}

/// What is left of a line after its refunds; minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remaining {
    /// Of the net amount.
    pub amount: i64,
    /// Of the tax.
    pub tax: i64,
    /// Of the commission.
    pub commission: i64,
}

impl Line {
    /// What is left of it after its refunds.
    pub fn remaining(&self) -> Remaining {
        Remaining {
            amount: self.amount - self.refunded_amount,
            tax: self.tax_amount - self.refunded_tax,
            commission: self.commission - self.returned_commission,
        }
    }

    /// The tax that the seller gets and owes; none when the platform owes it.
    pub(crate) fn sellers_tax(&self, tax: i64) -> i64 {
        match self.tax_liability {
            TaxLiability::Seller => tax,
            TaxLiability::Platform => 0,
        }
    }
}

/// What each seller is entitled to of a payment, after commission and refunds, in the order of their numbers; minor
/// units. Negative when the platform kept its commission of goods that were given back.
pub fn seller_shares(lines: &[Line]) -> BTreeMap<SellerNumber, (SellerId, i64)> {
    let mut shares = BTreeMap::new();
    for line in lines {
        let Some((id, number)) = line.seller else { continue };
        let left = line.remaining();
        let share = &mut shares.entry(number).or_insert((id, 0_i64)).1;
        *share += left.amount + line.sellers_tax(left.tax) - left.commission;
    }
    shares
}
