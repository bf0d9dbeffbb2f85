//! Payouts (docs.stripe.com/payouts): from a balance to a bank account, by hand or by the account's daily schedule.

use serde_json::{Map, Value, json};

use crate::books::{self, Counterpart, Movement};
use crate::context::{Answer, Cx};
use crate::error::ApiError;
use crate::ids::{new_id, random_text};
use crate::jobs;
use crate::list;
use crate::params::Params;
use crate::resources::{accounts, payout_fees};
use crate::settings::{DAY, start_of_day};
use crate::store::{self, integer, text};

/// A payout to be made.
struct Draft {
    amount: i64,
    currency: String,
    automatic: bool,
    /// Within minutes, not days.
    instant: bool,
    /// The bank account; none: the default one.
    destination: Option<String>,
    description: Option<String>,
    statement_descriptor: Option<String>,
    metadata: Value,
}

/// `POST /v1/payouts`.
pub(crate) async fn create(cx: &mut Cx, mut params: Params) -> Answer {
    let (amount, currency) = super::amount_and_currency(&mut params)?;
    let draft = Draft {
        amount,
        currency,
        automatic: false,
        instant: params.choice("method", &["standard", "instant"])?.as_deref() == Some("instant"),
        destination: params.text("destination")?,
        description: params.text("description")?,
        statement_descriptor: params.text("statement_descriptor")?,
        metadata: json!(params.metadata()?.unwrap_or_default()),
    };
    params.choice("source_type", &["card"])?;
    params.finish()?;
    pay_out(cx, draft).await
}

/// Pays the acting account out.
pub(crate) async fn pay_out_by_hand(cx: &mut Cx, amount: i64, currency: &str) -> Answer {
    let draft = Draft {
        amount,
        currency: currency.to_owned(),
        automatic: false,
        instant: false,
        destination: None,
        description: None,
        statement_descriptor: None,
        metadata: json!({}),
    };
    pay_out(cx, draft).await
}

async fn pay_out(cx: &mut Cx, draft: Draft) -> Answer {
    let (account, platform) = (cx.account.clone(), cx.platform.clone());
    let found = store::find(&mut cx.conn, &platform, "account", &account).await?;
    let enabled = found.is_some_and(|a| a["payouts_enabled"] == json!(true));
    let bank = match &draft.destination {
        Some(id) => store::find(&mut cx.conn, &account, "bank_account", id).await?,
        None => accounts::bank_account(cx, &account, &draft.currency).await?,
    };
    let Some(bank) = bank.filter(|_| enabled) else {
        return Err(ApiError::refused(
            "Sorry, you don't have any external accounts in that currency, or payouts are not enabled.",
        )
        .code("payouts_not_allowed"));
    };
    let fee = if draft.instant { instant_fee(cx, &draft, &bank)? } else { 0 };
    let held = books::lock(cx, &[&account], &draft.currency).await?;
    if books::available(&held, &account) < draft.amount + fee {
        return Err(ApiError::refused("You have insufficient funds in your Stripe account for this transfer.")
            .code("balance_insufficient"));
    }
    let mut payout = body(&draft, &bank, cx);
    let id = store::id(&payout).to_owned();
    let movement = Movement {
        account: &account,
        currency: &draft.currency,
        amount: -draft.amount,
        fee,
        kind: "payout",
        category: "payout",
        source: &id,
        description: payout["description"].as_str(),
        available_on: cx.now,
        counterpart: Counterpart::Banks,
    };
    let transaction = books::book(cx, movement).await?;
    payout["balance_transaction"] = json!(transaction);
    if draft.instant {
        payout_fees::take(cx, &mut payout, fee).await?;
    }
    if draft.automatic {
        gather(cx, &id, &draft.currency).await?;
    }
    store::insert(cx, &account, None, &payout).await?;
    let leaves = if draft.instant { cx.now } else { cx.now + i64::from(cx.settings.payout_submit_seconds) };
    jobs::schedule(cx, leaves, jobs::Kind::PayoutInTransit, &id).await?;
    jobs::schedule(cx, integer(&payout, "arrival_date").max(leaves), jobs::Kind::PayoutPaid, &id).await?;
    cx.emit(&account, "payout.created", &payout);
    Ok(payout)
}

/// What an instant payout costs the account, if the bank account takes one of this amount.
fn instant_fee(cx: &Cx, draft: &Draft, bank: &Value) -> Result<i64, ApiError> {
    if !takes_instant(bank) {
        return Err(ApiError::refused("The destination you provided does not support instant payouts.")
            .code("instant_payouts_unsupported"));
    }
    if draft.amount > cx.settings.instant_payout_largest {
        return Err(ApiError::refused("You have exceeded your limit for Instant Payouts.")
            .code("instant_payouts_limit_exceeded"));
    }
    Ok(cx.settings.instant_payout_fee.of(draft.amount))
}

fn takes_instant(bank: &Value) -> bool {
    bank["available_payout_methods"].as_array().is_some_and(|methods| methods.contains(&json!("instant")))
}

