//! Invariants of what is kept back of sellers' money.

use super::Kind;
use super::invariants::Check;

/// As those of [`super::invariants`].
pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "I11",
        invariant: "a reserve holds what was put in and not taken out",
        kind: Kind::Agreement,
        sentence: "What a reserve says was put in, used and given back is the sum of its steps, and of no payment less than nothing.",
        sql: "select format('reserve %s', r.id)
              from reserves r left join reserve_moves m on m.book_id = r.book_id and m.reserve_id = r.id
              where r.book_id = $1 [[r.id]] group by r.id, r.taken_amount, r.drawn_amount, r.released_amount
              having coalesce(sum(m.amount) filter (where m.kind = 'take'), 0) <> r.taken_amount
                  or coalesce(sum(case m.kind when 'draw' then m.amount when 'restore' then -m.amount end), 0) <> r.drawn_amount
                  or coalesce(sum(m.amount) filter (where m.kind = 'release'), 0) <> r.released_amount
              union all
              select format('reserve %s, payment %s', m.reserve_id, m.payment_id)
              from reserve_moves m
              where m.book_id = $1 [[m.reserve_id]] group by m.reserve_id, m.payment_id
              having sum(case when m.kind in ('take', 'restore') then m.amount else -m.amount end) < 0",
    },
    Check {
        code: "I5",
        invariant: "what is kept back of sellers is what their reserves say",
        kind: Kind::Agreement,
        sentence: "The balance of each seller's reserve account is what its reserves hold.",
        sql: "with kept as (
                  select number, array_agg(amount order by amount) as amounts
                  from (select s.number, sum(r.taken_amount - r.drawn_amount - r.released_amount) as amount
                        from reserves r join sellers s on s.book_id = r.book_id and s.id = r.seller_id
                        where r.book_id = $1 [[complete]] group by s.number, r.currency) held
                  where amount <> 0 group by number),
              booked as (
                  select number, array_agg(amount order by amount) as amounts
                  from (select ((a.account & ((1::bigint << 33) - 1)) >> 7)::integer as number, sum(b.credits - b.debits) as amount
                        from ledger_accounts a join ledger_balances b on b.book_id = a.book_id and b.account = a.account
                        where a.book_id = $1 and a.path like 'sel.%.reserve' [[complete]] group by 1, a.currency) balance
                  where amount <> 0 group by number)
              -- By currency: one sum for each.
              select format('seller number %s: %s instead of %s', number, b.amounts, k.amounts)
              from kept k full join booked b using (number)
              where k.amounts is distinct from b.amounts",
    },
    Check {
        code: "I11",
        invariant: "what is kept back of a payment is within the share",
        kind: Kind::Agreement,
        sentence: "Of no payment more is kept back and sent than the seller's share of it.",
        sql: "with kept as (
                  select m.payment_id, r.seller_id,
                         sum(case when m.kind in ('take', 'restore') then m.amount else -m.amount end) as amount
                  from reserve_moves m join reserves r on r.book_id = m.book_id and r.id = m.reserve_id
                  where m.book_id = $1 [[m.payment_id]] group by 1, 2),
              share as (
                  select payment_id, seller_id,
                         sum(amount - uncaptured_amount - commission + uncaptured_commission - passed_fee
                             + case tax_liability when 'seller' then tax_amount - uncaptured_tax else 0 end) as amount
                  from payment_lines where book_id = $1 and seller_id is not null [[payment_id]] group by 1, 2),
              sent as (
                  select payment_id, seller_id, sum(amount) as amount from (
                      select payment_id, seller_id, amount - reversed_amount - reversing_amount as amount
                      from transfers where book_id = $1 and status <> 'failed' and payment_id is not null [[payment_id]]
                      union all
                      select payment_id, seller_id, amount from bank_payout_parts
                      where book_id = $1 and payment_id is not null and not undone [[payment_id]]) got group by 1, 2)
              select format('payment %s seller %s', k.payment_id, k.seller_id)
              from kept k
              left join share using (payment_id, seller_id) left join sent using (payment_id, seller_id)
              where k.amount + greatest(coalesce(sent.amount, 0), 0) > coalesce(share.amount, 0) and k.amount > 0",
    },
];
