//! The service's own invariants, each one set-based query that returns a row per contradiction.

use partita_db::{DbError, Tx};

use super::Finding;

/// One invariant.
pub(super) struct Check {
    invariant: &'static str,
    sql: &'static str,
}

/// How many contradictions of one invariant are shown.
const SHOWN: usize = 100;

/// Every query takes the book as `$1` and returns one text column.
pub(super) const CHECKS: &[Check] = &[
    Check {
        invariant: "lines and taxes sum to their payment",
        sql: "select format('payment %s: %s, lines %s', p.id, p.amount, coalesce(sum(l.amount + l.tax_amount), 0))
              from payments p left join payment_lines l on l.book_id = p.book_id and l.payment_id = p.id
              where p.book_id = $1 group by p.id, p.amount
              having p.amount <> coalesce(sum(l.amount + l.tax_amount), 0)",
    },
    Check {
        invariant: "refunds of a line are what its refunds gave back",
        sql: "with given as (
                  select r.payment_id, rl.line, sum(rl.amount) as amount, sum(rl.tax_amount) as tax, sum(rl.commission) as commission
                  from refunds r join refund_lines rl on rl.book_id = r.book_id and rl.refund_id = r.id
                  where r.book_id = $1 and r.status <> 'failed' group by 1, 2)
              select format('payment %s line %s', l.payment_id, l.line)
              from payment_lines l left join given g on g.payment_id = l.payment_id and g.line = l.line
              where l.book_id = $1 and (l.refunded_amount, l.refunded_tax, l.returned_commission)
                    is distinct from (coalesce(g.amount, 0), coalesce(g.tax, 0), coalesce(g.commission, 0))",
    },
    Check {
        invariant: "refunds of a payment are within what was charged",
        sql: "select format('payment %s: %s of %s', p.id, sum(r.amount), p.amount)
              from payments p join refunds r on r.book_id = p.book_id and r.payment_id = p.id and r.status <> 'failed'
              where p.book_id = $1 group by p.id, p.amount, p.refunded_amount
              having sum(r.amount) > p.amount or sum(r.amount) <> p.refunded_amount",
    },
    Check {
        invariant: "reversals of a transfer are within the transfer",
        sql: "select format('transfer %s', t.id)
              from transfers t left join transfer_reversals v
                   on v.book_id = t.book_id and v.transfer_id = t.id and v.status <> 'failed'
              where t.book_id = $1 group by t.id, t.amount, t.reversed_amount, t.reversing_amount
              having coalesce(sum(v.amount), 0) <> t.reversed_amount + t.reversing_amount
                  or coalesce(sum(v.amount), 0) > t.amount",
    },
    Check {
        invariant: "transfers less reversals are within the sellers' shares",
        sql: "with sent as (
                  select payment_id, seller_id, sum(amount - reversed_amount - reversing_amount) as amount
                  from transfers where book_id = $1 and status <> 'failed' group by 1, 2),
              share as (
                  select payment_id, seller_id,
                         sum(amount - commission + case tax_liability when 'seller' then tax_amount else 0 end) as amount
                  from payment_lines where book_id = $1 and seller_id is not null group by 1, 2)
              select format('payment %s seller %s: %s of %s', sent.payment_id, sent.seller_id, sent.amount, share.amount)
              from sent left join share using (payment_id, seller_id)
              where sent.amount > coalesce(share.amount, 0)",
    },
    Check {
        invariant: "clearing is zero for a payment with nothing open",
        sql: "select format('payment %s, account %s: %s', p.id, a.path, sum(case when e.debit then e.amount else -e.amount end))
              from payments p
              join (select book_id, subject, debit_account as account, amount, true as debit from ledger_postings where book_id = $1
                    union all
                    select book_id, subject, credit_account, amount, false from ledger_postings where book_id = $1) e
                   on e.book_id = p.book_id and e.subject = p.key
              join ledger_accounts a on a.book_id = e.book_id and a.account = e.account and a.path like 'clr.%'
              where p.book_id = $1
                and not exists (select from operations o where o.book_id = p.book_id and o.object_key = p.key
                                and o.state in ('planned', 'submitting', 'unknown'))
                and not exists (select from refunds r where r.book_id = p.book_id and r.payment_id = p.id and r.status = 'pending')
              group by p.id, a.path
              having sum(case when e.debit then e.amount else -e.amount end) <> 0",
    },
    Check {
        invariant: "every change of state has its history and its event, without gaps",
        sql: "select format('%s %s: %s events, last sequence %s', o.object_type, o.object_id, count(*), max(o.sequence))
              from outbox o where o.book_id = $1 group by o.object_type, o.object_id
              having count(*) <> max(o.sequence)
              union all
              select format('history without event: %s', h.object_id)
              from state_history h where h.book_id = $1 and not exists (
                  select from outbox o where o.book_id = h.book_id and o.object_id = h.object_id and o.sequence = h.sequence)
              union all
              select format('event without history: %s', o.object_id)
              from outbox o where o.book_id = $1 and not exists (
                  select from state_history h where h.book_id = o.book_id and h.object_id = o.object_id and h.sequence = o.sequence)",
    },
    Check {
        invariant: "the newest event of an object is of its present state",
        sql: "select format('%s %s', s.type, s.id) from (
                  select 'payment' as type, id, status, sequence from payments where book_id = $1
                  union all select 'refund', id, status, sequence from refunds where book_id = $1
                  union all select 'transfer', id, status, sequence from transfers where book_id = $1
                  union all select 'reversal', id, status, sequence from transfer_reversals where book_id = $1
                  union all select 'payout', id, status, sequence from payouts where book_id = $1
                  union all select 'top_up', id, status, sequence from top_ups where book_id = $1
                  union all select 'seller', id, status, sequence from sellers where book_id = $1) s
              left join state_history h on h.book_id = $1 and h.object_id = s.id and h.sequence = s.sequence
              where h.to_state is distinct from s.status",
    },
    Check {
        invariant: "operations went only where they may",
        sql: "select format('operation %s: %s to %s', h.operation_id, h.from_state, h.to_state)
              from operation_history h
              where h.book_id = $1 and h.from_state is not null and not exists (
                  select from operation_transitions t where t.from_state = h.from_state and t.to_state = h.to_state)
              union all
              select format('operation %s is %s, its history says %s', o.id, o.state, h.to_state)
              from operations o
              left join lateral (select to_state from operation_history h where h.book_id = o.book_id and h.operation_id = o.id
                                 order by step desc limit 1) h on true
              where o.book_id = $1 and o.state is distinct from h.to_state",
    },
    Check {
        invariant: "every movement is booked",
        sql: "select format('movement %s', m.movement_id) from provider_movements m
              where m.book_id = $1 and not exists (
                  select from ledger_transactions t where t.book_id = m.book_id and t.source = m.key
                  and t.kind in (1, 11, 13, 14, 15, 21, 30, 32, 41, 50))",
    },
];

pub(super) async fn run_check(tx: &mut Tx, check: &Check) -> Result<Vec<Finding>, DbError> {
    let book = tx.book_id();
    let rows: Vec<String> = sqlx::query_scalar(check.sql).bind(book.get()).fetch_all(tx.conn()).await?;
    let finding = |detail| Finding { invariant: check.invariant, detail };
    Ok(rows.into_iter().take(SHOWN).map(finding).collect())
}
