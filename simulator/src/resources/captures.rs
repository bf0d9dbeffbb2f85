//! Separate authorization and capture (docs.stripe.com/payments/place-a-hold-on-a-payment-method): a payment intent under
//! `capture_method=manual` holds the amount on the card until it is captured, given up, or the hold expires.

use serde_json::{Value, json};

use crate::books::{self, Counterpart, Movement};
use crate::context::{Answer, Cx};
use crate::currency::show;
use crate::error::ApiError;
use crate::jobs;
use crate::params::Params;
use crate::resources::cards::Card;
use crate::resources::{charges, destinations, disputes, payment_intents, refunds};
use crate::settings::DAY;
use crate::store::{self, integer, text};

/// Holds the amount of a payment intent on its card.
pub(crate) async fn authorize(cx: &mut Cx, mut intent: Value, card: Card) -> Answer {
    let expires = cx.now + i64::from(cx.settings.authorization_days) * DAY;
    let charge = charges::authorize(cx, &intent, card, expires).await?;
    intent["status"] = json!("requires_capture");
    intent["amount_capturable"] = intent["amount"].clone();
    intent["latest_charge"] = charge["id"].clone();
    intent["last_payment_error"] = Value::Null;
    intent["next_action"] = Value::Null;
    store::update(&mut cx.conn, &intent).await?;
    jobs::schedule(cx, expires, jobs::Kind::AuthorizationExpiry, store::id(&intent)).await?;
    let account = cx.account.clone();
    cx.emit(&account, "payment_intent.amount_capturable_updated", &intent);
    Ok(intent)
}

/// `POST /v1/payment_intents/{id}/capture`.
pub(crate) async fn capture(cx: &mut Cx, id: &str, mut params: Params) -> Answer {
    let asked = params.integer("amount_to_capture")?;
    let sent = destinations::read_of_capture(&mut params)?;
    let metadata = params.metadata()?;
    if params.boolean("final_capture")? == Some(false) {
        return Err(ApiError::invalid("This payment method does not support multicapture.").param("final_capture"));
    }
    params.finish()?;
    let mut intent = payment_intents::find_for_update(cx, id).await?;
    if text(&intent, "status") != "requires_capture" {
        return Err(payment_intents::unexpected_state(&intent, "capture", "requires_capture"));
    }
    let capturable = integer(&intent, "amount_capturable");
    let amount = asked.unwrap_or(capturable);
    let currency = text(&intent, "currency").to_owned();
    crate::currency::check_amount(amount, &currency)?;
    if amount > capturable {
        let (asked, held) = (show(amount, &currency), show(capturable, &currency));
        let message =
            format!("The amount to capture ({asked}) is greater than the amount that can be captured ({held}).");
        return Err(ApiError::refused(message).code("amount_too_large").param("amount_to_capture"));
    }
    if let Some(sent) = sent {
        destinations::change(&mut intent, sent, amount)?;
    }
    if let (Some(more), Some(kept)) = (metadata, intent["metadata"].as_object_mut()) {
        kept.extend(more.into_iter().map(|(key, value)| (key, json!(value))));
    }
    take(cx, &intent, amount).await?;
    intent["status"] = json!("succeeded");
    intent["amount_capturable"] = json!(0);
    intent["amount_received"] = json!(amount);
    store::update(&mut cx.conn, &intent).await?;
    let account = cx.account.clone();
    cx.emit(&account, "payment_intent.succeeded", &intent);
    Ok(intent)
}

/// Takes the captured amount: the balance transaction is that of the whole charge, and what was not captured goes back at
/// once as a refund of its own with a balance transaction of its own
/// (docs.stripe.com/reports/reporting-categories, partial_capture_reversal).
async fn take(cx: &mut Cx, intent: &Value, amount: i64) -> Result<(), ApiError> {
    let account = cx.account.clone();
    let found = store::find_for_update(&mut cx.conn, &account, "charge", text(intent, "latest_charge")).await?;
    let mut charge = found.ok_or_else(|| ApiError::internal("A hold without its charge."))?;
    charge["transfer_data"] = intent["transfer_data"].clone();
    let card = payment_intents::card_of(cx, intent).await?;
    let at_once = card.is_some_and(Card::bypasses_pending);
    let mut charge = charges::book(cx, charge, amount, at_once).await?;
    let rest = integer(&charge, "amount") - amount;
    charge["captured"] = json!(true);
    charge["amount_captured"] = json!(amount);
    charge["amount_refunded"] = json!(rest);
    if rest > 0 {
        let available_on = if at_once { cx.now } else { cx.settings.available_on(cx.now) };
        release_rest(cx, &charge, rest, available_on).await?;
    }
    destinations::send(cx, &mut charge).await?;
    store::update(&mut cx.conn, &charge).await?;
    let shown = store::with_children(&mut cx.conn, charge).await?;
    cx.emit(&account, "charge.captured", &shown);
    if let Some(card) = card {
        disputes::plan_by_card(cx, store::id(&shown), card).await?;
    }
    Ok(())
}

async fn release_rest(cx: &mut Cx, charge: &Value, rest: i64, available_on: i64) -> Result<(), ApiError> {
    let account = cx.account.clone();
    let mut refund = refunds::body(charge, rest, cx.now);
    let movement = Movement {
        account: &account,
        currency: text(charge, "currency"),
        amount: -rest,
        fee: 0,
        kind: "refund",
        category: "partial_capture_reversal",
        source: store::id(&refund),
        description: None,
        available_on,
        counterpart: Counterpart::Cards,
    };
    let transaction = books::book(cx, movement).await?;
    refund["balance_transaction"] = json!(transaction);
    store::insert(cx, &account, Some(store::id(charge)), &refund).await?;
    cx.emit(&account, "refund.created", &refund);
    Ok(())
}

/// A hold that nobody captured in time is given up (job).
pub(crate) async fn expire(cx: &mut Cx, id: &str) -> Result<(), ApiError> {
    let account = cx.account.clone();
    let found = store::find_for_update(&mut cx.conn, &account, "payment_intent", id).await?;
    let Some(mut intent) = found.filter(|intent| text(intent, "status") == "requires_capture") else { return Ok(()) };
    release(cx, &mut intent, "charge.expired").await?;
    intent["status"] = json!("canceled");
    intent["canceled_at"] = json!(cx.now);
    intent["cancellation_reason"] = json!("automatic");
    store::update(&mut cx.conn, &intent).await?;
    cx.emit(&account, "payment_intent.canceled", &intent);
    Ok(())
}

/// Lets a hold go: nothing was booked, so nothing moves.
pub(crate) async fn release(cx: &mut Cx, intent: &mut Value, event: &'static str) -> Result<(), ApiError> {
    let account = cx.account.clone();
    let found = store::find_for_update(&mut cx.conn, &account, "charge", text(intent, "latest_charge")).await?;
    let mut charge = found.ok_or_else(|| ApiError::internal("A hold without its charge."))?;
    charge["amount_refunded"] = charge["amount"].clone();
    charge["refunded"] = json!(true);
    store::update(&mut cx.conn, &charge).await?;
    intent["amount_capturable"] = json!(0);
    cx.emit(&account, event, &charge);
    Ok(())
}
