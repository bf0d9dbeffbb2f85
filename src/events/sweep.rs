//! The sweep of the provider's own list of events: what webhooks should have brought and did not is stored in the inbox
//! as if it had been delivered. Whether anything was missed says how well webhooks work; nothing depends on them alone.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, Scope};
use partita_provider::{EventQuery, FetchError, ListedEvent, Provider};
use partita_webhooks::inbox::{self, InboxKey, NewInboxEvent, Stored};

use super::store::{self, Sweep};
use super::{ApplyError, mode_of};
use crate::app::App;
use crate::clock::from_seconds;
use crate::platforms::Mode;

/// The kind of `due` rows that name books whose events are to be swept.
pub const SWEEP_DUE_KIND: &str = "event_sweep";

/// How often each account is swept.
const EVERY_HOURS: i64 = 24;
/// How soon a book is swept again of whose accounts one was refused.
const REFUSED_AGAIN_HOURS: i64 = 1;
/// How far a sweep looks back before the end of the last one: lists may lag, clocks differ.
const OVERLAP_HOURS: i64 = 1;
/// How far the first sweep of an account looks back: for as long as providers repeat a webhook.
const FIRST_DAYS: i64 = 3;
/// Accounts swept in one piece of work, so that it ends within its lease.
const ACCOUNTS_AT_ONCE: i64 = 20;
const PAGE: u8 = 100;

/// Makes sure that every book with a provider is swept.
///
/// # Errors
/// What the database says.
pub async fn schedule_sweeps(app: &Arc<App>) -> Result<(), ApplyError> {
    let now = app.clock.now();
    app.db
        .run_tx("schedule sweeps", Scope::Routing, move |tx| {
            Box::pin(async move { Ok(store::schedule_sweeps(tx, SWEEP_DUE_KIND, now).await?) })
        })
        .await
}

/// Sweeps the accounts of a book that are due; returns when to sweep again.
///
/// # Errors
/// [`ApplyError`], the provider's silence too; what was stored stays, the account is swept again.
pub async fn sweep(app: &Arc<App>, book: BookId) -> Result<Timestamp, ApplyError> {
    let mode = mode_of(app, book).await?;
    let provider = app.provider(book).await?;
    let now = app.clock.now();
    let before = now - SignedDuration::from_hours(EVERY_HOURS);
    let name = provider.name();
    let refused_before = now - SignedDuration::from_hours(REFUSED_AGAIN_HOURS);
    let due = app
        .db
        .read("accounts to sweep", Scope::Book(book), move |tx| {
            Box::pin(async move {
                let accounts = store::accounts_to_sweep(tx, name, before, refused_before, ACCOUNTS_AT_ONCE).await?;
                Ok::<_, ApplyError>(accounts)
            })
        })
        .await?;
    let whole = due.len() < usize::try_from(ACCOUNTS_AT_ONCE).unwrap_or(usize::MAX);
    let mut again = EVERY_HOURS;
    for (account, swept_to) in due {
        let from = swept_to.map_or(now - SignedDuration::from_hours(24 * FIRST_DAYS), |to| {
            to - SignedDuration::from_hours(OVERLAP_HOURS)
        });
        match sweep_account(app, book, mode, &*provider, account.clone(), from, now).await {
            // An account that left the platform is no reason not to look at the others, nor may many of them fill every turn.
            Err(ApplyError::Sweep(error @ (FetchError::Refused(_) | FetchError::NoAccess | FetchError::NotFound))) => {
                tracing::warn!(book = book.get(), account, %error, "the events of an account cannot be listed");
                note_refusal(app, book, name, account, now).await?;
                again = REFUSED_AGAIN_HOURS;
            }
            swept => swept?,
        }
    }
    Ok(if whole { now + SignedDuration::from_hours(again) } else { now })
}

async fn note_refusal(
    app: &Arc<App>,
    book: BookId,
    provider: &'static str,
    account: String,
    now: Timestamp,
) -> Result<(), ApplyError> {
    app.db
        .run_tx("note refused sweep", Scope::Book(book), move |tx| {
            let account = account.clone();
            Box::pin(async move { Ok(store::note_refusal(tx, provider, &account, now).await?) })
        })
        .await
}

async fn sweep_account(
    app: &Arc<App>,
    book: BookId,
    mode: Mode,
    provider: &dyn Provider,
    account: String,
    from: Timestamp,
    now: Timestamp,
) -> Result<(), ApplyError> {
    let mut sweep = Sweep { provider: provider.name(), account, swept_to: now, events: 0, missed: 0 };
    let mut query = EventQuery {
        account: Some(sweep.account.clone()).filter(|account| !account.is_empty()),
        created_from: Some(from.as_second()),
        limit: PAGE,
        ..EventQuery::default()
    };
    loop {
        let page = provider.events(&query).await.map_err(ApplyError::Sweep)?;
        query.after = page.data.last().map(|listed| listed.event.id.clone());
        let more = page.has_more && query.after.is_some();
        let events: Vec<NewInboxEvent> =
            page.data.into_iter().filter_map(|listed| as_delivered(provider, &sweep.account, mode, listed)).collect();
        sweep.events += i64::try_from(events.len()).unwrap_or(i64::MAX);
        sweep.missed += store_missing(app, book, events, now).await?;
        if !more {
            break;
        }
    }
    if sweep.missed > 0 {
        tracing::warn!(book = book.get(), missed = sweep.missed, events = sweep.events, "webhooks were missed");
    }
    app.db
        .run_tx("note sweep", Scope::Book(book), move |tx| {
            let sweep = sweep.clone();
            Box::pin(async move { Ok(store::note_sweep(tx, &sweep).await?) })
        })
        .await
}

/// The event as its webhook would have been stored; none for what concerns us in no way or is of the other mode.
fn as_delivered(provider: &dyn Provider, account: &str, mode: Mode, listed: ListedEvent) -> Option<NewInboxEvent> {
    let event = listed.event;
    event.concerns.as_ref()?;
    (event.livemode == (mode == Mode::Live)).then_some(())?;
    Some(NewInboxEvent {
        key: InboxKey {
            provider: provider.name().to_owned(),
            account: event.account.unwrap_or_else(|| account.to_owned()),
            event_id: event.id,
        },
        kind: event.kind,
        livemode: event.livemode,
        created_at: from_seconds(event.created)?,
        raw: listed.body,
    })
}

/// Stores what the inbox does not have yet; returns how many those were.
async fn store_missing(
    app: &Arc<App>,
    book: BookId,
    events: Vec<NewInboxEvent>,
    now: Timestamp,
) -> Result<i64, ApplyError> {
    let events = Arc::new(events);
    app.db
        .run_tx("store swept events", Scope::Book(book), move |tx| {
            let events = Arc::clone(&events);
            Box::pin(async move {
                let mut missed = 0;
                for event in events.iter() {
                    missed += i64::from(inbox::store(tx, event, now).await? == Stored::New);
                }
                Ok(missed)
            })
        })
        .await
}
