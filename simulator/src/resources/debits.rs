//! Bank debits (docs.stripe.com/payments/ach-direct-debit): the answer is `processing`, and days later the payment has
//! succeeded or failed. In rare cases the bank takes it back after that.

use serde_json::{Value, json};

use crate::books::{self, Counterpart, Movement};
use crate::context::{Answer, Cx};
use crate::error::ApiError;
use crate::jobs;
use crate::resources::cards::{Behaviour, Card};
use crate::resources::{balance_transactions, charges, payment_intents};
use crate::settings::DAY;
use crate::store::{self, integer, text};

/// Hands a payment intent to the buyer's bank.
pub(crate) async fn begin(cx: &mut Cx, mut intent: Value, card: Card) -> Answer {
    if text(&intent, "currency") != "usd" {
        return Err(ApiError::invalid("The currency of a us_bank_account payment must be usd.").param("currency"));
    }
    if text(&intent, "capture_method") == "manual" {
        return Err(
            ApiError::invalid("us_bank_account does not support capture_method=manual.").param("capture_method")
        );
    }
    let charge = charges::pending(cx, &intent, card).await?;
    intent["status"] = json!("processing");
    intent["latest_charge"] = charge["id"].clone();
    intent["last_payment_error"] = Value::Null;
    store::update(&mut cx.conn, &intent).await?;
    let due_at = cx.now + i64::from(cx.settings.debit_days) * DAY;
    jobs::schedule(cx, due_at, jobs::Kind::DebitDecision, store::id(&intent)).await?;
    let account = cx.account.clone();
    cx.emit(&account, "payment_intent.processing", &intent);
    Ok(intent)
}

/// The bank has answered (job).
pub(crate) async fn decide(cx: &mut Cx, id: &str) -> Result<(), ApiError> {
    let account = cx.account.clone();
    let found = store::find_for_update(&mut cx.conn, &account, "payment_intent", id).await?;
    let Some(mut intent) = found.filter(|intent| text(intent, "status") == "processing") else { return Ok(()) };
    let card = payment_intents::card_of(cx, &intent).await?;
    let refusal = card.and_then(|card| match card.behaviour {
        Behaviour::Debits { refusal } => refusal,
        _ => None,
    });
    let charge = find_charge(cx, &intent).await?;
    match refusal {
        None => {
            let charge = charges::arrived(cx, charge).await?;
            cx.emit(&account, "charge.succeeded", &charge);
            intent["status"] = json!("succeeded");
            intent["amount_received"] = intent["amount"].clone();
            store::update(&mut cx.conn, &intent).await?;
            cx.emit(&account, "payment_intent.succeeded", &intent);
        }
        Some(code) => fail(cx, intent, charge, code).await?,
    }
    Ok(())
}

/// The bank takes a payment back that has succeeded (control).
pub(crate) async fn fail_late(cx: &mut Cx, id: &str, code: &str) -> Answer {
    let intent = payment_intents::find_for_update(cx, id).await?;
    if text(&intent, "status") != "succeeded" {
        return Err(payment_intents::unexpected_state(&intent, "fail", "succeeded"));
    }
    let account = cx.account.clone();
    let mut charge = find_charge(cx, &intent).await?;
    let currency = text(&charge, "currency").to_owned();
    let booked = text(&charge, "balance_transaction").to_owned();
    let available_on = balance_transactions::available_on(&mut cx.conn, &booked).await?;
    books::lock(cx, &[&account], &currency).await?;
    let movement = Movement {
        account: &account,
        currency: &currency,
        amount: -integer(&charge, "amount_captured"),
        fee: 0,
        kind: "payment_failure_refund",
        category: "charge_failure",
        source: store::id(&charge),
        description: None,
        available_on,
        counterpart: Counterpart::Banks,
    };
    charge["failure_balance_transaction"] = json!(books::book(cx, movement).await?);
    fail(cx, intent, charge, code).await?;
    payment_intents::find_for_update(cx, id).await
}

async fn find_charge(cx: &mut Cx, intent: &Value) -> Answer {
    let account = cx.account.clone();
    let found = store::find_for_update(&mut cx.conn, &account, "charge", text(intent, "latest_charge")).await?;
    found.ok_or_else(|| ApiError::internal("A payment without its charge."))
}

async fn fail(cx: &mut Cx, mut intent: Value, mut charge: Value, code: &str) -> Result<(), ApiError> {
    let account = cx.account.clone();
    let message = "The customer's bank account could not be debited.";
    charge["status"] = json!("failed");
    charge["paid"] = json!(false);
    charge["failure_code"] = json!(code);
    charge["failure_message"] = json!(message);
    store::update(&mut cx.conn, &charge).await?;
    cx.emit(&account, "charge.failed", &charge);
    intent["status"] = json!("requires_payment_method");
    intent["payment_method"] = Value::Null;
    intent["amount_received"] = json!(0);
    intent["last_payment_error"] =
        json!({ "type": "invalid_request_error", "code": code, "message": message, "charge": charge["id"] });
    store::update(&mut cx.conn, &intent).await?;
    cx.emit(&account, "payment_intent.payment_failed", &intent);
    Ok(())
}
