//! Invariants of what instant payouts cost.

use super::Kind;
use super::invariants::Check;

/// As those of [`super::invariants`].
pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "I11",
        invariant: "a payout's fee is what its movements took and gave back",
        kind: Kind::Agreement,
        sentence: "What a payout says was taken from its seller as a fee, and came back, is the fee of its movements.",
        sql: "select format('payout %s: %s less %s', p.id, p.fee_taken, p.fee_returned)
              from payouts p left join provider_movements m
                   on m.book_id = p.book_id and m.object_id = p.id and m.object_type = 'payout'
              where p.book_id = $1 [[p.id]] group by p.id, p.fee_taken, p.fee_returned
              having coalesce(sum(m.fee) filter (where m.amount < 0), 0) <> p.fee_taken
                  or coalesce(-sum(m.fee) filter (where m.amount > 0), 0) <> p.fee_returned",
    },
    Check {
        code: "I11",
        invariant: "the platform gets of payouts' fees what was taken",
        kind: Kind::Agreement,
        sentence: "No payout brought the platform more than was taken from its seller as a fee, or cost it more than it brought.",
        sql: "select format('payout %s: %s', p.id, sum(m.net))
              from payouts p join provider_movements m
                   on m.book_id = p.book_id and m.object_id = p.id and m.object_type = 'payout_fee'
              where p.book_id = $1 [[p.id]] group by p.id, p.fee_taken
              having coalesce(sum(m.net) filter (where m.net > 0), 0) > p.fee_taken or sum(m.net) < 0",
    },
];
