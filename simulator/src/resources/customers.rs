//! Customers (docs.stripe.com/api/customers): buyers whose payment methods are kept.

use serde_json::{Value, json};

use crate::context::{Answer, Cx};
use crate::error::ApiError;
use crate::ids::{new_id, random_text};
use crate::list;
use crate::params::Params;
use crate::store;

/// `POST /v1/customers`.
pub(crate) async fn create(cx: &mut Cx, mut params: Params) -> Answer {
    let mut texts = Vec::new();
    for field in ["description", "email", "name", "phone"] {
        texts.push((field, params.text(field)?));
    }
    let metadata = params.metadata()?.unwrap_or_default();
    params.finish()?;
    let mut customer = json!({
        "id": new_id("cus"),
        "object": "customer",
        "address": null,
        "balance": 0,
        "created": cx.now,
        "currency": null,
        "customer_account": null,
        "default_source": null,
        "delinquent": false,
        "discount": null,
        "invoice_prefix": random_text(8).to_uppercase(),
        "invoice_settings": {
            "custom_fields": null, "default_payment_method": null, "footer": null, "rendering_options": null
        },
        "livemode": false,
        "metadata": metadata,
        "next_invoice_sequence": 1,
        "preferred_locales": [],
        "shipping": null,
        "tax_exempt": "none",
        "test_clock": null,
    });
    for (field, value) in texts {
        customer[field] = json!(value);
    }
    let account = cx.account.clone();
    store::insert(cx, &account, None, &customer).await?;
    cx.emit(&account, "customer.created", &customer);
    Ok(customer)
}

/// Refuses a customer that is not there; `param` names it.
pub(crate) async fn check(cx: &mut Cx, id: &str, param: &str) -> Result<(), ApiError> {
    let account = cx.account.clone();
    let found: Option<Value> = store::find(&mut cx.conn, &account, "customer", id).await?;
    found.map(drop).ok_or_else(|| ApiError::no_such_param("customer", id, param))
}

/// `GET /v1/customers/{id}`.
pub(crate) async fn retrieve(cx: &mut Cx, id: &str, params: Params) -> Answer {
    super::retrieve(cx, "customer", id, params).await
}

/// `GET /v1/customers`.
pub(crate) async fn index(cx: &mut Cx, params: Params) -> Answer {
    list::objects(cx, params, "customer", "/v1/customers", None, None).await
}
