//! SQL of disputes, dispute_lines and dispute_policies.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::{Currency, Dispute as Said, Money};
use uuid::Uuid;

use super::entries::DisputeShare;
use super::policy::{Bearer, Hold, Policy};
use super::{Dispute, DisputeError, DisputeStatus};
use crate::actor::Actor;
use crate::clock;
use crate::id::{DisputeId, PaymentId};
use crate::payments::{Payment, SellerShare};

/// Which disputes to list.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Any of these; all when empty.
    pub statuses: Vec<String>,
    /// Of this payment.
    pub payment: Option<PaymentId>,
    /// With a line of this seller in it.
    pub seller: Option<crate::id::SellerId>,
    /// Evidence is due at this time or later.
    pub due_from: Option<Timestamp>,
    /// Evidence is due before this time.
    pub due_before: Option<Timestamp>,
    /// Older than this dispute.
    pub before: Option<DisputeId>,
}

struct Row {
    id: Uuid,
    key: i64,
    payment_id: Uuid,
    amount: i64,
    currency: String,
    status: String,
    reason: String,
    due_by: Option<jiff_sqlx::Timestamp>,
    submissions: i32,
    withdrawn_amount: i64,
    reinstated_amount: i64,
    fee: i64,
    policy_version: i32,
    liability: String,
    hold: String,
    tax_relief: bool,
    fee_bearer: String,
    provider: String,
    account: Option<String>,
    provider_dispute: String,
    sequence: i32,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

impl From<Row> for Dispute {
    fn from(row: Row) -> Self {
        let currency = Currency::parse(&row.currency).expect("written from a currency");
        Self {
            id: row.id.into(),
            key: row.key,
            payment: row.payment_id.into(),
            amount: Money::new(row.amount, currency),
            status: DisputeStatus::parse(&row.status).expect("disputes_status_known allows no other word"),
            reason: row.reason,
            due_by: row.due_by.map(jiff_sqlx::Timestamp::to_jiff),
            submissions: row.submissions,
            withdrawn_amount: row.withdrawn_amount,
            reinstated_amount: row.reinstated_amount,
            fee: row.fee,
            policy: Policy {
                version: row.policy_version,
                liability: Bearer::parse(&row.liability).expect("disputes_liability_known allows no other word"),
                hold: Hold::parse(&row.hold).expect("disputes_hold_known allows no other word"),
                tax_relief: row.tax_relief,
                fee: Bearer::parse(&row.fee_bearer).expect("disputes_fee_bearer_known allows no other word"),
            },
            provider: row.provider,
            account: row.account,
            provider_dispute: row.provider_dispute,
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
            r#"select id, key, payment_id, amount, currency, status, reason, due_by as "due_by: _", submissions, withdrawn_amount,
                      reinstated_amount, fee, policy_version, liability, hold, tax_relief, fee_bearer, provider,
                      (select d.account from direct_charges d where d.book_id = disputes.book_id and d.payment_id = disputes.payment_id)
                          as account,
                      provider_dispute, sequence, created_at as "created_at: _", updated_at as "updated_at: _"
               from disputes "# + $tail
            $(, $argument)*
        )
    };
}

/// What holds for disputes opened now.
///
/// # Errors
/// What the database says.
pub async fn find_policy(tx: &mut Tx) -> Result<Policy, DbError> {
    let book = tx.book_id();
    let row = sqlx::query!(
        "select version, liability, hold, tax_relief, fee from dispute_policies where book_id = $1
         order by version desc limit 1",
        book.get()
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map_or_else(Policy::default, |row| Policy {
        version: row.version,
        liability: Bearer::parse(&row.liability).expect("dispute_policies_liability_known allows no other word"),
        hold: Hold::parse(&row.hold).expect("dispute_policies_hold_known allows no other word"),
        tax_relief: row.tax_relief,
        fee: Bearer::parse(&row.fee).expect("dispute_policies_fee_known allows no other word"),
    }))
}

/// Declares a policy; returns it with its version. Who calls keeps others from declaring.
pub(super) async fn insert_policy(
    tx: &mut Tx,
    policy: Policy,
    actor: Actor,
    now: Timestamp,
) -> Result<Policy, DbError> {
    let book = tx.book_id();
    let version = sqlx::query_scalar!(
        r#"insert into dispute_policies (book_id, version, liability, hold, tax_relief, fee, created_by, created_at)
           select $1, 1 + coalesce((select max(version) from dispute_policies where book_id = $1), 0), $2, $3, $4, $5, $6, $7
           returning version"#,
        book.get(),
        policy.liability.as_str(),
        policy.hold.as_str(),
        policy.tax_relief,
        policy.fee.as_str(),
        actor.to_string(),
        now.to_sqlx() as _
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(Policy { version, ..policy })
}

#[expect(clippy::too_many_arguments, reason = "one row's worth of facts, each of another type")]
pub(super) async fn insert(
    tx: &mut Tx,
    key: i64,
    payment: &Payment,
    provider: &str,
    said: &Said,
    status: DisputeStatus,
    policy: Policy,
    now: Timestamp,
) -> Result<Dispute, DisputeError> {
    let book = tx.book_id();
    let id = DisputeId::new();
    sqlx::query!(
        "insert into disputes (book_id, id, key, payment_id, amount, currency, status, reason, due_by, submissions,
                               policy_version, liability, hold, tax_relief, fee_bearer, provider, provider_dispute,
                               sequence, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, 1, $18, $18)",
        book.get(),
        id.uuid(),
        key,
        payment.id.uuid(),
        said.amount.minor,
        said.amount.currency.code(),
        status.as_str(),
        said.reason,
        said.due_by.and_then(clock::from_seconds).map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        submissions(said),
        policy.version,
        policy.liability.as_str(),
        policy.hold.as_str(),
        policy.tax_relief,
        policy.fee.as_str(),
        provider,
        said.id,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    find(tx, id).await?.ok_or(DisputeError::NotFound)
}

fn submissions(said: &Said) -> i32 {
    i32::try_from(said.submissions).unwrap_or(i32::MAX)
}

pub(super) async fn insert_lines(tx: &mut Tx, id: DisputeId, shares: &[DisputeShare]) -> Result<(), DbError> {
    let book = tx.book_id();
    let column = |value: fn(&DisputeShare) -> i64| shares.iter().map(value).collect::<Vec<i64>>();
    let numbers: Vec<i32> = shares.iter().map(|share| share.share.line).collect();
    sqlx::query!(
        "insert into dispute_lines (book_id, dispute_id, line, amount, tax_amount, commission, commission_vat, fee)
         select $1, $2, * from unnest($3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])",
        book.get(),
        id.uuid(),
        &numbers,
        &column(|share| share.share.amount),
        &column(|share| share.share.tax),
        &column(|share| share.share.commission),
        &column(|share| share.share.vat),
        &column(|share| share.fee)
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What each line of the payment has in a dispute, in their order; nothing before money was taken.
///
/// # Errors
/// What the database says.
pub async fn find_lines(tx: &mut Tx, id: DisputeId) -> Result<Vec<DisputeShare>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        "select line, amount, tax_amount, commission, commission_vat, fee from dispute_lines
         where book_id = $1 and dispute_id = $2 order by line",
        book.get(),
        id.uuid()
    )
    .fetch_all(tx.conn())
    .await?;
    let shares = rows.into_iter().map(|row| DisputeShare {
        share: SellerShare {
            line: row.line,
            amount: row.amount,
            tax: row.tax_amount,
            commission: row.commission,
            vat: row.commission_vat,
        },
        fee: row.fee,
    });
    Ok(shares.collect())
}

/// A dispute by its id.
///
/// # Errors
/// What the database says.
pub async fn find(tx: &mut Tx, id: DisputeId) -> Result<Option<Dispute>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2", book.get(), id.uuid()).fetch_optional(tx.conn()).await?;
    Ok(row.map(Dispute::from))
}

