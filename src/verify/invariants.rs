//! The service's own invariants, each one set-based query that returns a row of text per contradiction. Those of the
//! ledger are the ledger's (`partita_ledger::verify`); that no acknowledgement is lost (I3) and that the provider did each
//! thing once (I4) only tests can see, which know what was acknowledged and what the provider did.
//!
//! A query asks all of a book in a complete run, and in that of every minute only what has changed. What that means for
//! its rows stands in the query itself:
//!
//! - `[[p.id]]`: this column names one of the objects that changed, or the payment that one of them hangs on;
//! - `[[since h.recorded_at]]`: the row was written since the last run;
//! - `[[complete]]`: asked in complete runs only.

use partita_db::{DbError, Tx};
use sqlx::AssertSqlSafe;

use super::changed::Changed;
use super::{Finding, Kind, by_bank, direct, discounts, kept_back, line_releases, payout_fees, positions, rows};

/// One invariant.
pub(super) struct Check {
    pub(super) code: &'static str,
    pub(super) invariant: &'static str,
    pub(super) kind: Kind,
    pub(super) sentence: &'static str,
    pub(super) sql: &'static str,
}

/// How many contradictions of one invariant are shown.
const SHOWN: usize = 100;

/// Every query takes the book as `$1`, may take the business time as `$2`, and returns one text column. `$3` and `$4` are
/// for the marks.
const CHECKS: &[Check] = &[
    Check {
        code: "I11",
        invariant: "lines and taxes sum to their payment",
        kind: Kind::Agreement,
        sentence: "A payment's lines and taxes add up to its amount.",
        sql: "select format('payment %s: %s, lines %s', p.id, p.amount, coalesce(sum(l.amount + l.tax_amount), 0))
              from payments p left join payment_lines l on l.book_id = p.book_id and l.payment_id = p.id
              where p.book_id = $1 [[p.id]] group by p.id, p.amount
              having p.amount <> coalesce(sum(l.amount + l.tax_amount), 0)",
    },
    Check {
        code: "I11",
        invariant: "what was not captured of a payment is what was not captured of its lines",
        kind: Kind::Agreement,
        sentence: "What a payment says was authorised and not captured is the sum of its lines, and none before a capture.",
        sql: "select format('payment %s: %s, lines %s', p.id, p.uncaptured_amount, sum(l.uncaptured_amount + l.uncaptured_tax))
              from payments p join payment_lines l on l.book_id = p.book_id and l.payment_id = p.id
              where p.book_id = $1 [[p.id]] group by p.id, p.uncaptured_amount, p.funds
              having p.uncaptured_amount <> sum(l.uncaptured_amount + l.uncaptured_tax)
                  or p.funds = 'none' and p.uncaptured_amount <> 0",
    },
    Check {
        code: "I11",
        invariant: "a payment that failed after it had succeeded leaves nobody a share, and no other payment lacks one for it",
        kind: Kind::Agreement,
        sentence: "Of a payment that failed after it had succeeded nothing is left, and of others nothing failed.",
        sql: "select format('payment %s line %s', l.payment_id, l.line)
              from payment_lines l join payments p on p.book_id = l.book_id and p.id = l.payment_id
              where l.book_id = $1 [[l.payment_id]] and (
                  (p.status <> 'failed' or p.funds = 'none')
                      and (l.failed_amount, l.failed_tax, l.failed_commission, l.failed_vat) <> (0, 0, 0, 0)
                  or p.status = 'failed' and p.funds <> 'none'
                      and l.amount + l.tax_amount <> l.uncaptured_amount + l.uncaptured_tax + l.refunded_amount + l.refunded_tax
                                                     + l.failed_amount + l.failed_tax)",
    },
    Check {
        code: "I11",
        invariant: "refunds of a line are what its refunds gave back",
        kind: Kind::Agreement,
        sentence: "What a line says was given back, and of the processor's fee passed with it, is the sum of its refunds that did not fail.",
        sql: "with given as (
                  select r.payment_id, rl.line, sum(rl.amount) as amount, sum(rl.tax_amount) as tax, sum(rl.commission) as commission,
                         sum(rl.processor_fee) as fee, sum(rl.commission_vat) as vat
                  from refunds r join refund_lines rl on rl.book_id = r.book_id and rl.refund_id = r.id
                  where r.book_id = $1 and r.status <> 'failed' [[r.payment_id]] group by 1, 2)
              select format('payment %s line %s', l.payment_id, l.line)
              from payment_lines l left join given g on g.payment_id = l.payment_id and g.line = l.line
              where l.book_id = $1 [[l.payment_id]] and (l.refunded_amount, l.refunded_tax, l.returned_commission, l.returned_vat)
                    is distinct from (coalesce(g.amount, 0), coalesce(g.tax, 0), coalesce(g.commission, 0), coalesce(g.vat, 0))
              union all
              select format('payment %s line %s: fee', l.payment_id, l.line)
              from payment_lines l left join given g on g.payment_id = l.payment_id and g.line = l.line
              where l.book_id = $1 [[l.payment_id]]
                and (l.passed_fee < coalesce(g.fee, 0) or l.passed_fee > coalesce(g.fee, 0) and not l.bears_processor_fee)
              union all
              select format('payment %s: %s of a fee of %s', p.id, sum(l.passed_fee), p.processor_fee)
              from payments p join payment_lines l on l.book_id = p.book_id and l.payment_id = p.id
              where p.book_id = $1 [[p.id]] group by p.id, p.processor_fee
              having sum(l.passed_fee) > greatest(coalesce(p.processor_fee, 0), 0)",
    },
    Check {
        code: "I11",
        invariant: "refunds of a payment are within what was charged",
        kind: Kind::Agreement,
        sentence: "No payment gave back more than was charged.",
        sql: "select format('payment %s: %s of %s', p.id, coalesce(sum(r.amount), 0), p.amount)
              from payments p
              left join refunds r on r.book_id = p.book_id and r.payment_id = p.id and r.status <> 'failed'
              where p.book_id = $1 [[p.id]] group by p.id, p.amount, p.refunded_amount, p.uncaptured_amount
              having coalesce(sum(r.amount), 0) > p.amount - p.uncaptured_amount or coalesce(sum(r.amount), 0) <> p.refunded_amount",
    },
    Check {
        code: "I11",
        invariant: "a refund that came back is what was decided about it",
        kind: Kind::Agreement,
        sentence: "What people decided about a refund that came back is what it says, of its amount and by whom.",
        sql: "select format('refund %s: %s', d.refund_id, d.outcome)
              from refund_resolutions d left join refunds r on r.book_id = d.book_id and r.id = d.refund_id
              where d.book_id = $1 [[d.refund_id]]
                and (r.status, r.resolved_by, r.amount, r.currency) is distinct from
                    (case d.outcome when 'reinstated' then 'failed' else 'settled' end, d.made_by, d.amount, d.currency)
              union all
              select format('refund %s: %s, by nobody', r.id, r.status)
              from refunds r left join refund_resolutions d on d.book_id = r.book_id and d.refund_id = r.id
              where r.book_id = $1 [[r.id]] and d.refund_id is null
                and r.resolved_at >= (select min(first.created_at) from refund_resolutions first where first.book_id = r.book_id)",
    },
    Check {
        code: "I11",
        invariant: "reversals of a transfer are within the transfer",
        kind: Kind::Agreement,
        sentence: "No transfer was taken back by more than it moved.",
        sql: "select format('transfer %s', t.id)
              from transfers t left join transfer_reversals v
                   on v.book_id = t.book_id and v.transfer_id = t.id and v.status <> 'failed'
              where t.book_id = $1 [[coalesce(t.payment_id,t.adjustment_id)]]
              group by t.id, t.amount, t.reversed_amount, t.reversing_amount
              having coalesce(sum(v.amount), 0) <> t.reversed_amount + t.reversing_amount
                  or coalesce(sum(v.amount), 0) > t.amount",
    },
    Check {
        code: "I11",
        invariant: "transfers less reversals are within the sellers' shares",
        kind: Kind::Agreement,
        sentence: "No seller got more of a payment than its share.",
        sql: "with sent as (
                  select payment_id, seller_id, sum(amount - reversed_amount - reversing_amount) as amount
                  from transfers where book_id = $1 and status <> 'failed' and payment_id is not null [[payment_id]] group by 1, 2),
              share as (
                  select payment_id, seller_id,
                         sum(amount - uncaptured_amount - commission + uncaptured_commission
                             + case tax_liability when 'seller' then tax_amount - uncaptured_tax else 0 end) as amount
                  from payment_lines where book_id = $1 and seller_id is not null [[payment_id]] group by 1, 2)
              select format('payment %s seller %s: %s of %s', sent.payment_id, sent.seller_id, sent.amount, share.amount)
              from sent left join share using (payment_id, seller_id)
              join payments p on p.book_id = $1 and p.id = sent.payment_id
              -- Captured past us, a charge may send more; what is too much is taken back by the rule of transfers.
              where sent.amount > greatest(coalesce(share.amount, 0), p.sent_with_charge)",
    },
    Check {
        code: "I11",
        invariant: "what was sent with a charge is the transfer that nobody asked for by itself",
        kind: Kind::Agreement,
        sentence: "A payment's transfers without a command of their own are what its provider sent with the charge.",
        sql: "with sent as (
                  select t.payment_id, sum(t.amount) as amount from transfers t
                  where t.book_id = $1 and t.payment_id is not null [[t.payment_id]]
                    and not exists (select from operations o where o.book_id = t.book_id and o.object_id = t.id)
                  group by 1)
              select format('payment %s: %s instead of %s', p.id, coalesce(s.amount, 0), p.sent_with_charge)
              from payments p left join sent s on s.payment_id = p.id
              where p.book_id = $1 [[p.id]] and p.sent_with_charge <> coalesce(s.amount, 0)",
    },
    Check {
        code: "I11",
        invariant: "transfers less reversals are within the adjustment",
        kind: Kind::Agreement,
        sentence: "No seller was sent more of an adjustment than it was given.",
        sql: "select format('adjustment %s: %s of %s', a.id, sum(t.amount - t.reversed_amount - t.reversing_amount), a.amount)
              from adjustments a
              join transfers t on t.book_id = a.book_id and t.adjustment_id = a.id and t.status <> 'failed'
              where a.book_id = $1 [[a.id]] group by a.id, a.amount, a.direction, a.status, a.reverses
              having sum(t.amount - t.reversed_amount - t.reversing_amount)
                  > case when a.direction = 'credit' and a.status = 'booked' and a.reverses is null then a.amount else 0 end",
    },
    Check {
        code: "I5",
        invariant: "an adjustment is booked when its status says so",
        kind: Kind::Agreement,
        sentence: "Booked adjustments stand in the ledger, others do not, and a reversal undoes exactly what it names.",
        sql: "select format('adjustment %s is %s', a.id, a.status)
              from adjustments a
              left join ledger_transactions l on l.book_id = a.book_id and l.kind = 70 and l.source = a.key
              where a.book_id = $1 [[a.id]] and (a.status = 'booked') <> (l.source is not null)
              union all
              select format('reversal %s of adjustment %s', r.id, a.id)
              from adjustments r join adjustments a on a.book_id = r.book_id and a.id = r.reverses
              where r.book_id = $1 [[r.id]]
                and (r.seller_id, r.amount, r.currency, r.reason, r.direction = a.direction, a.status)
                    is distinct from (a.seller_id, a.amount, a.currency, a.reason, false, 'booked')",
    },
    Check {
        code: "I11",
        invariant: "a payout day is one payout of its seller, within what could be paid",
        kind: Kind::Agreement,
        sentence: "Payouts by schedule are of the seller and within what could be paid out on their day.",
        sql: "select format('seller %s on %s', d.seller_id, d.payout_on)
              from payout_days d join payouts p on p.book_id = d.book_id and p.id = d.payout_id
              where d.book_id = $1 [[d.payout_id]]
                and ((p.seller_id, p.currency, p.automatic) <> (d.seller_id, d.currency, true) or p.amount > d.at_provider - d.too_late - d.going_out - d.going_back)",
    },
    Check {
        code: "I5",
        invariant: "a payout left its account when the provider has taken it, and not before",
        kind: Kind::Agreement,
        sentence: "Payouts that the provider has taken have their movement, others have none.",
        sql: "select format('payout %s is %s', p.id, p.status)
              from (select book_id, id, status, provider_payout from payouts
                    union all select book_id, id, status, provider_payout from platform_payouts) p
              where p.book_id = $1 [[p.id]] and (p.provider_payout is not null) <> exists (
                  select from provider_movements m where m.book_id = p.book_id and m.object_id = p.id and m.net < 0)",
    },
    Check {
        code: "I11",
        invariant: "a debt is paid by what was kept for it",
        kind: Kind::Agreement,
        sentence: "What a debt says was paid and came back is the sum of what sellers' money paid of it.",
        sql: "select format('debt %s', d.id)
              from debts d
              left join debt_settlements p on p.book_id = d.book_id and p.debt_id = d.id
              where d.book_id = $1 [[d.id]] group by d.id, d.paid_amount, d.recovered_amount
              having coalesce(sum(case p.kind when 'offset' then p.amount when 'return' then -p.amount end), 0) <> d.paid_amount
                  or coalesce(sum(p.amount) filter (where p.kind = 'recovery'), 0) <> d.recovered_amount",
    },
    Check {
        code: "I5",
        invariant: "what sellers owe is what their debts say",
        kind: Kind::Agreement,
        sentence: "The balance of each seller's debt account is what is left of its debts.",
        sql: "with owed as (
                  select s.id, d.currency, sum(d.amount - d.paid_amount - d.written_off_amount) as left_over
                  from debts d join sellers s on s.book_id = d.book_id and s.id = d.seller_id
                  where d.book_id = $1 [[complete]] group by 1, 2),
              booked as (
                  select s.id, sum(b.debits - b.credits) as balance
                  from ledger_accounts a
                  join ledger_balances b on b.book_id = a.book_id and b.account = a.account
                  join sellers s on s.book_id = a.book_id and s.number = ((a.account & ((1::bigint << 33) - 1)) >> 7)
                  where a.book_id = $1 and a.path like 'sel.%.debt' [[complete]] group by 1)
              select format('seller %s: %s instead of %s', coalesce(o.id, b.id), b.balance, o.left_over)
              from owed o full join booked b using (id)
              where coalesce(o.left_over, 0) <> coalesce(b.balance, 0)",
    },
    Check {
        code: "I5",
        invariant: "clearing is zero for a payment with nothing open",
        kind: Kind::Agreement,
        sentence: "A payment or an adjustment without open commands has nothing left in clearing.",
        sql: "with clearing as materialized (
                  select account, path from ledger_accounts where book_id = $1 and path like 'clr.%')
              select format('%s %s, account %s: %s', p.type, p.id, a.path, sum(e.amount))
              from (select book_id, id, key, 'payment' as type from payments
                    union all select book_id, id, key, 'adjustment' from adjustments) p
              join (select subject, debit_account as account, amount from ledger_postings
                    where book_id = $1 and debit_account in (select account from clearing)
                    union all
                    select subject, credit_account, -amount from ledger_postings
                    where book_id = $1 and credit_account in (select account from clearing)) e on e.subject = p.key
              join clearing a on a.account = e.account
              where p.book_id = $1 [[p.id]]
                and not exists (select from operations o where o.book_id = p.book_id and o.object_key = p.key
                                and o.state in ('planned', 'submitting', 'unknown', 'needs_review'))
                and not exists (select from refunds r where r.book_id = p.book_id and r.payment_id = p.id
                                and r.status in ('pending', 'returned'))
                and not exists (select from bank_payout_parts b join payouts o on o.book_id = b.book_id and o.id = b.payout_id
                                where b.book_id = p.book_id and (b.payment_id = p.id or b.adjustment_id = p.id)
                                  and o.status in ('pending', 'in_transit'))
              group by p.type, p.id, a.path
              having sum(e.amount) <> 0",
    },
    Check {
        code: "I11",
        invariant: "what is disputed of a line is what its disputes took",
        kind: Kind::Agreement,
        sentence: "What a line says is disputed is the sum of its disputes that are open or lost.",
        sql: "with taken as (
                  select d.payment_id, dl.line, sum(dl.amount) as amount, sum(dl.tax_amount) as tax, sum(dl.commission) as commission,
                         sum(dl.commission_vat) as vat
                  from disputes d join dispute_lines dl on dl.book_id = d.book_id and dl.dispute_id = d.id
                  where d.book_id = $1 and d.status not in ('won', 'closed') [[d.payment_id]] group by 1, 2)
              select format('payment %s line %s', l.payment_id, l.line)
              from payment_lines l left join taken t on t.payment_id = l.payment_id and t.line = l.line
              where l.book_id = $1 [[l.payment_id]] and (l.disputed_amount, l.disputed_tax, l.disputed_commission, l.disputed_vat)
                    is distinct from (coalesce(t.amount, 0), coalesce(t.tax, 0), coalesce(t.commission, 0), coalesce(t.vat, 0))",
    },
    Check {
        code: "I11",
        invariant: "what is kept from a line's seller is what its disputes hold and cost",
        kind: Kind::Agreement,
        sentence: "What a line says is kept from its seller is what open disputes hold of it and lost ones took.",
        sql: "with kept as (
                  select d.payment_id, dl.line, sum(
                      case when d.status = 'lost' then dl.fee else 0 end
                      + case when d.status = 'lost' and d.liability = 'sellers'
                                  or d.status in ('inquiry', 'needs_response', 'under_review') and d.hold = 'shares'
                             then dl.amount + case when l.tax_liability = 'seller' then dl.tax_amount else 0 end - dl.commission
                             else 0 end) as share
                  from disputes d
                  join dispute_lines dl on dl.book_id = d.book_id and dl.dispute_id = d.id
                  join payment_lines l on l.book_id = d.book_id and l.payment_id = d.payment_id and l.line = dl.line
                  where d.book_id = $1 and l.seller_id is not null [[d.payment_id]] group by 1, 2)
              select format('payment %s line %s: %s instead of %s', l.payment_id, l.line, l.withheld_share, coalesce(k.share, 0))
              from payment_lines l left join kept k on k.payment_id = l.payment_id and k.line = l.line
              where l.book_id = $1 [[l.payment_id]] and l.withheld_share <> coalesce(k.share, 0)",
    },
    Check {
        code: "I5",
        invariant: "nothing is held or outstanding for a payment without open disputes",
        kind: Kind::Agreement,
        sentence: "A payment whose disputes are decided has nothing held from its sellers and nothing outstanding at the provider.",
        sql: "with held as materialized (
                  select account, path from ledger_accounts
                  where book_id = $1 and (path = 'dsp.receivable' or path like 'sel.%.held'))
              select format('payment %s, account %s: %s', p.id, a.path, sum(e.amount))
              from payments p
              join (select subject, debit_account as account, amount from ledger_postings
                    where book_id = $1 and debit_account in (select account from held)
                    union all
                    select subject, credit_account, -amount from ledger_postings
                    where book_id = $1 and credit_account in (select account from held)) e on e.subject = p.key
              join held a on a.account = e.account
              where p.book_id = $1 [[p.id]]
                and not exists (select from disputes d where d.book_id = p.book_id and d.payment_id = p.id
                                and d.status in ('inquiry', 'needs_response', 'under_review'))
              group by p.id, a.path
              having sum(e.amount) <> 0",
    },
    Check {
        code: "I8",
        invariant: "every change of state has its history and its event, without gaps",
        kind: Kind::Agreement,
        sentence: "Each change of an object's state is one row of history and one event, numbered without gaps.",
        sql: "select format('%s %s: %s events, last sequence %s', o.object_type, o.object_id, count(*), max(o.sequence))
              from outbox o where o.book_id = $1 [[o.object_id]] group by o.object_type, o.object_id
              having count(*) <> max(o.sequence)
              union all
              select format('history without event: %s', h.object_id)
              from state_history h where h.book_id = $1 [[h.object_id]] and not exists (
                  select from outbox o where o.book_id = h.book_id and o.object_id = h.object_id and o.sequence = h.sequence)
              union all
              select format('event without history: %s', o.object_id)
              from outbox o where o.book_id = $1 [[o.object_id]] and not exists (
                  select from state_history h where h.book_id = o.book_id and h.object_id = o.object_id and h.sequence = o.sequence)",
    },
    Check {
        code: "I8",
        invariant: "the newest event of an object is of its present state",
        kind: Kind::Agreement,
        sentence: "An object is in the state that its history says.",
        sql: "select format('%s %s', s.type, s.id) from (
                  select 'payment' as type, id, status, sequence from payments where book_id = $1 [[id]]
                  union all select 'customer', id, status, sequence from customers where book_id = $1 [[id]]
                  union all select 'payment_method', id, status, sequence from payment_methods where book_id = $1 [[id]]
                  union all select 'refund', id, status, sequence from refunds where book_id = $1 [[id]]
                  union all select 'dispute', id, status, sequence from disputes where book_id = $1 [[id]]
                  union all select 'transfer', id, status, sequence from transfers where book_id = $1 [[id]]
                  union all select 'reversal', id, status, sequence from transfer_reversals where book_id = $1 [[id]]
                  union all select 'payout', id, status, sequence from payouts where book_id = $1 [[id]]
                  union all select 'platform_payout', id, status, sequence from platform_payouts where book_id = $1 [[id]]
                  union all select 'top_up', id, status, sequence from top_ups where book_id = $1 [[id]]
                  union all select 'adjustment', id, status, sequence from adjustments where book_id = $1 [[id]]
                  union all select 'debt', id, status, sequence from debts where book_id = $1 [[id]]
                  union all select 'reserve', id, status, sequence from reserves where book_id = $1 [[id]]
                  union all select 'payment_line', id, status, sequence from line_releases where book_id = $1 [[id]]
                  union all select 'seller', id, status, sequence from sellers where book_id = $1 [[id]]) s
              left join state_history h on h.book_id = $1 and h.object_id = s.id and h.sequence = s.sequence
              where h.to_state is distinct from s.status",
    },
    Check {
        code: "I10",
        invariant: "operations went only where they may",
        kind: Kind::Integrity,
        sentence: "Commands went only from states to states that the transition table allows, and are where their history says.",
        sql: "select format('operation %s: %s to %s', h.operation_id, h.from_state, h.to_state)
              from operations o join operation_history h on h.book_id = o.book_id and h.operation_id = o.id
              where o.book_id = $1 [[o.object_id]] and h.from_state is not null and not exists (
                  select from operation_transitions t where t.from_state = h.from_state and t.to_state = h.to_state)
              union all
              select format('operation %s is %s, its history says %s', o.id, o.state, h.to_state)
              from operations o
              left join lateral (select to_state from operation_history h where h.book_id = o.book_id and h.operation_id = o.id
                                 order by step desc limit 1) h on true
              where o.book_id = $1 [[o.object_id]] and o.state is distinct from h.to_state",
    },
    Check {
        code: "I5",
        invariant: "every movement is booked",
        kind: Kind::Agreement,
        sentence: "Each balance transaction of the provider that was recorded is booked in the ledger.",
        sql: "select format('movement %s', m.movement_id) from provider_movements m
              where m.book_id = $1 [[since m.recorded_at]] and not exists (
                  select from ledger_transactions t where t.book_id = m.book_id and t.source = m.key
                  and (t.kind in (1, 4, 5, 11, 13, 14, 15, 16, 21, 23, 30, 32, 33, 35, 41, 50, 60, 62) or t.kind between 100 and 107
                       or t.kind between 110 and 112))",
    },
    Check {
        code: "I7",
        invariant: "no command is stuck",
        kind: Kind::Liveness,
        sentence: "Each command that is not finished is looked at again in time.",
        sql: "select format('operation %s is %s since %s', o.id, o.state, o.updated_at)
              from operations o
              where o.book_id = $1 and o.state in ('planned', 'submitting', 'unknown')
                and greatest(o.next_attempt_at, o.updated_at) < $2::timestamptz - interval '15 minutes'",
    },
    Check {
        code: "I12",
        invariant: "no session sits in a transaction",
        kind: Kind::Liveness,
        sentence: "No connection of the service holds a transaction open without doing anything.",
        sql: "select format('session %s, idle in its transaction since %s', pid, state_change)
              from pg_stat_activity
              where datname = current_database() and usename = current_user and state like 'idle in transaction%'
                and state_change < clock_timestamp() - interval '5 seconds' and $1::int is not null",
    },
];

