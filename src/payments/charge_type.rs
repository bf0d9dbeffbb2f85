//! How a charge reaches its sellers: each payment says it, or its platform's declaration does, where it can be done. Pure, but for
//! [`declare_charge_policy`].

use std::collections::HashMap;
use std::sync::Arc;

use partita_db::{BookId, Scope};
use partita_provider::{Destination, Money};

use super::direct::{self, Direct};
use super::{Line, NewPayment, PaymentError, released_shares, seller_shares, store};
use crate::actor::Actor;
use crate::app::App;
use crate::chart::SellerNumber;
use crate::id::SellerId;
use crate::outbox::{self, Declaration};
use crate::sellers::Seller;

/// How a charge reaches its sellers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChargeType {
    /// It stays with the platform; sellers are sent their shares by transfers of ours once it is usable.
    Separate,
    /// The provider sends the one seller its share with the charge.
    Destination,
    /// It is made on the one seller's own account, and the platform keeps an application fee of it.
    Direct,
}

impl ChargeType {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Separate => "separate",
            Self::Destination => "destination",
            Self::Direct => "direct",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Separate, Self::Destination, Self::Direct].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// How payments are charged that do not say it themselves; those that cannot be sent with the charge are separate charges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChargePolicy {
    /// Which declaration; 0 is what holds without any.
    pub version: i32,
    /// How.
    pub charge_type: ChargeType,
    /// Whether the one seller is who the buyer buys from, to card networks and on statements.
    pub on_behalf_of: bool,
}

impl Default for ChargePolicy {
    fn default() -> Self {
        Self { version: 0, charge_type: ChargeType::Separate, on_behalf_of: false }
    }
}

/// How one payment is charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) charge_type: ChargeType,
    /// Who the buyer buys from, to card networks.
    pub(super) on_behalf_of: Option<SellerId>,
    /// The same, as the provider names it.
    pub(super) on_behalf_of_account: Option<String>,
    /// What the provider sends, and where.
    pub(super) destination: Option<Destination>,
    /// On whose account the charge is made.
    pub(super) direct: Option<Direct>,
}

/// Decides how a priced cart is charged, and refuses what no provider could do. `stays`: why the one
/// seller's share cannot leave with the charge, or be charged on its account.
pub(super) fn route(
    input: &NewPayment,
    lines: &[Line],
    sellers: &HashMap<SellerId, Seller>,
    policy: ChargePolicy,
    stays: Option<PaymentError>,
) -> Result<Route, PaymentError> {
    let mut direct = None;
    let destination = match input.charge_type.unwrap_or(policy.charge_type) {
        ChargeType::Separate => None,
        ChargeType::Direct => {
            direct = match direct::decide(input, lines, sellers, stays) {
                Err(_) if input.charge_type.is_none() => None,
                decided => Some(decided?),
            };
            None
        }
        ChargeType::Destination => match destination(input, lines, sellers, stays) {
            Err(_) if input.charge_type.is_none() => None,
            decided => Some(decided?),
        },
    };
    let charge_type = match (&destination, &direct) {
        (Some(_), _) => ChargeType::Destination,
        (None, Some(_)) => ChargeType::Direct,
        (None, None) => ChargeType::Separate,
    };
    let of_policy = input.charge_type.is_none() && policy.on_behalf_of;
    let named = input.on_behalf_of.map(|id| merchant(id, lines, sellers).map(|account| (id, account))).transpose()?;
    // What is declared holds where it can be done.
    let declared = || {
        let seller = only_seller(lines).ok().flatten().filter(|_| of_policy)?;
        merchant(seller, lines, sellers).ok().map(|account| (seller, account))
    };
    let (on_behalf_of, on_behalf_of_account) = named.or_else(declared).unzip();
    Ok(Route { charge_type, on_behalf_of, on_behalf_of_account, destination, direct })
}

/// The one seller of a cart; none without any. Two are refused at the line of the second.
pub(super) fn only_seller(lines: &[Line]) -> Result<Option<SellerId>, PaymentError> {
    let mut only = None;
    for (index, line) in lines.iter().enumerate() {
        match (only, line.seller) {
            (_, None) => {}
            (None, Some((id, _))) => only = Some(id),
            (Some(first), Some((id, _))) if first == id => {}
            (Some(_), Some(_)) => return Err(PaymentError::SeveralSellers { line: index }),
        }
    }
    Ok(only)
}

