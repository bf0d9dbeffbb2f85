//! Holds against their captures, releases and accounts.

use partita_db::Tx;

use super::{Findings, checks::Range, findings::REPORTED};
use crate::{error::LedgerError, position::Position, store::sum, violation::Violation};

/// What holds have left and what is held, of these accounts or of all, and the captures and releases of a range.
pub(super) async fn check(
    tx: &mut Tx,
    range: &Range,
    accounts: Option<&[i64]>,
    findings: &mut Findings,
) -> Result<(), LedgerError> {
    remaining(tx, range.book, accounts, findings).await?;
    held(tx, range.book, accounts, findings).await?;
    captures(tx, range, findings).await
}

/// What a hold has left is its amount less its captures and its release.
async fn remaining(
    tx: &mut Tx,
    book: i32,
    accounts: Option<&[i64]>,
    findings: &mut Findings,
) -> Result<(), LedgerError> {
    let rows = sqlx::query!(
        r#"select h.id,
                  h.remaining,
                  (h.amount - coalesce(c.amount, 0) - coalesce(r.amount, 0))::text as "expected!"
           from ledger_holds h
           left join lateral (
               select sum(c.amount) as amount from ledger_hold_captures c where c.book_id = $1 and c.hold = h.id
           ) c on true
           left join lateral (
               select sum(r.amount) as amount from ledger_hold_releases r where r.book_id = $1 and r.hold = h.id
           ) r on true
           where h.book_id = $1
             and ($3::bigint[] is null or h.account = any ($3))
             and (h.amount <= 0
                  or h.remaining < 0
                  or h.remaining <> h.amount - coalesce(c.amount, 0) - coalesce(r.amount, 0)
                  or r.amount is not null and h.remaining <> 0)
           limit $2"#,
        book,
        REPORTED,
        accounts
    )
    .fetch_all(tx.conn())
    .await?;
    for row in rows {
        let expected = sum(&row.expected)?;
        findings.push(Violation::HoldDiffers { hold: row.id, remaining: row.remaining, expected });
    }
    Ok(())
}

/// What is held on an account is what its holds have left.
async fn held(tx: &mut Tx, book: i32, accounts: Option<&[i64]>, findings: &mut Findings) -> Result<(), LedgerError> {
    let rows = sqlx::query!(
        r#"select coalesce(b.account, h.account) as "account!",
                  coalesce(b.held, 0)::text as "held!",
                  coalesce(h.remaining, 0)::text as "remaining!"
           from (
               select account, sum(held) as held
               from ledger_balances
               where book_id = $1 and ($3::bigint[] is null or account = any ($3)) and held <> 0
               group by account
           ) b
           full join (
               select account, sum(remaining) as remaining
               from ledger_holds
               where book_id = $1 and ($3::bigint[] is null or account = any ($3)) and remaining <> 0
               group by account
           ) h on h.account = b.account
           where coalesce(b.held, 0) <> coalesce(h.remaining, 0)
           limit $2"#,
        book,
        REPORTED,
        accounts
    )
    .fetch_all(tx.conn())
    .await?;
    for row in rows {
        let (held, expected) = (sum(&row.held)?, sum(&row.remaining)?);
        findings.push(Violation::HeldDiffers { account: row.account, held, expected });
    }
    Ok(())
}

/// A capture is what its transaction takes from the account of its hold; a release names a hold.
async fn captures(tx: &mut Tx, range: &Range, findings: &mut Findings) -> Result<(), LedgerError> {
    let rows = sqlx::query!(
        r#"select c.lane as "lane!", c.seq as "seq!"
           from unnest($3::smallint[], $4::bigint[]) n (lane, after)
           cross join lateral (
               select c.lane, c.seq, c.hold, c.amount
               from ledger_hold_captures c
               where c.book_id = $1 and c.lane = n.lane and c.seq > n.after
               offset 0
           ) c
           left join ledger_holds h on h.book_id = $1 and h.id = c.hold
           left join ledger_accounts a on a.book_id = $1 and a.account = h.account
           left join lateral (
               select sum(case when p.debit_account = h.account then p.amount
                               when p.credit_account = h.account then -p.amount
                               else 0 end) as debits
               from ledger_postings p
               where p.book_id = $1 and p.lane = c.lane and p.seq = c.seq
           ) p on true
           where (p.debits * case a.normal_side when 2 then 1 else -1 end) is distinct from c.amount
              or h.id is null
           union all
           select r.lane, r.seq
           from unnest($3::smallint[], $4::bigint[]) n (lane, after)
           cross join lateral (
               select r.lane, r.seq, r.hold
               from ledger_hold_releases r
               where r.book_id = $1 and r.lane = n.lane and r.seq > n.after
               offset 0
           ) r
           left join ledger_holds h on h.book_id = $1 and h.id = r.hold
           where h.id is null
           limit $2"#,
        range.book,
        REPORTED,
        &range.lanes,
        &range.after
    )
    .fetch_all(tx.conn())
    .await?;
    let at = |lane, seq| Position { lane, seq };
    findings.extend(rows.into_iter().map(|row| Violation::CaptureDiffers { position: at(row.lane, row.seq) }));
    Ok(())
}

/// What the unique indexes of holds say, asked of the rows.
pub(super) async fn doubles(tx: &mut Tx, book: i32, findings: &mut Findings) -> Result<(), LedgerError> {
    let ids = sqlx::query_scalar!(
        r#"select min(id) as "id!" from ledger_holds where book_id = $1 group by id having count(*) > 1
           union
           select min(id) from ledger_holds where book_id = $1 group by kind, source having count(*) > 1
           union
           select hold from ledger_hold_releases where book_id = $1 group by hold having count(*) > 1
           limit $2"#,
        book,
        REPORTED
    )
    .fetch_all(tx.conn())
    .await?;
    findings.extend(ids.into_iter().map(|hold| Violation::HoldNotUnique { hold }));
    Ok(())
}
