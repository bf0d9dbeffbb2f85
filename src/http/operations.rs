//! `/v1/operations`: durable commands towards the provider.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::HttpState;
use super::auth::Caller;
use super::cursor::{self, List};
use super::json::PathId;
use super::problem::Problem;
use super::query::{NoParameters, Query, known_words};
use super::render::{Failure, Refusals, Time};
use crate::id::{OperationId, PaymentId, PayoutId, RefundId, ReversalId, SellerId, TopUpId, TransferId};
use crate::operations::{self, Operation};
use crate::platforms::Mode;

/// The words of [`crate::operations::OperationState`].
const STATES: &[&str] = &["planned", "submitting", "succeeded", "failed", "unknown"];

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(fetch))
}

/// The public id of an object that a row names by type and UUID.
pub(super) fn public_id(object_type: &str, id: Uuid) -> String {
    match object_type {
        "payment" => PaymentId::from(id).to_string(),
        "refund" => RefundId::from(id).to_string(),
        "transfer" => TransferId::from(id).to_string(),
        "reversal" => ReversalId::from(id).to_string(),
        "top_up" => TopUpId::from(id).to_string(),
        "payout" => PayoutId::from(id).to_string(),
        "seller" => SellerId::from(id).to_string(),
        // A type that this release does not know: shown as it is stored.
        _ => id.to_string(),
    }
}

/// What an operation is about.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = OperationTarget)]
struct TargetBody {
    /// The resource.
    #[schema(example = "payment")]
    object: String,
    /// Its id.
    #[schema(example = "pay_01jd9z8p3hfh7s4k2n0q5r6t7v")]
    id: String,
}

/// A command towards the provider: intent and bytes are stored before it is sent.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Operation)]
struct OperationBody {
    /// Always `operation`.
    #[schema(value_type = String, example = "operation")]
    object: &'static str,
    id: OperationId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// What is asked: `create_payment`, `create_transfer` ..
    #[schema(example = "create_payment")]
    kind: String,
    target: TargetBody,
    /// `planned`: not sent; `submitting`: being sent; `unknown`: nobody can tell whether it had an effect, it is sent
    /// again under the same key; `succeeded` and `failed`: final.
    #[schema(value_type = String, example = "succeeded")]
    state: &'static str,
    /// How often it was sent or about to be.
    #[schema(example = 1)]
    attempts: i32,
    /// The id of the object that the provider made.
    provider_object: Option<String>,
    /// Why the provider refused.
    failure: Option<Failure>,
    /// What happened last, for a person.
    last_error: Option<String>,
    /// When it is looked at again; null when it is final.
    next_attempt_at: Option<Time>,
    /// Who asked: a key's id, or `system`.
    #[schema(example = "key_01jd9z6x5sf1vb3vsy3p0gq6ra")]
    actor: String,
    created_at: Time,
    updated_at: Time,
}

impl OperationBody {
    fn show(mode: Mode, operation: Operation) -> Self {
        let target = public_id(&operation.object_type, operation.object_id);
        Self {
            object: "operation",
            id: operation.id,
            mode: mode.as_str(),
            kind: operation.kind,
            target: TargetBody { object: operation.object_type, id: target },
            state: operation.state.as_str(),
            attempts: operation.attempt,
            provider_object: operation.provider_object,
            failure: operation.refusal.map(Failure::from),
            last_error: operation.last_error,
            next_attempt_at: (!operation.state.is_final()).then_some(Time(operation.next_attempt_at)),
            actor: operation.actor,
            created_at: Time(operation.created_at),
            updated_at: Time(operation.updated_at),
        }
    }
}

/// One operation.
#[utoipa::path(
    get, path = "/v1/operations/{id}", tag = "Operations", operation_id = "get_operation",
    params(("id" = OperationId, Path, description = "The operation")),
    responses((status = 200, description = "The operation", body = OperationBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<OperationId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<OperationBody>, Problem> {
    caller.require("payments:read")?;
    let found = state
        .app
        .db
        .read("get operation", caller.scope(), move |tx| Box::pin(async move { operations::find(tx, id).await }))
        .await?;
    found
        .map(|operation| Json(OperationBody::show(caller.mode, operation)))
        .ok_or_else(|| Problem::not_found("operation"))
}

/// Filters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Any of these; may be repeated.
    #[serde(default)]
    #[param(example = json!(["unknown"]))]
    state: Vec<String>,
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Operations, newest first.
#[utoipa::path(
    get, path = "/v1/operations", tag = "Operations", operation_id = "list_operations",
    params(Filters),
    responses((status = 200, description = "A page of operations", body = List<OperationBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(filters): Query<Filters>,
) -> Result<Response, Problem> {
    caller.require("payments:read")?;
    known_words("state", &filters.state, |word| STATES.contains(&word))?;
    let page =
        cursor::page::<OperationId, _>("/v1/operations", &filters.state, filters.limit, filters.cursor.as_deref())?;
    let (after, limit, states) = (page.after, page.fetch_limit(), filters.state);
    let rows = state
        .app
        .db
        .read("list operations", caller.scope(), move |tx| {
            let states = states.clone();
            Box::pin(async move { operations::list(tx, &states, after, limit).await })
        })
        .await?;
    let show = |operation| OperationBody::show(caller.mode, operation);
    Ok(page.list(rows, |operation| operation.id, show).respond(&uri))
}
