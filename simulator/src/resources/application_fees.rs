//! Application fees (docs.stripe.com/connect/direct-charges#collect-fees): what the platform keeps of charges that are made on
//! connected accounts, and of their instant payouts (`payout_fees.rs`). A fee and its refunds are objects of the platform's, with
//! movements on its balance.

use serde_json::{Value, json};

use crate::books::{self, Counterpart, Movement};
use crate::context::{Answer, Cx};
use crate::error::ApiError;
use crate::ids::new_id;
use crate::params::Params;
use crate::settings::DirectFeePayer;
use crate::store::{self, integer, text};

/// A fee that the acting account pays the platform; minor units.
pub(crate) struct Fee<'a> {
    pub(crate) amount: i64,
    pub(crate) currency: &'a str,
    /// What Stripe keeps of it.
    pub(crate) processing: i64,
    pub(crate) available_on: i64,
    /// What it is paid for.
    pub(crate) source: Value,
}

/// What is kept of a charge that is booked at `available_on`, and the fee's id on the charge. The caller has locked the balances.
pub(crate) async fn collect(
    cx: &mut Cx,
    charge: &mut Value,
    processing: i64,
    available_on: i64,
) -> Result<(), ApiError> {
    let Some(amount) = charge["application_fee_amount"].as_i64() else { return Ok(()) };
    let currency = text(charge, "currency").to_owned();
    let processing = if cx.settings.direct_fee_payer == DirectFeePayer::Application { processing } else { 0 };
    let (processing, _) = books::settled(cx, &cx.platform, processing, &currency);
    let source = json!({ "charge": charge["id"], "type": "charge" });
    charge["application_fee"] = take(cx, Fee { amount, currency: &currency, processing, available_on, source }).await?;
    Ok(())
}

/// Brings a fee onto the platform's balance, which is locked; its id.
pub(crate) async fn take(cx: &mut Cx, fee: Fee<'_>) -> Answer {
    let Fee { amount, currency, processing, available_on, source } = fee;
    let platform = cx.platform.clone();
    let id = new_id("fee");
    let movement = Movement {
        account: &platform,
        currency,
        amount,
        fee: processing,
        kind: "application_fee",
        category: "platform_earning",
        source: &id,
        description: None,
        available_on,
        counterpart: Counterpart::Fees,
    };
    let booked = books::book(cx, movement).await?;
    let object = json!({
        "id": id,
        "object": "application_fee",
        "account": cx.account,
        "amount": amount,
        "amount_refunded": 0,
        "application": "ca_simulator",
        "balance_transaction": booked,
        "charge": source["charge"],
        "created": cx.now,
        "currency": currency,
        "fee_source": source,
        "livemode": false,
        "originating_transaction": null,
        "refunded": false,
        "refunds": store::empty_list(&format!("/v1/application_fees/{id}/refunds")),
    });
    store::insert(cx, &platform, None, &object).await?;
    cx.emit(&platform, "application_fee.created", &object);
    Ok(json!(id))
}

/// What goes back of a charge's fee with a refund of `amount`: all of it with all of the charge, its proportion with a part
/// (docs.stripe.com/api/refunds/create#create_refund-refund_application_fee).
pub(crate) async fn part_of(cx: &mut Cx, charge: &Value, amount: i64) -> Result<i64, ApiError> {
    let fee = find_for_update(cx, text(charge, "application_fee")).await?;
    let (whole, left) = (integer(&fee, "amount"), integer(&fee, "amount") - integer(&fee, "amount_refunded"));
    let charged = integer(charge, "amount");
    Ok(((2 * whole * amount + charged) / (2 * charged)).min(left))
}

/// Gives `amount` of the fee of a charge or payout back; the caller books it on the connected account. The balances are locked.
pub(crate) async fn refund(cx: &mut Cx, of: &Value, amount: i64) -> Result<(), ApiError> {
    if amount == 0 {
        return Ok(());
    }
    let platform = cx.platform.clone();
    let mut fee = find_for_update(cx, text(of, "application_fee")).await?;
    let currency = text(&fee, "currency").to_owned();
    let id = new_id("fr");
    let movement = Movement {
        account: &platform,
        currency: &currency,
        amount: -amount,
        fee: 0,
        kind: "application_fee_refund",
        category: "platform_earning_refund",
        source: &id,
        description: None,
        available_on: cx.now,
        counterpart: Counterpart::Fees,
    };
    let booked = books::book(cx, movement).await?;
    let object = json!({
        "id": id,
        "object": "fee_refund",
        "amount": amount,
        "balance_transaction": booked,
        "created": cx.now,
        "currency": currency,
        "fee": fee["id"],
        "metadata": {},
    });
    let before = integer(&fee, "amount_refunded");
    fee["amount_refunded"] = json!(before + amount);
    fee["refunded"] = json!(before + amount == integer(&fee, "amount"));
    store::update(&mut cx.conn, &fee).await?;
    let parent = store::id(&fee).to_owned();
    store::insert(cx, &platform, Some(&parent), &object).await?;
    let shown = store::with_children(&mut cx.conn, fee).await?;
    cx.emit_change(&platform, "application_fee.refunded", &shown, Some(json!({ "amount_refunded": before })));
    Ok(())
}

async fn find_for_update(cx: &mut Cx, id: &str) -> Answer {
    let platform = cx.platform.clone();
    let found = store::find_for_update(&mut cx.conn, &platform, "application_fee", id).await?;
    found.ok_or_else(|| ApiError::internal("A charge or payout without its application fee."))
}

/// `GET /v1/application_fees/{id}`.
pub(crate) async fn retrieve(cx: &mut Cx, id: &str, params: Params) -> Answer {
    super::retrieve(cx, "application_fee", id, params).await
}
