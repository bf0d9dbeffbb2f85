//! Accounts (docs.stripe.com/api/accounts): the platform's own and the connected ones.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::context::{Answer, Cx};
use crate::error::ApiError;
use crate::ids::{new_id, random_text};
use crate::list;
use crate::params::Params;
use crate::resources::bank_accounts;
use crate::store::{self, text};

/// What a new connected account is asked for before it may be paid.
const REQUIREMENTS: [&str; 9] = [
    "business_profile.mcc",
    "business_profile.url",
    "business_type",
    "external_account",
    "representative.address.city",
    "representative.first_name",
    "representative.last_name",
    "tos_acceptance.date",
    "tos_acceptance.ip",
];

/// The currency that accounts of a country are paid out in.
fn default_currency(country: &str) -> &'static str {
    match country {
        "AU" => "aud",
        "BR" => "brl",
        "CA" => "cad",
        "CH" | "LI" => "chf",
        "CZ" => "czk",
        "DK" => "dkk",
        "GB" => "gbp",
        "HK" => "hkd",
        "HU" => "huf",
        "IN" => "inr",
        "JP" => "jpy",
        "MX" => "mxn",
        "MY" => "myr",
        "NO" => "nok",
        "NZ" => "nzd",
        "PL" => "pln",
        "RO" => "ron",
        "SE" => "sek",
        "SG" => "sgd",
        "TH" => "thb",
        "US" => "usd",
        "AE" => "aed",
        _ => "eur",
    }
}

/// What may be set when an account is made and later.
#[derive(Debug, Default)]
struct Changes {
    email: Option<String>,
    business_type: Option<String>,
    business_profile: BTreeMap<&'static str, String>,
    default_currency: Option<String>,
    capabilities: BTreeMap<String, bool>,
    interval: Option<String>,
    delay_days: Option<i64>,
    debit_negative_balances: Option<bool>,
    statement_descriptor: Option<String>,
    metadata: BTreeMap<String, String>,
}

impl Changes {
    fn read(params: &mut Params) -> Result<Self, ApiError> {
        let mut changes = Self {
            email: params.text("email")?,
            business_type: params
                .choice("business_type", &["company", "government_entity", "individual", "non_profit"])?,
            metadata: params.metadata()?.unwrap_or_default(),
            ..Self::default()
        };
        if let Some(email) = changes.email.as_ref().filter(|email| !email.contains('@')) {
            return Err(ApiError::invalid(format!("Invalid email address: {email}"))
                .code("email_invalid")
                .param("email"));
        }
        changes.default_currency = match params.text("default_currency")?.map(|c| c.to_lowercase()) {
            None => None,
            Some(code) => crate::currency::check(&code, "default_currency").map(|()| Some(code))?,
        };
        if let Some(mut profile) = params.hash("business_profile")? {
            for field in ["mcc", "name", "product_description", "support_email", "support_phone", "support_url", "url"]
            {
                if let Some(value) = profile.text(field)? {
                    changes.business_profile.insert(field, value);
                }
            }
            profile.finish()?;
        }
        changes.read_capabilities(params)?;
        changes.read_settings(params)?;
        Ok(changes)
    }

    fn read_capabilities(&mut self, params: &mut Params) -> Result<(), ApiError> {
        let Some(mut capabilities) = params.hash("capabilities")? else { return Ok(()) };
        for name in ["card_payments", "transfers"] {
            if let Some(mut capability) = capabilities.hash(name)? {
                let requested = capability.boolean("requested")?.ok_or_else(|| capability.missing("requested"))?;
                self.capabilities.insert(name.to_owned(), requested);
                capability.finish()?;
            }
        }
        capabilities.finish()
    }

    fn read_settings(&mut self, params: &mut Params) -> Result<(), ApiError> {
        let Some(mut settings) = params.hash("settings")? else { return Ok(()) };
        if let Some(mut payouts) = settings.hash("payouts")? {
            self.debit_negative_balances = payouts.boolean("debit_negative_balances")?;
            self.statement_descriptor = payouts.text("statement_descriptor")?;
            if let Some(mut schedule) = payouts.hash("schedule")? {
                self.interval = schedule.choice("interval", &["daily", "manual"])?;
                self.delay_days = match schedule.text("delay_days")?.as_deref() {
                    None => None,
                    Some("minimum") => Some(2),
                    Some(days) => Some(days.parse().ok().filter(|d| (0..=31).contains(d)).ok_or_else(|| {
                        ApiError::invalid(format!("Invalid integer: {days}"))
                            .param("settings[payouts][schedule][delay_days]")
                    })?),
                };
                schedule.finish()?;
            }
            payouts.finish()?;
        }
        settings.finish()
    }

