//! SQL of debts, debt_settlements and recovery_policies.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::{Currency, Money};
use uuid::Uuid;

use super::{Debt, DebtError, DebtStatus, Policy, Rung, RungKind};
use crate::actor::Actor;
use crate::chart::SellerNumber;
use crate::id::{AdjustmentId, DebtId, Of, PaymentId, SellerId};

/// Which debts to list.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Any of these; all when empty.
    pub statuses: Vec<String>,
    /// Of this seller.
    pub seller: Option<SellerId>,
    /// Older than this debt.
    pub before: Option<DebtId>,
}

/// What a settlement paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettlementKind {
    /// A debt that was open.
    Offset,
    /// One that had been given up.
    Recovery,
    /// Nothing: it is given back, as the debt's own money came.
    Return,
}

impl SettlementKind {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Offset => "offset",
            Self::Recovery => "recovery",
            Self::Return => "return",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Offset, Self::Recovery, Self::Return].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What of a payment or an adjustment went to a debt instead of to its seller.
#[derive(Debug, Clone)]
pub struct Settled {
    /// Its number: the source of its booking.
    pub key: i64,
    /// The debt.
    pub debt: DebtId,
    /// Of what the money was.
    pub of: Of,
    /// Whose money it was.
    pub seller: SellerId,
    /// How ledger account keys name the seller.
    pub number: SellerNumber,
    /// What it paid.
    pub kind: SettlementKind,
    /// Minor units.
    pub amount: i64,
    /// When, by the business clock.
    pub created_at: Timestamp,
}

struct Row {
    id: Uuid,
    key: i64,
    seller_id: Uuid,
    payment_id: Option<Uuid>,
    adjustment_id: Option<Uuid>,
    amount: i64,
    currency: String,
    status: String,
    paid_amount: i64,
    written_off_amount: i64,
    recovered_amount: i64,
    short_since: jiff_sqlx::Timestamp,
    sequence: i32,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

impl From<Row> for Debt {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            key: row.key,
            seller: row.seller_id.into(),
            of: Of::stored(row.payment_id, row.adjustment_id).expect("debts_of_one has one of the two"),
            amount: Money::new(row.amount, Currency::parse(&row.currency).expect("written from a currency")),
            status: DebtStatus::parse(&row.status).expect("debts_status_known allows no other word"),
            paid: row.paid_amount,
            written_off: row.written_off_amount,
            recovered: row.recovered_amount,
            short_since: row.short_since.to_jiff(),
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
            r#"select id, key, seller_id, payment_id, adjustment_id, amount, currency, status, paid_amount, written_off_amount,
                      recovered_amount, short_since as "short_since: _", sequence, created_at as "created_at: _",
                      updated_at as "updated_at: _"
               from debts "# + $tail
            $(, $argument)*
        )
    };
}

pub(super) async fn insert(
    tx: &mut Tx,
    key: i64,
    of: Of,
    seller: SellerId,
    amount: Money,
    short_since: Timestamp,
    now: Timestamp,
) -> Result<Debt, DebtError> {
    let (book, id) = (tx.book_id(), DebtId::new());
    sqlx::query!(
        "insert into debts (book_id, id, key, seller_id, payment_id, adjustment_id, amount, currency, status, short_since,
                            sequence, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, 'open', $9, 1, $10, $10)",
        book.get(),
        id.uuid(),
        key,
        seller.uuid(),
        of.payment().map(PaymentId::uuid),
        of.adjustment().map(AdjustmentId::uuid),
        amount.minor,
        amount.currency.code(),
        short_since.to_sqlx() as _,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    find(tx, id).await?.ok_or(DebtError::NotFound)
}

/// A debt by its id.
///
/// # Errors
/// What the database says.
pub async fn find(tx: &mut Tx, id: DebtId) -> Result<Option<Debt>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2", book.get(), id.uuid()).fetch_optional(tx.conn()).await?;
    Ok(row.map(Debt::from))
}

pub(super) async fn find_for_update(tx: &mut Tx, id: DebtId) -> Result<Option<Debt>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2 for no key update", book.get(), id.uuid())
        .fetch_optional(tx.conn())
        .await?;
    Ok(row.map(Debt::from))
}

/// What a seller owes, the longest missing first.
pub(super) async fn list_open_for_update(tx: &mut Tx, seller: SellerId) -> Result<Vec<Debt>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where book_id = $1 and seller_id = $2 and status = 'open' order by short_since, id for no key update",
        book.get(),
        seller.uuid()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Debt::from).collect())
}

