//! `/v1/payments`.

mod cart;
mod charge_policy;
mod direct;
pub(super) mod discount;
mod explanation;
mod hold;
mod line_release;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use partita_db::DbError;
use partita_provider::{CaptureMethod, Refusal};
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::cart::NewPaymentBody;
use self::direct::{DirectBody, Whole};
use self::discount::DiscountBody;
use self::line_release::ReleaseBody;
use super::HttpState;
use super::auth::Caller;
use super::commands::{self, Progress, Reply};
use super::cursor::{self, List};
use super::fields::{Currency, currency_schema};
use super::idempotency::Idempotent;
use super::json::PathId;
use super::problem::Problem;
use super::problem_types;
use super::query::{NoParameters, Query, TimeRange, known_words};
use super::render::{CommandRefusals, Failure, ProviderRef, Refusals, Time, problem_response, provider_problem};
use crate::id::{CustomerId, FeePolicyId, PaymentId, PaymentMethodId, SellerId};
use crate::payments::line_release::LineRelease;
use crate::payments::{self, Discount, Funds, Line, Payment, PaymentStatus};
use crate::platforms::Mode;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(fetch))
        .merge(hold::routes())
        .merge(line_release::routes())
        .merge(charge_policy::routes())
        .merge(explanation::routes())
}

/// The tax of a line; minor units.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = LineTax)]
struct TaxBody {
    /// On top of the line's amount.
    #[schema(example = 1200)]
    amount: i64,
    /// `platform` or `seller`: who owes it to the state.
    #[schema(value_type = String, example = "platform")]
    liability: &'static str,
    jurisdiction: Option<String>,
}

/// A line as it was priced, and what became of it. Amounts in minor units.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PaymentLine)]
struct LineBody {
    /// Its place in the cart, from 0.
    line: i32,
    /// `item`, `shipping`, `tip` or `platform`.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "item")]
    kind: &'static str,
    seller: Option<SellerId>,
    /// What the buyer pays of it, net of its tax: discounts are taken off.
    #[schema(example = 6000)]
    amount: i64,
    /// What the buyer does not pay of its price, by discounts.
    #[schema(example = 0)]
    discount: i64,
    tax: TaxBody,
    category: Option<String>,
    /// What the platform keeps of the amount, once discounts that it bears are taken off; of what was captured, once that is less.
    #[schema(example = 600)]
    commission: i64,
    /// Of `commission`, the tax on it, which you owe.
    commission_vat: i64,
    /// Of `amount`, what was authorised and not captured. Nobody has it.
    uncaptured_amount: i64,
    /// Of `tax.amount`, the same.
    uncaptured_tax: i64,
    /// The policy that priced it.
    fee_policy: Option<FeePolicyId>,
    /// The version of the policy that priced it.
    fee_policy_version: Option<i32>,
    /// The number of the rule that priced it, from 1; null when none was for it. `../explain` says it in words.
    fee_rule: Option<i32>,
    /// Given back of `amount`.
    refunded_amount: i64,
    /// Given back of `tax.amount`.
    refunded_tax: i64,
    /// Returned of `commission`.
    returned_commission: i64,
    /// Of the processor's fee, what was passed to the seller: at the charge, by the fee policy's rule, or with refunds.
    processor_fee: i64,
    /// When its share is released; null: with the payment's money (`funds`).
    release: Option<ReleaseBody>,
}

impl LineBody {
    fn show(line: Line, releases: &[LineRelease], discounts: &[Discount]) -> Self {
        let parts = discounts.iter().flat_map(|discount| &discount.parts);
        Self {
            release: releases.iter().find(|release| release.line == line.number).map(ReleaseBody::from),
            discount: parts.filter(|(number, _)| *number == line.number).map(|(_, part)| part).sum(),
            line: line.number,
            kind: line.kind.as_str(),
            seller: line.seller.map(|(id, _)| id),
            amount: line.amount + line.uncaptured.amount,
            tax: TaxBody {
                amount: line.tax_amount + line.uncaptured.tax,
                liability: line.tax_liability.as_str(),
                jurisdiction: line.tax_jurisdiction,
            },
            category: line.category,
            commission: line.commission,
            commission_vat: line.commission_vat,
            uncaptured_amount: line.uncaptured.amount,
            uncaptured_tax: line.uncaptured.tax,
            fee_policy: line.fee_policy.as_ref().map(|fee| fee.policy),
            fee_policy_version: line.fee_policy.as_ref().map(|fee| fee.version),
            fee_rule: line.fee_policy.and_then(|fee| fee.rule),
            refunded_amount: line.refunded_amount,
            refunded_tax: line.refunded_tax,
            returned_commission: line.returned_commission,
            processor_fee: line.passed_fee,
        }
    }
}

