//! Payment intents (docs.stripe.com/api/payment_intents): one buyer's payment, from asked to charged or given up.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::context::{Answer, Cx};
use crate::currency::check_charge_amount;
use crate::error::ApiError;
use crate::ids::{new_id, random_text};
use crate::list;
use crate::params::Params;
use crate::resources::cards::{Behaviour, Card};
use crate::resources::destinations::Connected;
use crate::resources::payment_methods::{self, Attached};
use crate::resources::{captures, charges, customers, debits};
use crate::store::{self, text};

/// A request to confirm, now or with the creation.
#[derive(Debug, Default)]
struct Confirmation {
    payment_method: Option<String>,
    return_url: Option<String>,
    /// Nobody is there to act, so that the need to is a decline.
    error_on_requires_action: bool,
    off_session: Option<bool>,
}

impl Confirmation {
    fn read(params: &mut Params) -> Result<Self, ApiError> {
        Ok(Self {
            payment_method: params.text("payment_method")?,
            return_url: params.text("return_url")?,
            error_on_requires_action: params.boolean("error_on_requires_action")?.unwrap_or(false),
            off_session: params.boolean("off_session")?,
        })
    }
}

/// The types that a payment is limited to; ours are cards, and other types are left out without a word
/// (docs.stripe.com/changelog/dahlia/2026-07-29/allowed-payment-method-types-parameter).
fn read_types(params: &mut Params) -> Result<Option<Vec<String>>, ApiError> {
    if params.list("payment_method_types")?.is_some() {
        return Err(ApiError::invalid(
            "The payment_method_types parameter is no longer supported on this API version. Use dynamic payment methods \
             or allowed_payment_method_types instead.",
        )
        .code("payment_method_types_no_longer_supported")
        .param("payment_method_types"));
    }
    let types = params.list("allowed_payment_method_types")?;
    if types.as_ref().is_some_and(|types| !types.iter().any(|t| t == "card")) {
        return Err(ApiError::invalid("No valid payment method types for this Payment Intent.")
            .code("payment_intent_invalid_parameter")
            .param("allowed_payment_method_types"));
    }
    Ok(types)
}

/// A request to create.
#[derive(Debug)]
struct Creation {
    amount: i64,
    currency: String,
    confirm: bool,
    confirmation: Confirmation,
    capture_method: String,
    allowed_types: Option<Vec<String>>,
    allow_redirects: Option<String>,
    connected: Connected,
    customer: Option<String>,
    texts: BTreeMap<&'static str, String>,
    metadata: BTreeMap<String, String>,
}

impl Creation {
    fn read(params: &mut Params) -> Result<Self, ApiError> {
        let amount = params.required_integer("amount")?;
        let currency = params.currency("currency")?;
        check_charge_amount(amount, &currency)?;
        let confirm = params.boolean("confirm")?.unwrap_or(false);
        let confirmation = Confirmation::read(params)?;
        if !confirm {
            let given = [
                ("off_session", confirmation.off_session.is_some()),
                ("return_url", confirmation.return_url.is_some()),
                ("error_on_requires_action", confirmation.error_on_requires_action),
            ];
            if let Some((name, _)) = given.into_iter().find(|(_, given)| *given) {
                let message = format!("You must set `confirm` to true when passing `{name}`.");
                return Err(ApiError::invalid(message).param(name));
            }
        }
        let allowed_types = read_types(params)?;
        let capture_method = params.choice("capture_method", &["automatic", "automatic_async", "manual"])?;
        params.choice("confirmation_method", &["automatic"])?;
        let mut creation = Self {
            amount,
            connected: Connected::read(params, amount, &currency)?,
            customer: params.text("customer")?,
            currency,
            confirm,
            confirmation,
            capture_method: capture_method.unwrap_or_else(|| "automatic_async".into()),
            allowed_types,
            allow_redirects: None,
            texts: BTreeMap::new(),
            metadata: params.metadata()?.unwrap_or_default(),
        };
        creation.read_methods(params)?;
        for field in
            ["description", "receipt_email", "statement_descriptor", "statement_descriptor_suffix", "transfer_group"]
        {
            if let Some(value) = params.text(field)? {
                creation.texts.insert(field, value);
            }
        }
        Ok(creation)
    }

