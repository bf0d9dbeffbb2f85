//! The control calls over HTTP, as JSON below `/_control`. Nobody is asked for a key: the simulator belongs on a
//! loopback address.

use std::future::Future;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::control::{Control, ControlError, NewEndpoint};
use crate::control_disputes::NewDispute;
use crate::faults::{Fault, FaultPlan};
use crate::settings::Settings;

/// The routes.
pub(crate) fn routes(control: Control) -> Router {
    Router::new()
        .route("/_control/clock", get(clock).put(set_clock))
        .route("/_control/clock/advance", post(advance))
        .route("/_control/endpoints", get(endpoints).post(register))
        .route("/_control/endpoints/{id}", delete(remove))
        .route("/_control/webhooks", get(deliveries))
        .route("/_control/webhooks/flush", post(flush))
        .route("/_control/events/{id}/resend", post(resend))
        .route("/_control/settings", get(settings).put(set_settings))
        .route("/_control/accounts/{id}/complete", post(complete))
        .route("/_control/payouts", post(create_payout))
        .route("/_control/payouts/{id}/fail", post(fail_payout))
        .route("/_control/payouts/{id}/cancel", post(cancel_payout))
        .route("/_control/refunds/{id}/fail", post(fail_refund))
        .route("/_control/topups/{id}/fail", post(fail_topup))
        .route("/_control/payments/{id}/authenticate", post(authenticate))
        .route("/_control/payments/{id}/fail", post(fail_payment))
        .route("/_control/setups/{id}/authenticate", post(authenticate_setup))
        .route("/_control/disputes", post(open_dispute))
        .route("/_control/disputes/{id}/decide", post(decide_dispute))
        .route("/_control/faults", post(plan_fault).delete(clear_faults))
        .route("/_control/fault_plan", get(fault_plan).put(set_fault_plan).delete(clear_faults))
        .route("/_control/effects", get(effects))
        .route("/_control/books", get(books))
        .route("/_control/reset", post(reset))
        .with_state(control)
}

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Refused(_) => StatusCode::CONFLICT,
            Self::Database(error) => {
                tracing::error!(%error, "a control call failed");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        (status, Json(json!({ "error": self.to_string() }))).into_response()
    }
}

