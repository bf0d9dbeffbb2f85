//! What the platform gets for instant payouts (docs.stripe.com/connect/instant-payouts#monetization-and-fees), and what it
//! pays Stripe for them.

use serde_json::{Value, json};

use crate::books::{self, Counterpart, Movement};
use crate::context::Cx;
use crate::error::ApiError;
use crate::resources::application_fees::{self, Fee};
use crate::store::{self, integer, text};

/// Brings the fee of an instant payout, which its own movement has taken, onto the platform's balance, and takes what the
/// payout costs the platform. The balances are locked.
pub(crate) async fn take(cx: &mut Cx, payout: &mut Value, amount: i64) -> Result<(), ApiError> {
    let currency = text(payout, "currency").to_owned();
    if amount > 0 {
        let source = json!({ "charge": null, "payout": payout["id"], "type": "payout" });
        let available_on = cx.now;
        let fee = Fee { amount, currency: &currency, processing: 0, available_on, source };
        payout["application_fee"] = application_fees::take(cx, fee).await?;
        payout["application_fee_amount"] = json!(amount);
    }
    let cost = cx.settings.instant_payout_cost.of(integer(payout, "amount"));
    if cost == 0 {
        return Ok(());
    }
    let platform = cx.platform.clone();
    let movement = Movement {
        account: &platform,
        currency: &currency,
        amount: -cost,
        fee: 0,
        kind: "stripe_fee",
        category: "fee",
        source: store::id(payout),
        description: Some("Instant Payouts"),
        available_on: cx.now,
        counterpart: Counterpart::Fees,
    };
    books::book(cx, movement).await?;
    Ok(())
}

/// A payout has come back: its fee goes with it, without being asked for. The balances are locked.
pub(crate) async fn give_back(cx: &mut Cx, payout: &Value) -> Result<(), ApiError> {
    application_fees::refund(cx, payout, integer(payout, "application_fee_amount")).await
}
