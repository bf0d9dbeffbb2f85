//! Refunds (docs.stripe.com/refunds): money back to the buyer, out of the available balance.

use serde_json::{Map, Value, json};

use crate::books::{self, Counterpart, Movement};
use crate::context::{Answer, Cx};
use crate::currency::show;
use crate::error::ApiError;
use crate::ids::{new_id, random_text};
use crate::list;
use crate::params::Params;
use crate::resources::{application_fees, destinations, disputes, reversals};
use crate::settings::RefundWhenShort;
use crate::store::{self, integer, text};

/// A refund of a charge as it is when it was given; not written.
pub(crate) fn body(charge: &Value, amount: i64, now: i64) -> Value {
    with_id(&new_id("re"), charge, amount, now)
}

fn with_id(id: &str, charge: &Value, amount: i64, now: i64) -> Value {
    json!({
        "id": id,
        "object": "refund",
        "amount": amount,
        "balance_transaction": null,
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "customer": null,
        "customer_account": null,
        "destination_details": {
            "card": {
                "reference": random_text(12),
                "reference_status": "available",
                "reference_type": "acquirer_reference_number",
                "type": "refund",
            },
            "type": "card",
        },
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": null,
        "receipt_number": null,
        "source_transfer_reversal": null,
        "status": "succeeded",
        "transfer_reversal": null,
    })
}

/// `POST /v1/refunds`.
pub(crate) async fn create(cx: &mut Cx, mut params: Params) -> Answer {
    let (charge, intent) = (params.text("charge")?, params.text("payment_intent")?);
    let amount = params.integer("amount")?;
    let metadata = params.metadata()?.unwrap_or_default();
    let reason = params.choice("reason", &["duplicate", "fraudulent", "requested_by_customer"])?;
    let reverses = params.boolean("reverse_transfer")? == Some(true);
    let returns_fee = params.boolean("refund_application_fee")? == Some(true);
    params.finish()?;
    let charge = find_charge(cx, charge, intent).await?;
    if reverses && charge["transfer"].is_null() {
        return Err(ApiError::invalid("Only destination charges carry a transfer.").param("reverse_transfer"));
    }
    if returns_fee && charge["application_fee"].is_null() {
        return Err(ApiError::invalid("This charge carries no application fee.").param("refund_application_fee"));
    }
    let amount = amount_to_refund(&charge, amount)?;
    refuse_disputed(cx, &charge, amount).await?;
    let account = cx.account.clone();
    let currency = text(&charge, "currency").to_owned();
    let touched: Vec<&str> = [account.as_str()].into_iter().chain(destinations::account_of(&charge)).collect();
    let held = books::lock(cx, &touched, &currency).await?;
    let mut refund = body(&charge, amount, cx.now);
    refund["metadata"] = json!(metadata);
    refund["reason"] = json!(reason);
    let short = books::available(&held, &account) < books::settled(cx, &account, amount, &currency).0;
    let waits = short && cx.settings.refund_when_short == RefundWhenShort::Pending;
    if returns_fee {
        refund[RETURNS_FEE] = json!(true);
    }
    refund = if waits { wait(cx, refund).await? } else { pay(cx, refund, &charge).await? };
    if reverses {
        refund["transfer_reversal"] = reversals::with_refund(cx, &charge, &refund).await?["id"].clone();
    }
    store::insert(cx, &account, Some(store::id(&charge)), &refund).await?;
    cx.emit(&account, "refund.created", &refund);
    add_to_charge(cx, &account, store::id(&charge), amount).await?;
    Ok(refund)
}

/// The charge to refund, locked: by its id, or as the latest of a payment intent.
async fn find_charge(cx: &mut Cx, charge: Option<String>, intent: Option<String>) -> Answer {
    let account = cx.account.clone();
    let (param, id) = match (charge, intent) {
        (Some(charge), None) => ("charge", charge),
        (None, Some(intent)) => {
            let found = store::find(&mut cx.conn, &account, "payment_intent", &intent).await?;
            let found = found.ok_or_else(|| ApiError::no_such_param("payment_intent", &intent, "payment_intent"))?;
            let Some(charge) = found["latest_charge"].as_str().filter(|_| text(&found, "status") == "succeeded") else {
                return Err(ApiError::refused(format!(
                    "This PaymentIntent ({intent}) does not have a successful charge to refund."
                ))
                .param("payment_intent"));
            };
            ("payment_intent", charge.to_owned())
        }
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid("You may only specify one of these parameters: charge, payment_intent."));
        }
        (None, None) => {
            return Err(ApiError::invalid(
                "One of the following params should be provided for this request: payment_intent or charge.",
            )
            .code("parameter_missing")
            .param("payment_intent"));
        }
    };
    let charge = store::find_for_update(&mut cx.conn, &account, "charge", &id).await?;
    let charge = charge.ok_or_else(|| ApiError::no_such_param("charge", &id, param))?;
    if text(&charge, "status") == "succeeded" && charge["source_transfer"].is_null() {
        return Ok(charge);
    }
    Err(ApiError::refused(format!("Charge {id} cannot be refunded.")).param(param))
}

