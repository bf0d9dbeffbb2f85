//! Where the provider settles in another currency than a payment is made in: each movement crosses the position account `fx`,
//! once in either currency, and when nothing of the payment is on its way any more its position is closed.
//!
//! - A movement crosses where its balance transaction is in another currency than the object that caused it ([`Moved`]). Sellers
//!   and buyers stand in the payment's currency alone; what the provider moved stands in the balance's, with its own figures.
//! - Each crossing is a row of `exchanges`, written with the movement, and has its subject looked at ([`close`]).
//! - A subject is at rest when no seller has anything of it and nothing is in clearing or disputed. Then what is the platform's of it
//!   is brought into the balance's currency at the rate of the first crossing, the charge's, and what is left on `fx` is the
//!   result of converting. No seller is touched. A later refund opens the position again, and it is closed again.
//! - The rate that the provider tells is kept to be shown; nothing is computed from it.

mod closing;
mod moved;
mod store;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, DbError, Scope, Tx};
use partita_ledger::{Floors, LedgerError};
use partita_provider::BalanceTransaction;

pub use closing::{Closed, Ratio, entries};
pub use moved::Moved;
pub use store::{closings_of, ratio_of};

use crate::actor::Actor;
use crate::app::App;
use crate::chart::{Chart, Kind, PlatformAccount};
use crate::due;
use crate::journal::{Entry, Journal, JournalError, Record};

/// The kind of `due` rows that name subjects whose position is open.
pub const DUE_KIND: &str = "currency_position";

/// How long until a position is looked at again that cannot be closed yet; every further crossing has it looked at, too.
const WAIT_HOURS: i64 = 24;

/// Takes a movement that `made` was made of: where it crossed currencies, notes that and returns the entries that cross.
///
/// `source` is the movement's key, `subject` what it is booked under, `cost` the account that bears its fee.
///
/// # Errors
/// What the database and the ledger say.
pub async fn cross(
    tx: &mut Tx,
    (source, subject): (i64, i64),
    movement: &BalanceTransaction,
    moved: Moved,
    made: Vec<Entry>,
    cost: PlatformAccount,
    now: Timestamp,
) -> Result<Vec<Entry>, LedgerError> {
    if moved.crosses() {
        let book = tx.book_id();
        // Accounts for positions came after many a book, and a balance in this currency may be the first.
        for currency in [moved.of.currency, moved.gross.currency] {
            Chart { book, currency }.open_platform(tx).await?;
        }
        store::insert(tx, source, subject, moved, movement.exchange_rate.as_deref()).await?;
        due::schedule(tx, DUE_KIND, subject, now).await?;
    }
    Ok(moved.entries(tx.book_id(), made, cost))
}

/// Has the position of a subject looked at, if it ever crossed currencies: something changed that no movement tells of.
///
/// # Errors
/// What the database says.
pub async fn look_again(tx: &mut Tx, subject: i64, now: Timestamp) -> Result<(), DbError> {
    if store::ratio_of(tx, subject).await?.is_some() {
        due::schedule(tx, DUE_KIND, subject, now).await?;
    }
    Ok(())
}

/// Closes the position of a subject as far as it is at rest. Returns when to look again, if it is not.
///
/// # Errors
/// [`JournalError`]; nothing is closed then.
pub async fn close(app: &Arc<App>, book: BookId, subject: i64) -> Result<Option<Timestamp>, JournalError> {
    let now = app.clock.now();
    let app_in = Arc::clone(app);
    app.db
        .run_tx("close position", Scope::Book(book), move |tx| {
            let app = Arc::clone(&app_in);
            Box::pin(async move {
                let Some(position) = store::find(tx, subject).await? else { return Ok(None) };
                if !position.is_at_rest() {
                    return Ok(Some(now + SignedDuration::from_hours(WAIT_HOURS)));
                }
                let closed = position.close();
                if closed.is_empty() {
                    return Ok(None);
                }
                let mut journal = Journal::new(&app.keys);
                let key = journal.keys().next(tx).await?;
                store::insert_closing(tx, key, &position, &closed).await?;
                journal.add(Record {
                    kind: Kind::PositionClosed,
                    source: key,
                    subject,
                    effective_at: now,
                    actor: Actor::System,
                    floors: Floors::Pass,
                    entries: closing::entries(book, &closed),
                });
                journal.post(tx).await?;
                Ok(None)
            })
        })
        .await
}
