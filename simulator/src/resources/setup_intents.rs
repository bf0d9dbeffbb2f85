//! Setup intents (docs.stripe.com/payments/setup-intents): a payment method is made fit for later charges and given to its
//! customer.

use serde_json::{Value, json};

use crate::context::{Answer, Cx};
use crate::error::ApiError;
use crate::ids::{new_id, random_text};
use crate::list;
use crate::params::Params;
use crate::resources::cards::Behaviour;
use crate::resources::{customers, payment_methods};
use crate::store::{self, text};

/// `POST /v1/setup_intents`.
pub(crate) async fn create(cx: &mut Cx, mut params: Params) -> Answer {
    let customer = params.text("customer")?;
    let method = params.text("payment_method")?;
    let confirm = params.boolean("confirm")?.unwrap_or(false);
    let return_url = params.text("return_url")?;
    let usage = params.choice("usage", &["off_session", "on_session"])?.unwrap_or_else(|| "off_session".into());
    let description = params.text("description")?;
    let metadata = params.metadata()?.unwrap_or_default();
    let mut automatic = json!({ "enabled": true });
    if let Some(mut hash) = params.hash("automatic_payment_methods")? {
        hash.boolean("enabled")?.ok_or_else(|| hash.missing("enabled"))?;
        if let Some(allow) = hash.choice("allow_redirects", &["always", "never"])? {
            automatic["allow_redirects"] = json!(allow);
        }
        hash.finish()?;
    }
    params.finish()?;
    if return_url.is_some() && !confirm {
        let message = "You must set `confirm` to true when passing `return_url`.";
        return Err(ApiError::invalid(message).param("return_url"));
    }
    if confirm && automatic["allow_redirects"] != json!("never") && return_url.is_none() {
        return Err(ApiError::invalid(
            "This SetupIntent is configured to accept payment methods that might redirect your customer off of your page: \
             you must provide a `return_url`.",
        ));
    }
    if let Some(customer) = &customer {
        customers::check(cx, customer, "customer").await?;
    }
    let id = new_id("seti");
    let mut intent = json!({
        "id": id,
        "object": "setup_intent",
        "application": null,
        "automatic_payment_methods": automatic,
        "cancellation_reason": null,
        "client_secret": format!("{id}_secret_{}", random_text(25)),
        "created": cx.now,
        "customer": customer,
        "customer_account": null,
        "description": description,
        "excluded_payment_method_types": null,
        "flow_directions": null,
        "last_setup_error": null,
        "latest_attempt": null,
        "livemode": false,
        "managed_payments": null,
        "mandate": null,
        "metadata": metadata,
        "next_action": null,
        "on_behalf_of": null,
        "payment_method": null,
        "payment_method_configuration_details": null,
        "payment_method_options": { "card": { "request_three_d_secure": "automatic" } },
        "payment_method_types": ["card"],
        "single_use_mandate": null,
        "status": if method.is_some() { "requires_confirmation" } else { "requires_payment_method" },
        "usage": usage,
    });
    let attached = match &method {
        Some(name) => Some(payment_methods::named(cx, name).await?),
        None => None,
    };
    if let Some(attached) = &attached {
        payment_methods::check_owner(attached, customer.as_deref())?;
        intent["payment_method"] = attached.method["id"].clone();
    }
    let account = cx.account.clone();
    store::insert(cx, &account, None, &intent).await?;
    cx.emit(&account, "setup_intent.created", &intent);
    match attached {
        Some(attached) if confirm => set_up(cx, intent, attached.card.behaviour, return_url.as_deref()).await,
        None if confirm => {
            Err(ApiError::refused("You cannot confirm this SetupIntent because it's missing a payment method.")
                .code("setup_intent_unexpected_state"))
        }
        _ => Ok(intent),
    }
}

async fn set_up(cx: &mut Cx, mut intent: Value, behaviour: Behaviour, return_url: Option<&str>) -> Answer {
    let account = cx.account.clone();
    match behaviour {
        Behaviour::NeedsAuthentication => {
            intent["status"] = json!("requires_action");
            intent["next_action"] = match return_url {
                Some(back) => json!({
                    "type": "redirect_to_url",
                    "redirect_to_url": {
                        "return_url": back,
                        "url": format!("https://hooks.stripe.com/3d_secure_2/hosted?setup_intent={}", store::id(&intent)),
                    },
                }),
                None => json!({ "type": "use_stripe_sdk", "use_stripe_sdk": { "type": "three_d_secure_redirect" } }),
            };
            store::update(&mut cx.conn, &intent).await?;
            cx.emit(&account, "setup_intent.requires_action", &intent);
            Ok(intent)
        }
        Behaviour::Declines { code, decline_code, message } => {
            let error = ApiError::card(code, message).decline(decline_code);
            intent["last_setup_error"] = Value::Object(error.fields());
            fail(cx, &mut intent).await?;
            Err(error.with("setup_intent", intent))
        }
        _ => succeed(cx, intent).await,
    }
}

async fn succeed(cx: &mut Cx, mut intent: Value) -> Answer {
    intent["status"] = json!("succeeded");
    intent["next_action"] = Value::Null;
    intent["last_setup_error"] = Value::Null;
    if let Some(customer) = intent["customer"].as_str().map(ToOwned::to_owned) {
        let id = text(&intent, "payment_method").to_owned();
        let found = payment_methods::made_before(cx, &id).await?;
        let mut attached = found.ok_or_else(|| ApiError::internal("A set-up without its method."))?;
        payment_methods::give(cx, &mut attached, &customer).await?;
    }
    store::update(&mut cx.conn, &intent).await?;
    let account = cx.account.clone();
    cx.emit(&account, "setup_intent.succeeded", &intent);
    Ok(intent)
}

async fn fail(cx: &mut Cx, intent: &mut Value) -> Result<(), ApiError> {
    intent["status"] = json!("requires_payment_method");
    intent["payment_method"] = Value::Null;
    intent["next_action"] = Value::Null;
    store::update(&mut cx.conn, intent).await?;
    let account = cx.account.clone();
    cx.emit(&account, "setup_intent.setup_failed", intent);
    Ok(())
}

/// What the buyer did that was wanted: it authenticated, or could not (control).
pub(crate) async fn authenticate(cx: &mut Cx, id: &str, succeeds: bool) -> Answer {
    let account = cx.account.clone();
    let found = store::find_for_update(&mut cx.conn, &account, "setup_intent", id).await?;
    let mut intent = found.ok_or_else(|| ApiError::no_such("setup_intent", id))?;
    if text(&intent, "status") != "requires_action" {
        return Err(ApiError::refused("Only a set-up that waits for its buyer can be authenticated."));
    }
    if succeeds {
        return succeed(cx, intent).await;
    }
    intent["last_setup_error"] = json!({
        "type": "invalid_request_error",
        "code": "setup_intent_authentication_failure",
        "message": "The provided payment method has failed authentication.",
    });
    fail(cx, &mut intent).await?;
    Ok(intent)
}

/// `GET /v1/setup_intents/{id}`.
pub(crate) async fn retrieve(cx: &mut Cx, id: &str, params: Params) -> Answer {
    super::retrieve(cx, "setup_intent", id, params).await
}

/// `GET /v1/setup_intents`.
pub(crate) async fn index(cx: &mut Cx, params: Params) -> Answer {
    list::objects(cx, params, "setup_intent", "/v1/setup_intents", None, None).await
}
