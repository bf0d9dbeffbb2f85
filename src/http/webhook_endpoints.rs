//! `/v1/webhook_endpoints`: who gets events.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::auth::Caller;
use super::cursor::{self, List};
use super::deliveries::DeliveryBody;
use super::fields::{Metadata, Text};
use super::health::API_VERSION;
use super::json::{Json as Body, PathId};
use super::problem::Problem;
use super::query::{NoParameters, Query, known_words};
use super::render::{CommandRefusals, Refusals, Time};
use crate::id::WebhookEndpointId;
use crate::platforms::Mode;
use crate::webhook_endpoints::{self, Changes, DisabledReason, Endpoint, NewEndpoint, Signing};

/// What an endpoint can be listed by.
const STATUSES: [&str; 2] = ["enabled", "disabled"];

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(fetch, change, delete))
        .routes(routes!(rotate_secret))
        .routes(routes!(test))
}

/// How deliveries are signed.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebhookSigning)]
enum SigningBody {
    /// HMAC-SHA256 with a secret that both sides know: `v1`.
    #[default]
    Hmac,
    /// A key pair, of which you get the public key: `v1a`.
    Ed25519,
}

impl From<SigningBody> for Signing {
    fn from(signing: SigningBody) -> Self {
        match signing {
            SigningBody::Hmac => Self::Hmac,
            SigningBody::Ed25519 => Self::Ed25519,
        }
    }
}

/// One to fifty entries.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Vec<Text<1, 100>>")]
struct Events(Vec<String>);

impl TryFrom<Vec<Text<1, 100>>> for Events {
    type Error = &'static str;

    fn try_from(events: Vec<Text<1, 100>>) -> Result<Self, Self::Error> {
        let events: Vec<_> = events.into_iter().map(Text::into_string).collect();
        if (1..=50).contains(&events.len()) { Ok(Self(events)) } else { Err("must have 1 to 50 entries") }
    }
}

/// An address that is to get events.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWebhookEndpoint, example = json!({"url": "https://shop.example/hooks", "events": ["payment.*", "refund.failed"]}))]
struct NewEndpointBody {
    /// Where to send: `https`, a public address.
    #[schema(value_type = String, example = "https://shop.example/hooks")]
    url: Text<1, 2000>,
    /// Which events: exact types, everything of a resource (`payment.*`), or everything (`*`).
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 50)]
    events: Events,
    /// What it is, in your own words.
    description: Option<Text<1, 500>>,
    /// How deliveries are signed; it cannot be changed later.
    #[serde(default)]
    signing: SigningBody,
    #[serde(default)]
    metadata: Metadata,
}

/// What is to be changed; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChangeWebhookEndpoint, example = json!({"status": "enabled"}))]
struct ChangeBody {
    /// Where to send.
    #[schema(value_type = Option<String>)]
    url: Option<Text<1, 2000>>,
    /// Which events.
    #[schema(value_type = Option<Vec<String>>, min_items = 1, max_items = 50)]
    events: Option<Events>,
    /// Empty to have none.
    description: Option<Text<0, 500>>,
    /// `enabled` or `disabled`.
    status: Option<StatusBody>,
    metadata: Option<Metadata>,
}

/// Whether an endpoint gets events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebhookEndpointStatus)]
enum StatusBody {
    /// It does; what waits is sent at once.
    Enabled,
    /// It does not; what waits stays, what happens meanwhile can be replayed.
    Disabled,
}

/// What the old secrets still do.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RotateWebhookSecret, example = json!({}))]
struct RotateBody {
    /// How long those that the endpoint has sign beside the new one, in seconds: up to 86400, which is the default; 0 when
    /// one of them is known to somebody else.
    #[serde(default)]
    #[schema(value_type = i32, minimum = 0, maximum = 86400, default = 86400)]
    overlap_seconds: Overlap,
}

/// Seconds of a day.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "i64")]
struct Overlap(i64);

const DAY: i64 = 86_400;

impl Default for Overlap {
    fn default() -> Self {
        Self(DAY)
    }
}

impl TryFrom<i64> for Overlap {
    type Error = &'static str;

    fn try_from(seconds: i64) -> Result<Self, Self::Error> {
        if (0..=DAY).contains(&seconds) { Ok(Self(seconds)) } else { Err("must be 0 to 86400 seconds") }
    }
}

