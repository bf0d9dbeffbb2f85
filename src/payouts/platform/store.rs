//! SQL of platform_payouts and funding.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::{Currency, Money, Payout as Said, Refusal};
use uuid::Uuid;

use super::{Coverage, NewPlatformPayout, PlatformPayout};
use crate::actor::Actor;
use crate::chart::{Chart, PlatformAccount};
use crate::clock;
use crate::id::PlatformPayoutId;
use crate::payouts::{PayoutError, PayoutStatus};

struct Row {
    id: Uuid,
    key: i64,
    reference: String,
    amount: i64,
    currency: String,
    status: String,
    provider: String,
    provider_payout: Option<String>,
    arrival_on: Option<jiff_sqlx::Timestamp>,
    failure: Option<serde_json::Value>,
    metadata: serde_json::Value,
    free_before: i64,
    sequence: i32,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

impl From<Row> for PlatformPayout {
    fn from(row: Row) -> Self {
        let currency = Currency::parse(&row.currency).expect("written from a currency");
        Self {
            id: row.id.into(),
            key: row.key,
            reference: row.reference,
            amount: Money::new(row.amount, currency),
            status: PayoutStatus::parse(&row.status).expect("platform_payouts_status_known allows no other word"),
            provider: row.provider,
            provider_payout: row.provider_payout,
            arrival_on: row.arrival_on.map(jiff_sqlx::Timestamp::to_jiff),
            failure: row.failure.map(|value| serde_json::from_value(value).expect("written from a refusal")),
            metadata: row.metadata,
            free_before: row.free_before,
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
            r#"select id, key, reference, amount, currency, status, provider, provider_payout, arrival_on as "arrival_on: _",
                      failure, metadata, free_before, sequence, created_at as "created_at: _", updated_at as "updated_at: _"
               from platform_payouts "# + $tail
            $(, $argument)*
        )
    };
}

/// Locks a balance of the platform's at the provider: until the end of the transaction nobody else decides about it.
pub(super) async fn lock_funding(tx: &mut Tx, provider: &str, currency: Currency) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into funding (book_id, provider, currency) values ($1, $2, $3) on conflict do nothing",
        book.get(),
        provider,
        currency.code()
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "select currency from funding where book_id = $1 and provider = $2 and currency = $3 for no key update",
        book.get(),
        provider,
        currency.code()
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(())
}

/// What the books say of a currency, in one statement and so at one moment.
///
/// # Errors
/// What the database says.
pub async fn coverage_of(tx: &mut Tx, currency: Currency) -> Result<Coverage, DbError> {
    let book = tx.book_id();
    // The currency's number as account keys have it.
    let number = Chart { book, currency }.platform(PlatformAccount::Bank).get() >> 33 & 1023;
    let sums = sqlx::query!(
        r#"with balances as (
               select a.path, ((a.account & ((1::bigint << 33) - 1)) >> 7)::integer as number, split_part(a.path, '.', 3) as part,
                      sum(b.credits - b.debits) as balance
               from ledger_accounts a
               join ledger_balances b on b.book_id = a.book_id and b.account = a.account
               where a.book_id = $1 and a.currency = $2::bigint
                 and (a.path like 'sel.%' or a.path like 'tax.%' or a.path like 'vat.%' or a.path like 'clr.%'
                      or a.path in ('prov.available', 'prov.pending'))
               group by a.path, a.account),
           waiting as (
               select s.number, sum(payment_line_share(l)) as amount
               from line_releases r
               join payments p on p.book_id = r.book_id and p.id = r.payment_id and p.funds = 'available' and p.currency = $3
               join payment_lines l on l.book_id = r.book_id and l.payment_id = r.payment_id and l.line = r.line
               join sellers s on s.book_id = r.book_id and s.id = r.seller_id
               where r.book_id = $1 and r.status <> 'released' group by s.number),
           sellers as (
               -- What waits by itself may be released at any moment: it is owed now.
               select coalesce(sum(balance) filter (where part in ('available', 'held', 'reserve')), 0) + coalesce(w.amount, 0) as now,
                      coalesce(sum(balance) filter (where part = 'pending'), 0) - coalesce(w.amount, 0) as pending
               from balances left join waiting w using (number) where path like 'sel.%' group by number, w.amount),
           positions as (
               select sum(x.settled_amount) filter (where m.state = 'available')
                          - coalesce((select sum(c.settled_amount) from position_closings c
                                      where c.book_id = $1 and c.subject = d.id and c.settled_currency = $3), 0) as now,
                      sum(x.settled_amount) filter (where m.state = 'pending') as pending
               from due d
               join exchanges x on x.book_id = d.book_id and x.subject = d.id and x.settled_currency = $3
               join provider_movements m on m.book_id = x.book_id and m.key = x.movement
               where d.kind = 'currency_position' and d.book_id = $1 group by d.id)
           select coalesce((select -balance from balances where path = 'prov.available'), 0)::bigint as "available!",
                  coalesce((select -balance from balances where path = 'prov.pending'), 0)::bigint as "pending!",
                  coalesce((select sum(greatest(balance, 0)) from balances
                            where path like 'tax.%' or path like 'vat.%'), 0)::bigint as "taxes!",
                  coalesce((select sum(greatest(balance, 0)) from balances where path like 'clr.%'), 0)::bigint as "clearing!",
                  coalesce((select sum(greatest(now, 0)) from sellers), 0)::bigint as "sellers_now!",
                  coalesce((select sum(greatest(pending, 0)) from sellers), 0)::bigint as "sellers_pending!",
                  coalesce((select sum(amount) from platform_payouts
                            where book_id = $1 and currency = $3 and status = 'processing'), 0)::bigint as "going_out!",
                  coalesce((select sum(greatest(now, 0)) from positions), 0)::bigint as "positions_now!",
                  coalesce((select sum(greatest(pending, 0)) from positions), 0)::bigint as "positions_pending!""#,
        book.get(),
        number,
        currency.code()
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(Coverage {
        available: sums.available,
        pending: sums.pending,
        sellers_now: sums.sellers_now,
        sellers_pending: sums.sellers_pending,
        taxes: sums.taxes,
        clearing: sums.clearing,
        going_out: sums.going_out,
        positions_now: sums.positions_now,
        positions_pending: sums.positions_pending,
    })
}