pub(super) async fn find_for_update(tx: &mut Tx, id: DisputeId) -> Result<Option<Dispute>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2 for no key update", book.get(), id.uuid())
        .fetch_optional(tx.conn())
        .await?;
    Ok(row.map(Dispute::from))
}

pub(super) async fn find_by_key_for_update(tx: &mut Tx, key: i64) -> Result<Option<Dispute>, DbError> {
    let book = tx.book_id();
    let row =
        select!("where book_id = $1 and key = $2 for no key update", book.get(), key).fetch_optional(tx.conn()).await?;
    Ok(row.map(Dispute::from))
}

pub(super) async fn find_by_provider_for_update(
    tx: &mut Tx,
    provider_dispute: &str,
) -> Result<Option<Dispute>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and provider_dispute = $2 for no key update", book.get(), provider_dispute)
        .fetch_optional(tx.conn())
        .await?;
    Ok(row.map(Dispute::from))
}

/// The disputes of a payment, oldest first.
///
/// # Errors
/// What the database says.
pub async fn list_by_payment(tx: &mut Tx, payment: PaymentId) -> Result<Vec<Dispute>, DbError> {
    let book = tx.book_id();
    let rows = select!("where book_id = $1 and payment_id = $2 order by id", book.get(), payment.uuid())
        .fetch_all(tx.conn())
        .await?;
    Ok(rows.into_iter().map(Dispute::from).collect())
}

