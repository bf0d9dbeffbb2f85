//! Balances now and in the past, on both axes: business time and position.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use partita_db::Tx;

use crate::{
    account::NormalSide,
    balance::{Balance, TrialBalanceRow},
    error::LedgerError,
    key::AccountKey,
    position::{Position, PositionVector},
    store::{account_key, book_of, raw_keys, sum},
};

/// Sums by raw account key: debits, credits.
type Sums = HashMap<i64, (i128, i128)>;

/// The current balances of these accounts, exact, in the order asked.
///
/// # Errors
/// [`LedgerError::UnknownAccount`], [`LedgerError::NoBook`], [`LedgerError::Db`].
pub async fn balances(tx: &mut Tx, accounts: &[AccountKey]) -> Result<Vec<Balance>, LedgerError> {
    balances_of(tx, accounts, None, None).await
}

/// The balance of an account from what was effective at `as_of` (default: whenever) as far as it was posted at
/// `position` (default: now).
///
/// # Errors
/// As [`balances`].
pub async fn balance_at(
    tx: &mut Tx,
    account: AccountKey,
    as_of: Option<Timestamp>,
    position: Option<&PositionVector>,
) -> Result<Balance, LedgerError> {
    let balances = balances_of(tx, &[account], as_of, position).await?;
    balances.first().copied().ok_or(LedgerError::UnknownAccount { account })
}

/// Where the book stands: everything at or before it is visible to this statement, nothing after it.
///
/// # Errors
/// [`LedgerError::NoBook`], [`LedgerError::Db`].
pub async fn current_position(tx: &mut Tx) -> Result<PositionVector, LedgerError> {
    let book = book_of(tx)?;
    let lanes =
        sqlx::query!("select lane, seq from ledger_lanes where book_id = $1", book.get()).fetch_all(tx.conn()).await?;
    Ok(lanes.into_iter().map(|row| Position { lane: row.lane, seq: row.seq }).collect())
}

/// Every account that has postings, with its sums, in order of path and currency; as of a business time and a
/// position as in [`balance_at`].
///
/// # Errors
/// [`LedgerError::NoBook`], [`LedgerError::Db`].
pub async fn trial_balance(
    tx: &mut Tx,
    as_of: Option<Timestamp>,
    position: Option<&PositionVector>,
) -> Result<Vec<TrialBalanceRow>, LedgerError> {
    let book = book_of(tx)?;
    let sums = sums(tx, None, as_of, position).await?;
    let keys: Vec<i64> = sums.iter().filter(|(_, sums)| **sums != (0, 0)).map(|(key, _)| *key).collect();
    let accounts = sqlx::query!(
        "select account, path, normal_side
         from ledger_accounts
         where book_id = $1 and account = any ($2)
         order by path, currency",
        book.get(),
        &keys
    )
    .fetch_all(tx.conn())
    .await?;
    accounts
        .into_iter()
        .map(|row| {
            let account = account_key(row.account)?;
            let (debits, credits) = sums.get(&row.account).copied().unwrap_or_default();
            let normal_side = side(row.normal_side)?;
            Ok(TrialBalanceRow { account, path: row.path, currency: account.currency(), normal_side, debits, credits })
        })
        .collect()
}

async fn balances_of(
    tx: &mut Tx,
    accounts: &[AccountKey],
    as_of: Option<Timestamp>,
    position: Option<&PositionVector>,
) -> Result<Vec<Balance>, LedgerError> {
    let book = book_of(tx)?;
    let keys = raw_keys(accounts);
    let sides: HashMap<i64, i16> = sqlx::query!(
        "select account, normal_side from ledger_accounts where book_id = $1 and account = any ($2)",
        book.get(),
        &keys
    )
    .fetch_all(tx.conn())
    .await?
    .into_iter()
    .map(|row| (row.account, row.normal_side))
    .collect();
    let sums = sums(tx, Some(&keys), as_of, position).await?;
    accounts
        .iter()
        .map(|account| {
            let code = sides.get(&account.get()).ok_or(LedgerError::UnknownAccount { account: *account })?;
            let (debits, credits) = sums.get(&account.get()).copied().unwrap_or_default();
            Ok(Balance { account: *account, normal_side: side(*code)?, debits, credits })
        })
        .collect()
}

fn side(code: i16) -> Result<NormalSide, LedgerError> {
    NormalSide::from_code(code).ok_or(LedgerError::Unreadable("a normal side"))
}