    fn read_methods(&mut self, params: &mut Params) -> Result<(), ApiError> {
        if let Some(mut automatic) = params.hash("automatic_payment_methods")? {
            if self.allowed_types.is_some() {
                return Err(ApiError::invalid(
                    "You may only specify one of these parameters: allowed_payment_method_types, \
                     automatic_payment_methods.",
                ));
            }
            automatic.boolean("enabled")?.ok_or_else(|| automatic.missing("enabled"))?;
            self.allow_redirects = automatic.choice("allow_redirects", &["always", "never"])?;
            automatic.finish()?;
        }
        let may_redirect = self.allowed_types.is_none() && self.allow_redirects.as_deref() != Some("never");
        if self.confirm && may_redirect && self.confirmation.return_url.is_none() {
            return Err(ApiError::invalid(
                "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of \
                 these payment methods might redirect your customer off of your page, you must provide a `return_url`. \
                 If you don't want to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` \
                 to `true` and `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and \
                 Payment Intents.",
            ));
        }
        Ok(())
    }

    fn body(&self, now: i64) -> Value {
        let id = new_id("pi");
        let mut automatic = json!({ "enabled": true });
        if let Some(allow) = &self.allow_redirects {
            automatic["allow_redirects"] = json!(allow);
        }
        let mut intent = json!({
            "id": id,
            "object": "payment_intent",
            "allowed_payment_method_types": self.allowed_types,
            "amount": self.amount,
            "amount_capturable": 0,
            "amount_details": { "tip": {} },
            "amount_received": 0,
            "application": null,
            "application_fee_amount": null,
            "automatic_payment_methods": if self.allowed_types.is_some() { Value::Null } else { automatic },
            "canceled_at": null,
            "cancellation_reason": null,
            "capture_method": self.capture_method,
            "client_secret": format!("{id}_secret_{}", random_text(25)),
            "confirmation_method": "automatic",
            "created": now,
            "currency": self.currency,
            "customer": self.customer,
            "customer_account": null,
            "description": null,
            "excluded_payment_method_types": null,
            "last_payment_error": null,
            "latest_charge": null,
            "livemode": false,
            "managed_payments": null,
            "metadata": self.metadata,
            "next_action": null,
            "on_behalf_of": null,
            "payment_method": null,
            "payment_method_configuration_details": null,
            "payment_method_options": { "card": { "request_three_d_secure": "automatic" } },
            "payment_method_types": ["card"],
            "processing": null,
            "receipt_email": null,
            "review": null,
            "setup_future_usage": null,
            "shipping": null,
            "source": null,
            "statement_descriptor": null,
            "statement_descriptor_suffix": null,
            "status": "requires_payment_method",
            "transfer_data": null,
            "transfer_group": null,
        });
        self.connected.put_on(&mut intent);
        for (field, value) in &self.texts {
            intent[*field] = json!(value);
        }
        intent
    }
}

/// `POST /v1/payment_intents`.
pub(crate) async fn create(cx: &mut Cx, mut params: Params) -> Answer {
    let creation = Creation::read(&mut params)?;
    params.finish()?;
    creation.connected.check(cx).await?;
    if let Some(customer) = &creation.customer {
        customers::check(cx, customer, "customer").await?;
    }
    let mut intent = creation.body(cx.now);
    let account = cx.account.clone();
    let attached = match &creation.confirmation.payment_method {
        Some(name) => Some(attach(cx, &mut intent, name).await?),
        None => None,
    };
    store::insert(cx, &account, None, &intent).await?;
    cx.emit(&account, "payment_intent.created", &intent);
    if creation.confirm { charge(cx, intent, attached, &creation.confirmation).await } else { Ok(intent) }
}

/// `POST /v1/payment_intents/{id}/confirm`.
pub(crate) async fn confirm(cx: &mut Cx, id: &str, mut params: Params) -> Answer {
    let confirmation = Confirmation::read(&mut params)?;
    read_types(&mut params)?;
    params.finish()?;
    let mut intent = find_for_update(cx, id).await?;
    let status = text(&intent, "status").to_owned();
    if !["requires_payment_method", "requires_confirmation"].contains(&status.as_str()) {
        return Err(unexpected_state(&intent, "confirm", "requires_payment_method, requires_confirmation"));
    }
    let attached = match &confirmation.payment_method {
        Some(name) => Some(attach(cx, &mut intent, name).await?),
        None => attached_before(cx, &intent).await?,
    };
    charge(cx, intent, attached, &confirmation).await
}

