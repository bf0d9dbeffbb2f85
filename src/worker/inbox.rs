//! Applies stored webhooks: an event says where to look, the object that is read then says what happened.
//!
//! A batch is read from the provider outside any transaction, each object once however many events point at it, and
//! applied in one transaction with the marks. A batch that fails is done again event by event, so that one poison
//! event harms no other.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, Scope, Tx};
use partita_provider::{FetchError, Lookup, Provider, ProviderObject};
use partita_webhooks::inbox::{self, InboxError, InboxEvent, InboxKey};
use tokio::time::Instant;

use crate::app::App;
use crate::crash;
use crate::events::{self, Applied, ApplyError, Origin, Remedy};
use crate::journal::Journal;
use crate::payments;
use crate::platforms::Mode;

const BOOKS: i64 = 16;
const EVENTS: i64 = 64;
/// How long a book's events are nobody else's: those of a dead worker wait no longer than what it had sent.
const LEASE: Duration = Duration::from_secs(40);
/// After so long a batch takes no further event, whose locks others would wait for: with a database some milliseconds away
/// a whole batch takes longer than they may wait.
const LONGEST_BATCH: Duration = Duration::from_millis(500);
const PARK_SECONDS: i64 = 60;
const LONGEST_PARK_SECONDS: i64 = 3_600;
/// How often an event about nothing of ours is put off before it is left aside: its object may be on its way. Only answers
/// count, no outages.
const READS_BEFORE_IGNORED: i32 = 5;
/// How often an object is read that cannot be understood, before a person is asked. Only answers count, no outages.
const READS_BEFORE_QUARANTINED: i32 = 8;
/// How long an object is looked for that the provider has not: its copies may lag behind its events, but not for ever.
const ABSENT_HOURS: i64 = 6;
/// How many objects are read from the provider at once.
const READS_AT_ONCE: usize = 8;

/// The kind of `due` rows that the inbox keeps.
pub(super) const DUE_KIND: &str = "inbox";

/// Takes books that have unapplied events.
pub(super) async fn claim(app: &Arc<App>, limit: i64, now: Timestamp) -> Result<Vec<BookId>, ApplyError> {
    app.db
        .run_tx("claim inboxes", Scope::Routing, move |tx| {
            Box::pin(async move { Ok(inbox::claim_books(tx, limit, now, LEASE).await?) })
        })
        .await
}

/// Applies one batch of events in every book that has some; returns how many books those were.
///
/// # Errors
/// What the database says of the queue; what goes wrong with an event is kept with it.
pub async fn apply_inbox(app: &Arc<App>) -> Result<usize, ApplyError> {
    let books = claim(app, BOOKS, app.clock.now()).await?;
    Ok(futures::future::join_all(books.into_iter().map(|book| apply_or_log(app, book))).await.len())
}

/// Applies one batch of a book's events; what prevents it is logged, and the events stay.
pub(super) async fn apply_or_log(app: &Arc<App>, book: BookId) {
    if let Err(error) = apply_book(app, book).await {
        tracing::error!(book = book.get(), %error, "an inbox could not be applied; tried again later");
    }
}

async fn apply_book(app: &Arc<App>, book: BookId) -> Result<usize, ApplyError> {
    let mode = events::mode_of(app, book).await?;
    let now = app.clock.now();
    let due = app
        .db
        .run_tx("peek inbox", Scope::Book(book), move |tx| {
            Box::pin(async move { inbox::claim_due(tx, EVENTS, now).await })
        })
        .await?;
    let count = due.len();
    let provider = app.provider(book).await?;
    let direct = accounts_with_direct_charges(app, book, &due).await?;
    let read = Arc::new(read_all(&*provider, &due, &direct).await);
    crash::point_of("before_events", read.values().filter_map(kind_of));
    if let Err(error) = apply_batch(app, book, mode, Arc::clone(&read), None).await {
        tracing::warn!(book = book.get(), %error, "a batch of events failed; applied one by one");
        for key in read.keys() {
            apply_alone(app, book, mode, Arc::clone(&read), key.clone()).await?;
        }
    }
    crash::point_of("after_events", read.values().filter_map(kind_of));
    app.db.run_tx("settle inbox", Scope::Book(book), |tx| Box::pin(async move { inbox::settle(tx).await })).await?;
    Ok(count)
}

