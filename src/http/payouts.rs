//! `/v1/payouts`.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use partita_db::DbError;
use partita_provider::Money;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::auth::Caller;
use super::commands::{self, Progress, Reply};
use super::cursor::{self, List};
use super::fields::{Amount, Currency, Metadata, Reference, currency_schema};
use super::idempotency::Idempotent;
use super::json::PathId;
use super::problem::Problem;
use super::problem_types;
use super::query::{NoParameters, Query, known_words};
use super::render::{CommandRefusals, Failure, ProviderRef, Refusals, Time, day};
use crate::id::{BankFileId, PayoutId, SellerId};
use crate::payouts::{self, ByBank, ByHand, Payout, PayoutStatus};
use crate::platforms::Mode;
use crate::sellers;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(fetch)).routes(routes!(list_of_seller))
}

/// Money of a seller's account at the provider, to be sent to its bank.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPayout, example = json!({"reference": "early-7", "seller": "slr_01k9x8h2v3e4t5n6m7q8r9s0ab"}))]
struct NewPayoutBody {
    /// Your own id of the payout, unique among your payouts.
    reference: Reference,
    /// Who is paid.
    seller: SellerId,
    /// What is sent; all that can be when absent.
    amount: Option<Amount>,
    /// Of the amount; the seller's own.
    #[schema(schema_with = currency_schema)]
    currency: Option<Currency>,
    /// `instant`: within minutes, for the fee of `/v1/instant_payout_policy`, which is taken beside the amount; when absent, by
    /// the usual way, without a fee.
    method: Option<MethodBody>,
    #[serde(default)]
    metadata: Metadata,
}

/// How a payout is to be made other than by the usual way.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PayoutMethod)]
enum MethodBody {
    /// Within minutes, where the seller's bank account or card takes it.
    Instant,
}

impl NewPayoutBody {
    fn read(self) -> Result<ByHand, Problem> {
        let amount = amount_of(self.amount, self.currency)?;
        let (reference, metadata) = (self.reference.into_string(), self.metadata.into_json());
        let instant = matches!(self.method, Some(MethodBody::Instant));
        Ok(ByHand { reference, seller: self.seller, amount, instant, metadata })
    }
}

/// An amount with its currency, or neither.
pub(super) fn amount_of(amount: Option<Amount>, currency: Option<Currency>) -> Result<Option<Money>, Problem> {
    let missing = |field, detail| Err(Problem::invalid_field(&[field], &problem_types::MISSING, detail));
    match (amount, currency) {
        (Some(amount), Some(currency)) => Ok(Some(Money::new(amount.minor(), currency))),
        (None, None) => Ok(None),
        (Some(_), None) => missing("currency", "an amount has a currency"),
        (None, Some(_)) => missing("amount", "a currency is of an amount"),
    }
}

/// A seller's payout to its bank.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Payout)]
pub(super) struct PayoutBody {
    /// Always `payout`.
    #[schema(value_type = String, example = "payout")]
    object: &'static str,
    id: PayoutId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    seller: SellerId,
    /// `processing`: asked, no definite answer yet; `pending`: it left the seller's balance; `in_transit`; `paid`; `failed`: it
    /// came back, or the provider or bank refused it; `canceled`. `paid` is not final: a bank may return it.
    #[schema(value_type = String, example = "paid")]
    status: &'static str,
    /// Minor units.
    #[schema(example = 5400)]
    amount: i64,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// `provider`: from the seller's account there; `instant`: the same, within minutes and for a fee; `bank_file`: from your own bank account, for a seller with bank details.
    #[schema(value_type = String, example = "provider")]
    method: &'static str,
    /// What it costs the seller, beside the amount.
    fee: FeeBody,
    /// How it is paid by bank file; null where the provider pays it.
    bank: Option<ByBankBody>,
    /// Whether a schedule made it: the seller's, or the provider's own.
    automatic: bool,
    /// When the bank has it, by the provider's word; a day, UTC. Null until the provider has taken the payout.
    #[schema(format = Date, example = "2026-11-24")]
    arrival_on: Option<String>,
    /// Your own id of it; null for those that a schedule made.
    reference: Option<String>,
    provider: ProviderRef,
    failure: Option<Failure>,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    metadata: serde_json::Value,
    created_at: Time,
    updated_at: Time,
}

