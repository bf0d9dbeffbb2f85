//! Sending a stored command and taking its result: the only code that makes a provider act.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, Scope, Tx};
use partita_provider::{ProviderObject, Refusal};
use uuid::Uuid;

use super::{Applied, ApplyError, Origin, Remedy, apply_object, apply_refusal};
use crate::app::App;
use crate::due;
use crate::journal::Journal;
use crate::operations::{
    self, Answer, Conclusion, DUE_KIND, Operation, OperationState, Resolution, Verdict, resolve_unknown,
    retry_delay_ms, verdict,
};
use crate::platforms::{self, Mode};

/// How long after its command a key that the provider may have forgotten is looked at again.
const STALE_KEY_HOURS: i64 = 1;

/// How a request finds its command after waiting for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driven {
    /// The provider answered definitely.
    Settled,
    /// Not yet; the worker goes on.
    Open,
}

/// Who holds the command's attempt when a request turns to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// This request: its insert claimed the first attempt.
    Us,
    /// Perhaps another request or the worker: a claim decides.
    Anyone,
}

/// Sends the newest command about an object, if nobody else holds it, and waits for its result, at most `wait`. The
/// sending goes on when the waiting ends, and when the caller goes away.
///
/// # Errors
/// [`ApplyError`] when the command cannot be read.
pub async fn drive(
    app: &Arc<App>,
    book: BookId,
    object: Uuid,
    holder: Holder,
    wait: Duration,
) -> Result<Driven, ApplyError> {
    if let Some(operation) = take(app, book, object, holder).await? {
        let task_app = Arc::clone(app);
        let sending = tokio::spawn(async move { submit_logged(&task_app, operation).await });
        // Dropping a join handle detaches its task: only the waiting has a limit, never the sending.
        let _ended_or_not = tokio::time::timeout(wait, sending).await;
    }
    settled(app, book, object).await
}

async fn submit_logged(app: &Arc<App>, operation: Operation) {
    let id = operation.id;
    if let Err(error) = submit(app, operation).await {
        tracing::error!(operation = %id, %error, "a provider's answer could not be taken; the queue will try again");
    }
    app.wake.notify_one();
}

async fn take(app: &Arc<App>, book: BookId, object: Uuid, holder: Holder) -> Result<Option<Operation>, ApplyError> {
    let now = app.clock.now();
    app.db
        .run_tx("take operation", Scope::Book(book), move |tx| {
            Box::pin(async move {
                let newest = operations::find_newest_by_object(tx, object).await?;
                match (newest, holder) {
                    (Some(operation), Holder::Anyone) => Ok(operations::claim(tx, operation.key, now).await?),
                    (newest, _) => Ok(newest),
                }
            })
        })
        .await
}

async fn settled(app: &Arc<App>, book: BookId, object: Uuid) -> Result<Driven, ApplyError> {
    app.db
        .read("state of operation", Scope::Book(book), move |tx| {
            Box::pin(async move {
                let newest = operations::find_newest_by_object(tx, object).await?;
                let open = newest.is_some_and(|operation| !operation.state.is_final());
                Ok(if open { Driven::Open } else { Driven::Settled })
            })
        })
        .await
}

/// Sends a claimed command once and takes the result.
///
/// # Errors
/// [`ApplyError`] when the result could not be taken: the command stays with its lease, and the queue sends the same
/// bytes under the same key again when that has run out.
pub async fn submit(app: &Arc<App>, operation: Operation) -> Result<(), ApplyError> {
    let now = app.clock.now();
    if operation.in_doubt && resolve_unknown(operation.first_sent_at, now) == Resolution::KeyTooOld {
        tracing::error!(operation = %operation.id, "the provider may have forgotten the key: a person has to look it up");
        let why = "older than the provider keeps keys: not sent again without a look-up".to_owned();
        let at = now + SignedDuration::from_hours(STALE_KEY_HOURS);
        return take_result(app, operation, Verdict::Unknown { why }, None, Some(at)).await;
    }
    let provider = app.provider(operation.book).await?;
    let submission = provider.submit(&operation.request, &operation.idempotency_key).await;
    let verdict = verdict(submission.outcome, operation.attempt);
    if matches!(verdict, Verdict::Later { alarm: true, .. }) {
        // The key may be changed in its place: it is read again for the next attempt.
        app.forget_provider(operation.book);
    }
    take_result(app, operation, verdict, submission.raw, None).await
}

async fn take_result(
    app: &Arc<App>,
    operation: Operation,
    verdict: Verdict,
    raw: Option<partita_provider::RawAnswer>,
    look_again_at: Option<Timestamp>,
) -> Result<(), ApplyError> {
    let mode = mode_of(app, operation.book).await?;
    let now = app.clock.now();
    let answer = Arc::new(Answer { raw, note: note(&verdict) });
    let (operation, verdict) = (Arc::new(operation), Arc::new(verdict));
    let taken = take_result_once(app, &operation, &verdict, &answer, mode, now, look_again_at).await;
    match taken {
        // The other one's result stands; ours said nothing that it did not.
        Err(ApplyError::Overtaken) => Ok(()),
        // The object exists, but cannot be booked as it was answered: to be read again, or for a person.
        Err(error) if error.remedy() != Remedy::Again && matches!(*verdict, Verdict::Done(_)) => {
            tracing::error!(operation = %operation.id, %error, "the provider's answer cannot be booked as it is");
            let unknown = Arc::new(Verdict::Unknown { why: error.to_string() });
            take_result_once(app, &operation, &unknown, &answer, mode, now, look_again_at).await
        }
        other => other,
    }
}

