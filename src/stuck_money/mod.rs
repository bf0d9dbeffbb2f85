//! Money that does not move on: found by a look at each book once a day, told with its cause and what helps.
//!
//! Each look asks a few set-based questions, page by page, and writes down what it finds: what stands there for longer than its
//! cause allows is told once (`stuck_money.found`), and once more when it has moved on (`stuck_money.cleared`). Nothing here
//! moves money.

mod cause;
mod store;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, DbError, Scope, Tx};
use partita_provider::Money;
use uuid::Uuid;

pub use cause::Cause;
pub use store::{ListFilter, count_open, find, list};

use crate::actor::Actor;
use crate::app::App;
use crate::due;
use crate::id::{SellerId, StuckId};
use crate::outbox::{self, Change};

/// The kind of `due` rows that name books to be looked at.
pub const DUE_KIND: &str = "stuck_money";

/// Findings read and written in one transaction.
const PAGE: i64 = 200;
const DAY_HOURS: i64 = 24;

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StuckStatus {
    /// Seen, and not for long enough to be told.
    Watched,
    /// Told.
    Open,
    /// It moved on.
    Cleared,
}

impl StuckStatus {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Watched => "watched",
            Self::Open => "open",
            Self::Cleared => "cleared",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Watched, Self::Open, Self::Cleared].into_iter().find(|status| status.as_str() == text)
    }
}

