//! SQL of line_releases, release_policies and their limits.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::Currency;
use uuid::Uuid;

use super::{AtLimit, LineRelease, ReleaseFrom, ReleasePolicy, ReleaseRule, ReleaseStatus};
use crate::actor::Actor;
use crate::id::{PaymentId, SellerId};
use crate::payments::PaymentError;

struct Row {
    id: Uuid,
    key: i64,
    payment_id: Uuid,
    line: i32,
    seller_id: Uuid,
    release_from: String,
    after_days: i32,
    status: String,
    reason: Option<String>,
    delivered_at: Option<jiff_sqlx::Timestamp>,
    release_at: Option<jiff_sqlx::Timestamp>,
    longest_hold_days: i32,
    warn_days: i32,
    at_limit: String,
    limit_at: Option<jiff_sqlx::Timestamp>,
    warned_at: Option<jiff_sqlx::Timestamp>,
    limit_told_at: Option<jiff_sqlx::Timestamp>,
    released_at: Option<jiff_sqlx::Timestamp>,
    released_amount: Option<i64>,
    sequence: i32,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

fn from_word(word: &str) -> ReleaseFrom {
    ReleaseFrom::parse(word).expect("line_releases_from_known and release_policies_from_known allow no other word")
}

fn limit_word(word: &str) -> AtLimit {
    AtLimit::parse(word).expect("line_releases_at_limit_known and release_policies_at_limit_known allow no other word")
}

impl From<Row> for LineRelease {
    fn from(row: Row) -> Self {
        let time = |at: Option<jiff_sqlx::Timestamp>| at.map(jiff_sqlx::Timestamp::to_jiff);
        Self {
            id: row.id.into(),
            key: row.key,
            payment: row.payment_id.into(),
            line: row.line,
            seller: row.seller_id.into(),
            rule: ReleaseRule { from: from_word(&row.release_from), after_days: row.after_days },
            status: ReleaseStatus::parse(&row.status).expect("line_releases_status_known allows no other word"),
            reason: row.reason,
            delivered_at: time(row.delivered_at),
            release_at: time(row.release_at),
            longest_hold_days: row.longest_hold_days,
            warn_days: row.warn_days,
            at_limit: limit_word(&row.at_limit),
            limit_at: time(row.limit_at),
            warned_at: time(row.warned_at),
            limit_told_at: time(row.limit_told_at),
            released_at: time(row.released_at),
            released_amount: row.released_amount,
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
            r#"select id, key, payment_id, line, seller_id, release_from, after_days, status, reason,
                      delivered_at as "delivered_at: _", release_at as "release_at: _", longest_hold_days, warn_days, at_limit,
                      limit_at as "limit_at: _", warned_at as "warned_at: _", limit_told_at as "limit_told_at: _",
                      released_at as "released_at: _", released_amount, sequence, created_at as "created_at: _",
                      updated_at as "updated_at: _"
               from line_releases "# + $tail
            $(, $argument)*
        )
    };
}

fn sqlx_time(at: Option<Timestamp>) -> Option<jiff_sqlx::Timestamp> {
    at.map(jiff_sqlx::ToSqlx::to_sqlx)
}

pub(super) async fn insert(tx: &mut Tx, new: &LineRelease) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into line_releases (book_id, id, key, payment_id, line, seller_id, release_from, after_days, status, reason,
                                    longest_hold_days, warn_days, at_limit, limit_at, sequence, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16)",
        book.get(),
        new.id.uuid(),
        new.key,
        new.payment.uuid(),
        new.line,
        new.seller.uuid(),
        new.rule.from.as_str(),
        new.rule.after_days,
        new.status.as_str(),
        new.reason,
        new.longest_hold_days,
        new.warn_days,
        new.at_limit.as_str(),
        sqlx_time(new.limit_at) as _,
        new.sequence,
        new.created_at.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The row of a line, if it waits by itself or did.
pub(super) async fn find_release(tx: &mut Tx, payment: PaymentId, line: i32) -> Result<Option<LineRelease>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and payment_id = $2 and line = $3", book.get(), payment.uuid(), line)
        .fetch_optional(tx.conn())
        .await?;
    Ok(row.map(LineRelease::from))
}

