//! Disputes (docs.stripe.com/disputes): a buyer's bank takes a charge back, in part or whole, or asks about it first.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sqlx::PgConnection;

use crate::books::{self, Counterpart, Movement};
use crate::context::{Answer, Cx};
use crate::error::ApiError;
use crate::ids::new_id;
use crate::jobs;
use crate::list;
use crate::params::Params;
use crate::resources::accounts::merge_metadata;
use crate::resources::cards::{Behaviour, Card};
use crate::resources::{balance_transactions, files};
use crate::settings::{DAY, DisputeFeeWhenWon, start_of_day};
use crate::store::{self, integer, text};

/// Evidence that is text; the other fields name uploaded files.
const TEXTS: [&str; 18] = [
    "access_activity_log",
    "billing_address",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_tracking_number",
    "uncategorized_text",
];

/// Evidence that names a file.
const FILES: [&str; 9] = [
    "cancellation_policy",
    "customer_communication",
    "customer_signature",
    "duplicate_charge_documentation",
    "receipt",
    "refund_policy",
    "service_documentation",
    "shipping_documentation",
    "uncategorized_file",
];

/// Texts of `uncategorized_text` that decide a dispute, and how (docs.stripe.com/testing#disputes).
const MAGIC: [(&str, Decision); 3] = [
    ("winning_evidence", Decision::Won),
    ("losing_evidence", Decision::Lost),
    ("escalate_inquiry_evidence", Decision::Escalated),
];

/// The longest text of one field, and of all together, in characters.
const LONGEST_TEXT: usize = 20_000;
const LONGEST_EVIDENCE: usize = 150_000;

/// After so long without becoming a dispute, an inquiry is over; seconds (docs.stripe.com/disputes/how-disputes-work).
const INQUIRY_ENDS: i64 = 120 * DAY;

/// What becomes of a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The money comes back.
    Won,
    /// It does not.
    Lost,
    /// An inquiry becomes a dispute.
    Escalated,
    /// An inquiry is over and no money moved.
    InquiryClosed,
}

impl Decision {
    const ALL: [Self; 4] = [Self::Won, Self::Lost, Self::Escalated, Self::InquiryClosed];

    /// Its word in control calls and jobs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Escalated => "escalated",
            Self::InquiryClosed => "warning_closed",
        }
    }

    /// The decision of a word.
    pub(crate) fn parse(word: &str) -> Result<Self, ApiError> {
        Self::ALL.into_iter().find(|decision| decision.name() == word).ok_or_else(|| {
            ApiError::refused(format!("a dispute is won, lost, escalated or warning_closed, not {word}"))
        })
    }
}

/// A dispute to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    /// Minor units; all of the charge when none.
    pub(crate) amount: Option<i64>,
    /// Stripe's word for it.
    pub(crate) reason: String,
    /// Whether the bank only asks.
    pub(crate) inquiry: bool,
}

fn is_inquiry(dispute: &Value) -> bool {
    text(dispute, "status").starts_with("warning_")
}

fn is_closed(dispute: &Value) -> bool {
    ["won", "lost", "warning_closed"].contains(&text(dispute, "status"))
}

fn waits_for_response(dispute: &Value) -> bool {
    text(dispute, "status").ends_with("needs_response")
}

fn body(charge: &Value, amount: i64, draft: &Draft, due_by: i64, now: i64) -> Value {
    let empty: Map<String, Value> =
        TEXTS.iter().chain(&FILES).map(|field| ((*field).to_owned(), Value::Null)).collect();
    let mut evidence = Value::Object(empty);
    evidence["enhanced_evidence"] = json!({});
    let brand = &charge["payment_method_details"]["card"]["brand"];
    json!({
        "id": new_id("du"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": evidence,
        "evidence_details": {
            "due_by": due_by,
            "enhanced_eligibility": {},
            "has_evidence": false,
            "past_due": false,
            "submission_count": 0,
        },
        "is_charge_refundable": draft.inquiry,
        "livemode": false,
        "metadata": {},
        "network_reason_code": if draft.reason == "fraudulent" { "10.4" } else { "13.1" },
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": brand,
                "case_type": if draft.inquiry { "inquiry" } else { "chargeback" },
                "network": brand,
                "network_reason_code": if draft.reason == "fraudulent" { "10.4" } else { "13.1" },
            },
            "type": "card",
        },
        "reason": draft.reason,
        "status": if draft.inquiry { "warning_needs_response" } else { "needs_response" },
    })
}

