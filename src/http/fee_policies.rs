//! `/v1/fee_policies`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::auth::Caller;
use super::commands::{self, Reply};
use super::cursor::{self, List};
use super::fields::{Amount, AmountOrZero, Currency, Reference, Text, currency_schema};
use super::idempotency::{self, MaybeIdempotent};
use super::json::{Json as Body, PathId};
use super::problem::Problem;
use super::problem_types;
use super::query::{NoParameters, Query};
use super::render::{CommandRefusals, Refusals, Time};
use crate::fees::{self, FeeAmounts, FeePolicy, FeeTerms, NewFeePolicy};
use crate::id::FeePolicyId;
use crate::idempotency::{Begun, StoredAnswer};
use crate::platforms::Mode;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(fetch, change)).routes(routes!(quote))
}

/// Fixed part and bounds in one currency; minor units.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FeeAmounts)]
struct AmountsBody {
    /// Added to the percentage.
    #[serde(default)]
    fixed: AmountOrZero,
    /// The commission is at least this much.
    minimum: Option<AmountOrZero>,
    /// The commission is at most this much.
    maximum: Option<AmountOrZero>,
}

/// Basis points: hundredths of a per cent, 0 to 10000.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(try_from = "i64")]
#[schema(value_type = i32, minimum = 0, maximum = 10000, example = 1000)]
struct BasisPoints(i32);

impl TryFrom<i64> for BasisPoints {
    type Error = &'static str;

    fn try_from(points: i64) -> Result<Self, Self::Error> {
        i32::try_from(points)
            .ok()
            .filter(|points| (0..=10_000).contains(points))
            .map(Self)
            .ok_or("must be 0 to 10000 basis points")
    }
}

/// A new fee policy.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewFeePolicy, example = json!({
    "reference": "standard", "name": "10 % and 30 cents", "default": true, "percent_bps": 1000,
    "amounts": {"EUR": {"fixed": 30, "minimum": 50, "maximum": 50000}}
}))]
struct NewPolicyBody {
    /// Your own id of the policy, unique among your policies.
    reference: Reference,
    name: Text<1, 200>,
    /// Whether it prices lines that name no policy; the default before loses that.
    #[serde(default)]
    default: bool,
    /// Of a line's net amount, rounded half up.
    percent_bps: BasisPoints,
    #[serde(default)]
    amounts: BTreeMap<String, AmountsBody>,
}

/// New terms of a fee policy: a new version, for payments from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChangeFeePolicy, example = json!({"percent_bps": 1200, "amounts": {"EUR": {"fixed": 30}}}))]
struct ChangeBody {
    /// Of a line's net amount, rounded half up.
    percent_bps: BasisPoints,
    #[serde(default)]
    amounts: BTreeMap<String, AmountsBody>,
}

fn terms(percent: BasisPoints, amounts: &BTreeMap<String, AmountsBody>) -> Result<FeeTerms, Problem> {
    let mut read = BTreeMap::new();
    for (code, given) in amounts {
        let currency = Currency::parse(code).map_err(|error| {
            Problem::invalid_field(&["amounts", code], &problem_types::INVALID_VALUE, error.to_string())
        })?;
        let minor = |amount: AmountOrZero| amount.minor();
        let amounts = FeeAmounts {
            fixed: given.fixed.minor(),
            minimum: given.minimum.map(minor),
            maximum: given.maximum.map(minor),
        };
        read.insert(currency.code().to_owned(), amounts);
    }
    Ok(FeeTerms { percent_bps: percent.0, amounts: read })
}

/// A fee policy: what the platform keeps of a sale.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = FeePolicy)]
struct PolicyBody {
    /// Always `fee_policy`.
    #[schema(value_type = String, example = "fee_policy")]
    object: &'static str,
    id: FeePolicyId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    reference: String,
    name: String,
    /// Whether it prices lines that name no policy.
    default: bool,
    /// The newest version; a payment keeps the version it was priced with.
    #[schema(example = 1)]
    version: i32,
    /// Of a line's net amount, in basis points.
    #[schema(example = 1000)]
    percent_bps: i32,
    #[schema(value_type = BTreeMap<String, AmountsBody>)]
    amounts: BTreeMap<String, FeeAmounts>,
    created_at: Time,
    updated_at: Time,
}

impl PolicyBody {
    fn show(mode: Mode, policy: FeePolicy) -> Self {
        Self {
            object: "fee_policy",
            id: policy.id,
            mode: mode.as_str(),
            reference: policy.reference,
            name: policy.name,
            default: policy.is_default,
            version: policy.version,
            percent_bps: policy.terms.percent_bps,
            amounts: policy.terms.amounts,
            created_at: Time(policy.created_at),
            updated_at: Time(policy.updated_at),
        }
    }
}

