//! Sending a stored command and taking its result: the only code that makes a provider act.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, DbError, Scope, Tx};
use partita_provider::{FetchError, LookedUp, Lookup, Provider, ProviderObject, RawAnswer, Refusal};
use uuid::Uuid;

use super::resolve::{lookup_of, search_for};
use super::{Applied, ApplyError, Origin, Remedy, apply_object, apply_refusal};
use crate::app::App;
use crate::crash;
use crate::due;
use crate::id::chance;
use crate::journal::Journal;
use crate::operations::{
    self, Absence, Answer, Conclusion, DUE_KIND, Evidence, Operation, OperationState, Step, Verdict, after_absence,
    next_step, retry_delay_ms, verdict,
};
use crate::platforms::{self, Mode};
use crate::verify;

/// From the provider's statuses of this size on, an answer is an error of the provider's own.
const SERVER_ERRORS: u16 = 500;
/// How often a lease is prolonged while the provider is asked for an object.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// How long a command may be in doubt before whoever runs the service is told.
const DOUBT_ALARM_MINUTES: i64 = 60;

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
    let asked = Instant::now();
    if let Some(operation) = pick(app, book, object, holder).await? {
        let task_app = Arc::clone(app);
        let sending = tokio::spawn(async move { submit_logged(&task_app, operation, asked).await });
        // Dropping a join handle detaches its task: only the waiting has a limit, never the sending.
        let _ended_or_not = tokio::time::timeout(wait, sending).await;
    }
    settled(app, book, object).await
}

async fn submit_logged(app: &Arc<App>, operation: Operation, asked: Instant) {
    let id = operation.id;
    if let Err(error) = submit(app, operation, asked).await {
        tracing::error!(operation = %id, %error, "a provider's answer could not be taken; the queue will try again");
    }
    app.wake.now();
}

async fn pick(app: &Arc<App>, book: BookId, object: Uuid, holder: Holder) -> Result<Option<Operation>, ApplyError> {
    let now = app.clock.now();
    app.db
        .run_tx("take operation", Scope::Book(book), move |tx| {
            Box::pin(async move {
                let newest = operations::find_newest_by_object(tx, object).await?;
                if holder == Holder::Us {
                    return Ok(newest.filter(is_first_attempt));
                }
                let Some(operation) = newest else { return Ok(None) };
                let locked = operations::find_for_update(tx, operation.key).await?;
                match locked {
                    Some(operation) if may_go_on(tx, &operation, now).await? => {
                        Ok(operations::claim(tx, operation.key, now).await?)
                    }
                    _ => Ok(None),
                }
            })
        })
        .await
}

/// Whether it is still the attempt that the insert claimed.
fn is_first_attempt(operation: &Operation) -> bool {
    operation.state == OperationState::Submitting && operation.attempt == 1
}

