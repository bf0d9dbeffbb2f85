//! SQL of bank_payout_parts and bank_payables.

use std::collections::HashMap;

use partita_db::{DbError, Tx};
use partita_ledger::AccountKey;
use uuid::Uuid;

use crate::id::{AdjustmentId, Of, PaymentId, PayoutId, SellerId};
use crate::transfers::{BankPart, TransferError};

struct Row {
    key: i64,
    payout_id: Uuid,
    seller_id: Uuid,
    subject: i64,
    payment_id: Option<Uuid>,
    adjustment_id: Option<Uuid>,
    amount: i64,
    undone: bool,
}

impl From<Row> for BankPart {
    fn from(row: Row) -> Self {
        Self {
            key: row.key,
            payout: row.payout_id.into(),
            seller: row.seller_id.into(),
            subject: row.subject,
            of: Of::stored(row.payment_id, row.adjustment_id).expect("bank_payout_parts_of_one has one of the two"),
            amount: row.amount,
            undone: row.undone,
        }
    }
}

macro_rules! select {
    ($tail:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"select key, payout_id, seller_id, subject, payment_id, adjustment_id, amount, undone from bank_payout_parts "#
                + $tail
            $(, $argument)*
        )
    };
}

/// What payouts by bank file pay and paid of a payment or an adjustment, in order.
///
/// # Errors
/// What the database says.
pub async fn parts_of(tx: &mut Tx, of: Of) -> Result<Vec<BankPart>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where book_id = $1 and (payment_id = $2 or adjustment_id = $3) order by key",
        book.get(),
        of.payment().map(PaymentId::uuid),
        of.adjustment().map(AdjustmentId::uuid)
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(BankPart::from).collect())
}

/// What a payout by bank file pays of payments and adjustments, in the order in which these are locked.
pub(in crate::transfers) async fn parts_of_payout(tx: &mut Tx, payout: PayoutId) -> Result<Vec<BankPart>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where book_id = $1 and payout_id = $2 order by coalesce(payment_id, adjustment_id)",
        book.get(),
        payout.uuid()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(BankPart::from).collect())
}

