//! Instant payouts: what a seller has on its account is with its bank within minutes, for a fee of the platform's.
//!
//! The fee is declared here, in versions, so that it can be quoted before anything moves. The provider takes it with the payout
//! itself, by the pricing that the platform has set there, and gives it back when the payout comes back; what it says is booked,
//! and stands beside what was quoted. A fee that the platform keeps all the same is taken by an adjustment.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, Scope, Tx};
use partita_provider::{Currency, InstantAmount, Money, Provider};

use super::decision::decide;
use super::schedule::standing_of;
use super::{Payout, PayoutError, store};
use crate::actor::Actor;
use crate::adjustments::{self, Direction, NewAdjustment, Reason};
use crate::app::App;
use crate::fees::{self, FeeAmounts, FeeTerms, Sale, SaleKind};
use crate::id::SellerId;
use crate::journal::Journal;
use crate::outbox::{self, Declaration};
use crate::sellers::{self, Seller};
use crate::transfers;
use crate::words::words;

words! {
    /// What becomes of the fee of a payout that comes back.
    WhenFailed {
        /// The seller has it again.
        Returned = "returned",
        /// The platform keeps it.
        Kept = "kept",
    }
}

/// What sellers pay for instant payouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstantPolicy {
    /// Which declaration; 0 is what holds without any: nothing.
    pub version: i32,
    /// Basis points of what is sent, rounded half up.
    pub percent_bps: i32,
    /// Fixed part and bounds by currency; minor units.
    pub amounts: BTreeMap<Currency, FeeAmounts>,
    /// What becomes of it when the payout comes back.
    pub when_failed: WhenFailed,
}

impl Default for InstantPolicy {
    fn default() -> Self {
        Self { version: 0, percent_bps: 0, amounts: BTreeMap::new(), when_failed: WhenFailed::Returned }
    }
}

impl InstantPolicy {
    /// The fee for sending an amount, never more than that; minor units.
    pub fn fee(&self, amount: Money) -> i64 {
        let terms = FeeTerms::flat(self.percent_bps, self.amounts.clone());
        let sale = Sale {
            seller: None,
            country: None,
            currency: amount.currency,
            category: None,
            kind: SaleKind::Item,
            amount: amount.minor,
        };
        fees::price(&terms, &sale, 0).map_or(0, |priced| priced.calculation.commission)
    }

    /// The most that can be sent of what there is, so that the fee can be paid of it too; minor units.
    pub fn largest(&self, there: Money) -> i64 {
        // A larger amount never costs less, so that amount and fee together grow with the amount.
        let (mut fits, mut too_much) = (0, there.minor.max(0).saturating_add(1));
        while too_much - fits > 1 {
            let middle = fits + (too_much - fits) / 2;
            let fee = self.fee(Money::new(middle, there.currency));
            if middle.checked_add(fee).is_some_and(|sum| sum <= there.minor) {
                fits = middle;
            } else {
                too_much = middle;
            }
        }
        fits
    }
}

/// What an instant payout would be.
#[derive(Debug, Clone)]
pub struct Quote {
    /// What would be sent.
    pub amount: Money,
    /// The most that can be sent now; minor units.
    pub most: i64,
    /// What it would cost the seller, beside the amount; minor units.
    pub fee: i64,
    /// Where it would go, by its id at the provider.
    pub destination: String,
    /// By which version of which policy.
    pub policy: InstantPolicy,
}

/// What of a seller's account the provider says can be sent at once, asked before any transaction; or why it could not be asked.
pub(super) type Offer = Result<Vec<InstantAmount>, String>;