pub(super) async fn insert(
    tx: &mut Tx,
    (id, key): (PlatformPayoutId, i64),
    input: &NewPlatformPayout,
    provider: &str,
    free_before: i64,
    actor: Actor,
    now: Timestamp,
) -> Result<PlatformPayout, PayoutError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into platform_payouts (book_id, id, key, reference, amount, currency, status, provider, metadata, free_before,
                                       created_by, sequence, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, 'processing', $7, $8, $9, $10, 1, $11, $11)",
        book.get(),
        id.uuid(),
        key,
        input.reference,
        input.amount.minor,
        input.amount.currency.code(),
        provider,
        input.metadata,
        free_before,
        actor.to_string(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)
    .map_err(|error| match error.constraint() {
        Some("platform_payouts_reference_unique") => PayoutError::ReferenceTaken,
        _ => error.into(),
    })?;
    find(tx, id).await?.ok_or(PayoutError::NotFound)
}

/// A payout of the platform's own by its id.
///
/// # Errors
/// What the database says.
pub async fn find(tx: &mut Tx, id: PlatformPayoutId) -> Result<Option<PlatformPayout>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2", book.get(), id.uuid()).fetch_optional(tx.conn()).await?;
    Ok(row.map(PlatformPayout::from))
}

/// The one that the provider's object names, or else the one with its id, locked.
pub(super) async fn find_for_update(
    tx: &mut Tx,
    named: Option<PlatformPayoutId>,
    provider_payout: &str,
) -> Result<Option<PlatformPayout>, DbError> {
    let book = tx.book_id();
    let row = select!(
        "where book_id = $1 and (id = $2 or provider_payout = $3) order by id = $2 desc nulls last limit 1
         for no key update",
        book.get(),
        named.map(PlatformPayoutId::uuid),
        provider_payout
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(PlatformPayout::from))
}

/// Payouts of the platform's own, newest first, older than `before`.
///
/// # Errors
/// What the database says.
pub async fn list(
    tx: &mut Tx,
    statuses: &[String],
    before: Option<PlatformPayoutId>,
    limit: i64,
) -> Result<Vec<PlatformPayout>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where book_id = $1 and (cardinality($2::text[]) = 0 or status = any($2)) and ($3::uuid is null or id < $3)
         order by id desc limit $4",
        book.get(),
        statuses,
        before.map(PlatformPayoutId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(PlatformPayout::from).collect())
}

/// The provider has taken it.
pub(super) async fn accept(
    tx: &mut Tx,
    payout: &PlatformPayout,
    said: &Said,
    now: Timestamp,
) -> Result<PlatformPayout, PayoutError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update platform_payouts
         set status = 'pending', provider_payout = $3, arrival_on = $4, sequence = sequence + 1, updated_at = $5
         where book_id = $1 and id = $2 and status = 'processing'",
        book.get(),
        payout.id.uuid(),
        said.id,
        clock::from_seconds(said.arrival_on).unwrap_or(now).to_sqlx() as _,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    changed_one(tx, payout, done.rows_affected()).await
}

pub(super) async fn set_status(
    tx: &mut Tx,
    payout: &PlatformPayout,
    status: PayoutStatus,
    failure: Option<&Refusal>,
    now: Timestamp,
) -> Result<PlatformPayout, PayoutError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update platform_payouts set status = $4, failure = $5, sequence = sequence + 1, updated_at = $6
         where book_id = $1 and id = $2 and status = $3",
        book.get(),
        payout.id.uuid(),
        payout.status.as_str(),
        status.as_str(),
        failure.map(|refusal| serde_json::to_value(refusal).expect("refusals serialise")),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    changed_one(tx, payout, done.rows_affected()).await
}

async fn changed_one(tx: &mut Tx, payout: &PlatformPayout, rows: u64) -> Result<PlatformPayout, PayoutError> {
    if rows != 1 {
        return Err(PayoutError::Contradiction("it changed meanwhile".to_owned()));
    }
    find(tx, payout.id).await?.ok_or(PayoutError::NotFound)
}
