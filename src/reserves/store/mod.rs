//! SQL of reserves and reserve_moves; of the rules: [`policies`].

mod policies;
mod steps;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::{Currency, Money};
use uuid::Uuid;

pub use policies::find_declared;
pub(super) use policies::{RulesOf, find_declared_for_all, insert_policy, rules_of, schedule_fixed};
pub use steps::{Part, Step, list_held, list_parts, list_steps, steps_of};
pub(super) use steps::{insert_step, list_drawn};

use super::{Reserve, ReserveError, ReserveKind, ReserveStatus};
use crate::actor::Actor;
use crate::chart::SellerNumber;
use crate::id::{PaymentId, ReserveId, SellerId};

/// Which reserves to list.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Any of these; all when empty.
    pub statuses: Vec<String>,
    /// Any of these; all when empty.
    pub kinds: Vec<String>,
    /// Of this seller.
    pub seller: Option<SellerId>,
    /// Of a share of this payment.
    pub payment: Option<PaymentId>,
    /// Older than this reserve.
    pub before: Option<ReserveId>,
}

/// A reserve to be made.
pub(super) struct NewRow {
    pub(super) seller: SellerId,
    pub(super) kind: ReserveKind,
    pub(super) amount: Money,
    pub(super) payment: Option<PaymentId>,
    pub(super) line: Option<i32>,
    pub(super) policy_version: Option<i32>,
    pub(super) reason: Option<String>,
    pub(super) release_at: Option<Timestamp>,
}

struct Row {
    id: Uuid,
    key: i64,
    seller_id: Uuid,
    number: i32,
    payment_id: Option<Uuid>,
    kind: String,
    policy_version: Option<i32>,
    amount: i64,
    currency: String,
    status: String,
    taken_amount: i64,
    drawn_amount: i64,
    released_amount: i64,
    reason: Option<String>,
    release_at: Option<jiff_sqlx::Timestamp>,
    created_by: String,
    sequence: i32,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

impl From<Row> for Reserve {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            key: row.key,
            seller: row.seller_id.into(),
            number: SellerNumber(row.number),
            payment: row.payment_id.map(PaymentId::from),
            kind: ReserveKind::parse(&row.kind).expect("reserves_kind_known allows no other word"),
            policy_version: row.policy_version,
            amount: Money::new(row.amount, Currency::parse(&row.currency).expect("written from a currency")),
            status: ReserveStatus::parse(&row.status).expect("reserves_status_known allows no other word"),
            taken: row.taken_amount,
            drawn: row.drawn_amount,
            released: row.released_amount,
            reason: row.reason,
            release_at: row.release_at.map(jiff_sqlx::Timestamp::to_jiff),
            created_by: row.created_by,
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
            r#"select r.id, r.key, r.seller_id, s.number, r.payment_id, r.kind, r.policy_version, r.amount, r.currency, r.status,
                      r.taken_amount, r.drawn_amount, r.released_amount, r.reason, r.release_at as "release_at: _",
                      r.created_by, r.sequence, r.created_at as "created_at: _", r.updated_at as "updated_at: _"
               from reserves r join sellers s on s.book_id = r.book_id and s.id = r.seller_id "# + $tail
            $(, $argument)*
        )
    };
}

/// None where the rule's reserve is there already: of the share or the line, or for the seller and currency.
pub(super) async fn insert(
    tx: &mut Tx,
    key: i64,
    new: &NewRow,
    actor: Actor,
    now: Timestamp,
) -> Result<Option<Reserve>, DbError> {
    let (book, id) = (tx.book_id(), ReserveId::new());
    let inserted = sqlx::query!(
        "insert into reserves (book_id, id, key, seller_id, payment_id, kind, policy_version, amount, currency, status, reason,
                               release_at, created_by, sequence, created_at, updated_at, line)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'open', $10, $11, $12, 1, $13, $13, $14)
         on conflict do nothing",
        book.get(),
        id.uuid(),
        key,
        new.seller.uuid(),
        new.payment.map(PaymentId::uuid),
        new.kind.as_str(),
        new.policy_version,
        new.amount.minor,
        new.amount.currency.code(),
        new.reason.as_deref(),
        new.release_at.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        actor.to_string(),
        now.to_sqlx() as _,
        new.line
    )
    .execute(tx.conn())
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(None);
    }
    find(tx, id).await
}

/// A reserve by its id.
///
/// # Errors
/// What the database says.
pub async fn find(tx: &mut Tx, id: ReserveId) -> Result<Option<Reserve>, DbError> {
    let book = tx.book_id();
    let row = select!("where r.book_id = $1 and r.id = $2", book.get(), id.uuid()).fetch_optional(tx.conn()).await?;
    Ok(row.map(Reserve::from))
}

pub(super) async fn find_for_update(tx: &mut Tx, id: ReserveId) -> Result<Option<Reserve>, DbError> {
    let book = tx.book_id();
    let row = select!("where r.book_id = $1 and r.id = $2 for no key update of r", book.get(), id.uuid())
        .fetch_optional(tx.conn())
        .await?;
    Ok(row.map(Reserve::from))
}

/// Reserves by their ids, locked: seller by seller, and of one in the order in which its shares fill them.
pub(super) async fn list_for_update(tx: &mut Tx, ids: &[ReserveId]) -> Result<Vec<Reserve>, DbError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let book = tx.book_id();
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = select!(
        "where r.book_id = $1 and r.id = any($2) order by s.number, r.kind desc, r.id for no key update of r",
        book.get(),
        &ids
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Reserve::from).collect())
}