/// An address that gets events.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = WebhookEndpoint)]
struct EndpointBody {
    /// Always `webhook_endpoint`.
    #[schema(value_type = String, example = "webhook_endpoint")]
    object: &'static str,
    id: WebhookEndpointId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    #[schema(example = "https://shop.example/hooks")]
    url: String,
    description: Option<String>,
    /// Which events it gets.
    #[schema(example = json!(["payment.*", "refund.failed"]))]
    events: Vec<String>,
    /// `enabled` or `disabled`.
    #[schema(value_type = String, example = "enabled")]
    status: &'static str,
    /// `asked`: by one of your keys; `gone`: it answered 410; `failing`: it failed for 75 hours without any success.
    #[schema(value_type = Option<String>)]
    disabled_reason: Option<&'static str>,
    /// `hmac` or `ed25519`.
    #[schema(value_type = String, example = "hmac")]
    signing: &'static str,
    /// What deliveries are verified with, for Ed25519.
    #[schema(example = json!(null))]
    public_key: Option<String>,
    /// Until when replaced secrets sign too.
    rotation_ends_at: Option<Time>,
    /// The dated version of the interface that its events are in.
    #[schema(example = "2026-11-22")]
    api_version: String,
    /// Since when every attempt has failed.
    failing_since: Option<Time>,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    metadata: serde_json::Value,
    created_at: Time,
    updated_at: Time,
}

impl EndpointBody {
    fn show(mode: Mode, endpoint: Endpoint, now: Timestamp) -> Self {
        Self {
            object: "webhook_endpoint",
            id: endpoint.id,
            mode: mode.as_str(),
            url: endpoint.url,
            description: endpoint.description,
            events: endpoint.events,
            status: endpoint.status.as_str(),
            disabled_reason: endpoint.status.reason().map(DisabledReason::as_str),
            signing: endpoint.signing.as_str(),
            public_key: endpoint.public_key,
            rotation_ends_at: endpoint.rotation_ends_at.filter(|at| *at > now).map(Time),
            api_version: endpoint.api_version,
            failing_since: endpoint.failing_since.map(Time),
            metadata: endpoint.metadata,
            created_at: Time(endpoint.created_at),
            updated_at: Time(endpoint.updated_at),
        }
    }
}

/// An endpoint with its new secret.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = WebhookEndpointWithSecret)]
struct WithSecretBody {
    #[serde(flatten)]
    endpoint: EndpointBody,
    /// What deliveries are verified with (`whsec_..`), shown this once; null for Ed25519, whose `public_key` is not secret.
    #[schema(example = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")]
    secret: Option<String>,
}

impl WithSecretBody {
    fn show(mode: Mode, (endpoint, verifying): (Endpoint, SecretString), now: Timestamp) -> Self {
        let secret = (endpoint.signing == Signing::Hmac).then(|| verifying.expose_secret().to_owned());
        Self { endpoint: EndpointBody::show(mode, endpoint, now), secret }
    }
}

/// Makes a webhook endpoint. The answer shows its secret, this once.
#[utoipa::path(
    post, path = "/v1/webhook_endpoints", tag = "Webhooks out", operation_id = "create_webhook_endpoint",
    request_body = NewEndpointBody,
    responses((status = 201, description = "The endpoint, with its secret", body = WithSecretBody), CommandRefusals),
)]
async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    Body(body): Body<NewEndpointBody>,
) -> Result<(StatusCode, Json<WithSecretBody>), Problem> {
    caller.require("webhooks:write")?;
    let new = NewEndpoint {
        url: body.url.into_string(),
        description: body.description.map(Text::into_string),
        events: body.events.0,
        signing: body.signing.into(),
        api_version: API_VERSION.to_owned(),
        metadata: body.metadata.into_json(),
    };
    let made = webhook_endpoints::create(&state.app, caller.book, caller.actor, new).await?;
    Ok((StatusCode::CREATED, Json(WithSecretBody::show(caller.mode, made, state.app.clock.now()))))
}

/// One webhook endpoint.
#[utoipa::path(
    get, path = "/v1/webhook_endpoints/{id}", tag = "Webhooks out", operation_id = "get_webhook_endpoint",
    params(("id" = WebhookEndpointId, Path, description = "The endpoint")),
    responses((status = 200, description = "The endpoint", body = EndpointBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<WebhookEndpointId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<EndpointBody>, Problem> {
    caller.require("webhooks:read")?;
    let found = state
        .app
        .db
        .read("get webhook endpoint", caller.scope(), move |tx| {
            Box::pin(async move { webhook_endpoints::find(tx, id).await })
        })
        .await?;
    let endpoint = found.ok_or_else(|| Problem::not_found("webhook endpoint"))?;
    Ok(Json(EndpointBody::show(caller.mode, endpoint, state.app.clock.now())))
}

/// Changes a webhook endpoint: where, which events, whether at all.
#[utoipa::path(
    patch, path = "/v1/webhook_endpoints/{id}", tag = "Webhooks out", operation_id = "change_webhook_endpoint",
    params(("id" = WebhookEndpointId, Path, description = "The endpoint")),
    request_body = ChangeBody,
    responses((status = 200, description = "The endpoint as it is now", body = EndpointBody), CommandRefusals),
)]
async fn change(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<WebhookEndpointId>,
    Body(body): Body<ChangeBody>,
) -> Result<Json<EndpointBody>, Problem> {
    caller.require("webhooks:write")?;
    let changes = Changes {
        url: body.url.map(Text::into_string),
        description: body.description.map(Text::into_string),
        events: body.events.map(|events| events.0),
        enabled: body.status.map(|status| status == StatusBody::Enabled),
        metadata: body.metadata.map(Metadata::into_json),
    };
    let changed = webhook_endpoints::update(&state.app, caller.book, id, caller.actor, changes).await?;
    Ok(Json(EndpointBody::show(caller.mode, changed, state.app.clock.now())))
}

