//! SQL of sellers, onboarding_links and their routing rows.

mod bank_details;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{BookId, DbError, Tx};
use partita_provider::{Currency, PayoutInterval};
use uuid::Uuid;

pub(super) use bank_details::{bank_details_of_other_keys, insert_bank_details, set_sealed_bank_details};
pub use bank_details::{find_bank_details, list_bank_details};

use super::onboarding::StoredLink;
use super::{NewOnboardingLink, NewSeller, OnboardingLink, Seller, SellerError, SellerStatus, Standing};
use crate::chart::SellerNumber;
use crate::id::{OnboardingLinkId, SellerId};

#[expect(clippy::struct_excessive_bools, reason = "the columns of the row")]
struct Row {
    id: Uuid,
    key: i64,
    number: i32,
    reference: String,
    email: String,
    country: String,
    default_currency: String,
    business_type: Option<String>,
    locale: String,
    payout_interval: String,
    status: String,
    account: Option<String>,
    charges_enabled: bool,
    payouts_enabled: bool,
    details_submitted: bool,
    transfers_active: bool,
    capabilities: serde_json::Value,
    currently_due: Vec<String>,
    past_due: Vec<String>,
    disabled_reason: Option<String>,
    deadline: Option<jiff_sqlx::Timestamp>,
    bank_account: Option<String>,
    metadata: serde_json::Value,
    sequence: i32,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

impl From<Row> for Seller {
    fn from(row: Row) -> Self {
        let capabilities: BTreeMap<String, String> =
            serde_json::from_value(row.capabilities).expect("written from such a map");
        Self {
            id: row.id.into(),
            key: row.key,
            number: SellerNumber(row.number),
            reference: row.reference,
            email: row.email,
            country: row.country,
            default_currency: Currency::parse(&row.default_currency).expect("written from a currency"),
            business_type: row.business_type,
            locale: row.locale,
            payout_interval: match row.payout_interval.as_str() {
                "manual" => PayoutInterval::Manual,
                _ => PayoutInterval::Daily,
            },
            status: SellerStatus::parse(&row.status).expect("sellers_status_known allows no other word"),
            account: row.account,
            standing: Standing {
                charges_enabled: row.charges_enabled,
                payouts_enabled: row.payouts_enabled,
                details_submitted: row.details_submitted,
                transfers_active: row.transfers_active,
                capabilities,
                currently_due: row.currently_due,
                past_due: row.past_due,
                disabled_reason: row.disabled_reason,
                deadline: row.deadline.map(jiff_sqlx::Timestamp::to_jiff),
                bank_account: row.bank_account,
            },
            metadata: row.metadata,
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
            r#"select id, key, number, reference, email, country, default_currency, business_type, locale, payout_interval,
                      status, account, charges_enabled, payouts_enabled, details_submitted, transfers_active, capabilities,
                      currently_due, past_due, disabled_reason, deadline as "deadline: _", bank_account, metadata, sequence,
                      created_at as "created_at: _", updated_at as "updated_at: _"
               from sellers "# + $tail
            $(, $argument)*
        )
    };
}

fn interval_word(interval: PayoutInterval) -> &'static str {
    match interval {
        PayoutInterval::Daily => "daily",
        PayoutInterval::Manual => "manual",
    }
}

pub(super) async fn next_number(tx: &mut Tx) -> Result<SellerNumber, SellerError> {
    let book = tx.book_id();
    let number = sqlx::query_scalar!(
        "update book_counters set last_seller = last_seller + 1 where book_id = $1 returning last_seller",
        book.get()
    )
    .fetch_one(tx.conn())
    .await
    .map_err(DbError::from)
    .map_err(|error| match error.constraint() {
        Some("book_counters_seller_fits_account_key") => SellerError::TooMany,
        _ => error.into(),
    })?;
    Ok(SellerNumber(number))
}

