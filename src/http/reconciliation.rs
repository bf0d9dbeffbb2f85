//! `/v1/reconciliation/..`: ledger and provider, compared one to one.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::Response;
use partita_db::DbError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::auth::Caller;
use super::cursor::{self, List};
use super::fields::currency_schema;
use super::json::{Json as Body, PathId};
use super::problem::Problem;
use super::query::{NoParameters, Query};
use super::render::{CommandRefusals, Refusals, Time};
use crate::id::{BreakId, RunId};
use crate::platforms::Mode;
use crate::reconciliation::{self, Break, Run};

/// How long a request waits for its run before it is answered 202.
const WAIT: Duration = Duration::from_secs(20);

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(standing))
        .routes(routes!(create, list))
        .routes(routes!(fetch))
        .routes(routes!(list_breaks))
}

/// Where the comparison of the ledger with the provider stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Reconciliation)]
struct StandingBody {
    /// Always `reconciliation`.
    #[schema(value_type = String, example = "reconciliation")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// What the provider had moved until then is compared, of every account that moved; null before the first run that
    /// succeeded.
    reconciled_through: Option<Time>,
    /// Differences that stand, each of which an event told of.
    #[schema(example = 0)]
    open_breaks: i64,
}

/// A comparison of the ledger with the provider.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ReconciliationRun)]
struct RunBody {
    /// Always `reconciliation_run`.
    #[schema(value_type = String, example = "reconciliation_run")]
    object: &'static str,
    id: RunId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// `running`; `succeeded`: everything was compared; `failed`: it could not be finished and says nothing.
    #[schema(value_type = String, example = "succeeded")]
    status: &'static str,
    /// `complete`: every account, its whole history; `recent`: the accounts that moved, from two days before they were last
    /// compared.
    #[schema(value_type = String, example = "complete")]
    scope: &'static str,
    /// Whether it was made by schedule.
    scheduled: bool,
    /// How many accounts at the provider were compared, the platform's own among them.
    #[schema(example = 5)]
    accounts: i32,
    /// The provider's balance transactions that agree with the ledger, one to one.
    #[schema(example = 212)]
    matched: i64,
    /// Those of which the ledger learnt by this run.
    #[schema(example = 0)]
    adopted: i64,
    /// How many differences remain; `breaks` has them.
    #[schema(example = 0)]
    break_count: i32,
    /// The first 100 differences; the list of breaks has all.
    breaks: Vec<BreakBody>,
    /// The ledger's position when the balances were compared.
    #[schema(value_type = Option<String>, example = "1:523,2:88")]
    position: Option<serde_json::Value>,
    /// What the provider had moved until then is compared; null unless the run succeeded.
    reconciled_through: Option<Time>,
    /// The compared balances, per account, state and currency; of more than 200 accounts the first ones and those that
    /// differ.
    #[schema(value_type = Vec<Object>)]
    balances: serde_json::Value,
    /// Why it failed.
    error: Option<String>,
    /// Who asked: a key's id, or `system`.
    #[schema(example = "system")]
    actor: String,
    created_at: Time,
    finished_at: Option<Time>,
}

/// A difference between ledger and provider. Never adjusted: it stays until its cause is gone.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ReconciliationBreak)]
struct BreakBody {
    /// Always `reconciliation_break`.
    #[schema(value_type = String, example = "reconciliation_break")]
    object: &'static str,
    id: BreakId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// The run that found it.
    run: RunId,
    /// What kind of difference: `missing_in_ledger`, `missing_at_provider`, `amount_mismatch`, `currency_mismatch`,
    /// `fee_mismatch`, `timing`, `duplicate`, `balance_mismatch`.
    #[schema(value_type = String, example = "amount_mismatch")]
    kind: &'static str,
    /// The connected account's id at the provider; null for the platform's own.
    provider_account: Option<String>,
    /// The provider's balance transaction; null when a balance as a whole differs.
    provider_movement: Option<String>,
    #[schema(schema_with = currency_schema)]
    currency: String,
    /// What the ledger has; minor units.
    ledger_amount: Option<i64>,
    /// What the provider has; minor units.
    provider_amount: Option<i64>,
    /// In words.
    detail: String,
    created_at: Time,
}

impl BreakBody {
    fn show(mode: Mode, found: Break) -> Self {
        Self {
            object: "reconciliation_break",
            id: found.id,
            mode: mode.as_str(),
            run: found.run,
            kind: found.kind.as_str(),
            provider_account: Some(found.account).filter(|account| !account.is_empty()),
            provider_movement: found.movement,
            currency: found.currency,
            ledger_amount: found.ledger_amount,
            provider_amount: found.provider_amount,
            detail: found.detail,
            created_at: Time(found.created_at),
        }
    }
}

impl RunBody {
    fn show(mode: Mode, run: Run, breaks: Vec<Break>) -> Self {
        Self {
            object: "reconciliation_run",
            id: run.id,
            mode: mode.as_str(),
            status: run.status.as_str(),
            scope: run.scope.as_str(),
            scheduled: run.scheduled,
            accounts: run.accounts,
            matched: run.matched,
            adopted: run.adopted,
            break_count: run.breaks,
            breaks: breaks.into_iter().map(|found| BreakBody::show(mode, found)).collect(),
            position: run.ledger_position,
            reconciled_through: run.reconciled_through.map(Time),
            balances: run.balances,
            error: run.error,
            actor: run.created_by,
            created_at: Time(run.created_at),
            finished_at: run.finished_at.map(Time),
        }
    }
}

/// No fields.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewReconciliationRun)]
struct NewRunBody {}

