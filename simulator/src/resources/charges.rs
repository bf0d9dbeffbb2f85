//! Charges (docs.stripe.com/api/charges): what a payment intent leaves behind, and the payments that transfers make on
//! connected accounts.

use serde_json::{Map, Value, json};

use crate::books::{self, Counterpart, Movement};
use crate::context::{Answer, Cx};
use crate::error::ApiError;
use crate::ids::{new_id, random_text};
use crate::jobs;
use crate::list;
use crate::params::Params;
use crate::resources::cards::{Card, no_billing_details};
use crate::resources::{application_fees, destinations, disputes};
use crate::settings::DirectFeePayer;
use crate::store::{self, integer, text};

/// Fields of a charge or payment that has gone well.
fn body(id: &str, amount: i64, currency: &str, now: i64) -> Value {
    json!({
        "id": id,
        "object": "charge",
        "amount": amount,
        "amount_captured": amount,
        "amount_refunded": 0,
        "application": null,
        "application_fee": null,
        "application_fee_amount": null,
        "balance_transaction": null,
        "billing_details": no_billing_details(),
        "calculated_statement_descriptor": "PARTITA SIMULATOR",
        "captured": true,
        "created": now,
        "currency": currency,
        "customer": null,
        "description": null,
        "disputed": false,
        "failure_balance_transaction": null,
        "failure_code": null,
        "failure_message": null,
        "fraud_details": {},
        "livemode": false,
        "metadata": {},
        "on_behalf_of": null,
        "outcome": {
            "advice_code": null,
            "network_advice_code": null,
            "network_decline_code": null,
            "network_status": "approved_by_network",
            "reason": null,
            "risk_level": "normal",
            "seller_message": "Payment complete.",
            "type": "authorized",
        },
        "paid": true,
        "payment_intent": null,
        "payment_method": null,
        "payment_method_details": null,
        "receipt_email": null,
        "receipt_number": null,
        "receipt_url": format!("https://pay.stripe.com/receipts/payment/{}", random_text(40)),
        "refunded": false,
        "refunds": store::empty_list(&format!("/v1/charges/{id}/refunds")),
        "review": null,
        "shipping": null,
        "source": null,
        "source_transfer": null,
        "statement_descriptor": null,
        "statement_descriptor_suffix": null,
        "status": "succeeded",
        "transfer_data": null,
        "transfer_group": null,
    })
}

/// A new charge of a payment intent, as its card would have it; not written.
fn of_intent(intent: &Value, card: Card, now: i64) -> Value {
    let (amount, currency) = (integer(intent, "amount"), text(intent, "currency"));
    let mut charge = body(&new_id("ch"), amount, currency, now);
    for field in [
        "application_fee_amount",
        "customer",
        "description",
        "metadata",
        "on_behalf_of",
        "payment_method",
        "receipt_email",
        "statement_descriptor",
        "statement_descriptor_suffix",
        "transfer_data",
        "transfer_group",
    ] {
        charge[field] = intent[field].clone();
    }
    charge["payment_intent"] = intent["id"].clone();
    charge["payment_method_details"] = card.charge_details(amount);
    charge
}

/// Charges a payment intent's card: the charge, written and booked.
pub(crate) async fn succeed(cx: &mut Cx, intent: &Value, card: Card) -> Answer {
    let mut charge = of_intent(intent, card, cx.now);
    let account = cx.account.clone();
    let late = cx.settings.async_capture_seconds.filter(|_| text(intent, "capture_method") == "automatic_async");
    if late.is_none() {
        let amount = integer(&charge, "amount");
        charge = book(cx, charge, amount, card.bypasses_pending()).await?;
        destinations::send(cx, &mut charge).await?;
    }
    store::insert(cx, &account, Some(store::id(intent)), &charge).await?;
    if let Some(seconds) = late {
        let due_at = cx.now + i64::from(seconds);
        jobs::schedule(cx, due_at, jobs::Kind::Capture, store::id(&charge)).await?;
    }
    cx.emit(&account, "charge.succeeded", &charge);
    disputes::plan_by_card(cx, store::id(&charge), card).await?;
    Ok(charge)
}

/// A debit that the bank has not answered: the charge, written and not booked.
pub(crate) async fn pending(cx: &mut Cx, intent: &Value, card: Card) -> Answer {
    let mut charge = of_intent(intent, card, cx.now);
    charge["paid"] = json!(false);
    charge["status"] = json!("pending");
    let account = cx.account.clone();
    store::insert(cx, &account, Some(store::id(intent)), &charge).await?;
    cx.emit(&account, "charge.pending", &charge);
    Ok(charge)
}

/// The bank has paid a debit: the charge is booked.
pub(crate) async fn arrived(cx: &mut Cx, charge: Value) -> Answer {
    let amount = integer(&charge, "amount");
    let mut charge = book(cx, charge, amount, false).await?;
    destinations::send(cx, &mut charge).await?;
    charge["paid"] = json!(true);
    charge["status"] = json!("succeeded");
    store::update(&mut cx.conn, &charge).await?;
    Ok(charge)
}

