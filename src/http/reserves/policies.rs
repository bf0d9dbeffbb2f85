//! `/v1/reserve_policy`, `/v1/sellers/{id}/reserve_policy`: what is kept back of shares when they are released.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::HttpState;
use crate::http::auth::Caller;
use crate::http::fields::{Amount, Currency, currency_schema};
use crate::http::json::{self, PathId};
use crate::http::problem::Problem;
use crate::http::problem_types;
use crate::http::query::{NoParameters, Query};
use crate::http::render::{CommandRefusals, Refusals};
use crate::id::SellerId;
use crate::platforms::Mode;
use crate::reserves::{self, Declared, ReserveError, Rolling, Rules};
use partita_provider::Money;

const MOST_BPS: i32 = 10_000;
const MOST_DAYS: i32 = 3_650;

pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(policy, declare)).routes(routes!(
        policy_of_seller,
        declare_for_seller,
        withdraw_for_seller
    ))
}

/// A part of each share, for some days.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RollingReserve)]
struct RollingBody {
    /// Of each share that is released, in basis points, 1 to 10000.
    #[schema(minimum = 1, maximum = 10_000, example = 1000)]
    percent_bps: i32,
    /// For how many days, 1 to 3650.
    #[schema(minimum = 1, maximum = 3650, example = 90)]
    hold_days: i32,
}

/// An amount that is filled by sales.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewFixedReserve)]
struct NewFixedBody {
    amount: Amount,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
}

/// What is to be kept back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewReservePolicy, example = json!({
    "rolling": {"percent_bps": 1000, "hold_days": 90}, "fixed": [{"amount": 20_000, "currency": "EUR"}]
}))]
struct NewPolicyBody {
    /// A part of each share, for some days; none when absent.
    rolling: Option<RollingBody>,
    /// Amounts that sales fill, one for each currency; what was used of one is filled again.
    #[serde(default)]
    fixed: Vec<NewFixedBody>,
}

impl NewPolicyBody {
    fn read(self) -> Result<Rules, Problem> {
        if let Some(rolling) = self.rolling {
            for (name, value, most) in
                [("percent_bps", rolling.percent_bps, MOST_BPS), ("hold_days", rolling.hold_days, MOST_DAYS)]
            {
                if !(1..=most).contains(&value) {
                    let detail = format!("must be from 1 to {most}");
                    return Err(Problem::invalid_field(&["rolling", name], &problem_types::OUT_OF_RANGE, detail));
                }
            }
        }
        let mut seen = BTreeSet::new();
        for (index, one) in self.fixed.iter().enumerate() {
            if !seen.insert(one.currency.code().to_owned()) {
                let path = ["fixed", &index.to_string(), "currency"];
                return Err(Problem::invalid_field(&path, &problem_types::NOT_ALLOWED, "stands twice"));
            }
        }
        Ok(Rules {
            rolling: self
                .rolling
                .map(|rolling| Rolling { percent_bps: rolling.percent_bps, hold_days: rolling.hold_days }),
            fixed: self.fixed.iter().map(|one| Money::new(one.amount.minor(), one.currency)).collect(),
        })
    }
}

/// An amount that sales fill.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = FixedReserve)]
struct FixedBody {
    /// Minor units.
    #[schema(example = 20_000)]
    amount: i64,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
}

/// What is kept back of shares when they are released.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ReservePolicy)]
struct PolicyBody {
    /// Always `reserve_policy`.
    #[schema(value_type = String, example = "reserve_policy")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// The seller that it was asked for; null: all without one of their own.
    seller: Option<SellerId>,
    /// Whether it was declared for this very seller.
    #[schema(example = false)]
    own: bool,
    /// Which of your declarations it is; 0: none was made, nothing is kept back.
    #[schema(example = 1)]
    version: i32,
    rolling: Option<RollingBody>,
    fixed: Vec<FixedBody>,
}

impl PolicyBody {
    fn show(mode: Mode, seller: Option<SellerId>, declared: &Declared) -> Self {
        let Declared { version, is_own, rules } = declared;
        Self {
            object: "reserve_policy",
            mode: mode.as_str(),
            seller,
            own: *is_own,
            version: *version,
            rolling: rules
                .rolling
                .map(|rolling| RollingBody { percent_bps: rolling.percent_bps, hold_days: rolling.hold_days }),
            fixed: rules.fixed.iter().map(|one| FixedBody { amount: one.minor, currency: one.currency }).collect(),
        }
    }
}

