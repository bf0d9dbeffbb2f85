//! `/v1/sellers`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use partita_provider::PayoutInterval;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::auth::Caller;
use super::bank_accounts::BankAccountBody;
use super::commands::{self, Progress, Reply};
use super::cursor::{self, List};
use super::fields::{Country, Currency, Email, Locale, Metadata, Reference, currency_schema};
use super::idempotency::MaybeIdempotent;
use super::json::{Json as Body, PathId};
use super::payout_schedules::{self, DayBody, NewScheduleBody, Plan, ScheduleBody};
use super::problem::Problem;
use super::problem_types;
use super::query::{NoParameters, Query, known_words};
use super::render::{CommandRefusals, ProviderRef, Refusals, Time, provider_problem};
use crate::id::SellerId;
use crate::platforms::Mode;
use crate::sellers::{self, NewSeller, Seller, SellerStatus};
use crate::{operations, payouts};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(fetch, update))
}

/// What a seller is at law.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum BusinessType {
    Individual,
    Company,
}

/// When the provider pays a seller out to its bank.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PayoutInterval)]
enum PayoutIntervalBody {
    /// Every day, by the provider.
    Daily,
    /// Only when asked.
    Manual,
}

/// A new seller.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSeller, example = json!({
    "reference": "shop-a", "email": "a@example.com", "country": "DE", "default_currency": "EUR"
}))]
struct NewSellerBody {
    /// Your own id of the seller, unique among your sellers.
    reference: Reference,
    /// Where the provider writes to.
    email: Email,
    /// ISO 3166-1 alpha-2: where the seller's business is.
    country: Country,
    /// What the seller sells and is paid out in.
    #[schema(schema_with = currency_schema)]
    default_currency: Currency,
    /// What the seller is at law; asked on the onboarding pages when absent.
    business_type: Option<BusinessType>,
    /// Language of the pages shown to the seller; `en` when absent.
    locale: Option<Locale>,
    /// When the provider pays the seller out; `daily` when absent.
    payout_interval: Option<PayoutIntervalBody>,
    #[serde(default)]
    metadata: Metadata,
}

impl From<NewSellerBody> for NewSeller {
    fn from(body: NewSellerBody) -> Self {
        Self {
            reference: body.reference.into_string(),
            email: body.email.into_string(),
            country: body.country.into_string(),
            default_currency: body.default_currency,
            business_type: body.business_type.map(|kind| match kind {
                BusinessType::Individual => "individual".to_owned(),
                BusinessType::Company => "company".to_owned(),
            }),
            locale: body.locale.map_or_else(|| "en".to_owned(), Locale::into_string),
            payout_interval: match body.payout_interval {
                Some(PayoutIntervalBody::Manual) => PayoutInterval::Manual,
                Some(PayoutIntervalBody::Daily) | None => PayoutInterval::Daily,
            },
            metadata: body.metadata.into_json(),
        }
    }
}

/// What the provider still wants of a seller.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct Requirements {
    /// To be met now, in the provider's words.
    #[schema(example = json!(["external_account"]))]
    currently_due: Vec<String>,
    /// Not met in time.
    past_due: Vec<String>,
    /// By when what is due must be met.
    deadline: Option<Time>,
    /// Why the provider restricts the seller.
    disabled_reason: Option<String>,
}

/// A seller: who is paid.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Seller)]
pub(super) struct SellerBody {
    /// Always `seller`.
    #[schema(value_type = String, example = "seller")]
    object: &'static str,
    id: SellerId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// Your own id of the seller.
    reference: String,
    /// `onboarding`: transfers do not work yet; `active`: they work; `restricted`: they worked and were taken away;
    /// `failed`: the provider refused to open the account.
    #[schema(value_type = String, example = "active")]
    status: &'static str,
    email: String,
    country: String,
    #[schema(schema_with = currency_schema)]
    default_currency: Currency,
    business_type: Option<String>,
    locale: String,
    /// Who pays the seller out at the provider: `daily`, by the provider's own schedule, or `manual`, when it is asked, by
    /// `payout_schedule` or by hand.
    #[schema(value_type = String, example = "daily")]
    payout_interval: &'static str,
    /// When the seller is paid out; null: as `payout_interval` says.
    payout_schedule: Option<ScheduleBody>,
    /// The next payout day of the schedule, in its time zone.
    #[schema(format = Date, example = "2026-11-30")]
    next_payout_on: Option<String>,
    /// What became of the newest payout day of a schedule.
    last_payout_day: Option<DayBody>,
    bank_account: BankAccountBody,
    requirements: Requirements,
    /// The provider's capabilities and their status: `active`, `pending`, `inactive`.
    #[schema(example = json!({"transfers": "active"}))]
    capabilities: BTreeMap<String, String>,
    /// Whether the provider pays the seller out.
    payouts_enabled: bool,
    provider: ProviderRef,
    #[schema(value_type = BTreeMap<String, String>)]
    metadata: serde_json::Value,
    created_at: Time,
    updated_at: Time,
}