/// Disputes, newest first.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx, filter: &ListFilter, limit: i64) -> Result<Vec<Dispute>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where book_id = $1 and (cardinality($2::text[]) = 0 or status = any($2)) and ($3::uuid is null or payment_id = $3)
           and ($4::uuid is null or id < $4)
           and ($5::uuid is null or exists (
                select from dispute_lines d join payment_lines l on l.book_id = $1 and l.line = d.line
                where d.book_id = $1 and d.dispute_id = disputes.id and l.payment_id = disputes.payment_id and l.seller_id = $5))
           and ($6::timestamptz is null or due_by < $6) and ($7::timestamptz is null or due_by >= $7)
         order by id desc limit $8",
        book.get(),
        &filter.statuses,
        filter.payment.map(PaymentId::uuid),
        filter.before.map(DisputeId::uuid),
        filter.seller.map(crate::id::SellerId::uuid),
        filter.due_before.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        filter.due_from.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Dispute::from).collect())
}

async fn changed(tx: &mut Tx, id: DisputeId, rows: u64) -> Result<Dispute, DisputeError> {
    if rows != 1 {
        return Err(DisputeError::Contradiction("it changed meanwhile".to_owned()));
    }
    find(tx, id).await?.ok_or(DisputeError::NotFound)
}

/// Writes the dispute as `new` has it, if it is still as it was read, and counts a change.
pub(super) async fn update(tx: &mut Tx, new: &Dispute, now: Timestamp) -> Result<Dispute, DisputeError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update disputes set status = $4, reason = $5, due_by = $6, submissions = $7, withdrawn_amount = $8,
                             reinstated_amount = $9, fee = $10, sequence = sequence + 1, updated_at = $11
         where book_id = $1 and id = $2 and sequence = $3",
        book.get(),
        new.id.uuid(),
        new.sequence,
        new.status.as_str(),
        new.reason,
        new.due_by.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        new.submissions,
        new.withdrawn_amount,
        new.reinstated_amount,
        new.fee,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    changed(tx, new.id, done.rows_affected()).await
}

/// What open disputes hold of a seller's money, at most `limit` of them, the newest first; minor units.
///
/// # Errors
/// What the database says.
pub async fn held_of(
    tx: &mut Tx,
    seller: crate::id::SellerId,
    currency: Currency,
    limit: i64,
) -> Result<Vec<(DisputeId, i64)>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select d.id, sum(dl.amount - dl.commission + case l.tax_liability when 'seller' then dl.tax_amount else 0 end)::bigint
                  as "amount!"
           from disputes d
           join dispute_lines dl on dl.book_id = d.book_id and dl.dispute_id = d.id
           join payment_lines l on l.book_id = d.book_id and l.payment_id = d.payment_id and l.line = dl.line
           where d.book_id = $1 and l.seller_id = $2 and d.currency = $3 and d.hold = 'shares'
             and d.status in ('inquiry', 'needs_response', 'under_review')
           group by d.id order by d.id desc limit $4"#,
        book.get(),
        seller.uuid(),
        currency.code(),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.id.into(), row.amount)).collect())
}
