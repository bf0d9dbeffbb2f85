//! `/v1/refunds`.

mod policy;
mod resolution;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use partita_db::DbError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::approvals;
use crate::http::HttpState;
use crate::http::auth::Caller;
use crate::http::commands::{self, Progress, Reply};
use crate::http::cursor::{self, List};
use crate::http::fields::{Amount, Currency, MOST_LINES, Metadata, Reference, Text, currency_schema};
use crate::http::idempotency::Idempotent;
use crate::http::json::{Json as Body, PathId};
use crate::http::problem::Problem;
use crate::http::problem_types;
use crate::http::query::{NoParameters, Query, known_words};
use crate::http::render::{CommandRefusals, Failure, ProviderRef, Refusals, Time};
use crate::id::{ApprovalId, PaymentId, RefundId};
use crate::payments::RefundShare;
use crate::platforms::Mode;
use crate::refunds::{self, Allocated, Asked, NewRefund, Refund, RefundStatus};
use policy::{CommissionBody, ProcessorFeeBody, RefundTaxBody};
use resolution::ResolutionBody;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(preview))
        .routes(routes!(fetch))
        .merge(resolution::routes())
        .merge(policy::routes())
}

/// A line to give back.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRefundLine)]
struct NewLineBody {
    /// The payment's line, from 0.
    #[schema(minimum = 0, example = 0)]
    line: i32,
    /// Net of tax; its tax is added in proportion.
    amount: Amount,
}

/// What to give back, of which payment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRefund, example = json!({
    "payment": "pay_01jd9z8p3hfh7s4k2n0q5r6t7v", "lines": [{"line": 0, "amount": 2500}], "reason": "arrived broken"
}))]
struct NewRefundBody {
    payment: PaymentId,
    /// A gross amount, spread over all lines in proportion. Give this or `lines`; neither means all that is left.
    amount: Option<Amount>,
    /// Net amounts of single lines. Give this or `amount`; neither means all that is left.
    #[schema(min_items = 1, max_items = 200)]
    lines: Option<Vec<NewLineBody>>,
    /// Whether the commission goes back too; as your refund policy says when absent.
    fee: Option<CommissionBody>,
    /// Who bears the processor's fee of what is refunded; as your refund policy says when absent.
    processor_fee: Option<ProcessorFeeBody>,
    /// Whether the tax goes back too; as your refund policy says when absent.
    tax: Option<RefundTaxBody>,
    /// Why, in your own words.
    reason: Option<Text<1, 500>>,
    /// Your own id of the refund, unique among your refunds.
    reference: Option<Reference>,
    #[serde(default)]
    metadata: Metadata,
}

fn asked(amount: Option<Amount>, lines: Option<&[NewLineBody]>) -> Result<Asked, Problem> {
    match (amount, lines) {
        (Some(_), Some(_)) => Err(Problem::invalid_field(
            &["amount"],
            &problem_types::NOT_ALLOWED,
            "give either amount or lines, not both",
        )),
        (Some(amount), None) => Ok(Asked::Amount(amount.minor())),
        (None, None) => Ok(Asked::Everything),
        (None, Some([])) => {
            Err(Problem::invalid_field(&["lines"], &problem_types::TOO_SHORT, "expected at least one line"))
        }
        (None, Some(lines)) if lines.len() > MOST_LINES => Err(Problem::invalid_field(
            &["lines"],
            &problem_types::TOO_LONG,
            format!("expected at most {MOST_LINES} lines"),
        )),
        (None, Some(lines)) => Ok(Asked::Lines(lines.iter().map(|line| (line.line, line.amount.minor())).collect())),
    }
}