/// Opens a dispute of a charge (control, and the test cards that are disputed).
pub(crate) async fn open(cx: &mut Cx, charge: &str, draft: &Draft) -> Answer {
    let account = cx.account.clone();
    let found = store::find_for_update(&mut cx.conn, &account, "charge", charge).await?;
    let mut charge = found.ok_or_else(|| ApiError::no_such("charge", charge))?;
    let is_held = charge["captured"] == json!(false);
    if text(&charge, "status") != "succeeded" || is_held || !charge["source_transfer"].is_null() {
        return Err(ApiError::refused(format!("Charge {} cannot be disputed.", store::id(&charge))));
    }
    let amount = draft.amount.unwrap_or_else(|| integer(&charge, "amount_captured"));
    crate::currency::check_amount(amount, text(&charge, "currency"))?;
    let due_by = start_of_day(cx.now + (i64::from(cx.settings.dispute_response_days) + 1) * DAY) - 1;
    let mut dispute = body(&charge, amount, draft, due_by, cx.now);
    let id = store::id(&dispute).to_owned();
    if !draft.inquiry {
        withdraw(cx, &mut dispute).await?;
    }
    store::insert(cx, &account, Some(store::id(&charge)), &dispute).await?;
    jobs::schedule(cx, due_by, jobs::Kind::DisputeDue, &id).await?;
    if draft.inquiry {
        jobs::schedule(cx, cx.now + INQUIRY_ENDS, jobs::Kind::DisputeDecision, &target(&id, Decision::InquiryClosed))
            .await?;
    }
    charge["disputed"] = json!(true);
    store::update(&mut cx.conn, &charge).await?;
    let dispute = shown(&mut cx.conn, dispute).await?;
    cx.emit(&account, "charge.dispute.created", &dispute);
    if !draft.inquiry {
        cx.emit(&account, "charge.dispute.funds_withdrawn", &dispute);
    }
    Ok(dispute)
}

/// Takes amount and fee out of the balance, by one balance transaction.
async fn withdraw(cx: &mut Cx, dispute: &mut Value) -> Result<(), ApiError> {
    let (amount, fee) = (-integer(dispute, "amount"), cx.settings.dispute_fee);
    book(cx, dispute, amount, fee, "dispute", "Chargeback withdrawal for").await
}

/// Gives the amount back, and the fee where the switch says so.
async fn reinstate(cx: &mut Cx, dispute: &mut Value) -> Result<(), ApiError> {
    let fee = match cx.settings.dispute_fee_when_won {
        DisputeFeeWhenWon::Returned => -cx.settings.dispute_fee,
        DisputeFeeWhenWon::Kept => 0,
    };
    let amount = integer(dispute, "amount");
    book(cx, dispute, amount, fee, "dispute_reversal", "Chargeback reversal for").await
}

async fn book(
    cx: &mut Cx,
    dispute: &mut Value,
    amount: i64,
    fee: i64,
    category: &'static str,
    what: &str,
) -> Result<(), ApiError> {
    let (account, currency) = (cx.account.clone(), text(dispute, "currency").to_owned());
    books::lock(cx, &[&account], &currency).await?;
    let description = format!("{what} {}", text(dispute, "charge"));
    let movement = Movement {
        account: &account,
        currency: &currency,
        amount,
        fee,
        kind: "adjustment",
        category,
        source: store::id(dispute),
        description: Some(&description),
        available_on: cx.now,
        counterpart: Counterpart::Cards,
    };
    let transaction = books::book(cx, movement).await?;
    if let Some(movements) = dispute["balance_transactions"].as_array_mut() {
        movements.push(json!(transaction));
    }
    Ok(())
}

/// The dispute as it is shown: with its balance transactions, of which it keeps the ids.
pub(crate) async fn shown(conn: &mut PgConnection, mut dispute: Value) -> Answer {
    if let Some(movements) = dispute["balance_transactions"].as_array_mut() {
        for movement in movements {
            if let Some(id) = movement.as_str() {
                let found = balance_transactions::find(conn, id).await?;
                *movement = found.ok_or_else(|| ApiError::internal("A dispute's movement is not there."))?;
            }
        }
    }
    Ok(dispute)
}

async fn find_for_update(cx: &mut Cx, id: &str) -> Answer {
    let found = store::find_for_update(&mut cx.conn, &cx.account, "dispute", id).await?;
    found.ok_or_else(|| ApiError::no_such("dispute", id))
}