/// Holds a payment intent's amount on its card until `expires`: the charge, written and not booked.
pub(crate) async fn authorize(cx: &mut Cx, intent: &Value, card: Card, expires: i64) -> Answer {
    let mut charge = of_intent(intent, card, cx.now);
    charge["captured"] = json!(false);
    charge["amount_captured"] = json!(0);
    charge["payment_method_details"]["card"]["capture_before"] = json!(expires);
    let account = cx.account.clone();
    store::insert(cx, &account, Some(store::id(intent)), &charge).await?;
    cx.emit(&account, "charge.succeeded", &charge);
    Ok(charge)
}

/// Gives a charge its balance transaction; the fee is that of what was `captured`.
pub(crate) async fn book(cx: &mut Cx, mut charge: Value, captured: i64, at_once: bool) -> Answer {
    let account = cx.account.clone();
    let (amount, currency) = (integer(&charge, "amount"), text(&charge, "currency").to_owned());
    let touched: Vec<&str> = [account.as_str()].into_iter().chain(destinations::account_of(&charge)).collect();
    books::lock(cx, &touched, &currency).await?;
    let (settled, kept_in) = books::settled(cx, &account, captured, &currency);
    let processing = cx.settings.fee(settled, &kept_in);
    let is_direct = *account != *cx.platform;
    let available_on = if at_once { cx.now } else { cx.settings.available_on(cx.now) };
    let own = if is_direct && cx.settings.direct_fee_payer == DirectFeePayer::Application { 0 } else { processing };
    let movement = Movement {
        account: &account,
        currency: &currency,
        amount,
        fee: own + integer(&charge, "application_fee_amount"),
        // A card's charge, or another method's payment (docs.stripe.com/reports/balance-transaction-types).
        kind: if charge["payment_method_details"]["type"] == json!("card") { "charge" } else { "payment" },
        category: "charge",
        source: store::id(&charge),
        description: charge["description"].as_str(),
        available_on,
        counterpart: Counterpart::Cards,
    };
    charge["balance_transaction"] = json!(books::book(cx, movement).await?);
    application_fees::collect(cx, &mut charge, processing, available_on).await?;
    Ok(charge)
}

/// Gives a charge the balance transaction that it did not have at first (job).
pub(crate) async fn book_late(cx: &mut Cx, id: &str) -> Result<(), ApiError> {
    let account = cx.account.clone();
    let Some(charge) = store::find_for_update(&mut cx.conn, &account, "charge", id).await? else { return Ok(()) };
    let amount = integer(&charge, "amount");
    let mut charge = book(cx, charge, amount, false).await?;
    destinations::send(cx, &mut charge).await?;
    store::update(&mut cx.conn, &charge).await?;
    cx.emit_change(&account, "charge.updated", &charge, Some(json!({ "balance_transaction": null })));
    Ok(())
}

/// A charge that the issuer refused: written, not booked.
pub(crate) async fn fail(
    cx: &mut Cx,
    intent: &Value,
    card: Card,
    code: &str,
    decline_code: Option<&str>,
    message: &str,
) -> Answer {
    let mut charge = of_intent(intent, card, cx.now);
    for (field, value) in [
        ("amount_captured", json!(0)),
        ("captured", json!(false)),
        ("failure_code", json!(code)),
        ("failure_message", json!(message)),
        ("paid", json!(false)),
        ("receipt_url", Value::Null),
        ("status", json!("failed")),
    ] {
        charge[field] = value;
    }
    charge["outcome"] = json!({
        "advice_code": "try_again_later",
        "network_advice_code": null,
        "network_decline_code": "01",
        "network_status": "declined_by_network",
        "reason": decline_code,
        "risk_level": "normal",
        "seller_message": "The bank did not return any further details with this decline.",
        "type": "issuer_declined",
    });
    let account = cx.account.clone();
    store::insert(cx, &account, Some(store::id(intent)), &charge).await?;
    cx.emit(&account, "charge.failed", &charge);
    Ok(charge)
}

/// The payment that a transfer makes on a connected account; not written.
pub(crate) fn of_transfer(transfer: &Value, now: i64) -> Value {
    let (amount, currency) = (integer(transfer, "amount"), text(transfer, "currency"));
    let mut payment = body(&new_id("py"), amount, currency, now);
    payment["calculated_statement_descriptor"] = Value::Null;
    payment["outcome"] = Value::Null;
    payment["payment_method_details"] = json!({ "stripe_account": {}, "type": "stripe_account" });
    payment["receipt_url"] = Value::Null;
    payment["source_transfer"] = transfer["id"].clone();
    payment
}

/// `GET /v1/charges/{id}`.
pub(crate) async fn retrieve(cx: &mut Cx, id: &str, params: Params) -> Answer {
    super::retrieve(cx, "charge", id, params).await
}

/// `GET /v1/charges`.
pub(crate) async fn index(cx: &mut Cx, mut params: Params) -> Answer {
    let mut filter = Map::new();
    for field in ["payment_intent", "transfer_group"] {
        if let Some(value) = params.text(field)? {
            filter.insert(field.into(), value.into());
        }
    }
    list::objects(cx, params, "charge", "/v1/charges", None, Some(filter.into())).await
}
