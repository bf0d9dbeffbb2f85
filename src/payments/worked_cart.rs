//! For tests: the cart that the postings are worked out for by hand in docs/ledger.md, and lines of others.

use uuid::Uuid;

use super::{Line, LineKind, Remaining, Standing, TaxLiability};
use crate::chart::SellerNumber;
use crate::id::SellerId;

/// Seller A.
pub(crate) const A: SellerNumber = SellerNumber(1);
/// Seller B.
pub(crate) const B: SellerNumber = SellerNumber(2);

/// A line of which nothing was refunded or disputed; without a seller it is the platform's.
pub(crate) fn line(number: i32, seller: Option<SellerNumber>, amount: i64, tax_amount: i64, commission: i64) -> Line {
    Line {
        number,
        kind: if seller.is_some() { LineKind::Item } else { LineKind::Platform },
        seller: seller.map(|seller| (SellerId::from(Uuid::nil()), seller)),
        amount,
        tax_amount,
        tax_liability: TaxLiability::Platform,
        tax_jurisdiction: None,
        category: None,
        commission,
        commission_vat: 0,
        fee_policy: None,
        refunded_amount: 0,
        refunded_tax: 0,
        returned_commission: 0,
        returned_vat: 0,
        disputed_amount: 0,
        disputed_tax: 0,
        disputed_commission: 0,
        disputed_vat: 0,
        withheld_share: 0,
        passed_fee: 0,
        failed: Remaining::default(),
        uncaptured: Remaining::default(),
        standing: Standing::WithPayment,
    }
}

/// EUR 120.00 = A 60 and tax 12, B 40 and tax 8; commission 6 and 4: shares of 54 and 36.
pub(crate) fn worked_cart() -> Vec<Line> {
    vec![line(0, Some(A), 60_00, 12_00, 6_00), line(1, Some(B), 40_00, 8_00, 4_00)]
}
