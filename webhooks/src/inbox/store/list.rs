//! Reading the inbox: for people and for metrics.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use partita_db::Tx;

use crate::inbox::{InboxError, InboxKey, InboxState, book_of};

/// How many events of a type are in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxCount {
    /// The state.
    pub state: InboxState,
    /// The provider's word for what happened.
    pub kind: String,
    /// How many.
    pub events: i64,
}

/// Counts the book's events by state and type.
///
/// # Errors
/// [`InboxError::NoBook`] outside a book; [`InboxError::Db`].
pub async fn counts(tx: &mut Tx) -> Result<Vec<InboxCount>, InboxError> {
    let book = book_of(tx)?;
    let rows = sqlx::query!(
        r#"select state, kind, count(*) as "events!"
         from inbox_events
         where book_id = $1
         group by state, kind
         order by state, kind"#,
        book.get(),
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|row| Ok(InboxCount { state: InboxState::read(&row.state)?, kind: row.kind, events: row.events }))
        .collect()
}

/// How many of the book's events wait, and for whom: received and parked for the worker, quarantined for a person.
///
/// # Errors
/// [`InboxError::NoBook`] outside a book; [`InboxError::Db`].
pub async fn waiting(tx: &mut Tx) -> Result<Vec<(InboxState, i64)>, InboxError> {
    let book = book_of(tx)?;
    let rows = sqlx::query!(
        r#"select state, count(*) as "events!" from inbox_events
         where book_id = $1 and state in ('received', 'parked') group by state
         union all
         select state, count(*) from inbox_events where book_id = $1 and state = 'quarantined' group by state"#,
        book.get(),
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .filter_map(|row| Some(row.state.as_deref().map(InboxState::read)?.map(|state| (state, row.events))))
        .collect()
}

/// An event as a list shows it: without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxSummary {
    /// Its identity.
    pub key: InboxKey,
    /// The provider's word for what happened.
    pub kind: String,
    /// Where it stands.
    pub state: InboxState,
    /// How often it was tried without success.
    pub attempts: i32,
    /// Why it was parked or quarantined the last time.
    pub last_error: Option<String>,
    /// When it happened, by the provider's clock.
    pub created_at: Timestamp,
    /// When it was stored, by the database's clock.
    pub received_at: Timestamp,
    /// When its effect was booked, by the business clock.
    pub applied_at: Option<Timestamp>,
}

impl InboxSummary {
    /// Where the page after this event begins.
    pub fn cursor(&self) -> InboxCursor {
        InboxCursor { received_at: self.received_at, key: self.key.clone() }
    }
}

/// A place in the list: the events that follow are older than this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxCursor {
    /// When the last event of the page before was stored.
    pub received_at: Timestamp,
    /// Its identity, which orders events of the same instant.
    pub key: InboxKey,
}

struct SummaryRow {
    provider: String,
    account: String,
    event_id: String,
    kind: String,
    state: String,
    attempts: i32,
    last_error: Option<String>,
    created_at: jiff_sqlx::Timestamp,
    received_at: jiff_sqlx::Timestamp,
    applied_at: Option<jiff_sqlx::Timestamp>,
}

impl TryFrom<SummaryRow> for InboxSummary {
    type Error = InboxError;

    fn try_from(row: SummaryRow) -> Result<Self, InboxError> {
        Ok(Self {
            key: InboxKey { provider: row.provider, account: row.account, event_id: row.event_id },
            kind: row.kind,
            state: InboxState::read(&row.state)?,
            attempts: row.attempts,
            last_error: row.last_error,
            created_at: row.created_at.to_jiff(),
            received_at: row.received_at.to_jiff(),
            applied_at: row.applied_at.map(jiff_sqlx::Timestamp::to_jiff),
        })
    }
}

/// An event with its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxEventDetail {
    /// What a list shows of it.
    pub summary: InboxSummary,
    /// The body as it came, card numbers masked.
    pub raw: Vec<u8>,
    /// Whether a card number was masked.
    pub masked: bool,
    /// When it is tried again, by the business clock; for events that are.
    pub next_attempt_at: Timestamp,
}

/// The book's events with this id at the provider. Accounts have ids of their own making, so that there may be several.
///
/// # Errors
/// [`InboxError::NoBook`] outside a book; [`InboxError::Db`].
pub async fn find(tx: &mut Tx, event_id: &str) -> Result<Vec<InboxEventDetail>, InboxError> {
    let book = book_of(tx)?;
    let rows = sqlx::query!(
        r#"select
            provider,
            account,
            event_id,
            kind,
            state,
            attempts,
            last_error,
            created_at as "created_at: jiff_sqlx::Timestamp",
            received_at as "received_at: jiff_sqlx::Timestamp",
            applied_at as "applied_at: jiff_sqlx::Timestamp",
            next_attempt_at as "next_attempt_at: jiff_sqlx::Timestamp",
            raw,
            masked
         from inbox_events
         where book_id = $1 and event_id = $2
         order by provider, account"#,
        book.get(),
        event_id,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|row| {
            let summary = SummaryRow {
                provider: row.provider,
                account: row.account,
                event_id: row.event_id,
                kind: row.kind,
                state: row.state,
                attempts: row.attempts,
                last_error: row.last_error,
                created_at: row.created_at,
                received_at: row.received_at,
                applied_at: row.applied_at,
            };
            Ok(InboxEventDetail {
                summary: summary.try_into()?,
                raw: row.raw,
                masked: row.masked,
                next_attempt_at: row.next_attempt_at.to_jiff(),
            })
        })
        .collect()
}

/// Up to `limit` events of the book, the newest first, of one state if given, from behind `after` on.
///
/// # Errors
/// [`InboxError::NoBook`] outside a book; [`InboxError::Db`].
pub async fn list(
    tx: &mut Tx,
    state: Option<InboxState>,
    after: Option<&InboxCursor>,
    limit: i64,
) -> Result<Vec<InboxSummary>, InboxError> {
    let book = book_of(tx)?;
    let key = after.map(|cursor| &cursor.key);
    let rows = sqlx::query_as!(
        SummaryRow,
        r#"select
            provider,
            account,
            event_id,
            kind,
            state,
            attempts,
            last_error,
            created_at as "created_at: _",
            received_at as "received_at: _",
            applied_at as "applied_at: _"
         from inbox_events
         where book_id = $1
            and ($2::text is null or state = $2)
            and ($3::timestamptz is null or (received_at, provider, account, event_id) < ($3, $4, $5, $6))
         order by received_at desc, provider desc, account desc, event_id desc
         limit $7"#,
        book.get(),
        state.map(InboxState::as_str),
        after.map(|cursor| cursor.received_at.to_sqlx()) as _,
        key.map(|key| key.provider.as_str()),
        key.map(|key| key.account.as_str()),
        key.map(|key| key.event_id.as_str()),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(InboxSummary::try_from).collect()
}