/// What of an account's balance each of its bank accounts takes at once, less the fee for it
/// (docs.stripe.com/api/balance/balance_object#balance_object-instant_available-net_available).
pub(crate) async fn instant_net(cx: &mut Cx, account: &str, currency: &str, gross: i64) -> Result<Value, ApiError> {
    let net = gross - cx.settings.instant_payout_fee.of(gross.max(0));
    let bank = accounts::bank_account(cx, account, currency).await?;
    let bank = bank.filter(|bank| net > 0 && takes_instant(bank) && text(bank, "currency") == currency);
    let row = |bank: Value| json!({ "amount": net, "destination": bank["id"], "source_types": { "card": net } });
    Ok(bank.map(row).into_iter().collect())
}

fn body(draft: &Draft, bank: &Value, cx: &Cx) -> Value {
    let arrival = if draft.instant {
        cx.now + i64::from(cx.settings.instant_payout_seconds)
    } else {
        start_of_day(cx.now + i64::from(cx.settings.payout_arrival_days) * DAY).max(cx.now)
    };
    json!({
        "id": new_id("po"),
        "object": "payout",
        "amount": draft.amount,
        "application_fee": null,
        "application_fee_amount": null,
        "arrival_date": arrival,
        "automatic": draft.automatic,
        "balance_transaction": null,
        "created": cx.now,
        "currency": draft.currency,
        "description": draft.description.as_deref().unwrap_or("STRIPE PAYOUT"),
        "destination": bank["id"],
        "failure_balance_transaction": null,
        "failure_code": null,
        "failure_message": null,
        "livemode": false,
        "metadata": draft.metadata,
        "method": if draft.instant { "instant" } else { "standard" },
        "original_payout": null,
        "payout_method": null,
        "reconciliation_status": if draft.automatic { "completed" } else { "not_applicable" },
        "reversed_by": null,
        "source_type": "card",
        "statement_descriptor": draft.statement_descriptor,
        "status": "pending",
        "trace_id": { "status": "pending", "value": null },
        "type": "bank_account",
    })
}

/// An automatic payout names the movements it pays out, itself among them
/// (docs.stripe.com/api/balance_transactions/list, `payout`).
async fn gather(cx: &mut Cx, payout: &str, currency: &str) -> Result<(), ApiError> {
    sqlx::query(
        "update balance_transactions set payout = $3
         where account = $1 and currency = $2 and payout is null and status = 'available'",
    )
    .bind(&cx.account)
    .bind(currency)
    .bind(payout)
    .execute(&mut *cx.conn)
    .await?;
    Ok(())
}

/// Plans the day's automatic payouts, and tomorrow's look at them (job).
pub(crate) async fn plan_day(cx: &mut Cx) -> Result<(), ApiError> {
    let due: Vec<String> = sqlx::query_scalar(
        "select o.id from objects o
         where o.account = $1 and o.object = 'account' and o.body ->> 'payouts_enabled' = 'true'
           and o.body #>> '{settings,payouts,schedule,interval}' = 'daily'
           and exists (select from balances b where b.account = o.id and b.available > 0)
         order by o.seq",
    )
    .bind(&*cx.platform)
    .fetch_all(&mut *cx.conn)
    .await?;
    for account in due {
        jobs::schedule(cx, cx.now, jobs::Kind::AutomaticPayout, &account).await?;
    }
    jobs::schedule(cx, start_of_day(cx.now) + DAY, jobs::Kind::DailyPayouts, "all").await
}

/// Pays out all that an account has available (job). An account whose bank account has failed is left alone.
pub(crate) async fn pay_out_account(cx: &mut Cx, account: &str) -> Result<(), ApiError> {
    account.clone_into(&mut cx.account);
    let balances: Vec<(String, i64)> = sqlx::query_as(
        "select currency::text, available from balances where account = $1 and available > 0 order by currency",
    )
    .bind(account)
    .fetch_all(&mut *cx.conn)
    .await?;
    for (currency, _) in balances {
        let usable = accounts::bank_account(cx, account, &currency).await?.filter(|b| text(b, "status") != "errored");
        let held = books::lock(cx, &[account], &currency).await?;
        let amount = books::available(&held, account);
        if usable.is_none() || amount <= 0 {
            continue;
        }
        let draft = Draft {
            amount,
            currency,
            automatic: true,
            instant: false,
            destination: None,
            description: None,
            statement_descriptor: None,
            metadata: json!({}),
        };
        pay_out(cx, draft).await?;
    }
    Ok(())
}

/// A payout, locked, wherever it belongs; the work goes on for its account.
async fn find_for_update(cx: &mut Cx, id: &str) -> Answer {
    let found = store::find_any(&mut cx.conn, id).await?;
    let (account, _) = found.ok_or_else(|| ApiError::no_such("payout", id))?;
    cx.account = account;
    let found = store::find_for_update(&mut cx.conn, &cx.account, "payout", id).await?;
    found.ok_or_else(|| ApiError::no_such("payout", id))
}

