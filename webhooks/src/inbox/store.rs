//! The rows of the inbox: storing what was received; [`claim`] and [`list`] have the rest.

pub(super) mod claim;
pub(super) mod list;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use partita_db::{BookId, Tx};
use partita_provider::mask_card_numbers;

use super::{InboxError, InboxKey, LOCK_CLASS, book_of};

/// An event whose signature was good.
#[derive(Debug, Clone)]
pub struct NewInboxEvent {
    /// Its identity.
    pub key: InboxKey,
    /// The provider's word for what happened.
    pub kind: String,
    /// Whether real money is meant; must be that of the book's mode.
    pub livemode: bool,
    /// When it happened, by the provider's clock.
    pub created_at: Timestamp,
    /// The body as it came. Card numbers are masked here, before it is stored.
    pub raw: Vec<u8>,
}

/// What became of a delivery. A duplicate is no error: providers deliver at least once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// Stored, and its book marked as due.
    New,
    /// It was there already; nothing changed.
    Duplicate,
}

/// Stores an event in the transaction's book, due at `now` (business clock).
///
/// # Errors
/// [`InboxError::NoBook`] outside a book; [`InboxError::Db`].
pub async fn store(tx: &mut Tx, event: &NewInboxEvent, now: Timestamp) -> Result<Stored, InboxError> {
    let book = book_of(tx)?;
    let raw = mask_card_numbers(&event.raw);
    let masked = raw.as_ref() != event.raw.as_slice();
    let inserted = sqlx::query!(
        "insert into inbox_events
            (book_id, provider, account, event_id, kind, livemode, created_at, raw, masked, next_attempt_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict on constraint inbox_events_pkey do nothing",
        book.get(),
        event.key.provider,
        event.key.account,
        event.key.event_id,
        event.kind,
        event.livemode,
        event.created_at.to_sqlx() as _,
        raw.as_ref(),
        masked,
        now.to_sqlx() as _,
    )
    .execute(tx.conn())
    .await?
    .rows_affected();
    if inserted == 0 {
        return Ok(Stored::Duplicate);
    }
    wake(tx, book, now).await?;
    Ok(Stored::New)
}

/// Makes sure that the book is due at `now` when this transaction commits; see the [inbox](super).
async fn wake(tx: &mut Tx, book: BookId, now: Timestamp) -> Result<(), InboxError> {
    sqlx::query!("select pg_advisory_xact_lock_shared($1, $2)", LOCK_CLASS, book.get()).execute(tx.conn()).await?;
    // A statement of its own: it must look after the lock was granted. A store that finds the row missing together with
    // others waits until the first of them has committed, and then takes no lock: with `do update` each would hold the row
    // until its own commit, one after the other. What they insert is due at their now, so that there is nothing to lower.
    sqlx::query!(
        "with present as (
            select due_at from due where kind = 'inbox' and book_id = $1 and id = 0
         ), lowered as (
            update due set due_at = $2 where kind = 'inbox' and book_id = $1 and id = 0 and due_at > $2
         )
         insert into due (kind, book_id, id, due_at)
         select 'inbox', $1, 0, $2
         where not exists (select from present)
         on conflict on constraint due_pkey do nothing",
        book.get(),
        now.to_sqlx() as _,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