/// Whether a command may be brought on now. What was never sent starts a movement of money, which a halted book does not.
/// What is in doubt is sent again only by a server that knows all keys it was sent under; asking about it moves nothing.
///
/// # Errors
/// What the database says.
pub async fn may_go_on(tx: &mut Tx, operation: &Operation, now: Timestamp) -> Result<bool, DbError> {
    Ok(match (operation.state, next_step(operation, now)) {
        (OperationState::Planned, _) => !verify::is_halted(tx).await?,
        (_, Step::Send) => verify::knows_server(tx).await?,
        (_, Step::LookUp) => true,
    })
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

/// Does what brings a claimed command on: sends it once, or asks the provider for its object, and takes the result. Its row
/// was asked for at `asked`.
///
/// # Errors
/// [`ApplyError`] when the result could not be taken: the command stays with its lease, and the queue does the same
/// again when that has run out.
pub async fn submit(app: &Arc<App>, operation: Operation, asked: Instant) -> Result<(), ApplyError> {
    alarm_if_long_in_doubt(&operation, app.clock.now());
    match next_step(&operation, app.clock.now()) {
        Step::Send => send(app, operation, asked).await,
        Step::LookUp => look_up(app, operation).await,
    }
}

fn alarm_if_long_in_doubt(operation: &Operation, now: Timestamp) {
    let Some(sent) = operation.first_sent_at.filter(|_| operation.in_doubt) else { return };
    let minutes = now.duration_since(sent).as_mins();
    if minutes >= DOUBT_ALARM_MINUTES {
        tracing::error!(operation = %operation.id, minutes, "nobody can tell what became of a command");
    }
}

async fn send(app: &Arc<App>, operation: Operation, asked: Instant) -> Result<(), ApplyError> {
    let provider = app.provider(operation.book).await?;
    crash::point_of("before_call", [operation.kind.as_str()]);
    if !operation.is_held(asked) {
        return Err(ApplyError::Lapsed);
    }
    let submission = provider.submit(&operation.request, &operation.idempotency_key).await;
    crash::point_of("after_call", [operation.kind.as_str()]);
    let verdict = verdict(submission.outcome, operation.attempt, chance());
    if matches!(verdict, Verdict::Later { alarm: true, .. }) {
        // The key may be changed in its place: it is read again for the next attempt.
        app.forget_provider(operation.book);
    }
    let server_error = submission.raw.as_ref().is_some_and(|raw| raw.status >= SERVER_ERRORS);
    let news = News { verdict: Ruling::Answered(verdict), raw: submission.raw, server_error };
    take(app, operation, news).await
}

async fn look_up(app: &Arc<App>, operation: Operation) -> Result<(), ApplyError> {
    let provider = app.provider(operation.book).await?;
    crash::point_of("before_look_up", [operation.kind.as_str()]);
    // An object whose id was told exists: no list's silence may ever have it made again.
    let known = operation.provider_object.as_deref().and_then(|id| lookup_of(&operation, id));
    let look = async {
        match known {
            Some(lookup) => read_known(&*provider, &lookup).await,
            None => search(&*provider, &operation, app.resend_up_to, app.clock.now()).await,
        }
    };
    let verdict = while_held(app, &operation, look).await;
    crash::point_of("after_look_up", [operation.kind.as_str()]);
    take(app, operation, News { verdict, raw: None, server_error: false }).await
}

/// Waits for what may take longer than a lease, which it prolongs meanwhile: otherwise the next attempt would begin the
/// same list anew, and none would ever be taken that found nothing in it.
async fn while_held<T>(app: &Arc<App>, operation: &Operation, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let mut renew = tokio::time::interval_at(tokio::time::Instant::now() + RENEW_EVERY, RENEW_EVERY);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = renew.tick() => match renew_lease(app, operation).await {
                Ok(true) => {}
                Ok(false) => tracing::debug!(operation = %operation.id, "another attempt has taken over"),
                Err(error) => tracing::warn!(operation = %operation.id, %error, "a lease could not be prolonged"),
            },
        }
    }
}

async fn renew_lease(app: &Arc<App>, operation: &Operation) -> Result<bool, DbError> {
    let (book, operation) = (operation.book, Arc::new(operation.clone()));
    app.db
        .run_tx("prolong lease", Scope::Book(book), move |tx| {
            let operation = Arc::clone(&operation);
            Box::pin(async move { operations::renew_lease(tx, &operation).await })
        })
        .await
}

async fn read_known(provider: &dyn Provider, lookup: &Lookup) -> Ruling {
    match provider.fetch(lookup).await {
        Ok(object) => Ruling::Found(Box::new(object)),
        Err(FetchError::NotFound) => Ruling::Review("the provider made an object and has it no more".to_owned()),
        Err(error) => Ruling::Answered(Verdict::Unknown { why: unasked(&error) }),
    }
}

async fn search(provider: &dyn Provider, operation: &Operation, resend_up_to: i64, now: Timestamp) -> Ruling {
    match provider.look_up(&search_for(operation)).await {
        Ok(LookedUp::Found(object)) => Ruling::Found(object),
        Ok(LookedUp::Absent) => absence(operation, resend_up_to, now),
        Ok(LookedUp::CannotTell { why }) => Ruling::Review(format!("the provider cannot be asked for it: {why}")),
        Ok(LookedUp::Contradiction { objects }) => {
            Ruling::Review(format!("the provider has several objects of it: {}", objects.join(", ")))
        }
        Err(error) => Ruling::Answered(Verdict::Unknown { why: unasked(&error) }),
    }
}

