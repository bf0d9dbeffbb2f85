//! Invariants of lines whose share waits by itself.

use super::Kind;
use super::invariants::Check;

/// As those of [`super::invariants`].
pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "I5",
        invariant: "what waits of a usable payment is what its waiting lines leave their sellers",
        kind: Kind::Agreement,
        sentence: "Of a payment whose money is usable, sellers' pending accounts have the shares of the lines that wait, and nothing else.",
        sql: "with waiting as (
                  select p.id, s.number, coalesce(sum(payment_line_share(l)) filter (where r.status <> 'released'), 0) as amount
                  from line_releases r
                  join payments p on p.book_id = r.book_id and p.id = r.payment_id and p.funds = 'available'
                  join payment_lines l on l.book_id = r.book_id and l.payment_id = r.payment_id and l.line = r.line
                  join sellers s on s.book_id = r.book_id and s.id = r.seller_id
                  where r.book_id = $1 [[r.payment_id]] group by p.id, s.number),
              booked as (
                  select p.id, ((a.account & ((1::bigint << 33) - 1)) >> 7)::integer as number, sum(e.amount) as amount
                  from (select distinct id from waiting) w
                  join payments p on p.book_id = $1 and p.id = w.id
                  join (select subject, debit_account as account, -amount as amount from ledger_postings where book_id = $1
                        union all
                        select subject, credit_account, amount from ledger_postings where book_id = $1) e on e.subject = p.key
                  join ledger_accounts a on a.book_id = $1 and a.account = e.account and a.path like 'sel.%.pending'
                  group by 1, 2)
              select format('payment %s, seller number %s: %s instead of %s', id, number, b.amount, w.amount)
              from waiting w full join booked b using (id, number)
              where coalesce(w.amount, 0) <> coalesce(b.amount, 0)",
    },
    Check {
        code: "I5",
        invariant: "a line that was released is booked, and no other one",
        kind: Kind::Agreement,
        sentence: "Each line that was released by itself stands in the ledger with what became usable then, and one that waits does not.",
        sql: "select format('line %s of payment %s is %s: %s booked of %s', r.line, r.payment_id, r.status, b.amount, r.released_amount)
              from line_releases r
              left join lateral (
                  select sum(e.amount) as amount from ledger_transactions t
                  join ledger_postings e on e.book_id = t.book_id and e.lane = t.lane and e.seq = t.seq
                  where t.book_id = r.book_id and t.kind = 6 and t.source = r.key) b on true
              where r.book_id = $1 [[r.payment_id]] and coalesce(b.amount, 0) <> abs(coalesce(r.released_amount, 0))",
    },
    Check {
        code: "I11",
        invariant: "nothing is sent with a charge of which a line waits",
        kind: Kind::Agreement,
        sentence: "A payment one of whose lines is released by itself is a separate charge, and the line is a seller's.",
        sql: "select format('line %s of payment %s', r.line, r.payment_id)
              from line_releases r
              join payments p on p.book_id = r.book_id and p.id = r.payment_id
              join payment_lines l on l.book_id = r.book_id and l.payment_id = r.payment_id and l.line = r.line
              where r.book_id = $1 [[r.payment_id]]
                and (p.charge_type <> 'separate' or l.seller_id is distinct from r.seller_id)",
    },
];
