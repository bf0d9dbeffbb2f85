//! Invariants of positions in other currencies.

use super::Kind;
use super::invariants::Check;

/// As those of [`super::invariants`].
pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "I5",
        invariant: "a position is closed when nothing of its payment is on its way",
        kind: Kind::Agreement,
        // What stands in the payment's own currency outside the provider, a seller's debt or the platform's bank, stays there.
        sentence: "Of a payment that was settled in another currency, once no seller has anything of it and nothing is in clearing, nothing is left on the position but what debts and the bank have against it.",
        sql: "with crossed as (
                  select distinct x.subject, coalesce(p.id, a.id) as id
                  from exchanges x
                  left join payments p on p.book_id = x.book_id and p.key = x.subject
                  left join adjustments a on a.book_id = x.book_id and a.key = x.subject
                  where x.book_id = $1 [[coalesce(p.id,a.id)]]),
              booked as materialized (
                  select c.subject, c.id, l.currency, l.path, sum(e.amount) as amount
                  from crossed c
                  cross join lateral (
                      select debit_account as account, amount from ledger_postings where book_id = $1 and subject = c.subject
                      union all
                      select credit_account, -amount from ledger_postings where book_id = $1 and subject = c.subject) e
                  join ledger_accounts l on l.book_id = $1 and l.account = e.account
                  group by c.subject, c.id, l.currency, l.path)
              select format('%s: %s in currency %s', b.id, sum(b.amount), b.currency)
              from booked b
              where (b.path in ('fx', 'bank') or b.path like 'sel.%.debt')
                and not exists (select from due d where d.kind = 'currency_position' and d.book_id = $1 and d.id = b.subject)
                and not exists (select from booked m where m.subject = b.subject and m.amount <> 0
                                and (m.path like 'clr.%' or m.path like 'dsp.%' or m.path like 'sel.%' and m.path not like '%.debt'))
              group by b.id, b.subject, b.currency having sum(b.amount) <> 0",
    },
    Check {
        code: "I7",
        invariant: "no position waits for its look",
        kind: Kind::Liveness,
        sentence: "Each position that is open is looked at in time.",
        sql: "select format('position of %s: due at %s', coalesce(p.id, a.id), d.due_at)
              from due d
              left join payments p on p.book_id = d.book_id and p.key = d.id
              left join adjustments a on a.book_id = d.book_id and a.key = d.id
              where d.kind = 'currency_position' and d.book_id = $1 [[complete]] and d.due_at < $2::timestamptz - interval '1 hour'",
    },
];