/// `POST /v1/payment_intents/{id}/cancel`.
pub(crate) async fn cancel(cx: &mut Cx, id: &str, mut params: Params) -> Answer {
    let reason =
        params.choice("cancellation_reason", &["abandoned", "duplicate", "fraudulent", "requested_by_customer"])?;
    params.finish()?;
    let mut intent = find_for_update(cx, id).await?;
    if ["succeeded", "canceled"].contains(&text(&intent, "status")) {
        return Err(unexpected_state(
            &intent,
            "cancel",
            "requires_payment_method, requires_capture, requires_reauthorization, requires_confirmation, \
             requires_action, processing",
        ));
    }
    if text(&intent, "status") == "requires_capture" {
        captures::release(cx, &mut intent, "charge.refunded").await?;
    }
    intent["status"] = json!("canceled");
    intent["canceled_at"] = json!(cx.now);
    intent["cancellation_reason"] = json!(reason);
    intent["next_action"] = Value::Null;
    store::update(&mut cx.conn, &intent).await?;
    let account = cx.account.clone();
    cx.emit(&account, "payment_intent.canceled", &intent);
    Ok(intent)
}

/// `GET /v1/payment_intents/{id}`.
pub(crate) async fn retrieve(cx: &mut Cx, id: &str, mut params: Params) -> Answer {
    params.text("client_secret")?;
    super::retrieve(cx, "payment_intent", id, params).await
}

/// `GET /v1/payment_intents`.
pub(crate) async fn index(cx: &mut Cx, params: Params) -> Answer {
    list::objects(cx, params, "payment_intent", "/v1/payment_intents", None, None).await
}

pub(crate) async fn find_for_update(cx: &mut Cx, id: &str) -> Answer {
    store::find_for_update(&mut cx.conn, &cx.account, "payment_intent", id).await?.ok_or_else(|| {
        let mut error = ApiError::no_such("payment_intent", id);
        error.param = Some("intent".into());
        error
    })
}

pub(crate) fn unexpected_state(intent: &Value, verb: &str, lawful: &str) -> ApiError {
    ApiError::refused(format!(
        "You cannot {verb} this PaymentIntent because it has a status of {}. Only a PaymentIntent with one of the \
         following statuses may be {verb}ed: {lawful}.",
        text(intent, "status")
    ))
    .code("payment_intent_unexpected_state")
    .with("payment_intent", intent.clone())
}

/// Puts a payment method on the intent: a test card makes a new one, an id names one made before.
async fn attach(cx: &mut Cx, intent: &mut Value, name: &str) -> Result<Attached, ApiError> {
    let attached = payment_methods::named(cx, name).await?;
    payment_methods::check_owner(&attached, intent["customer"].as_str())?;
    intent["payment_method"] = attached.method["id"].clone();
    intent["status"] = json!("requires_confirmation");
    Ok(attached)
}

async fn attached_before(cx: &mut Cx, intent: &Value) -> Result<Option<Attached>, ApiError> {
    match intent["payment_method"].as_str() {
        Some(id) => payment_methods::made_before(cx, id).await,
        None => Ok(None),
    }
}

/// The test card behind the payment method of an intent.
pub(crate) async fn card_of(cx: &mut Cx, intent: &Value) -> Result<Option<Card>, ApiError> {
    Ok(attached_before(cx, intent).await?.map(|attached| attached.card))
}

