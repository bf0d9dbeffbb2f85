//! `/v1/top_ups`.

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
use super::fields::{Amount, Currency, Metadata, Reference, Text, currency_schema};
use super::idempotency::Idempotent;
use super::json::PathId;
use super::problem::Problem;
use super::query::{NoParameters, Query, known_words};
use super::render::{CommandRefusals, Failure, ProviderRef, Refusals, Time};
use crate::id::TopUpId;
use crate::platforms::Mode;
use crate::top_ups::{self, NewTopUp, TopUp, TopUpStatus};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(fetch))
}

/// Money to add to the platform's balance at the provider.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewTopUp, example = json!({"reference": "topup-7", "amount": 500_000, "currency": "EUR"}))]
struct NewTopUpBody {
    /// Your own id of the top-up, unique among your top-ups.
    reference: Reference,
    amount: Amount,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// What the provider shows in its dashboard.
    description: Option<Text<1, 500>>,
    #[serde(default)]
    metadata: Metadata,
}

impl From<NewTopUpBody> for NewTopUp {
    fn from(body: NewTopUpBody) -> Self {
        Self {
            reference: body.reference.into_string(),
            amount: Money::new(body.amount.minor(), body.currency),
            description: body.description.map(Text::into_string),
            metadata: body.metadata.into_json(),
        }
    }
}

/// Money of the platform's bank account, added to its balance at the provider.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = TopUp)]
struct TopUpBody {
    /// Always `top_up`.
    #[schema(value_type = String, example = "top_up")]
    object: &'static str,
    id: TopUpId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// Your own id of the top-up.
    reference: String,
    /// `processing`: the provider has not answered definitely; `pending`: on its way from the bank; `succeeded`: it
    /// arrived; `failed`: nothing moved.
    #[schema(value_type = String, example = "pending")]
    status: &'static str,
    /// Minor units.
    #[schema(example = 500_000)]
    amount: i64,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    description: Option<String>,
    provider: ProviderRef,
    failure: Option<Failure>,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    metadata: serde_json::Value,
    created_at: Time,
    updated_at: Time,
}

impl TopUpBody {
    fn show(mode: Mode, top_up: TopUp) -> Self {
        Self {
            object: "top_up",
            id: top_up.id,
            mode: mode.as_str(),
            reference: top_up.reference,
            status: top_up.status.as_str(),
            amount: top_up.amount.minor,
            currency: top_up.amount.currency,
            description: top_up.description,
            provider: ProviderRef { name: top_up.provider, id: top_up.provider_top_up },
            failure: top_up.failure.map(Failure::from),
            metadata: top_up.metadata,
            created_at: Time(top_up.created_at),
            updated_at: Time(top_up.updated_at),
        }
    }
}

/// Adds money of the platform's bank account to its balance at the provider, to cover refunds.
#[utoipa::path(
    post, path = "/v1/top_ups", tag = "Top-ups", operation_id = "create_top_up",
    request_body = NewTopUpBody,
    params(("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters")),
    responses(
        (status = 201, description = "The provider has it (`pending` or `succeeded`)", body = TopUpBody),
        (status = 202, description = "The provider has not answered definitely yet", body = TopUpBody),
        CommandRefusals,
    ),
)]
async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    input: Idempotent<NewTopUpBody>,
) -> Result<Response, Problem> {
    caller.require("payouts:write")?;
    let new = NewTopUp::from(input.body);
    let begun = top_ups::create(&state.app, caller.book, caller.actor, input.claim.clone(), new).await?;
    let id = match commands::drive(&state, &caller, begun, TopUpId::uuid).await? {
        Progress::Answered(response) => return Ok(response),
        Progress::Read(id) => id,
    };
    let top_up = read(&state, &caller, id).await?;
    commands::answer(&state, &caller, Some(&input.claim), reply(caller.mode, top_up)).await
}

fn reply(mode: Mode, top_up: TopUp) -> Reply<TopUpBody> {
    let refusal = top_up.failure.clone().filter(|_| top_up.status == TopUpStatus::Failed);
    let (is_open, provider) = (top_up.status == TopUpStatus::Processing, top_up.provider.clone());
    commands::outcome(TopUpBody::show(mode, top_up), is_open, &provider, refusal.as_ref())
}

async fn read(state: &HttpState, caller: &Caller, id: TopUpId) -> Result<TopUp, Problem> {
    let found = state
        .app
        .db
        .read("get top-up", caller.scope(), move |tx| Box::pin(async move { top_ups::find(tx, id).await }))
        .await?;
    found.ok_or_else(|| Problem::not_found("top-up"))
}

/// One top-up.
#[utoipa::path(
    get, path = "/v1/top_ups/{id}", tag = "Top-ups", operation_id = "get_top_up",
    params(("id" = TopUpId, Path, description = "The top-up")),
    responses((status = 200, description = "The top-up", body = TopUpBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<TopUpId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<TopUpBody>, Problem> {
    caller.require("payouts:read")?;
    Ok(Json(TopUpBody::show(caller.mode, read(&state, &caller, id).await?)))
}

/// Filters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Any of these; may be repeated.
    #[serde(default)]
    #[param(example = json!(["succeeded"]))]
    status: Vec<String>,
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Top-ups, newest first.
#[utoipa::path(
    get, path = "/v1/top_ups", tag = "Top-ups", operation_id = "list_top_ups",
    params(Filters),
    responses((status = 200, description = "A page of top-ups", body = List<TopUpBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(filters): Query<Filters>,
) -> Result<Response, Problem> {
    caller.require("payouts:read")?;
    known_words("status", &filters.status, |word| TopUpStatus::parse(word).is_some())?;
    let page = cursor::page::<TopUpId, _>("/v1/top_ups", &filters.status, filters.limit, filters.cursor.as_deref())?;
    let (after, limit, statuses) = (page.after, page.fetch_limit(), filters.status);
    let rows = state
        .app
        .db
        .read("list top-ups", caller.scope(), move |tx| {
            let statuses = statuses.clone();
            Box::pin(async move { top_ups::list(tx, &statuses, after, limit).await })
        })
        .await?;
    Ok(page.list(rows, |top_up| top_up.id, |top_up| TopUpBody::show(caller.mode, top_up)).respond(&uri))
}
