//! `/v1/payment_methods`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::auth::Caller;
use super::commands::{self, Progress, Reply};
use super::cursor::{self, List};
use super::fields::{Metadata, PaymentToken, WebAddress};
use super::idempotency::Idempotent;
use super::json::PathId;
use super::problem::Problem;
use super::problem_types;
use super::query::{NoParameters, Query, known_words};
use super::render::{CommandRefusals, Failure, ProviderRef, Refusals, Time, problem_response, provider_problem};
use crate::customers::{self, Method, MethodFilter, MethodStatus, NewMethod};
use crate::events;
use crate::id::{CustomerId, PaymentMethodId};
use crate::platforms::Mode;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(save, list))
        .routes(routes!(fetch))
        .routes(routes!(detach))
        .routes(routes!(client_action))
}

/// A payment method to be saved.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPaymentMethod, example = json!({"customer": "cst_01jd9z6x5sf1vb3vsy3p0gq6ra", "token": "pm_card_visa"}))]
struct NewMethodBody {
    /// Whose it is.
    customer: CustomerId,
    /// The provider's token of it. Never a card number.
    token: PaymentToken,
    /// Where the buyer comes back to from pages of its bank or the provider, https. Without it the buyer is not sent to any.
    return_url: Option<WebAddress>,
    #[serde(default)]
    metadata: Metadata,
}

/// What a buyer tells a card by.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = SavedCard)]
struct CardBody {
    #[schema(example = "visa")]
    brand: Option<String>,
    /// The last four digits.
    #[schema(example = "4242")]
    last4: String,
    /// The month in which it expires, from 1.
    expires_month: Option<i32>,
    /// The year in which it expires.
    expires_year: Option<i32>,
}

/// A buyer's payment method, saved at the provider.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PaymentMethod)]
struct MethodBody {
    /// Always `payment_method`.
    #[schema(value_type = String, example = "payment_method")]
    object: &'static str,
    id: PaymentMethodId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    customer: CustomerId,
    /// `processing`: the provider has not answered definitely; `requires_action`: the buyer has to do something
    /// (`GET ../client_action`); `saved`: it can be charged; `failed`: refused, final; `detached`: taken from its customer, final.
    #[schema(value_type = String, example = "saved")]
    status: &'static str,
    /// The provider's word for its type; null before it is saved.
    #[serde(rename = "type")]
    #[schema(example = "card")]
    kind: Option<String>,
    card: Option<CardBody>,
    /// `id`: the token that is charged.
    provider: ProviderRef,
    failure: Option<Failure>,
    #[schema(value_type = BTreeMap<String, String>)]
    metadata: serde_json::Value,
    created_at: Time,
    updated_at: Time,
}

impl MethodBody {
    fn show(mode: Mode, method: Method) -> Self {
        let looks = method.looks;
        let card = looks.last4.map(|last4| CardBody {
            brand: looks.brand,
            last4,
            expires_month: looks.expires_month,
            expires_year: looks.expires_year,
        });
        Self {
            object: "payment_method",
            id: method.id,
            mode: mode.as_str(),
            customer: method.customer,
            status: method.status.as_str(),
            kind: looks.kind,
            card,
            provider: ProviderRef { name: method.provider, id: method.provider_method },
            failure: method.failure.map(Failure::from),
            metadata: method.metadata,
            created_at: Time(method.created_at),
            updated_at: Time(method.updated_at),
        }
    }
}

/// The refusals of a method to be saved: those of commands, and 402.
struct SaveRefusals;

impl utoipa::IntoResponses for SaveRefusals {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let mut responses = CommandRefusals::responses();
        let refused = problem_response("Refused: `payment_method_refused`. `object` is the failed payment method.");
        responses.insert("402".to_owned(), RefOr::T(refused));
        responses
    }
}

