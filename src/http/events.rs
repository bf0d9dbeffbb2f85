//! `/v1/events`: what happened, for those who missed it.

use axum::extract::{OriginalUri, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::auth::Caller;
use super::cursor::{self, List};
use super::health::API_VERSION;
use super::problem::Problem;
use super::query::Query;
use super::render::{Refusals, Time};
use crate::id::EventId;
use crate::outbox::{self, Event};
use crate::platforms::Mode;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// The object of an event.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = EventData)]
struct DataBody {
    /// The object as it was after the change, in short; read it by its id for the rest.
    #[schema(value_type = Object, example = json!({"object": "payment", "id": "pay_01jd9z8p3hfh7s4k2n0q5r6t7v", "status": "succeeded"}))]
    object: serde_json::Value,
    /// What the fields that changed were before; null for the first event of an object.
    #[schema(value_type = Option<Object>, example = json!({"status": "processing"}))]
    previous: Option<serde_json::Value>,
}

/// Something that happened, as it is listed and as it is sent to webhook endpoints.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Event)]
struct EventBody {
    /// Always `event`.
    #[schema(value_type = String, example = "event")]
    object: &'static str,
    id: EventId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(example = "payment.succeeded")]
    kind: String,
    timestamp: Time,
    /// The dated version of the interface that `data` is in.
    #[schema(value_type = String, example = "2026-11-22")]
    api_version: &'static str,
    /// Counts the changes of this object, from 1, without gaps: order by it, never by arrival.
    #[schema(example = 2)]
    sequence: i32,
    data: DataBody,
}

impl EventBody {
    fn show(mode: Mode, event: Event) -> Self {
        Self {
            object: "event",
            id: event.id,
            mode: mode.as_str(),
            kind: event.event_type,
            timestamp: Time(event.occurred_at),
            api_version: API_VERSION,
            sequence: event.sequence,
            data: DataBody { object: event.payload, previous: event.previous },
        }
    }
}

/// Filters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Of this type only.
    #[serde(rename = "type")]
    #[param(example = "payment.succeeded")]
    kind: Option<String>,
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Events, newest first.
#[utoipa::path(
    get, path = "/v1/events", tag = "Events", operation_id = "list_events",
    params(Filters),
    responses((status = 200, description = "A page of events", body = List<EventBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(filters): Query<Filters>,
) -> Result<Response, Problem> {
    caller.require("events:read")?;
    let page = cursor::page::<EventId, _>("/v1/events", &filters.kind, filters.limit, filters.cursor.as_deref())?;
    let (after, limit, kind) = (page.after, page.fetch_limit(), filters.kind);
    let rows = state
        .app
        .db
        .read("list events", caller.scope(), move |tx| {
            let kind = kind.clone();
            Box::pin(async move { outbox::list_events(tx, kind.as_deref(), after, limit).await })
        })
        .await?;
    Ok(page.list(rows, |event| event.id, |event| EventBody::show(caller.mode, event)).respond(&uri))
}
