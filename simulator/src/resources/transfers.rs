//! Transfers (docs.stripe.com/connect/separate-charges-and-transfers): from the platform's balance to a connected
//! account's, where they arrive as a payment.

use serde_json::{Map, Value, json};

use crate::books::{self, Counterpart, Movement};
use crate::context::{Answer, Cx};
use crate::error::ApiError;
use crate::ids::new_id;
use crate::list;
use crate::params::Params;
use crate::resources::{balance_transactions, charges};
use crate::store::{self, integer, text};

/// A request to transfer.
#[derive(Debug)]
struct Creation {
    amount: i64,
    currency: String,
    destination: String,
    source_transaction: Option<String>,
    transfer_group: Option<String>,
    description: Option<String>,
    metadata: Value,
}

impl Creation {
    fn read(mut params: Params) -> Result<Self, ApiError> {
        let (amount, currency) = super::amount_and_currency(&mut params)?;
        let creation = Self {
            amount,
            currency,
            destination: params.required_text("destination")?,
            source_transaction: params.text("source_transaction")?,
            transfer_group: params.text("transfer_group")?,
            description: params.text("description")?,
            metadata: json!(params.metadata()?.unwrap_or_default()),
        };
        params.choice("source_type", &["card"])?;
        params.finish()?;
        Ok(creation)
    }

    fn body(&self, now: i64) -> Value {
        let id = new_id("tr");
        json!({
            "id": id,
            "object": "transfer",
            "amount": self.amount,
            "amount_reversed": 0,
            "balance_transaction": null,
            "created": now,
            "currency": self.currency,
            "description": self.description,
            "destination": self.destination,
            "destination_payment": null,
            "livemode": false,
            "metadata": self.metadata,
            "reversals": store::empty_list(&format!("/v1/transfers/{id}/reversals")),
            "reversed": false,
            "source_transaction": self.source_transaction,
            "source_type": "card",
            "transfer_group": self.transfer_group,
        })
    }
}

/// `POST /v1/transfers`.
pub(crate) async fn create(cx: &mut Cx, params: Params) -> Answer {
    let creation = Creation::read(params)?;
    if *cx.account != *cx.platform {
        return Err(ApiError::refused("Cannot create transfers from a connected account."));
    }
    check_destination(cx, &creation.destination, "destination").await?;
    let mut transfer = creation.body(cx.now);
    let available_on = match &creation.source_transaction {
        Some(charge) => {
            let (group, available_on) = check_source(cx, &creation, charge).await?;
            if creation.transfer_group.is_none() {
                transfer["transfer_group"] = group;
            }
            Some(available_on)
        }
        None => None,
    };
    let platform = cx.platform.clone();
    let held = books::lock(cx, &[&creation.destination], &creation.currency).await?;
    let cost = books::settled(cx, &platform, creation.amount, &creation.currency).0;
    if available_on.is_none() && books::available(&held, &platform) < cost {
        return Err(insufficient_balance());
    }
    book(cx, transfer, available_on.unwrap_or(cx.now)).await
}

fn insufficient_balance() -> ApiError {
    ApiError::refused(
        "You have insufficient available funds in your Stripe account. Try adding funds directly to your available \
         balance by creating Charges using the 4000000000000077 test card. See: \
         https://docs.stripe.com/testing#available-balance",
    )
    .code("balance_insufficient")
}

/// Refuses an account that is not there or may not be sent anything; `param` names it.
pub(crate) async fn check_destination(cx: &mut Cx, destination: &str, param: &str) -> Result<(), ApiError> {
    let platform = cx.platform.clone();
    let account = store::find(&mut cx.conn, &platform, "account", destination).await?;
    let account = account
        .filter(|_| *destination != *platform)
        .ok_or_else(|| ApiError::no_such_param("destination", destination, param))?;
    if text(&account["capabilities"], "transfers") == "active" {
        return Ok(());
    }
    Err(ApiError::refused(
        "Your destination account needs to have at least one of the following capabilities enabled: transfers, \
         crypto_transfers, legacy_payments",
    )
    .code("insufficient_capabilities_for_transfer"))
}

