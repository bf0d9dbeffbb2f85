//! SQL of provider_movements.

use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::{BalanceTransaction, Currency, SettlementState};
use uuid::Uuid;

use super::{Movement, Owner, available_on, effective_at};

fn state_word(state: SettlementState) -> &'static str {
    match state {
        SettlementState::Pending => "pending",
        SettlementState::Available => "available",
    }
}

pub(super) async fn insert(
    tx: &mut Tx,
    key: i64,
    provider: &str,
    account: &str,
    movement: &BalanceTransaction,
    owner: Owner,
) -> Result<bool, DbError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "insert into provider_movements (book_id, key, provider, account, movement_id, kind, amount, fee, net, currency, state,
                                         available_on, created_on, object_type, object_id, booked_as)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $11)
         on conflict (book_id, provider, account, movement_id) do nothing",
        book.get(),
        key,
        provider,
        account,
        movement.id,
        movement.kind,
        movement.amount,
        movement.fee,
        movement.net,
        movement.currency.code(),
        state_word(movement.state),
        available_on(movement).to_sqlx() as _,
        effective_at(movement).to_sqlx() as _,
        owner.object_type,
        owner.object_id
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

struct Row {
    key: i64,
    account: String,
    movement_id: String,
    kind: String,
    fee: i64,
    net: i64,
    currency: String,
    state: String,
    object_type: String,
    object_id: Option<Uuid>,
}

impl From<Row> for Movement {
    fn from(row: Row) -> Self {
        Self {
            key: row.key,
            account: row.account,
            id: row.movement_id,
            kind: row.kind,
            fee: row.fee,
            net: row.net,
            currency: Currency::parse(&row.currency).expect("written from a currency"),
            state: if row.state == "available" { SettlementState::Available } else { SettlementState::Pending },
            object_type: row.object_type,
            object_id: row.object_id,
        }
    }
}

/// A movement by its key.
///
/// # Errors
/// What the database says.
pub async fn find_by_key(tx: &mut Tx, key: i64) -> Result<Option<Movement>, DbError> {
    let book = tx.book_id();
    let row = sqlx::query_as!(
        Row,
        "select key, account, movement_id, kind, fee, net, currency, state, object_type, object_id
         from provider_movements where book_id = $1 and key = $2",
        book.get(),
        key
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Movement::from))
}

/// Marks a movement's money as usable; false when it was already.
///
/// # Errors
/// What the database says.
pub async fn mark_available(tx: &mut Tx, key: i64) -> Result<bool, DbError> {
    let book = tx.book_id();
    let done = sqlx::query!(
        "update provider_movements set state = 'available' where book_id = $1 and key = $2 and state = 'pending'",
        book.get(),
        key
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The movements of an account among these ids; `account` is empty for the platform's own.
///
/// # Errors
/// What the database says.
pub async fn list_of_account(tx: &mut Tx, account: &str, ids: &[String]) -> Result<Vec<Movement>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query_as!(
        Row,
        "select key, account, movement_id, kind, fee, net, currency, state, object_type, object_id
         from provider_movements where book_id = $1 and account = $2 and movement_id = any($3)",
        book.get(),
        account,
        ids
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Movement::from).collect())
}