/// What a payout costs its seller; minor units.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PayoutFee)]
struct FeeBody {
    /// What was quoted when it was asked; null for those that are not instant.
    #[schema(example = 50)]
    quoted: Option<i64>,
    /// Which of your declarations the quote is by.
    policy_version: Option<i32>,
    /// What the provider took from the seller's account with it. Where that is not the quote, the price in the provider's
    /// dashboard is not the one that you declared.
    #[schema(example = 50)]
    taken: i64,
    /// What of that came back with it.
    #[schema(example = 0)]
    returned: i64,
}

/// How a payout is paid by bank file.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PayoutByBank)]
struct ByBankBody {
    /// Country and last four characters of the IBAN that it goes to.
    #[schema(example = "DE**3000")]
    iban: String,
    /// What your bank's statement names it by.
    #[schema(example = "pyt-01h455vb4pex5vsknk084sn02q")]
    end_to_end_id: String,
    /// The file that it is in; null while it waits for one.
    file: Option<BankFileId>,
    /// Why the bank sent it back: a code of ISO 20022.
    #[schema(example = "AC04")]
    return_code: Option<String>,
}

impl PayoutBody {
    /// The payout as it is shown.
    pub(super) fn show(mode: Mode, payout: Payout) -> Self {
        Self {
            object: "payout",
            id: payout.id,
            mode: mode.as_str(),
            seller: payout.seller,
            status: payout.status.as_str(),
            amount: payout.amount.minor,
            currency: payout.amount.currency,
            method: payout.method(),
            fee: FeeBody {
                quoted: payout.fee.quoted.map(|(_, fee)| fee),
                policy_version: payout.fee.quoted.map(|(version, _)| version),
                taken: payout.fee.taken,
                returned: payout.fee.returned,
            },
            bank: payout.bank.map(|bank| ByBankBody {
                iban: bank.masked,
                end_to_end_id: ByBank::end_to_end(payout.id),
                file: bank.file,
                return_code: bank.return_code,
            }),
            automatic: payout.automatic,
            arrival_on: payout.arrival_on.map(day),
            reference: payout.reference,
            provider: ProviderRef { name: payout.provider, id: payout.provider_payout },
            failure: payout.failure.map(Failure::from),
            metadata: payout.metadata,
            created_at: Time(payout.created_at),
            updated_at: Time(payout.updated_at),
        }
    }
}

/// Has a seller paid out now, whatever its schedule: by the provider, or, where it has bank details here, by bank file. A seller
/// that owes you is not paid out.
///
/// With `method: instant` it arrives within minutes: of what is usable on the seller's account, as far as the provider sends it at
/// once, and for a fee (`POST ../preview` says it before).
///
/// A payout by bank file is `pending` until it is in a file (`POST /v1/bank_files`), then `in_transit` until you say what your bank
/// did.
#[utoipa::path(
    post, path = "/v1/payouts", tag = "Payouts", operation_id = "create_payout",
    request_body = NewPayoutBody,
    params(("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters")),
    responses(
        (status = 201, description = "The provider has taken it", body = PayoutBody),
        (status = 202, description = "The provider has not answered definitely yet", body = PayoutBody),
        CommandRefusals,
    ),
)]
async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    input: Idempotent<NewPayoutBody>,
) -> Result<Response, Problem> {
    caller.require("payouts:write")?;
    let new = input.body.read()?;
    let begun = payouts::create(&state.app, caller.book, caller.actor, input.claim.clone(), new).await?;
    let id = match commands::drive(&state, &caller, begun, PayoutId::uuid).await? {
        Progress::Answered(response) => return Ok(response),
        Progress::Read(id) => id,
    };
    let payout = read(&state, &caller, id).await?;
    commands::answer(&state, &caller, Some(&input.claim), reply(caller.mode, payout)).await
}

