//! SQL of event_sweeps.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};

/// What a sweep of one account found.
#[derive(Debug, Clone)]
pub(super) struct Sweep {
    /// The provider's name.
    pub(super) provider: &'static str,
    /// The connected account; empty for the platform's own.
    pub(super) account: String,
    /// Up to when its events were compared.
    pub(super) swept_to: Timestamp,
    /// How many there were.
    pub(super) events: i64,
    /// How many of them no webhook had brought.
    pub(super) missed: i64,
}

/// Makes every book due that has a provider and was never swept.
pub(super) async fn schedule_sweeps(tx: &mut Tx, kind: &str, now: Timestamp) -> Result<(), DbError> {
    sqlx::query!(
        "insert into due (kind, book_id, id, due_at)
         select $1, book_id, 0, $2 from provider_connections on conflict (kind, book_id, id) do nothing",
        kind,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Accounts of the book that were not swept since `before` and not refused since `refused_before`, the longest waiting
/// first, with up to when they were.
pub(super) async fn accounts_to_sweep(
    tx: &mut Tx,
    provider: &str,
    before: Timestamp,
    refused_before: Timestamp,
    limit: i64,
) -> Result<Vec<(String, Option<Timestamp>)>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select known.account as "account!", swept.swept_to as "swept_to: jiff_sqlx::Timestamp"
           from (select '' as account
                 union all
                 select account from sellers where book_id = $1 and account is not null) as known
           left join event_sweeps as swept
             on swept.book_id = $1 and swept.provider = $2 and swept.account = known.account
           where (swept.swept_to is null or swept.swept_to <= $3)
             and (swept.refused_at is null or swept.refused_at <= $4)
           order by swept.swept_to nulls first, known.account
           limit $5"#,
        book.get(),
        provider,
        before.to_sqlx() as _,
        refused_before.to_sqlx() as _,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.account, row.swept_to.map(jiff_sqlx::Timestamp::to_jiff))).collect())
}

/// Writes down what a sweep found.
pub(super) async fn note_sweep(tx: &mut Tx, sweep: &Sweep) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into event_sweeps (book_id, provider, account, swept_to, events, missed, updated_at)
         values ($1, $2, $3, $4, $5, $6, $4)
         on conflict (book_id, provider, account) do update
         set swept_to = excluded.swept_to, events = event_sweeps.events + excluded.events,
             missed = event_sweeps.missed + excluded.missed, refused_at = null, updated_at = excluded.updated_at",
        book.get(),
        sweep.provider,
        sweep.account,
        sweep.swept_to.to_sqlx() as _,
        sweep.events,
        sweep.missed
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Writes down that the provider did not show the account's events.
pub(super) async fn note_refusal(tx: &mut Tx, provider: &str, account: &str, now: Timestamp) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into event_sweeps (book_id, provider, account, refused_at, updated_at) values ($1, $2, $3, $4, $4)
         on conflict (book_id, provider, account) do update
         set refused_at = excluded.refused_at, updated_at = excluded.updated_at",
        book.get(),
        provider,
        account,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