fn amount_to_refund(charge: &Value, asked: Option<i64>) -> Result<i64, ApiError> {
    let currency = text(charge, "currency");
    let left = integer(charge, "amount") - integer(charge, "amount_refunded");
    if left == 0 {
        return Err(ApiError::refused(format!("Charge {} has already been refunded.", store::id(charge)))
            .code("charge_already_refunded"));
    }
    let amount = asked.unwrap_or(left);
    crate::currency::check_amount(amount, currency)?;
    if amount <= left {
        return Ok(amount);
    }
    Err(ApiError::refused(format!(
        "Refund amount ({}) is greater than unrefunded amount on charge ({})",
        show(amount, currency),
        show(left, currency)
    ))
    .param("amount"))
}

/// What a dispute has taken back cannot be given back a second time
/// (docs.stripe.com/error-codes#charge-disputed).
async fn refuse_disputed(cx: &mut Cx, charge: &Value, amount: i64) -> Result<(), ApiError> {
    if charge["disputed"] != json!(true) {
        return Ok(());
    }
    let disputed = disputes::disputed_amount(cx, store::id(charge)).await?;
    let left = integer(charge, "amount") - integer(charge, "amount_refunded") - disputed;
    if disputed == 0 || amount <= left {
        return Ok(());
    }
    Err(ApiError::refused(format!("Charge {} has been charged back; cannot issue a refund.", store::id(charge)))
        .code("charge_disputed"))
}

/// The refund waits for funds.
async fn wait(cx: &mut Cx, mut refund: Value) -> Answer {
    refund["status"] = json!("pending");
    refund["pending_reason"] = json!("insufficient_funds");
    let (_, kept_in) = books::settled(cx, &cx.account, 0, text(&refund, "currency"));
    sqlx::query("insert into pending_refunds (refund, account, currency) values ($1, $2, $3)")
        .bind(store::id(&refund))
        .bind(&cx.account)
        .bind(kept_in)
        .execute(&mut *cx.conn)
        .await?;
    Ok(refund)
}

/// What a refund keeps for itself while it waits.
const RETURNS_FEE: &str = "returns_application_fee";

/// The refund is paid out of the locked balance, and what goes back of the application fee comes onto it.
async fn pay(cx: &mut Cx, mut refund: Value, charge: &Value) -> Answer {
    let account = cx.account.clone();
    let returned = match refund[RETURNS_FEE].as_bool() {
        Some(true) => application_fees::part_of(cx, charge, integer(&refund, "amount")).await?,
        _ => 0,
    };
    let currency = text(&refund, "currency").to_owned();
    let movement = Movement {
        account: &account,
        currency: &currency,
        amount: -integer(&refund, "amount"),
        fee: -returned,
        kind: "refund",
        category: "refund",
        source: store::id(&refund),
        description: None,
        available_on: cx.now,
        counterpart: Counterpart::Cards,
    };
    refund["balance_transaction"] = json!(books::book(cx, movement).await?);
    application_fees::refund(cx, charge, returned).await?;
    refund["status"] = json!("succeeded");
    if let Some(fields) = refund.as_object_mut() {
        fields.remove("pending_reason");
        fields.remove(RETURNS_FEE);
    }
    Ok(refund)
}

/// Counts a refund into its charge (a negative amount takes it out again) and announces the charge.
pub(crate) async fn add_to_charge(cx: &mut Cx, account: &str, charge: &str, amount: i64) -> Result<(), ApiError> {
    let found = store::find_for_update(&mut cx.conn, account, "charge", charge).await?;
    let mut charge = found.ok_or_else(|| ApiError::internal("A refund without its charge."))?;
    let before = integer(&charge, "amount_refunded");
    charge["amount_refunded"] = json!(before + amount);
    charge["refunded"] = json!(before + amount == integer(&charge, "amount"));
    store::update(&mut cx.conn, &charge).await?;
    let shown = store::with_children(&mut cx.conn, charge).await?;
    let kind = if amount > 0 { "charge.refunded" } else { "charge.updated" };
    cx.emit_change(account, kind, &shown, Some(json!({ "amount_refunded": before })));
    Ok(())
}

/// The refund of a connected account's payment that a reversal makes; not written.
pub(crate) async fn of_payment(cx: &mut Cx, payment: &str, amount: i64, reversal: &str) -> Answer {
    let found = store::find_any(&mut cx.conn, payment).await?;
    let (_, payment) = found.ok_or_else(|| ApiError::internal("A transfer without its payment."))?;
    let mut refund = with_id(&new_id("pyr"), &payment, amount, cx.now);
    refund["destination_details"] = Value::Null;
    refund["source_transfer_reversal"] = json!(reversal);
    Ok(refund)
}

