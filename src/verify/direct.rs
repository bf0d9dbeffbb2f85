//! Invariants of direct charges.

use super::Kind;
use super::invariants::Check;

/// As those of [`super::invariants`].
pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "I11",
        invariant: "a direct charge is its seller's, and keeps the commission",
        kind: Kind::Agreement,
        sentence: "A payment is a direct charge if it says so, all of it of one seller, on that seller's account, with its commissions as the fee.",
        sql: "select format('payment %s is %s', coalesce(p.id, d.payment_id), p.charge_type)
              from (select book_id, id, charge_type from payments where book_id = $1 and charge_type = 'direct' [[id]]) p
              full join (select payment_id from direct_charges where book_id = $1 [[payment_id]]) d on d.payment_id = p.id
              where p.id is null or d.payment_id is null
              union all
              select format('payment %s: a fee of %s, commissions of %s', d.payment_id, d.application_fee, sum(l.commission))
              from direct_charges d
              join payment_lines l on l.book_id = d.book_id and l.payment_id = d.payment_id
              join sellers s on s.book_id = d.book_id and s.id = d.seller_id
              where d.book_id = $1 [[d.payment_id]]
              group by d.payment_id, d.application_fee, d.application_fee_vat, d.seller_id, d.account, s.account
              having sum(l.commission) <> d.application_fee or sum(l.commission_vat) <> d.application_fee_vat
                  or bool_or(l.seller_id is distinct from d.seller_id) or s.account is distinct from d.account",
    },
    Check {
        code: "I5",
        invariant: "a direct charge stands on its seller's account, and its fee on the platform's",
        kind: Kind::Agreement,
        sentence: "Direct charges that took the buyer's money moved the seller's account, and nothing else of the platform's but their fee.",
        sql: "select format('payment %s, funds %s', p.id, p.funds)
              from payments p join direct_charges d on d.book_id = p.book_id and d.payment_id = p.id
              left join provider_movements m on m.book_id = p.book_id and m.object_id = p.id and m.object_type = 'direct_charge'
              where p.book_id = $1 [[p.id]]
                and ((p.funds <> 'none') <> (m.key is not null) or m.account <> d.account or m.amount <> p.amount)
              union all
              select format('payment %s: fee received %s', d.payment_id, d.fee_received)
              from direct_charges d
              left join provider_movements m
                on m.book_id = d.book_id and m.object_id = d.payment_id and m.object_type = 'application_fee'
              where d.book_id = $1 [[d.payment_id]]
                and (d.fee_received <> (m.key is not null) or m.account <> '' or m.amount <> d.application_fee)
              union all
              select format('payment %s moved %s of account %s', d.payment_id, m.movement_id, m.account)
              from direct_charges d
              join refunds r on r.book_id = d.book_id and r.payment_id = d.payment_id
              join provider_movements m on m.book_id = d.book_id and m.object_id = r.id
              where d.book_id = $1 [[d.payment_id]] and m.account <> d.account
              union all
              select format('transfer %s of a direct charge', t.id)
              from direct_charges d join transfers t on t.book_id = d.book_id and t.payment_id = d.payment_id
              where d.book_id = $1 [[d.payment_id]]",
    },
    Check {
        code: "I11",
        invariant: "what went back of an application fee is what its refunds say",
        kind: Kind::Agreement,
        sentence: "What a direct charge says went back of its fee is the sum of its parts, each a movement, and none while all fees were kept.",
        sql: "select format('payment %s: %s instead of %s', d.payment_id, d.returned_fee, coalesce(sum(r.amount), 0))
              from direct_charges d
              left join application_fee_refunds r on r.book_id = d.book_id and r.payment_id = d.payment_id
              where d.book_id = $1 [[d.payment_id]] group by d.payment_id, d.returned_fee, d.returned_vat
              having coalesce(sum(r.amount), 0) <> d.returned_fee or coalesce(sum(r.vat), 0) <> d.returned_vat
              union all
              select format('payment %s: part %s', r.payment_id, r.provider_refund)
              from application_fee_refunds r
              left join provider_movements m on m.book_id = r.book_id and m.key = r.key
              where r.book_id = $1 [[r.payment_id]]
                and (m.object_type, m.object_id, m.account, m.amount) is distinct from ('application_fee_refund', r.payment_id, '', -r.amount)
              union all
              select format('payment %s: %s went back, and no refund gives it', d.payment_id, d.returned_fee)
              from direct_charges d
              where d.book_id = $1 [[d.payment_id]] and d.returned_fee > 0
                and not exists (select from refunds r where r.book_id = d.book_id and r.payment_id = d.payment_id and r.fee = 'returned')",
    },
];