fn all() -> impl Iterator<Item = &'static Check> {
    let capabilities = [
        kept_back::CHECKS,
        by_bank::CHECKS,
        line_releases::CHECKS,
        direct::CHECKS,
        payout_fees::CHECKS,
        discounts::CHECKS,
        positions::CHECKS,
    ];
    CHECKS.iter().chain(capabilities.into_iter().flatten()).chain(rows::CHECKS)
}

/// Asks for what has changed, or for everything if that is not given.
pub(super) async fn run(tx: &mut Tx, changed: Option<&Changed>, now: jiff::Timestamp) -> Result<Vec<Finding>, DbError> {
    let mut findings = Vec::new();
    for check in all() {
        findings.extend(check.run(tx, changed, now).await?);
    }
    Ok(findings)
}

impl Check {
    async fn run(&self, tx: &mut Tx, changed: Option<&Changed>, now: jiff::Timestamp) -> Result<Vec<Finding>, DbError> {
        let book = tx.book_id();
        // All four are declared, used or not. Unnamed, so that it is planned for what they are.
        let rows = sqlx::query_scalar::<_, String>(AssertSqlSafe(marked(self.sql, changed.is_some())))
            .bind(book.get())
            .bind(jiff_sqlx::ToSqlx::to_sqlx(now))
            .bind(changed.map(|changed| changed.objects.as_slice()))
            .bind(changed.map(|changed| jiff_sqlx::ToSqlx::to_sqlx(changed.since)))
            .persistent(false)
            .fetch_all(tx.conn())
            .await?;
        let Self { code, invariant, kind, sentence, .. } = *self;
        let finding = |detail| Finding { code, invariant, kind, sentence, detail };
        Ok(rows.into_iter().take(SHOWN).map(finding).collect())
    }
}

