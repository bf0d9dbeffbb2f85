//! Destination charges (docs.stripe.com/connect/destination-charges): a payment intent that names a connected account, to
//! which a part of the charge is transferred as soon as the buyer is charged; on whose behalf a charge is made; and what the
//! platform keeps of a direct charge.

use serde_json::{Value, json};

use crate::context::Cx;
use crate::currency::show;
use crate::error::ApiError;
use crate::params::Params;
use crate::resources::transfers;
use crate::store::{self, integer, text};

/// What a new payment intent says about connected accounts.
#[derive(Debug, Default)]
pub(crate) struct Connected {
    data: Option<Value>,
    on_behalf_of: Option<String>,
    fee: Option<i64>,
}

impl Connected {
    /// Reads `transfer_data`, `on_behalf_of` and `application_fee_amount`.
    pub(crate) fn read(params: &mut Params, amount: i64, currency: &str) -> Result<Self, ApiError> {
        let fee = params.integer("application_fee_amount")?;
        if fee.is_some_and(|fee| fee < 1 || fee > amount) {
            let message = "The application fee must be a positive amount of at most the charge's amount.";
            return Err(ApiError::invalid(message).param("application_fee_amount"));
        }
        let mut connected = Self { data: None, on_behalf_of: params.text("on_behalf_of")?, fee };
        if let Some(mut hash) = params.hash("transfer_data")? {
            let destination = hash.required_text("destination")?;
            let sent = hash.integer("amount")?;
            hash.finish()?;
            let mut data = json!({ "destination": destination });
            if let Some(sent) = sent {
                check_amount(sent, amount, currency)?;
                data["amount"] = json!(sent);
            }
            connected.data = Some(data);
        }
        Ok(connected)
    }

    /// Refuses accounts that are not there or may not take what is meant for them.
    pub(crate) async fn check(&self, cx: &mut Cx) -> Result<(), ApiError> {
        if *cx.account != *cx.platform {
            let platform = cx.platform.clone();
            let account = cx.account.clone();
            let merchant = store::find(&mut cx.conn, &platform, "account", &account).await?.unwrap_or_default();
            if text(&merchant["capabilities"], "card_payments") != "active" {
                return Err(ApiError::refused(
                    "Your account cannot currently make charges. The card_payments capability is not active.",
                ));
            }
        } else if self.fee.is_some() {
            return Err(ApiError::invalid(
                "Can only apply an application_fee_amount when the PaymentIntent is attempting a direct payment (using an \
                 OAuth key or Stripe-Account header) or destination payment (using `transfer_data[destination]`).",
            )
            .param("application_fee_amount"));
        }
        let is_used = self.data.is_some() || self.on_behalf_of.is_some();
        if is_used && *cx.account != *cx.platform {
            return Err(ApiError::refused("A connected account has no connected accounts of its own."));
        }
        if let Some(data) = &self.data {
            transfers::check_destination(cx, text(data, "destination"), "transfer_data[destination]").await?;
        }
        let Some(account) = &self.on_behalf_of else { return Ok(()) };
        let platform = cx.platform.clone();
        let found = store::find(&mut cx.conn, &platform, "account", account).await?;
        let found = found
            .filter(|_| *account != *platform)
            .ok_or_else(|| ApiError::no_such_param("on_behalf_of", account, "on_behalf_of"))?;
        if text(&found["capabilities"], "card_payments") == "active" {
            return Ok(());
        }
        Err(ApiError::refused(
            "The account referenced in the 'on_behalf_of' parameter is missing the required capabilities: card_payments.",
        )
        .param("on_behalf_of"))
    }

    /// Writes them on the intent.
    pub(crate) fn put_on(&self, intent: &mut Value) {
        intent["on_behalf_of"] = json!(self.on_behalf_of);
        intent["transfer_data"] = json!(self.data);
        intent["application_fee_amount"] = json!(self.fee);
    }
}

fn check_amount(sent: i64, amount: i64, currency: &str) -> Result<(), ApiError> {
    crate::currency::check_amount(sent, currency)?;
    if sent <= amount {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "transfer_data[amount] ({}) must be less than or equal to the charge's amount ({}).",
        show(sent, currency),
        show(amount, currency)
    ))
    .param("transfer_data[amount]"))
}

/// What a capture says of the part that is sent: another amount than the intent's.
pub(crate) fn read_of_capture(params: &mut Params) -> Result<Option<i64>, ApiError> {
    let Some(mut hash) = params.hash("transfer_data")? else { return Ok(None) };
    let sent = hash.integer("amount")?;
    hash.finish()?;
    Ok(sent)
}

/// Changes the part of an intent's charge that is sent, before it is captured.
pub(crate) fn change(intent: &mut Value, sent: i64, captured: i64) -> Result<(), ApiError> {
    if intent["transfer_data"].is_null() {
        let message = "You cannot set transfer_data[amount] on a PaymentIntent that was created without transfer_data.";
        return Err(ApiError::refused(message).param("transfer_data[amount]"));
    }
    check_amount(sent, captured, text(intent, "currency"))?;
    intent["transfer_data"]["amount"] = json!(sent);
    Ok(())
}

/// Whose balance a charge's success changes beside the account's own.
pub(crate) fn account_of(charge: &Value) -> Option<&str> {
    charge["transfer_data"]["destination"].as_str()
}

/// Sends the destination its part of a charge that is booked, at most what was captured.
pub(crate) async fn send(cx: &mut Cx, charge: &mut Value) -> Result<(), ApiError> {
    let Some(destination) = account_of(charge).map(ToOwned::to_owned) else { return Ok(()) };
    let captured = integer(charge, "amount_captured");
    let amount = charge["transfer_data"]["amount"].as_i64().unwrap_or(captured).min(captured);
    let transfer = transfers::with_charge(cx, charge, &destination, amount).await?;
    charge["transfer"] = transfer["id"].clone();
    Ok(())
}