impl SellerBody {
    fn show(mode: Mode, provider: String, (seller, plan): (Seller, Plan)) -> Self {
        let mut standing = seller.standing;
        if plan.block.is_some() && !standing.currently_due.iter().any(|due| due == BANK_ACCOUNT) {
            standing.currently_due.push(BANK_ACCOUNT.to_owned());
        }
        Self {
            object: "seller",
            id: seller.id,
            mode: mode.as_str(),
            reference: seller.reference,
            status: seller.status.as_str(),
            email: seller.email,
            country: seller.country,
            default_currency: seller.default_currency,
            business_type: seller.business_type,
            locale: seller.locale,
            payout_interval: match seller.payout_interval {
                PayoutInterval::Daily => "daily",
                PayoutInterval::Manual => "manual",
            },
            payout_schedule: plan.schedule,
            next_payout_on: plan.next_on,
            last_payout_day: plan.newest_day,
            bank_account: BankAccountBody::show(standing.bank_account, plan.block),
            requirements: Requirements {
                currently_due: standing.currently_due,
                past_due: standing.past_due,
                deadline: standing.deadline.map(Time),
                disabled_reason: standing.disabled_reason,
            },
            capabilities: standing.capabilities,
            payouts_enabled: standing.payouts_enabled,
            provider: ProviderRef { name: provider, id: seller.account },
            metadata: seller.metadata,
            created_at: Time(seller.created_at),
            updated_at: Time(seller.updated_at),
        }
    }
}

/// The one provider so far.
const PROVIDER: &str = "stripe";
/// The provider's word for a bank account that it wants.
const BANK_ACCOUNT: &str = "external_account";

/// Makes a seller and opens its account at the provider.
///
/// Send an `Idempotency-Key` to be able to repeat the request. 202 when the provider has not answered yet: the seller
/// is there, and its `provider.id` follows.
#[utoipa::path(
    post, path = "/v1/sellers", tag = "Sellers", operation_id = "create_seller",
    request_body = NewSellerBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters")),
    responses(
        (status = 201, description = "The seller; its account at the provider is open", body = SellerBody),
        (status = 202, description = "The seller; the provider has not answered yet", body = SellerBody),
        CommandRefusals,
    ),
)]
async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    input: MaybeIdempotent<NewSellerBody>,
) -> Result<Response, Problem> {
    caller.require("sellers:write")?;
    let new = NewSeller::from(input.body);
    let begun = sellers::create(&state.app, caller.book, caller.actor, input.claim.clone(), new).await?;
    let id = match commands::drive(&state, &caller, begun, SellerId::uuid).await? {
        Progress::Answered(response) => return Ok(response),
        Progress::Read(id) => id,
    };
    let seller = read(&state, &caller, id).await?;
    let reply = reply(&state, &caller, seller).await?;
    commands::answer(&state, &caller, input.claim.as_ref(), reply).await
}

async fn reply(
    state: &HttpState,
    caller: &Caller,
    (seller, plan): (Seller, Plan),
) -> Result<Reply<SellerBody>, Problem> {
    let (id, status, opened) = (seller.id.uuid(), seller.status, seller.account.is_some());
    let body = SellerBody::show(caller.mode, PROVIDER.to_owned(), (seller, plan));
    if opened {
        return Ok(Reply::created(body));
    }
    if status != SellerStatus::Failed {
        return Ok(Reply::Open(body));
    }
    let operation = state
        .app
        .db
        .read("refused account", caller.scope(), move |tx| {
            Box::pin(async move { operations::find_newest_by_object(tx, id).await })
        })
        .await?;
    let mut problem = Problem::new(&problem_types::PROVIDER_REFUSED);
    if let Some(refusal) = operation.and_then(|operation| operation.refusal) {
        problem = problem.detail(refusal.message.clone()).provider(provider_problem(PROVIDER, &refusal));
    }
    Ok(Reply::Refused(problem.object(serde_json::to_value(body).expect("texts and lists always serialise"))))
}

