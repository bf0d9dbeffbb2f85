//! SQL of bank_account_blocks.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use uuid::Uuid;

use super::super::PayoutError;
use super::super::blocks::Block;
use crate::actor::Actor;
use crate::id::SellerId;

/// What blocks the bank accounts of these sellers now, in no order.
///
/// # Errors
/// What the database says.
pub async fn find_blocks(tx: &mut Tx, sellers: &[SellerId]) -> Result<Vec<Block>, DbError> {
    let book = tx.book_id();
    let ids: Vec<Uuid> = sellers.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"select payout_id, seller_id, bank_account, code, blocked_at as "at: jiff_sqlx::Timestamp"
           from bank_account_blocks where book_id = $1 and seller_id = any($2) and lifted_at is null"#,
        book.get(),
        &ids
    )
    .fetch_all(tx.conn())
    .await?;
    let block = rows.into_iter().map(|row| Block {
        payout: row.payout_id.into(),
        seller: row.seller_id.into(),
        bank_account: row.bank_account,
        code: row.code,
        at: row.at.to_jiff(),
    });
    Ok(block.collect())
}

pub(in crate::payouts) async fn insert_block(tx: &mut Tx, block: &Block) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into bank_account_blocks (book_id, payout_id, seller_id, bank_account, code, blocked_at)
         values ($1, $2, $3, $4, $5, $6)",
        book.get(),
        block.payout.uuid(),
        block.seller.uuid(),
        block.bank_account,
        block.code,
        block.at.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(in crate::payouts) async fn lift_block(
    tx: &mut Tx,
    block: &Block,
    actor: Actor,
    because: &str,
    now: Timestamp,
) -> Result<(), PayoutError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update bank_account_blocks set lifted_at = $3, lifted_by = $4, lifted_because = $5
         where book_id = $1 and payout_id = $2 and lifted_at is null",
        book.get(),
        block.payout.uuid(),
        now.to_sqlx() as _,
        actor.to_string(),
        because
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(PayoutError::NotBlocked) }
}
