//! The contradictions that one set-based query each can find.

use jiff_sqlx::Date;
use partita_db::Tx;

use super::REPORTED;
use crate::{error::LedgerError, position::Position, store::sum, violation::Violation};

/// Rows beyond the end of their lane.
pub(super) async fn strays(tx: &mut Tx, book: i32) -> Result<Vec<Violation>, LedgerError> {
    let decisions = sqlx::query!(
        r#"select x.lane as "lane!", x.seq as "seq!"
           from (
               select t.lane, t.seq from ledger_transactions t where t.book_id = $1
               union all
               select r.lane, r.seq from ledger_refusals r where r.book_id = $1
           ) x
           left join ledger_lanes l on l.book_id = $1 and l.lane = x.lane
           where x.seq > coalesce(l.seq, 0) or x.seq < 1
           limit $2"#,
        book,
        REPORTED
    )
    .fetch_all(tx.conn())
    .await?;
    let postings = sqlx::query!(
        r#"select distinct p.lane, p.seq
           from ledger_postings p
           left join ledger_lanes l on l.book_id = $1 and l.lane = p.lane
           where p.book_id = $1 and (p.seq > coalesce(l.seq, 0) or p.seq < 1)
           limit $2"#,
        book,
        REPORTED
    )
    .fetch_all(tx.conn())
    .await?;
    let decisions = decisions
        .into_iter()
        .map(|row| Violation::SequenceBroken { position: Position { lane: row.lane, seq: row.seq } });
    let postings = postings
        .into_iter()
        .map(|row| Violation::OrphanPostings { position: Position { lane: row.lane, seq: row.seq } });
    Ok(decisions.chain(postings).collect())
}

/// What the constraints of `ledger_postings` say, asked again: a constraint can be dropped.
pub(super) async fn malformed_postings(tx: &mut Tx, book: i32) -> Result<Vec<Violation>, LedgerError> {
    let rows = sqlx::query!(
        "select lane, seq, ordinal
         from ledger_postings
         where book_id = $1
           and (amount <= 0
                or debit_account = credit_account
                or debit_account >> 33 <> credit_account >> 33
                or debit_account >> 43 <> book_id)
         limit $2",
        book,
        REPORTED
    )
    .fetch_all(tx.conn())
    .await?;
    let position = |lane, seq| Position { lane, seq };
    Ok(rows
        .into_iter()
        .map(|row| Violation::PostingMalformed { position: position(row.lane, row.seq), ordinal: row.ordinal })
        .collect())
}

/// Stored sums against the sums of the postings, by account.
pub(super) async fn balances(tx: &mut Tx, book: i32) -> Result<Vec<Violation>, LedgerError> {
    let rows = sqlx::query!(
        r#"select coalesce(s.account, p.account) as "account!",
                  coalesce(s.debits, 0)::text as "debits!",
                  coalesce(s.credits, 0)::text as "credits!",
                  coalesce(p.debits, 0)::text as "sum_of_debits!",
                  coalesce(p.credits, 0)::text as "sum_of_credits!",
                  a.account is null as "is_missing!"
           from (
               select b.account, sum(b.debits) as debits, sum(b.credits) as credits
               from ledger_balances b
               where b.book_id = $1
               group by b.account
           ) s
           full join (
               select e.account, sum(e.debit) as debits, sum(e.credit) as credits
               from ledger_postings p
               cross join lateral (
                   values (p.debit_account, p.amount, 0), (p.credit_account, 0, p.amount)
               ) e (account, debit, credit)
               where p.book_id = $1
               group by e.account
           ) p on p.account = s.account
           left join ledger_accounts a on a.book_id = $1 and a.account = coalesce(s.account, p.account)
           where coalesce(s.debits, 0) <> coalesce(p.debits, 0)
              or coalesce(s.credits, 0) <> coalesce(p.credits, 0)
           limit $2"#,
        book,
        REPORTED
    )
    .fetch_all(tx.conn())
    .await?;
    let mut violations = Vec::new();
    for row in rows {
        violations.push(Violation::BalanceDiffers {
            account: row.account,
            debits: sum(&row.debits)?,
            credits: sum(&row.credits)?,
            sum_of_debits: sum(&row.sum_of_debits)?,
            sum_of_credits: sum(&row.sum_of_credits)?,
        });
        if row.is_missing {
            violations.push(Violation::AccountMissing { account: row.account });
        }
    }
    Ok(violations)
}

/// Balance rows against their accounts, and the floors.
pub(super) async fn balance_rows(tx: &mut Tx, book: i32) -> Result<Vec<Violation>, LedgerError> {
    let shapes = sqlx::query!(
        r#"select account as "account!"
           from (
               select b.account, b.normal_side, b.floor, a.normal_side as side, a.floor as account_floor,
                      a.class, b.stripe
               from ledger_balances b
               left join ledger_accounts a on a.book_id = $1 and a.account = b.account
               where b.book_id = $1
           ) x
           where x.class is null
              or x.normal_side <> x.side
              or x.floor is distinct from x.account_floor
              or (x.stripe = 0) <> (x.class <> 3)
           union
           select a.account
           from ledger_accounts a
           where a.book_id = $1
             and a.class <> 3
             and not exists (
                 select from ledger_balances b where b.book_id = $1 and b.account = a.account and b.stripe = 0
             )
           limit $2"#,
        book,
        REPORTED
    )
    .fetch_all(tx.conn())
    .await?;
    let floors = sqlx::query!(
        r#"select account,
                  checked_balance as "checked_balance!",
                  floor as "floor!"
           from ledger_balances
           where book_id = $1 and checked_balance < floor
           limit $2"#,
        book,
        REPORTED
    )
    .fetch_all(tx.conn())
    .await?;
    let shapes = shapes.into_iter().map(|row| Violation::BalanceShape { account: row.account });
    let floors = floors.into_iter().map(|row| Violation::FloorPassed {
        account: row.account,
        checked_balance: row.checked_balance,
        floor: row.floor,
    });
    Ok(shapes.chain(floors).collect())
}

