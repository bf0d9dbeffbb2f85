//! `/v1/dispute_policy`: who bears what, declared.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::disputes::{self, Bearer, Hold, Policy};
use crate::http::HttpState;
use crate::http::auth::Caller;
use crate::http::json::Json as Body;
use crate::http::problem::Problem;
use crate::http::query::{NoParameters, Query};
use crate::http::render::{CommandRefusals, Refusals};
use crate::platforms::Mode;

/// The routes.
pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(policy, declare))
}

/// Who bears an amount.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DisputeBearer)]
enum BearerBody {
    /// Those who sold what is disputed.
    Sellers,
    /// The platform.
    Platform,
}

impl From<BearerBody> for Bearer {
    fn from(body: BearerBody) -> Self {
        match body {
            BearerBody::Sellers => Self::Sellers,
            BearerBody::Platform => Self::Platform,
        }
    }
}

/// What is held while a dispute is open.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DisputeHold)]
enum HoldBody {
    /// The sellers' shares of what is disputed; transfers of them are taken back.
    Shares,
    /// Nothing.
    Nothing,
}

/// Who bears what of disputes that are opened from now on.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewDisputePolicy, example = json!({
    "liability": "sellers", "hold": "shares", "tax_relief": false, "fee": "platform"
}))]
struct NewPolicyBody {
    /// Who bears the amount of a lost dispute. With `sellers`, they lose their shares and the platform its commission.
    liability: BearerBody,
    /// What is held while a dispute is open.
    hold: HoldBody,
    /// Whether the tax of a lost sale is not owed to the state any more, where the platform owes it. `false`: the
    /// platform bears it. Ask your tax adviser.
    tax_relief: bool,
    /// Who bears the fee of a lost dispute. With `sellers`, it is divided by their goods.
    fee: BearerBody,
}

/// Who bears what of disputes.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = DisputePolicy)]
pub(super) struct PolicyBody {
    /// Always `dispute_policy`.
    #[schema(value_type = String, example = "dispute_policy")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// Counts your declarations; 0: none was made yet.
    #[schema(example = 1)]
    version: i32,
    /// `sellers` or `platform`.
    #[schema(value_type = String, example = "sellers")]
    liability: &'static str,
    /// `shares` or `nothing`.
    #[schema(value_type = String, example = "shares")]
    hold: &'static str,
    tax_relief: bool,
    /// `sellers` or `platform`.
    #[schema(value_type = String, example = "platform")]
    fee: &'static str,
}

impl PolicyBody {
    pub(super) fn show(mode: Mode, policy: Policy) -> Self {
        Self {
            object: "dispute_policy",
            mode: mode.as_str(),
            version: policy.version,
            liability: policy.liability.as_str(),
            hold: policy.hold.as_str(),
            tax_relief: policy.tax_relief,
            fee: policy.fee.as_str(),
        }
    }
}

/// Who bears what of disputes that are opened now.
#[utoipa::path(
    get, path = "/v1/dispute_policy", tag = "Disputes", operation_id = "get_dispute_policy",
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
        .read("get dispute policy", caller.scope(), |tx| Box::pin(async move { disputes::find_policy(tx).await }))
        .await?;
    Ok(Json(PolicyBody::show(caller.mode, policy)))
}

/// Declares who bears what of disputes that are opened from now on. Open disputes keep the policy they were opened under.
#[utoipa::path(
    put, path = "/v1/dispute_policy", tag = "Disputes", operation_id = "declare_dispute_policy",
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
        liability: body.liability.into(),
        hold: match body.hold {
            HoldBody::Shares => Hold::Shares,
            HoldBody::Nothing => Hold::Nothing,
        },
        tax_relief: body.tax_relief,
        fee: body.fee.into(),
    };
    let policy = disputes::declare(&state.app, caller.book, caller.actor, policy).await?;
    Ok(Json(PolicyBody::show(caller.mode, policy)))
}