fn unasked(error: &FetchError) -> String {
    format!("looked for at the provider, in vain: {error}")
}

fn absence(operation: &Operation, resend_up_to: i64, now: Timestamp) -> Ruling {
    match after_absence(operation, resend_up_to, now) {
        Absence::LookAgain { at } => Ruling::Absent { look_again_at: at },
        Absence::Renew => Ruling::Renew,
        Absence::Review => Ruling::Review(
            "the provider has no object of it, twice; it is above the amount that is sent again without being asked"
                .to_owned(),
        ),
    }
}

/// What an attempt came to.
struct News {
    verdict: Ruling,
    raw: Option<RawAnswer>,
    /// The provider answered with an error of its own.
    server_error: bool,
}

/// What is to be done about it.
enum Ruling {
    /// The provider answered the command.
    Answered(Verdict),
    /// A look-up found the object.
    Found(Box<ProviderObject>),
    /// A look-up found nothing, and one look settles nothing.
    Absent { look_again_at: Timestamp },
    /// It certainly had no effect: under a new key.
    Renew,
    /// Two people decide.
    Review(String),
}

async fn take(app: &Arc<App>, operation: Operation, news: News) -> Result<(), ApplyError> {
    let mode = mode_of(app, operation.book).await?;
    let answer = Arc::new(Answer { raw: news.raw.clone(), note: note(&news.verdict) });
    let (operation, news) = (Arc::new(operation), Arc::new(news));
    crash::point_of("before_result", [operation.kind.as_str()]);
    let taken = take_once(app, &operation, &news, &answer, mode, None).await;
    crash::point_of("after_result", [operation.kind.as_str()]);
    match taken {
        // The other one's result stands; ours said nothing that it did not.
        Err(ApplyError::Overtaken) => Ok(()),
        Err(error) if error.remedy() != Remedy::Again && object_of(&news).is_some() => {
            tracing::error!(operation = %operation.id, %error, "the provider's object cannot be booked as it is");
            let trouble = trouble(&error, object_of(&news), operation.attempt, app.clock.now());
            take_once(app, &operation, &news, &answer, mode, Some(trouble)).await
        }
        other => other,
    }
}

/// The object that the provider made, where it made one.
fn object_of(news: &News) -> Option<&ProviderObject> {
    match &news.verdict {
        Ruling::Answered(Verdict::Done(object)) | Ruling::Found(object) => Some(object),
        _ => None,
    }
}

/// How a command ends whose object exists and cannot be booked: what is not complete yet is read again by its id; what
/// contradicts the command is for people.
fn trouble(error: &ApplyError, object: Option<&ProviderObject>, attempt: i32, now: Timestamp) -> Conclusion {
    match error.remedy() {
        Remedy::Later | Remedy::Again => Conclusion::Again {
            state: OperationState::Unknown,
            at: now + SignedDuration::from_millis(retry_delay_ms(attempt, chance())),
            why: error.to_string(),
            evidence: Evidence { provider_object: object.map(|object| object.id().to_owned()), ..Evidence::default() },
        },
        Remedy::Person => Conclusion::NeedsReview { why: error.to_string() },
    }
}

async fn take_once(
    app: &Arc<App>,
    operation: &Arc<Operation>,
    news: &Arc<News>,
    answer: &Arc<Answer>,
    mode: Mode,
    trouble: Option<Conclusion>,
) -> Result<(), ApplyError> {
    let now = app.clock.now();
    let (app_in, operation, news, answer) =
        (Arc::clone(app), Arc::clone(operation), Arc::clone(news), Arc::clone(answer));
    let book = operation.book;
    app.db
        .run_tx("take provider's answer", Scope::Book(book), move |tx| {
            let (app, operation, news, answer, trouble) =
                (Arc::clone(&app_in), Arc::clone(&operation), Arc::clone(&news), Arc::clone(&answer), trouble.clone());
            Box::pin(async move {
                let mut journal = Journal::new(&app.keys);
                let origin = Origin { provider: &operation.provider, account: operation.account(), mode, now };
                match trouble {
                    Some(conclusion) => conclude(tx, &operation, conclusion, now).await?,
                    None => rule(tx, &operation, &news, origin, &mut journal).await?,
                }
                operations::record_answer(tx, &operation, &answer).await?;
                crash::point_of("within_result", [operation.kind.as_str()]);
                journal.post(tx).await?;
                Ok(())
            })
        })
        .await
}