pub(super) async fn insert(
    tx: &mut Tx,
    id: SellerId,
    key: i64,
    number: SellerNumber,
    input: &NewSeller,
    now: Timestamp,
) -> Result<(), SellerError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into sellers (book_id, id, key, number, reference, email, country, default_currency, business_type, locale,
                              payout_interval, status, metadata, sequence, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'onboarding', $12, 1, $13, $13)",
        book.get(),
        id.uuid(),
        key,
        number.0,
        input.reference,
        input.email,
        input.country,
        input.default_currency.code(),
        input.business_type,
        input.locale,
        interval_word(input.payout_interval),
        input.metadata,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)
    .map_err(|error| match error.constraint() {
        Some("sellers_reference_unique") => SellerError::ReferenceTaken,
        _ => error.into(),
    })?;
    Ok(())
}

/// A seller by its id.
///
/// # Errors
/// What the database says.
pub async fn find(tx: &mut Tx, id: SellerId) -> Result<Option<Seller>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2", book.get(), id.uuid()).fetch_optional(tx.conn()).await?;
    Ok(row.map(Seller::from))
}

/// A seller by its account at the provider.
///
/// # Errors
/// What the database says.
pub async fn find_by_account(tx: &mut Tx, account: &str) -> Result<Option<Seller>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and account = $2", book.get(), account).fetch_optional(tx.conn()).await?;
    Ok(row.map(Seller::from))
}

/// The sellers among these ids, in no order.
///
/// # Errors
/// What the database says.
pub async fn find_by_ids(tx: &mut Tx, ids: &[SellerId]) -> Result<Vec<Seller>, DbError> {
    let book = tx.book_id();
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = select!("where book_id = $1 and id = any($2)", book.get(), &ids).fetch_all(tx.conn()).await?;
    Ok(rows.into_iter().map(Seller::from).collect())
}

/// Sellers, newest first, older than `before`.
///
/// # Errors
/// What the database says.
pub async fn list(
    tx: &mut Tx,
    statuses: &[String],
    reference: Option<&str>,
    before: Option<SellerId>,
    limit: i64,
) -> Result<Vec<Seller>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where book_id = $1 and (cardinality($2::text[]) = 0 or status = any($2)) and ($3::text is null or reference = $3)
           and ($4::uuid is null or id < $4)
         order by id desc limit $5",
        book.get(),
        statuses,
        reference,
        before.map(SellerId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Seller::from).collect())
}

/// Every seller with an account, by number.
///
/// # Errors
/// What the database says.
pub async fn list_accounts(tx: &mut Tx) -> Result<Vec<Seller>, DbError> {
    let book = tx.book_id();
    let rows =
        select!("where book_id = $1 and account is not null order by number", book.get()).fetch_all(tx.conn()).await?;
    Ok(rows.into_iter().map(Seller::from).collect())
}

/// A seller by its id, locked.
///
/// # Errors
/// What the database says.
pub async fn find_by_id_for_update(tx: &mut Tx, id: SellerId) -> Result<Option<Seller>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2 for no key update", book.get(), id.uuid())
        .fetch_optional(tx.conn())
        .await?;
    Ok(row.map(Seller::from))
}

/// A seller by its ledger subject, locked.
///
/// # Errors
/// What the database says.
pub async fn find_by_key_for_update(tx: &mut Tx, key: i64) -> Result<Option<Seller>, DbError> {
    let book = tx.book_id();
    let row =
        select!("where book_id = $1 and key = $2 for no key update", book.get(), key).fetch_optional(tx.conn()).await?;
    Ok(row.map(Seller::from))
}