/// What the provider refused never left the balance; what came back later is no refusal.
fn reply(mode: Mode, payout: Payout) -> Reply<PayoutBody> {
    let refusal = payout.failure.clone().filter(|_| payout.provider_payout.is_none() && payout.bank.is_none());
    let (is_open, provider) = (payout.status == PayoutStatus::Processing, payout.provider.clone());
    commands::outcome(PayoutBody::show(mode, payout), is_open, &provider, refusal.as_ref())
}

/// One payout.
#[utoipa::path(
    get, path = "/v1/payouts/{id}", tag = "Payouts", operation_id = "get_payout",
    params(("id" = PayoutId, Path, description = "The payout")),
    responses((status = 200, description = "The payout", body = PayoutBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<PayoutId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<PayoutBody>, Problem> {
    caller.require("payouts:read")?;
    Ok(Json(PayoutBody::show(caller.mode, read(&state, &caller, id).await?)))
}

pub(super) async fn read(state: &HttpState, caller: &Caller, id: PayoutId) -> Result<Payout, Problem> {
    let found = state
        .app
        .db
        .read("get payout", caller.scope(), move |tx| Box::pin(async move { payouts::find(tx, id).await }))
        .await?;
    found.ok_or_else(|| Problem::not_found("payout"))
}

/// Filters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Any of these; may be repeated.
    #[serde(default)]
    #[param(example = json!(["paid"]))]
    status: Vec<String>,
    /// Of this seller.
    seller: Option<SellerId>,
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Payouts of sellers, newest first.
#[utoipa::path(
    get, path = "/v1/payouts", tag = "Payouts", operation_id = "list_payouts",
    params(Filters),
    responses((status = 200, description = "A page of payouts", body = List<PayoutBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(filters): Query<Filters>,
) -> Result<Response, Problem> {
    caller.require("payouts:read")?;
    known_words("status", &filters.status, |word| PayoutStatus::parse(word).is_some())?;
    let bound = (&filters.status, &filters.seller);
    let page = cursor::page::<PayoutId, _>("/v1/payouts", &bound, filters.limit, filters.cursor.as_deref())?;
    let limit = page.fetch_limit();
    let filter = payouts::ListFilter { statuses: filters.status, seller: filters.seller, before: page.after };
    let rows = state
        .app
        .db
        .read("list payouts", caller.scope(), move |tx| {
            let filter = filter.clone();
            Box::pin(async move { payouts::list(tx, &filter, limit).await })
        })
        .await?;
    Ok(page.list(rows, |payout| payout.id, |payout| PayoutBody::show(caller.mode, payout)).respond(&uri))
}

/// Pages of a list without filters.
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

/// A seller's payouts, newest first.
#[utoipa::path(
    get, path = "/v1/sellers/{id}/payouts", tag = "Sellers", operation_id = "list_seller_payouts",
    params(("id" = SellerId, Path, description = "The seller"), Pages),
    responses((status = 200, description = "A page of payouts", body = List<PayoutBody>), Refusals),
)]
async fn list_of_seller(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<SellerId>,
    OriginalUri(uri): OriginalUri,
    Query(pages): Query<Pages>,
) -> Result<Response, Problem> {
    caller.require("payouts:read")?;
    let page = cursor::page::<PayoutId, _>("/v1/sellers/payouts", &id, pages.limit, pages.cursor.as_deref())?;
    let filter = payouts::ListFilter { seller: Some(id), before: page.after, ..payouts::ListFilter::default() };
    let limit = page.fetch_limit();
    let rows = state
        .app
        .db
        .read("list a seller's payouts", caller.scope(), move |tx| {
            let filter = filter.clone();
            Box::pin(async move {
                if sellers::find(tx, id).await?.is_none() {
                    return Ok(None);
                }
                Ok::<_, DbError>(Some(payouts::list(tx, &filter, limit).await?))
            })
        })
        .await?;
    let rows = rows.ok_or_else(|| Problem::not_found("seller"))?;
    Ok(page.list(rows, |payout| payout.id, |payout| PayoutBody::show(caller.mode, payout)).respond(&uri))
}