/// A payment: one cart, one buyer, any number of sellers.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Payment)]
struct PaymentBody {
    /// Always `payment`.
    #[schema(value_type = String, example = "payment")]
    object: &'static str,
    id: PaymentId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// Your own id of the payment.
    reference: String,
    /// `processing`: the provider has not answered definitely; `requires_action`: the buyer must do something;
    /// `authorized`: the amount is held on the buyer's card until you capture it; `succeeded`: the buyer was charged; `failed`: declined, or taken back by the buyer's bank
    /// after it had succeeded, final; `canceled`: given up, final.
    #[schema(value_type = String, example = "succeeded")]
    status: &'static str,
    /// What the buyer pays; minor units.
    #[schema(example = 12000)]
    amount: i64,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// The provider's token that is charged.
    payment_method: String,
    /// The saved method that is charged; null where the token came with the request.
    saved_payment_method: Option<PaymentMethodId>,
    /// Whose payment it is; null for a buyer who is not known.
    customer: Option<CustomerId>,
    /// Whether the buyer is away and can confirm nothing.
    off_session: bool,
    description: Option<String>,
    /// Where the money is. `none`: with the buyer; `pending`: at the provider, not usable yet; `available`: usable.
    #[schema(value_type = String, example = "pending")]
    funds: &'static str,
    /// When the provider makes the money usable.
    available_at: Option<Time>,
    /// What the processor kept, once known; minor units.
    #[schema(example = 320)]
    processor_fee: Option<i64>,
    /// `automatic` or `manual`: whether the buyer is charged at once or when you capture.
    #[schema(value_type = String, example = "automatic")]
    capture_method: &'static str,
    /// Until when what is authorised can be captured; the provider lets it go then. Null where nothing was authorised first.
    capture_before: Option<Time>,
    /// What the buyer was charged; 0 before. Minor units.
    #[schema(example = 12000)]
    captured_amount: i64,
    /// What was given back or is being given back; minor units.
    refunded_amount: i64,
    /// `separate`: sellers are sent their shares by transfers of their own once the money is usable; `destination`: the provider
    /// sends the one seller its share with the charge; `direct`: it is made on the one seller's own account (`direct`).
    #[schema(value_type = String, example = "separate")]
    charge_type: &'static str,
    /// The seller that the buyer buys from, to card networks and on statements; null: you.
    on_behalf_of: Option<SellerId>,
    /// Of a direct charge: where it was made, and what you keep; null for others.
    direct: Option<DirectBody>,
    lines: Vec<LineBody>,
    /// What the buyer does not pay, after the lines.
    discounts: Vec<DiscountBody>,
    provider: ProviderRef,
    /// The charge's id at the provider.
    provider_charge: Option<String>,
    failure: Option<Failure>,
    #[schema(value_type = BTreeMap<String, String>)]
    metadata: serde_json::Value,
    created_at: Time,
    updated_at: Time,
}

impl PaymentBody {
    fn show(mode: Mode, Whole { payment, lines, releases, discounts, direct }: Whole) -> Self {
        let captured_amount = payment.captured_amount();
        Self {
            object: "payment",
            id: payment.id,
            mode: mode.as_str(),
            reference: payment.reference,
            status: payment.status.as_str(),
            amount: payment.amount.minor,
            currency: payment.amount.currency,
            payment_method: payment.payment_method,
            saved_payment_method: payment.payer.method,
            customer: payment.payer.customer,
            off_session: payment.payer.off_session,
            description: payment.description,
            // Where the money of a payment that failed late stood still tells where its shares were.
            funds: if payment.status == PaymentStatus::Failed { Funds::None } else { payment.funds }.as_str(),
            available_at: payment.available_on.map(Time),
            processor_fee: payment.processor_fee,
            capture_method: match payment.capture {
                CaptureMethod::Automatic => "automatic",
                CaptureMethod::Manual => "manual",
            },
            capture_before: payment.capture_before.map(Time),
            captured_amount,
            refunded_amount: payment.refunded_amount,
            charge_type: payment.charge_type.as_str(),
            on_behalf_of: payment.on_behalf_of,
            direct: direct.map(DirectBody::from),
            lines: lines.into_iter().map(|line| LineBody::show(line, &releases, &discounts)).collect(),
            discounts: discounts.into_iter().map(DiscountBody::from).collect(),
            provider: ProviderRef { name: payment.provider, id: payment.provider_payment },
            provider_charge: payment.provider_charge,
            failure: payment.failure.map(Failure::from),
            metadata: payment.metadata,
            created_at: Time(payment.created_at),
            updated_at: Time(payment.updated_at),
        }
    }
}

/// What the provider says when the buyer's bank wants to hear from a buyer who is away (docs.stripe.com/error-codes).
const WANTS_BUYER: &str = "authentication_required";

fn declined(payment: &Payment, body: PaymentBody) -> Problem {
    let wants_buyer = payment.payer.off_session
        && payment
            .failure
            .as_ref()
            .is_some_and(|failure| failure.code == WANTS_BUYER || failure.decline_code.as_deref() == Some(WANTS_BUYER));
    let mut problem = Problem::new(if wants_buyer {
        &problem_types::BUYER_AUTHENTICATION_REQUIRED
    } else {
        &problem_types::PAYMENT_DECLINED
    });
    if let Some(refusal) = &payment.failure {
        problem = told(problem, &payment.provider, refusal);
    }
    problem.object(serde_json::to_value(body).expect("texts, numbers and lists always serialise"))
}

