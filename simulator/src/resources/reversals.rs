//! Transfer reversals (docs.stripe.com/connect/separate-charges-and-transfers#reverse-transfers): a transfer's money, in
//! part or whole, back from the connected account to the platform.

use serde_json::{Value, json};

use crate::books::{self, Counterpart, Movement};
use crate::context::{Answer, Cx};
use crate::error::ApiError;
use crate::ids::new_id;
use crate::list;
use crate::params::Params;
use crate::resources::{balance_transactions, refunds};
use crate::settings::ReversalWhenShort;
use crate::store::{self, integer, text};

/// `POST /v1/transfers/{transfer}/reversals`.
pub(crate) async fn create(cx: &mut Cx, transfer: &str, mut params: Params) -> Answer {
    let amount = params.integer("amount")?;
    let description = params.text("description")?;
    let metadata = params.metadata()?.unwrap_or_default();
    if params.boolean("refund_application_fee")? == Some(true) {
        return Err(
            ApiError::invalid("Only destination charges carry an application fee.").param("refund_application_fee")
        );
    }
    params.finish()?;
    let transfer = find_transfer(cx, transfer, true).await?;
    let amount = amount_to_reverse(&transfer, amount)?;
    let texts = Texts { description, metadata: json!(metadata), source_refund: Value::Null };
    reverse(cx, transfer, amount, texts).await
}

/// What a refund with `reverse_transfer` takes back of its charge's transfer: the same part of it as the refund is of the
/// charge, at most what is left (docs.stripe.com/connect/destination-charges#issue-refunds).
pub(crate) async fn with_refund(cx: &mut Cx, charge: &Value, refund: &Value) -> Answer {
    let transfer = find_transfer(cx, text(charge, "transfer"), true).await?;
    let part = |amount: i64| {
        let (amount, refunded, charged) = (
            i128::from(amount),
            i128::from(integer(refund, "amount")),
            i128::from(integer(charge, "amount_captured").max(1)),
        );
        i64::try_from((2 * amount * refunded + charged) / (2 * charged)).unwrap_or(i64::MAX)
    };
    let left = integer(&transfer, "amount") - integer(&transfer, "amount_reversed");
    let amount = amount_to_reverse(&transfer, Some(part(integer(&transfer, "amount")).min(left)))?;
    let texts = Texts { description: None, metadata: json!({}), source_refund: refund["id"].clone() };
    reverse(cx, transfer, amount, texts).await
}

/// What a reversal shows beside its figures.
struct Texts {
    description: Option<String>,
    metadata: Value,
    source_refund: Value,
}

async fn reverse(cx: &mut Cx, mut transfer: Value, amount: i64, texts: Texts) -> Answer {
    let platform = cx.platform.clone();
    let (currency, destination) = (text(&transfer, "currency").to_owned(), text(&transfer, "destination").to_owned());
    let held = books::lock(cx, &[&destination], &currency).await?;
    let transaction = text(&transfer, "balance_transaction").to_owned();
    let available_on = balance_transactions::available_on(&mut cx.conn, &transaction).await?.max(cx.now);
    let short = books::available(&held, &destination) < amount && available_on <= cx.now;
    if short && cx.settings.reversal_when_short == ReversalWhenShort::Refuse {
        return Err(ApiError::refused(
            "You cannot reverse this transfer because the connected account's available balance does not cover it.",
        )
        .code("balance_insufficient"));
    }
    let id = new_id("trr");
    let payment = text(&transfer, "destination_payment").to_owned();
    let mut refund = refunds::of_payment(cx, &payment, amount, &id).await?;
    let mut reversal = json!({
        "id": id,
        "object": "transfer_reversal",
        "amount": amount,
        "balance_transaction": null,
        "created": cx.now,
        "currency": currency,
        "destination_payment_refund": refund["id"],
        "metadata": texts.metadata,
        "source_refund": texts.source_refund,
        "transfer": transfer["id"],
    });
    let back = Movement {
        account: &platform,
        currency: &currency,
        amount,
        fee: 0,
        kind: "transfer_refund",
        category: "transfer_reversal",
        source: &id,
        description: texts.description.as_deref(),
        available_on,
        counterpart: Counterpart::Transfers,
    };
    reversal["balance_transaction"] = json!(books::book(cx, back).await?);
    let out = Movement {
        account: &destination,
        currency: &currency,
        amount: -amount,
        fee: 0,
        kind: "payment_refund",
        category: "refund",
        source: store::id(&refund),
        description: None,
        available_on,
        counterpart: Counterpart::Transfers,
    };
    refund["balance_transaction"] = json!(books::book(cx, out).await?);
    store::insert(cx, &destination, Some(&payment), &refund).await?;
    store::insert(cx, &platform, Some(store::id(&transfer)), &reversal).await?;
    announce(cx, &mut transfer, amount, &refund).await?;
    Ok(reversal)
}

