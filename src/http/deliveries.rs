//! `/v1/deliveries` and `POST /v1/events/replay`: what became of each event, and having it again.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use partita_db::DbError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::auth::Caller;
use super::cursor::{self, List};
use super::json::{Json as Body, PathId};
use super::problem::Problem;
use super::query::{NoParameters, Query, known_words};
use super::render::{CommandRefusals, Refusals, Time};
use crate::id::{DeliveryId, EventId, WebhookEndpointId};
use crate::platforms::Mode;
use crate::webhook_endpoints::{self, Attempt, Delivery, DeliveryFilter, DeliveryStatus, Range};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(fetch)).routes(routes!(resend)).routes(routes!(replay))
}

/// One event on its way to one endpoint.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(super) struct DeliveryBody {
    /// Always `delivery`.
    #[schema(value_type = String, example = "delivery")]
    object: &'static str,
    id: DeliveryId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// Where to.
    endpoint: WebhookEndpointId,
    /// Of what; stands in the header `webhook-id`.
    event: EventId,
    #[schema(example = "payment.succeeded")]
    event_type: String,
    /// Why there is one: `event`, `resend`, `replay`, `test`.
    #[schema(value_type = String, example = "event")]
    reason: &'static str,
    /// `pending`, `sending`, `delivered`, `failed` (given up after ten attempts), `canceled` (the endpoint was deleted).
    #[schema(value_type = String, example = "delivered")]
    status: &'static str,
    /// How often it was tried.
    #[schema(example = 1)]
    attempt_count: i32,
    /// HTTP status of the last answer.
    #[schema(example = 204)]
    last_response_status: Option<u16>,
    /// Why there was no answer the last time.
    last_error: Option<String>,
    /// When it is tried again.
    next_attempt_at: Option<Time>,
    /// Each attempt, oldest first; shown for a single delivery only.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<AttemptBody>>,
    created_at: Time,
    updated_at: Time,
}

/// An attempt whose outcome is known.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = DeliveryAttempt)]
struct AttemptBody {
    /// From 1. A missing number is an attempt during which a process of ours died: it may have arrived.
    #[schema(example = 1)]
    number: i32,
    at: Time,
    /// How long it took, in milliseconds.
    #[schema(example = 83)]
    duration_ms: i32,
    /// HTTP status of the answer.
    #[schema(example = 204)]
    response_status: Option<u16>,
    /// The beginning of the answer, as its sender wrote it: do not take it for more than text.
    response_body: Option<String>,
    /// Why there was no answer.
    error: Option<String>,
}

impl From<Attempt> for AttemptBody {
    fn from(attempt: Attempt) -> Self {
        Self {
            number: attempt.number,
            at: Time(attempt.at),
            duration_ms: attempt.duration_ms,
            response_status: attempt.answer.as_ref().map(|answer| answer.status),
            response_body: attempt.answer.map(|answer| answer.body),
            error: attempt.error,
        }
    }
}

impl DeliveryBody {
    pub(super) fn show(mode: Mode, delivery: Delivery, attempts: Option<Vec<Attempt>>) -> Self {
        Self {
            object: "delivery",
            id: delivery.id,
            mode: mode.as_str(),
            endpoint: delivery.endpoint,
            event: delivery.event,
            event_type: delivery.event_type,
            reason: delivery.reason.as_str(),
            status: delivery.status.as_str(),
            attempt_count: delivery.attempt,
            last_response_status: delivery.last_status,
            last_error: delivery.last_error,
            next_attempt_at: delivery.next_attempt_at.map(Time),
            attempts: attempts.map(|attempts| attempts.into_iter().map(AttemptBody::from).collect()),
            created_at: Time(delivery.created_at),
            updated_at: Time(delivery.updated_at),
        }
    }
}

