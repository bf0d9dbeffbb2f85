//! Where sellers are paid by bank file: `/v1/sellers/{id}/bank_details`; what they are paid from: `/v1/own_bank_accounts`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::auth::Caller;
use super::cursor::List;
use super::fields::{Currency, Text, currency_schema};
use super::json::{Json as Body, PathId};
use super::problem::Problem;
use super::problem_types;
use super::query::{NoParameters, Query};
use super::render::{CommandRefusals, Refusals, Time};
use crate::bank_account::{BadBankAccount, BankAccount};
use crate::id::{BankDetailsId, OwnBankAccountId, SellerId};
use crate::payouts::{self, bank};
use crate::platforms::Mode;
use crate::sellers::{self, BankDetails};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(fetch, declare, end)).routes(routes!(list_own, declare_own))
}

/// A bank account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewBankDetails, example = json!({"holder": "Shop A GmbH", "iban": "DE89370400440532013000", "bic": "COBADEFFXXX"}))]
struct NewDetailsBody {
    /// Whose it is. Letters that banks do not take are written in plain ones: `ä` as `ae`.
    holder: Text<1, 140>,
    /// Without spaces; its check digits are looked at.
    iban: Text<1, 34>,
    /// Where the IBAN is not enough: outside SEPA.
    bic: Option<Text<8, 11>>,
}

impl NewDetailsBody {
    fn read(&self) -> Result<BankAccount, Problem> {
        let bic = self.bic.as_ref().map(Text::as_str);
        BankAccount::parse(self.holder.as_str(), self.iban.as_str(), bic).map_err(|bad| {
            let name = match bad {
                BadBankAccount::Holder => "holder",
                BadBankAccount::Iban => "iban",
                BadBankAccount::Bic => "bic",
            };
            Problem::invalid_field(&[name], &problem_types::INVALID_VALUE, bad.to_string())
        })
    }
}

/// Where a seller is paid by bank file.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = BankDetails)]
struct DetailsBody {
    /// Always `bank_details`.
    #[schema(value_type = String, example = "bank_details")]
    object: &'static str,
    id: BankDetailsId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    seller: SellerId,
    /// Its country and last four characters; the whole is never shown.
    #[schema(example = "DE**3000")]
    iban: String,
    /// Counts the declarations for the seller, from 1.
    #[schema(example = 1)]
    version: i32,
    declared_at: Time,
}

impl DetailsBody {
    fn show(mode: Mode, details: BankDetails) -> Self {
        Self {
            object: "bank_details",
            id: details.id,
            mode: mode.as_str(),
            seller: details.seller,
            iban: details.masked,
            version: details.version,
            declared_at: Time(details.at),
        }
    }
}

async fn shown(state: &HttpState, caller: &Caller, id: SellerId) -> Result<Json<DetailsBody>, Problem> {
    let found = state
        .app
        .db
        .read("get bank details", caller.scope(), move |tx| {
            Box::pin(async move { sellers::find_bank_details(tx, &[id]).await })
        })
        .await?;
    let details = found.into_iter().next().ok_or_else(|| Problem::not_found("bank details"))?;
    Ok(Json(DetailsBody::show(caller.mode, details)))
}

/// Where a seller is paid by bank file; 404 where the provider pays it out.
#[utoipa::path(
    get, path = "/v1/sellers/{id}/bank_details", tag = "Sellers", operation_id = "get_bank_details",
    params(("id" = SellerId, Path, description = "The seller")),
    responses((status = 200, description = "The bank details", body = DetailsBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<SellerId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<DetailsBody>, Problem> {
    caller.require("sellers:read")?;
    shown(&state, &caller, id).await
}

/// Has a seller paid by bank file, from your own bank account, to this one.
///
/// Its shares are not sent to its account at the provider any more; they wait for `POST /v1/payouts` or its schedule. The
/// details are stored encrypted. While a payout waits for its file they cannot change (409).
#[utoipa::path(
    put, path = "/v1/sellers/{id}/bank_details", tag = "Sellers", operation_id = "declare_bank_details",
    params(("id" = SellerId, Path, description = "The seller")),
    request_body = NewDetailsBody,
    responses((status = 200, description = "The bank details", body = DetailsBody), CommandRefusals),
)]
async fn declare(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<SellerId>,
    Body(body): Body<NewDetailsBody>,
) -> Result<Json<DetailsBody>, Problem> {
    caller.require("sellers:write")?;
    bank::declare_details(&state.app, caller.book, caller.actor, id, body.read()?).await?;
    shown(&state, &caller, id).await
}