/// What a line of the payment gives back; minor units.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = RefundLine)]
struct LineBody {
    /// The payment's line, from 0.
    line: i32,
    /// Net goods.
    #[schema(example = 2500)]
    amount: i64,
    /// Its tax.
    #[schema(example = 500)]
    tax_amount: i64,
    /// What the platform returns of its commission; of a direct charge 0, because its application fee goes back as one amount.
    #[schema(example = 250)]
    commission: i64,
    /// Of `commission`, the tax on it.
    #[schema(example = 0)]
    commission_vat: i64,
    /// What the seller bears of the processor's fee with it.
    #[schema(example = 0)]
    processor_fee: i64,
}

impl From<RefundShare> for LineBody {
    fn from(RefundShare { share, processor_fee }: RefundShare) -> Self {
        Self {
            line: share.line,
            amount: share.amount,
            tax_amount: share.tax,
            commission: share.commission,
            commission_vat: share.vat,
            processor_fee,
        }
    }
}

/// Money given back to the buyer of a payment.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Refund)]
struct RefundBody {
    /// Always `refund`.
    #[schema(value_type = String, example = "refund")]
    object: &'static str,
    id: RefundId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// Your own id of the refund.
    reference: Option<String>,
    payment: PaymentId,
    /// `processing`: the provider has not answered definitely; `pending`: the provider has it and waits, for funds for
    /// instance; `succeeded`; `returned`: it failed after its money had left, the money is back and the buyer is still owed:
    /// decide (`POST ../resolution`); `settled`: it came back and you paid the buyer from your bank; `failed`: everyone has
    /// back what was taken for it.
    #[schema(value_type = String, example = "succeeded")]
    status: &'static str,
    /// What the buyer gets, tax included; minor units.
    #[schema(example = 3000)]
    amount: i64,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// `returned` or `kept`: whether the commission goes back too.
    #[schema(value_type = String, example = "returned")]
    fee: &'static str,
    /// `platform` or `sellers`: who bears the processor's fee of what is refunded.
    #[schema(value_type = String, example = "platform")]
    processor_fee: &'static str,
    /// `returned`, or `kept`: the refund is of the net price only, and the tax stays owed.
    #[schema(value_type = String, example = "returned")]
    tax: &'static str,
    /// The version of your refund policy that held when it was asked.
    #[schema(example = 0)]
    policy_version: i32,
    reason: Option<String>,
    /// Every share of it.
    lines: Vec<LineBody>,
    provider: ProviderRef,
    failure: Option<Failure>,
    /// What was decided when it had come back.
    resolution: Option<ResolutionBody>,
    /// What a second person decides, or decided, about it when it had come back; null where nobody has to.
    approval: Option<ApprovalId>,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    metadata: serde_json::Value,
    created_at: Time,
    updated_at: Time,
}

/// A refund with its shares and what a second person decides about it.
struct Shown {
    refund: Refund,
    lines: Vec<RefundShare>,
    approval: Option<ApprovalId>,
}

impl RefundBody {
    fn show(mode: Mode, Shown { refund, lines, approval }: Shown) -> Self {
        let resolution = ResolutionBody::of(&refund);
        Self {
            object: "refund",
            id: refund.id,
            mode: mode.as_str(),
            reference: refund.reference,
            payment: refund.payment,
            status: refund.status.as_str(),
            amount: refund.amount.minor,
            currency: refund.amount.currency,
            fee: refund.policy.commission.as_str(),
            processor_fee: refund.policy.processor_fee.as_str(),
            tax: refund.policy.tax.as_str(),
            policy_version: refund.policy.version,
            reason: refund.reason,
            lines: lines.into_iter().map(LineBody::from).collect(),
            provider: ProviderRef { name: refund.provider, id: refund.provider_refund },
            failure: refund.failure.map(Failure::from),
            resolution,
            approval,
            metadata: refund.metadata,
            created_at: Time(refund.created_at),
            updated_at: Time(refund.updated_at),
        }
    }
}