/// Makes a fee policy.
#[utoipa::path(
    post, path = "/v1/fee_policies", tag = "Fee policies", operation_id = "create_fee_policy",
    request_body = NewPolicyBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters")),
    responses((status = 201, description = "The policy", body = PolicyBody), CommandRefusals),
)]
async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    input: MaybeIdempotent<NewPolicyBody>,
) -> Result<Response, Problem> {
    caller.require("payments:write")?;
    let NewPolicyBody { reference, name, default, percent_bps, amounts } = input.body;
    let new = NewFeePolicy {
        reference: reference.into_string(),
        name: name.into_string(),
        is_default: default,
        terms: terms(percent_bps, &amounts)?,
    };
    let begun = fees::create(&state.app, caller.book, caller.actor, input.claim.clone(), new).await?;
    let id = match begun {
        Begun::Answered(StoredAnswer { status, body }) => return Ok(idempotency::answer(status, body, true)),
        Begun::Fresh(id) | Begun::Resumed(id) => id,
    };
    let policy = read(&state, &caller, id).await?;
    commands::answer(&state, &caller, input.claim.as_ref(), Reply::created(PolicyBody::show(caller.mode, policy))).await
}

async fn read(state: &HttpState, caller: &Caller, id: FeePolicyId) -> Result<FeePolicy, Problem> {
    let found = state
        .app
        .db
        .read("get fee policy", caller.scope(), move |tx| Box::pin(async move { fees::find(tx, id).await }))
        .await?;
    found.ok_or_else(|| Problem::not_found("fee policy"))
}

/// One fee policy, with its newest terms.
#[utoipa::path(
    get, path = "/v1/fee_policies/{id}", tag = "Fee policies", operation_id = "get_fee_policy",
    params(("id" = FeePolicyId, Path, description = "The policy")),
    responses((status = 200, description = "The policy", body = PolicyBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<FeePolicyId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<PolicyBody>, Problem> {
    caller.require("payments:read")?;
    Ok(Json(PolicyBody::show(caller.mode, read(&state, &caller, id).await?)))
}

/// Gives a fee policy new terms, for payments from now on. Old payments keep the version they were priced with.
#[utoipa::path(
    patch, path = "/v1/fee_policies/{id}", tag = "Fee policies", operation_id = "change_fee_policy",
    params(("id" = FeePolicyId, Path, description = "The policy")),
    request_body = ChangeBody,
    responses((status = 200, description = "The policy with its new version", body = PolicyBody), CommandRefusals),
)]
async fn change(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<FeePolicyId>,
    Body(body): Body<ChangeBody>,
) -> Result<Json<PolicyBody>, Problem> {
    caller.require("payments:write")?;
    let terms = terms(body.percent_bps, &body.amounts)?;
    let policy = fees::change_terms(&state.app, caller.book, caller.actor, id, terms).await?;
    Ok(Json(PolicyBody::show(caller.mode, policy)))
}

/// Pages of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Pages {
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Fee policies, newest first.
#[utoipa::path(
    get, path = "/v1/fee_policies", tag = "Fee policies", operation_id = "list_fee_policies",
    params(Pages),
    responses((status = 200, description = "A page of policies", body = List<PolicyBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(pages): Query<Pages>,
) -> Result<Response, Problem> {
    caller.require("payments:read")?;
    let page = cursor::page::<FeePolicyId, _>("/v1/fee_policies", &(), pages.limit, pages.cursor.as_deref())?;
    let (after, limit) = (page.after, page.fetch_limit());
    let rows = state
        .app
        .db
        .read("list fee policies", caller.scope(), move |tx| {
            Box::pin(async move { fees::list(tx, after, limit).await })
        })
        .await?;
    Ok(page.list(rows, |policy| policy.id, |policy| PolicyBody::show(caller.mode, policy)).respond(&uri))
}

/// What to price.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewFeeQuote, example = json!({"amount": 6000, "currency": "EUR"}))]
struct NewQuoteBody {
    /// Net amount of a line.
    amount: Amount,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
}

/// The price of a line.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FeeQuote)]
struct QuoteBody {
    /// Always `fee_quote`.
    #[schema(value_type = String, example = "fee_quote")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    fee_policy: FeePolicyId,
    fee_policy_version: i32,
    /// Net amount of the line.
    #[schema(value_type = i64, example = 6000)]
    amount: Amount,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// What the platform keeps of it; minor units.
    #[schema(example = 600)]
    commission: i64,
}

/// What a policy would keep of a line. Changes nothing.
#[utoipa::path(
    post, path = "/v1/fee_policies/{id}/quote", tag = "Fee policies", operation_id = "quote_fee",
    params(("id" = FeePolicyId, Path, description = "The policy")),
    request_body = NewQuoteBody,
    responses((status = 200, description = "The price", body = QuoteBody), Refusals),
)]
async fn quote(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<FeePolicyId>,
    Body(NewQuoteBody { amount, currency }): Body<NewQuoteBody>,
) -> Result<Json<QuoteBody>, Problem> {
    caller.require("payments:read")?;
    let policy = read(&state, &caller, id).await?;
    let quote = QuoteBody {
        object: "fee_quote",
        mode: caller.mode.as_str(),
        fee_policy: id,
        fee_policy_version: policy.version,
        amount,
        currency,
        commission: fees::commission(&policy.terms, amount.minor(), currency),
    };
    Ok(Json(quote))
}
