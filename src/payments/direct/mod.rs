//! Direct charges: made on the seller's own account at the provider, as the seller's sale. Of each the platform keeps an
//! application fee: the commission. The rest, with what the processor keeps, refunds and disputes of it, is the seller's and only
//! mirrored here.
//!
//! 1. [`decide`] refuses what cannot be one; the command is sent for the account.
//! 2. The charge's movement on the account is booked when it is seen ([`apply`]), and its application fee becomes due to be read.
//! 3. The fee is an object of the platform's own: its movement, and those of what goes back of it, are booked by [`apply_fee`],
//!    whoever brings them.

mod apply;
pub(crate) mod entries;

use std::collections::HashMap;

use jiff::Timestamp;
use partita_db::{DbError, Tx};
use partita_provider::CaptureMethod;

pub use apply::{apply_fee, release_direct};
pub(super) use apply::{fail_late, succeed};

use super::charge_type::only_seller;
use super::{ChargeType, Line, LineKind, NewPayment, Payment, PaymentError, TaxLiability, proportion, store};
use crate::chart::SellerNumber;
use crate::due;
use crate::id::{PaymentId, SellerId};
use crate::sellers::Seller;

/// The kind of `due` rows that name payments whose application fee is to be read.
pub const FEE_DUE_KIND: &str = "application_fee";

/// What movements of a seller's account belong to that a direct charge made.
pub(crate) const DIRECT_CHARGE: &str = "direct_charge";

/// How a direct charge is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Direct {
    pub(super) seller: SellerId,
    /// The seller's account at the provider.
    pub(super) account: String,
    /// What the platform keeps; minor units.
    pub(super) application_fee: i64,
    /// Of that, the tax on the commission.
    pub(super) vat: i64,
}

/// A direct charge as it is stored; amounts in minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectCharge {
    /// Whose payment it is of.
    pub payment: PaymentId,
    /// Who sells.
    pub seller: SellerId,
    /// The seller as the ledger knows it.
    pub number: SellerNumber,
    /// The seller's account at the provider.
    pub account: String,
    /// What the platform keeps.
    pub application_fee: i64,
    /// Of that, the tax on the commission.
    pub vat: i64,
    /// The application fee's id at the provider.
    pub provider_fee: Option<String>,
    /// Whether it came onto the platform's balance.
    pub fee_received: bool,
    /// What of it went back.
    pub returned_fee: i64,
    /// Of that, the tax on the commission.
    pub returned_vat: i64,
}

impl DirectCharge {
    /// What a refund of `gross` of a charge of `charged` is expected to give back of the application fee: its proportion, at most
    /// what is left. What the provider gives back is booked.
    pub fn fee_of(&self, gross: i64, charged: i64) -> i64 {
        proportion(self.application_fee, gross.min(charged), charged).min(self.application_fee - self.returned_fee)
    }
}

/// Why a payment cannot be a direct charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotDirect {
    /// It names a merchant.
    #[error("the seller of a direct charge is its merchant: nobody else can be named")]
    OnBehalfOf,
    /// The amount is to be held first.
    #[error("a direct charge is captured at once")]
    CapturedLater,
    /// A customer of the platform's is to pay.
    #[error("a customer and its saved payment methods are the platform's: the seller's account cannot charge them")]
    CustomerOfPlatform,
    /// No line has a seller.
    #[error("a direct charge needs a seller")]
    NoSeller,
    /// The platform sells something in it.
    #[error("line {line} is the platform's own: a direct charge is all of its seller's")]
    PlatformLine {
        /// The line, from 0.
        line: usize,
    },
    /// The platform would owe a tax of it.
    #[error("line {line}: the seller of a direct charge owes its taxes")]
    PlatformTax {
        /// The line, from 0.
        line: usize,
    },
    /// Its seller may not take cards.
    #[error("line {line} names a seller who cannot charge buyers yet")]
    SellerTakesNoCards {
        /// The line, from 0.
        line: usize,
    },
}