async fn take_result_once(
    app: &Arc<App>,
    operation: &Arc<Operation>,
    verdict: &Arc<Verdict>,
    answer: &Arc<Answer>,
    mode: Mode,
    now: Timestamp,
    look_again_at: Option<Timestamp>,
) -> Result<(), ApplyError> {
    let (app_in, operation, verdict, answer) =
        (Arc::clone(app), Arc::clone(operation), Arc::clone(verdict), Arc::clone(answer));
    let book = operation.book;
    app.db
        .run_tx("take provider's answer", Scope::Book(book), move |tx| {
            let (app, operation, verdict, answer) =
                (Arc::clone(&app_in), Arc::clone(&operation), Arc::clone(&verdict), Arc::clone(&answer));
            Box::pin(async move {
                let mut journal = Journal::new(&app.keys);
                let origin = Origin { provider: "stripe", account: "", mode, now };
                match &*verdict {
                    Verdict::Done(object) => take_object(tx, &operation, object, origin, &mut journal).await?,
                    Verdict::Refused(refusal, object) => {
                        take_refusal(tx, &operation, refusal, object.as_deref(), origin, &mut journal).await?;
                    }
                    Verdict::Later { delay_ms, why, alarm } => {
                        if *alarm {
                            tracing::error!(operation = %operation.id, why, "a person has to act");
                        }
                        let at = now + SignedDuration::from_millis(*delay_ms);
                        // This attempt had no effect; an earlier one may have had.
                        let state = if operation.in_doubt { OperationState::Unknown } else { OperationState::Planned };
                        again(tx, &operation, state, at, why, now).await?;
                    }
                    Verdict::Unknown { why } => {
                        let delay = SignedDuration::from_millis(retry_delay_ms(operation.attempt));
                        let at = look_again_at.unwrap_or(now + delay);
                        again(tx, &operation, OperationState::Unknown, at, why, now).await?;
                    }
                }
                operations::record_answer(tx, &operation, &answer).await?;
                journal.post(tx).await?;
                Ok(())
            })
        })
        .await
}

async fn take_object(
    tx: &mut Tx,
    operation: &Operation,
    object: &ProviderObject,
    origin: Origin<'_>,
    journal: &mut Journal,
) -> Result<(), ApplyError> {
    let applied = apply_object(tx, object, origin, journal).await?;
    if applied != Applied::Ours(operation.object_id) {
        return Err(ApplyError::NotAsked);
    }
    // apply_object ends the newest command about the object; this one may be an older one.
    let conclusion = Conclusion::Succeeded { provider_object: object.id().to_owned() };
    operations::conclude(tx, operation, &conclusion, origin.now).await?;
    Ok(())
}

async fn take_refusal(
    tx: &mut Tx,
    operation: &Operation,
    refusal: &Refusal,
    object: Option<&ProviderObject>,
    origin: Origin<'_>,
    journal: &mut Journal,
) -> Result<(), ApplyError> {
    // A declined payment carries its object: its id is stored and its status obeyed.
    if let Some(object) = object
        && apply_object(tx, object, origin, journal).await? == Applied::Ours(operation.object_id)
    {
        // Ended already where the object itself was what was asked for: a declined payment exists.
        operations::conclude(tx, operation, &Conclusion::Failed { refusal: refusal.clone() }, origin.now).await?;
        return Ok(());
    }
    apply_refusal(tx, operation, refusal, journal, origin.now).await?;
    let conclusion = Conclusion::Failed { refusal: refusal.clone() };
    if operations::conclude(tx, operation, &conclusion, origin.now).await? {
        Ok(())
    } else {
        Err(ApplyError::Overtaken)
    }
}

async fn again(
    tx: &mut Tx,
    operation: &Operation,
    state: OperationState,
    at: Timestamp,
    why: &str,
    now: Timestamp,
) -> Result<(), ApplyError> {
    let conclusion = Conclusion::Again { state, at, why: why.to_owned() };
    if !operations::conclude(tx, operation, &conclusion, now).await? {
        return Err(ApplyError::Overtaken);
    }
    due::schedule(tx, DUE_KIND, operation.key, at).await?;
    Ok(())
}

fn note(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Done(_) => "done".to_owned(),
        Verdict::Refused(refusal, _) => format!("refused: {}", refusal.code),
        Verdict::Later { why, .. } => format!("later: {why}"),
        Verdict::Unknown { why } => format!("unknown: {why}"),
    }
}

/// The mode of a book.
///
/// # Errors
/// What the database says.
pub async fn mode_of(app: &Arc<App>, book: BookId) -> Result<Mode, ApplyError> {
    app.db
        .read("mode of book", Scope::Routing, move |tx| {
            Box::pin(async move {
                let platform = platforms::find_platform(tx, book).await?;
                Ok::<_, ApplyError>(platform.map_or(Mode::Test, |platform| platform.mode))
            })
        })
        .await
}
