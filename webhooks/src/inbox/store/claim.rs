//! The worker's side: taking events, marking them, and ending a turn.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use partita_db::{BookId, Tx};
use sqlx::postgres::types::PgInterval;

use super::wake;
use crate::inbox::{InboxError, InboxEvent, InboxKey, InboxState, LOCK_CLASS, book_of};

/// Longest reason that is kept with an event, in characters.
const LONGEST_REASON: i32 = 1_000;

/// Leases up to `limit` books whose events are due at `now` (business clock), the longest waiting first. Needs no book.
///
/// Until the lease runs out (database clock) or [`settle`] ends it, no other worker gets them. The lease only spreads the
/// work: two workers in one book do no harm, since [`claim_due`] never gives both the same event.
///
/// # Errors
/// [`InboxError::Db`].
pub async fn claim_books(tx: &mut Tx, limit: i64, now: Timestamp, lease: Duration) -> Result<Vec<BookId>, InboxError> {
    let lease = PgInterval::try_from(lease).map_err(sqlx::Error::Encode)?;
    let books = sqlx::query_scalar!(
        r#"update due set lease_until = clock_timestamp() + $3
         where (kind, book_id, id) in (
            select kind, book_id, id
            from due
            where kind = 'inbox' and due_at <= $1 and (lease_until is null or lease_until <= clock_timestamp())
            order by due_at, book_id, id
            limit $2
            for update skip locked
         )
         returning book_id as "book_id: BookId""#,
        now.to_sqlx() as _,
        limit,
        lease,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(books)
}

struct EventRow {
    provider: String,
    account: String,
    event_id: String,
    kind: String,
    livemode: bool,
    created_at: jiff_sqlx::Timestamp,
    raw: Vec<u8>,
    attempts: i32,
    reads: i32,
}

impl From<EventRow> for InboxEvent {
    fn from(row: EventRow) -> Self {
        Self {
            key: InboxKey { provider: row.provider, account: row.account, event_id: row.event_id },
            kind: row.kind,
            livemode: row.livemode,
            created_at: row.created_at.to_jiff(),
            raw: row.raw,
            attempts: row.attempts,
            reads: row.reads,
        }
    }
}

/// Locks up to `limit` unapplied events of the book that are due at `now` (business clock) until the transaction ends,
/// in the order in which they became due, then in the provider's. Events that another worker holds are passed over.
///
/// # Errors
/// [`InboxError::NoBook`] outside a book; [`InboxError::Db`].
pub async fn claim_due(tx: &mut Tx, limit: i64, now: Timestamp) -> Result<Vec<InboxEvent>, InboxError> {
    let book = book_of(tx)?;
    let rows = sqlx::query_as!(
        EventRow,
        r#"select
            provider,
            account,
            event_id,
            kind,
            livemode,
            created_at as "created_at: _",
            raw,
            attempts,
            reads
         from inbox_events
         where book_id = $1 and state in ('received', 'parked') and next_attempt_at <= $2
         order by next_attempt_at, created_at, provider, account, event_id
         limit $3
         for update skip locked"#,
        book.get(),
        now.to_sqlx() as _,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(InboxEvent::from).collect())
}

/// Locks one unapplied event of the book that is due at `now` (business clock) until the transaction ends; none when it is
/// ended, not due, or held by another worker.
///
/// # Errors
/// [`InboxError::NoBook`] outside a book; [`InboxError::Db`].
pub async fn claim_one(tx: &mut Tx, key: &InboxKey, now: Timestamp) -> Result<Option<InboxEvent>, InboxError> {
    let book = book_of(tx)?;
    let row = sqlx::query_as!(
        EventRow,
        r#"select
            provider,
            account,
            event_id,
            kind,
            livemode,
            created_at as "created_at: _",
            raw,
            attempts,
            reads
         from inbox_events
         where book_id = $1 and provider = $2 and account = $3 and event_id = $4
            and state in ('received', 'parked') and next_attempt_at <= $5
         for update skip locked"#,
        book.get(),
        key.provider,
        key.account,
        key.event_id,
        now.to_sqlx() as _,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(InboxEvent::from))
}

/// Marks events as applied at `now` (business clock): in the transaction that booked their effect.
///
/// # Errors
/// [`InboxError::NotOpen`] if one of them was ended already: the transaction must be rolled back, its effect is a double.
pub async fn mark_applied(tx: &mut Tx, keys: &[InboxKey], now: Timestamp) -> Result<(), InboxError> {
    let book = book_of(tx)?;
    let names = Names::of(keys);
    let changed = sqlx::query!(
        "update inbox_events as event set state = 'applied', applied_at = $2
         from unnest($3::text[], $4::text[], $5::text[]) as done (provider, account, event_id)
         where event.book_id = $1
            and event.provider = done.provider
            and event.account = done.account
            and event.event_id = done.event_id
            and event.state in ('received', 'parked')",
        book.get(),
        now.to_sqlx() as _,
        &names.providers as _,
        &names.accounts as _,
        &names.event_ids as _,
    )
    .execute(tx.conn())
    .await?
    .rows_affected();
    all_changed(InboxState::Applied, keys, changed)
}

/// Marks events as meaning nothing to this release. They stay, and are counted by type.
///
/// # Errors
/// [`InboxError::NotOpen`] if one of them was ended already.
pub async fn ignore(tx: &mut Tx, keys: &[InboxKey]) -> Result<(), InboxError> {
    let book = book_of(tx)?;
    let names = Names::of(keys);
    let changed = sqlx::query!(
        "update inbox_events as event set state = 'ignored'
         from unnest($2::text[], $3::text[], $4::text[]) as done (provider, account, event_id)
         where event.book_id = $1
            and event.provider = done.provider
            and event.account = done.account
            and event.event_id = done.event_id
            and event.state in ('received', 'parked')",
        book.get(),
        &names.providers as _,
        &names.accounts as _,
        &names.event_ids as _,
    )
    .execute(tx.conn())
    .await?
    .rows_affected();
    all_changed(InboxState::Ignored, keys, changed)
}

/// Puts an event off until `until` (business clock) and counts the attempt: its object could not be looked at.
///
/// # Errors
/// [`InboxError::NotOpen`] if it was ended already.
pub async fn park(tx: &mut Tx, key: &InboxKey, until: Timestamp, why: &str) -> Result<(), InboxError> {
    put_off(tx, key, until, why, 0).await
}

/// Puts an event off like [`park`], and counts that its object was shown: nothing can be made of it yet, for instance
/// because it overtook the answer that makes its object known.
///
/// # Errors
/// [`InboxError::NotOpen`] if it was ended already.
pub async fn park_read(tx: &mut Tx, key: &InboxKey, until: Timestamp, why: &str) -> Result<(), InboxError> {
    put_off(tx, key, until, why, 1).await
}

async fn put_off(tx: &mut Tx, key: &InboxKey, until: Timestamp, why: &str, reads: i32) -> Result<(), InboxError> {
    let book = book_of(tx)?;
    let changed = sqlx::query!(
        "update inbox_events
         set state = 'parked', attempts = attempts + 1, reads = reads + $8, next_attempt_at = $5,
             last_error = left($6, $7)
         where book_id = $1 and provider = $2 and account = $3 and event_id = $4 and state in ('received', 'parked')",
        book.get(),
        key.provider,
        key.account,
        key.event_id,
        until.to_sqlx() as _,
        why,
        LONGEST_REASON,
        reads,
    )
    .execute(tx.conn())
    .await?
    .rows_affected();
    all_changed(InboxState::Parked, std::slice::from_ref(key), changed)
}

/// Gives an event up: no worker takes it again until a person had a look and [reopened](reopen) it.
///
/// # Errors
/// [`InboxError::NotOpen`] if it was ended already.
pub async fn quarantine(tx: &mut Tx, key: &InboxKey, why: &str) -> Result<(), InboxError> {
    let book = book_of(tx)?;
    let changed = sqlx::query!(
        "update inbox_events
         set state = 'quarantined', attempts = attempts + 1, last_error = left($5, $6)
         where book_id = $1 and provider = $2 and account = $3 and event_id = $4 and state in ('received', 'parked')",
        book.get(),
        key.provider,
        key.account,
        key.event_id,
        why,
        LONGEST_REASON,
    )
    .execute(tx.conn())
    .await?
    .rows_affected();
    all_changed(InboxState::Quarantined, std::slice::from_ref(key), changed)
}

/// Makes a quarantined or ignored event due at `now` (business clock), as if it had just been received.
///
/// # Errors
/// [`InboxError::NotOpen`] if it is in neither of these states.
pub async fn reopen(tx: &mut Tx, key: &InboxKey, now: Timestamp) -> Result<(), InboxError> {
    let book = book_of(tx)?;
    let changed = sqlx::query!(
        "update inbox_events
         set state = 'received', attempts = 0, reads = 0, next_attempt_at = $5
         where book_id = $1 and provider = $2 and account = $3 and event_id = $4 and state in ('quarantined', 'ignored')",
        book.get(),
        key.provider,
        key.account,
        key.event_id,
        now.to_sqlx() as _,
    )
    .execute(tx.conn())
    .await?
    .rows_affected();
    all_changed(InboxState::Received, std::slice::from_ref(key), changed)?;
    wake(tx, book, now).await
}

/// Ends a worker's turn in the book: frees it and says when it is due again (business clock); none when every event is
/// ended. To be called in a transaction of its own, after the one with the effects; see the [inbox](crate::inbox).
///
/// # Errors
/// [`InboxError::NoBook`] outside a book; [`InboxError::Db`].
pub async fn settle(tx: &mut Tx) -> Result<Option<Timestamp>, InboxError> {
    let book = book_of(tx)?;
    sqlx::query!("select pg_advisory_xact_lock($1, $2)", LOCK_CLASS, book.get()).execute(tx.conn()).await?;
    // A statement of its own: it must look after the lock was granted.
    let next = sqlx::query_scalar!(
        r#"select min(next_attempt_at) as "next: jiff_sqlx::Timestamp"
         from inbox_events
         where book_id = $1 and state in ('received', 'parked')"#,
        book.get(),
    )
    .fetch_one(tx.conn())
    .await?;
    match &next {
        Some(next) => {
            sqlx::query!(
                "insert into due (kind, book_id, id, due_at) values ('inbox', $1, 0, $2)
                 on conflict on constraint due_pkey do update set due_at = excluded.due_at, lease_until = null",
                book.get(),
                next as _,
            )
            .execute(tx.conn())
            .await?
        }
        None => {
            sqlx::query!("delete from due where kind = 'inbox' and book_id = $1 and id = 0", book.get())
                .execute(tx.conn())
                .await?
        }
    };
    Ok(next.map(jiff_sqlx::Timestamp::to_jiff))
}

/// The parts of the keys, each a parameter.
struct Names {
    providers: Vec<String>,
    accounts: Vec<String>,
    event_ids: Vec<String>,
}

impl Names {
    fn of(keys: &[InboxKey]) -> Self {
        Self {
            providers: keys.iter().map(|key| key.provider.clone()).collect(),
            accounts: keys.iter().map(|key| key.account.clone()).collect(),
            event_ids: keys.iter().map(|key| key.event_id.clone()).collect(),
        }
    }
}

fn all_changed(state: InboxState, keys: &[InboxKey], changed: u64) -> Result<(), InboxError> {
    if u64::try_from(keys.len()) == Ok(changed) {
        return Ok(());
    }
    Err(InboxError::NotOpen { state: state.as_str(), asked: keys.len(), changed })
}
