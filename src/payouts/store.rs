//! SQL of payouts; [`schedules`] has what schedules need, [`blocks`] what keeps payouts from bank accounts, [`lines`]
//! what explains a payout.

mod bank;
mod bank_returns;
mod blocks;
mod instant;
mod lines;
mod schedules;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::{Currency, Money, Payout as Said, Refusal};
use uuid::Uuid;

pub(super) use bank::{
    files_of_other_keys, find_own_account, find_sealed_file, insert_by_bank, insert_file, insert_own_account,
    is_bank_blocked, list_waiting_for_update, own_accounts_of_other_keys, put_into_file, set_sealed_file,
    set_sealed_own_account, waits_for_file,
};
pub use bank::{find_file, list_files, list_own_accounts};
pub(super) use bank_returns::{insert_return, returned_alone, set_returned};
pub use bank_returns::{insert_return_limit, list_return_limits};
pub use blocks::find_blocks;
pub(super) use blocks::{insert_block, lift_block};
pub use instant::{fees_to_return, find_instant_policy};
pub(super) use instant::{insert_instant_policy, set_fee_returned, set_provider_fee};
pub(super) use lines::{lines_by_bank, lines_in, sums_in, window_of};
pub(super) use schedules::{
    find_day_of, find_holidays, insert_day, insert_holidays, insert_schedule, is_decided, scheduled_in,
};
pub use schedules::{find_newest_days, find_schedules, list_holidays};

use super::{ByBank, Fee, NewPayout, Payout, PayoutError, PayoutStatus};
use crate::actor::Actor;
use crate::clock;
use crate::id::{PayoutId, SellerId};

/// Which payouts to list.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Any of these; all when empty.
    pub statuses: Vec<String>,
    /// Of this seller.
    pub seller: Option<SellerId>,
    /// Older than this payout.
    pub before: Option<PayoutId>,
}

struct Row {
    id: Uuid,
    key: i64,
    seller_id: Uuid,
    amount: i64,
    currency: String,
    status: String,
    automatic: bool,
    arrival_on: Option<jiff_sqlx::Timestamp>,
    provider: String,
    provider_payout: Option<String>,
    reference: Option<String>,
    metadata: serde_json::Value,
    failure: Option<serde_json::Value>,
    bank_details: Option<Uuid>,
    bank_masked: Option<String>,
    bank_file: Option<Uuid>,
    return_code: Option<String>,
    fee_policy_version: Option<i32>,
    fee_quoted: Option<i64>,
    fee_taken: i64,
    fee_returned: i64,
    sequence: i32,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

impl From<Row> for Payout {
    fn from(row: Row) -> Self {
        let currency = Currency::parse(&row.currency).expect("written from a currency");
        Self {
            id: row.id.into(),
            key: row.key,
            seller: row.seller_id.into(),
            amount: Money::new(row.amount, currency),
            status: PayoutStatus::parse(&row.status).expect("payouts_status_known allows no other word"),
            automatic: row.automatic,
            arrival_on: row.arrival_on.map(jiff_sqlx::Timestamp::to_jiff),
            reference: row.reference,
            metadata: row.metadata,
            provider: row.provider,
            provider_payout: row.provider_payout,
            failure: row.failure.map(|value| serde_json::from_value(value).expect("written from a refusal")),
            bank: row.bank_details.map(|details| ByBank {
                details: details.into(),
                masked: row.bank_masked.unwrap_or_default(),
                file: row.bank_file.map(Into::into),
                return_code: row.return_code,
            }),
            fee: Fee {
                quoted: row.fee_policy_version.zip(row.fee_quoted),
                taken: row.fee_taken,
                returned: row.fee_returned,
            },
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
            r#"select id, key, seller_id, amount, currency, status, automatic, arrival_on as "arrival_on: _", provider,
                      provider_payout, reference, metadata, failure, bank_details, bank_file, return_code,
                      (select d.masked from seller_bank_details d where d.book_id = payouts.book_id and d.id = payouts.bank_details)
                          as bank_masked,
                      fee_policy_version, fee_quoted, fee_taken, fee_returned, sequence, created_at as "created_at: _", updated_at as "updated_at: _"
               from payouts "# + $tail
            $(, $argument)*
        )
    };
}

/// Stores a payout that is asked of the provider.
pub(super) async fn insert_asked(
    tx: &mut Tx,
    key: i64,
    new: &NewPayout<'_>,
    provider: &str,
    actor: Actor,
    now: Timestamp,
) -> Result<Payout, PayoutError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into payouts (book_id, id, key, seller_id, amount, currency, status, automatic, provider, reference, metadata,
                              created_by, sequence, created_at, updated_at, method, fee_policy_version, fee_quoted)
         values ($1, $2, $3, $4, $5, $6, 'processing', $7, $8, $9, $10, $11, 1, $12, $12,
                 case when $13::integer is null then 'provider' else 'instant' end, $13, $14)",
        book.get(),
        new.id.uuid(),
        key,
        new.seller.id.uuid(),
        new.amount,
        new.seller.default_currency.code(),
        new.automatic,
        provider,
        new.reference,
        new.metadata,
        actor.to_string(),
        now.to_sqlx() as _,
        new.instant.as_ref().map(|quote| quote.policy.version),
        new.instant.as_ref().map(|quote| quote.fee)
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)
    .map_err(|error| match error.constraint() {
        Some("payouts_reference_unique") => PayoutError::ReferenceTaken,
        _ => error.into(),
    })?;
    find(tx, new.id).await?.ok_or(PayoutError::NotFound)
}

