//! `/v1/fee_policies`.

mod quote;
mod simulation;
pub(super) mod terms;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::terms::{AmountsBody, BasisPoints, Given, RuleBody};
use super::HttpState;
use super::auth::Caller;
use super::commands::{self, Reply};
use super::cursor::{self, List};
use super::fields::{Currency, Reference, Text};
use super::idempotency::{self, MaybeIdempotent};
use super::json::{Json as Body, PathId};
use super::problem::Problem;
use super::query::{NoParameters, Query};
use super::render::{CommandRefusals, Refusals, Time};
use crate::fees::{self, FeeAmounts, FeeError, FeePolicy, FeePolicyVersion, FeeRule, FeeTerms, NewFeePolicy};
use crate::id::FeePolicyId;
use crate::idempotency::{Begun, StoredAnswer};
use crate::platforms::Mode;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(fetch, change))
        .routes(routes!(list_versions))
        .merge(quote::routes())
        .merge(simulation::routes())
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
    /// The short form of terms: of a line's net amount, rounded half up. Either this or `rules`.
    percent_bps: Option<BasisPoints>,
    /// Fixed parts and bounds by currency, for the short form.
    amounts: Option<BTreeMap<String, AmountsBody>>,
    /// Ordered rules: the first that is for a line prices it. A line that none is for has no commission.
    #[schema(min_items = 1, max_items = 100)]
    rules: Option<Vec<RuleBody>>,
}

/// New terms of a fee policy: a new version, for payments from now or from a later time on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChangeFeePolicy, example = json!({"percent_bps": 1200, "amounts": {"EUR": {"fixed": 30}}}))]
struct ChangeBody {
    /// The short form of terms: of a line's net amount, rounded half up. Either this or `rules`.
    percent_bps: Option<BasisPoints>,
    /// Fixed parts and bounds by currency, for the short form.
    amounts: Option<BTreeMap<String, AmountsBody>>,
    /// Ordered rules: the first that is for a line prices it. A line that none is for has no commission.
    #[schema(min_items = 1, max_items = 100)]
    rules: Option<Vec<RuleBody>>,
    /// From when the new version prices: now when absent. Of two versions that begin together, the newer holds.
    #[schema(value_type = Option<String>, format = DateTime)]
    valid_from: Option<Timestamp>,
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
    /// The version that holds now; a payment keeps the version it was priced with.
    #[schema(example = 1)]
    version: i32,
    /// The newest version; higher than `version` when one is planned for later.
    #[schema(example = 1)]
    newest_version: i32,
    /// The terms that hold now, in the short form: of a line's net amount, in basis points. Null when they are rules with
    /// conditions, names or tiers.
    #[schema(example = 1000)]
    percent_bps: Option<i32>,
    /// Fixed parts and bounds of the short form; null as `percent_bps`.
    #[schema(value_type = Option<BTreeMap<String, AmountsBody>>)]
    amounts: Option<BTreeMap<Currency, FeeAmounts>>,
    /// The terms that hold now, as rules.
    #[schema(value_type = Vec<RuleBody>)]
    rules: Vec<FeeRule>,
    created_at: Time,
    updated_at: Time,
}

impl PolicyBody {
    fn show(mode: Mode, policy: FeePolicy) -> Self {
        let (percent_bps, amounts) = short_form(&policy.terms);
        Self {
            object: "fee_policy",
            id: policy.id,
            mode: mode.as_str(),
            reference: policy.reference,
            name: policy.name,
            default: policy.is_default,
            version: policy.version,
            newest_version: policy.newest_version,
            percent_bps,
            amounts,
            rules: policy.terms.rules,
            created_at: Time(policy.created_at),
            updated_at: Time(policy.updated_at),
        }
    }
}

