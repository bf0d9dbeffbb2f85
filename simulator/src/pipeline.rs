//! The way of every request: who asks, for which account, under which key; then the endpoint, in one database
//! transaction that is committed before the answer leaves.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use base64::Engine as _;
use serde_json::Value;
use subtle::ConstantTimeEq;

use crate::app::App;
use crate::context::{Answer, RequestInfo};
use crate::error::{ApiError, Stage};
use crate::faults::FaultKind;
use crate::idempotency::{self, Claim, Claimed, Kept};
use crate::ids::new_request_id;
use crate::params::Params;
use crate::routes::{self, Call};
use crate::webhooks::{self, Round};
use crate::{API_VERSION, expand, jobs, spoil, store, uploads};

/// How often a unit of work is tried again when the database found it in a deadlock.
const TRIES: u32 = 5;

/// An answer on its way out.
struct Outgoing {
    status: u16,
    body: String,
    /// Id of the request that was answered first, when this is a replay.
    original: Option<String>,
    /// Seconds.
    retry_after: Option<u32>,
    /// What becomes of it on its way.
    fault: Option<FaultKind>,
}

impl Outgoing {
    fn new(status: u16, body: &Value) -> Self {
        Self { status, body: body.to_string(), original: None, retry_after: None, fault: None }
    }

    fn error(error: &ApiError, request_id: &str) -> Self {
        Self::new(error.status, &error.body(request_id))
    }

    fn replay(kept: Kept) -> Self {
        let original = Some(kept.request_id);
        Self { status: kept.status, body: kept.body, original, retry_after: None, fault: None }
    }
}

/// A request that has been understood.
#[derive(Clone)]
struct Incoming {
    method: String,
    path: String,
    account: String,
    key: Option<String>,
    request_id: String,
    call: Call,
    params: Params,
    expand: Vec<String>,
    operation: Option<String>,
}

/// An answer, and how long it is held back before its connection breaks.
pub(crate) struct Served {
    pub(crate) response: Response<Body>,
    pub(crate) hang: Option<Duration>,
}

/// Answers a request to the API.
pub(crate) async fn serve(app: Arc<App>, parts: Parts, body: Bytes) -> Served {
    let request_id = new_request_id();
    let outgoing = match understand(&app, &parts, &body, &request_id).await {
        Err(error) => Outgoing::error(&error, &request_id),
        Ok(incoming) => answer(&app, incoming, &request_id).await,
    };
    let hangs = matches!(outgoing.fault, Some(FaultKind::HangBefore | FaultKind::HangAfter));
    let hang = hangs.then(|| Duration::from_millis(app.settings().hang_ms.into()));
    Served { response: respond(&parts.headers, outgoing, &request_id), hang }
}

async fn understand(app: &App, parts: &Parts, body: &Bytes, request_id: &str) -> Result<Incoming, ApiError> {
    authenticate(app, &parts.headers)?;
    check_version(&parts.headers)?;
    let account = account(app, &parts.headers).await?;
    let (method, path) = (parts.method.as_str().to_owned(), parts.uri.path().to_owned());
    let query = parts.uri.query().unwrap_or_default();
    let content_type = header(&parts.headers, "content-type").unwrap_or_default();
    let form = uploads::as_parameters(&content_type, body).await?;
    let sent = form.as_deref().unwrap_or(body);
    let mut params = Params::parse(if method == "POST" { sent } else { query.as_bytes() })?;
    let call = routes::find(&method, &path).ok_or_else(|| {
        ApiError::invalid(format!("Unrecognized request URL ({method}: {path}). Please see https://docs.stripe.com."))
            .status(404)
    })?;
    let key = (method == "POST").then(|| header(&parts.headers, "idempotency-key")).flatten();
    let operation = params.clone().metadata().ok().flatten().and_then(|mut m| m.remove("op_id"));
    let expand = params.list("expand")?.unwrap_or_default();
    let request_id = request_id.to_owned();
    Ok(Incoming { method, path, account, key, request_id, call, params, expand, operation })
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// `Authorization: Bearer sk_..`, or Basic with the key as the user's name.
fn authenticate(app: &App, headers: &HeaderMap) -> Result<(), ApiError> {
    let refused = |message: String| ApiError::invalid(message).status(401);
    let Some(given) = header(headers, "authorization") else {
        return Err(refused(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using \
             Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://docs.stripe.com/api#authentication \
             for details."
                .into(),
        ));
    };
    let key = match given.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim().to_owned(),
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("basic") => basic_user(token.trim()).unwrap_or_default(),
        _ => String::new(),
    };
    if bool::from(key.as_bytes().ct_eq(app.secret_key.as_bytes())) {
        return Ok(());
    }
    let shown: String = key.chars().take(8).collect();
    Err(refused(format!("Invalid API Key provided: {shown}*****")))
}