/// Saves a buyer's payment method for later, also for payments while the buyer is away.
///
/// The buyer's bank may want the buyer to confirm it: then it is `requires_action`. Nothing is charged.
#[utoipa::path(
    post, path = "/v1/payment_methods", tag = "Customers", operation_id = "save_payment_method",
    request_body = NewMethodBody,
    params(("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters")),
    responses(
        (status = 201, description = "It is saved, or the buyer must act (`requires_action`)", body = MethodBody),
        (status = 202, description = "The provider has not answered definitely yet", body = MethodBody),
        SaveRefusals,
    ),
)]
async fn save(
    State(state): State<HttpState>,
    caller: Caller,
    input: Idempotent<NewMethodBody>,
) -> Result<Response, Problem> {
    caller.require("payments:write")?;
    let new = NewMethod {
        customer: input.body.customer,
        token: input.body.token.into_string(),
        return_url: input.body.return_url.map(WebAddress::into_string),
        metadata: input.body.metadata.into_json(),
    };
    let begun = customers::save(&state.app, caller.book, caller.actor, input.claim.clone(), new).await?;
    let id = match commands::drive(&state, &caller, begun, PaymentMethodId::uuid).await? {
        Progress::Answered(response) => return Ok(response),
        Progress::Read(id) => id,
    };
    let method = read(&state, &caller, id).await?;
    let (status, provider, refusal) = (method.status, method.provider.clone(), method.failure.clone());
    let body = MethodBody::show(caller.mode, method);
    let reply = match status {
        MethodStatus::Processing => Reply::Open(body),
        MethodStatus::RequiresAction | MethodStatus::Saved | MethodStatus::Detached => Reply::created(body),
        MethodStatus::Failed => {
            let mut problem = Problem::new(&problem_types::PAYMENT_METHOD_REFUSED);
            if let Some(refusal) = refusal {
                problem = problem.detail(refusal.message.clone()).provider(provider_problem(&provider, &refusal));
            }
            Reply::Refused(problem.object(serde_json::to_value(body).expect("texts and maps always serialise")))
        }
    };
    commands::answer(&state, &caller, Some(&input.claim), reply).await
}

async fn read(state: &HttpState, caller: &Caller, id: PaymentMethodId) -> Result<Method, Problem> {
    let found = state
        .app
        .db
        .read("get payment method", caller.scope(), move |tx| {
            Box::pin(async move { customers::find_method(tx, id).await })
        })
        .await?;
    found.ok_or_else(|| Problem::not_found("payment method"))
}

/// One saved payment method.
#[utoipa::path(
    get, path = "/v1/payment_methods/{id}", tag = "Customers", operation_id = "get_payment_method",
    params(("id" = PaymentMethodId, Path, description = "The payment method")),
    responses((status = 200, description = "The payment method", body = MethodBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<PaymentMethodId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<MethodBody>, Problem> {
    caller.require("payments:read")?;
    Ok(Json(MethodBody::show(caller.mode, read(&state, &caller, id).await?)))
}

/// No fields.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Takes a saved payment method from its customer, for good: it cannot be charged any more.
#[utoipa::path(
    post, path = "/v1/payment_methods/{id}/detach", tag = "Customers", operation_id = "detach_payment_method",
    params(
        ("id" = PaymentMethodId, Path, description = "The payment method"),
        ("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters"),
    ),
    responses(
        (status = 200, description = "It is detached", body = MethodBody),
        (status = 202, description = "The provider has not answered definitely yet", body = MethodBody),
        CommandRefusals,
    ),
)]
async fn detach(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<PaymentMethodId>,
    input: Idempotent<Nothing>,
) -> Result<Response, Problem> {
    caller.require("payments:write")?;
    let begun = customers::detach(&state.app, caller.book, caller.actor, input.claim.clone(), id).await?;
    let id = match commands::drive(&state, &caller, begun, PaymentMethodId::uuid).await? {
        Progress::Answered(response) => return Ok(response),
        Progress::Read(id) => id,
    };
    let refused = commands::was_refused(&state, &caller, id.uuid()).await?;
    let method = read(&state, &caller, id).await?;
    let status = method.status;
    let body = MethodBody::show(caller.mode, method);
    let reply = match status {
        MethodStatus::Detached => Reply::Done(StatusCode::OK, body),
        _ if refused => {
            let detail = format!("The provider refused to detach the payment method; it is still {}.", status.as_str());
            Reply::Refused(Problem::new(&problem_types::STATE_CONFLICT).detail(detail))
        }
        _ => Reply::Open(body),
    };
    commands::answer(&state, &caller, Some(&input.claim), reply).await
}