/// Asks the provider what can be sent at once. A seller without account has nothing to send.
pub(super) async fn offer(
    app: &Arc<App>,
    book: BookId,
    provider: &dyn Provider,
    seller: SellerId,
) -> Result<Offer, PayoutError> {
    let found = app
        .db
        .read("account of an instant payout", Scope::Book(book), move |tx| {
            Box::pin(async move { sellers::find(tx, seller).await })
        })
        .await?;
    let Some(account) = found.and_then(|seller| seller.account) else { return Ok(Ok(Vec::new())) };
    Ok(provider.balance(Some(&account)).await.map(|balance| balance.instant).map_err(|error| error.to_string()))
}

/// What an instant payout of a seller, which is locked, would be.
pub(super) async fn quote(
    tx: &mut Tx,
    provider: &dyn Provider,
    seller: &Seller,
    offer: &Offer,
    asked: Option<Money>,
) -> Result<Quote, PayoutError> {
    let currency = seller.default_currency;
    if asked.is_some_and(|amount| amount.currency != currency) {
        return Err(PayoutError::OtherCurrency { currency });
    }
    let refused = |reason| PayoutError::NotPayable { reason };
    if sellers::find_bank_details(tx, &[seller.id]).await?.pop().is_some() {
        return Err(refused("paid_by_bank_file"));
    }
    let policy = store::find_instant_policy(tx, None).await?;
    let standing = standing_of(tx, seller, None).await?;
    let fits = |minor| provider.payable(Money::new(policy.largest(Money::new(minor, currency)), currency));
    let covered = decide(&standing, 0, fits).map_err(|reason| refused(reason.as_str()))?;
    let offer = offer.as_ref().map_err(|why| PayoutError::ProviderUnavailable(why.clone()))?;
    let best = best_of(offer, seller.standing.bank_account.as_deref(), currency);
    let best = best.ok_or_else(|| refused("instant_not_supported"))?;
    let most = covered.min(provider.payable(best.amount));
    if most < 1 {
        return Err(refused("nothing_to_pay"));
    }
    let amount = asked.unwrap_or(Money::new(most, currency));
    if amount.minor > most {
        return Err(PayoutError::TooMuch { payable: Money::new(most, currency) });
    }
    let (fee, destination) = (policy.fee(amount), best.destination.clone());
    Ok(Quote { amount, most, fee, destination, policy })
}

/// The seller's bank account if it takes payouts at once, else whichever does.
fn best_of<'a>(offer: &'a [InstantAmount], account: Option<&str>, currency: Currency) -> Option<&'a InstantAmount> {
    let fits = |one: &&InstantAmount| one.amount.currency == currency;
    let own = offer.iter().filter(fits).find(|one| Some(one.destination.as_str()) == account);
    own.or_else(|| offer.iter().find(fits))
}

/// What an instant payout would be; nothing moves and nothing is kept.
///
/// # Errors
/// As [`super::create`].
pub async fn preview(
    app: &Arc<App>,
    book: BookId,
    seller: SellerId,
    asked: Option<Money>,
) -> Result<Quote, PayoutError> {
    let provider = app.provider(book).await?;
    let offer = Arc::new(offer(app, book, &*provider, seller).await?);
    app.db
        .run_tx("preview instant payout", Scope::Book(book), move |tx| {
            let (provider, offer) = (Arc::clone(&provider), Arc::clone(&offer));
            Box::pin(async move {
                let seller = sellers::find_by_id_for_update(tx, seller).await?.ok_or(PayoutError::SellerUnknown)?;
                quote(tx, &*provider, &seller, &offer, asked).await
            })
        })
        .await
}

/// A payout came back, and its fee with it: one that the platform keeps is taken by an adjustment, which the seller's next sales
/// pay.
pub(super) async fn keep_fee(
    tx: &mut Tx,
    payout: &Payout,
    returned: i64,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), PayoutError> {
    let Some((version, _)) = payout.fee.quoted.filter(|_| returned > 0) else { return Ok(()) };
    if store::find_instant_policy(tx, Some(version)).await?.when_failed == WhenFailed::Returned {
        return Ok(());
    }
    let kept = NewAdjustment {
        reference: format!("fee-{}", payout.id),
        seller: payout.seller,
        direction: Direction::Debit,
        amount: Money::new(returned, payout.amount.currency),
        reason: Reason::Penalty,
        note: format!("the fee of the instant payout {}, which came back", payout.id),
        reverses: None,
        metadata: serde_json::json!({}),
    };
    let adjustment = adjustments::create(tx, Actor::System, &kept, true, journal, now).await?;
    Ok(transfers::schedule_rebalance(tx, adjustment.key, now).await?)
}