pub(in crate::transfers) async fn insert_parts(tx: &mut Tx, parts: &[BankPart]) -> Result<(), DbError> {
    let book = tx.book_id();
    let column = |value: fn(&BankPart) -> i64| parts.iter().map(value).collect::<Vec<i64>>();
    let ids = |value: fn(&BankPart) -> Uuid| parts.iter().map(value).collect::<Vec<Uuid>>();
    let maybe = |value: fn(&BankPart) -> Option<Uuid>| parts.iter().map(value).collect::<Vec<Option<Uuid>>>();
    sqlx::query!(
        "insert into bank_payout_parts (book_id, key, payout_id, seller_id, subject, payment_id, adjustment_id, amount)
         select $1, * from unnest($2::bigint[], $3::uuid[], $4::uuid[], $5::bigint[], $6::uuid[], $7::uuid[], $8::bigint[])",
        book.get(),
        &column(|part| part.key),
        &ids(|part| part.payout.uuid()),
        &ids(|part| part.seller.uuid()),
        &column(|part| part.subject),
        &maybe(|part| part.of.payment().map(PaymentId::uuid)) as _,
        &maybe(|part| part.of.adjustment().map(AdjustmentId::uuid)) as _,
        &column(|part| part.amount)
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Marks parts as not paid in the end.
pub(in crate::transfers) async fn undo_parts(tx: &mut Tx, parts: &[BankPart]) -> Result<(), TransferError> {
    let book = tx.book_id();
    let keys: Vec<i64> = parts.iter().map(|part| part.key).collect();
    let done = sqlx::query!(
        "update bank_payout_parts set undone = true where book_id = $1 and key = any($2) and not undone",
        book.get(),
        &keys
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    if usize::try_from(done.rows_affected()).ok() != Some(parts.len()) {
        return Err(TransferError::Contradiction("a part of the payout came back before".to_owned()));
    }
    Ok(())
}

/// What a seller may be paid by bank file of a payment or an adjustment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payable {
    /// Who.
    pub seller: SellerId,
    /// The ledger subject of what it is of.
    pub subject: i64,
    /// What it is of.
    pub of: Of,
    /// Minor units.
    pub amount: i64,
}

/// Writes down what a seller may be paid of a ground that is locked; nothing takes it off the list.
pub(in crate::transfers) async fn set_payable(tx: &mut Tx, payable: &Payable) -> Result<(), DbError> {
    let book = tx.book_id();
    if payable.amount <= 0 {
        sqlx::query!(
            "delete from bank_payables where book_id = $1 and seller_id = $2 and subject = $3",
            book.get(),
            payable.seller.uuid(),
            payable.subject
        )
        .execute(tx.conn())
        .await?;
        return Ok(());
    }
    sqlx::query!(
        "insert into bank_payables (book_id, seller_id, subject, payment_id, adjustment_id, amount)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (book_id, seller_id, subject) do update set amount = excluded.amount",
        book.get(),
        payable.seller.uuid(),
        payable.subject,
        payable.of.payment().map(PaymentId::uuid),
        payable.of.adjustment().map(AdjustmentId::uuid),
        payable.amount
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What payouts took is noted no more.
pub(in crate::transfers) async fn lower_payables(tx: &mut Tx, parts: &[BankPart]) -> Result<(), DbError> {
    let book = tx.book_id();
    let Some(seller) = parts.first().map(|part| part.seller) else { return Ok(()) };
    let subjects: Vec<i64> = parts.iter().map(|part| part.subject).collect();
    let amounts: Vec<i64> = parts.iter().map(|part| part.amount).collect();
    sqlx::query!(
        "delete from bank_payables p using unnest($3::bigint[], $4::bigint[]) as t (subject, amount)
         where p.book_id = $1 and p.seller_id = $2 and p.subject = t.subject and p.amount <= t.amount",
        book.get(),
        seller.uuid(),
        &subjects,
        &amounts
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "update bank_payables p set amount = p.amount - t.amount
         from unnest($3::bigint[], $4::bigint[]) as t (subject, amount)
         where p.book_id = $1 and p.seller_id = $2 and p.subject = t.subject",
        book.get(),
        seller.uuid(),
        &subjects,
        &amounts
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Takes everything off a seller's list; returns the ledger subjects that stood there.
pub(in crate::transfers) async fn take_payables(tx: &mut Tx, seller: SellerId) -> Result<Vec<i64>, DbError> {
    let book = tx.book_id();
    let subjects = sqlx::query_scalar!(
        "delete from bank_payables where book_id = $1 and seller_id = $2 returning subject",
        book.get(),
        seller.uuid()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(subjects)
}

/// Takes off the lists what stands there of sellers who are not paid by bank file any more; returns the ledger subjects. A list
/// that was written while the details ended.
pub(in crate::transfers) async fn take_payables_of_others(tx: &mut Tx) -> Result<Vec<i64>, DbError> {
    let book = tx.book_id();
    let subjects = sqlx::query_scalar!(
        "delete from bank_payables p
         where p.book_id = $1
           and (select d.sealed is null from seller_bank_details d
                where d.book_id = p.book_id and d.seller_id = p.seller_id order by d.version desc limit 1) is not false
         returning p.subject",
        book.get()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(subjects)
}

/// Locks payments, then adjustments, in the order of their ids.
pub(in crate::transfers) async fn lock_grounds(tx: &mut Tx, grounds: &[Of]) -> Result<(), DbError> {
    let book = tx.book_id();
    let payments: Vec<Uuid> = grounds.iter().filter_map(|of| of.payment()).map(PaymentId::uuid).collect();
    let adjustments: Vec<Uuid> = grounds.iter().filter_map(|of| of.adjustment()).map(AdjustmentId::uuid).collect();
    sqlx::query!(
        "select id from payments where book_id = $1 and id = any($2) order by id for no key update",
        book.get(),
        &payments
    )
    .fetch_all(tx.conn())
    .await?;
    sqlx::query!(
        "select id from adjustments where book_id = $1 and id = any($2) order by id for no key update",
        book.get(),
        &adjustments
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(())
}

/// What a seller's available balance has of each of these ledger subjects; minor units.
pub(in crate::transfers) async fn has_of(
    tx: &mut Tx,
    available: AccountKey,
    subjects: &[i64],
) -> Result<HashMap<i64, i64>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select subject, sum(case when credit_account = $3 then amount else -amount end)::bigint as "has!"
           from ledger_postings
           where book_id = $1 and subject = any($2) and (credit_account = $3 or debit_account = $3)
           group by subject"#,
        book.get(),
        subjects,
        available.get()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.subject, row.has)).collect())
}

/// The most payments and adjustments that one payout pays of: what its transaction books. The rest waits for the next one.
const MOST_GROUNDS: i64 = 5_000;

/// Of what a seller may be paid by bank file, oldest first, which is the order in which they are locked.
pub(in crate::transfers) async fn list_payables(tx: &mut Tx, seller: SellerId) -> Result<Vec<Payable>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        "select subject, payment_id, adjustment_id, amount from bank_payables where book_id = $1 and seller_id = $2
         order by coalesce(payment_id, adjustment_id) limit $3",
        book.get(),
        seller.uuid(),
        MOST_GROUNDS
    )
    .fetch_all(tx.conn())
    .await?;
    let payable = rows.into_iter().map(|row| Payable {
        seller,
        subject: row.subject,
        of: Of::stored(row.payment_id, row.adjustment_id).expect("bank_payables_of_one has one of the two"),
        amount: row.amount,
    });
    Ok(payable.collect())
}
