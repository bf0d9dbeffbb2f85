//! Reading transactions and postings back.

use std::collections::HashMap;

use jiff_sqlx::Timestamp;
use partita_db::Tx;

use crate::{
    error::LedgerError,
    history::{Period, PostingView, TransactionFilter, TransactionView},
    position::Position,
    store::{account_key, book_of},
    transaction::Floors,
};

/// All postings of a subject, in the order they were recorded.
///
/// # Errors
/// [`LedgerError::NoBook`], [`LedgerError::Db`].
pub async fn postings_by_subject(tx: &mut Tx, subject: i64) -> Result<Vec<PostingView>, LedgerError> {
    let book = book_of(tx)?;
    let rows = sqlx::query_as!(
        PostingRow,
        r#"select t.id as transaction_id,
                  t.kind,
                  k.name as "kind_name?",
                  t.effective_at as "effective_at: Timestamp",
                  t.recorded_at as "recorded_at: Timestamp",
                  p.lane,
                  p.seq,
                  p.ordinal,
                  p.debit_account,
                  d.path as debit_path,
                  p.credit_account,
                  c.path as credit_path,
                  p.amount,
                  p.subject
           from ledger_postings p
           join ledger_transactions t on t.book_id = p.book_id and t.lane = p.lane and t.seq = p.seq
           join ledger_accounts d on d.book_id = p.book_id and d.account = p.debit_account
           join ledger_accounts c on c.book_id = p.book_id and c.account = p.credit_account
           left join ledger_transaction_kinds k on k.code = t.kind
           where p.book_id = $1 and p.subject = $2
           order by t.recorded_at, p.lane, p.seq, p.ordinal"#,
        book.get(),
        subject
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(PostingView::try_from).collect()
}

/// The transaction with this id.
///
/// # Errors
/// [`LedgerError::NoBook`], [`LedgerError::Db`].
pub async fn find_transaction(tx: &mut Tx, id: i64) -> Result<Option<TransactionView>, LedgerError> {
    let only = Selection { id: Some(id), ..Selection::default() };
    Ok(select_transactions(tx, only).await?.into_iter().next())
}

/// The transaction of this kind that this source caused.
///
/// # Errors
/// [`LedgerError::NoBook`], [`LedgerError::Db`].
pub async fn transactions_by_source(
    tx: &mut Tx,
    kind: i16,
    source: i64,
) -> Result<Option<TransactionView>, LedgerError> {
    let book = book_of(tx)?;
    let id = sqlx::query_scalar!(
        "select id from ledger_transactions where book_id = $1 and kind = $2 and source = $3",
        book.get(),
        kind,
        source
    )
    .fetch_optional(tx.conn())
    .await?;
    match id {
        None => Ok(None),
        Some(id) => find_transaction(tx, id).await,
    }
}

/// Transactions by falling id, at most `limit`.
///
/// # Errors
/// [`LedgerError::NoBook`], [`LedgerError::Db`].
pub async fn list_transactions(
    tx: &mut Tx,
    filter: &TransactionFilter,
    limit: u16,
) -> Result<Vec<TransactionView>, LedgerError> {
    let page = Selection { id: None, kind: filter.kind, before: filter.before, limit: i64::from(limit) };
    select_transactions(tx, page).await
}

struct Selection {
    id: Option<i64>,
    kind: Option<i16>,
    before: Option<i64>,
    limit: i64,
}

impl Default for Selection {
    fn default() -> Self {
        Self { id: None, kind: None, before: None, limit: 1 }
    }
}

async fn select_transactions(tx: &mut Tx, selection: Selection) -> Result<Vec<TransactionView>, LedgerError> {
    let book = book_of(tx)?;
    let rows = sqlx::query_as!(
        TransactionRow,
        r#"select t.id,
                  t.kind,
                  k.name as "kind_name?",
                  t.source,
                  t.actor,
                  t.effective_at as "effective_at: Timestamp",
                  t.recorded_at as "recorded_at: Timestamp",
                  t.period,
                  t.lane,
                  t.seq,
                  t.passes_floor,
                  t.reverses,
                  r.id as "reversed_by?"
           from ledger_transactions t
           left join ledger_transaction_kinds k on k.code = t.kind
           left join ledger_transactions r on r.book_id = t.book_id and r.reverses = t.id
           where t.book_id = $1
             and ($2::bigint is null or t.id = $2)
             and ($3::smallint is null or t.kind = $3)
             and ($4::bigint is null or t.id < $4)
           order by t.id desc
           limit $5"#,
        book.get(),
        selection.id,
        selection.kind,
        selection.before,
        selection.limit
    )
    .fetch_all(tx.conn())
    .await?;
    let mut postings = postings_of(tx, &rows).await?;
    rows.into_iter()
        .map(|row| {
            let postings = postings.remove(&row.id).unwrap_or_default();
            row.into_view(postings)
        })
        .collect()
}

/// The postings of these transactions, by transaction id.
async fn postings_of(
    tx: &mut Tx,
    transactions: &[TransactionRow],
) -> Result<HashMap<i64, Vec<PostingView>>, LedgerError> {
    let book = book_of(tx)?;
    let lanes: Vec<i16> = transactions.iter().map(|t| t.lane).collect();
    let seqs: Vec<i64> = transactions.iter().map(|t| t.seq).collect();
    let rows = sqlx::query_as!(
        PostingRow,
        r#"select t.id as transaction_id,
                  t.kind,
                  k.name as "kind_name?",
                  t.effective_at as "effective_at: Timestamp",
                  t.recorded_at as "recorded_at: Timestamp",
                  p.lane,
                  p.seq,
                  p.ordinal,
                  p.debit_account,
                  d.path as debit_path,
                  p.credit_account,
                  c.path as credit_path,
                  p.amount,
                  p.subject
           from unnest($2::smallint[], $3::bigint[]) x (lane, seq)
           join ledger_postings p on p.book_id = $1 and p.lane = x.lane and p.seq = x.seq
           join ledger_transactions t on t.book_id = $1 and t.lane = p.lane and t.seq = p.seq
           join ledger_accounts d on d.book_id = $1 and d.account = p.debit_account
           join ledger_accounts c on c.book_id = $1 and c.account = p.credit_account
           left join ledger_transaction_kinds k on k.code = t.kind
           order by t.id, p.ordinal"#,
        book.get(),
        &lanes,
        &seqs
    )
    .fetch_all(tx.conn())
    .await?;
    let mut postings: HashMap<i64, Vec<PostingView>> = HashMap::new();
    for row in rows {
        postings.entry(row.transaction_id).or_default().push(row.try_into()?);
    }
    Ok(postings)
}

struct PostingRow {
    transaction_id: i64,
    kind: i16,
    kind_name: Option<String>,
    effective_at: Timestamp,
    recorded_at: Timestamp,
    lane: i16,
    seq: i64,
    ordinal: i16,
    debit_account: i64,
    debit_path: String,
    credit_account: i64,
    credit_path: String,
    amount: i64,
    subject: i64,
}

impl TryFrom<PostingRow> for PostingView {
    type Error = LedgerError;

    fn try_from(row: PostingRow) -> Result<Self, LedgerError> {
        let debit = account_key(row.debit_account)?;
        Ok(Self {
            transaction_id: row.transaction_id,
            kind: row.kind,
            kind_name: row.kind_name,
            effective_at: row.effective_at.to_jiff(),
            recorded_at: row.recorded_at.to_jiff(),
            position: Position { lane: row.lane, seq: row.seq },
            ordinal: row.ordinal,
            debit,
            debit_path: row.debit_path,
            credit: account_key(row.credit_account)?,
            credit_path: row.credit_path,
            amount: row.amount,
            currency: debit.currency(),
            subject: row.subject,
        })
    }
}

struct TransactionRow {
    id: i64,
    kind: i16,
    kind_name: Option<String>,
    source: i64,
    actor: i64,
    effective_at: Timestamp,
    recorded_at: Timestamp,
    period: i32,
    lane: i16,
    seq: i64,
    passes_floor: bool,
    reverses: Option<i64>,
    reversed_by: Option<i64>,
}

impl TransactionRow {
    fn into_view(self, postings: Vec<PostingView>) -> Result<TransactionView, LedgerError> {
        Ok(TransactionView {
            id: self.id,
            kind: self.kind,
            kind_name: self.kind_name,
            source: self.source,
            actor: self.actor,
            effective_at: self.effective_at.to_jiff(),
            recorded_at: self.recorded_at.to_jiff(),
            period: Period::from_code(self.period).ok_or(LedgerError::Unreadable("an accounting period"))?,
            position: Position { lane: self.lane, seq: self.seq },
            floors: if self.passes_floor { Floors::Pass } else { Floors::Respect },
            reverses: self.reverses,
            reversed_by: self.reversed_by,
            postings,
        })
    }
}
