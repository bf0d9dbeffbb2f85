-- Looks at the lines that were there before 0018, whose constraints hold for new ones already.
--
-- Locks: SHARE UPDATE EXCLUSIVE on payment_lines until the commit; everybody goes on reading and writing.

set local lock_timeout = '2s';

alter table payment_lines
    validate constraint payment_lines_dispute_within_amount,
    validate constraint payment_lines_dispute_within_tax,
    validate constraint payment_lines_dispute_within_fee;