/// Debts of a payment or an adjustment that were given up.
pub(super) async fn list_written_off_for_update(tx: &mut Tx, of: Of, seller: SellerId) -> Result<Vec<Debt>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where book_id = $1 and seller_id = $2 and status = 'written_off' and recovered_amount < written_off_amount
           and (payment_id = $3 or adjustment_id = $4)
         order by short_since, id for no key update",
        book.get(),
        seller.uuid(),
        of.payment().map(PaymentId::uuid),
        of.adjustment().map(AdjustmentId::uuid)
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Debt::from).collect())
}

/// The debts of a payment or an adjustment, oldest first.
///
/// # Errors
/// What the database says.
pub async fn list_of(tx: &mut Tx, of: Of) -> Result<Vec<Debt>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where book_id = $1 and (payment_id = $2 or adjustment_id = $3) order by id",
        book.get(),
        of.payment().map(PaymentId::uuid),
        of.adjustment().map(AdjustmentId::uuid)
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Debt::from).collect())
}

/// Debts, newest first.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx, filter: &ListFilter, limit: i64) -> Result<Vec<Debt>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where book_id = $1 and (cardinality($2::text[]) = 0 or status = any($2)) and ($3::uuid is null or seller_id = $3)
           and ($4::uuid is null or id < $4)
         order by id desc limit $5",
        book.get(),
        &filter.statuses,
        filter.seller.map(SellerId::uuid),
        filter.before.map(DebtId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Debt::from).collect())
}

/// Writes what a locked debt has become; its status follows from its amounts.
pub(super) async fn update(tx: &mut Tx, new: &Debt, before: &Debt, now: Timestamp) -> Result<Debt, DebtError> {
    let book = tx.book_id();
    let status = match (new.written_off, new.left()) {
        (0, 1..) => DebtStatus::Open,
        (0, _) => DebtStatus::Paid,
        _ => DebtStatus::WrittenOff,
    };
    let done = sqlx::query!(
        "update debts set status = $3, paid_amount = $4, written_off_amount = $5, recovered_amount = $6,
                          sequence = sequence + 1, updated_at = $7
         where book_id = $1 and id = $2 and sequence = $8",
        book.get(),
        new.id.uuid(),
        status.as_str(),
        new.paid,
        new.written_off,
        new.recovered,
        now.to_sqlx() as _,
        before.sequence
    )
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    if done.rows_affected() != 1 {
        return Err(DebtError::Overtaken);
    }
    find(tx, new.id).await?.ok_or(DebtError::NotFound)
}

pub(super) async fn insert_settlement(
    tx: &mut Tx,
    key: i64,
    debt: DebtId,
    of: Of,
    kind: SettlementKind,
    amount: i64,
    now: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into debt_settlements (book_id, key, debt_id, payment_id, adjustment_id, kind, amount, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        book.get(),
        key,
        debt.uuid(),
        of.payment().map(PaymentId::uuid),
        of.adjustment().map(AdjustmentId::uuid),
        kind.as_str(),
        amount,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

struct SettledRow {
    key: i64,
    debt_id: Uuid,
    payment_id: Option<Uuid>,
    adjustment_id: Option<Uuid>,
    seller_id: Uuid,
    number: i32,
    kind: String,
    amount: i64,
    created_at: jiff_sqlx::Timestamp,
}

impl From<SettledRow> for Settled {
    fn from(row: SettledRow) -> Self {
        Self {
            key: row.key,
            debt: row.debt_id.into(),
            of: Of::stored(row.payment_id, row.adjustment_id).expect("debt_settlements_of_one has one of the two"),
            seller: row.seller_id.into(),
            number: SellerNumber(row.number),
            kind: SettlementKind::parse(&row.kind).expect("debt_settlements_kind_known allows no other word"),
            amount: row.amount,
            created_at: row.created_at.to_jiff(),
        }
    }
}

macro_rules! select_settled {
    ($tail:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            SettledRow,
            r#"select p.key, p.debt_id, p.payment_id, p.adjustment_id, d.seller_id, s.number, p.kind, p.amount,
                      p.created_at as "created_at: _"
               from debt_settlements p
               join debts d on d.book_id = p.book_id and d.id = p.debt_id
               join sellers s on s.book_id = d.book_id and s.id = d.seller_id "# + $tail
            $(, $argument)*
        )
    };
}

/// What of a payment or an adjustment went to debts.
///
/// # Errors
/// What the database says.
pub async fn settled_of(tx: &mut Tx, of: Of) -> Result<Vec<Settled>, DbError> {
    let book = tx.book_id();
    let rows = select_settled!(
        "where p.book_id = $1 and (p.payment_id = $2 or p.adjustment_id = $3) order by p.key",
        book.get(),
        of.payment().map(PaymentId::uuid),
        of.adjustment().map(AdjustmentId::uuid)
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Settled::from).collect())
}