/// Money that does not move on.
#[derive(Debug, Clone)]
pub struct Stuck {
    /// Its id.
    pub id: StuckId,
    /// Why.
    pub cause: Cause,
    /// Whose it is; none: the platform's or a buyer's.
    pub seller: Option<SellerId>,
    /// What it hangs on: `seller`, `platform`, `operation`, `refund`, `top_up`, `payout`, `payment`, `payment_line` or
    /// `adjustment`.
    pub object_type: String,
    /// Which one; nil for the platform.
    pub object_id: Uuid,
    /// How much.
    pub amount: Money,
    /// Where it stands.
    pub status: StuckStatus,
    /// From when on it is known to stand there.
    pub since: Timestamp,
    /// How often it changed.
    pub sequence: i32,
    /// When it was first seen, by the business clock.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What a look finds.
#[derive(Debug, Clone)]
struct Finding {
    cause: Cause,
    seller: Option<SellerId>,
    object_type: &'static str,
    object_id: Uuid,
    amount: Money,
    /// Since when; none: since it was seen first.
    since: Option<Timestamp>,
    /// The place of it in the order of the question.
    place: String,
}

/// What is asked of a book.
#[derive(Debug, Clone, Copy)]
enum Question {
    Unsent,
    NotPaidOut,
    NotPaidByBank,
    PayoutsThatComeBack,
    PendingTooLong,
    ClearingTooLong,
    HeldTooLong,
    PositionOpen,
}

const QUESTIONS: [Question; 8] = [
    Question::Unsent,
    Question::NotPaidOut,
    Question::NotPaidByBank,
    Question::PayoutsThatComeBack,
    Question::PendingTooLong,
    Question::ClearingTooLong,
    Question::HeldTooLong,
    Question::PositionOpen,
];

impl Question {
    async fn ask(self, tx: &mut Tx, now: Timestamp, after: &str) -> Result<Vec<Finding>, DbError> {
        match self {
            Self::Unsent => store::find_unsent(tx, now, after, PAGE).await,
            Self::NotPaidOut => store::find_not_paid_out(tx, now, after, PAGE).await,
            Self::NotPaidByBank => store::find_not_paid_by_bank(tx, now, after, PAGE).await,
            Self::PayoutsThatComeBack => store::find_payouts_that_come_back(tx, after, PAGE).await,
            Self::PendingTooLong => store::find_pending(tx, now, after, PAGE).await,
            Self::ClearingTooLong => store::find_clearing(tx, now, after, PAGE).await,
            Self::HeldTooLong => store::find_held(tx, now, after, PAGE).await,
            Self::PositionOpen => store::find_open_positions(tx, now, after, PAGE).await,
        }
    }
}

/// Makes sure that every book is looked at once in each day of the business clock, at a time of its own.
///
/// # Errors
/// What the database says.
pub async fn schedule(app: &Arc<App>) -> Result<(), DbError> {
    let now = app.clock.now();
    app.db
        .run_tx("schedule looks for stuck money", Scope::Routing, move |tx| {
            Box::pin(async move { due::schedule_books(tx, DUE_KIND, now).await })
        })
        .await
}

/// Looks for money of a book that does not move on.
///
/// # Errors
/// What the database says; what was written down stays, and is looked for again.
pub async fn look(app: &Arc<App>, book: BookId) -> Result<(), DbError> {
    let now = app.clock.now();
    for question in QUESTIONS {
        let mut after = String::new();
        while let Some(last) = take_page(app, book, question, after, now).await? {
            after = last;
        }
    }
    while clear_page(app, book, now).await? {}
    Ok(())
}

/// Takes the next findings of a question; the place of the last of them, none when there are no more.
async fn take_page(
    app: &Arc<App>,
    book: BookId,
    question: Question,
    after: String,
    now: Timestamp,
) -> Result<Option<String>, DbError> {
    let after = Arc::new(after);
    app.db
        .run_tx("look for stuck money", Scope::Book(book), move |tx| {
            let after = Arc::clone(&after);
            Box::pin(async move {
                let findings = question.ask(tx, now, &after).await?;
                for finding in &findings {
                    take(tx, finding, now).await?;
                }
                Ok(findings.last().map(|finding| finding.place.clone()))
            })
        })
        .await
}

async fn take(tx: &mut Tx, finding: &Finding, now: Timestamp) -> Result<(), DbError> {
    let stuck = store::see(tx, finding, now).await?;
    let long_enough = SignedDuration::from_hours(DAY_HOURS * stuck.cause.told_after_days());
    if stuck.status == StuckStatus::Watched && now.duration_since(stuck.since) >= long_enough {
        let told = store::set_status(tx, stuck.id, StuckStatus::Open, now).await?;
        record(tx, &told, stuck.status, "stuck_money.found", now).await?;
        tracing::warn!(stuck = %told.id, cause = told.cause.as_str(), amount = %told.amount, "money does not move on");
    }
    Ok(())
}

/// Whether there may be more that was not seen any more.
async fn clear_page(app: &Arc<App>, book: BookId, now: Timestamp) -> Result<bool, DbError> {
    app.db
        .run_tx("clear stuck money", Scope::Book(book), move |tx| {
            Box::pin(async move {
                store::forget_watched(tx, now).await?;
                let gone = store::list_unseen_for_update(tx, now, PAGE).await?;
                for stuck in &gone {
                    let cleared = store::set_status(tx, stuck.id, StuckStatus::Cleared, now).await?;
                    record(tx, &cleared, stuck.status, "stuck_money.cleared", now).await?;
                }
                Ok(!gone.is_empty())
            })
        })
        .await
}

async fn record(
    tx: &mut Tx,
    stuck: &Stuck,
    from: StuckStatus,
    event: &'static str,
    now: Timestamp,
) -> Result<(), DbError> {
    let change = Change {
        object_type: "stuck_money",
        object_id: stuck.id.uuid(),
        sequence: stuck.sequence,
        from: (from != StuckStatus::Watched).then(|| from.as_str()),
        to: stuck.status.as_str(),
        event,
        payload: serde_json::json!({
            "object": "stuck_money", "id": stuck.id, "cause": stuck.cause.as_str(), "seller": stuck.seller,
            "status": stuck.status.as_str(), "amount": stuck.amount.minor, "currency": stuck.amount.currency,
            "since": stuck.since.to_string(), "remedy": stuck.cause.remedy(),
        }),
        actor: Actor::System,
        detail: None,
        at: now,
    };
    outbox::record(tx, &change).await
}