/// `POST /v1/disputes/{id}`.
pub(crate) async fn update(cx: &mut Cx, id: &str, mut params: Params) -> Answer {
    let evidence = read_evidence(&mut params)?;
    for (field, file) in evidence.iter().flatten().filter(|(field, _)| FILES.contains(field)) {
        files::demand(cx, file).await.map_err(|error| error.param(format!("evidence[{field}]")))?;
    }
    let metadata = params.metadata()?;
    let submit = params.boolean("submit")?;
    params.finish()?;
    let mut dispute = find_for_update(cx, id).await?;
    let before = dispute["status"].clone();
    if let Some(metadata) = metadata {
        merge_metadata(&mut dispute, metadata);
    }
    let submits = submit.unwrap_or(evidence.is_some());
    if evidence.is_some() || submits {
        refuse_late_evidence(&dispute)?;
    }
    for (field, value) in evidence.unwrap_or_default() {
        dispute["evidence"][field] = if value.is_empty() { Value::Null } else { json!(value) };
        dispute["evidence_details"]["has_evidence"] = json!(true);
    }
    if submits {
        submit_evidence(cx, &mut dispute).await?;
    }
    store::update(&mut cx.conn, &dispute).await?;
    let dispute = shown(&mut cx.conn, dispute).await?;
    let account = cx.account.clone();
    cx.emit_change(&account, "charge.dispute.updated", &dispute, Some(json!({ "status": before })));
    Ok(dispute)
}

fn read_evidence(params: &mut Params) -> Result<Option<BTreeMap<&'static str, String>>, ApiError> {
    let Some(mut hash) = params.hash("evidence")? else { return Ok(None) };
    let mut evidence = BTreeMap::new();
    for field in TEXTS {
        let Some(value) = hash.long_text(field, LONGEST_TEXT)? else { continue };
        evidence.insert(field, value);
    }
    for field in FILES {
        let Some(file) = hash.text(field)? else { continue };
        evidence.insert(field, file);
    }
    hash.finish()?;
    if evidence.values().map(|value| value.chars().count()).sum::<usize>() > LONGEST_EVIDENCE {
        return Err(
            ApiError::invalid("The combined character count of your evidence is limited to 150,000.").param("evidence")
        );
    }
    Ok(Some(evidence))
}

/// Evidence is submitted once, before its deadline and before the decision.
fn refuse_late_evidence(dispute: &Value) -> Result<(), ApiError> {
    if is_closed(dispute) {
        return Err(ApiError::refused("This dispute is already closed"));
    }
    if !waits_for_response(dispute) {
        return Err(ApiError::refused("Evidence for this dispute has already been submitted"));
    }
    if dispute["evidence_details"]["past_due"] == json!(true) {
        return Err(ApiError::refused("The deadline for submitting evidence for this dispute has passed"));
    }
    Ok(())
}

async fn submit_evidence(cx: &mut Cx, dispute: &mut Value) -> Result<(), ApiError> {
    let inquiry = is_inquiry(dispute);
    dispute["status"] = json!(if inquiry { "warning_under_review" } else { "under_review" });
    let count = integer(&dispute["evidence_details"], "submission_count");
    dispute["evidence_details"]["submission_count"] = json!(count + 1);
    let said = text(&dispute["evidence"], "uncategorized_text");
    let Some((_, decision)) = MAGIC.into_iter().find(|(magic, _)| *magic == said) else { return Ok(()) };
    // An inquiry that is won is over without any money having moved.
    let decision = if inquiry && decision == Decision::Won { Decision::InquiryClosed } else { decision };
    let at = cx.now + i64::from(cx.settings.dispute_decision_seconds);
    jobs::schedule(cx, at, jobs::Kind::DisputeDecision, &target(store::id(dispute), decision)).await
}

fn target(id: &str, decision: Decision) -> String {
    format!("{id}:{}", decision.name())
}

/// `POST /v1/disputes/{id}/close`: the loss is accepted.
pub(crate) async fn close(cx: &mut Cx, id: &str, params: Params) -> Answer {
    params.finish()?;
    let dispute = find_for_update(cx, id).await?;
    if !waits_for_response(&dispute) {
        return Err(ApiError::refused("This dispute is already closed"));
    }
    let decision = if is_inquiry(&dispute) { Decision::InquiryClosed } else { Decision::Lost };
    settle(cx, dispute, decision).await
}

/// Decides a dispute (control).
pub(crate) async fn decide(cx: &mut Cx, id: &str, decision: Decision) -> Answer {
    let dispute = find_for_update(cx, id).await?;
    let lawful = match decision {
        Decision::Won | Decision::Lost => !is_inquiry(&dispute) && !is_closed(&dispute),
        Decision::Escalated | Decision::InquiryClosed => is_inquiry(&dispute) && !is_closed(&dispute),
    };
    if !lawful {
        let status = text(&dispute, "status");
        return Err(ApiError::refused(format!("A dispute that is {status} cannot become {}.", decision.name())));
    }
    settle(cx, dispute, decision).await
}