    fn apply(self, account: &mut Value) {
        for (field, value) in
            [("email", self.email), ("business_type", self.business_type), ("default_currency", self.default_currency)]
        {
            if let Some(value) = value {
                account[field] = json!(value);
            }
        }
        for (field, value) in self.business_profile {
            account["business_profile"][field] = json!(value);
        }
        for (name, requested) in self.capabilities {
            let done = account["details_submitted"] == json!(true);
            let status = if requested && done { "active" } else { "inactive" };
            account["capabilities"][name] = json!(status);
        }
        let payouts = &mut account["settings"]["payouts"];
        if let Some(interval) = self.interval {
            payouts["schedule"]["interval"] = json!(interval);
        }
        if let Some(days) = self.delay_days {
            payouts["schedule"]["delay_days"] = json!(days);
        }
        if let Some(debit) = self.debit_negative_balances {
            payouts["debit_negative_balances"] = json!(debit);
        }
        if let Some(text) = self.statement_descriptor {
            payouts["statement_descriptor"] = json!(text);
        }
        merge_metadata(account, self.metadata);
    }
}

/// Adds to an object's metadata; an empty value takes its key away.
pub(crate) fn merge_metadata(object: &mut Value, changes: BTreeMap<String, String>) {
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    for (key, value) in changes {
        if value.is_empty() {
            metadata.remove(&key);
        } else {
            metadata.insert(key, json!(value));
        }
    }
}

/// Who answers for what (docs.stripe.com/connect/accounts-v1, controller properties).
fn read_controller(params: &mut Params) -> Result<(String, Value), ApiError> {
    let kind = params.choice("type", &["custom", "express", "standard"])?;
    let controller = params.hash("controller")?;
    if kind.is_some() && controller.is_some() {
        return Err(ApiError::invalid("You may only specify one of these parameters: type, controller."));
    }
    let Some(mut controller) = controller else {
        let kind = kind.unwrap_or_else(|| "standard".into());
        let shown = match kind.as_str() {
            "custom" => controller_of("application_custom", "application", "application", "none"),
            "express" => controller_of("application_express", "application", "stripe", "express"),
            _ => controller_of("account", "stripe", "stripe", "full"),
        };
        return Ok((kind, shown));
    };
    let mut pick = |hash: &str, field: &str, words: &[&str], default: &str| -> Result<String, ApiError> {
        let Some(mut inner) = controller.hash(hash)? else { return Ok(default.to_owned()) };
        let word = inner.choice(field, words)?;
        inner.finish()?;
        Ok(word.unwrap_or_else(|| default.to_owned()))
    };
    let payer = pick("fees", "payer", &["account", "application"], "account")?;
    let losses = pick("losses", "payments", &["application", "stripe"], "stripe")?;
    let dashboard = pick("stripe_dashboard", "type", &["express", "full", "none"], "full")?;
    let collection =
        controller.choice("requirement_collection", &["application", "stripe"])?.unwrap_or_else(|| "stripe".into());
    controller.finish()?;
    let kind = match (dashboard.as_str(), losses.as_str(), payer.as_str()) {
        ("express", "application", "application") => "express",
        ("full", "stripe", "account") => "standard",
        _ => "none",
    };
    Ok((kind.to_owned(), controller_of(&payer, &losses, &collection, &dashboard)))
}

fn controller_of(payer: &str, losses: &str, collection: &str, dashboard: &str) -> Value {
    json!({
        "fees": { "payer": payer },
        "is_controller": true,
        "losses": { "payments": losses },
        "requirement_collection": collection,
        "stripe_dashboard": { "type": dashboard },
        "type": "application",
    })
}

fn no_requirements() -> Value {
    json!({
        "alternatives": [],
        "current_deadline": null,
        "currently_due": [],
        "disabled_reason": null,
        "errors": [],
        "eventually_due": [],
        "past_due": [],
        "pending_verification": [],
    })
}

fn settings() -> Value {
    json!({
        "bacs_debit_payments": { "display_name": null, "service_user_number": null },
        "branding": { "icon": null, "logo": null, "primary_color": null, "secondary_color": null },
        "card_issuing": { "tos_acceptance": { "date": null, "ip": null } },
        "card_payments": {
            "decline_on": { "avs_failure": false, "cvc_failure": false },
            "statement_descriptor_prefix": null,
            "statement_descriptor_prefix_kana": null,
            "statement_descriptor_prefix_kanji": null,
        },
        "dashboard": { "display_name": null, "timezone": "Etc/UTC" },
        "invoices": { "default_account_tax_ids": null, "hosted_payment_method_save": "offer" },
        "payments": {
            "statement_descriptor": null,
            "statement_descriptor_kana": null,
            "statement_descriptor_kanji": null,
            "statement_descriptor_prefix_kana": null,
            "statement_descriptor_prefix_kanji": null,
        },
        "payouts": {
            "debit_negative_balances": true,
            "schedule": { "delay_days": 2, "interval": "daily" },
            "statement_descriptor": null,
        },
        "sepa_debit_payments": {},
    })
}