/// Runs a call to its end even when the caller goes away: a database transaction must not be left open.
async fn finish<T: Serialize + Send + 'static>(
    call: impl Future<Output = Result<T, ControlError>> + Send + 'static,
) -> Response {
    match tokio::spawn(call).await {
        Ok(Ok(value)) => Json(value).into_response(),
        Ok(Err(error)) => error.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn clock_body(control: &Control) -> Value {
    json!({ "now": control.now(), "mode": if control.clock_is_driven() { "manual" } else { "system" } })
}

async fn clock(State(control): State<Control>) -> Json<Value> {
    Json(clock_body(&control))
}

#[derive(Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
enum ClockRequest {
    System,
    Manual { now: i64 },
}

async fn set_clock(State(control): State<Control>, Json(request): Json<ClockRequest>) -> Response {
    finish(async move {
        match request {
            ClockRequest::System => control.use_system_clock().await?,
            ClockRequest::Manual { now } => control.set_time(now).await?,
        };
        Ok(clock_body(&control))
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    seconds: i64,
}

async fn advance(State(control): State<Control>, Json(request): Json<Advance>) -> Response {
    finish(async move {
        control.advance(request.seconds).await?;
        Ok(clock_body(&control))
    })
    .await
}

async fn endpoints(State(control): State<Control>) -> Response {
    Json(control.endpoints()).into_response()
}

async fn register(State(control): State<Control>, Json(request): Json<NewEndpoint>) -> Response {
    finish(async move { control.register_endpoint(request).await }).await
}

async fn remove(State(control): State<Control>, Path(id): Path<String>) -> Response {
    finish(async move { Ok(json!({ "removed": control.remove_endpoint(&id).await? })) }).await
}

async fn deliveries(State(control): State<Control>) -> Response {
    finish(async move { control.deliveries().await }).await
}

async fn flush(State(control): State<Control>) -> Response {
    finish(async move { control.flush_webhooks().await }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resend {
    #[serde(default = "once")]
    times: u32,
}

fn once() -> u32 {
    1
}

async fn resend(State(control): State<Control>, Path(id): Path<String>, Json(request): Json<Resend>) -> Response {
    finish(async move { Ok(json!({ "planned": control.resend(&id, request.times).await? })) }).await
}

async fn settings(State(control): State<Control>) -> Json<Settings> {
    Json(control.settings())
}

async fn set_settings(State(control): State<Control>, Json(request): Json<Settings>) -> Response {
    finish(async move {
        control.set_settings(request).await?;
        Ok(control.settings())
    })
    .await
}

async fn complete(State(control): State<Control>, Path(id): Path<String>) -> Response {
    finish(async move { control.complete_onboarding(&id).await }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PayoutRequest {
    account: Option<String>,
    amount: i64,
    currency: String,
}

async fn create_payout(State(control): State<Control>, Json(request): Json<PayoutRequest>) -> Response {
    finish(async move {
        control.create_payout(request.account.as_deref(), request.amount, &request.currency.to_lowercase()).await
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Failure {
    code: String,
}

async fn fail_payout(State(control): State<Control>, Path(id): Path<String>, Json(failure): Json<Failure>) -> Response {
    finish(async move { control.fail_payout(&id, &failure.code).await }).await
}

async fn cancel_payout(State(control): State<Control>, Path(id): Path<String>) -> Response {
    finish(async move { control.cancel_payout(&id).await }).await
}

async fn fail_refund(State(control): State<Control>, Path(id): Path<String>, Json(failure): Json<Failure>) -> Response {
    finish(async move { control.fail_refund(&id, &failure.code).await }).await
}

async fn fail_topup(State(control): State<Control>, Path(id): Path<String>, Json(failure): Json<Failure>) -> Response {
    finish(async move { control.fail_topup(&id, &failure.code).await }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Authentication {
    succeeds: bool,
}

async fn authenticate(
    State(control): State<Control>,
    Path(id): Path<String>,
    Json(request): Json<Authentication>,
) -> Response {
    finish(async move { control.authenticate(&id, request.succeeds).await }).await
}

async fn authenticate_setup(
    State(control): State<Control>,
    Path(id): Path<String>,
    Json(request): Json<Authentication>,
) -> Response {
    finish(async move { control.authenticate_setup(&id, request.succeeds).await }).await
}

async fn fail_payment(
    State(control): State<Control>,
    Path(id): Path<String>,
    Json(failure): Json<Failure>,
) -> Response {
    finish(async move { control.fail_payment(&id, &failure.code).await }).await
}

async fn open_dispute(State(control): State<Control>, Json(request): Json<NewDispute>) -> Response {
    finish(async move { control.open_dispute(request).await }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DecisionRequest {
    outcome: String,
}

async fn decide_dispute(
    State(control): State<Control>,
    Path(id): Path<String>,
    Json(request): Json<DecisionRequest>,
) -> Response {
    finish(async move { control.decide_dispute(&id, &request.outcome).await }).await
}

async fn plan_fault(State(control): State<Control>, Json(fault): Json<Fault>) -> StatusCode {
    control.plan_fault(fault);
    StatusCode::NO_CONTENT
}

async fn fault_plan(State(control): State<Control>) -> Json<FaultPlan> {
    Json(control.fault_plan())
}

async fn set_fault_plan(State(control): State<Control>, Json(plan): Json<FaultPlan>) -> Response {
    match control.set_fault_plan(plan) {
        Ok(()) => Json(control.fault_plan()).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn clear_faults(State(control): State<Control>) -> StatusCode {
    control.clear_faults();
    StatusCode::NO_CONTENT
}

async fn effects(State(control): State<Control>) -> Response {
    finish(async move { control.effects().await }).await
}

async fn books(State(control): State<Control>) -> Response {
    finish(async move { Ok(json!({ "breaks": control.check_books().await? })) }).await
}

async fn reset(State(control): State<Control>) -> Response {
    finish(async move {
        control.reset().await?;
        Ok(json!({ "reset": true }))
    })
    .await
}