/// The charge that a transfer draws on: its group, and when its funds are available. Locked, so that transfers of one
/// charge cannot pass its amount together.
async fn check_source(cx: &mut Cx, creation: &Creation, id: &str) -> Result<(Value, i64), ApiError> {
    let platform = cx.platform.clone();
    let charge = store::find_for_update(&mut cx.conn, &platform, "charge", id)
        .await?
        .ok_or_else(|| ApiError::no_such_param("charge", id, "source_transaction"))?;
    let Some(transaction) = charge["balance_transaction"].as_str() else {
        return Err(ApiError::refused(format!(
            "Transfers using this charge as a source_transaction are not possible: {id} has no balance transaction."
        ))
        .param("source_transaction"));
    };
    let currency = source_currency(cx, &charge);
    if currency != creation.currency {
        return Err(ApiError::refused(format!(
            "The currency of source_transaction's balance transaction ({currency}) must be the same as the transfer \
             currency ({})",
            creation.currency
        ))
        .code("transfer_source_balance_parameters_mismatch")
        .param("currency"));
    }
    let transferred: i64 = sqlx::query_scalar(
        "select coalesce(sum((body ->> 'amount')::bigint - (body ->> 'amount_reversed')::bigint), 0)::bigint
         from objects where parent = $1 and object = 'transfer'",
    )
    .bind(id)
    .fetch_one(&mut *cx.conn)
    .await?;
    let captured = integer(&charge, "amount_captured");
    let left = captured - transferred;
    if creation.amount > left {
        return Err(ApiError::refused(format!(
            "The transfers of {id} cannot exceed its amount: {} of {} can still be transferred.",
            crate::currency::show(left, &creation.currency),
            crate::currency::show(captured, &creation.currency)
        ))
        .param("amount"));
    }
    let transaction = transaction.to_owned();
    let available_on = balance_transactions::available_on(&mut cx.conn, &transaction).await?;
    let group = charge["transfer_group"].as_str().map_or_else(|| format!("group_{id}"), ToOwned::to_owned);
    Ok((json!(group), available_on.max(cx.now)))
}

/// What a transfer that names a charge has to be in.
fn source_currency(cx: &Cx, charge: &Value) -> String {
    let charged = text(charge, "currency");
    match &cx.settings.exchange {
        Some(exchange) if exchange.transfers_convert => charged.to_owned(),
        _ => books::settled(cx, &cx.platform, integer(charge, "amount_captured"), charged).1,
    }
}

/// The transfer that a charge makes by itself, once it is booked; it is pending as long as the charge is.
pub(crate) async fn with_charge(cx: &mut Cx, charge: &Value, destination: &str, amount: i64) -> Answer {
    let group = charge["transfer_group"].as_str();
    let creation = Creation {
        amount,
        currency: text(charge, "currency").to_owned(),
        destination: destination.to_owned(),
        source_transaction: Some(store::id(charge).to_owned()),
        transfer_group: Some(
            group.map_or_else(|| format!("group_{}", text(charge, "payment_intent")), ToOwned::to_owned),
        ),
        description: None,
        metadata: json!({}),
    };
    let booked = text(charge, "balance_transaction").to_owned();
    let available_on = balance_transactions::available_on(&mut cx.conn, &booked).await?;
    book(cx, creation.body(cx.now), available_on.max(cx.now)).await
}

/// Writes the transfer with its payment and books both sides.
async fn book(cx: &mut Cx, mut transfer: Value, available_on: i64) -> Answer {
    let platform = cx.platform.clone();
    let (amount, currency) = (integer(&transfer, "amount"), text(&transfer, "currency").to_owned());
    let destination = text(&transfer, "destination").to_owned();
    let mut payment = charges::of_transfer(&transfer, cx.now);
    transfer["destination_payment"] = payment["id"].clone();
    let out = Movement {
        account: &platform,
        currency: &currency,
        amount: -amount,
        fee: 0,
        kind: "transfer",
        category: "transfer",
        source: store::id(&transfer),
        description: transfer["description"].as_str(),
        available_on,
        counterpart: Counterpart::Transfers,
    };
    let taken = books::book(cx, out).await?;
    let into = Movement {
        account: &destination,
        currency: &currency,
        amount,
        fee: 0,
        kind: "payment",
        category: "charge",
        source: store::id(&payment),
        description: None,
        available_on,
        counterpart: Counterpart::Transfers,
    };
    let given = books::book(cx, into).await?;
    transfer["balance_transaction"] = json!(taken);
    payment["balance_transaction"] = json!(given);
    let source = transfer["source_transaction"].as_str().map(ToOwned::to_owned);
    store::insert(cx, &platform, source.as_deref(), &transfer).await?;
    store::insert(cx, &destination, Some(store::id(&transfer)), &payment).await?;
    cx.emit(&platform, "transfer.created", &transfer);
    cx.emit(&destination, "payment.created", &payment);
    Ok(transfer)
}

/// `GET /v1/transfers/{id}`.
pub(crate) async fn retrieve(cx: &mut Cx, id: &str, params: Params) -> Answer {
    super::retrieve(cx, "transfer", id, params).await
}

/// `GET /v1/transfers`.
pub(crate) async fn index(cx: &mut Cx, mut params: Params) -> Answer {
    let mut filter = Map::new();
    for field in ["destination", "transfer_group"] {
        if let Some(value) = params.text(field)? {
            filter.insert(field.into(), value.into());
        }
    }
    list::objects(cx, params, "transfer", "/v1/transfers", None, Some(filter.into())).await
}
