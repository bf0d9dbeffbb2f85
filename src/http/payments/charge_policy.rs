//! `/v1/charge_policy`: how payments are charged that do not say it themselves.

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
use crate::http::problem_types;
use crate::http::query::{NoParameters, Query};
use crate::http::render::{CommandRefusals, Refusals};
use crate::payments::{self, ChargePolicy, ChargeType};
use crate::platforms::Mode;

/// The routes.
pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(policy, declare))
}

/// How a charge reaches its sellers.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ChargeType)]
pub(super) enum ChargeTypeBody {
    /// It stays with you; sellers are sent their shares by transfers of their own once the money is usable. Any number of
    /// sellers.
    Separate,
    /// The provider sends the seller its share with the charge: it stands on the seller's account at once, pays no debt of the
    /// seller's, and nothing of it is kept back. One seller, who can receive money at the provider, is not paid by bank, and of
    /// whose shares no part is to be kept back (`/v1/reserve_policy`).
    Destination,
    /// The charge is made on the seller's own account at the provider, as the seller's sale, and you keep an application fee: the
    /// commission. Refunds, disputes and what the processor keeps are the seller's. One seller, who may take cards, is not paid by
    /// bank, and of whose shares no part is to be kept back; no line of the type `platform`, no tax that you owe, captured at once,
    /// without a customer or a saved method of yours. The token has to be one of the seller's account.
    Direct,
}

impl From<ChargeTypeBody> for ChargeType {
    fn from(body: ChargeTypeBody) -> Self {
        match body {
            ChargeTypeBody::Separate => Self::Separate,
            ChargeTypeBody::Destination => Self::Destination,
            ChargeTypeBody::Direct => Self::Direct,
        }
    }
}

/// How payments are charged from now on that do not say it themselves. `destination` and `direct` hold where they can be done: a
/// cart of several sellers, a seller who cannot receive money yet or is paid by bank, a share that is kept back in part or finer than
/// the provider moves are separate charges, and so is what cannot be a direct charge; the payment shows which it is. That is decided
/// when the payment is made.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewChargePolicy, example = json!({"charge_type": "destination", "on_behalf_of": true}))]
struct NewPolicyBody {
    charge_type: ChargeTypeBody,
    /// Whether the seller is who the buyer buys from, to card networks and on statements, where a cart has one seller who
    /// may take cards; of a policy of `destination` only. `false` when absent.
    #[serde(default)]
    on_behalf_of: bool,
}

/// How payments are charged that do not say it themselves.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = ChargePolicy)]
struct PolicyBody {
    /// Always `charge_policy`.
    #[schema(value_type = String, example = "charge_policy")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// Counts your declarations; 0: none was made yet.
    #[schema(example = 1)]
    version: i32,
    /// `separate`, `destination` or `direct`.
    #[schema(value_type = String, example = "destination")]
    charge_type: &'static str,
    on_behalf_of: bool,
}

impl PolicyBody {
    fn show(mode: Mode, policy: ChargePolicy) -> Self {
        Self {
            object: "charge_policy",
            mode: mode.as_str(),
            version: policy.version,
            charge_type: policy.charge_type.as_str(),
            on_behalf_of: policy.on_behalf_of,
        }
    }
}

/// How payments are charged now that do not say it themselves.
#[utoipa::path(
    get, path = "/v1/charge_policy", tag = "Payments", operation_id = "get_charge_policy",
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
        .read("get charge policy", caller.scope(), |tx| Box::pin(async move { payments::find_charge_policy(tx).await }))
        .await?;
    Ok(Json(PolicyBody::show(caller.mode, policy)))
}

/// Declares how payments are charged from now on that do not say it themselves. Payments made before stay as they are.
#[utoipa::path(
    put, path = "/v1/charge_policy", tag = "Payments", operation_id = "declare_charge_policy",
    request_body = NewPolicyBody,
    responses((status = 200, description = "The policy with its version", body = PolicyBody), CommandRefusals),
)]
async fn declare(
    State(state): State<HttpState>,
    caller: Caller,
    Body(body): Body<NewPolicyBody>,
) -> Result<Json<PolicyBody>, Problem> {
    caller.require("payments:write")?;
    let charge_type = ChargeType::from(body.charge_type);
    if body.on_behalf_of && charge_type != ChargeType::Destination {
        let detail = "of a policy of destination only: a separate charge may have many sellers, and the seller of a direct charge is its merchant";
        return Err(Problem::invalid_field(&["on_behalf_of"], &problem_types::NOT_ALLOWED, detail));
    }
    let policy = ChargePolicy { version: 0, charge_type, on_behalf_of: body.on_behalf_of };
    let policy = payments::declare_charge_policy(&state.app, caller.book, caller.actor, policy).await?;
    Ok(Json(PolicyBody::show(caller.mode, policy)))
}