/// A line that waits or waited, by its number.
///
/// # Errors
/// What the database says.
pub async fn find_release_by_key(tx: &mut Tx, key: i64) -> Result<Option<LineRelease>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and key = $2", book.get(), key).fetch_optional(tx.conn()).await?;
    Ok(row.map(LineRelease::from))
}

/// The lines of a payment that wait or waited by themselves, in their order.
///
/// # Errors
/// What the database says.
pub async fn list_releases(tx: &mut Tx, payment: PaymentId) -> Result<Vec<LineRelease>, DbError> {
    let book = tx.book_id();
    let rows = select!("where book_id = $1 and payment_id = $2 order by line", book.get(), payment.uuid())
        .fetch_all(tx.conn())
        .await?;
    Ok(rows.into_iter().map(LineRelease::from).collect())
}

/// Writes what a line has become that was read under its payment's lock, and returns it as it stands then.
pub(super) async fn update(tx: &mut Tx, new: &LineRelease, now: Timestamp) -> Result<LineRelease, PaymentError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update line_releases
         set status = $3, reason = $4, delivered_at = $5, release_at = $6, warned_at = $7, limit_told_at = $8, released_at = $9,
             released_amount = $10, sequence = sequence + 1, updated_at = $11
         where book_id = $1 and id = $2 and sequence = $12 and status <> 'released'",
        book.get(),
        new.id.uuid(),
        new.status.as_str(),
        new.reason,
        sqlx_time(new.delivered_at) as _,
        sqlx_time(new.release_at) as _,
        sqlx_time(new.warned_at) as _,
        sqlx_time(new.limit_told_at) as _,
        sqlx_time(new.released_at) as _,
        new.released_amount,
        now.to_sqlx() as _,
        new.sequence
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    if done.rows_affected() != 1 {
        return Err(PaymentError::Contradiction(format!("line {} was released meanwhile", new.line)));
    }
    Ok(LineRelease { sequence: new.sequence + 1, updated_at: now, ..new.clone() })
}