/// What the buyer has to do before a payment method is saved. Never stored; hand it to the buyer's browser and nobody else.
#[derive(Serialize, ToSchema)]
#[schema(as = PaymentMethodAction)]
struct ActionBody {
    /// Always `client_action`.
    #[schema(value_type = String, example = "client_action")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    payment_method: PaymentMethodId,
    /// `redirect`: send the buyer to `redirect_url`, from where it comes back to the `return_url`; `script`: give
    /// `client_secret` to the provider's script in the buyer's browser.
    #[schema(value_type = String, example = "redirect")]
    kind: &'static str,
    client_secret: String,
    redirect_url: Option<String>,
}

/// What the buyer of a payment method in `requires_action` has to do, such as to confirm at its bank.
///
/// The provider is asked, and what it says is taken: once the buyer is back the payment method is what it has become, whether or
/// not a webhook has come. Then this is a 409 that names its status.
#[utoipa::path(
    get, path = "/v1/payment_methods/{id}/client_action", tag = "Customers", operation_id = "get_payment_method_action",
    params(("id" = PaymentMethodId, Path, description = "The payment method")),
    responses((status = 200, description = "What the buyer has to do", body = ActionBody), CommandRefusals),
)]
async fn client_action(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<PaymentMethodId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<ActionBody>, Problem> {
    caller.require("payments:write")?;
    let action = events::method_action(&state.app, caller.book, id).await?;
    let method = read(&state, &caller, id).await?;
    let Some(action) = action.filter(|_| method.status == MethodStatus::RequiresAction) else {
        let detail = format!("The payment method is {}: its buyer has nothing to do.", method.status.as_str());
        return Err(Problem::new(&problem_types::STATE_CONFLICT).detail(detail));
    };
    Ok(Json(ActionBody {
        object: "client_action",
        mode: caller.mode.as_str(),
        payment_method: id,
        kind: if action.redirect_url.is_some() { "redirect" } else { "script" },
        client_secret: action.client_secret,
        redirect_url: action.redirect_url,
    }))
}

/// Filters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Any of these; may be repeated.
    #[serde(default)]
    #[param(example = json!(["saved"]))]
    status: Vec<String>,
    /// Of this customer.
    customer: Option<CustomerId>,
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Saved payment methods, newest first.
#[utoipa::path(
    get, path = "/v1/payment_methods", tag = "Customers", operation_id = "list_payment_methods",
    params(Filters),
    responses((status = 200, description = "A page of payment methods", body = List<MethodBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(filters): Query<Filters>,
) -> Result<Response, Problem> {
    caller.require("payments:read")?;
    known_words("status", &filters.status, |word| MethodStatus::parse(word).is_some())?;
    let bound = (&filters.status, &filters.customer);
    let page =
        cursor::page::<PaymentMethodId, _>("/v1/payment_methods", &bound, filters.limit, filters.cursor.as_deref())?;
    let limit = page.fetch_limit();
    let filter = MethodFilter { statuses: filters.status, customer: filters.customer, before: page.after };
    let rows = state
        .app
        .db
        .read("list payment methods", caller.scope(), move |tx| {
            let filter = filter.clone();
            Box::pin(async move { customers::list_methods(tx, &filter, limit).await })
        })
        .await?;
    Ok(page.list(rows, |method| method.id, |method| MethodBody::show(caller.mode, method)).respond(&uri))
}