/// Gives money back to the buyer, and takes it from those who got it.
///
/// The sellers' shares leave their balances at once; transfers that became too large are taken back by the service.
#[utoipa::path(
    post, path = "/v1/refunds", tag = "Refunds", operation_id = "create_refund",
    request_body = NewRefundBody,
    params(("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters")),
    responses(
        (status = 201, description = "The provider has it (`succeeded` or `pending`)", body = RefundBody),
        (status = 202, description = "The provider has not answered definitely yet", body = RefundBody),
        CommandRefusals,
    ),
)]
async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    input: Idempotent<NewRefundBody>,
) -> Result<Response, Problem> {
    caller.require("payments:write")?;
    let body = input.body;
    let new = NewRefund {
        payment: body.payment,
        asked: asked(body.amount, body.lines.as_deref())?,
        said: policy::said(body.fee, body.processor_fee, body.tax),
        reason: body.reason.map(Text::into_string),
        reference: body.reference.map(Text::into_string),
        metadata: body.metadata.into_json(),
    };
    let begun = refunds::create(&state.app, caller.book, caller.actor, input.claim.clone(), new).await?;
    let id = match commands::drive(&state, &caller, begun, RefundId::uuid).await? {
        Progress::Answered(response) => return Ok(response),
        Progress::Read(id) => id,
    };
    let shown = read(&state, &caller, id).await?;
    commands::answer(&state, &caller, Some(&input.claim), reply(caller.mode, shown)).await
}

fn reply(mode: Mode, shown: Shown) -> Reply<RefundBody> {
    let Refund { status, provider, failure, .. } = shown.refund.clone();
    let refusal = failure.filter(|_| status == RefundStatus::Failed);
    let body = RefundBody::show(mode, shown);
    commands::outcome(body, status == RefundStatus::Processing, &provider, refusal.as_ref())
}

async fn read(state: &HttpState, caller: &Caller, id: RefundId) -> Result<Shown, Problem> {
    let found = state
        .app
        .db
        .read("get refund", caller.scope(), move |tx| {
            Box::pin(async move {
                let Some(refund) = refunds::find(tx, id).await? else { return Ok(None) };
                let lines = refunds::find_lines(tx, id).await?;
                let approval = approvals::newest_of(tx, &[id.uuid()]).await?.remove(&id.uuid());
                Ok::<_, DbError>(Some(Shown { refund, lines, approval }))
            })
        })
        .await?;
    found.ok_or_else(|| Problem::not_found("refund"))
}