async fn read(state: &HttpState, caller: &Caller, id: SellerId) -> Result<(Seller, Plan), Problem> {
    let now = state.app.clock.now();
    let found = state
        .app
        .db
        .read("get seller", caller.scope(), move |tx| {
            Box::pin(async move {
                let found = sellers::find(tx, id).await?.into_iter().collect();
                payout_schedules::plans(tx, found, now).await
            })
        })
        .await?;
    found.into_iter().next().ok_or_else(|| Problem::not_found("seller"))
}

/// One seller.
#[utoipa::path(
    get, path = "/v1/sellers/{id}", tag = "Sellers", operation_id = "get_seller",
    params(("id" = SellerId, Path, description = "The seller")),
    responses((status = 200, description = "The seller", body = SellerBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<SellerId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<SellerBody>, Problem> {
    caller.require("sellers:read")?;
    shown(&state, &caller, id).await
}

/// What changes of a seller.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SellerChanges)]
struct ChangesBody {
    /// When the seller is paid out from now on, in place of what was declared before.
    payout_schedule: NewScheduleBody,
}

/// Declares when a seller is paid out.
///
/// With it, the provider's own schedule ends: whatever is declared here, it is asked for each payout. The first payout day is
/// the one whose cut-off comes first from now on.
#[utoipa::path(
    patch, path = "/v1/sellers/{id}", tag = "Sellers", operation_id = "update_seller",
    params(("id" = SellerId, Path, description = "The seller")),
    request_body = ChangesBody,
    responses((status = 200, description = "The seller", body = SellerBody), CommandRefusals),
)]
async fn update(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<SellerId>,
    Body(body): Body<ChangesBody>,
) -> Result<Json<SellerBody>, Problem> {
    caller.require("sellers:write")?;
    let schedule = body.payout_schedule.read(&["payout_schedule"])?;
    payouts::declare(&state.app, caller.book, caller.actor, id, schedule).await?;
    state.app.wake.now();
    shown(&state, &caller, id).await
}

/// The seller as it is now.
pub(super) async fn shown(state: &HttpState, caller: &Caller, id: SellerId) -> Result<Json<SellerBody>, Problem> {
    let seller = read(state, caller, id).await?;
    Ok(Json(SellerBody::show(caller.mode, PROVIDER.to_owned(), seller)))
}

/// Filters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Any of these; may be repeated.
    #[serde(default)]
    #[param(example = json!(["active"]))]
    status: Vec<String>,
    /// Your own id of the seller.
    reference: Option<String>,
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Sellers, newest first.
#[utoipa::path(
    get, path = "/v1/sellers", tag = "Sellers", operation_id = "list_sellers",
    params(Filters),
    responses((status = 200, description = "A page of sellers", body = List<SellerBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(filters): Query<Filters>,
) -> Result<Response, Problem> {
    caller.require("sellers:read")?;
    known_words("status", &filters.status, |word| SellerStatus::parse(word).is_some())?;
    let bound = (&filters.status, &filters.reference);
    let page = cursor::page::<SellerId, _>("/v1/sellers", &bound, filters.limit, filters.cursor.as_deref())?;
    let (after, limit, now) = (page.after, page.fetch_limit(), state.app.clock.now());
    let rows = state
        .app
        .db
        .read("list sellers", caller.scope(), move |tx| {
            let (statuses, reference) = (filters.status.clone(), filters.reference.clone());
            Box::pin(async move {
                let found = sellers::list(tx, &statuses, reference.as_deref(), after, limit).await?;
                payout_schedules::plans(tx, found, now).await
            })
        })
        .await?;
    let show = |seller| SellerBody::show(caller.mode, PROVIDER.to_owned(), seller);
    Ok(page.list(rows, |(seller, _)| seller.id, show).respond(&uri))
}
