//! Invariants of discounts.

use super::Kind;
use super::invariants::Check;

/// As those of [`super::invariants`].
pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "I11",
        invariant: "a discount is what its lines have of it",
        kind: Kind::Agreement,
        sentence: "What a buyer did not pay by a discount is the sum of what each line has of it.",
        sql: "select format('payment %s discount %s: %s of %s', d.payment_id, d.line, coalesce(sum(p.amount), 0), d.amount)
              from payment_discounts d left join payment_discount_parts p
                   on p.book_id = d.book_id and p.payment_id = d.payment_id and p.discount = d.line
              where d.book_id = $1 [[d.payment_id]] group by d.payment_id, d.line, d.amount
              having coalesce(sum(p.amount), 0) <> d.amount",
    },
    Check {
        code: "I11",
        invariant: "a seller bears discounts of its own lines only",
        kind: Kind::Agreement,
        sentence: "No seller bears a discount on another one's line, and nobody one on a line that is none.",
        sql: "select format('payment %s discount %s on line %s', d.payment_id, d.line, p.line)
              from payment_discounts d
              join payment_discount_parts p on p.book_id = d.book_id and p.payment_id = d.payment_id and p.discount = d.line
              join payment_lines l on l.book_id = p.book_id and l.payment_id = p.payment_id and l.line = p.line
              where d.book_id = $1 [[d.payment_id]]
                and (d.funded_by = 'seller' and l.seller_id is distinct from d.seller_id or d.line <= p.line)",
    },
];
