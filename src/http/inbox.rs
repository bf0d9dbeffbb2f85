//! `/v1/inbox`: what the provider told, and what became of it.

use std::str::FromStr;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use jiff::Timestamp;
use partita_webhooks::inbox::{self, InboxCursor, InboxError, InboxEventDetail, InboxKey, InboxState, InboxSummary};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::cursor::{self, List};
use super::fields::Text;
use super::json::{self, PathId};
use super::problem::Problem;
use super::query::{NoParameters, Query, known_words};
use super::render::{Refusals, Time};
use super::{HttpState, problem_types};
use crate::platforms::Mode;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(fetch)).routes(routes!(replay))
}

/// An event that the provider told of.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = InboxEvent)]
struct EventBody {
    /// Always `inbox_event`.
    #[schema(value_type = String, example = "inbox_event")]
    object: &'static str,
    /// The provider's id of it.
    #[schema(example = "evt_1QMr0I2eZvKYlo2C1fYbUl4x")]
    id: String,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// The provider's name.
    #[schema(example = "stripe")]
    provider: String,
    /// The connected account that it came from; null for the platform's own.
    account: Option<String>,
    /// The provider's word for what happened.
    #[serde(rename = "type")]
    #[schema(example = "charge.succeeded")]
    kind: String,
    /// `received`: not looked at yet; `applied`: what it tells of is booked; `parked`: tried again later; `ignored`:
    /// nothing of ours, or of a type without meaning here; `quarantined`: a person has to look, then replay it.
    #[schema(value_type = String, example = "applied")]
    state: &'static str,
    /// How often it was tried without success.
    #[schema(example = 0)]
    attempts: i32,
    /// Why it was parked or quarantined the last time.
    last_error: Option<String>,
    /// When it happened, by the provider's clock.
    happened_at: Time,
    /// When it was stored.
    received_at: Time,
    /// When what it tells of was booked.
    applied_at: Option<Time>,
}

impl EventBody {
    fn show(mode: Mode, event: InboxSummary) -> Self {
        Self {
            object: "inbox_event",
            id: event.key.event_id,
            mode: mode.as_str(),
            provider: event.key.provider,
            account: Some(event.key.account).filter(|account| !account.is_empty()),
            kind: event.kind,
            state: event.state.as_str(),
            attempts: event.attempts,
            last_error: event.last_error,
            happened_at: Time(event.created_at),
            received_at: Time(event.received_at),
            applied_at: event.applied_at.map(Time),
        }
    }
}

/// An event with the body that the provider sent.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = InboxEventWithBody)]
struct WithBody {
    #[serde(flatten)]
    event: EventBody,
    /// The body as it came, card numbers masked; null where it is no JSON.
    #[schema(value_type = Option<Object>)]
    body: Option<serde_json::Value>,
    /// Whether a card number was masked.
    masked: bool,
    /// When it is tried again; null where it is not.
    next_attempt_at: Option<Time>,
}

impl WithBody {
    fn show(mode: Mode, detail: InboxEventDetail) -> Self {
        let is_open = matches!(detail.summary.state, InboxState::Received | InboxState::Parked);
        Self {
            next_attempt_at: is_open.then_some(Time(detail.next_attempt_at)),
            body: serde_json::from_slice(&detail.raw).ok(),
            masked: detail.masked,
            event: EventBody::show(mode, detail.summary),
        }
    }
}

/// A place in the list, as its cursor holds it.
struct Position(InboxCursor);

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let InboxCursor { received_at, key } = &self.0;
        write!(f, "{received_at}\n{}\n{}\n{}", key.provider, key.account, key.event_id)
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let parts: Vec<&str> = text.splitn(4, '\n').collect();
        let [received_at, provider, account, event_id] = parts.as_slice() else { return Err(()) };
        let key = InboxKey {
            provider: (*provider).to_owned(),
            account: (*account).to_owned(),
            event_id: (*event_id).to_owned(),
        };
        let received_at = received_at.parse::<Timestamp>().map_err(drop)?;
        Ok(Self(InboxCursor { received_at, key }))
    }
}

