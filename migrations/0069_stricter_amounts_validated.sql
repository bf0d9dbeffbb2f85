-- A look at the rows that were there before 0067 and 0068.
--
-- Locks: SHARE UPDATE EXCLUSIVE on payment_lines and payouts until the commit; everybody goes on reading and writing.

set local lock_timeout = '2s';

alter table payment_lines
    validate constraint payment_lines_amounts_positive;
alter table payouts
    validate constraint payouts_method_known,
    validate constraint payouts_fee_quoted_when_instant,
    validate constraint payouts_fee_in_order;