/// Day sums against the postings up to the position they are kept to.
pub(super) async fn days(tx: &mut Tx, book: i32) -> Result<Vec<Violation>, LedgerError> {
    let ahead = sqlx::query!(
        "select d.lane, d.seq
         from ledger_day_positions d
         left join ledger_lanes l on l.book_id = $1 and l.lane = d.lane
         where d.book_id = $1 and d.seq > coalesce(l.seq, 0)",
        book
    )
    .fetch_all(tx.conn())
    .await?;
    let rows = sqlx::query!(
        r#"select account as "account!",
                  lane as "lane!",
                  day as "day!: Date"
           from (
               select d.account, d.lane, d.day, d.debits, d.credits, d.first_seq, d.last_seq
               from ledger_balance_days d
               where d.book_id = $1
           ) s
           full join (
               select e.account,
                      p.lane,
                      (t.effective_at at time zone 'UTC')::date as day,
                      sum(e.debit) as debits,
                      sum(e.credit) as credits,
                      min(p.seq) as first_seq,
                      max(p.seq) as last_seq
               from ledger_day_positions k
               join ledger_postings p on p.book_id = $1 and p.lane = k.lane and p.seq <= k.seq
               join ledger_transactions t on t.book_id = $1 and t.lane = p.lane and t.seq = p.seq
               cross join lateral (
                   values (p.debit_account, p.amount, 0), (p.credit_account, 0, p.amount)
               ) e (account, debit, credit)
               where k.book_id = $1
               group by e.account, p.lane, (t.effective_at at time zone 'UTC')::date
           ) p using (account, lane, day)
           where (s.debits, s.credits, s.first_seq, s.last_seq)
                 is distinct from (p.debits, p.credits, p.first_seq, p.last_seq)
           limit $2"#,
        book,
        REPORTED
    )
    .fetch_all(tx.conn())
    .await?;
    let ahead = ahead.into_iter().map(|row| Violation::DaysAhead { lane: row.lane, seq: row.seq });
    let rows = rows.into_iter().map(|row| Violation::DayDiffers {
        account: row.account,
        lane: row.lane,
        day: row.day.to_jiff(),
    });
    Ok(ahead.chain(rows).collect())
}

/// Reversals that are not the mirror of their original.
pub(super) async fn reversals(tx: &mut Tx, book: i32) -> Result<Vec<Violation>, LedgerError> {
    let ids = sqlx::query_scalar!(
        "select r.id
         from ledger_transactions r
         left join ledger_transactions o on o.book_id = $1 and o.id = r.reverses
         where r.book_id = $1
           and r.reverses is not null
           and (o.id is null
                or exists (
                    select
                    from (
                        select p.ordinal, p.debit_account, p.credit_account, p.amount, p.subject
                        from ledger_postings p
                        where p.book_id = $1 and p.lane = r.lane and p.seq = r.seq
                    ) a
                    full join (
                        select p.ordinal, p.debit_account, p.credit_account, p.amount, p.subject
                        from ledger_postings p
                        where p.book_id = $1 and p.lane = o.lane and p.seq = o.seq
                    ) b on b.ordinal = a.ordinal
                    where (a.debit_account, a.credit_account, a.amount, a.subject)
                          is distinct from (b.credit_account, b.debit_account, b.amount, b.subject)
                ))
         limit $2",
        book,
        REPORTED
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(ids.into_iter().map(|id| Violation::ReversalDiffers { id }).collect())
}

/// Transactions that count in a period before the month in which they were effective.
pub(super) async fn periods(tx: &mut Tx, book: i32) -> Result<Vec<Violation>, LedgerError> {
    let ids = sqlx::query_scalar!(
        "select id
         from ledger_transactions
         where book_id = $1
           and period < extract(year from effective_at at time zone 'UTC') * 100
                        + extract(month from effective_at at time zone 'UTC')
         limit $2",
        book,
        REPORTED
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(ids.into_iter().map(|id| Violation::PeriodTooEarly { id }).collect())
}

/// What the unique indexes say, asked of the rows: an index can be dropped or damaged.
pub(super) async fn doubles(tx: &mut Tx, book: i32) -> Result<Vec<Violation>, LedgerError> {
    let ids = sqlx::query_scalar!(
        r#"select min(id) as "id!" from ledger_transactions where book_id = $1 group by id having count(*) > 1
           union
           select min(id) from ledger_transactions where book_id = $1 group by kind, source having count(*) > 1
           union
           select min(id) from ledger_transactions
           where book_id = $1 and reverses is not null group by reverses having count(*) > 1
           limit $2"#,
        book,
        REPORTED
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(ids.into_iter().map(|id| Violation::NotUnique { id }).collect())
}