/// A payout leaves for the bank (job).
pub(crate) async fn send(cx: &mut Cx, id: &str) -> Result<(), ApiError> {
    let payout = find_for_update(cx, id).await?;
    if text(&payout, "status") == "pending" { change(cx, payout, "in_transit", "payout.updated").await } else { Ok(()) }
}

/// A payout arrives, or fails when its bank account is one of those (job).
pub(crate) async fn arrive(cx: &mut Cx, id: &str) -> Result<(), ApiError> {
    let mut payout = find_for_update(cx, id).await?;
    if !["pending", "in_transit"].contains(&text(&payout, "status")) {
        return Ok(());
    }
    let failure: Option<String> =
        sqlx::query_scalar("select failure_code from bank_behaviours where bank_account = $1")
            .bind(text(&payout, "destination"))
            .fetch_optional(&mut *cx.conn)
            .await?;
    if let Some(code) = failure {
        return give_back(cx, payout, "failed", Some(&code)).await.map(|_| ());
    }
    payout["trace_id"] = json!({ "status": "supported", "value": random_text(12) });
    change(cx, payout, "paid", "payout.paid").await
}

async fn change(cx: &mut Cx, mut payout: Value, status: &str, event: &'static str) -> Result<(), ApiError> {
    let before = payout["status"].clone();
    payout["status"] = json!(status);
    store::update(&mut cx.conn, &payout).await?;
    let account = cx.account.clone();
    cx.emit_change(&account, event, &payout, Some(json!({ "status": before })));
    Ok(())
}

/// The bank refuses or returns a payout, even one that was paid (control; docs.stripe.com/payouts#payout-failures).
pub(crate) async fn fail(cx: &mut Cx, id: &str, code: &str) -> Answer {
    let payout = find_for_update(cx, id).await?;
    if ["pending", "in_transit", "paid"].contains(&text(&payout, "status")) {
        return give_back(cx, payout, "failed", Some(code)).await;
    }
    Err(ApiError::refused(format!("A payout that is {} cannot fail.", text(&payout, "status"))))
}

/// A payout that has not left is given up (control).
pub(crate) async fn cancel(cx: &mut Cx, id: &str) -> Answer {
    let payout = find_for_update(cx, id).await?;
    if text(&payout, "status") == "pending" {
        return give_back(cx, payout, "canceled", None).await;
    }
    Err(ApiError::refused("Payouts can only be canceled while they are pending."))
}

/// The money returns to the balance; after a failure the bank account is not used again by the schedule.
async fn give_back(cx: &mut Cx, mut payout: Value, status: &'static str, code: Option<&str>) -> Answer {
    let account = cx.account.clone();
    let currency = text(&payout, "currency").to_owned();
    books::lock(cx, &[&account], &currency).await?;
    let failed = code.is_some();
    let movement = Movement {
        account: &account,
        currency: &currency,
        amount: integer(&payout, "amount"),
        fee: -integer(&payout, "application_fee_amount"),
        kind: if failed { "payout_failure" } else { "payout_cancel" },
        category: "payout_reversal",
        source: store::id(&payout),
        description: payout["description"].as_str(),
        available_on: cx.now,
        counterpart: Counterpart::Banks,
    };
    payout["failure_balance_transaction"] = json!(books::book(cx, movement).await?);
    payout_fees::give_back(cx, &payout).await?;
    let before = payout["status"].clone();
    payout["status"] = json!(status);
    if let Some(code) = code {
        payout["failure_code"] = json!(code);
        payout["failure_message"] = json!("The bank could not credit the payout.");
        mark_errored(cx, text(&payout, "destination")).await?;
    }
    store::update(&mut cx.conn, &payout).await?;
    let event = if failed { "payout.failed" } else { "payout.canceled" };
    cx.emit_change(&account, event, &payout, Some(json!({ "status": before })));
    Ok(payout)
}

async fn mark_errored(cx: &mut Cx, bank: &str) -> Result<(), ApiError> {
    let account = cx.account.clone();
    let Some(mut bank) = store::find_for_update(&mut cx.conn, &account, "bank_account", bank).await? else {
        return Ok(());
    };
    bank["status"] = json!("errored");
    store::update(&mut cx.conn, &bank).await?;
    cx.emit(&account, "account.external_account.updated", &bank);
    if *account != *cx.platform && bank["default_for_currency"] == json!(true) {
        accounts::want_bank_account(cx, &account).await?;
    }
    Ok(())
}

/// `GET /v1/payouts/{id}`.
pub(crate) async fn retrieve(cx: &mut Cx, id: &str, params: Params) -> Answer {
    super::retrieve(cx, "payout", id, params).await
}

/// `GET /v1/payouts`.
pub(crate) async fn index(cx: &mut Cx, mut params: Params) -> Answer {
    let mut filter = Map::new();
    for field in ["destination", "status"] {
        if let Some(value) = params.text(field)? {
            filter.insert(field.into(), value.into());
        }
    }
    list::objects(cx, params, "payout", "/v1/payouts", None, Some(filter.into())).await
}