/// Charges the intent's card, with the result that the card stands for.
async fn charge(cx: &mut Cx, intent: Value, attached: Option<Attached>, confirmation: &Confirmation) -> Answer {
    let Some(attached) = attached else {
        return Err(ApiError::refused(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the \
             PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment \
             method or ConfirmationToken.",
        )
        .code("payment_intent_unexpected_state")
        .with("payment_intent", intent));
    };
    let holds = text(&intent, "capture_method") == "manual";
    match attached.card.behaviour {
        Behaviour::Succeeds | Behaviour::BypassesPending | Behaviour::Disputed { .. } if holds => {
            captures::authorize(cx, intent, attached.card).await
        }
        Behaviour::Succeeds | Behaviour::BypassesPending | Behaviour::Disputed { .. } => {
            succeed(cx, intent, attached.card).await
        }
        Behaviour::NeedsAuthentication
            if confirmation.error_on_requires_action || confirmation.off_session == Some(true) =>
        {
            let message = "Your card was declined. This transaction requires authentication.";
            decline(cx, intent, attached, "authentication_required", Some("authentication_required"), message).await
        }
        Behaviour::NeedsAuthentication => require_action(cx, intent, confirmation.return_url.as_deref()).await,
        Behaviour::Debits { .. } => debits::begin(cx, intent, attached.card).await,
        Behaviour::Declines { code, decline_code, message } => {
            decline(cx, intent, attached, code, decline_code, message).await
        }
    }
}

async fn succeed(cx: &mut Cx, mut intent: Value, card: Card) -> Answer {
    let charge = charges::succeed(cx, &intent, card).await?;
    intent["status"] = json!("succeeded");
    intent["amount_received"] = intent["amount"].clone();
    intent["latest_charge"] = charge["id"].clone();
    intent["last_payment_error"] = Value::Null;
    store::update(&mut cx.conn, &intent).await?;
    let account = cx.account.clone();
    cx.emit(&account, "payment_intent.succeeded", &intent);
    Ok(intent)
}

/// With a `return_url` the buyer is sent to a page and back, without one to the provider's script
/// (docs.stripe.com/payments/3d-secure/authentication-flow).
async fn require_action(cx: &mut Cx, mut intent: Value, return_url: Option<&str>) -> Answer {
    intent["status"] = json!("requires_action");
    intent["next_action"] = match return_url {
        Some(back) => json!({
            "type": "redirect_to_url",
            "redirect_to_url": {
                "return_url": back,
                "url": format!("https://hooks.stripe.com/3d_secure_2/hosted?payment_intent={}", store::id(&intent)),
            },
        }),
        None => json!({ "type": "use_stripe_sdk", "use_stripe_sdk": { "type": "three_d_secure_redirect" } }),
    };
    store::update(&mut cx.conn, &intent).await?;
    let account = cx.account.clone();
    cx.emit(&account, "payment_intent.requires_action", &intent);
    Ok(intent)
}

/// What the buyer did that was wanted: it authenticated, or could not (control).
pub(crate) async fn authenticate(cx: &mut Cx, id: &str, succeeds: bool) -> Answer {
    let mut intent = find_for_update(cx, id).await?;
    if text(&intent, "status") != "requires_action" {
        return Err(unexpected_state(&intent, "authenticate", "requires_action"));
    }
    intent["next_action"] = Value::Null;
    let card = card_of(cx, &intent).await?.ok_or_else(|| ApiError::internal("An intent without its card."))?;
    match (succeeds, text(&intent, "capture_method")) {
        (true, "manual") => captures::authorize(cx, intent, card).await,
        (true, _) => succeed(cx, intent, card).await,
        (false, _) => {
            intent["status"] = json!("requires_payment_method");
            intent["payment_method"] = Value::Null;
            intent["last_payment_error"] = json!({
                "type": "invalid_request_error",
                "code": "payment_intent_authentication_failure",
                "message": "The provided payment method has failed authentication.",
            });
            store::update(&mut cx.conn, &intent).await?;
            let account = cx.account.clone();
            cx.emit(&account, "payment_intent.payment_failed", &intent);
            Ok(intent)
        }
    }
}

async fn decline(
    cx: &mut Cx,
    mut intent: Value,
    attached: Attached,
    code: &'static str,
    decline_code: Option<&'static str>,
    message: &str,
) -> Answer {
    let charge = charges::fail(cx, &intent, attached.card, code, decline_code, message).await?;
    let error = ApiError::card(code, message)
        .decline(decline_code)
        .with("charge", charge["id"].clone())
        .with("payment_method", attached.method);
    intent["status"] = json!("requires_payment_method");
    intent["payment_method"] = Value::Null;
    intent["latest_charge"] = charge["id"].clone();
    intent["last_payment_error"] = Value::Object(error.fields());
    store::update(&mut cx.conn, &intent).await?;
    let account = cx.account.clone();
    cx.emit(&account, "payment_intent.payment_failed", &intent);
    Err(error.with("payment_intent", intent))
}
