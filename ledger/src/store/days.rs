//! Day sums: a worker's step that keeps `ledger_balance_days` up to a position.

use partita_db::Tx;

use crate::{error::LedgerError, store::book_of};

/// How far a step of [`roll_day_balances`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollProgress {
    /// Positions taken into the day sums.
    pub positions: u64,
    /// Whether the day sums reached where the book stood. False: call again, in a new database transaction.
    pub finished: bool,
}

/// Takes up to `limit` positions of each lane into the day sums of the transaction's book.
///
/// Any number of workers may call it; lanes that another one works on are left to it.
///
/// # Errors
/// [`LedgerError::NoBook`], [`LedgerError::Db`].
pub async fn roll_day_balances(tx: &mut Tx, limit: u32) -> Result<RollProgress, LedgerError> {
    let book = book_of(tx)?;
    let lanes = sqlx::query!(
        r#"select d.lane,
                  d.seq,
                  l.seq as "until!"
           from ledger_day_positions d
           join ledger_lanes l on l.book_id = d.book_id and l.lane = d.lane
           where d.book_id = $1 and d.seq < l.seq
           order by d.lane
           for update of d skip locked"#,
        book.get()
    )
    .fetch_all(tx.conn())
    .await?;
    let lane: Vec<i16> = lanes.iter().map(|l| l.lane).collect();
    let after: Vec<i64> = lanes.iter().map(|l| l.seq).collect();
    let until: Vec<i64> = lanes.iter().map(|l| l.until.min(l.seq.saturating_add(i64::from(limit)))).collect();
    if lane.is_empty() {
        return Ok(RollProgress { positions: 0, finished: true });
    }
    sqlx::query!(
        "insert into ledger_balance_days as days (book_id, lane, day, account, debits, credits, first_seq, last_seq)
         select $1,
                r.lane,
                (p.effective_at at time zone 'UTC')::date,
                e.account,
                sum(e.debit),
                sum(e.credit),
                min(p.seq),
                max(p.seq)
         from unnest($2::smallint[], $3::bigint[], $4::bigint[]) r (lane, after, until)
         -- The offset keeps the planner from joining with all of the book's rows: each lane is one index range.
         cross join lateral (
             select p.seq, p.debit_account, p.credit_account, p.amount, t.effective_at
             from ledger_postings p
             join ledger_transactions t on t.book_id = $1 and t.lane = p.lane and t.seq = p.seq
             where p.book_id = $1 and p.lane = r.lane and p.seq > r.after and p.seq <= r.until
               and t.lane = r.lane and t.seq > r.after and t.seq <= r.until
             offset 0
         ) p
         cross join lateral (
             values (p.debit_account, p.amount, 0), (p.credit_account, 0, p.amount)
         ) e (account, debit, credit)
         group by r.lane, (p.effective_at at time zone 'UTC')::date, e.account
         on conflict (book_id, account, day, lane) do update
         set debits = days.debits + excluded.debits,
             credits = days.credits + excluded.credits,
             last_seq = excluded.last_seq",
        book.get(),
        &lane,
        &after,
        &until
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "update ledger_day_positions d
         set seq = r.until
         from unnest($2::smallint[], $3::bigint[]) r (lane, until)
         where d.book_id = $1 and d.lane = r.lane",
        book.get(),
        &lane,
        &until
    )
    .execute(tx.conn())
    .await?;
    let positions: i64 = until.iter().zip(&after).map(|(until, after)| until - after).sum();
    let finished = lanes.iter().zip(&until).all(|(lane, until)| lane.until == *until);
    Ok(RollProgress { positions: positions.unsigned_abs(), finished })
}