/// What reading the object behind an event came to.
#[derive(Debug, Clone)]
enum Read {
    /// The object as it is now.
    Object(Arc<ProviderObject>),
    /// Nothing that this release acts on.
    Meaningless,
    /// The provider has no such object, or none that it shows us: says why.
    Absent(&'static str),
    /// An object that cannot be ours.
    Foreign,
    /// To be read again later.
    Later(String),
    /// What came cannot be understood: broken on the way, or of a shape that this release does not know.
    Garbled(String),
    /// The event itself cannot be understood, and never will be.
    Poison(String),
}

/// What kind of object was read.
fn kind_of(read: &Read) -> Option<&'static str> {
    let Read::Object(object) = read else { return None };
    Some(match &**object {
        ProviderObject::Account(_) => "account",
        ProviderObject::AccountLink(_) => "account_link",
        ProviderObject::Payment(_) => "payment",
        ProviderObject::Refund(_) => "refund",
        ProviderObject::Transfer(_) => "transfer",
        ProviderObject::Reversal(_) => "reversal",
        ProviderObject::TopUp(_) => "top_up",
        ProviderObject::Payout(_) => "payout",
        ProviderObject::Dispute(_) => "dispute",
        ProviderObject::Customer(_) => "customer",
        ProviderObject::Setup(_) => "setup",
        ProviderObject::Method(_) => "method",
        ProviderObject::ApplicationFee(_) => "application_fee",
        ProviderObject::PayoutFee(_) => "payout_fee",
    })
}

/// Of the accounts that tell of something, those on which direct charges are made.
async fn accounts_with_direct_charges(
    app: &Arc<App>,
    book: BookId,
    due: &[InboxEvent],
) -> Result<HashSet<String>, ApplyError> {
    let told: HashSet<&String> =
        due.iter().map(|event| &event.key.account).filter(|account| !account.is_empty()).collect();
    if told.is_empty() {
        return Ok(HashSet::new());
    }
    let told: Arc<Vec<String>> = Arc::new(told.into_iter().cloned().collect());
    let direct = app
        .db
        .read("accounts with direct charges", Scope::Book(book), move |tx| {
            let told = Arc::clone(&told);
            Box::pin(async move { Ok::<_, ApplyError>(payments::accounts_with_direct_charges(tx, &told).await?) })
        })
        .await?;
    Ok(direct.into_iter().collect())
}

async fn read_all(provider: &dyn Provider, due: &[InboxEvent], direct: &HashSet<String>) -> HashMap<InboxKey, Read> {
    let mut read = HashMap::new();
    let mut wanted: HashMap<Lookup, Vec<InboxKey>> = HashMap::new();
    for event in due {
        match lookup_of(provider, event, direct) {
            Ok(Some(lookup)) => wanted.entry(lookup).or_default().push(event.key.clone()),
            Ok(None) => drop(read.insert(event.key.clone(), Read::Meaningless)),
            Err(why) => drop(read.insert(event.key.clone(), Read::Poison(why))),
        }
    }
    let wanted: Vec<(Lookup, Vec<InboxKey>)> = wanted.into_iter().collect();
    for some in wanted.chunks(READS_AT_ONCE) {
        let results = futures::future::join_all(some.iter().map(|(lookup, _)| fetch(provider, lookup))).await;
        for ((_, keys), result) in some.iter().zip(results) {
            read.extend(keys.iter().map(|key| (key.clone(), result.clone())));
        }
    }
    read
}

fn lookup_of(provider: &dyn Provider, event: &InboxEvent, direct: &HashSet<String>) -> Result<Option<Lookup>, String> {
    let read = provider.read_event(&event.raw).map_err(|error| error.to_string())?;
    let account = &event.key.account;
    // What other connected accounts tell of their own charges is nothing of ours.
    Ok(read.concerns.filter(|lookup| match lookup {
        Lookup::Payout { .. } | Lookup::Account(_) => true,
        Lookup::OnAccount { account: named, .. } => named == account && direct.contains(account),
        _ => account.is_empty(),
    }))
}

async fn fetch(provider: &dyn Provider, lookup: &Lookup) -> Read {
    match provider.fetch(lookup).await {
        Ok(object) => Read::Object(Arc::new(object)),
        // Ours are made by payment intents, and the event names none.
        Err(FetchError::NotFound) if matches!(lookup, Lookup::PaymentOfCharge(_)) => Read::Foreign,
        Err(FetchError::NotFound) => Read::Absent("the provider has no such object"),
        Err(FetchError::NoAccess) => Read::Absent("the provider gives us no access to the account"),
        Err(FetchError::Unreadable(why)) => Read::Garbled(why),
        Err(error) => Read::Later(error.to_string()),
    }
}