/// Terms in the short form, where they can be said in it.
fn short_form(terms: &FeeTerms) -> (Option<i32>, Option<BTreeMap<Currency, FeeAmounts>>) {
    terms.as_flat().map(|(percent_bps, amounts)| (percent_bps, amounts.clone())).unzip()
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
    let NewPolicyBody { reference, name, default, percent_bps, amounts, rules } = input.body;
    let new = NewFeePolicy {
        reference: reference.into_string(),
        name: name.into_string(),
        is_default: default,
        terms: Given { percent_bps, amounts, rules }.read()?,
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
    let now = state.app.clock.now();
    let found = state
        .app
        .db
        .read("get fee policy", caller.scope(), move |tx| Box::pin(async move { fees::find(tx, id, now).await }))
        .await?;
    found.ok_or_else(|| Problem::not_found("fee policy"))
}

/// One fee policy, with the terms that hold now.
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

/// Gives a fee policy new terms: a new version, for payments from now on or from `valid_from` on. Old payments keep the
/// version they were priced with, and versions never change.
#[utoipa::path(
    patch, path = "/v1/fee_policies/{id}", tag = "Fee policies", operation_id = "change_fee_policy",
    params(("id" = FeePolicyId, Path, description = "The policy")),
    request_body = ChangeBody,
    responses((status = 200, description = "The policy as it is now", body = PolicyBody), CommandRefusals),
)]
async fn change(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<FeePolicyId>,
    Body(body): Body<ChangeBody>,
) -> Result<Json<PolicyBody>, Problem> {
    caller.require("payments:write")?;
    let ChangeBody { percent_bps, amounts, rules, valid_from } = body;
    let terms = Given { percent_bps, amounts, rules }.read()?;
    let policy = fees::change_terms(&state.app, caller.book, caller.actor, id, terms, valid_from).await?;
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
    let (now, after, limit) = (state.app.clock.now(), page.after, page.fetch_limit());
    let rows = state
        .app
        .db
        .read("list fee policies", caller.scope(), move |tx| {
            Box::pin(async move { fees::list(tx, now, after, limit).await })
        })
        .await?;
    Ok(page.list(rows, |policy| policy.id, |policy| PolicyBody::show(caller.mode, policy)).respond(&uri))
}

/// A version of a fee policy. Never changes.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = FeePolicyVersion)]
struct VersionBody {
    /// Always `fee_policy_version`.
    #[schema(value_type = String, example = "fee_policy_version")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    fee_policy: FeePolicyId,
    /// Its number, from 1.
    #[schema(example = 2)]
    version: i32,
    /// From when it prices. Of the versions that have begun, the one that began last holds; of equal ones, the newer.
    valid_from: Time,
    /// The terms in the short form; null when they are rules with conditions, names or tiers.
    #[schema(example = 1000)]
    percent_bps: Option<i32>,
    /// Fixed parts and bounds of the short form; null as `percent_bps`.
    #[schema(value_type = Option<BTreeMap<String, AmountsBody>>)]
    amounts: Option<BTreeMap<Currency, FeeAmounts>>,
    /// The terms as rules.
    #[schema(value_type = Vec<RuleBody>)]
    rules: Vec<FeeRule>,
    /// Who made it: a key's id, or `system`.
    created_by: String,
    created_at: Time,
}

impl VersionBody {
    fn show(mode: Mode, policy: FeePolicyId, version: FeePolicyVersion) -> Self {
        let (percent_bps, amounts) = short_form(&version.terms);
        Self {
            object: "fee_policy_version",
            mode: mode.as_str(),
            fee_policy: policy,
            version: version.version,
            valid_from: Time(version.valid_from),
            percent_bps,
            amounts,
            rules: version.terms.rules,
            created_by: version.created_by,
            created_at: Time(version.created_at),
        }
    }
}

/// Every version of a fee policy, newest first, with those that are planned for later.
#[utoipa::path(
    get, path = "/v1/fee_policies/{id}/versions", tag = "Fee policies", operation_id = "list_fee_policy_versions",
    params(("id" = FeePolicyId, Path, description = "The policy"), Pages),
    responses((status = 200, description = "A page of versions", body = List<VersionBody>), Refusals),
)]
async fn list_versions(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<FeePolicyId>,
    OriginalUri(uri): OriginalUri,
    Query(pages): Query<Pages>,
) -> Result<Response, Problem> {
    caller.require("payments:read")?;
    let route = "/v1/fee_policies/{id}/versions";
    let page = cursor::page::<i32, _>(route, &id, pages.limit, pages.cursor.as_deref())?;
    let (now, before, limit) = (state.app.clock.now(), page.after, page.fetch_limit());
    let rows = state
        .app
        .db
        .read("list fee policy versions", caller.scope(), move |tx| {
            Box::pin(async move {
                fees::find(tx, id, now).await?.ok_or(FeeError::NotFound)?;
                Ok::<_, FeeError>(fees::list_versions(tx, id, before, limit).await?)
            })
        })
        .await?;
    Ok(page.list(rows, |row| row.version, |row| VersionBody::show(caller.mode, id, row)).respond(&uri))
}
