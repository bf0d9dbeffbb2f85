//! Buyers who come again, and their payment methods.

use std::collections::BTreeMap;

use crate::object::ClientAction;
use crate::port::Refusal;

/// A buyer who comes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// Id at the provider.
    pub id: String,
    /// What was kept with the object.
    pub metadata: BTreeMap<String, String>,
}

/// Where the set-up of a payment method stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetupStatus {
    /// The method was refused.
    RequiresPaymentMethod,
    /// The buyer must do something.
    RequiresAction,
    /// The provider works on it.
    Processing,
    /// It can be charged.
    Succeeded,
    /// Given up.
    Canceled,
    /// A word that this version does not know.
    Other(String),
}

/// A payment method being set up for later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Id at the provider.
    pub id: String,
    /// Where it stands.
    pub status: SetupStatus,
    /// Whose it is.
    pub customer: Option<String>,
    /// The method, when the provider was asked to include it.
    pub method: Option<Method>,
    /// What the buyer has to do, while the provider waits for it.
    pub client_action: Option<ClientAction>,
    /// Why the last try failed.
    pub last_error: Option<Refusal>,
    /// What was kept with the object.
    pub metadata: BTreeMap<String, String>,
}

/// A payment method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// Id at the provider: the token that is charged.
    pub id: String,
    /// Whose it is; none for one that is saved with nobody, or not any more.
    pub customer: Option<String>,
    /// The provider's word for its type: `card`.
    pub kind: String,
    /// What a buyer tells a card by.
    pub card: Option<CardLooks>,
}

/// What a buyer tells a card by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardLooks {
    /// The brand.
    pub brand: String,
    /// The last four digits.
    pub last4: String,
    /// The month in which it expires, from 1.
    pub expires_month: i64,
    /// The year in which it expires.
    pub expires_year: i64,
}