/// Applies what was read of the events that are still open; with `only`, that one event.
async fn apply_batch(
    app: &Arc<App>,
    book: BookId,
    mode: Mode,
    read: Arc<HashMap<InboxKey, Read>>,
    only: Option<InboxKey>,
) -> Result<(), ApplyError> {
    let now = app.clock.now();
    let app_in = Arc::clone(app);
    app.db
        .run_tx("apply inbox", Scope::Book(book), move |tx| {
            let (app, read, only) = (Arc::clone(&app_in), Arc::clone(&read), only.clone());
            Box::pin(async move {
                let due = match &only {
                    Some(key) => inbox::claim_one(tx, key, now).await?.into_iter().collect(),
                    None => inbox::claim_due(tx, EVENTS, now).await?,
                };
                let mut journal = Journal::new(&app.keys);
                let (mut applied, mut ignored) = (Vec::new(), Vec::new());
                let until = Instant::now() + LONGEST_BATCH;
                for (number, event) in due.into_iter().enumerate() {
                    if number > 0 && Instant::now() > until {
                        break;
                    }
                    match read.get(&event.key) {
                        None => {}
                        Some(Read::Meaningless) => ignored.push(event.key),
                        Some(Read::Later(why)) => inbox::park(tx, &event.key, next_try(&event, now), why).await?,
                        Some(Read::Absent(why)) => put_off_absent(tx, &event, now, why).await?,
                        Some(Read::Garbled(why)) if event.reads < READS_BEFORE_QUARANTINED => {
                            inbox::park_read(tx, &event.key, next_try(&event, now), why).await?;
                        }
                        Some(Read::Poison(why) | Read::Garbled(why)) => inbox::quarantine(tx, &event.key, why).await?,
                        Some(Read::Foreign) => put_off_foreign(tx, event, now, &mut ignored).await?,
                        Some(Read::Object(object)) => {
                            let origin = Origin { provider: "stripe", account: &event.key.account, mode, now };
                            match events::apply_object(tx, object, origin, &mut journal).await? {
                                Applied::Ours(_) => applied.push(event.key),
                                Applied::NotOurs => put_off_foreign(tx, event, now, &mut ignored).await?,
                            }
                        }
                    }
                }
                inbox::mark_applied(tx, &applied, now).await?;
                inbox::ignore(tx, &ignored).await?;
                crash::point_of("within_events", read.values().filter_map(kind_of));
                journal.post(tx).await?;
                Ok(())
            })
        })
        .await
}

/// Puts an event off whose object the provider does not show, and sets it aside when that is so for too long.
async fn put_off_absent(tx: &mut Tx, event: &InboxEvent, now: Timestamp, why: &str) -> Result<(), InboxError> {
    let since = event.absent_since.unwrap_or(now);
    if now.duration_since(since) < SignedDuration::from_hours(ABSENT_HOURS) {
        return inbox::park_absent(tx, &event.key, next_try(event, now), now, why).await;
    }
    let why = format!("{why}, since {since} at the latest");
    inbox::quarantine(tx, &event.key, &why).await
}

/// Puts an event off about nothing of ours, and leaves it aside when that is so for long.
async fn put_off_foreign(
    tx: &mut Tx,
    event: InboxEvent,
    now: Timestamp,
    ignored: &mut Vec<InboxKey>,
) -> Result<(), InboxError> {
    if event.reads >= READS_BEFORE_IGNORED {
        ignored.push(event.key);
        return Ok(());
    }
    inbox::park_read(tx, &event.key, next_try(&event, now), "no object of ours is behind it").await
}

/// Applies one event, or keeps with it why it cannot be.
async fn apply_alone(
    app: &Arc<App>,
    book: BookId,
    mode: Mode,
    read: Arc<HashMap<InboxKey, Read>>,
    key: InboxKey,
) -> Result<(), ApplyError> {
    let Err(error) = apply_batch(app, book, mode, read, Some(key.clone())).await else {
        return Ok(());
    };
    let (why, remedy, now) = (error.to_string(), error.remedy(), app.clock.now());
    tracing::warn!(book = book.get(), event = key.event_id, why, ?remedy, "an event cannot be applied");
    app.db
        .run_tx("keep event's trouble", Scope::Book(book), move |tx| {
            let (key, why) = (key.clone(), why.clone());
            Box::pin(async move {
                let Some(event) = inbox::claim_one(tx, &key, now).await? else { return Ok(()) };
                match remedy {
                    Remedy::Person => inbox::quarantine(tx, &key, &why).await?,
                    Remedy::Later | Remedy::Again => inbox::park(tx, &key, next_try(&event, now), &why).await?,
                }
                Ok(())
            })
        })
        .await
}

/// When an event is looked at again, later each time: an outage of the provider's or of ours gives nothing up.
fn next_try(event: &InboxEvent, now: Timestamp) -> Timestamp {
    let doublings = u32::try_from(event.attempts.clamp(0, 10)).unwrap_or(0);
    now + SignedDuration::from_secs((PARK_SECONDS << doublings).min(LONGEST_PARK_SECONDS))
}
