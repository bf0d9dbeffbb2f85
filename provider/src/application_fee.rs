//! What a platform keeps of charges that are made on connected accounts.

use crate::money::Money;
use crate::object::BalanceTransaction;

/// What the platform kept of a charge on a connected account: an object of the platform's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationFee {
    /// Id at the provider.
    pub id: String,
    /// What was kept.
    pub amount: Money,
    /// The connected account's id at the provider.
    pub account: String,
    /// The charge's id there.
    pub charge: String,
    /// The movement on the platform's balance; none yet.
    pub balance_transaction: Option<BalanceTransaction>,
    /// What of it went back, newest first; providers may leave out old ones.
    pub refunds: Vec<ApplicationFeeRefund>,
    /// Whether real money moves.
    pub livemode: bool,
}

/// A part of an application fee that went back to the connected account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationFeeRefund {
    /// Id at the provider.
    pub id: String,
    /// What went back; minor units of the fee's currency.
    pub amount: i64,
    /// The movement on the platform's balance; none yet.
    pub balance_transaction: Option<BalanceTransaction>,
}
