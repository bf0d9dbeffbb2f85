//! SQL of payouts by bank file, of bank_files and own_bank_accounts.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Sealed, Tx};
use partita_provider::{Currency, Money};
use uuid::Uuid;

use super::super::ask::NewPayout;
use super::super::bank::{BankFile, OwnAccount};
use super::super::{Payout, PayoutError};
use super::{changed_one, find};
use crate::actor::Actor;
use crate::id::{BankDetailsId, BankFileId, OwnBankAccountId, SellerId};

/// Stores a payout that the platform's bank is to make.
pub(in crate::payouts) async fn insert_by_bank(
    tx: &mut Tx,
    key: i64,
    new: &NewPayout<'_>,
    details: BankDetailsId,
    actor: Actor,
    now: Timestamp,
) -> Result<Payout, PayoutError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into payouts (book_id, id, key, seller_id, amount, currency, status, automatic, provider, method, bank_details,
                              reference, metadata, created_by, sequence, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, 'pending', $7, 'bank', 'bank_file', $8, $9, $10, $11, 1, $12, $12)",
        book.get(),
        new.id.uuid(),
        key,
        new.seller.id.uuid(),
        new.amount,
        new.seller.default_currency.code(),
        new.automatic,
        details.uuid(),
        new.reference,
        new.metadata,
        actor.to_string(),
        now.to_sqlx() as _
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

/// Payouts that no file has yet, oldest first, locked.
pub(in crate::payouts) async fn list_waiting_for_update(
    tx: &mut Tx,
    currency: Currency,
    limit: i64,
) -> Result<Vec<Payout>, DbError> {
    let book = tx.book_id();
    let ids = sqlx::query_scalar!(
        "select id from payouts where book_id = $1 and currency = $2 and method = 'bank_file' and status = 'pending'
         order by id limit $3 for no key update",
        book.get(),
        currency.code(),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    super::list_by_ids(tx, &ids).await
}

/// Whether a payout of a seller waits for its file.
pub(in crate::payouts) async fn waits_for_file(tx: &mut Tx, seller: SellerId) -> Result<bool, DbError> {
    let book = tx.book_id();
    let found = sqlx::query_scalar!(
        r#"select exists (select from payouts where book_id = $1 and seller_id = $2 and method = 'bank_file'
                          and status = 'pending') as "found!""#,
        book.get(),
        seller.uuid()
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(found)
}

/// Whether a payout to these bank details came back for one of these reasons.
pub(in crate::payouts) async fn is_bank_blocked(
    tx: &mut Tx,
    details: BankDetailsId,
    codes: &[&str],
) -> Result<bool, DbError> {
    let book = tx.book_id();
    let codes: Vec<String> = codes.iter().map(|code| (*code).to_owned()).collect();
    let found = sqlx::query_scalar!(
        r#"select exists (select from payouts where book_id = $1 and bank_details = $2 and status = 'failed'
                          and return_code = any($3)) as "found!""#,
        book.get(),
        details.uuid(),
        &codes
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(found)
}

/// The payout is in a file now.
pub(in crate::payouts) async fn put_into_file(
    tx: &mut Tx,
    payout: &Payout,
    file: BankFileId,
    now: Timestamp,
) -> Result<Payout, PayoutError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update payouts set status = 'in_transit', bank_file = $3, sequence = sequence + 1, updated_at = $4
         where book_id = $1 and id = $2 and method = 'bank_file' and status = 'pending'",
        book.get(),
        payout.id.uuid(),
        file.uuid(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    changed_one(tx, payout.id, done.rows_affected()).await
}

pub(in crate::payouts) async fn insert_own_account(
    tx: &mut Tx,
    id: OwnBankAccountId,
    currency: Currency,
    (masked, sealed): (&str, &Sealed),
    actor: Actor,
    now: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into own_bank_accounts (book_id, id, currency, version, masked, sealed, key_version, created_by, created_at)
         select $1, $2, $3, coalesce(max(version), 0) + 1, $4, $5, $6, $7, $8
         from own_bank_accounts where book_id = $1 and currency = $3",
        book.get(),
        id.uuid(),
        currency.code(),
        masked,
        sealed.bytes,
        sealed.key_version,
        actor.to_string(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

struct OwnRow {
    id: Uuid,
    currency: String,
    version: i32,
    masked: String,
    sealed: Vec<u8>,
    key_version: i16,
    created_at: jiff_sqlx::Timestamp,
}

impl From<OwnRow> for OwnAccount {
    fn from(row: OwnRow) -> Self {
        Self {
            id: row.id.into(),
            currency: Currency::parse(&row.currency).expect("written from a currency"),
            version: row.version,
            masked: row.masked,
            at: row.created_at.to_jiff(),
            sealed: Sealed { key_version: row.key_version, bytes: row.sealed },
        }
    }
}

/// The platform's own bank accounts that currencies are paid from now, by currency.
///
/// # Errors
/// What the database says.
pub async fn list_own_accounts(tx: &mut Tx) -> Result<Vec<OwnAccount>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query_as!(
        OwnRow,
        r#"select distinct on (currency) id, currency, version, masked, sealed, key_version, created_at as "created_at: _"
           from own_bank_accounts where book_id = $1 order by currency, version desc"#,
        book.get()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(OwnAccount::from).collect())
}

pub(in crate::payouts) async fn find_own_account(
    tx: &mut Tx,
    currency: Currency,
) -> Result<Option<OwnAccount>, DbError> {
    Ok(list_own_accounts(tx).await?.into_iter().find(|account| account.currency == currency))
}

pub(in crate::payouts) async fn insert_file(
    tx: &mut Tx,
    file: &BankFile,
    sealed: &Sealed,
    own: OwnBankAccountId,
    actor: Actor,
) -> Result<(), PayoutError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into bank_files (book_id, id, reference, own_account, currency, execute_on, payouts, amount, digest, sealed,
                                 key_version, created_by, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        book.get(),
        file.id.uuid(),
        file.reference,
        own.uuid(),
        file.amount.currency.code(),
        file.execute_on.to_sqlx() as _,
        file.payouts,
        file.amount.minor,
        file.digest,
        sealed.bytes,
        sealed.key_version,
        actor.to_string(),
        file.created_at.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)
    .map_err(|error| match error.constraint() {
        Some("bank_files_reference_unique") => PayoutError::FileReferenceTaken,
        _ => error.into(),
    })?;
    Ok(())
}

struct FileRow {
    id: Uuid,
    reference: String,
    currency: String,
    execute_on: jiff_sqlx::Date,
    payouts: i32,
    amount: i64,
    paid_from: String,
    digest: Vec<u8>,
    created_at: jiff_sqlx::Timestamp,
}

impl From<FileRow> for BankFile {
    fn from(row: FileRow) -> Self {
        Self {
            id: row.id.into(),
            reference: row.reference,
            execute_on: row.execute_on.to_jiff(),
            payouts: row.payouts,
            amount: Money::new(row.amount, Currency::parse(&row.currency).expect("written from a currency")),
            paid_from: row.paid_from,
            digest: row.digest,
            created_at: row.created_at.to_jiff(),
        }
    }
}

macro_rules! select_file {
    ($tail:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            FileRow,
            r#"select f.id, f.reference, f.currency, f.execute_on as "execute_on: _", f.payouts, f.amount, o.masked as paid_from,
                      f.digest, f.created_at as "created_at: _"
               from bank_files f join own_bank_accounts o on o.book_id = f.book_id and o.id = f.own_account "# + $tail
            $(, $argument)*
        )
    };
}

