//! `/v1/platform_payouts`: the platform's own money, from its balance at the provider to its bank.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
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
use super::query::{NoParameters, Query, known_words};
use super::render::{CommandRefusals, Failure, ProviderRef, Refusals, Time, day};
use crate::id::PlatformPayoutId;
use crate::payouts::PayoutStatus;
use crate::payouts::platform::{self, NewPlatformPayout, PlatformPayout};
use crate::platforms::Mode;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(fetch))
}

/// Money of the platform's own, to be sent to its bank.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPlatformPayout, example = json!({"reference": "march", "amount": 50_000, "currency": "EUR"}))]
struct NewPlatformPayoutBody {
    /// Your own id of the payout, unique among your platform payouts.
    reference: Reference,
    /// At most what is free: see the refusal.
    amount: Amount,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    #[serde(default)]
    metadata: Metadata,
}

impl From<NewPlatformPayoutBody> for NewPlatformPayout {
    fn from(body: NewPlatformPayoutBody) -> Self {
        Self {
            reference: body.reference.into_string(),
            amount: Money::new(body.amount.minor(), body.currency),
            metadata: body.metadata.into_json(),
        }
    }
}

/// A payout of the platform's own money to its bank.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PlatformPayout)]
struct PlatformPayoutBody {
    /// Always `platform_payout`.
    #[schema(value_type = String, example = "platform_payout")]
    object: &'static str,
    id: PlatformPayoutId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// Your own id of the payout.
    reference: String,
    /// `processing`: asked, no definite answer yet; `pending`: it left the balance; `in_transit`; `paid`; `failed`: it came
    /// back, or the provider refused it; `canceled`. `paid` is not final: a bank may return it.
    #[schema(value_type = String, example = "paid")]
    status: &'static str,
    /// Minor units.
    #[schema(example = 50_000)]
    amount: i64,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// What was free when it was asked: neither sellers', nor buyers', nor the state's. Minor units.
    #[schema(example = 68_000)]
    free_before: i64,
    /// When the bank has it, by the provider's word; a day, UTC. Null until the provider has taken the payout.
    #[schema(format = Date, example = "2026-11-24")]
    arrival_on: Option<String>,
    provider: ProviderRef,
    failure: Option<Failure>,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    metadata: serde_json::Value,
    created_at: Time,
    updated_at: Time,
}

impl PlatformPayoutBody {
    fn show(mode: Mode, payout: PlatformPayout) -> Self {
        Self {
            object: "platform_payout",
            id: payout.id,
            mode: mode.as_str(),
            reference: payout.reference,
            status: payout.status.as_str(),
            amount: payout.amount.minor,
            currency: payout.amount.currency,
            free_before: payout.free_before,
            arrival_on: payout.arrival_on.map(day),
            provider: ProviderRef { name: payout.provider, id: payout.provider_payout },
            failure: payout.failure.map(Failure::from),
            metadata: payout.metadata,
            created_at: Time(payout.created_at),
            updated_at: Time(payout.updated_at),
        }
    }
}

/// Sends money of the platform's own from its balance at the provider to its bank.
///
/// Never what sellers, buyers and the state are owed: what is more than free is refused (422, `too_much`), with the numbers.
#[utoipa::path(
    post, path = "/v1/platform_payouts", tag = "Payouts", operation_id = "create_platform_payout",
    request_body = NewPlatformPayoutBody,
    params(("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters")),
    responses(
        (status = 201, description = "The provider has taken it", body = PlatformPayoutBody),
        (status = 202, description = "The provider has not answered definitely yet", body = PlatformPayoutBody),
        CommandRefusals,
    ),
)]
async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    input: Idempotent<NewPlatformPayoutBody>,
) -> Result<Response, Problem> {
    caller.require("payouts:write")?;
    let new = NewPlatformPayout::from(input.body);
    let begun = platform::create(&state.app, caller.book, caller.actor, input.claim.clone(), new).await?;
    let id = match commands::drive(&state, &caller, begun, PlatformPayoutId::uuid).await? {
        Progress::Answered(response) => return Ok(response),
        Progress::Read(id) => id,
    };
    let payout = read(&state, &caller, id).await?;
    commands::answer(&state, &caller, Some(&input.claim), reply(caller.mode, payout)).await
}

/// What the provider refused never left the balance; what came back later is no refusal.
fn reply(mode: Mode, payout: PlatformPayout) -> Reply<PlatformPayoutBody> {
    let refusal = payout.failure.clone().filter(|_| payout.provider_payout.is_none());
    let (is_open, provider) = (payout.status == PayoutStatus::Processing, payout.provider.clone());
    commands::outcome(PlatformPayoutBody::show(mode, payout), is_open, &provider, refusal.as_ref())
}

async fn read(state: &HttpState, caller: &Caller, id: PlatformPayoutId) -> Result<PlatformPayout, Problem> {
    let found = state
        .app
        .db
        .read("get platform payout", caller.scope(), move |tx| Box::pin(async move { platform::find(tx, id).await }))
        .await?;
    found.ok_or_else(|| Problem::not_found("platform payout"))
}

/// One payout of the platform's own.
#[utoipa::path(
    get, path = "/v1/platform_payouts/{id}", tag = "Payouts", operation_id = "get_platform_payout",
    params(("id" = PlatformPayoutId, Path, description = "The payout")),
    responses((status = 200, description = "The payout", body = PlatformPayoutBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<PlatformPayoutId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<PlatformPayoutBody>, Problem> {
    caller.require("payouts:read")?;
    Ok(Json(PlatformPayoutBody::show(caller.mode, read(&state, &caller, id).await?)))
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
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Payouts of the platform's own, newest first.
#[utoipa::path(
    get, path = "/v1/platform_payouts", tag = "Payouts", operation_id = "list_platform_payouts",
    params(Filters),
    responses((status = 200, description = "A page of payouts", body = List<PlatformPayoutBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(filters): Query<Filters>,
) -> Result<Response, Problem> {
    caller.require("payouts:read")?;
    known_words("status", &filters.status, |word| PayoutStatus::parse(word).is_some())?;
    let cursor = filters.cursor.as_deref();
    let page = cursor::page::<PlatformPayoutId, _>("/v1/platform_payouts", &filters.status, filters.limit, cursor)?;
    let (after, limit, statuses) = (page.after, page.fetch_limit(), filters.status);
    let rows = state
        .app
        .db
        .read("list platform payouts", caller.scope(), move |tx| {
            let statuses = statuses.clone();
            Box::pin(async move { platform::list(tx, &statuses, after, limit).await })
        })
        .await?;
    Ok(page.list(rows, |payout| payout.id, |payout| PlatformPayoutBody::show(caller.mode, payout)).respond(&uri))
}