/// Counts a change of what others keep of a seller.
pub(super) async fn touch(tx: &mut Tx, id: SellerId, now: Timestamp) -> Result<Seller, SellerError> {
    let book = tx.book_id();
    sqlx::query!(
        "update sellers set sequence = sequence + 1, updated_at = $3 where book_id = $1 and id = $2",
        book.get(),
        id.uuid(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    find(tx, id).await?.ok_or(SellerError::NotFound)
}

pub(super) async fn find_for_update(
    tx: &mut Tx,
    named: Option<SellerId>,
    account: &str,
) -> Result<Option<Seller>, DbError> {
    let book = tx.book_id();
    let row = select!(
        "where book_id = $1 and (id = $2 or account = $3) order by id for no key update",
        book.get(),
        named.map(SellerId::uuid),
        account
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Seller::from))
}

pub(super) async fn update(
    tx: &mut Tx,
    id: SellerId,
    account: &str,
    status: SellerStatus,
    standing: &Standing,
    interval: PayoutInterval,
    now: Timestamp,
) -> Result<Seller, SellerError> {
    let book = tx.book_id();
    sqlx::query!(
        "update sellers
         set account = $3, status = $4, charges_enabled = $5, payouts_enabled = $6, details_submitted = $7,
             transfers_active = $8, capabilities = $9, currently_due = $10, past_due = $11, disabled_reason = $12,
             deadline = $13, payout_interval = $14, bank_account = $15, sequence = sequence + 1,
             updated_at = $16
         where book_id = $1 and id = $2",
        book.get(),
        id.uuid(),
        account,
        status.as_str(),
        standing.charges_enabled,
        standing.payouts_enabled,
        standing.details_submitted,
        standing.transfers_active,
        serde_json::to_value(&standing.capabilities).expect("maps serialise"),
        &standing.currently_due,
        &standing.past_due,
        standing.disabled_reason,
        standing.deadline.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        interval_word(interval),
        standing.bank_account,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    find(tx, id).await?.ok_or(SellerError::NotFound)
}

pub(super) async fn fail(
    tx: &mut Tx,
    id: SellerId,
    standing: &Standing,
    now: Timestamp,
) -> Result<Seller, SellerError> {
    let book = tx.book_id();
    sqlx::query!(
        "update sellers set status = 'failed', disabled_reason = $3, sequence = sequence + 1, updated_at = $4
         where book_id = $1 and id = $2 and account is null",
        book.get(),
        id.uuid(),
        standing.disabled_reason,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    find(tx, id).await?.ok_or(SellerError::NotFound)
}

pub(super) async fn insert_link(
    tx: &mut Tx,
    link: &OnboardingLink,
    seller: SellerId,
    input: &NewOnboardingLink,
    locale: &str,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into onboarding_links (book_id, id, seller_id, return_url, refresh_url, locale, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        book.get(),
        link.id.uuid(),
        seller.uuid(),
        input.return_url,
        input.refresh_url,
        locale,
        link.created_at.to_sqlx() as _,
        link.expires_at.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(super) async fn insert_link_token(tx: &mut Tx, hash: &[u8; 32], link: OnboardingLinkId) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into onboarding_tokens (hash, book_id, link_id) values ($1, $2, $3)",
        &hash[..],
        book.get(),
        link.uuid()
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(super) async fn find_link_token(
    tx: &mut Tx,
    hash: &[u8; 32],
) -> Result<Option<(BookId, OnboardingLinkId)>, DbError> {
    let row =
        sqlx::query!(r#"select book_id as "book: BookId", link_id from onboarding_tokens where hash = $1"#, &hash[..])
            .fetch_optional(tx.conn())
            .await?;
    Ok(row.map(|row| (row.book, row.link_id.into())))
}

pub(super) async fn find_link(tx: &mut Tx, link: OnboardingLinkId) -> Result<Option<StoredLink>, DbError> {
    let book = tx.book_id();
    let row = sqlx::query!(
        r#"select seller_id, return_url, refresh_url, expires_at as "expires_at: jiff_sqlx::Timestamp",
                  used_at as "used_at: jiff_sqlx::Timestamp"
           from onboarding_links where book_id = $1 and id = $2"#,
        book.get(),
        link.uuid()
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| StoredLink {
        seller: row.seller_id.into(),
        return_url: row.return_url,
        refresh_url: row.refresh_url,
        expires_at: row.expires_at.to_jiff(),
        used_at: row.used_at.map(jiff_sqlx::Timestamp::to_jiff),
    }))
}

pub(super) async fn use_link(tx: &mut Tx, link: OnboardingLinkId, now: Timestamp) -> Result<(), SellerError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update onboarding_links set used_at = $3 where book_id = $1 and id = $2 and used_at is null",
        book.get(),
        link.uuid(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(SellerError::LinkUsed) }
}
