//! SQL of stuck_money; what is looked for stands in [`questions`].

mod positions;
mod questions;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::{Currency, Money};
use uuid::Uuid;

pub(super) use positions::find_open_positions;
pub(super) use questions::{
    find_clearing, find_held, find_not_paid_by_bank, find_not_paid_out, find_payouts_that_come_back, find_pending,
    find_unsent,
};

use super::{Cause, Finding, Stuck, StuckStatus};
use crate::id::{SellerId, StuckId};

/// Which to list.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Any of these; all that were told when empty.
    pub statuses: Vec<String>,
    /// Any of these; all when empty.
    pub causes: Vec<String>,
    /// Of this seller.
    pub seller: Option<SellerId>,
    /// Older than this.
    pub before: Option<StuckId>,
}

struct Row {
    id: Uuid,
    cause: String,
    seller_id: Option<Uuid>,
    object_type: String,
    object_id: Uuid,
    amount: i64,
    currency: String,
    status: String,
    since: jiff_sqlx::Timestamp,
    sequence: i32,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

impl From<Row> for Stuck {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            cause: Cause::parse(&row.cause).expect("stuck_money_cause_known allows no other word"),
            seller: row.seller_id.map(SellerId::from),
            object_type: row.object_type,
            object_id: row.object_id,
            amount: Money::new(row.amount, Currency::parse(&row.currency).expect("written from a currency")),
            status: StuckStatus::parse(&row.status).expect("stuck_money_status_known allows no other word"),
            since: row.since.to_jiff(),
            sequence: row.sequence,
            created_at: row.created_at.to_jiff(),
            updated_at: row.updated_at.to_jiff(),
        }
    }
}

macro_rules! select {
    ($tail:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"select id, cause, seller_id, object_type, object_id, amount, currency, status, since as "since: _", sequence,
                      created_at as "created_at: _", updated_at as "updated_at: _"
               from stuck_money "# + $tail
            $(, $argument)*
        )
    };
}

/// Writes down that it stands there, as much as there is now. What is seen for the first time is watched.
pub(super) async fn see(tx: &mut Tx, finding: &Finding, now: Timestamp) -> Result<Stuck, DbError> {
    let book = tx.book_id();
    let id = sqlx::query_scalar!(
        "insert into stuck_money (book_id, id, cause, seller_id, object_type, object_id, amount, currency, status, since, seen_at,
                                  sequence, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, 'watched', $9, $10, 0, $10, $10)
         on conflict (book_id, cause, object_id, currency) where status <> 'cleared'
             do update set amount = excluded.amount, seen_at = excluded.seen_at
         returning id",
        book.get(),
        StuckId::new().uuid(),
        finding.cause.as_str(),
        finding.seller.map(SellerId::uuid),
        finding.object_type,
        finding.object_id,
        finding.amount.minor,
        finding.amount.currency.code(),
        finding.since.unwrap_or(now).to_sqlx() as _,
        now.to_sqlx() as _
    )
    .fetch_one(tx.conn())
    .await?;
    let row = select!("where book_id = $1 and id = $2", book.get(), id).fetch_one(tx.conn()).await?;
    Ok(row.into())
}

/// Turns what was seen or told in the transaction; it is locked.
pub(super) async fn set_status(
    tx: &mut Tx,
    id: StuckId,
    status: StuckStatus,
    now: Timestamp,
) -> Result<Stuck, DbError> {
    let book = tx.book_id();
    // No row: it is an error, somebody turned it meanwhile.
    sqlx::query!(
        "update stuck_money set status = $3, sequence = sequence + 1, updated_at = $4
         where book_id = $1 and id = $2 and status <> $3 and status <> 'cleared' returning id",
        book.get(),
        id.uuid(),
        status.as_str(),
        now.to_sqlx() as _
    )
    .fetch_one(tx.conn())
    .await?;
    let row = select!("where book_id = $1 and id = $2", book.get(), id.uuid()).fetch_one(tx.conn()).await?;
    Ok(row.into())
}

/// Removes what was not seen any more and never told.
pub(super) async fn forget_watched(tx: &mut Tx, seen_before: Timestamp) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "delete from stuck_money where book_id = $1 and status = 'watched' and seen_at < $2",
        book.get(),
        seen_before.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Some of what was told and is not seen any more.
pub(super) async fn list_unseen_for_update(
    tx: &mut Tx,
    seen_before: Timestamp,
    limit: i64,
) -> Result<Vec<Stuck>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where book_id = $1 and status = 'open' and seen_at < $2 order by id limit $3 for no key update",
        book.get(),
        seen_before.to_sqlx() as _,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Stuck::from).collect())
}

/// What was told, by its id.
///
/// # Errors
/// What the database says.
pub async fn find(tx: &mut Tx, id: StuckId) -> Result<Option<Stuck>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2 and status <> 'watched'", book.get(), id.uuid())
        .fetch_optional(tx.conn())
        .await?;
    Ok(row.map(Stuck::from))
}

/// What was told, newest first.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx, filter: &ListFilter, limit: i64) -> Result<Vec<Stuck>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where book_id = $1 and status <> 'watched' and (cardinality($2::text[]) = 0 or status = any($2))
           and (cardinality($3::text[]) = 0 or cause = any($3)) and ($4::uuid is null or seller_id = $4)
           and ($5::uuid is null or id < $5)
         order by id desc limit $6",
        book.get(),
        &filter.statuses,
        &filter.causes,
        filter.seller.map(SellerId::uuid),
        filter.before.map(StuckId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Stuck::from).collect())
}

/// How much is told and stands, by cause.
///
/// # Errors
/// What the database says.
pub async fn count_open(tx: &mut Tx) -> Result<Vec<(Cause, i64)>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select cause, count(*) as "count!" from stuck_money where book_id = $1 and status = 'open' group by cause"#,
        book.get()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().filter_map(|row| Some((Cause::parse(&row.cause)?, row.count))).collect())
}
