//! Payment methods (docs.stripe.com/api/payment_methods): test cards as objects, alone or with a customer.

use serde_json::{Value, json};

use crate::context::{Answer, Cx};
use crate::error::ApiError;
use crate::ids::new_id;
use crate::list;
use crate::params::Params;
use crate::resources::cards::{self, Card};
use crate::resources::customers;
use crate::store;

/// What the token of a method is kept with, once it was taken from its customer.
const DETACHED: &str = "detached:";

/// A payment method with the card behind it.
pub(crate) struct Attached {
    pub(crate) method: Value,
    pub(crate) card: Card,
    is_detached: bool,
}

/// The method that a request names: a test card makes a new one, an id names one made before.
pub(crate) async fn named(cx: &mut Cx, name: &str) -> Result<Attached, ApiError> {
    if let Some(card) = cards::find(name) {
        let method = card.payment_method(&new_id("pm"), cx.now);
        let account = cx.account.clone();
        store::insert(cx, &account, Some(card.token), &method).await?;
        return Ok(Attached { method, card, is_detached: false });
    }
    let found = made_before(cx, name).await?;
    let found = found.ok_or_else(|| ApiError::no_such_param("PaymentMethod", name, "payment_method"))?;
    if found.is_detached {
        return Err(ApiError::invalid(
            "The provided PaymentMethod was detached from a Customer. It may not be used again.",
        )
        .param("payment_method"));
    }
    Ok(found)
}

/// A method by its id, detached or not.
pub(crate) async fn made_before(cx: &mut Cx, id: &str) -> Result<Option<Attached>, ApiError> {
    let row: Option<(String, Value)> =
        sqlx::query_as("select parent, body from objects where id = $1 and account = $2 and object = 'payment_method'")
            .bind(id)
            .bind(&cx.account)
            .fetch_optional(&mut *cx.conn)
            .await?;
    Ok(row.and_then(|(token, method)| {
        let detached = token.strip_prefix(DETACHED);
        let card = cards::find(detached.unwrap_or(&token))?;
        Some(Attached { method, card, is_detached: detached.is_some() })
    }))
}

/// Refuses a method that is with another customer than the one that pays, or with one while none is named.
pub(crate) fn check_owner(attached: &Attached, customer: Option<&str>) -> Result<(), ApiError> {
    let owner = attached.method["customer"].as_str();
    if owner.is_none() || owner == customer {
        return Ok(());
    }
    let message = match customer {
        None => {
            "The provided PaymentMethod cannot be used with this PaymentIntent because it belongs to a Customer. Please \
             include the Customer in the `customer` parameter."
        }
        Some(_) => "The provided PaymentMethod belongs to a different Customer.",
    };
    Err(ApiError::invalid(message).param("payment_method"))
}

/// Gives a method to a customer.
pub(crate) async fn give(cx: &mut Cx, attached: &mut Attached, customer: &str) -> Result<(), ApiError> {
    if attached.method["customer"] == json!(customer) {
        return Ok(());
    }
    attached.method["customer"] = json!(customer);
    store::update(&mut cx.conn, &attached.method).await?;
    let account = cx.account.clone();
    cx.emit(&account, "payment_method.attached", &attached.method);
    Ok(())
}

/// `POST /v1/payment_methods/{id}/attach`.
pub(crate) async fn attach(cx: &mut Cx, id: &str, mut params: Params) -> Answer {
    let customer = params.required_text("customer")?;
    params.finish()?;
    customers::check(cx, &customer, "customer").await?;
    let mut attached = named(cx, id).await?;
    if !attached.method["customer"].is_null() {
        return Err(ApiError::refused("The payment method you provided has already been attached to a customer."));
    }
    give(cx, &mut attached, &customer).await?;
    Ok(attached.method)
}

/// `POST /v1/payment_methods/{id}/detach`.
pub(crate) async fn detach(cx: &mut Cx, id: &str, params: Params) -> Answer {
    params.finish()?;
    let account = cx.account.clone();
    let found = store::find_for_update(&mut cx.conn, &account, "payment_method", id).await?;
    let mut method = found.ok_or_else(|| ApiError::no_such("PaymentMethod", id))?;
    if method["customer"].is_null() {
        return Err(ApiError::refused(
            "The payment method you provided is not attached to a customer so detachment is impossible.",
        ));
    }
    let before = json!({ "customer": method["customer"] });
    method["customer"] = Value::Null;
    store::update(&mut cx.conn, &method).await?;
    sqlx::query("update objects set parent = $3 || parent where id = $1 and account = $2")
        .bind(id)
        .bind(&account)
        .bind(DETACHED)
        .execute(&mut *cx.conn)
        .await?;
    cx.emit_change(&account, "payment_method.detached", &method, Some(before));
    Ok(method)
}

/// `GET /v1/payment_methods/{id}`.
pub(crate) async fn retrieve(cx: &mut Cx, id: &str, params: Params) -> Answer {
    super::retrieve(cx, "payment_method", id, params).await
}

/// `GET /v1/payment_methods`.
pub(crate) async fn index(cx: &mut Cx, mut params: Params) -> Answer {
    let customer = params.required_text("customer")?;
    let mut filter = json!({ "customer": customer });
    if let Some(kind) = params.text("type")? {
        filter["type"] = json!(kind);
    }
    list::objects(cx, params, "payment_method", "/v1/payment_methods", None, Some(filter)).await
}
