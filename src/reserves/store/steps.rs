//! SQL of reserve_moves.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use uuid::Uuid;

use crate::chart::SellerNumber;
use crate::id::{PaymentId, ReserveId, SellerId};
use crate::reserves::StepKind;

/// What went into a reserve, or out of it, of a payment.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its number: the source of its booking.
    pub key: i64,
    /// The reserve.
    pub reserve: ReserveId,
    /// Of which payment the money is.
    pub payment: PaymentId,
    /// How ledger account keys name the seller.
    pub number: SellerNumber,
    /// In or out.
    pub kind: StepKind,
    /// Minor units.
    pub amount: i64,
    /// The refund or dispute, or the payment that failed late.
    pub cause: Option<Uuid>,
    /// When, by the business clock.
    pub created_at: Timestamp,
}

/// What a reserve has of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The reserve.
    pub reserve: ReserveId,
    /// Whose money it is.
    pub seller: SellerId,
    /// Of which payment.
    pub payment: PaymentId,
    /// Minor units.
    pub amount: i64,
}

pub(in crate::reserves) async fn insert_step(
    tx: &mut Tx,
    key: i64,
    reserve: ReserveId,
    payment: PaymentId,
    (kind, amount): (StepKind, i64),
    cause: Option<Uuid>,
    now: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into reserve_moves (book_id, key, reserve_id, payment_id, kind, amount, cause_id, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        book.get(),
        key,
        reserve.uuid(),
        payment.uuid(),
        kind.as_str(),
        amount,
        cause,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

struct StepRow {
    key: i64,
    reserve_id: Uuid,
    payment_id: Uuid,
    number: i32,
    kind: String,
    amount: i64,
    cause_id: Option<Uuid>,
    created_at: jiff_sqlx::Timestamp,
}

impl From<StepRow> for Step {
    fn from(row: StepRow) -> Self {
        Self {
            key: row.key,
            reserve: row.reserve_id.into(),
            payment: row.payment_id.into(),
            number: SellerNumber(row.number),
            kind: StepKind::parse(&row.kind).expect("reserve_moves_kind_known allows no other word"),
            amount: row.amount,
            cause: row.cause_id,
            created_at: row.created_at.to_jiff(),
        }
    }
}

macro_rules! select {
    ($tail:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            StepRow,
            r#"select m.key, m.reserve_id, m.payment_id, s.number, m.kind, m.amount, m.cause_id,
                      m.created_at as "created_at: _"
               from reserve_moves m
               join reserves r on r.book_id = m.book_id and r.id = m.reserve_id
               join sellers s on s.book_id = r.book_id and s.id = r.seller_id "# + $tail
            $(, $argument)*
        )
    };
}

/// Everything that went into reserves and out of them of a payment, in order.
///
/// # Errors
/// What the database says.
pub async fn steps_of(tx: &mut Tx, payment: PaymentId) -> Result<Vec<Step>, DbError> {
    let book = tx.book_id();
    let rows = select!("where m.book_id = $1 and m.payment_id = $2 order by m.key", book.get(), payment.uuid())
        .fetch_all(tx.conn())
        .await?;
    Ok(rows.into_iter().map(Step::from).collect())
}

/// What went into a reserve and out of it, the first first, after a number.
///
/// # Errors
/// What the database says.
pub async fn list_steps(tx: &mut Tx, reserve: ReserveId, after: i64, limit: i64) -> Result<Vec<Step>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where m.book_id = $1 and m.reserve_id = $2 and m.key > $3 order by m.key limit $4",
        book.get(),
        reserve.uuid(),
        after,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Step::from).collect())
}

/// What each reserve has of a payment; under its lock it stays so.
///
/// # Errors
/// What the database says.
pub async fn list_held(tx: &mut Tx, payment: PaymentId) -> Result<Vec<Part>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select m.reserve_id, r.seller_id,
                  sum(case when m.kind in ('take', 'restore') then m.amount else -m.amount end)::bigint as "amount!"
           from reserve_moves m join reserves r on r.book_id = m.book_id and r.id = m.reserve_id
           where m.book_id = $1 and m.payment_id = $2
           group by m.reserve_id, r.seller_id, r.kind
           having sum(case when m.kind in ('take', 'restore') then m.amount else -m.amount end) > 0
           order by r.kind desc, m.reserve_id"#,
        book.get(),
        payment.uuid()
    )
    .fetch_all(tx.conn())
    .await?;
    let part = rows.into_iter().map(|row| Part {
        reserve: row.reserve_id.into(),
        seller: row.seller_id.into(),
        payment,
        amount: row.amount,
    });
    Ok(part.collect())
}

/// What a refund, a dispute or a late failure has drawn of each reserve and not put back.
pub(in crate::reserves) async fn list_drawn(tx: &mut Tx, cause: Uuid) -> Result<Vec<Part>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select m.reserve_id, r.seller_id, m.payment_id,
                  sum(case m.kind when 'draw' then m.amount else -m.amount end)::bigint as "amount!"
           from reserve_moves m join reserves r on r.book_id = m.book_id and r.id = m.reserve_id
           where m.book_id = $1 and m.cause_id = $2
           group by m.reserve_id, r.seller_id, m.payment_id, r.kind
           having sum(case m.kind when 'draw' then m.amount else -m.amount end) > 0
           order by r.kind desc, m.reserve_id"#,
        book.get(),
        cause
    )
    .fetch_all(tx.conn())
    .await?;
    let part = rows.into_iter().map(|row| Part {
        reserve: row.reserve_id.into(),
        seller: row.seller_id.into(),
        payment: row.payment_id.into(),
        amount: row.amount,
    });
    Ok(part.collect())
}

/// Some of what a reserve has, by payment, in the order of their ids, beginning after one.
///
/// # Errors
/// What the database says.
pub async fn list_parts(tx: &mut Tx, reserve: ReserveId, after: Uuid, limit: i64) -> Result<Vec<Part>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select m.payment_id, r.seller_id,
                  sum(case when m.kind in ('take', 'restore') then m.amount else -m.amount end)::bigint as "amount!"
           from reserve_moves m join reserves r on r.book_id = m.book_id and r.id = m.reserve_id
           where m.book_id = $1 and m.reserve_id = $2 and m.payment_id > $3
           group by m.payment_id, r.seller_id
           having sum(case when m.kind in ('take', 'restore') then m.amount else -m.amount end) > 0
           order by m.payment_id limit $4"#,
        book.get(),
        reserve.uuid(),
        after,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    let part = rows.into_iter().map(|row| Part {
        reserve,
        seller: row.seller_id.into(),
        payment: row.payment_id.into(),
        amount: row.amount,
    });
    Ok(part.collect())
}