/// An account as it stands before anybody has filled anything in.
fn body(id: &str, country: &str, now: i64) -> Value {
    json!({
        "id": id,
        "object": "account",
        "business_profile": {
            "annual_revenue": null,
            "estimated_worker_count": null,
            "mcc": null,
            "minority_owned_business_designation": null,
            "name": null,
            "product_description": null,
            "support_address": null,
            "support_email": null,
            "support_phone": null,
            "support_url": null,
            "url": null,
        },
        "business_type": null,
        "capabilities": {},
        "charges_enabled": false,
        "controller": null,
        "country": country,
        "created": now,
        "default_currency": default_currency(country),
        "details_submitted": false,
        "email": null,
        "external_accounts": store::empty_list(&format!("/v1/accounts/{id}/external_accounts")),
        "future_requirements": no_requirements(),
        "metadata": {},
        "payouts_enabled": false,
        "requirements": no_requirements(),
        "settings": settings(),
        "tos_acceptance": { "date": null, "ip": null, "user_agent": null },
        "type": "standard",
    })
}

/// Makes the platform's own account, ready to charge, with a bank account and a manual payout schedule.
pub(crate) async fn create_platform(cx: &mut Cx, country: &str) -> Answer {
    let id = cx.platform.to_string();
    let mut account = body(&id, country, cx.now);
    for field in ["charges_enabled", "payouts_enabled", "details_submitted"] {
        account[field] = json!(true);
    }
    account["capabilities"] = json!({ "card_payments": "active", "transfers": "active" });
    account["controller"] = json!({ "type": "account" });
    account["email"] = json!("platform@example.com");
    account["settings"]["payouts"]["schedule"]["interval"] = json!("manual");
    store::insert(cx, &id, None, &account).await?;
    add_bank_account(cx, &account, "Partita Simulator", "DE89370400440532013000").await?;
    Ok(account)
}

/// `POST /v1/accounts`.
pub(crate) async fn create(cx: &mut Cx, mut params: Params) -> Answer {
    let country = params.text("country")?.unwrap_or_else(|| "DE".into());
    if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(ApiError::invalid(format!(
            "Country '{country}' is unknown. Try using a 2-character alphanumeric \
            country code instead, such as 'US', 'EG', or 'GB'."
        ))
        .code("country_unsupported")
        .param("country"));
    }
    let (kind, controller) = read_controller(&mut params)?;
    let changes = Changes::read(&mut params)?;
    params.finish()?;
    if *cx.account != *cx.platform {
        return Err(ApiError::refused("Only platforms can create connected accounts."));
    }
    let mut account = body(&new_id("acct"), &country, cx.now);
    account["type"] = json!(kind);
    account["controller"] = controller;
    account["requirements"]["currently_due"] = json!(REQUIREMENTS);
    account["requirements"]["eventually_due"] = json!(REQUIREMENTS);
    account["requirements"]["past_due"] = json!(REQUIREMENTS);
    account["requirements"]["disabled_reason"] = json!("requirements.past_due");
    changes.apply(&mut account);
    let platform = cx.platform.clone();
    store::insert(cx, &platform, None, &account).await?;
    Ok(account)
}

/// `POST /v1/accounts/{id}`.
pub(crate) async fn update(cx: &mut Cx, id: &str, mut params: Params) -> Answer {
    let changes = Changes::read(&mut params)?;
    params.finish()?;
    let mut account = find_for_update(cx, id).await?;
    changes.apply(&mut account);
    save(cx, &account).await
}

/// Writes a changed account and announces it; the account with its lists.
async fn save(cx: &mut Cx, account: &Value) -> Answer {
    store::update(&mut cx.conn, account).await?;
    let shown = store::with_children(&mut cx.conn, account.clone()).await?;
    cx.emit(store::id(account), "account.updated", &shown);
    Ok(shown)
}

async fn find_for_update(cx: &mut Cx, id: &str) -> Answer {
    let platform = cx.platform.clone();
    let found = store::find_for_update(&mut cx.conn, &platform, "account", id).await?;
    found.ok_or_else(|| ApiError::no_such("account", id))
}

/// `GET /v1/account` and `GET /v1/accounts/{id}`.
pub(crate) async fn retrieve(cx: &mut Cx, id: Option<&str>, params: Params) -> Answer {
    params.finish()?;
    let platform = cx.platform.clone();
    let id = id.unwrap_or(&cx.account).to_owned();
    let mine = *cx.account == *platform || id == cx.account;
    let found = if mine { store::find(&mut cx.conn, &platform, "account", &id).await? } else { None };
    let found = found.ok_or_else(|| {
        ApiError::invalid(format!(
            "The provided key 'sk_test_*****' does not have access to account '{id}' (or that account does not exist). \
             Application access may have been revoked."
        ))
        .status(403)
        .code("account_invalid")
    })?;
    store::with_children(&mut cx.conn, found).await
}

