//! Top-ups (docs.stripe.com/connect/top-ups): the platform's own money, from its bank account to its balance.

use serde_json::{Map, Value, json};

use crate::books::{self, Counterpart, Movement};
use crate::context::{Answer, Cx};
use crate::error::ApiError;
use crate::ids::{new_id, random_text};
use crate::jobs;
use crate::list;
use crate::params::Params;
use crate::settings::start_of_day;
use crate::store::{self, integer, text};

/// `POST /v1/topups`.
pub(crate) async fn create(cx: &mut Cx, mut params: Params) -> Answer {
    let (amount, currency) = super::amount_and_currency(&mut params)?;
    let mut texts = Map::new();
    for field in ["description", "statement_descriptor", "transfer_group"] {
        texts.insert(field.into(), params.text(field)?.into());
    }
    let metadata = params.metadata()?.unwrap_or_default();
    params.finish()?;
    if *cx.account != *cx.platform {
        return Err(ApiError::refused("Top-ups can only be made on the platform's own account."));
    }
    let arrives = cx.now + i64::from(cx.settings.topup_seconds);
    let mut topup = json!({
        "id": new_id("tu"),
        "object": "topup",
        "amount": amount,
        "balance_transaction": null,
        "created": cx.now,
        "currency": currency,
        "expected_availability_date": start_of_day(arrives),
        "failure_code": null,
        "failure_message": null,
        "initiated_by": "user",
        "livemode": false,
        "metadata": metadata,
        "source": bank_source(&currency, cx.now),
        "status": "pending",
    });
    for (field, value) in texts {
        topup[field] = value;
    }
    let account = cx.account.clone();
    store::insert(cx, &account, None, &topup).await?;
    jobs::schedule(cx, arrives, jobs::Kind::TopUp, store::id(&topup)).await?;
    cx.emit(&account, "topup.created", &topup);
    Ok(topup)
}

/// The platform's bank account, as a top-up shows it.
fn bank_source(currency: &str, now: i64) -> Value {
    json!({
        "id": new_id("src"),
        "object": "source",
        "ach_debit": {
            "bank_name": "STRIPE TEST BANK",
            "country": "US",
            "fingerprint": random_text(16),
            "last4": "6789",
            "routing_number": "110000000",
            "type": "company",
        },
        "allow_redisplay": null,
        "amount": null,
        "client_secret": format!("src_client_secret_{}", random_text(24)),
        "created": now,
        "currency": currency,
        "flow": "code_verification",
        "livemode": false,
        "metadata": {},
        "owner": {
            "address": null,
            "email": null,
            "name": "Partita Simulator",
            "phone": null,
            "verified_address": null,
            "verified_email": null,
            "verified_name": null,
            "verified_phone": null,
        },
        "statement_descriptor": null,
        "status": "chargeable",
        "type": "ach_debit",
        "usage": "reusable",
    })
}

/// A top-up has arrived (job).
pub(crate) async fn arrive(cx: &mut Cx, id: &str) -> Result<(), ApiError> {
    let account = cx.account.clone();
    let Some(mut topup) = store::find_for_update(&mut cx.conn, &account, "topup", id).await? else { return Ok(()) };
    if text(&topup, "status") != "pending" {
        return Ok(());
    }
    let currency = text(&topup, "currency").to_owned();
    books::lock(cx, &[&account], &currency).await?;
    let movement = Movement {
        account: &account,
        currency: &currency,
        amount: integer(&topup, "amount"),
        fee: 0,
        kind: "topup",
        category: "topup",
        source: id,
        description: topup["description"].as_str(),
        available_on: cx.now,
        counterpart: Counterpart::Banks,
    };
    topup["balance_transaction"] = json!(books::book(cx, movement).await?);
    topup["status"] = json!("succeeded");
    store::update(&mut cx.conn, &topup).await?;
    cx.emit(&account, "topup.succeeded", &topup);
    Ok(())
}

/// The bank refuses a top-up that is on its way (control).
pub(crate) async fn fail(cx: &mut Cx, id: &str, failure_code: &str) -> Answer {
    let account = cx.account.clone();
    let found = store::find_for_update(&mut cx.conn, &account, "topup", id).await?;
    let mut topup = found.ok_or_else(|| ApiError::no_such("topup", id))?;
    if text(&topup, "status") != "pending" {
        return Err(ApiError::refused("Only a pending top-up can fail."));
    }
    topup["status"] = json!("failed");
    topup["failure_code"] = json!(failure_code);
    topup["failure_message"] = json!("The bank refused the top-up.");
    store::update(&mut cx.conn, &topup).await?;
    cx.emit(&account, "topup.failed", &topup);
    Ok(topup)
}

/// `GET /v1/topups/{id}`.
pub(crate) async fn retrieve(cx: &mut Cx, id: &str, params: Params) -> Answer {
    super::retrieve(cx, "topup", id, params).await
}

/// `GET /v1/topups`.
pub(crate) async fn index(cx: &mut Cx, mut params: Params) -> Answer {
    let status = params.choice("status", &["canceled", "failed", "pending", "succeeded"])?;
    let filter = status.map(|status| json!({ "status": status }));
    list::objects(cx, params, "topup", "/v1/topups", None, filter).await
}