/// What paid a debt, oldest first.
///
/// # Errors
/// What the database says.
pub async fn list_settlements(tx: &mut Tx, debt: DebtId) -> Result<Vec<Settled>, DbError> {
    let book = tx.book_id();
    let rows = select_settled!("where p.book_id = $1 and p.debt_id = $2 order by p.key", book.get(), debt.uuid())
        .fetch_all(tx.conn())
        .await?;
    Ok(rows.into_iter().map(Settled::from).collect())
}

/// What of something else paid a debt, as far as it was not given back.
pub(super) struct Lent {
    /// The debt.
    pub(super) debt: DebtId,
    /// Of what the money was.
    pub(super) of: Of,
    /// The ledger subject of that.
    pub(super) subject: i64,
    /// Minor units.
    pub(super) amount: i64,
}

/// What other payments and adjustments of a seller paid of debts of this one, the first first. Under its lock.
pub(super) async fn list_lent(tx: &mut Tx, of: Of, seller: SellerId) -> Result<Vec<Lent>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select p.debt_id, p.payment_id, p.adjustment_id, coalesce(y.key, a.key) as "subject!",
                  sum(case p.kind when 'return' then -p.amount else p.amount end)::bigint as "amount!"
           from debts d
           join debt_settlements p on p.book_id = d.book_id and p.debt_id = d.id and p.kind in ('offset', 'return')
           left join payments y on y.book_id = p.book_id and y.id = p.payment_id
           left join adjustments a on a.book_id = p.book_id and a.id = p.adjustment_id
           where d.book_id = $1 and d.seller_id = $2 and (d.payment_id = $3 or d.adjustment_id = $4)
             and coalesce(p.payment_id, p.adjustment_id) <> coalesce($3, $4)
           group by p.debt_id, p.payment_id, p.adjustment_id, coalesce(y.key, a.key)
           having sum(case p.kind when 'return' then -p.amount else p.amount end) > 0
           order by min(p.key)"#,
        book.get(),
        seller.uuid(),
        of.payment().map(PaymentId::uuid),
        of.adjustment().map(AdjustmentId::uuid)
    )
    .fetch_all(tx.conn())
    .await?;
    let lent = rows.into_iter().map(|row| Lent {
        debt: row.debt_id.into(),
        of: Of::stored(row.payment_id, row.adjustment_id).expect("debt_settlements_of_one has one of the two"),
        subject: row.subject,
        amount: row.amount,
    });
    Ok(lent.collect())
}

/// The ladder that holds.
///
/// # Errors
/// What the database says.
pub async fn find_policy(tx: &mut Tx) -> Result<Policy, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        "select version, rung, after_days, up_to, owner from recovery_policies
         where book_id = $1 and version = (select max(version) from recovery_policies where book_id = $1)",
        book.get()
    )
    .fetch_all(tx.conn())
    .await?;
    let mut policy = Policy::default();
    for row in rows {
        policy.version = row.version;
        let kind = RungKind::parse(&row.rung).expect("recovery_policies_rung_known allows no other word");
        let rung = Rung { kind, after_days: row.after_days, up_to: row.up_to, owner: row.owner };
        match kind {
            RungKind::ReverseTransfers => policy.reverse = rung,
            RungKind::NetFromSales => policy.net = rung,
            RungKind::SellerReserve => policy.reserve = Some(rung),
            RungKind::WriteOff => policy.write_off = rung,
        }
    }
    Ok(policy)
}

/// Declares a ladder; returns it with its version.
pub(super) async fn insert_policy(
    tx: &mut Tx,
    policy: &Policy,
    made_by: &str,
    approved_by: Option<Actor>,
    now: Timestamp,
) -> Result<Policy, DbError> {
    let book = tx.book_id();
    let version = find_policy(tx).await?.version + 1;
    for rung in policy.rungs() {
        sqlx::query!(
            "insert into recovery_policies (book_id, version, rung, after_days, up_to, owner, created_by, approved_by, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            book.get(),
            version,
            rung.kind.as_str(),
            rung.after_days,
            rung.up_to,
            rung.owner,
            made_by,
            approved_by.map(|actor| actor.to_string()),
            now.to_sqlx() as _
        )
        .execute(tx.conn())
        .await?;
    }
    Ok(Policy { version, ..policy.clone() })
}
