//! `/v1/instant_payout_policy` and `POST /v1/payouts/preview`: what an instant payout costs, before anything moves.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use partita_provider::Money;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::auth::Caller;
use super::fee_policies::terms::{AmountsBody, BasisPoints, Given};
use super::fields::{Amount, Currency, currency_schema};
use super::json::Json as Body;
use super::payouts::amount_of;
use super::problem::Problem;
use super::query::{NoParameters, Query};
use super::render::{CommandRefusals, Refusals};
use crate::fees::FeeAmounts;
use crate::id::SellerId;
use crate::payouts::{self, InstantPolicy, Quote, WhenFailed};
use crate::platforms::Mode;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(policy, declare)).routes(routes!(preview))
}

/// What becomes of the fee of an instant payout that comes back.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = InstantFeeWhenFailed)]
enum WhenFailedBody {
    /// The seller has it again, as the provider gives it back.
    #[default]
    Returned,
    /// You keep it: what the provider gives back is taken from the seller by an adjustment, which its next sales pay.
    Kept,
}

/// What sellers pay for instant payouts that are asked from now on: of the amount that is sent, and beside it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewInstantPayoutPolicy, example = json!({"percent_bps": 100, "amounts": {"EUR": {"minimum": 50, "maximum": 1000}}}))]
struct NewPolicyBody {
    /// Of the amount, rounded half up.
    percent_bps: BasisPoints,
    /// Fixed part and bounds by currency.
    amounts: Option<BTreeMap<String, AmountsBody>>,
    /// `returned` when absent.
    #[serde(default)]
    when_failed: WhenFailedBody,
}

impl NewPolicyBody {
    fn read(self) -> Result<InstantPolicy, Problem> {
        let given = Given { percent_bps: Some(self.percent_bps), amounts: self.amounts, rules: None };
        let terms = given.read()?;
        let (percent_bps, amounts) = terms.as_flat().expect("the short form was given");
        Ok(InstantPolicy {
            version: 0,
            percent_bps,
            amounts: amounts.clone(),
            when_failed: match self.when_failed {
                WhenFailedBody::Returned => WhenFailed::Returned,
                WhenFailedBody::Kept => WhenFailed::Kept,
            },
        })
    }
}

/// What sellers pay for instant payouts.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = InstantPayoutPolicy)]
struct PolicyBody {
    /// Always `instant_payout_policy`.
    #[schema(value_type = String, example = "instant_payout_policy")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// Counts your declarations; 0: none was made yet, and nothing is quoted.
    #[schema(example = 1)]
    version: i32,
    #[schema(example = 100)]
    percent_bps: i32,
    #[schema(value_type = BTreeMap<String, AmountsBody>)]
    amounts: BTreeMap<Currency, FeeAmounts>,
    /// `returned` or `kept`.
    #[schema(value_type = String, example = "returned")]
    when_failed: &'static str,
}

impl PolicyBody {
    fn show(mode: Mode, policy: InstantPolicy) -> Self {
        Self {
            object: "instant_payout_policy",
            mode: mode.as_str(),
            version: policy.version,
            percent_bps: policy.percent_bps,
            amounts: policy.amounts,
            when_failed: policy.when_failed.as_str(),
        }
    }
}

/// What sellers pay for instant payouts now.
#[utoipa::path(
    get, path = "/v1/instant_payout_policy", tag = "Payouts", operation_id = "get_instant_payout_policy",
    responses((status = 200, description = "The policy", body = PolicyBody), Refusals),
)]
async fn policy(
    State(state): State<HttpState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<PolicyBody>, Problem> {
    caller.require("payouts:read")?;
    let policy = state
        .app
        .db
        .read("get instant payout policy", caller.scope(), |tx| {
            Box::pin(async move { payouts::find_instant_policy(tx, None).await })
        })
        .await?;
    Ok(Json(PolicyBody::show(caller.mode, policy)))
}

/// Declares what sellers pay for instant payouts. Set the same price in the provider's dashboard: the provider takes the fee, by
/// its own figure, and that is booked.
#[utoipa::path(
    put, path = "/v1/instant_payout_policy", tag = "Payouts", operation_id = "declare_instant_payout_policy",
    request_body = NewPolicyBody,
    responses((status = 200, description = "The policy with its version", body = PolicyBody), CommandRefusals),
)]
async fn declare(
    State(state): State<HttpState>,
    caller: Caller,
    Body(body): Body<NewPolicyBody>,
) -> Result<Json<PolicyBody>, Problem> {
    caller.require("payouts:write")?;
    let declared = payouts::declare_policy(&state.app, caller.book, caller.actor, body.read()?).await?;
    Ok(Json(PolicyBody::show(caller.mode, declared)))
}

/// An instant payout that may be asked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPayoutPreview, example = json!({"seller": "slr_01k9x8h2v3e4t5n6m7q8r9s0ab"}))]
struct NewPreviewBody {
    /// Who would be paid.
    seller: SellerId,
    /// What would be sent; all that can be when absent.
    amount: Option<Amount>,
    /// Of the amount; the seller's own.
    #[schema(schema_with = currency_schema)]
    currency: Option<Currency>,
}

/// What an instant payout would be now; nothing is promised.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PayoutPreview)]
struct PreviewBody {
    /// Always `payout_preview`.
    #[schema(value_type = String, example = "payout_preview")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    seller: SellerId,
    /// What the seller's bank would get; minor units.
    #[schema(example = 3200)]
    amount: i64,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// What it would cost the seller, beside the amount.
    #[schema(example = 50)]
    fee: i64,
    /// Amount and fee: what would leave the seller's account.
    #[schema(example = 3250)]
    total: i64,
    /// The most that can be sent now.
    #[schema(example = 3200)]
    most: i64,
    /// The bank account or card that it would go to, by its id at the provider.
    destination: String,
    /// Which of your declarations says the fee.
    policy_version: i32,
    /// `returned` or `kept`: what would become of the fee when the payout comes back.
    #[schema(value_type = String, example = "returned")]
    fee_when_failed: &'static str,
}

impl PreviewBody {
    fn show(mode: Mode, seller: SellerId, quote: Quote) -> Self {
        let Quote { amount, most, fee, destination, policy } = quote;
        Self {
            object: "payout_preview",
            mode: mode.as_str(),
            seller,
            amount: amount.minor,
            currency: amount.currency,
            fee,
            total: amount.minor + fee,
            most,
            destination,
            policy_version: policy.version,
            fee_when_failed: policy.when_failed.as_str(),
        }
    }
}

/// What an instant payout would be: how much can be sent at once, to which bank account or card, and what it costs. Nothing moves.
#[utoipa::path(
    post, path = "/v1/payouts/preview", tag = "Payouts", operation_id = "preview_payout",
    request_body = NewPreviewBody,
    responses((status = 200, description = "The preview", body = PreviewBody), CommandRefusals),
)]
async fn preview(
    State(state): State<HttpState>,
    caller: Caller,
    Body(body): Body<NewPreviewBody>,
) -> Result<Json<PreviewBody>, Problem> {
    caller.require("payouts:read")?;
    let amount: Option<Money> = amount_of(body.amount, body.currency)?;
    let quote = payouts::preview(&state.app, caller.book, body.seller, amount).await?;
    Ok(Json(PreviewBody::show(caller.mode, body.seller, quote)))
}