/// One refund with its shares.
#[utoipa::path(
    get, path = "/v1/refunds/{id}", tag = "Refunds", operation_id = "get_refund",
    params(("id" = RefundId, Path, description = "The refund")),
    responses((status = 200, description = "The refund", body = RefundBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<RefundId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<RefundBody>, Problem> {
    caller.require("payments:read")?;
    Ok(Json(RefundBody::show(caller.mode, read(&state, &caller, id).await?)))
}

/// Filters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Any of these; may be repeated.
    #[serde(default)]
    #[param(example = json!(["succeeded"]))]
    status: Vec<String>,
    /// Of this payment.
    payment: Option<PaymentId>,
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Refunds, newest first.
#[utoipa::path(
    get, path = "/v1/refunds", tag = "Refunds", operation_id = "list_refunds",
    params(Filters),
    responses((status = 200, description = "A page of refunds", body = List<RefundBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(filters): Query<Filters>,
) -> Result<Response, Problem> {
    caller.require("payments:read")?;
    known_words("status", &filters.status, |word| RefundStatus::parse(word).is_some())?;
    let bound = (&filters.status, &filters.payment);
    let page = cursor::page::<RefundId, _>("/v1/refunds", &bound, filters.limit, filters.cursor.as_deref())?;
    let limit = page.fetch_limit();
    let filter = refunds::ListFilter { statuses: filters.status, payment: filters.payment, before: page.after };
    let rows = state
        .app
        .db
        .read("list refunds", caller.scope(), move |tx| {
            let filter = filter.clone();
            Box::pin(async move {
                let found = refunds::list(tx, &filter, limit).await?;
                let ids: Vec<_> = found.iter().map(|refund| refund.id.uuid()).collect();
                let mut approvals = approvals::newest_of(tx, &ids).await?;
                let mut rows = Vec::with_capacity(found.len());
                for refund in found {
                    let lines = refunds::find_lines(tx, refund.id).await?;
                    let approval = approvals.remove(&refund.id.uuid());
                    rows.push(Shown { refund, lines, approval });
                }
                Ok::<_, DbError>(rows)
            })
        })
        .await?;
    let show = |shown| RefundBody::show(caller.mode, shown);
    Ok(page.list(rows, |shown| shown.refund.id, show).respond(&uri))
}

/// What to look at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRefundPreview, example = json!({"payment": "pay_01jd9z8p3hfh7s4k2n0q5r6t7v", "lines": [{"line": 0, "amount": 2500}]}))]
struct NewPreviewBody {
    payment: PaymentId,
    /// A gross amount, spread over all lines in proportion. Give this or `lines`; neither means all that is left.
    amount: Option<Amount>,
    /// Net amounts of single lines. Give this or `amount`; neither means all that is left.
    #[schema(min_items = 1, max_items = 200)]
    lines: Option<Vec<NewLineBody>>,
    /// Whether the commission goes back too; as your refund policy says when absent.
    fee: Option<CommissionBody>,
    /// Who bears the processor's fee of what is refunded; as your refund policy says when absent.
    processor_fee: Option<ProcessorFeeBody>,
    /// Whether the tax goes back too; as your refund policy says when absent.
    tax: Option<RefundTaxBody>,
}

/// What a refund would take from whom.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RefundPreview)]
struct PreviewBody {
    /// Always `refund_preview`.
    #[schema(value_type = String, example = "refund_preview")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    payment: PaymentId,
    /// What the buyer would get, tax included; minor units.
    #[schema(example = 3000)]
    amount: i64,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// `returned` or `kept`.
    #[schema(value_type = String, example = "returned")]
    fee: &'static str,
    /// `platform` or `sellers`.
    #[schema(value_type = String, example = "platform")]
    processor_fee: &'static str,
    /// `returned` or `kept`.
    #[schema(value_type = String, example = "returned")]
    tax: &'static str,
    /// The version of your refund policy.
    #[schema(example = 0)]
    policy_version: i32,
    /// Every share of it.
    lines: Vec<LineBody>,
    /// Of a direct charge: what the provider is expected to give back of your application fee, in proportion to the charge; 0 for
    /// others. What it does give back is booked. Minor units.
    #[schema(example = 0)]
    application_fee: i64,
}

/// What a refund would take from whom, by the same rules. Changes nothing.
#[utoipa::path(
    post, path = "/v1/refunds/preview", tag = "Refunds", operation_id = "preview_refund",
    request_body = NewPreviewBody,
    responses((status = 200, description = "Every share and the total", body = PreviewBody), CommandRefusals),
)]
async fn preview(
    State(state): State<HttpState>,
    caller: Caller,
    Body(body): Body<NewPreviewBody>,
) -> Result<Json<PreviewBody>, Problem> {
    caller.require("payments:read")?;
    let asked = asked(body.amount, body.lines.as_deref())?;
    let said = policy::said(body.fee, body.processor_fee, body.tax);
    let (payment, policy, Allocated { gross, shares, application_fee }) =
        refunds::preview(&state.app, caller.book, body.payment, asked, said).await?;
    Ok(Json(PreviewBody {
        object: "refund_preview",
        mode: caller.mode.as_str(),
        payment: payment.id,
        amount: gross,
        currency: payment.amount.currency,
        fee: policy.commission.as_str(),
        processor_fee: policy.processor_fee.as_str(),
        tax: policy.tax.as_str(),
        policy_version: policy.version,
        lines: shares.into_iter().map(LineBody::from).collect(),
        application_fee,
    }))
}
