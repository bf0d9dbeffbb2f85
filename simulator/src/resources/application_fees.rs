//! What the platform gets for instant payouts (docs.stripe.com/connect/instant-payouts#monetization-and-fees), and what it
//! pays Stripe for them.

use serde_json::{Value, json};

use crate::books::{self, Counterpart, Movement};
use crate::context::{Answer, Cx};
use crate::error::ApiError;
use crate::ids::new_id;
use crate::params::Params;
use crate::store::{self, integer, text};

/// Brings the fee of an instant payout, which its own movement has taken, onto the platform's balance, and takes what the
/// payout costs the platform. The balances are locked.
pub(crate) async fn take(cx: &mut Cx, payout: &mut Value, fee: i64) -> Result<(), ApiError> {
    let (platform, account) = (cx.platform.clone(), cx.account.clone());
    let currency = text(payout, "currency").to_owned();
    if fee > 0 {
        let id = new_id("fee");
        let transaction =
            move_on_platform(cx, fee, &currency, "application_fee", "platform_earning", &id, None).await?;
        let object = json!({
            "id": id,
            "object": "application_fee",
            "account": account,
            "amount": fee,
            "amount_refunded": 0,
            "application": "ca_simulated",
            "balance_transaction": transaction,
            "charge": null,
            "created": cx.now,
            "currency": currency,
            "fee_source": { "charge": null, "payout": payout["id"], "type": "payout" },
            "livemode": false,
            "originating_transaction": null,
            "refunded": false,
            "refunds": store::empty_list(&format!("/v1/application_fees/{id}/refunds")),
        });
        store::insert(cx, &platform, None, &object).await?;
        payout["application_fee"] = object["id"].clone();
        payout["application_fee_amount"] = json!(fee);
        cx.emit(&platform, "application_fee.created", &object);
    }
    let cost = cx.settings.instant_payout_cost.of(integer(payout, "amount"));
    if cost > 0 {
        let source = store::id(payout).to_owned();
        move_on_platform(cx, -cost, &currency, "stripe_fee", "fee", &source, Some("Instant Payouts")).await?;
    }
    Ok(())
}

/// A payout has come back: its fee goes with it, without being asked for. The balances are locked.
pub(crate) async fn give_back(cx: &mut Cx, payout: &Value) -> Result<(), ApiError> {
    let Some(id) = payout["application_fee"].as_str() else { return Ok(()) };
    let platform = cx.platform.clone();
    let found = store::find_for_update(&mut cx.conn, &platform, "application_fee", id).await?;
    let mut fee = found.ok_or_else(|| ApiError::internal("A payout names a fee that is not there."))?;
    let (amount, currency) = (integer(&fee, "amount"), text(&fee, "currency").to_owned());
    let refund = new_id("fr");
    let kind = "application_fee_refund";
    let transaction = move_on_platform(cx, -amount, &currency, kind, "platform_earning_refund", &refund, None).await?;
    let object = json!({
        "id": refund,
        "object": "fee_refund",
        "amount": amount,
        "balance_transaction": transaction,
        "created": cx.now,
        "currency": currency,
        "fee": id,
        "metadata": {},
    });
    store::insert(cx, &platform, Some(id), &object).await?;
    fee["amount_refunded"] = json!(amount);
    fee["refunded"] = json!(true);
    store::update(&mut cx.conn, &fee).await?;
    let shown = store::with_children(&mut cx.conn, fee).await?;
    cx.emit_change(&platform, "application_fee.refunded", &shown, Some(json!({ "amount_refunded": 0 })));
    Ok(())
}

async fn move_on_platform(
    cx: &mut Cx,
    amount: i64,
    currency: &str,
    kind: &'static str,
    category: &'static str,
    source: &str,
    description: Option<&str>,
) -> Result<String, ApiError> {
    let platform = cx.platform.clone();
    let movement = Movement {
        account: &platform,
        currency,
        amount,
        fee: 0,
        kind,
        category,
        source,
        description,
        available_on: cx.now,
        counterpart: Counterpart::Fees,
    };
    books::book(cx, movement).await
}

/// `GET /v1/application_fees/{id}`.
pub(crate) async fn retrieve(cx: &mut Cx, id: &str, params: Params) -> Answer {
    super::retrieve(cx, "application_fee", id, params).await
}
