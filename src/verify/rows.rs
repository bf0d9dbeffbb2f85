//! Invariants of the rows themselves: each points to something that is there, and what is unique stands once.

use super::Kind;
use super::invariants::Check;

/// As those of [`super::invariants`].
pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "I9",
        invariant: "what hangs on an object is of its book",
        kind: Kind::Integrity,
        sentence: "Each row that belongs to an object finds it in its own book.",
        sql: "select format('line of payment %s', l.payment_id) from payment_lines l
              left join payments p on p.book_id = l.book_id and p.id = l.payment_id where l.book_id = $1 [[l.payment_id]] and p.id is null
              union all
              select format('refund %s', r.id) from refunds r
              left join payments p on p.book_id = r.book_id and p.id = r.payment_id where r.book_id = $1 [[r.id]] and p.id is null
              union all
              select format('dispute %s', d.id) from disputes d
              left join payments p on p.book_id = d.book_id and p.id = d.payment_id where d.book_id = $1 [[d.id]] and p.id is null
              union all
              select format('transfer %s', t.id) from transfers t
              left join payments p on p.book_id = t.book_id and p.id = t.payment_id
              left join adjustments a on a.book_id = t.book_id and a.id = t.adjustment_id
              where t.book_id = $1 [[t.id]] and p.id is null and a.id is null
              union all
              select format('adjustment %s', a.id) from adjustments a
              left join sellers s on s.book_id = a.book_id and s.id = a.seller_id where a.book_id = $1 [[a.id]] and s.id is null
              union all
              select format('transfer %s', t.id) from transfers t
              left join sellers s on s.book_id = t.book_id and s.id = t.seller_id where t.book_id = $1 [[t.id]] and s.id is null
              union all
              select format('reversal %s', v.id) from transfer_reversals v
              left join transfers t on t.book_id = v.book_id and t.id = v.transfer_id where v.book_id = $1 [[v.id]] and t.id is null
              union all
              select format('history of operation %s', h.operation_id) from operation_history h
              left join operations o on o.book_id = h.book_id and o.id = h.operation_id
              where h.book_id = $1 [[since h.recorded_at]] and o.id is null
              union all
              select format('account %s', a.account) from ledger_accounts a
              where a.book_id = $1 [[complete]] and a.account >> 43 <> a.book_id",
    },
    Check {
        code: "unique",
        invariant: "what is unique stands once",
        kind: Kind::Integrity,
        sentence: "Movements of the provider, keys of commands, references and numbers stand once, whatever became of an index.",
        sql: "select format('movement %s of %s', movement_id, account) from provider_movements
              where book_id = $1 [[complete]] group by provider, account, movement_id having count(*) > 1
              union all
              select format('movement number %s', key) from provider_movements where book_id = $1 [[complete]] group by key having count(*) > 1
              union all
              select format('key of commands %s', idempotency_key) from operations
              where book_id = $1 [[complete]] group by provider, idempotency_key having count(*) > 1
              union all
              select format('operation number %s', key) from operations where book_id = $1 [[complete]] group by key having count(*) > 1
              union all
              select format('payment reference %s', reference) from payments where book_id = $1 [[complete]] group by reference having count(*) > 1
              union all
              select format('idempotency key %s', key) from idempotency_keys where book_id = $1 [[complete]] group by key having count(*) > 1",
    },
];