/// `GET /v1/accounts`: the connected ones.
pub(crate) async fn index(cx: &mut Cx, params: Params) -> Answer {
    let connected = json!({ "controller": { "type": "application" } });
    list::objects(cx, params, "account", "/v1/accounts", None, Some(connected)).await
}

/// `GET /v1/accounts/{id}/external_accounts`.
pub(crate) async fn external_accounts(cx: &mut Cx, id: &str, mut params: Params) -> Answer {
    params.choice("object", &["bank_account"])?;
    let url = format!("/v1/accounts/{id}/external_accounts");
    id.clone_into(&mut cx.account);
    list::objects(cx, params, "bank_account", &url, Some(id), None).await
}

/// Gives an account a bank account, in place of those it had.
async fn add_bank_account(cx: &mut Cx, account: &Value, holder: &str, number: &str) -> Answer {
    let id = store::id(account);
    for mut former in store::children(&mut cx.conn, id, "bank_account").await? {
        former["default_for_currency"] = json!(false);
        store::update(&mut cx.conn, &former).await?;
    }
    let digits: String = number.chars().filter(char::is_ascii_alphanumeric).collect();
    let last4: String = digits.chars().skip(digits.chars().count().saturating_sub(4)).collect();
    let bank = json!({
        "id": new_id("ba"),
        "object": "bank_account",
        "account": id,
        "account_holder_name": holder,
        "account_holder_type": "individual",
        "account_type": null,
        "available_payout_methods": bank_accounts::payout_methods(text(account, "country")),
        "bank_name": "STRIPE TEST BANK",
        "country": account["country"],
        "currency": account["default_currency"],
        "customer": null,
        "default_for_currency": true,
        "fingerprint": random_text(16),
        "future_requirements": no_requirements(),
        "last4": last4,
        "metadata": {},
        "requirements": no_requirements(),
        "routing_number": null,
        "status": "new",
    });
    store::insert(cx, id, Some(id), &bank).await?;
    if let Some(code) = bank_accounts::failure_of(&digits) {
        sqlx::query("insert into bank_behaviours (bank_account, failure_code) values ($1, $2)")
            .bind(store::id(&bank))
            .bind(code)
            .execute(&mut *cx.conn)
            .await?;
    }
    Ok(bank)
}

/// What a person fills in on the hosted page.
#[derive(Debug, Clone)]
pub(crate) struct Details {
    pub(crate) name: String,
    pub(crate) business_type: String,
    pub(crate) bank_account: String,
}

/// The account has given everything that was asked for: it may charge and be paid.
pub(crate) async fn complete(cx: &mut Cx, id: &str, details: &Details) -> Answer {
    let mut account = find_for_update(cx, id).await?;
    let bank = add_bank_account(cx, &account, &details.name, &details.bank_account).await?;
    account["business_profile"]["name"] = json!(details.name);
    if account["business_type"].is_null() {
        account["business_type"] = json!(details.business_type);
    }
    for field in ["charges_enabled", "payouts_enabled", "details_submitted"] {
        account[field] = json!(true);
    }
    let capabilities: Map<String, Value> = account["capabilities"]
        .as_object()
        .map(|all| all.keys().map(|name| (name.clone(), json!("active"))).collect())
        .unwrap_or_default();
    account["capabilities"] = Value::Object(capabilities);
    account["requirements"] = no_requirements();
    account["tos_acceptance"] = json!({ "date": cx.now, "ip": null, "user_agent": null });
    cx.emit(id, "account.external_account.created", &bank);
    save(cx, &account).await
}

/// A connected account whose bank account has failed is asked for another one.
pub(crate) async fn want_bank_account(cx: &mut Cx, id: &str) -> Result<(), ApiError> {
    let mut account = find_for_update(cx, id).await?;
    for list in ["currently_due", "eventually_due"] {
        let wanted = account["requirements"][list].as_array_mut().expect("made as a list");
        if !wanted.contains(&json!("external_account")) {
            wanted.push(json!("external_account"));
        }
    }
    save(cx, &account).await.map(|_| ())
}

/// The bank account that an account's payouts in a currency go to.
pub(crate) async fn bank_account(cx: &mut Cx, account: &str, currency: &str) -> Result<Option<Value>, ApiError> {
    let banks = store::children(&mut cx.conn, account, "bank_account").await?;
    let default = |bank: &&Value| bank["default_for_currency"] == json!(true);
    let fits = banks.iter().filter(default).find(|bank| text(bank, "currency") == currency);
    Ok(fits.or_else(|| banks.iter().find(default)).cloned())
}