async fn sums(
    tx: &mut Tx,
    keys: Option<&[i64]>,
    as_of: Option<Timestamp>,
    position: Option<&PositionVector>,
) -> Result<Sums, LedgerError> {
    if as_of.is_none() && position.is_none() {
        return current_sums(tx, keys).await;
    }
    let position = match position {
        Some(position) => position.clone(),
        None => current_position(tx).await?,
    };
    past_sums(tx, keys, as_of, &position).await
}

pub(super) async fn current_sums(tx: &mut Tx, keys: Option<&[i64]>) -> Result<Sums, LedgerError> {
    let book = book_of(tx)?;
    let rows = sqlx::query!(
        "select account, debits, credits
         from ledger_balances
         where book_id = $1 and ($2::bigint[] is null or account = any ($2))",
        book.get(),
        keys
    )
    .fetch_all(tx.conn())
    .await?;
    let mut sums = Sums::new();
    for row in rows {
        let (debits, credits) = sums.entry(row.account).or_default();
        *debits += i128::from(row.debits);
        *credits += i128::from(row.credits);
    }
    Ok(sums)
}

/// Days that lie wholly before both cuts come from their sums. Postings are read only where a day is cut, and after the
/// position up to which days are kept.
pub(super) async fn past_sums(
    tx: &mut Tx,
    keys: Option<&[i64]>,
    as_of: Option<Timestamp>,
    position: &PositionVector,
) -> Result<Sums, LedgerError> {
    let book = book_of(tx)?;
    let (lanes, seqs): (Vec<i16>, Vec<i64>) = position.iter().map(|p| (p.lane, p.seq)).unzip();
    let rows = sqlx::query!(
        r#"with cut as (
               select b.lane,
                      b.until,
                      d.seq as kept,
                      coalesce($5::timestamptz, 'infinity') as instant,
                      (coalesce($5::timestamptz, 'infinity') at time zone 'UTC')::date as day
               from unnest($3::smallint[], $4::bigint[]) b (lane, until)
               join ledger_day_positions d on d.book_id = $1 and d.lane = b.lane
           ), days as materialized (
               select s.account,
                      s.day,
                      s.lane,
                      s.debits,
                      s.credits,
                      s.first_seq,
                      s.last_seq <= c.until and s.day < c.day as whole
               from ledger_balance_days s
               join cut c on c.lane = s.lane
               where s.book_id = $1
                 and ($2::bigint[] is null or s.account = any ($2))
                 and s.day <= c.day
                 and s.first_seq <= c.until
           ), scan as (
               select c.lane,
                      c.until,
                      c.kept,
                      c.instant,
                      least(c.kept + 1, min(d.first_seq) filter (where not d.whole)) as since
               from cut c
               left join days d on d.lane = c.lane
               group by c.lane, c.until, c.kept, c.instant
           ), tail as (
               select e.account, e.debit, e.credit
               from scan s
               -- The offset keeps the planner from joining with all of the book's rows: each lane is one index range.
               cross join lateral (
                   select p.lane, p.seq, p.debit_account, p.credit_account, p.amount, t.effective_at
                   from ledger_postings p
                   join ledger_transactions t on t.book_id = $1 and t.lane = p.lane and t.seq = p.seq
                   where p.book_id = $1 and p.lane = s.lane and p.seq between s.since and s.until
                     and t.lane = s.lane and t.seq between s.since and s.until
                     and t.effective_at <= s.instant
                   offset 0
               ) p
               cross join lateral (
                   values (p.debit_account, p.amount, 0), (p.credit_account, 0, p.amount)
               ) e (account, debit, credit)
               left join days d
                 on d.account = e.account
                and d.day = (p.effective_at at time zone 'UTC')::date
                and d.lane = p.lane
                and not d.whole
               where ($2::bigint[] is null or e.account = any ($2))
                 and (p.seq > s.kept or d.account is not null)
           )
           select a.account as "account!",
                  sum(a.debit)::text as "debits!",
                  sum(a.credit)::text as "credits!"
           from (
               select d.account, d.debits as debit, d.credits as credit from days d where d.whole
               union all
               select t.account, t.debit, t.credit from tail t
           ) a
           group by a.account"#,
        book.get(),
        keys,
        &lanes,
        &seqs,
        as_of.map(ToSqlx::to_sqlx) as Option<jiff_sqlx::Timestamp>
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(|row| Ok((row.account, (sum(&row.debits)?, sum(&row.credits)?)))).collect()
}