fn told(problem: Problem, provider: &str, refusal: &Refusal) -> Problem {
    problem.detail(refusal.message.clone()).provider(provider_problem(provider, refusal))
}

/// Takes a buyer's payment for a cart and splits it over its sellers.
///
/// Waits for the provider for up to ten seconds. An answer is final for its key; 202 means that the result comes by
/// event or by reading the payment.
#[utoipa::path(
    post, path = "/v1/payments", tag = "Payments", operation_id = "create_payment",
    request_body = NewPaymentBody,
    params(("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters")),
    responses(
        (status = 201, description = "The buyer was charged, the amount is held (`authorized`), or the buyer must act (`requires_action`)", body = PaymentBody),
        (status = 202, description = "The provider has not answered definitely yet", body = PaymentBody),
        CreateRefusals,
    ),
)]
async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    input: Idempotent<NewPaymentBody>,
) -> Result<Response, Problem> {
    caller.require("payments:write")?;
    let new = input.body.read()?;
    let begun = payments::create(&state.app, caller.book, caller.actor, input.claim.clone(), new).await?;
    let id = match commands::drive(&state, &caller, begun, PaymentId::uuid).await? {
        Progress::Answered(response) => return Ok(response),
        Progress::Read(id) => id,
    };
    let whole = read(&state, &caller, id).await?;
    let payment = whole.payment.clone();
    let body = PaymentBody::show(caller.mode, whole);
    let reply = match payment.status {
        PaymentStatus::Processing => Reply::Open(body),
        PaymentStatus::Failed => Reply::Refused(declined(&payment, body)),
        PaymentStatus::RequiresAction
        | PaymentStatus::Authorized
        | PaymentStatus::Succeeded
        | PaymentStatus::Canceled => Reply::created(body),
    };
    commands::answer(&state, &caller, Some(&input.claim), reply).await
}

/// The refusals of a new payment: those of commands, and 402.
struct CreateRefusals;

impl utoipa::IntoResponses for CreateRefusals {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let mut responses = CommandRefusals::responses();
        let declined = problem_response(
            "Declined: `payment_declined`, or `buyer_authentication_required` while the buyer was away. No money moved; `object` is the failed payment.",
        );
        responses.insert("402".to_owned(), RefOr::T(declined));
        responses
    }
}

async fn read(state: &HttpState, caller: &Caller, id: PaymentId) -> Result<Whole, Problem> {
    let found = state
        .app
        .db
        .read("get payment", caller.scope(), move |tx| {
            Box::pin(async move {
                match payments::find(tx, id).await? {
                    Some(payment) => Ok::<_, DbError>(Some(Whole::of(tx, payment).await?)),
                    None => Ok(None),
                }
            })
        })
        .await?;
    found.ok_or_else(|| Problem::not_found("payment"))
}

/// One payment with its lines.
#[utoipa::path(
    get, path = "/v1/payments/{id}", tag = "Payments", operation_id = "get_payment",
    params(("id" = PaymentId, Path, description = "The payment")),
    responses((status = 200, description = "The payment", body = PaymentBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<PaymentId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<PaymentBody>, Problem> {
    caller.require("payments:read")?;
    Ok(Json(PaymentBody::show(caller.mode, read(&state, &caller, id).await?)))
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
    /// Your own id of the payment.
    reference: Option<String>,
    /// With a line of this seller.
    seller: Option<SellerId>,
    /// When it was made: `created_at[gte]=..` (at or after) and `created_at[lt]=..` (before); RFC 3339.
    #[serde(default)]
    #[param(style = DeepObject, explode, inline)]
    created_at: TimeRange,
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Payments, newest first.
#[utoipa::path(
    get, path = "/v1/payments", tag = "Payments", operation_id = "list_payments",
    params(Filters),
    responses((status = 200, description = "A page of payments", body = List<PaymentBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(filters): Query<Filters>,
) -> Result<Response, Problem> {
    caller.require("payments:read")?;
    known_words("status", &filters.status, |word| PaymentStatus::parse(word).is_some())?;
    let bound = (&filters.status, &filters.reference, &filters.seller, &filters.created_at);
    let page = cursor::page::<PaymentId, _>("/v1/payments", &bound, filters.limit, filters.cursor.as_deref())?;
    let limit = page.fetch_limit();
    let filter = payments::ListFilter {
        statuses: filters.status,
        reference: filters.reference,
        seller: filters.seller,
        created_from: filters.created_at.from(),
        created_before: filters.created_at.before(),
        before: page.after,
    };
    let rows = state
        .app
        .db
        .read("list payments", caller.scope(), move |tx| {
            let filter = filter.clone();
            Box::pin(async move {
                let mut rows = Vec::new();
                for payment in payments::list(tx, &filter, limit).await? {
                    rows.push(Whole::of(tx, payment).await?);
                }
                Ok::<_, DbError>(rows)
            })
        })
        .await?;
    let show = |whole| PaymentBody::show(caller.mode, whole);
    Ok(page.list(rows, |whole| whole.payment.id, show).respond(&uri))
}
