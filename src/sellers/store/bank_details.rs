//! SQL of seller_bank_details.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Sealed, Tx};
use uuid::Uuid;

use crate::actor::Actor;
use crate::id::{BankDetailsId, SellerId};
use crate::sellers::BankDetails;

struct Row {
    id: Uuid,
    seller_id: Uuid,
    version: i32,
    masked: String,
    sealed: Vec<u8>,
    key_version: i16,
    created_at: jiff_sqlx::Timestamp,
}

impl From<Row> for BankDetails {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            seller: row.seller_id.into(),
            version: row.version,
            masked: row.masked,
            at: row.created_at.to_jiff(),
            sealed: Sealed { key_version: row.key_version, bytes: row.sealed },
        }
    }
}

/// Where these sellers are paid by bank file now, of those that are, in no order.
///
/// # Errors
/// What the database says.
pub async fn find_bank_details(tx: &mut Tx, sellers: &[SellerId]) -> Result<Vec<BankDetails>, DbError> {
    let book = tx.book_id();
    let ids: Vec<Uuid> = sellers.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"select d.id as "id!", d.seller_id as "seller_id!", d.version as "version!", d.masked as "masked!",
                  d.sealed as "sealed!", d.key_version as "key_version!", d.created_at as "created_at!: _"
           from unnest($2::uuid[]) as s (id)
           cross join lateral (select id, seller_id, version, masked, sealed, key_version, created_at from seller_bank_details
                               where book_id = $1 and seller_id = s.id order by version desc limit 1) d
           where d.sealed is not null"#,
        book.get(),
        &ids
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(BankDetails::from).collect())
}

/// Bank details by their ids, in no order: where payouts of before go.
///
/// # Errors
/// What the database says.
pub async fn list_bank_details(tx: &mut Tx, ids: &[BankDetailsId]) -> Result<Vec<BankDetails>, DbError> {
    let book = tx.book_id();
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"select id, seller_id, version, masked as "masked!", sealed as "sealed!", key_version as "key_version!",
                  created_at as "created_at: _"
           from seller_bank_details where book_id = $1 and id = any($2) and sealed is not null"#,
        book.get(),
        &ids
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(BankDetails::from).collect())
}

pub(in crate::sellers) async fn insert_bank_details(
    tx: &mut Tx,
    id: BankDetailsId,
    seller: SellerId,
    details: Option<(&str, &Sealed)>,
    actor: Actor,
    now: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into seller_bank_details (book_id, id, seller_id, version, masked, sealed, key_version, created_by, created_at)
         select $1, $2, $3, coalesce(max(version), 0) + 1, $4, $5, $6, $7, $8
         from seller_bank_details where book_id = $1 and seller_id = $3",
        book.get(),
        id.uuid(),
        seller.uuid(),
        details.map(|(masked, _)| masked),
        details.map(|(_, sealed)| sealed.bytes.as_slice()),
        details.map(|(_, sealed)| sealed.key_version),
        actor.to_string(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(in crate::sellers) async fn bank_details_of_other_keys(
    tx: &mut Tx,
    version: i16,
    limit: i64,
) -> Result<Vec<(BankDetailsId, Sealed)>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select id, sealed as "bytes!", key_version as "key_version!" from seller_bank_details
           where book_id = $1 and key_version <> $2 order by id limit $3 for no key update"#,
        book.get(),
        version,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.id.into(), Sealed { key_version: row.key_version, bytes: row.bytes })).collect())
}

pub(in crate::sellers) async fn set_sealed_bank_details(
    tx: &mut Tx,
    id: BankDetailsId,
    sealed: &Sealed,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "update seller_bank_details set sealed = $3, key_version = $4 where book_id = $1 and id = $2",
        book.get(),
        id.uuid(),
        sealed.bytes,
        sealed.key_version
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
