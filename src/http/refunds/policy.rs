//! `/v1/refund_policy`: who bears what of refunds, declared; and the same words where a refund says it itself.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::HttpState;
use crate::http::auth::Caller;
use crate::http::json::Json as Body;
use crate::http::problem::Problem;
use crate::http::query::{NoParameters, Query};
use crate::http::render::{CommandRefusals, Refusals};
use crate::platforms::Mode;
use crate::refunds::{self, Commission, Overrides, Policy, ProcessorFee, Tax};

/// The routes.
pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(policy, declare))
}

/// Whether the platform gives its commission back with the goods.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RefundFee)]
pub(super) enum CommissionBody {
    /// In proportion to the net goods.
    Returned,
    /// Not.
    Kept,
}

/// Who bears the processor's fee of what is refunded, which the processor keeps.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RefundProcessorFee)]
pub(super) enum ProcessorFeeBody {
    /// You: it stays your expense.
    Platform,
    /// Those who sold what is refunded: each line's part of the fee goes with its goods, as far as its seller does not bear it
    /// since the charge.
    Sellers,
}

/// Whether the tax goes back with the goods.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RefundTax)]
pub(super) enum RefundTaxBody {
    /// In proportion to the net goods: it is not owed to the state any more.
    Returned,
    /// Not: the refund is of the net price only, and the tax of the sale stays owed. Ask your tax adviser.
    Kept,
}

impl From<CommissionBody> for Commission {
    fn from(body: CommissionBody) -> Self {
        match body {
            CommissionBody::Returned => Self::Returned,
            CommissionBody::Kept => Self::Kept,
        }
    }
}

impl From<ProcessorFeeBody> for ProcessorFee {
    fn from(body: ProcessorFeeBody) -> Self {
        match body {
            ProcessorFeeBody::Platform => Self::Platform,
            ProcessorFeeBody::Sellers => Self::Sellers,
        }
    }
}

impl From<RefundTaxBody> for Tax {
    fn from(body: RefundTaxBody) -> Self {
        match body {
            RefundTaxBody::Returned => Self::Returned,
            RefundTaxBody::Kept => Self::Kept,
        }
    }
}

/// What a refund says itself.
pub(super) fn said(
    fee: Option<CommissionBody>,
    processor_fee: Option<ProcessorFeeBody>,
    tax: Option<RefundTaxBody>,
) -> Overrides {
    Overrides {
        commission: fee.map(Commission::from),
        processor_fee: processor_fee.map(ProcessorFee::from),
        tax: tax.map(Tax::from),
    }
}

/// Who bears what of refunds from now on, where a refund does not say it itself.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRefundPolicy, example = json!({"fee": "returned", "processor_fee": "sellers", "tax": "returned"}))]
struct NewPolicyBody {
    /// Whether the commission goes back with the goods.
    fee: CommissionBody,
    /// Who bears the processor's fee of what is refunded.
    processor_fee: ProcessorFeeBody,
    /// Whether the tax goes back with the goods.
    tax: RefundTaxBody,
}

/// Who bears what of refunds.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = RefundPolicy)]
struct PolicyBody {
    /// Always `refund_policy`.
    #[schema(value_type = String, example = "refund_policy")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// Counts your declarations; 0: none was made yet.
    #[schema(example = 1)]
    version: i32,
    /// `returned` or `kept`.
    #[schema(value_type = String, example = "returned")]
    fee: &'static str,
    /// `platform` or `sellers`.
    #[schema(value_type = String, example = "sellers")]
    processor_fee: &'static str,
    /// `returned` or `kept`.
    #[schema(value_type = String, example = "returned")]
    tax: &'static str,
}

impl PolicyBody {
    fn show(mode: Mode, policy: Policy) -> Self {
        Self {
            object: "refund_policy",
            mode: mode.as_str(),
            version: policy.version,
            fee: policy.commission.as_str(),
            processor_fee: policy.processor_fee.as_str(),
            tax: policy.tax.as_str(),
        }
    }
}

/// Who bears what of refunds that do not say it themselves.
#[utoipa::path(
    get, path = "/v1/refund_policy", tag = "Refunds", operation_id = "get_refund_policy",
    responses((status = 200, description = "The policy", body = PolicyBody), Refusals),
)]
async fn policy(
    State(state): State<HttpState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<PolicyBody>, Problem> {
    caller.require("payments:read")?;
    let policy = state
        .app
        .db
        .read("get refund policy", caller.scope(), |tx| Box::pin(async move { refunds::find_policy(tx).await }))
        .await?;
    Ok(Json(PolicyBody::show(caller.mode, policy)))
}

/// Declares who bears what of refunds from now on. Refunds that were asked keep what they were asked with.
#[utoipa::path(
    put, path = "/v1/refund_policy", tag = "Refunds", operation_id = "declare_refund_policy",
    request_body = NewPolicyBody,
    responses((status = 200, description = "The policy with its version", body = PolicyBody), CommandRefusals),
)]
async fn declare(
    State(state): State<HttpState>,
    caller: Caller,
    Body(body): Body<NewPolicyBody>,
) -> Result<Json<PolicyBody>, Problem> {
    caller.require("payments:write")?;
    let policy = Policy {
        version: 0,
        commission: body.fee.into(),
        processor_fee: body.processor_fee.into(),
        tax: body.tax.into(),
    };
    let declared = refunds::declare(&state.app, caller.book, caller.actor, policy).await?;
    Ok(Json(PolicyBody::show(caller.mode, declared)))
}