fn basic_user(token: &str) -> Option<String> {
    let decoded = base64::engine::general_purpose::STANDARD.decode(token).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    Some(text.split_once(':').map_or(text.clone(), |(user, _)| user.to_owned()))
}

fn check_version(headers: &HeaderMap) -> Result<(), ApiError> {
    match header(headers, "stripe-version") {
        Some(version) if version != API_VERSION => Err(ApiError::invalid(format!(
            "Invalid Stripe API version: {version}. This simulator speaks {API_VERSION}."
        ))),
        _ => Ok(()),
    }
}

/// The account acted for.
async fn account(app: &App, headers: &HeaderMap) -> Result<String, ApiError> {
    let Some(named) = header(headers, "stripe-account").filter(|named| **named != *app.platform) else {
        return Ok(app.platform.to_string());
    };
    let known: bool =
        sqlx::query_scalar("select exists (select from objects where id = $1 and account = $2 and object = 'account')")
            .bind(&named)
            .bind(&*app.platform)
            .fetch_one(&app.pool)
            .await?;
    if known {
        return Ok(named);
    }
    Err(ApiError::invalid(format!(
        "The provided key 'sk_test_*****' does not have access to account '{named}' (or that account does not exist). \
         Application access may have been revoked."
    ))
    .status(403)
    .code("account_invalid"))
}

/// Lets what is planned happen to the request and to its answer.
async fn answer(app: &App, incoming: Incoming, request_id: &str) -> Outgoing {
    let fault = app.faults.strike(&incoming.method, &incoming.path, &incoming.call.endpoint());
    let error = match fault {
        Some(FaultKind::RateLimited) => {
            let error = ApiError::invalid("Request rate limit exceeded.").status(429).code("rate_limit");
            let retry_after = Some(app.settings().retry_after_seconds);
            return Outgoing { retry_after, ..Outgoing::error(&error, request_id) };
        }
        Some(FaultKind::KeyInUse) => Some(idempotency::in_use(incoming.key.as_deref().unwrap_or_default())),
        Some(FaultKind::HangBefore) => Some(ApiError::internal("Nobody hears this.")),
        _ => None,
    };
    if let Some(error) = error {
        return Outgoing { fault, ..Outgoing::error(&error, request_id) };
    }
    if fault == Some(FaultKind::Repeated)
        && let Err(error) = perform(app, incoming.clone(), fault).await
    {
        tracing::debug!(message = %error.message, "the first of two tries was refused");
    }
    let done = perform(app, incoming, fault).await.unwrap_or_else(|error| Outgoing::error(&error, request_id));
    if fault == Some(FaultKind::WebhookFirst)
        && let Err(error) = webhooks::deliver(app, Round::OfRequest(request_id)).await
    {
        tracing::error!(message = %error.message, "webhooks cannot be delivered");
    }
    Outgoing { fault, ..done }
}

async fn perform(app: &App, incoming: Incoming, fault: Option<FaultKind>) -> Result<Outgoing, ApiError> {
    jobs::run_due(app).await?;
    if incoming.method != "POST" {
        if fault == Some(FaultKind::ErrorBefore) {
            return Err(ApiError::internal("An unknown error occurred."));
        }
        return read(app, incoming).await;
    }
    let claim = match incoming.key.clone() {
        None => None,
        Some(key) => {
            let claim = Claim { account: incoming.account.clone(), key };
            let endpoint = format!("{} {}", incoming.method, incoming.path);
            let parameters = format!("{}{:?}", incoming.params.canonical(), incoming.expand);
            let now = app.clock.now();
            match idempotency::claim(&app.pool, claim, &endpoint, &parameters, &incoming.request_id, now).await? {
                Claimed::New(claim) => Some(claim),
                Claimed::Replay(kept) => return Ok(Outgoing::replay(kept)),
            }
        }
    };
    let outgoing = write(app, &incoming, claim.as_ref(), fault).await?;
    // The effect is committed: what it brought about at once must not change its answer.
    if let Err(error) = jobs::run_due(app).await {
        tracing::error!(message = %error.message, "what is due cannot be done");
    }
    app.wake.notify_one();
    Ok(outgoing)
}

async fn read(app: &App, incoming: Incoming) -> Result<Outgoing, ApiError> {
    let mut cx = app.open(Some(&incoming.account), RequestInfo::default()).await?;
    let mut body = routes::call(&mut cx, &incoming.call, incoming.params).await?;
    expand::apply(&mut cx, &mut body, &incoming.expand).await?;
    cx.commit().await?;
    Ok(Outgoing::new(200, &body))
}

/// Runs the endpoint and keeps its result, whatever it is.
async fn write(
    app: &App,
    incoming: &Incoming,
    claim: Option<&Claim>,
    fault: Option<FaultKind>,
) -> Result<Outgoing, ApiError> {
    let result = if fault == Some(FaultKind::ErrorBefore) {
        Err(ApiError::internal("An unknown error occurred."))
    } else {
        run_retrying(app, incoming, claim, fault).await
    };
    let error = match result {
        Ok(outgoing) => return Ok(outgoing),
        Err(error) => error,
    };
    if let Some(claim) = claim {
        if error.stage == Stage::Validation {
            idempotency::release(&app.pool, claim).await?;
        } else {
            idempotency::keep_apart(&app.pool, claim, error.status, &error.body(&incoming.request_id)).await?;
        }
    }
    Err(error)
}