/// Compares every balance transaction of the provider, of the platform and of each connected account, with the ledger.
///
/// Waits for up to 20 seconds; 202 with the running run when it takes longer.
#[utoipa::path(
    post, path = "/v1/reconciliation/runs", tag = "Reconciliation", operation_id = "create_reconciliation_run",
    request_body(content = Option<NewRunBody>, description = "No body, or an empty object"),
    responses(
        (status = 201, description = "The finished run", body = RunBody),
        (status = 202, description = "The run goes on", body = RunBody),
        CommandRefusals,
    ),
)]
async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    Body(NewRunBody {}): Body<NewRunBody>,
) -> Result<(StatusCode, Json<RunBody>), Problem> {
    caller.require("reconciliation:write")?;
    let (app, book, actor) = (Arc::clone(&state.app), caller.book, caller.actor);
    let id = reconciliation::start(&app, book, actor).await?;
    let running = tokio::spawn(async move { reconciliation::finish(&app, book, id).await });
    // The run goes on when the waiting ends: dropping a join handle detaches its task.
    match tokio::time::timeout(WAIT, running).await {
        Ok(Ok(run)) => Ok((StatusCode::CREATED, Json(read(&state, &caller, run?.id).await?))),
        Ok(Err(panicked)) => Err(Problem::internal(&panicked)),
        Err(_) => Ok((StatusCode::ACCEPTED, Json(read(&state, &caller, id).await?))),
    }
}

/// Up to when everything is compared, and how much differs.
#[utoipa::path(
    get, path = "/v1/reconciliation", tag = "Reconciliation", operation_id = "get_reconciliation",
    responses((status = 200, description = "Where it stands", body = StandingBody), Refusals),
)]
async fn standing(
    State(state): State<HttpState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<StandingBody>, Problem> {
    caller.require("reconciliation:read")?;
    let found = state
        .app
        .db
        .read("reconciliation's standing", caller.scope(), |tx| {
            Box::pin(async move { reconciliation::standing(tx).await })
        })
        .await?;
    Ok(Json(StandingBody {
        object: "reconciliation",
        mode: caller.mode.as_str(),
        reconciled_through: found.reconciled_through.map(Time),
        open_breaks: found.open_breaks,
    }))
}

/// One run with its breaks.
#[utoipa::path(
    get, path = "/v1/reconciliation/runs/{id}", tag = "Reconciliation", operation_id = "get_reconciliation_run",
    params(("id" = RunId, Path, description = "The run")),
    responses((status = 200, description = "The run", body = RunBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<RunId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<RunBody>, Problem> {
    caller.require("reconciliation:read")?;
    Ok(Json(read(&state, &caller, id).await?))
}

async fn read(state: &HttpState, caller: &Caller, id: RunId) -> Result<RunBody, Problem> {
    let found = state
        .app
        .db
        .read("get reconciliation run", caller.scope(), move |tx| {
            Box::pin(async move {
                let Some(run) = reconciliation::find(tx, id).await? else { return Ok(None) };
                let breaks = reconciliation::list_breaks(tx, id, None, i64::from(cursor::MOST_LIMIT)).await?;
                Ok::<_, DbError>(Some((run, breaks)))
            })
        })
        .await?;
    let (run, breaks) = found.ok_or_else(|| Problem::not_found("reconciliation run"))?;
    Ok(RunBody::show(caller.mode, run, breaks))
}

/// Pages of runs and of breaks.
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

/// Runs, newest first, without their breaks.
#[utoipa::path(
    get, path = "/v1/reconciliation/runs", tag = "Reconciliation", operation_id = "list_reconciliation_runs",
    params(Pages),
    responses((status = 200, description = "A page of runs", body = List<RunBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(pages): Query<Pages>,
) -> Result<Response, Problem> {
    caller.require("reconciliation:read")?;
    let page = cursor::page::<RunId, _>("/v1/reconciliation/runs", &(), pages.limit, pages.cursor.as_deref())?;
    let (after, limit) = (page.after, page.fetch_limit());
    let rows = state
        .app
        .db
        .read("list reconciliation runs", caller.scope(), move |tx| {
            Box::pin(async move { reconciliation::list(tx, after, limit).await })
        })
        .await?;
    Ok(page.list(rows, |run| run.id, |run| RunBody::show(caller.mode, run, Vec::new())).respond(&uri))
}

/// What a run found, in the order it was found.
#[utoipa::path(
    get, path = "/v1/reconciliation/runs/{id}/breaks", tag = "Reconciliation", operation_id = "list_reconciliation_breaks",
    params(("id" = RunId, Path, description = "The run"), Pages),
    responses((status = 200, description = "A page of breaks", body = List<BreakBody>), Refusals),
)]
async fn list_breaks(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<RunId>,
    OriginalUri(uri): OriginalUri,
    Query(pages): Query<Pages>,
) -> Result<Response, Problem> {
    caller.require("reconciliation:read")?;
    let page = cursor::page::<BreakId, _>("/v1/reconciliation/breaks", &id, pages.limit, pages.cursor.as_deref())?;
    let (after, limit) = (page.after, page.fetch_limit());
    let found = state
        .app
        .db
        .read("list breaks", caller.scope(), move |tx| {
            Box::pin(async move {
                if reconciliation::find(tx, id).await?.is_none() {
                    return Ok(None);
                }
                Ok::<_, DbError>(Some(reconciliation::list_breaks(tx, id, after, limit).await?))
            })
        })
        .await?;
    let rows = found.ok_or_else(|| Problem::not_found("reconciliation run"))?;
    Ok(page.list(rows, |found| found.id, |found| BreakBody::show(caller.mode, found)).respond(&uri))
}