/// A reserve by its number, locked.
///
/// # Errors
/// What the database says.
pub async fn find_by_key_for_update(tx: &mut Tx, key: i64) -> Result<Option<Reserve>, DbError> {
    let book = tx.book_id();
    let row = select!("where r.book_id = $1 and r.key = $2 for no key update of r", book.get(), key)
        .fetch_optional(tx.conn())
        .await?;
    Ok(row.map(Reserve::from))
}

/// The open reserves that a seller's share of a payment fills: its own first, then those made by hand, then the fixed one.
pub(super) async fn list_filling_for_update(
    tx: &mut Tx,
    seller: SellerId,
    currency: Currency,
    payment: PaymentId,
) -> Result<Vec<Reserve>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where r.book_id = $1 and r.currency = $3 and r.status = 'open' and r.id in (
             select id from reserves where book_id = $1 and seller_id = $2 and kind = 'rolling' and payment_id = $4
             union all
             select id from reserves where book_id = $1 and seller_id = $2 and kind <> 'rolling' and status = 'open')
         order by r.kind desc, r.id for no key update of r",
        book.get(),
        seller.uuid(),
        currency.code(),
        payment.uuid()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Reserve::from).collect())
}

/// Reserves, newest first.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx, filter: &ListFilter, limit: i64) -> Result<Vec<Reserve>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where r.book_id = $1 and (cardinality($2::text[]) = 0 or r.status = any($2))
           and (cardinality($3::text[]) = 0 or r.kind = any($3)) and ($4::uuid is null or r.seller_id = $4)
           and ($5::uuid is null or r.payment_id = $5) and ($6::uuid is null or r.id < $6)
         order by r.id desc limit $7",
        book.get(),
        &filter.statuses,
        &filter.kinds,
        filter.seller.map(SellerId::uuid),
        filter.payment.map(PaymentId::uuid),
        filter.before.map(ReserveId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Reserve::from).collect())
}

/// What is kept back of a seller, the next to be given back first.
///
/// # Errors
/// What the database says.
pub async fn list_next(tx: &mut Tx, seller: SellerId, limit: i64) -> Result<Vec<Reserve>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where r.book_id = $1 and r.seller_id = $2 and r.status <> 'released'
           and r.taken_amount > r.drawn_amount + r.released_amount
         order by r.release_at nulls last, r.id limit $3",
        book.get(),
        seller.uuid(),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Reserve::from).collect())
}

/// Writes what a locked reserve has become, and returns it as it stands then.
pub(super) async fn update(tx: &mut Tx, new: &Reserve, now: Timestamp) -> Result<Reserve, ReserveError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update reserves set status = $3, amount = $4, taken_amount = $5, drawn_amount = $6, released_amount = $7,
                             sequence = sequence + 1, updated_at = $8
         where book_id = $1 and id = $2 and sequence = $9",
        book.get(),
        new.id.uuid(),
        new.status.as_str(),
        new.amount.minor,
        new.taken,
        new.drawn,
        new.released,
        now.to_sqlx() as _,
        new.sequence
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    if done.rows_affected() != 1 {
        return Err(ReserveError::Overtaken);
    }
    Ok(Reserve { sequence: new.sequence + 1, updated_at: now, ..new.clone() })
}

/// In which currency a seller is paid; none if there is no such seller.
pub(super) async fn find_seller(tx: &mut Tx, id: SellerId) -> Result<Option<Currency>, DbError> {
    let book = tx.book_id();
    let code = sqlx::query_scalar!(
        "select default_currency from sellers where book_id = $1 and id = $2",
        book.get(),
        id.uuid()
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(code.map(|code| Currency::parse(&code).expect("written from a currency")))
}

/// Whether a seller's fixed reserve is open.
pub(super) async fn has_fixed(tx: &mut Tx, seller: SellerId, currency: Currency) -> Result<bool, DbError> {
    let book = tx.book_id();
    let found = sqlx::query_scalar!(
        r#"select exists (select from reserves where book_id = $1 and seller_id = $2 and currency = $3 and kind = 'fixed'
                          and status = 'open') as "found!""#,
        book.get(),
        seller.uuid(),
        currency.code()
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(found)
}

/// What is held of a seller's money and why, in one sum for each reason and date.
#[derive(Debug, Clone)]
pub struct Held {
    /// Why.
    pub kind: ReserveKind,
    /// In a person's words, where it was one.
    pub reason: Option<String>,
    /// Minor units.
    pub amount: i64,
    /// In how many reserves.
    pub reserves: i64,
    /// On which day it goes back, as UTC counts days; none where its rule has no end.
    pub release_on: Option<String>,
}

/// Why a seller's money is held in reserves, the next to be released first; at most `limit` reasons.
///
/// # Errors
/// What the database says.
pub async fn held_of(tx: &mut Tx, seller: SellerId, currency: Currency, limit: i64) -> Result<Vec<Held>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select kind, reason, sum(taken_amount - drawn_amount - released_amount)::bigint as "amount!", count(*) as "reserves!",
                  to_char(release_at at time zone 'UTC', 'YYYY-MM-DD') as release_on
           from reserves
           where book_id = $1 and seller_id = $2 and currency = $3 and status <> 'released'
             and taken_amount > drawn_amount + released_amount
           group by kind, reason, 5 order by 5 nulls last, kind, reason limit $4"#,
        book.get(),
        seller.uuid(),
        currency.code(),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    let held = rows.into_iter().map(|row| Held {
        kind: ReserveKind::parse(&row.kind).expect("reserves_kind_known allows no other word"),
        reason: row.reason,
        amount: row.amount,
        reserves: row.reserves,
        release_on: row.release_on,
    });
    Ok(held.collect())
}
