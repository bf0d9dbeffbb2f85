//! `/v1/operations`: durable commands towards the provider.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::Response;
use partita_db::DbError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::approvals::ApprovalBody;
use super::auth::Caller;
use super::cursor::{self, List};
use super::fields::Text;
use super::json::PathId;
use super::problem::Problem;
use super::query::{NoParameters, Query, known_words};
use super::render::{Failure, Refusals, Time};
use super::{HttpState, problem_types, story};
use crate::approvals::{self, Resolution};
use crate::id::{OperationId, public_id};
use crate::operations::{self, HistoryStep, Operation, OperationState};
use crate::platforms::Mode;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(fetch)).routes(routes!(resolve))
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
    /// again under the same key or looked up; `needs_review`: two people have to say what became of it; `succeeded` and
    /// `failed`: final.
    #[schema(value_type = String, example = "succeeded")]
    state: &'static str,
    /// How often it was sent or about to be.
    #[schema(example = 1)]
    attempts: i32,
    /// Counts the keys it was sent under: a new one is taken only when the provider had no trace of the one before.
    #[schema(example = 1)]
    generation: i32,
    /// Why two people have to decide; null unless they do or did.
    review_reason: Option<String>,
    /// The id of the object that the provider made.
    provider_object: Option<String>,
    /// Why the provider refused.
    failure: Option<Failure>,
    /// What happened last, for a person.
    last_error: Option<String>,
    /// When it is looked at again; null when it is final or people decide.
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
            generation: operation.generation,
            review_reason: operation.review_reason,
            provider_object: operation.provider_object,
            failure: operation.refusal.map(Failure::from),
            last_error: operation.last_error,
            next_attempt_at: operation.state.is_worked_on().then_some(Time(operation.next_attempt_at)),
            actor: operation.actor,
            created_at: Time(operation.created_at),
            updated_at: Time(operation.updated_at),
        }
    }
}

/// One step of an operation's life.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = OperationStep)]
struct StepBody {
    /// When, in business time.
    at: Time,
    /// Counts its steps, from 1.
    #[schema(example = 2)]
    step: i32,
    /// The state before; null for the first.
    #[schema(example = "submitting")]
    from: Option<String>,
    /// The state after.
    #[schema(example = "succeeded")]
    to: String,
    /// Which attempt.
    #[schema(example = 1)]
    attempt: i32,
    /// What happened, in plain words.
    #[schema(example = "The provider did it.")]
    text: String,
}

impl From<HistoryStep> for StepBody {
    fn from(step: HistoryStep) -> Self {
        Self {
            at: Time(step.at),
            step: step.step,
            text: story::of_operation(&step),
            from: step.from,
            to: step.to,
            attempt: step.attempt,
        }
    }
}

/// An operation with everything that happened to it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = OperationWithHistory)]
struct WithHistoryBody {
    #[serde(flatten)]
    operation: OperationBody,
    /// What happened to it, oldest first.
    history: Vec<StepBody>,
}

/// One operation, with its history.
#[utoipa::path(
    get, path = "/v1/operations/{id}", tag = "Operations", operation_id = "get_operation",
    params(("id" = OperationId, Path, description = "The operation")),
    responses((status = 200, description = "The operation", body = WithHistoryBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<OperationId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<WithHistoryBody>, Problem> {
    caller.require("payments:read")?;
    let (found, history) = state
        .app
        .db
        .read("get operation", caller.scope(), move |tx| {
            Box::pin(async move {
                Ok::<_, DbError>((operations::find(tx, id).await?, operations::list_history(tx, &[id]).await?))
            })
        })
        .await?;
    let operation = found.ok_or_else(|| Problem::not_found("operation"))?;
    Ok(Json(WithHistoryBody {
        operation: OperationBody::show(caller.mode, operation),
        history: history.into_iter().map(StepBody::from).collect(),
    }))
}

/// What became of an operation in `needs_review`, as somebody found out at the provider.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewResolution, example = json!({"outcome": "succeeded", "provider_object": "tr_1QMr0I2eZvKYlo2C", "reason": "seen in the dashboard"}))]
struct NewResolutionBody {
    outcome: OutcomeWord,
    /// The id of the object that the provider made; only with `succeeded`.
    provider_object: Option<Text<1, 255>>,
    /// How you know, for the one who approves and for the record.
    reason: Text<1, 1000>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ResolutionOutcome)]
enum OutcomeWord {
    /// The provider did it: its object is read and booked.
    Succeeded,
    /// It had no effect: what was booked when it was asked is undone.
    Failed,
}

impl NewResolutionBody {
    fn proposal(&self) -> Result<Resolution, Problem> {
        match (self.outcome, &self.provider_object) {
            (OutcomeWord::Succeeded, Some(id)) => Ok(Resolution::Succeeded { provider_object: id.as_str().to_owned() }),
            (OutcomeWord::Failed, None) => Ok(Resolution::Failed),
            (OutcomeWord::Succeeded, None) => Err(Problem::invalid_field(
                &["provider_object"],
                &problem_types::MISSING,
                "must name what the provider made",
            )),
            (OutcomeWord::Failed, Some(_)) => Err(Problem::invalid_field(
                &["provider_object"],
                &problem_types::NOT_ALLOWED,
                "must not stand beside the outcome failed",
            )),
        }
    }
}

/// Proposes what became of an operation in `needs_review`. Somebody else has to approve it.
#[utoipa::path(
    post, path = "/v1/operations/{id}/resolution", tag = "Operations", operation_id = "propose_resolution",
    params(("id" = OperationId, Path, description = "The operation")),
    request_body = NewResolutionBody,
    responses((status = 201, description = "The proposal, to be approved by somebody else", body = ApprovalBody), Refusals),
)]
async fn resolve(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<OperationId>,
    body: super::json::Json<NewResolutionBody>,
) -> Result<(StatusCode, Json<ApprovalBody>), Problem> {
    caller.require("approvals:write")?;
    let proposal = body.0.proposal()?;
    let reason = body.0.reason.into_string();
    let approval = approvals::propose(&state.app, caller.book, caller.actor, id, proposal, reason).await?;
    Ok((StatusCode::CREATED, Json(ApprovalBody::show(caller.mode, approval, state.app.clock.now()))))
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
    known_words("state", &filters.state, |word| OperationState::ALL.iter().any(|state| state.as_str() == word))?;
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
