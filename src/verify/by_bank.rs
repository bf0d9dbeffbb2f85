//! Invariants of payouts by bank file.

use super::Kind;
use super::invariants::Check;

/// As those of [`super::invariants`].
pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "I11",
        invariant: "a payout by bank file pays what it took",
        kind: Kind::Agreement,
        sentence: "A payout by bank file is the sum of what it pays of payments and adjustments, all of which is its seller's again where it came back.",
        sql: "select format('payout %s is %s: %s of %s', p.id, p.status, coalesce(sum(b.amount), 0), p.amount)
              from payouts p left join bank_payout_parts b on b.book_id = p.book_id and b.payout_id = p.id
              where p.book_id = $1 and p.method = 'bank_file' [[p.id]] group by p.id, p.status, p.amount, p.seller_id
              having coalesce(sum(b.amount), 0) <> p.amount
                  or bool_or(b.undone <> (p.status in ('failed', 'canceled')))
                  or bool_or(b.seller_id <> p.seller_id)
              union all
              select format('payout %s is %s by the provider', p.id, p.status)
              from bank_payout_parts b join payouts p on p.book_id = b.book_id and p.id = b.payout_id
              where b.book_id = $1 and p.method <> 'bank_file' [[p.id]]",
    },
    Check {
        code: "I11",
        invariant: "a bank file is the sum of its payouts",
        kind: Kind::Agreement,
        sentence: "What a file asks the bank to pay is what its payouts come to, in its currency.",
        sql: "select format('bank file %s', f.id)
              from bank_files f left join payouts p on p.book_id = f.book_id and p.bank_file = f.id
              where f.book_id = $1 [[f.id]] group by f.id, f.payouts, f.amount, f.currency
              having count(p.id) <> f.payouts or coalesce(sum(p.amount), 0) <> f.amount or bool_or(p.currency <> f.currency)",
    },
    Check {
        code: "I11",
        invariant: "a payout that came back is what people said about it",
        kind: Kind::Agreement,
        sentence: "Payouts by bank file came back as people said, of their amount and with the bank's code, and no other ones did.",
        sql: "select format('payout %s: %s', coalesce(p.id, r.payout_id), coalesce(p.return_code, r.code))
              from (select id, return_code, amount, currency from payouts
                    where book_id = $1 and method = 'bank_file' and status = 'failed' [[id]]) p
              full join (select payout_id, code, amount, currency from payout_returns where book_id = $1 [[payout_id]]) r
                on r.payout_id = p.id
              where (p.return_code, p.amount, p.currency) is distinct from (r.code, r.amount, r.currency)",
    },
    Check {
        code: "I11",
        invariant: "what is sent and paid by bank is within the sellers' shares",
        kind: Kind::Agreement,
        sentence: "No seller got more of a payment or an adjustment than its share, sent and paid by bank together.",
        sql: "with got as (
                  select ground, seller_id, sum(amount) as amount, bool_or(by_bank) as by_bank from (
                      select coalesce(payment_id, adjustment_id) as ground, seller_id, amount, true as by_bank
                      from bank_payout_parts where book_id = $1 and not undone [[coalesce(payment_id,adjustment_id)]]
                      union all
                      select coalesce(payment_id, adjustment_id), seller_id, amount - reversed_amount - reversing_amount, false
                      from transfers where book_id = $1 and status <> 'failed' [[coalesce(payment_id,adjustment_id)]]) part
                  group by 1, 2),
              share as (
                  select payment_id as ground, seller_id,
                         sum(amount - uncaptured_amount - commission + uncaptured_commission
                             + case tax_liability when 'seller' then tax_amount - uncaptured_tax else 0 end) as amount
                  from payment_lines where book_id = $1 and seller_id is not null [[payment_id]] group by 1, 2
                  union all
                  select id, seller_id, amount from adjustments
                  where book_id = $1 and direction = 'credit' and status = 'booked' and reverses is null [[id]])
              select format('%s seller %s: %s of %s', got.ground, got.seller_id, got.amount, share.amount)
              from got left join share using (ground, seller_id)
              where got.by_bank and got.amount > coalesce(share.amount, 0)",
    },
];