/// The statement with its marks made conditions, or taken out where everything is asked for.
fn marked(sql: &str, only_changed: bool) -> String {
    let mut parts = sql.split("[[");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (mark, rest) = part.split_once("]]").unwrap_or((part, ""));
        let condition = match mark.split_once(' ') {
            _ if !only_changed => String::new(),
            _ if mark == "complete" => "and false".to_owned(),
            Some((_, column)) => format!("and {column} >= $4"),
            None => format!("and {mark} = any($3)"),
        };
        text.push_str(&condition);
        text.push_str(rest);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{all, marked};

    #[test]
    fn marks_become_conditions_only_where_what_has_changed_is_asked_for() {
        let sql = "where p.book_id = $1 [[p.id]] or x [[since h.at]] or y [[complete]] group by 1";
        let only = "where p.book_id = $1 and p.id = any($3) or x and h.at >= $4 or y and false group by 1";
        assert_eq!(marked(sql, true), only);
        assert_eq!(marked(sql, false), "where p.book_id = $1  or x  or y  group by 1");
    }

    #[test]
    fn every_statement_without_a_mark_is_cheap_in_itself() {
        let whole: Vec<_> = all().filter(|check| !check.sql.contains("[[")).map(|check| check.code).collect();
        // Open commands have an index of their own, sessions are few.
        assert_eq!(whole, ["I7", "I12"]);
    }
}