/// One delivery with its attempts.
#[utoipa::path(
    get, path = "/v1/deliveries/{id}", tag = "Webhooks out", operation_id = "get_delivery",
    params(("id" = DeliveryId, Path, description = "The delivery")),
    responses((status = 200, description = "The delivery", body = DeliveryBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<DeliveryId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<DeliveryBody>, Problem> {
    caller.require("webhooks:read")?;
    let found = state
        .app
        .db
        .read("get delivery", caller.scope(), move |tx| {
            Box::pin(async move {
                let found = webhook_endpoints::find_delivery(tx, id).await?;
                Ok::<_, DbError>((found, webhook_endpoints::attempts(tx, id).await?))
            })
        })
        .await?;
    let (Some(delivery), attempts) = found else { return Err(Problem::not_found("delivery")) };
    Ok(Json(DeliveryBody::show(caller.mode, delivery, Some(attempts))))
}

/// No fields.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ResendDelivery)]
struct ResendBody {}

/// Sends the event to the endpoint again, with the same `webhook-id`: a new delivery, tried as any other.
#[utoipa::path(
    post, path = "/v1/deliveries/{id}/resend", tag = "Webhooks out", operation_id = "resend_delivery",
    params(("id" = DeliveryId, Path, description = "The delivery")),
    request_body(content = Option<ResendBody>, description = "No body, or an empty object"),
    responses((status = 202, description = "The new delivery, on its way", body = DeliveryBody), CommandRefusals),
)]
async fn resend(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<DeliveryId>,
    Body(ResendBody {}): Body<ResendBody>,
) -> Result<(StatusCode, Json<DeliveryBody>), Problem> {
    caller.require("webhooks:write")?;
    let delivery = webhook_endpoints::resend(&state.app, caller.book, id, caller.actor).await?;
    Ok((StatusCode::ACCEPTED, Json(DeliveryBody::show(caller.mode, delivery, None))))
}

/// Which events to send again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReplayEvents, example = json!({"from": "2026-11-22T09:00:00Z", "before": "2026-11-22T12:00:00Z"}))]
struct ReplayBody {
    /// Events that happened at this time or later.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Events that happened earlier than this time.
    #[schema(value_type = String, format = DateTime)]
    before: Timestamp,
    /// To this endpoint only; to every one that is enabled when absent.
    endpoint: Option<WebhookEndpointId>,
}

/// What a replay came to.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = EventReplay)]
struct ReplayedBody {
    /// Always `event_replay`.
    #[schema(value_type = String, example = "event_replay")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// How many deliveries it made; they are on their way.
    #[schema(example = 212)]
    delivery_count: usize,
}

/// Sends the events of a range of time again to the endpoints that want them, with the same `webhook-id`s. At most 10,000
/// events and deliveries at once.
#[utoipa::path(
    post, path = "/v1/events/replay", tag = "Webhooks out", operation_id = "replay_events",
    request_body = ReplayBody,
    responses((status = 202, description = "They are on their way", body = ReplayedBody), CommandRefusals),
)]
async fn replay(
    State(state): State<HttpState>,
    caller: Caller,
    Body(body): Body<ReplayBody>,
) -> Result<(StatusCode, Json<ReplayedBody>), Problem> {
    caller.require("webhooks:write")?;
    let range = Range { from: body.from, before: body.before, endpoint: body.endpoint };
    let delivery_count = webhook_endpoints::replay(&state.app, caller.book, range, caller.actor).await?;
    Ok((
        StatusCode::ACCEPTED,
        Json(ReplayedBody { object: "event_replay", mode: caller.mode.as_str(), delivery_count }),
    ))
}

/// Filters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// To this endpoint only.
    endpoint: Option<WebhookEndpointId>,
    /// Of this event only.
    event: Option<EventId>,
    /// Any of these; may be repeated.
    #[serde(default)]
    #[param(example = json!(["failed"]))]
    status: Vec<String>,
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Deliveries, newest first.
#[utoipa::path(
    get, path = "/v1/deliveries", tag = "Webhooks out", operation_id = "list_deliveries",
    params(Filters),
    responses((status = 200, description = "A page of deliveries", body = List<DeliveryBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(filters): Query<Filters>,
) -> Result<Response, Problem> {
    caller.require("webhooks:read")?;
    known_words("status", &filters.status, |word| DeliveryStatus::parse(word).is_some())?;
    let bound_to = (filters.endpoint, filters.event, &filters.status);
    let page = cursor::page::<DeliveryId, _>("/v1/deliveries", &bound_to, filters.limit, filters.cursor.as_deref())?;
    let (after, limit) = (page.after, page.fetch_limit());
    let filter = DeliveryFilter { endpoint: filters.endpoint, event: filters.event, statuses: filters.status };
    let rows = state
        .app
        .db
        .read("list deliveries", caller.scope(), move |tx| {
            let filter = filter.clone();
            Box::pin(async move { webhook_endpoints::list_deliveries(tx, &filter, after, limit).await })
        })
        .await?;
    let show = |delivery| DeliveryBody::show(caller.mode, delivery, None);
    Ok(page.list(rows, |delivery: &Delivery| delivery.id, show).respond(&uri))
}