/// Decides how a priced cart is charged on its seller's account, or why it cannot be. `stays`: why the seller's share must pass
/// through the platform.
pub(super) fn decide(
    input: &NewPayment,
    lines: &[Line],
    sellers: &HashMap<SellerId, Seller>,
    stays: Option<PaymentError>,
) -> Result<Direct, PaymentError> {
    if input.on_behalf_of.is_some() {
        return Err(NotDirect::OnBehalfOf.into());
    }
    if input.capture == CaptureMethod::Manual {
        return Err(NotDirect::CapturedLater.into());
    }
    if input.payer.customer.is_some() || input.payer.method.is_some() {
        return Err(NotDirect::CustomerOfPlatform.into());
    }
    for (line, of) in lines.iter().enumerate() {
        if of.kind == LineKind::Platform {
            return Err(NotDirect::PlatformLine { line }.into());
        }
        if of.tax_amount > 0 && of.tax_liability == TaxLiability::Platform {
            return Err(NotDirect::PlatformTax { line }.into());
        }
    }
    let seller = only_seller(lines)?.ok_or(NotDirect::NoSeller)?;
    if let Some(why) = stays {
        return Err(why);
    }
    let takes_cards =
        |seller: &&Seller| seller.standing.capabilities.get("card_payments").is_some_and(|status| status == "active");
    let account = sellers.get(&seller).filter(takes_cards).and_then(|seller| seller.account.clone());
    Ok(Direct {
        seller,
        account: account.ok_or(NotDirect::SellerTakesNoCards { line: 0 })?,
        application_fee: lines.iter().map(|line| line.commission).sum(),
        vat: lines.iter().map(|line| line.commission_vat).sum(),
    })
}

/// The direct charge of a payment; none of a payment that is charged otherwise.
///
/// # Errors
/// What the database says.
pub async fn find_direct(tx: &mut Tx, payment: &Payment) -> Result<Option<DirectCharge>, DbError> {
    match payment.charge_type {
        ChargeType::Direct => store::find_direct(tx, payment.id).await,
        ChargeType::Separate | ChargeType::Destination => Ok(None),
    }
}

/// Whether an object of a payment may have been told by this account; empty for the platform's own.
pub fn is_told_by(direct: Option<&DirectCharge>, account: &str) -> bool {
    direct.map_or("", |direct| direct.account.as_str()) == account
}

/// Has the application fee of a payment read, with what went back of it.
///
/// # Errors
/// What the database says.
pub async fn schedule_fee(
    tx: &mut Tx,
    payment: &Payment,
    direct: &DirectCharge,
    now: Timestamp,
) -> Result<(), DbError> {
    if direct.application_fee > 0 {
        due::schedule(tx, FEE_DUE_KIND, payment.key, now).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(returned_fee: i64) -> DirectCharge {
        DirectCharge {
            payment: PaymentId::new(),
            seller: SellerId::new(),
            number: SellerNumber(1),
            account: "acct_1".to_owned(),
            application_fee: 10_00,
            vat: 0,
            provider_fee: None,
            fee_received: true,
            returned_fee,
            returned_vat: 0,
        }
    }

    #[test]
    fn of_a_fee_of_10_on_120_a_refund_of_30_gives_back_2_50_and_never_more_than_is_left() {
        assert_eq!(charge(0).fee_of(30_00, 120_00), 2_50);
        assert_eq!(charge(0).fee_of(120_00, 120_00), 10_00);
        assert_eq!(charge(0).fee_of(10_00, 120_00), 83, "0.8333");
        assert_eq!(charge(9_00).fee_of(30_00, 120_00), 1_00);
    }

    #[test]
    fn an_object_is_told_by_the_account_it_is_on_and_by_no_other() {
        assert!(is_told_by(Some(&charge(0)), "acct_1") && is_told_by(None, ""));
        assert!(!is_told_by(Some(&charge(0)), "acct_2") && !is_told_by(Some(&charge(0)), ""));
        assert!(!is_told_by(None, "acct_1"));
    }
}