/// Deletes a webhook endpoint. What waits for it is not sent; the log of its deliveries stays.
#[utoipa::path(
    delete, path = "/v1/webhook_endpoints/{id}", tag = "Webhooks out", operation_id = "delete_webhook_endpoint",
    params(("id" = WebhookEndpointId, Path, description = "The endpoint")),
    responses((status = 204, description = "It is gone"), Refusals),
)]
async fn delete(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<WebhookEndpointId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode, Problem> {
    caller.require("webhooks:write")?;
    webhook_endpoints::delete(&state.app, caller.book, id, caller.actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a webhook endpoint a new secret, shown this once. The old one signs too for a day, unless told otherwise.
#[utoipa::path(
    post, path = "/v1/webhook_endpoints/{id}/rotate_secret", tag = "Webhooks out", operation_id = "rotate_webhook_secret",
    params(("id" = WebhookEndpointId, Path, description = "The endpoint")),
    request_body(content = Option<RotateBody>, description = "No body, or how long the old secrets sign too"),
    responses((status = 200, description = "The endpoint, with its new secret", body = WithSecretBody), CommandRefusals),
)]
async fn rotate_secret(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<WebhookEndpointId>,
    Body(body): Body<RotateBody>,
) -> Result<Json<WithSecretBody>, Problem> {
    caller.require("webhooks:write")?;
    let overlap = SignedDuration::from_secs(body.overlap_seconds.0);
    let rotated = webhook_endpoints::rotate_secret(&state.app, caller.book, id, caller.actor, overlap).await?;
    Ok(Json(WithSecretBody::show(caller.mode, rotated, state.app.clock.now())))
}

/// No fields.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TestWebhookEndpoint)]
struct TestBody {}

/// Sends an event of the type `webhook_endpoint.tested` to this endpoint alone, once. Read the delivery for what came of it.
#[utoipa::path(
    post, path = "/v1/webhook_endpoints/{id}/test", tag = "Webhooks out", operation_id = "test_webhook_endpoint",
    params(("id" = WebhookEndpointId, Path, description = "The endpoint")),
    request_body(content = Option<TestBody>, description = "No body, or an empty object"),
    responses((status = 202, description = "The delivery, on its way", body = DeliveryBody), CommandRefusals),
)]
async fn test(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<WebhookEndpointId>,
    Body(TestBody {}): Body<TestBody>,
) -> Result<(StatusCode, Json<DeliveryBody>), Problem> {
    caller.require("webhooks:write")?;
    let delivery = webhook_endpoints::send_test(&state.app, caller.book, id, caller.actor).await?;
    Ok((StatusCode::ACCEPTED, Json(DeliveryBody::show(caller.mode, delivery, None))))
}

/// Filters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Any of these; may be repeated.
    #[serde(default)]
    #[param(example = json!(["disabled"]))]
    status: Vec<String>,
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Webhook endpoints, newest first.
#[utoipa::path(
    get, path = "/v1/webhook_endpoints", tag = "Webhooks out", operation_id = "list_webhook_endpoints",
    params(Filters),
    responses((status = 200, description = "A page of endpoints", body = List<EndpointBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(filters): Query<Filters>,
) -> Result<Response, Problem> {
    caller.require("webhooks:read")?;
    known_words("status", &filters.status, |word| STATUSES.contains(&word))?;
    let (route, cursor) = ("/v1/webhook_endpoints", filters.cursor.as_deref());
    let page = cursor::page::<WebhookEndpointId, _>(route, &filters.status, filters.limit, cursor)?;
    let (after, limit, statuses) = (page.after, page.fetch_limit(), filters.status);
    let rows = state
        .app
        .db
        .read("list webhook endpoints", caller.scope(), move |tx| {
            let statuses = statuses.clone();
            Box::pin(async move { webhook_endpoints::list(tx, &statuses, after, limit).await })
        })
        .await?;
    let now = state.app.clock.now();
    let show = |endpoint| EndpointBody::show(caller.mode, endpoint, now);
    Ok(page.list(rows, |endpoint: &Endpoint| endpoint.id, show).respond(&uri))
}