async fn read(state: &HttpState, caller: &Caller, seller: Option<SellerId>) -> Result<Json<PolicyBody>, Problem> {
    caller.require("sellers:read")?;
    let declared = state
        .app
        .db
        .read("get reserve policy", caller.scope(), move |tx| {
            Box::pin(async move { reserves::declared(tx, seller).await })
        })
        .await
        .map_err(of_path)?;
    Ok(Json(PolicyBody::show(caller.mode, seller, &declared)))
}

async fn write(
    state: &HttpState,
    caller: &Caller,
    seller: Option<SellerId>,
    rules: Option<Rules>,
) -> Result<Json<PolicyBody>, Problem> {
    let declared = reserves::declare(&state.app, caller.book, caller.actor, seller, rules).await.map_err(of_path)?;
    state.app.wake.now();
    Ok(Json(PolicyBody::show(caller.mode, seller, &declared)))
}

/// Here the seller stands in the address.
fn of_path(error: ReserveError) -> Problem {
    match error {
        ReserveError::SellerNotFound => Problem::not_found("seller"),
        error => error.into(),
    }
}

/// What is kept back of sellers' shares, unless they have a policy of their own.
#[utoipa::path(
    get, path = "/v1/reserve_policy", tag = "Reserves", operation_id = "get_reserve_policy",
    responses((status = 200, description = "The policy", body = PolicyBody), Refusals),
)]
async fn policy(
    State(state): State<HttpState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<PolicyBody>, Problem> {
    read(&state, &caller, None).await
}

/// Declares what is kept back of sellers' shares. It holds for shares that are released from now on; reserves of an amount
/// follow at once, and give back what is above it.
#[utoipa::path(
    put, path = "/v1/reserve_policy", tag = "Reserves", operation_id = "declare_reserve_policy",
    request_body = NewPolicyBody,
    responses((status = 200, description = "The policy with its version", body = PolicyBody), CommandRefusals),
)]
async fn declare(
    State(state): State<HttpState>,
    caller: Caller,
    json::Json(body): json::Json<NewPolicyBody>,
) -> Result<Json<PolicyBody>, Problem> {
    caller.require("adjustments:write")?;
    write(&state, &caller, None, Some(body.read()?)).await
}

/// What is kept back of a seller's shares.
#[utoipa::path(
    get, path = "/v1/sellers/{id}/reserve_policy", tag = "Reserves", operation_id = "get_seller_reserve_policy",
    params(("id" = SellerId, Path, description = "The seller")),
    responses((status = 200, description = "The policy that holds for it", body = PolicyBody), Refusals),
)]
async fn policy_of_seller(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<SellerId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<PolicyBody>, Problem> {
    read(&state, &caller, Some(id)).await
}

/// Declares what is kept back of one seller's shares, instead of what is kept back of all.
#[utoipa::path(
    put, path = "/v1/sellers/{id}/reserve_policy", tag = "Reserves", operation_id = "declare_seller_reserve_policy",
    params(("id" = SellerId, Path, description = "The seller")),
    request_body = NewPolicyBody,
    responses((status = 200, description = "The policy with its version", body = PolicyBody), CommandRefusals),
)]
async fn declare_for_seller(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<SellerId>,
    json::Json(body): json::Json<NewPolicyBody>,
) -> Result<Json<PolicyBody>, Problem> {
    caller.require("adjustments:write")?;
    write(&state, &caller, Some(id), Some(body.read()?)).await
}

/// Ends a seller's own policy: what is kept back of all is kept back of it again.
#[utoipa::path(
    delete, path = "/v1/sellers/{id}/reserve_policy", tag = "Reserves", operation_id = "withdraw_seller_reserve_policy",
    params(("id" = SellerId, Path, description = "The seller")),
    responses((status = 200, description = "The policy that holds for it now", body = PolicyBody), Refusals),
)]
async fn withdraw_for_seller(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<SellerId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<PolicyBody>, Problem> {
    caller.require("adjustments:write")?;
    write(&state, &caller, Some(id), None).await
}