/// Declares what sellers pay for instant payouts that are asked from now on.
///
/// # Errors
/// What the database says.
pub async fn declare_policy(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    policy: InstantPolicy,
) -> Result<InstantPolicy, PayoutError> {
    let now = app.clock.now();
    let policy = Arc::new(policy);
    app.db
        .run_tx("declare instant payout policy", Scope::Book(book), move |tx| {
            let policy = Arc::clone(&policy);
            Box::pin(async move {
                outbox::lock_declaration(tx, Declaration::InstantPayoutPolicy).await?;
                let version = store::insert_instant_policy(tx, &policy, actor, now).await?;
                let payload = serde_json::json!({
                    "object": "instant_payout_policy", "version": version, "percent_bps": policy.percent_bps,
                    "amounts": policy.amounts, "when_failed": policy.when_failed.as_str(),
                });
                outbox::record_declaration(tx, Declaration::InstantPayoutPolicy, payload, actor, None, now).await?;
                Ok(InstantPolicy { version, ..(*policy).clone() })
            })
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eur(minor: i64) -> Money {
        Money::new(minor, Currency::parse("EUR").expect("a currency"))
    }

    fn policy(percent_bps: i32, fixed: i64, minimum: Option<i64>, maximum: Option<i64>) -> InstantPolicy {
        let amounts = BTreeMap::from([(eur(0).currency, FeeAmounts { fixed, minimum, maximum })]);
        InstantPolicy { version: 1, percent_bps, amounts, when_failed: WhenFailed::Returned }
    }

    #[test]
    fn of_32_50_with_a_fee_of_0_50_the_most_is_32_00() {
        let fixed = policy(0, 50, None, None);
        assert_eq!((fixed.fee(eur(32_00)), fixed.largest(eur(32_50))), (50, 32_00));
        assert_eq!((fixed.largest(eur(50)), fixed.fee(eur(25))), (25, 25), "never more than is sent");
    }

    #[test]
    fn a_percentage_within_its_bounds_leaves_nothing_unsent_but_what_costs_too_much() {
        let bounded = policy(150, 10, Some(50), Some(5_00));
        for (there, most) in [(1_00, 50), (100_00, 98_42), (1_000_00, 995_00), (0, 0)] {
            assert_eq!(bounded.largest(eur(there)), most, "{there}");
            let sum = |amount| amount + bounded.fee(eur(amount));
            assert!(sum(most) <= there && sum(most + 1) > there, "{there}");
        }
    }

    #[test]
    fn without_a_declaration_it_costs_nothing() {
        let none = InstantPolicy::default();
        assert_eq!((none.fee(eur(54_00)), none.largest(eur(54_00)), none.version), (0, 54_00, 0));
    }

    #[test]
    fn the_sellers_own_account_goes_before_others_of_its_currency() {
        let dollars = Money::new(1, Currency::parse("USD").expect("a currency"));
        let offer = [("ba_0", dollars), ("ba_1", eur(5)), ("ba_2", eur(6))];
        let offer = offer.map(|(id, amount)| InstantAmount { destination: id.to_owned(), amount });
        let best = |account| best_of(&offer, account, eur(0).currency).map(|one| one.destination.as_str());
        assert_eq!((best(Some("ba_2")), best(Some("ba_0")), best(None)), (Some("ba_2"), Some("ba_1"), Some("ba_1")));
        assert!(best_of(&[], Some("ba_1"), eur(0).currency).is_none());
    }
}