/// A file for the bank by its id.
///
/// # Errors
/// What the database says.
pub async fn find_file(tx: &mut Tx, id: BankFileId) -> Result<Option<BankFile>, DbError> {
    let book = tx.book_id();
    let row =
        select_file!("where f.book_id = $1 and f.id = $2", book.get(), id.uuid()).fetch_optional(tx.conn()).await?;
    Ok(row.map(BankFile::from))
}

/// The sealed text of a file, and SHA-256 of what it opens to.
pub(in crate::payouts) async fn find_sealed_file(
    tx: &mut Tx,
    id: BankFileId,
) -> Result<Option<(Sealed, Vec<u8>)>, DbError> {
    let book = tx.book_id();
    let row = sqlx::query!(
        "select sealed, key_version, digest from bank_files where book_id = $1 and id = $2",
        book.get(),
        id.uuid()
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| (Sealed { key_version: row.key_version, bytes: row.sealed }, row.digest)))
}

/// Files for the bank, newest first, older than `before`.
///
/// # Errors
/// What the database says.
pub async fn list_files(tx: &mut Tx, before: Option<BankFileId>, limit: i64) -> Result<Vec<BankFile>, DbError> {
    let book = tx.book_id();
    let rows = select_file!(
        "where f.book_id = $1 and ($2::uuid is null or f.id < $2) order by f.id desc limit $3",
        book.get(),
        before.map(BankFileId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(BankFile::from).collect())
}

pub(in crate::payouts) async fn own_accounts_of_other_keys(
    tx: &mut Tx,
    version: i16,
    limit: i64,
) -> Result<Vec<(OwnBankAccountId, Sealed)>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        "select id, sealed, key_version from own_bank_accounts
         where book_id = $1 and key_version <> $2 order by id limit $3 for no key update",
        book.get(),
        version,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id.into(), Sealed { key_version: row.key_version, bytes: row.sealed }))
        .collect())
}

pub(in crate::payouts) async fn set_sealed_own_account(
    tx: &mut Tx,
    id: OwnBankAccountId,
    sealed: &Sealed,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "update own_bank_accounts set sealed = $3, key_version = $4 where book_id = $1 and id = $2",
        book.get(),
        id.uuid(),
        sealed.bytes,
        sealed.key_version
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(in crate::payouts) async fn files_of_other_keys(
    tx: &mut Tx,
    version: i16,
    limit: i64,
) -> Result<Vec<(BankFileId, Sealed)>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        "select id, sealed, key_version from bank_files
         where book_id = $1 and key_version <> $2 order by id limit $3 for no key update",
        book.get(),
        version,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id.into(), Sealed { key_version: row.key_version, bytes: row.sealed }))
        .collect())
}

pub(in crate::payouts) async fn set_sealed_file(tx: &mut Tx, id: BankFileId, sealed: &Sealed) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "update bank_files set sealed = $3, key_version = $4 where book_id = $1 and id = $2",
        book.get(),
        id.uuid(),
        sealed.bytes,
        sealed.key_version
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