/// Ends that a seller is paid by bank file: what it has is sent to its account at the provider.
#[utoipa::path(
    delete, path = "/v1/sellers/{id}/bank_details", tag = "Sellers", operation_id = "end_bank_details",
    params(("id" = SellerId, Path, description = "The seller")),
    responses((status = 204, description = "The provider pays it out"), Refusals),
)]
async fn end(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<SellerId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode, Problem> {
    caller.require("sellers:write")?;
    bank::end_details(&state.app, caller.book, caller.actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Your own bank account that sellers are paid from.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewOwnBankAccount, example = json!({
    "currency": "EUR", "holder": "Fair Market Ltd", "iban": "NL91ABNA0417164300", "bic": "ABNANL2A"
}))]
struct NewOwnBody {
    /// What is paid from it.
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// Whose it is.
    holder: Text<1, 140>,
    /// Without spaces; its check digits are looked at.
    iban: Text<1, 34>,
    /// Your bank.
    bic: Option<Text<8, 11>>,
}

/// Your own bank account that sellers are paid from.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = OwnBankAccount)]
struct OwnBody {
    /// Always `own_bank_account`.
    #[schema(value_type = String, example = "own_bank_account")]
    object: &'static str,
    id: OwnBankAccountId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// Its country and last four characters; the whole is never shown.
    #[schema(example = "NL**4300")]
    iban: String,
    /// Counts the declarations for the currency, from 1.
    #[schema(example = 1)]
    version: i32,
    declared_at: Time,
}

impl OwnBody {
    fn show(mode: Mode, account: bank::OwnAccount) -> Self {
        Self {
            object: "own_bank_account",
            id: account.id,
            mode: mode.as_str(),
            currency: account.currency,
            iban: account.masked,
            version: account.version,
            declared_at: Time(account.at),
        }
    }
}

/// Your own bank accounts that sellers are paid from, by currency.
#[utoipa::path(
    get, path = "/v1/own_bank_accounts", tag = "Payouts", operation_id = "list_own_bank_accounts",
    responses((status = 200, description = "The accounts", body = List<OwnBody>), Refusals),
)]
async fn list_own(
    State(state): State<HttpState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<List<OwnBody>>, Problem> {
    caller.require("payouts:read")?;
    let found = state
        .app
        .db
        .read("list own bank accounts", caller.scope(), |tx| {
            Box::pin(async move { payouts::list_own_accounts(tx).await })
        })
        .await?;
    Ok(Json(List::whole(found.into_iter().map(|account| OwnBody::show(caller.mode, account)).collect())))
}

/// Declares your own bank account that sellers are paid from in a currency, from the next file on.
#[utoipa::path(
    put, path = "/v1/own_bank_accounts", tag = "Payouts", operation_id = "declare_own_bank_account",
    request_body = NewOwnBody,
    responses((status = 200, description = "The account with its version", body = OwnBody), CommandRefusals),
)]
async fn declare_own(
    State(state): State<HttpState>,
    caller: Caller,
    Body(body): Body<NewOwnBody>,
) -> Result<Json<OwnBody>, Problem> {
    caller.require("payouts:write")?;
    let NewOwnBody { currency, holder, iban, bic } = body;
    let account = NewDetailsBody { holder, iban, bic }.read()?;
    let declared = bank::declare_own_account(&state.app, caller.book, caller.actor, currency, account).await?;
    Ok(Json(OwnBody::show(caller.mode, declared)))
}