async fn run_retrying(
    app: &App,
    incoming: &Incoming,
    claim: Option<&Claim>,
    fault: Option<FaultKind>,
) -> Result<Outgoing, ApiError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match run(app, incoming, claim, fault).await {
            Err(error) if error.retryable && tries < TRIES => {}
            result => return result,
        }
    }
}

/// One try: effect, effects log and kept result in one transaction.
async fn run(
    app: &App,
    incoming: &Incoming,
    claim: Option<&Claim>,
    fault: Option<FaultKind>,
) -> Result<Outgoing, ApiError> {
    let request = RequestInfo { id: Some(incoming.request_id.clone()), idempotency_key: incoming.key.clone() };
    let mut cx = app.open(Some(&incoming.account), request).await?;
    let result: Answer = routes::call(&mut cx, &incoming.call, incoming.params.clone()).await;
    let (mut status, mut body, object) = match result {
        Ok(mut body) => {
            let object = Some(store::id(&body).to_owned()).filter(|id| !id.is_empty());
            expand::apply(&mut cx, &mut body, &incoming.expand).await?;
            (200, body, object)
        }
        Err(error) if error.stage == Stage::Committed => {
            let object = error.extra.get("payment_intent").map(|intent| store::id(intent).to_owned());
            (error.status, error.body(&incoming.request_id), object)
        }
        Err(error) => return Err(error),
    };
    if fault == Some(FaultKind::ErrorAfter) {
        let error = ApiError::internal("An unknown error occurred.");
        (status, body) = (error.status, error.body(&incoming.request_id));
    }
    log_effect(&mut cx, incoming, object, status).await?;
    if let Some(claim) = claim {
        idempotency::keep(&mut cx, claim, status, &body).await?;
    }
    cx.commit().await?;
    Ok(Outgoing::new(status, &body))
}

async fn log_effect(
    cx: &mut crate::context::Cx,
    incoming: &Incoming,
    object: Option<String>,
    status: u16,
) -> Result<(), ApiError> {
    sqlx::query(
        "insert into effects (at, account, method, path, request_id, idempotency_key, operation, object, status)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(cx.now)
    .bind(&incoming.account)
    .bind(&incoming.method)
    .bind(&incoming.path)
    .bind(&incoming.request_id)
    .bind(&incoming.key)
    .bind(&incoming.operation)
    .bind(object)
    .bind(i16::try_from(status).unwrap_or(500))
    .execute(&mut *cx.conn)
    .await?;
    Ok(())
}

fn respond(headers: &HeaderMap, outgoing: Outgoing, request_id: &str) -> Response<Body> {
    let (retry_after, original) = (outgoing.retry_after, outgoing.original);
    let mut response = Response::new(body(outgoing.body, outgoing.fault));
    *response.status_mut() = StatusCode::from_u16(outgoing.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let answer = response.headers_mut();
    answer.insert("content-type", HeaderValue::from_static("application/json"));
    answer.insert("stripe-version", HeaderValue::from_static(API_VERSION));
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.insert(name, value);
        }
    };
    set("request-id", request_id);
    if let Some(seconds) = retry_after {
        set("retry-after", &seconds.to_string());
    }
    if let Some(original) = &original {
        set("idempotent-replayed", "true");
        set("original-request", original);
    }
    for name in ["idempotency-key", "stripe-account"] {
        if let Some(value) = header(headers, name) {
            set(name, &value);
        }
    }
    response
}

/// The body as its fault leaves it.
fn body(whole: String, fault: Option<FaultKind>) -> Body {
    match fault {
        Some(FaultKind::AnswerLost | FaultKind::HangBefore | FaultKind::HangAfter) => cut_short(&whole),
        Some(FaultKind::Garbage) => Body::from(whole[..whole.floor_char_boundary(whole.len() / 2)].to_owned()),
        Some(FaultKind::Doubled) => Body::from(format!("{whole}{whole}")),
        Some(FaultKind::UnknownWord) => {
            let mut object: Value = serde_json::from_str(&whole).unwrap_or_default();
            spoil::unknown_words(&mut object);
            Body::from(object.to_string())
        }
        _ => Body::from(whole),
    }
}

/// A body that breaks off in its middle, and the connection with it.
fn cut_short(body: &str) -> Body {
    let half = body.len() / 2;
    let start = Bytes::copy_from_slice(&body.as_bytes()[..half]);
    Body::from_stream(futures::stream::iter([
        Ok(start),
        Err(std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the answer is lost on purpose")),
    ]))
}
