//! How a command towards the provider is answered: drive it for a while, read the object, fix the answer, once.
//!
//! The answer of a key is final: whoever repeats the request gets the same bytes, even if the object has moved on.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use partita_db::DbError;
use partita_provider::Refusal;
use serde::Serialize;
use uuid::Uuid;

use super::HttpState;
use super::auth::Caller;
use super::idempotency;
use super::problem::Problem;
use super::problem_types;
use super::render::provider_problem;
use crate::events::{self, Driven, Holder};
use crate::idempotency::{Begun, Request, StoredAnswer, finish};
use crate::operations::{self, OperationState};

/// How long a request waits for the provider before it is answered 202.
const WAIT: Duration = Duration::from_secs(10);

/// What a command came to.
#[derive(Debug)]
pub enum Reply<T> {
    /// Done: 201, or 200 for what changes an object.
    Done(StatusCode, T),
    /// The provider has not answered definitely: 202.
    Open(T),
    /// Definitely not done.
    Refused(Problem),
}

impl<T: Serialize> Reply<T> {
    /// 201 with the new object.
    pub fn created(object: T) -> Self {
        Self::Done(StatusCode::CREATED, object)
    }

    fn answer(self, caller: &Caller) -> StoredAnswer {
        let json = |object: &T| serde_json::to_vec(object).expect("texts, numbers and lists always serialise");
        match self {
            Self::Done(status, object) => StoredAnswer { status: status.as_u16(), body: json(&object) },
            Self::Open(object) => StoredAnswer { status: StatusCode::ACCEPTED.as_u16(), body: json(&object) },
            Self::Refused(problem) => {
                StoredAnswer { status: problem.status().as_u16(), body: problem.body_bytes(caller.request) }
            }
        }
    }
}

/// What a command came to that asked the provider for an object: it is open, or the provider has taken it, or it has refused and
/// says why.
pub fn outcome<T: Serialize>(object: T, is_open: bool, provider: &str, refusal: Option<&Refusal>) -> Reply<T> {
    match refusal {
        _ if is_open => Reply::Open(object),
        None => Reply::created(object),
        Some(refusal) => {
            let problem = Problem::new(&problem_types::PROVIDER_REFUSED)
                .detail(refusal.message.clone())
                .provider(provider_problem(provider, refusal));
            Reply::Refused(problem.object(serde_json::to_value(object).expect("texts and numbers always serialise")))
        }
    }
}

/// Where a command's object stands after waiting.
pub enum Progress<Id> {
    /// Answered before: send this.
    Answered(Response),
    /// To be read, rendered and answered.
    Read(Id),
}

/// Sends the command that a use case has stored, and waits for the provider.
///
/// # Errors
/// 409 `idempotency_key_in_use` while an earlier request with the same key waits for the provider.
pub async fn drive<Id: Copy>(
    state: &HttpState,
    caller: &Caller,
    begun: Begun<Id>,
    uuid: fn(Id) -> Uuid,
) -> Result<Progress<Id>, Problem> {
    let (id, holder) = match begun {
        Begun::Answered(StoredAnswer { status, body }) => {
            return Ok(Progress::Answered(idempotency::answer(status, body, true)));
        }
        Begun::Fresh(id) => (id, Holder::Us),
        Begun::Resumed(id) => (id, Holder::Anyone),
    };
    crate::crash::point("after_intent");
    let driven = events::drive(&state.app, caller.book, uuid(id), holder, WAIT).await?;
    if holder == Holder::Anyone && driven == Driven::Open && is_being_sent(state, caller, uuid(id)).await? {
        return Err(idempotency::in_flight());
    }
    Ok(Progress::Read(id))
}

/// As [`drive`], for what needs nothing of the provider.
pub fn begun<Id>(begun: Begun<Id>) -> Progress<Id> {
    match begun {
        Begun::Answered(StoredAnswer { status, body }) => Progress::Answered(idempotency::answer(status, body, true)),
        Begun::Fresh(id) | Begun::Resumed(id) => Progress::Read(id),
    }
}

/// Whether somebody holds the object's newest command right now.
async fn is_being_sent(state: &HttpState, caller: &Caller, object: Uuid) -> Result<bool, DbError> {
    Ok(newest_state(state, caller, object).await? == Some(OperationState::Submitting))
}

/// Whether the provider definitely refused the object's newest command.
///
/// # Errors
/// What the database says.
pub async fn was_refused(state: &HttpState, caller: &Caller, object: Uuid) -> Result<bool, DbError> {
    Ok(newest_state(state, caller, object).await? == Some(OperationState::Failed))
}

async fn newest_state(state: &HttpState, caller: &Caller, object: Uuid) -> Result<Option<OperationState>, DbError> {
    let newest = state
        .app
        .db
        .read("state of newest operation", caller.scope(), move |tx| {
            Box::pin(async move { operations::find_newest_by_object(tx, object).await })
        })
        .await?;
    Ok(newest.map(|operation| operation.state))
}

/// Fixes the answer of the request's key and sends it. Of two that answer at once, both send the first one's.
///
/// # Errors
/// What the database says.
pub async fn answer<T: Serialize>(
    state: &HttpState,
    caller: &Caller,
    claim: Option<&Request>,
    reply: Reply<T>,
) -> Result<Response, Problem> {
    let Some(claim) = claim else {
        return Ok(match reply {
            Reply::Done(status, object) => (status, Json(object)).into_response(),
            Reply::Open(object) => (StatusCode::ACCEPTED, Json(object)).into_response(),
            Reply::Refused(problem) => problem.into_response(),
        });
    };
    let ours = reply.answer(caller);
    let (key, answer) = (claim.key.clone(), ours.clone());
    crate::crash::point("before_answer");
    let fixed = state
        .app
        .db
        .run_tx("fix answer", caller.scope(), move |tx| {
            let (key, answer) = (key.clone(), answer.clone());
            Box::pin(async move { finish(tx, &key, &answer).await })
        })
        .await?;
    crate::crash::point("after_answer");
    let replayed = fixed != ours;
    Ok(idempotency::answer(fixed.status, fixed.body, replayed))
}