/// Filters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Only events in this state.
    #[param(example = "quarantined")]
    state: Option<String>,
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// What the provider told, the last received first.
#[utoipa::path(
    get, path = "/v1/inbox", tag = "Inbox", operation_id = "list_inbox",
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
    known_words("state", filters.state.as_slice(), |word| InboxState::parse(word).is_some())?;
    let wanted = filters.state.as_deref().and_then(InboxState::parse);
    let page = cursor::page::<Position, _>("/v1/inbox", &filters.state, filters.limit, filters.cursor.as_deref())?;
    let (after, limit) = (page.after.as_ref().map(|position| position.0.clone()), page.fetch_limit());
    let rows = state
        .app
        .db
        .read("list inbox", caller.scope(), move |tx| {
            let after = after.clone();
            Box::pin(async move { inbox::list(tx, wanted, after.as_ref(), limit).await })
        })
        .await?;
    let show = |event| EventBody::show(caller.mode, event);
    Ok(page.list(rows, |event| Position(event.cursor()), show).respond(&uri))
}

/// One event, with the body that the provider sent.
#[utoipa::path(
    get, path = "/v1/inbox/{id}", tag = "Inbox", operation_id = "get_inbox_event",
    params(("id" = String, Path, description = "The provider's id of the event")),
    responses((status = 200, description = "The event", body = WithBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<String>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<WithBody>, Problem> {
    caller.require("events:read")?;
    let event = read(&state, &caller, id, None).await?;
    Ok(Json(WithBody::show(caller.mode, event)))
}

async fn read(
    state: &HttpState,
    caller: &Caller,
    id: String,
    account: Option<&str>,
) -> Result<InboxEventDetail, Problem> {
    let mut found = state
        .app
        .db
        .read("get inbox event", caller.scope(), move |tx| {
            let id = id.clone();
            Box::pin(async move { inbox::find(tx, &id).await })
        })
        .await?;
    if let Some(account) = account {
        found.retain(|event| event.summary.key.account == account);
    }
    match (found.pop(), found.is_empty()) {
        (Some(event), true) => Ok(event),
        (Some(_), false) => Err(Problem::invalid_field(
            &["account"],
            &problem_types::MISSING,
            "several accounts have an event with this id: name the one that is meant",
        )),
        (None, _) => Err(Problem::not_found("inbox event")),
    }
}

/// Which event is meant, where several accounts have one with the same id.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewReplay, example = json!({}))]
struct NewReplayBody {
    /// The connected account that it came from.
    account: Option<Text<1, 255>>,
}

/// Has a quarantined or ignored event looked at again, as if it had just been received.
#[utoipa::path(
    post, path = "/v1/inbox/{id}/replay", tag = "Inbox", operation_id = "replay_inbox_event",
    params(("id" = String, Path, description = "The provider's id of the event")),
    request_body = NewReplayBody,
    responses((status = 200, description = "It is looked at again", body = WithBody), Refusals),
)]
async fn replay(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<String>,
    body: json::Json<NewReplayBody>,
) -> Result<Json<WithBody>, Problem> {
    caller.require("events:write")?;
    let account = body.0.account.map(Text::into_string);
    let event = read(&state, &caller, id.clone(), account.as_deref()).await?;
    let (key, now) = (event.summary.key.clone(), state.app.clock.now());
    let reopened = state
        .app
        .db
        .run_tx("replay inbox event", caller.scope(), move |tx| {
            let key = key.clone();
            Box::pin(async move { inbox::reopen(tx, &key, now).await })
        })
        .await;
    match reopened {
        Err(InboxError::NotOpen { .. }) => {
            let detail =
                format!("The event is {}: only quarantined and ignored ones are replayed.", event.summary.state);
            return Err(Problem::new(&problem_types::STATE_CONFLICT).detail(detail));
        }
        reopened => reopened?,
    }
    state.app.wake.now();
    tracing::info!(actor = %caller.actor, event = id, "an inbox event is replayed");
    let event = read(&state, &caller, id, account.as_deref()).await?;
    Ok(Json(WithBody::show(caller.mode, event)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_its_cursor() {
        let received_at = "2026-03-02T09:00:00.123456Z".parse().expect("a time");
        let key = InboxKey { provider: "stripe".to_owned(), account: String::new(), event_id: "evt_1".to_owned() };
        let position = Position(InboxCursor { received_at, key });
        let read: Position = position.to_string().parse().expect("its own text");
        assert_eq!(read.0, position.0);
        assert!("evt_1".parse::<Position>().is_err());
    }
}