/// The transfer's new state, and the payment's on the connected account.
async fn announce(cx: &mut Cx, transfer: &mut Value, amount: i64, refund: &Value) -> Result<(), ApiError> {
    let platform = cx.platform.clone();
    let before = integer(transfer, "amount_reversed");
    transfer["amount_reversed"] = json!(before + amount);
    transfer["reversed"] = json!(before + amount == integer(transfer, "amount"));
    store::update(&mut cx.conn, transfer).await?;
    let shown = store::with_children(&mut cx.conn, transfer.clone()).await?;
    cx.emit_change(&platform, "transfer.reversed", &shown, Some(json!({ "amount_reversed": before })));
    let destination = text(transfer, "destination").to_owned();
    let payment = text(transfer, "destination_payment").to_owned();
    refunds::add_to_charge(cx, &destination, &payment, amount).await?;
    cx.emit(&destination, "refund.created", refund);
    Ok(())
}

fn amount_to_reverse(transfer: &Value, asked: Option<i64>) -> Result<i64, ApiError> {
    let currency = text(transfer, "currency");
    let left = integer(transfer, "amount") - integer(transfer, "amount_reversed");
    if left == 0 {
        return Err(ApiError::refused(format!("Transfer {} is already fully reversed.", store::id(transfer))));
    }
    let amount = asked.unwrap_or(left);
    crate::currency::check_amount(amount, currency)?;
    if amount <= left {
        return Ok(amount);
    }
    Err(ApiError::refused(format!(
        "Transfer reversal amount ({}) is greater than unreversed amount on transfer ({}).",
        crate::currency::show(amount, currency),
        crate::currency::show(left, currency)
    ))
    .param("amount"))
}

async fn find_transfer(cx: &mut Cx, id: &str, lock: bool) -> Answer {
    let account = cx.account.clone();
    let found = if lock {
        store::find_for_update(&mut cx.conn, &account, "transfer", id).await?
    } else {
        store::find(&mut cx.conn, &account, "transfer", id).await?
    };
    found.ok_or_else(|| ApiError::no_such("transfer", id))
}

/// `GET /v1/transfers/{transfer}/reversals/{id}`.
pub(crate) async fn retrieve(cx: &mut Cx, transfer: &str, id: &str, params: Params) -> Answer {
    let reversal = super::retrieve(cx, "transfer_reversal", id, params).await?;
    if text(&reversal, "transfer") == transfer { Ok(reversal) } else { Err(ApiError::no_such("transfer_reversal", id)) }
}

/// `GET /v1/transfers/{transfer}/reversals`.
pub(crate) async fn index(cx: &mut Cx, transfer: &str, params: Params) -> Answer {
    find_transfer(cx, transfer, false).await?;
    let url = format!("/v1/transfers/{transfer}/reversals");
    list::objects(cx, params, "transfer_reversal", &url, Some(transfer), None).await
}