async fn rule(
    tx: &mut Tx,
    operation: &Operation,
    news: &News,
    origin: Origin<'_>,
    journal: &mut Journal,
) -> Result<(), ApplyError> {
    let now = origin.now;
    let again = |state, at, why: &str, evidence| Conclusion::Again { state, at, why: why.to_owned(), evidence };
    let conclusion = match &news.verdict {
        Ruling::Answered(Verdict::Done(object)) | Ruling::Found(object) => {
            return take_object(tx, operation, object, origin, journal).await;
        }
        Ruling::Answered(Verdict::Refused(refusal, object)) => {
            return take_refusal(tx, operation, refusal, object.as_deref(), origin, journal).await;
        }
        Ruling::Answered(Verdict::Later { delay_ms, why, alarm }) => {
            if *alarm {
                tracing::error!(operation = %operation.id, why, "a person has to act");
            }
            // This attempt had no effect; an earlier one may have had.
            let state = if operation.in_doubt { OperationState::Unknown } else { OperationState::Planned };
            again(state, now + SignedDuration::from_millis(*delay_ms), why, Evidence::default())
        }
        Ruling::Answered(Verdict::Unknown { why }) => {
            let delay = SignedDuration::from_millis(retry_delay_ms(operation.attempt, chance()));
            let evidence = Evidence { server_error: news.server_error, ..Evidence::default() };
            again(OperationState::Unknown, now + delay, why, evidence)
        }
        Ruling::Absent { look_again_at } => {
            let evidence = Evidence { absent: true, ..Evidence::default() };
            again(OperationState::Unknown, *look_again_at, "the provider has no object of it yet", evidence)
        }
        Ruling::Renew => {
            Conclusion::Renewed { why: "the provider has no object of it: sent again under a new key".to_owned() }
        }
        Ruling::Review(why) => Conclusion::NeedsReview { why: why.clone() },
    };
    conclude(tx, operation, conclusion, now).await
}

/// Ends an attempt that settled nothing, and makes sure that somebody goes on.
async fn conclude(
    tx: &mut Tx,
    operation: &Operation,
    conclusion: Conclusion,
    now: Timestamp,
) -> Result<(), ApplyError> {
    if !operations::conclude(tx, operation, &conclusion, now).await? {
        return Err(ApplyError::Overtaken);
    }
    match conclusion {
        Conclusion::Again { at, .. } => due::schedule(tx, DUE_KIND, operation.key, at).await?,
        Conclusion::Renewed { .. } => due::schedule(tx, DUE_KIND, operation.key, now).await?,
        Conclusion::NeedsReview { why } => {
            tracing::error!(operation = %operation.id, why, "two people have to decide what became of a command");
            operations::record_review(tx, operation, &why, now).await?;
        }
        Conclusion::Succeeded { .. } | Conclusion::Failed { .. } => {}
    }
    Ok(())
}

pub(super) async fn take_object(
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

fn note(verdict: &Ruling) -> String {
    match verdict {
        Ruling::Answered(Verdict::Done(_)) => "done".to_owned(),
        Ruling::Answered(Verdict::Refused(refusal, _)) => format!("refused: {}", refusal.code),
        Ruling::Answered(Verdict::Later { why, .. }) => format!("later: {why}"),
        Ruling::Answered(Verdict::Unknown { why }) => format!("unknown: {why}"),
        Ruling::Found(object) => format!("looked up: {}", object.id()),
        Ruling::Absent { .. } | Ruling::Renew => "looked up: none".to_owned(),
        Ruling::Review(why) => format!("review: {why}"),
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
