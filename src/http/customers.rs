//! `/v1/customers`.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::auth::Caller;
use super::commands::{self, Progress, Reply};
use super::cursor::{self, List};
use super::fields::{Metadata, Reference};
use super::idempotency::Idempotent;
use super::json::PathId;
use super::problem::Problem;
use super::problem_types;
use super::query::{NoParameters, Query};
use super::render::{CommandRefusals, Failure, ProviderRef, Refusals, Time, provider_problem};
use crate::customers::{self, Customer, CustomerStatus, NewCustomer};
use crate::id::CustomerId;
use crate::platforms::Mode;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(fetch))
}

/// A buyer who comes again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCustomer, example = json!({"reference": "buyer-7"}))]
struct NewCustomerBody {
    /// Your own id of the buyer, unique among your customers. Nothing else of a buyer is kept: write no personal data here.
    reference: Reference,
    #[serde(default)]
    metadata: Metadata,
}

/// A buyer who comes again.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Customer)]
struct CustomerBody {
    /// Always `customer`.
    #[schema(value_type = String, example = "customer")]
    object: &'static str,
    id: CustomerId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// Your own id of the buyer.
    reference: String,
    /// `processing`: the provider has not answered definitely; `active`: payment methods can be saved; `failed`: refused, final.
    #[schema(value_type = String, example = "active")]
    status: &'static str,
    provider: ProviderRef,
    failure: Option<Failure>,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    metadata: serde_json::Value,
    created_at: Time,
    updated_at: Time,
}

impl CustomerBody {
    fn show(mode: Mode, customer: Customer) -> Self {
        Self {
            object: "customer",
            id: customer.id,
            mode: mode.as_str(),
            reference: customer.reference,
            status: customer.status.as_str(),
            provider: ProviderRef { name: customer.provider, id: customer.provider_customer },
            failure: customer.failure.map(Failure::from),
            metadata: customer.metadata,
            created_at: Time(customer.created_at),
            updated_at: Time(customer.updated_at),
        }
    }
}

/// Has the provider know a buyer who comes again, so that payment methods can be saved for later.
#[utoipa::path(
    post, path = "/v1/customers", tag = "Customers", operation_id = "create_customer",
    request_body = NewCustomerBody,
    params(("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters")),
    responses(
        (status = 201, description = "The provider knows it", body = CustomerBody),
        (status = 202, description = "The provider has not answered definitely yet", body = CustomerBody),
        CommandRefusals,
    ),
)]
async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    input: Idempotent<NewCustomerBody>,
) -> Result<Response, Problem> {
    caller.require("payments:write")?;
    let new = NewCustomer { reference: input.body.reference.into_string(), metadata: input.body.metadata.into_json() };
    let begun = customers::create(&state.app, caller.book, caller.actor, input.claim.clone(), new).await?;
    let id = match commands::drive(&state, &caller, begun, CustomerId::uuid).await? {
        Progress::Answered(response) => return Ok(response),
        Progress::Read(id) => id,
    };
    let customer = read(&state, &caller, id).await?;
    let (status, provider, refusal) = (customer.status, customer.provider.clone(), customer.failure.clone());
    let body = CustomerBody::show(caller.mode, customer);
    let reply = match status {
        CustomerStatus::Processing => Reply::Open(body),
        CustomerStatus::Active => Reply::created(body),
        CustomerStatus::Failed => {
            let mut problem = Problem::new(&problem_types::PROVIDER_REFUSED);
            if let Some(refusal) = refusal {
                problem = problem.detail(refusal.message.clone()).provider(provider_problem(&provider, &refusal));
            }
            Reply::Refused(problem.object(serde_json::to_value(body).expect("texts and maps always serialise")))
        }
    };
    commands::answer(&state, &caller, Some(&input.claim), reply).await
}

async fn read(state: &HttpState, caller: &Caller, id: CustomerId) -> Result<Customer, Problem> {
    let found = state
        .app
        .db
        .read("get customer", caller.scope(), move |tx| Box::pin(async move { customers::find(tx, id).await }))
        .await?;
    found.ok_or_else(|| Problem::not_found("customer"))
}

/// One customer.
#[utoipa::path(
    get, path = "/v1/customers/{id}", tag = "Customers", operation_id = "get_customer",
    params(("id" = CustomerId, Path, description = "The customer")),
    responses((status = 200, description = "The customer", body = CustomerBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<CustomerId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<CustomerBody>, Problem> {
    caller.require("payments:read")?;
    Ok(Json(CustomerBody::show(caller.mode, read(&state, &caller, id).await?)))
}

/// Filters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Your own id of the buyer.
    reference: Option<String>,
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Customers, newest first.
#[utoipa::path(
    get, path = "/v1/customers", tag = "Customers", operation_id = "list_customers",
    params(Filters),
    responses((status = 200, description = "A page of customers", body = List<CustomerBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(filters): Query<Filters>,
) -> Result<Response, Problem> {
    caller.require("payments:read")?;
    let page =
        cursor::page::<CustomerId, _>("/v1/customers", &filters.reference, filters.limit, filters.cursor.as_deref())?;
    let (after, limit, reference) = (page.after, page.fetch_limit(), filters.reference);
    let rows = state
        .app
        .db
        .read("list customers", caller.scope(), move |tx| {
            let reference = reference.clone();
            Box::pin(async move { customers::list(tx, reference.as_deref(), after, limit).await })
        })
        .await?;
    Ok(page.list(rows, |customer| customer.id, |customer| CustomerBody::show(caller.mode, customer)).respond(&uri))
}