/// Sets the dates of a payment's lines that count from its charge, which was, and from when its money became usable, if it is.
/// Returns the numbers of those that wait.
pub(super) async fn set_dates(
    tx: &mut Tx,
    payment: PaymentId,
    is_usable: bool,
    now: Timestamp,
) -> Result<Vec<i64>, DbError> {
    let book = tx.book_id();
    let keys = sqlx::query_scalar!(
        "update line_releases
         set limit_at = coalesce(limit_at, $4::timestamptz + make_interval(hours => 24 * longest_hold_days)),
             release_at = case when $3 and release_from = 'available' and status = 'waiting'
                               then coalesce(release_at, $4::timestamptz + make_interval(hours => 24 * after_days))
                               else release_at end
         where book_id = $1 and payment_id = $2 and status <> 'released'
         returning key",
        book.get(),
        payment.uuid(),
        is_usable,
        now.to_sqlx() as _
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(keys)
}

/// When the buyer was charged, by the business clock; none if that was not yet.
pub(super) async fn charged_at(tx: &mut Tx, payment: PaymentId) -> Result<Option<Timestamp>, DbError> {
    let book = tx.book_id();
    let at = sqlx::query_scalar!(
        r#"select min(at) as "at: jiff_sqlx::Timestamp" from state_history
           where book_id = $1 and object_id = $2 and to_state = 'succeeded'"#,
        book.get(),
        payment.uuid()
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(at.map(jiff_sqlx::Timestamp::to_jiff))
}

/// A share of a seller's that waits though its payment's money is usable.
#[derive(Debug, Clone)]
pub struct WaitingMoney {
    /// Of which payment.
    pub payment: PaymentId,
    /// Of which of its lines, from 0.
    pub line: i32,
    /// Whether a person holds it.
    pub is_held: bool,
    /// Why, in that person's words.
    pub reason: Option<String>,
    /// Minor units.
    pub amount: i64,
    /// When it is released; none while that is not known.
    pub release_at: Option<Timestamp>,
}

/// The shares of a seller that wait though their payments' money is usable, those that may be held the shortest first; at most
/// `limit`.
///
/// # Errors
/// What the database says.
pub async fn waiting_of(
    tx: &mut Tx,
    seller: SellerId,
    currency: Currency,
    limit: i64,
) -> Result<Vec<WaitingMoney>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select r.payment_id, r.line, r.status, r.reason, payment_line_share(l) as "amount!",
                  r.release_at as "release_at: jiff_sqlx::Timestamp"
           from line_releases r
           join payments p on p.book_id = r.book_id and p.id = r.payment_id and p.funds = 'available' and p.currency = $3
           join payment_lines l on l.book_id = r.book_id and l.payment_id = r.payment_id and l.line = r.line
           where r.book_id = $1 and r.seller_id = $2 and r.status <> 'released' and payment_line_share(l) <> 0
           order by r.limit_at, r.id limit $4"#,
        book.get(),
        seller.uuid(),
        currency.code(),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    let waiting = rows.into_iter().map(|row| WaitingMoney {
        payment: row.payment_id.into(),
        line: row.line,
        is_held: row.status == ReleaseStatus::Held.as_str(),
        reason: row.reason,
        amount: row.amount,
        release_at: row.release_at.map(jiff_sqlx::Timestamp::to_jiff),
    });
    Ok(waiting.collect())
}

/// What all of [`waiting_of`] come to; minor units, signed.
///
/// # Errors
/// What the database says.
pub async fn waiting_sum_of(tx: &mut Tx, seller: SellerId, currency: Currency) -> Result<i64, DbError> {
    let book = tx.book_id();
    let sum = sqlx::query_scalar!(
        r#"select coalesce(sum(payment_line_share(l)), 0)::bigint as "sum!"
           from line_releases r
           join payments p on p.book_id = r.book_id and p.id = r.payment_id and p.funds = 'available' and p.currency = $3
           join payment_lines l on l.book_id = r.book_id and l.payment_id = r.payment_id and l.line = r.line
           where r.book_id = $1 and r.seller_id = $2 and r.status <> 'released'"#,
        book.get(),
        seller.uuid(),
        currency.code()
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(sum)
}

/// What holds for payments made now.
///
/// # Errors
/// What the database says.
pub async fn find_release_policy(tx: &mut Tx) -> Result<ReleasePolicy, DbError> {
    let book = tx.book_id();
    let row = sqlx::query!(
        r#"select version, release_from, after_days, longest_hold_days, warn_days, at_limit,
                  coalesce((select array_agg(country::text order by country) from release_policy_limits l
                            where l.book_id = $1 and l.version = p.version), '{}') as "countries!: Vec<String>",
                  coalesce((select array_agg(longest_hold_days order by country) from release_policy_limits l
                            where l.book_id = $1 and l.version = p.version), '{}') as "days!: Vec<i32>"
           from release_policies p where book_id = $1 order by version desc limit 1"#,
        book.get()
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map_or_else(ReleasePolicy::default, |row| ReleasePolicy {
        version: row.version,
        rule: ReleaseRule { from: from_word(&row.release_from), after_days: row.after_days },
        longest_hold_days: row.longest_hold_days,
        countries: row.countries.into_iter().zip(row.days).collect(),
        warn_days: row.warn_days,
        at_limit: limit_word(&row.at_limit),
    }))
}

/// Who calls has locked the declaration.
pub(super) async fn insert_release_policy(
    tx: &mut Tx,
    policy: &ReleasePolicy,
    actor: Actor,
    now: Timestamp,
) -> Result<ReleasePolicy, DbError> {
    let book = tx.book_id();
    let version = sqlx::query_scalar!(
        r#"insert into release_policies (book_id, version, release_from, after_days, longest_hold_days, warn_days, at_limit,
                                         created_by, created_at)
           select $1, 1 + coalesce((select max(version) from release_policies where book_id = $1), 0), $2, $3, $4, $5, $6, $7, $8
           returning version"#,
        book.get(),
        policy.rule.from.as_str(),
        policy.rule.after_days,
        policy.longest_hold_days,
        policy.warn_days,
        policy.at_limit.as_str(),
        actor.to_string(),
        now.to_sqlx() as _
    )
    .fetch_one(tx.conn())
    .await?;
    let (countries, days): (Vec<String>, Vec<i32>) = policy.countries.iter().cloned().unzip();
    sqlx::query!(
        "insert into release_policy_limits (book_id, version, country, longest_hold_days)
         select $1, $2, * from unnest($3::text[], $4::int[])",
        book.get(),
        version,
        &countries,
        &days
    )
    .execute(tx.conn())
    .await?;
    find_release_policy(tx).await
}