fn destination(
    input: &NewPayment,
    lines: &[Line],
    sellers: &HashMap<SellerId, Seller>,
    stays: Option<PaymentError>,
) -> Result<Destination, PaymentError> {
    let id = only_seller(lines)?.ok_or(PaymentError::NothingToSend)?;
    if let Some(why) = stays {
        return Err(why);
    }
    let line = lines.iter().position(|line| line.seller.is_some()).unwrap_or(0);
    let seller = sellers.get(&id).ok_or(PaymentError::UnknownSeller { line })?;
    let account = seller.account.clone().filter(|_| seller.standing.transfers_active);
    let account = account.ok_or(PaymentError::SellerNotReady { line })?;
    let amount = sent(lines);
    if amount < 1 {
        return Err(PaymentError::NothingToSend);
    }
    Ok(Destination { account, amount: Money::new(amount, input.amount.currency) })
}

/// The share of a cart's one seller, as far as it was captured: what is sent with the charge; minor units.
pub(super) fn sent(lines: &[Line]) -> i64 {
    seller_shares(lines).into_values().map(|(_, share)| share).sum()
}

fn merchant(id: SellerId, lines: &[Line], sellers: &HashMap<SellerId, Seller>) -> Result<String, PaymentError> {
    if !lines.iter().any(|line| line.seller.is_some_and(|(seller, _)| seller == id)) {
        return Err(PaymentError::MerchantNotInCart);
    }
    let seller = sellers.get(&id).ok_or(PaymentError::MerchantNotInCart)?;
    let takes_cards = seller.standing.capabilities.get("card_payments").is_some_and(|status| status == "active");
    seller.account.clone().filter(|_| takes_cards).ok_or(PaymentError::MerchantNotReady)
}

/// What becomes usable of each seller's share with the payment's money: the share of the lines that do not wait, less what the
/// provider has sent with the charge and what of that has not come back, which only a payment with one seller has. Below zero where
/// refunds have taken more than was left.
pub fn to_release(lines: &[Line], sent_with_charge: i64) -> Vec<(SellerNumber, i64)> {
    released_shares(lines).into_iter().map(|(number, (_, share))| (number, share - sent_with_charge)).collect()
}

/// Declares how payments are charged from now on that do not say it themselves.
///
/// # Errors
/// What the database says.
pub async fn declare_charge_policy(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    policy: ChargePolicy,
) -> Result<ChargePolicy, PaymentError> {
    let now = app.clock.now();
    app.db
        .run_tx("declare charge policy", Scope::Book(book), move |tx| {
            Box::pin(async move {
                outbox::lock_declaration(tx, Declaration::ChargePolicy).await?;
                let declared = store::insert_charge_policy(tx, policy, actor, now).await?;
                let payload = serde_json::json!({
                    "object": "charge_policy", "version": declared.version, "charge_type": declared.charge_type.as_str(),
                    "on_behalf_of": declared.on_behalf_of,
                });
                outbox::record_declaration(tx, Declaration::ChargePolicy, payload, actor, None, now).await?;
                Ok(declared)
            })
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payments::worked_cart::{A, line, worked_cart};

    #[test]
    fn of_60_00_with_tax_and_commission_54_00_are_sent_and_nothing_is_left_to_release() {
        let cart = vec![line(0, Some(A), 60_00, 12_00, 6_00), line(1, None, 5_00, 0, 0)];
        assert_eq!(sent(&cart), 54_00);
        assert_eq!(to_release(&cart, 54_00), [(A, 0)]);
    }

    #[test]
    fn what_a_refund_took_before_the_release_is_missing_after_it() {
        let mut cart = vec![line(0, Some(A), 60_00, 12_00, 6_00)];
        (cart[0].refunded_amount, cart[0].refunded_tax, cart[0].returned_commission) = (25_00, 5_00, 2_50);
        assert_eq!(to_release(&cart, 54_00), [(A, -22_50)]);
        assert_eq!(to_release(&cart, 54_00 - 22_50), [(A, 0)], "what has come back already");
        assert_eq!(to_release(&cart, 0), [(A, 31_50)]);
    }

    #[test]
    fn the_second_seller_of_a_cart_is_told_by_its_line() {
        let mut cart = worked_cart();
        let other = SellerId::new();
        cart[1].seller = Some((other, crate::payments::worked_cart::B));
        assert!(matches!(only_seller(&cart), Err(PaymentError::SeveralSellers { line: 1 })));
        assert_eq!(only_seller(&cart[1..]).expect("one"), Some(other));
        assert_eq!(only_seller(&[line(0, None, 1, 0, 0)]).expect("none"), None);
    }
}