/// Refunds that wait for funds are tried again, oldest first, until one is still too large (job).
pub(crate) async fn retry_pending(cx: &mut Cx, account: &str, currency: &str) -> Result<(), ApiError> {
    account.clone_into(&mut cx.account);
    loop {
        let next: Option<String> = sqlx::query_scalar(
            "select refund from pending_refunds where account = $1 and currency = $2 order by seq limit 1",
        )
        .bind(account)
        .bind(currency)
        .fetch_optional(&mut *cx.conn)
        .await?;
        let Some(id) = next else { return Ok(()) };
        let found = store::find_for_update(&mut cx.conn, account, "refund", &id).await?;
        let refund = found.ok_or_else(|| ApiError::internal("A waiting refund is not there."))?;
        if text(&refund, "status") != "pending" {
            // Somebody else was faster, and has committed: the row is gone when we look again.
            continue;
        }
        let asked = text(&refund, "currency").to_owned();
        let held = books::lock(cx, &[account], &asked).await?;
        if books::available(&held, account) < books::settled(cx, account, integer(&refund, "amount"), &asked).0 {
            return Ok(());
        }
        let charge = store::find(&mut cx.conn, account, "charge", text(&refund, "charge")).await?;
        let charge = charge.ok_or_else(|| ApiError::internal("A refund without its charge."))?;
        let refund = pay(cx, refund, &charge).await?;
        store::update(&mut cx.conn, &refund).await?;
        sqlx::query("delete from pending_refunds where refund = $1").bind(&id).execute(&mut *cx.conn).await?;
        announce(cx, account, &refund, Some(json!({ "status": "pending" })));
    }
}

fn announce(cx: &mut Cx, account: &str, refund: &Value, previous: Option<Value>) {
    cx.emit_change(account, "refund.updated", refund, previous.clone());
    cx.emit_change(account, "charge.refund.updated", refund, previous);
}

/// A refund that had succeeded, or waited, fails (control; docs.stripe.com/refunds#failed-refunds).
pub(crate) async fn fail(cx: &mut Cx, id: &str, reason: &str) -> Answer {
    let account = cx.account.clone();
    let found = store::find(&mut cx.conn, &account, "refund", id).await?;
    let charge = text(&found.ok_or_else(|| ApiError::no_such("refund", id))?, "charge").to_owned();
    // The charge first, then the refund, then the balance: the order of every refund.
    store::find_for_update(&mut cx.conn, &account, "charge", &charge).await?;
    let found = store::find_for_update(&mut cx.conn, &account, "refund", id).await?;
    let mut refund = found.ok_or_else(|| ApiError::no_such("refund", id))?;
    let (status, amount) = (text(&refund, "status").to_owned(), integer(&refund, "amount"));
    let currency = text(&refund, "currency").to_owned();
    match status.as_str() {
        "succeeded" => {
            books::lock(cx, &[&account], &currency).await?;
            let movement = Movement {
                account: &account,
                currency: &currency,
                amount,
                fee: 0,
                kind: "refund_failure",
                category: "refund_failure",
                source: id,
                description: None,
                available_on: cx.now,
                counterpart: Counterpart::Cards,
            };
            refund["failure_balance_transaction"] = json!(books::book(cx, movement).await?);
        }
        "pending" => {
            sqlx::query("delete from pending_refunds where refund = $1").bind(id).execute(&mut *cx.conn).await?;
        }
        _ => return Err(ApiError::refused(format!("A refund that is {status} cannot fail."))),
    }
    refund["status"] = json!("failed");
    refund["failure_reason"] = json!(reason);
    store::update(&mut cx.conn, &refund).await?;
    add_to_charge(cx, &account, &charge, -amount).await?;
    cx.emit(&account, "refund.failed", &refund);
    announce(cx, &account, &refund, Some(json!({ "status": status })));
    Ok(refund)
}

/// `GET /v1/refunds/{id}`.
pub(crate) async fn retrieve(cx: &mut Cx, id: &str, params: Params) -> Answer {
    super::retrieve(cx, "refund", id, params).await
}

/// `GET /v1/refunds`.
pub(crate) async fn index(cx: &mut Cx, mut params: Params) -> Answer {
    let charge = params.text("charge")?;
    let mut filter = Map::new();
    if let Some(intent) = params.text("payment_intent")? {
        filter.insert("payment_intent".into(), intent.into());
    }
    list::objects(cx, params, "refund", "/v1/refunds", charge.as_deref(), Some(filter.into())).await
}