async fn settle(cx: &mut Cx, mut dispute: Value, decision: Decision) -> Answer {
    let account = cx.account.clone();
    let before = json!({ "status": dispute["status"] });
    let status = match decision {
        Decision::Escalated => "needs_response",
        other => other.name(),
    };
    dispute["status"] = json!(status);
    match decision {
        Decision::Escalated => {
            dispute["is_charge_refundable"] = json!(false);
            dispute["payment_method_details"]["card"]["case_type"] = json!("chargeback");
            withdraw(cx, &mut dispute).await?;
        }
        Decision::Won => reinstate(cx, &mut dispute).await?,
        Decision::Lost | Decision::InquiryClosed => {}
    }
    store::update(&mut cx.conn, &dispute).await?;
    let dispute = shown(&mut cx.conn, dispute).await?;
    match decision {
        Decision::Escalated => {
            cx.emit_change(&account, "charge.dispute.updated", &dispute, Some(before));
            cx.emit(&account, "charge.dispute.funds_withdrawn", &dispute);
        }
        Decision::Won => {
            cx.emit(&account, "charge.dispute.funds_reinstated", &dispute);
            cx.emit_change(&account, "charge.dispute.closed", &dispute, Some(before));
        }
        Decision::Lost | Decision::InquiryClosed => {
            cx.emit_change(&account, "charge.dispute.closed", &dispute, Some(before));
        }
    }
    Ok(dispute)
}

/// Plans the dispute of a charge whose card stands for one.
pub(crate) async fn plan_by_card(cx: &mut Cx, charge: &str, card: Card) -> Result<(), ApiError> {
    let Behaviour::Disputed { reason, inquiry } = card.behaviour else { return Ok(()) };
    jobs::schedule(cx, cx.now, jobs::Kind::DisputeOpen, &planned(charge, reason, inquiry)).await
}

/// A charge by a card of the kind that is disputed (job); the target is the charge, the reason and the case.
pub(crate) async fn open_planned(cx: &mut Cx, target: &str) -> Result<(), ApiError> {
    let mut parts = target.split(':');
    let (charge, reason) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let inquiry = parts.next() == Some("inquiry");
    let draft = Draft { amount: None, reason: reason.to_owned(), inquiry };
    open(cx, charge, &draft).await.map(|_| ())
}

/// The target of [`open_planned`].
fn planned(charge: &str, reason: &str, inquiry: bool) -> String {
    format!("{charge}:{reason}:{}", if inquiry { "inquiry" } else { "chargeback" })
}

/// A decision falls that was planned (job), unless another was faster.
pub(crate) async fn decide_planned(cx: &mut Cx, target: &str) -> Result<(), ApiError> {
    let Some((id, word)) = target.split_once(':') else { return Err(ApiError::internal("A decision of nothing.")) };
    let decision = Decision::parse(word)?;
    let dispute = find_for_update(cx, id).await?;
    let expected = decision == Decision::InquiryClosed || decision == Decision::Escalated;
    if is_closed(&dispute) || is_inquiry(&dispute) != expected {
        return Ok(());
    }
    settle(cx, dispute, decision).await.map(|_| ())
}

/// The deadline has passed (job): what was not answered is lost.
pub(crate) async fn pass_deadline(cx: &mut Cx, id: &str) -> Result<(), ApiError> {
    let mut dispute = find_for_update(cx, id).await?;
    if !waits_for_response(&dispute) {
        return Ok(());
    }
    dispute["evidence_details"]["past_due"] = json!(true);
    if !is_inquiry(&dispute) {
        return settle(cx, dispute, Decision::Lost).await.map(|_| ());
    }
    store::update(&mut cx.conn, &dispute).await?;
    let account = cx.account.clone();
    let past = json!({ "evidence_details": { "past_due": false } });
    cx.emit_change(&account, "charge.dispute.updated", &dispute, Some(past));
    Ok(())
}

/// What disputes have taken of a charge, or may still; minor units, at most the charge.
pub(crate) async fn disputed_amount(cx: &mut Cx, charge: &str) -> Result<i64, ApiError> {
    let disputes = store::children(&mut cx.conn, charge, "dispute").await?;
    let took = |dispute: &&Value| !is_inquiry(dispute) && text(dispute, "status") != "won";
    Ok(disputes.iter().filter(took).map(|dispute| integer(dispute, "amount")).sum())
}

/// `GET /v1/disputes/{id}`.
pub(crate) async fn retrieve(cx: &mut Cx, id: &str, params: Params) -> Answer {
    super::retrieve(cx, "dispute", id, params).await
}

/// `GET /v1/disputes`.
pub(crate) async fn index(cx: &mut Cx, mut params: Params) -> Answer {
    let charge = params.text("charge")?;
    let mut filter = Map::new();
    if let Some(intent) = params.text("payment_intent")? {
        filter.insert("payment_intent".into(), intent.into());
    }
    list::objects(cx, params, "dispute", "/v1/disputes", charge.as_deref(), Some(filter.into())).await
}