/// What is asked for a seller and not answered, with its fees, locked: it becomes neither more nor less until the end of the transaction.
pub(super) async fn processing_of(tx: &mut Tx, seller: SellerId) -> Result<i64, DbError> {
    let book = tx.book_id();
    let amounts = sqlx::query_scalar!(
        r#"select amount + coalesce(fee_quoted, 0) as "amount!" from payouts where book_id = $1 and seller_id = $2 and status = 'processing'
         order by id for no key update"#,
        book.get(),
        seller.uuid()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(amounts.iter().sum())
}

pub(super) async fn insert(
    tx: &mut Tx,
    key: i64,
    seller: SellerId,
    provider: &str,
    said: &Said,
    now: Timestamp,
) -> Result<Payout, PayoutError> {
    let book = tx.book_id();
    let id = PayoutId::new();
    sqlx::query!(
        "insert into payouts (book_id, id, key, seller_id, amount, currency, status, automatic, arrival_on, provider,
                              provider_payout, sequence, created_at, updated_at, fee_taken)
         values ($1, $2, $3, $4, $5, $6, 'pending', $7, $8, $9, $10, 1, $11, $11, $12)",
        book.get(),
        id.uuid(),
        key,
        seller.uuid(),
        said.amount.minor,
        said.amount.currency.code(),
        said.automatic,
        clock::from_seconds(said.arrival_on).unwrap_or(now).to_sqlx() as _,
        provider,
        said.id,
        now.to_sqlx() as _,
        fee_of(said)
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    find(tx, id).await?.ok_or(PayoutError::NotFound)
}

/// A payout by its id.
///
/// # Errors
/// What the database says.
pub async fn find(tx: &mut Tx, id: PayoutId) -> Result<Option<Payout>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2", book.get(), id.uuid()).fetch_optional(tx.conn()).await?;
    Ok(row.map(Payout::from))
}

/// The payout of ours that the provider's object names, or else the one with its id, locked.
pub(super) async fn find_for_update(
    tx: &mut Tx,
    named: Option<PayoutId>,
    provider_payout: &str,
) -> Result<Option<Payout>, DbError> {
    let book = tx.book_id();
    let row = select!(
        "where book_id = $1 and (id = $2 or provider_payout = $3) order by id = $2 desc nulls last limit 1
         for no key update",
        book.get(),
        named.map(PayoutId::uuid),
        provider_payout
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Payout::from))
}

/// Payouts, newest first.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx, filter: &ListFilter, limit: i64) -> Result<Vec<Payout>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where book_id = $1 and (cardinality($2::text[]) = 0 or status = any($2)) and ($3::uuid is null or seller_id = $3)
           and ($4::uuid is null or id < $4)
         order by id desc limit $5",
        book.get(),
        &filter.statuses,
        filter.seller.map(SellerId::uuid),
        filter.before.map(PayoutId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Payout::from).collect())
}

/// The provider has taken it.
pub(super) async fn accept(tx: &mut Tx, payout: &Payout, said: &Said, now: Timestamp) -> Result<Payout, PayoutError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update payouts set status = 'pending', provider_payout = $3, arrival_on = $4, sequence = sequence + 1, updated_at = $5,
                            fee_taken = $6
         where book_id = $1 and id = $2 and status = 'processing'",
        book.get(),
        payout.id.uuid(),
        said.id,
        clock::from_seconds(said.arrival_on).unwrap_or(now).to_sqlx() as _,
        now.to_sqlx() as _,
        fee_of(said)
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    changed_one(tx, payout.id, done.rows_affected()).await
}

/// What the provider took with a payout; minor units.
fn fee_of(said: &Said) -> i64 {
    said.balance_transaction.as_ref().map_or(0, |movement| movement.fee)
}

async fn changed_one(tx: &mut Tx, id: PayoutId, rows: u64) -> Result<Payout, PayoutError> {
    if rows != 1 {
        return Err(PayoutError::Contradiction("it changed meanwhile".to_owned()));
    }
    find(tx, id).await?.ok_or(PayoutError::NotFound)
}

/// Payouts by their ids, oldest first.
async fn list_by_ids(tx: &mut Tx, ids: &[Uuid]) -> Result<Vec<Payout>, DbError> {
    let book = tx.book_id();
    let rows = select!("where book_id = $1 and id = any($2) order by id", book.get(), ids).fetch_all(tx.conn()).await?;
    Ok(rows.into_iter().map(Payout::from).collect())
}

pub(super) async fn set_status(
    tx: &mut Tx,
    payout: &Payout,
    status: PayoutStatus,
    failure: Option<&Refusal>,
    now: Timestamp,
) -> Result<Payout, PayoutError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update payouts set status = $4, failure = $5, sequence = sequence + 1, updated_at = $6
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
    changed_one(tx, payout.id, done.rows_affected()).await
}
