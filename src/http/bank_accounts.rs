//! The bank accounts that sellers are paid out to, and what blocks them.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::auth::Caller;
use super::fields::Text;
use super::json::{Json as Body, PathId};
use super::problem::Problem;
use super::render::{CommandRefusals, Time};
use super::sellers::{self, SellerBody};
use crate::id::{PayoutId, SellerId};
use crate::payouts::{self, Block};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(unblock))
}

/// Why nothing is sent to a bank account.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = BankAccountBlock)]
struct BlockBody {
    /// The payout that came back.
    payout: PayoutId,
    /// Why it came back, in the provider's words.
    #[schema(example = "account_closed")]
    code: String,
    since: Time,
}

/// The bank account that a seller is paid out to.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = BankAccount)]
pub(super) struct BankAccountBody {
    /// Its id at the provider; null until it is known.
    #[schema(example = "ba_1QMr0I2eZvKYlo2C")]
    id: Option<String>,
    /// What keeps payouts from it: a payout came back for a reason that lies with the account. Another bank account, given
    /// on the provider's pages, lifts it.
    blocked: Option<BlockBody>,
}

impl BankAccountBody {
    pub(super) fn show(id: Option<String>, block: Option<Block>) -> Self {
        let blocked = block.map(|block| BlockBody { payout: block.payout, code: block.code, since: Time(block.at) });
        Self { id, blocked }
    }
}

/// Why a block is lifted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UnblockBankAccount, example = json!({"reason": "the bank says that the account works again"}))]
struct UnblockBody {
    /// For whoever asks later.
    reason: Text<1, 500>,
}

/// Has payouts go to a blocked bank account again, from the next payout day on.
///
/// For when the bank has mended it. A seller that has given another bank account needs no hand.
#[utoipa::path(
    post, path = "/v1/sellers/{id}/unblock_bank_account", tag = "Sellers", operation_id = "unblock_bank_account",
    params(("id" = SellerId, Path, description = "The seller")),
    request_body = UnblockBody,
    responses((status = 200, description = "The seller", body = SellerBody), CommandRefusals),
)]
async fn unblock(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<SellerId>,
    Body(body): Body<UnblockBody>,
) -> Result<Json<SellerBody>, Problem> {
    caller.require("sellers:write")?;
    payouts::unblock(&state.app, caller.book, caller.actor, id, body.reason.into_string()).await?;
    sellers::shown(&state, &caller, id).await
}
