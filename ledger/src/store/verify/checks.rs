//! The contradictions that one set-based query each can find.

use partita_db::{BookId, Tx};

use super::{Findings, findings::REPORTED};
use crate::{error::LedgerError, position::Position, verification::VerifiedLane, violation::Violation};

/// What a verification looks at: the rows of each lane after a position.
///
/// A statement reaches them by a lateral sub-query with an offset, which keeps the planner from joining with all of the
/// book's rows: each lane is one range of an index.
pub(super) struct Range {
    pub(super) book: i32,
    pub(super) lanes: Vec<i16>,
    pub(super) after: Vec<i64>,
}

impl Range {
    pub(super) fn all(book: BookId, lanes: &[VerifiedLane]) -> Self {
        Self { book: book.get(), lanes: lanes.iter().map(|l| l.lane).collect(), after: vec![0; lanes.len()] }
    }
}

/// Rows beyond the end of their lane, or on no lane. `walked` is how many postings are elsewhere.
pub(super) async fn strays(tx: &mut Tx, book: BookId, walked: u64, findings: &mut Findings) -> Result<(), LedgerError> {
    let decisions = sqlx::query!(
        r#"select x.lane as "lane!", x.seq as "seq!"
           from (
               select t.lane, t.seq from ledger_transactions t where t.book_id = $1
               union all
               select r.lane, r.seq from ledger_refusals r where r.book_id = $1
               union all
               select h.lane, h.seq from ledger_holds h where h.book_id = $1
               union all
               select e.lane, e.seq from ledger_hold_releases e where e.book_id = $1
               union all
               select c.lane, c.seq from ledger_hold_captures c where c.book_id = $1
           ) x
           left join ledger_lanes l on l.book_id = $1 and l.lane = x.lane
           where x.seq > coalesce(l.seq, 0) or x.seq < 1
           limit $2"#,
        book.get(),
        REPORTED
    )
    .fetch_all(tx.conn())
    .await?;
    let at = |lane, seq| Position { lane, seq };
    findings.extend(decisions.into_iter().map(|row| Violation::SequenceBroken { position: at(row.lane, row.seq) }));
    // Each row that was walked over stands where it may: if there are no more, there are no others.
    let count =
        sqlx::query_scalar!(r#"select count(*) as "count!" from ledger_postings where book_id = $1"#, book.get());
    if count.fetch_one(tx.conn()).await?.unsigned_abs() == walked {
        return Ok(());
    }
    let postings = sqlx::query!(
        r#"select p.lane, p.seq
           from ledger_postings p
           left join ledger_lanes l on l.book_id = $1 and l.lane = p.lane
           where p.book_id = $1 and (p.seq > coalesce(l.seq, 0) or p.seq < 1)
           limit $2"#,
        book.get(),
        REPORTED
    )
    .fetch_all(tx.conn())
    .await?;
    findings.extend(postings.into_iter().map(|row| Violation::OrphanPostings { position: at(row.lane, row.seq) }));
    Ok(())
}

/// Rows beyond the end of a lane that exists; cheap, as each is one look at the end of an index. (An `exists` would be
/// planned as a scan that soon finds one, and there is none.)
pub(super) async fn beyond(tx: &mut Tx, book: BookId, findings: &mut Findings) -> Result<(), LedgerError> {
    let rows = sqlx::query!(
        r#"select l.lane, l.seq
           from ledger_lanes l
           where l.book_id = $1
             and l.seq < greatest(
                 (select max(t.seq) from ledger_transactions t where t.book_id = $1 and t.lane = l.lane),
                 (select max(p.seq) from ledger_postings p where p.book_id = $1 and p.lane = l.lane),
                 (select max(r.seq) from ledger_refusals r where r.book_id = $1 and r.lane = l.lane),
                 (select max(h.seq) from ledger_holds h where h.book_id = $1 and h.lane = l.lane),
                 (select max(e.seq) from ledger_hold_releases e where e.book_id = $1 and e.lane = l.lane))"#,
        book.get()
    )
    .fetch_all(tx.conn())
    .await?;
    let after = |lane, seq: i64| Position { lane, seq: seq.saturating_add(1) };
    findings.extend(rows.into_iter().map(|row| Violation::SequenceBroken { position: after(row.lane, row.seq) }));
    Ok(())
}

/// Balance rows against their accounts, and the floors; of these accounts or of all.
pub(super) async fn balance_rows(
    tx: &mut Tx,
    book: BookId,
    accounts: Option<&[i64]>,
    findings: &mut Findings,
) -> Result<(), LedgerError> {
    let shapes = sqlx::query_scalar!(
        r#"select account as "account!"
           from (
               select b.account, b.normal_side, b.floor, a.normal_side as side, a.floor as account_floor,
                      a.class, b.stripe
               from ledger_balances b
               left join ledger_accounts a on a.book_id = $1 and a.account = b.account
               where b.book_id = $1 and ($3::bigint[] is null or b.account = any ($3))
           ) x
           where x.class is null
              or x.normal_side <> x.side
              or x.floor is distinct from x.account_floor
              or (x.stripe = 0) <> (x.class <> 3)
           union
           select a.account
           from ledger_accounts a
           left join ledger_balances b on b.book_id = $1 and b.account = a.account and b.stripe = 0
           where a.book_id = $1
             and ($3::bigint[] is null or a.account = any ($3))
             and a.class <> 3
             and b.account is null
           limit $2"#,
        book.get(),
        REPORTED,
        accounts
    )
    .fetch_all(tx.conn())
    .await?;
    let floors = sqlx::query!(
        r#"select account,
                  checked_balance as "checked_balance!",
                  floor as "floor!"
           from ledger_balances
           where book_id = $1 and ($3::bigint[] is null or account = any ($3)) and checked_balance < floor
           limit $2"#,
        book.get(),
        REPORTED,
        accounts
    )
    .fetch_all(tx.conn())
    .await?;
    findings.extend(shapes.into_iter().map(|account| Violation::BalanceShape { account }));
    findings.extend(floors.into_iter().map(|row| Violation::FloorPassed {
        account: row.account,
        checked_balance: row.checked_balance,
        floor: row.floor,
    }));
    Ok(())
}

/// Reversals in a range that are not the mirror of their original.
pub(super) async fn reversals(tx: &mut Tx, range: &Range, findings: &mut Findings) -> Result<(), LedgerError> {
    let ids = sqlx::query_scalar!(
        "select r.id
         from unnest($3::smallint[], $4::bigint[]) n (lane, after)
         cross join lateral (
             select r.id, r.lane, r.seq, r.reverses
             from ledger_transactions r
             where r.book_id = $1 and r.lane = n.lane and r.seq > n.after and r.reverses is not null
             offset 0
         ) r
         left join ledger_transactions o on o.book_id = $1 and o.id = r.reverses
         where (o.id is null
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
        range.book,
        REPORTED,
        &range.lanes,
        &range.after
    )
    .fetch_all(tx.conn())
    .await?;
    findings.extend(ids.into_iter().map(|id| Violation::ReversalDiffers { id }));
    Ok(())
}

/// What the unique indexes say, asked of the rows: an index can be dropped or damaged.
pub(super) async fn doubles(tx: &mut Tx, book: BookId, findings: &mut Findings) -> Result<(), LedgerError> {
    let ids = sqlx::query_scalar!(
        r#"select min(id) as "id!" from ledger_transactions where book_id = $1 group by id having count(*) > 1
           union
           select min(id) from ledger_transactions where book_id = $1 group by kind, source having count(*) > 1
           union
           select min(id) from ledger_transactions
           where book_id = $1 and reverses is not null group by reverses having count(*) > 1
           limit $2"#,
        book.get(),
        REPORTED
    )
    .fetch_all(tx.conn())
    .await?;
    findings.extend(ids.into_iter().map(|id| Violation::NotUnique { id }));
    Ok(())
}

/// Transactions in a range that share what should be unique with any other one.
pub(super) async fn new_doubles(tx: &mut Tx, range: &Range, findings: &mut Findings) -> Result<(), LedgerError> {
    let ids = sqlx::query_scalar!(
        "select t.id
         from unnest($3::smallint[], $4::bigint[]) n (lane, after)
         cross join lateral (
             select t.id, t.lane, t.seq, t.kind, t.source, t.reverses
             from ledger_transactions t
             where t.book_id = $1 and t.lane = n.lane and t.seq > n.after
             offset 0
         ) t
         where exists (select from ledger_transactions o
                       where o.book_id = $1 and o.id = t.id and (o.lane, o.seq) <> (t.lane, t.seq))
            or exists (select from ledger_transactions o
                       where o.book_id = $1 and o.kind = t.kind and o.source = t.source
                         and (o.lane, o.seq) <> (t.lane, t.seq))
            or t.reverses is not null
               and exists (select from ledger_transactions o
                           where o.book_id = $1 and o.reverses = t.reverses and (o.lane, o.seq) <> (t.lane, t.seq))
         limit $2",
        range.book,
        REPORTED,
        &range.lanes,
        &range.after
    )
    .fetch_all(tx.conn())
    .await?;
    findings.extend(ids.into_iter().map(|id| Violation::NotUnique { id }));
    Ok(())
}
