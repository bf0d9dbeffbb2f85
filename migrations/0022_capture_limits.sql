-- Looks at the rows that were there before 0020 and 0021, whose constraints hold for new ones already.
--
-- Locks: SHARE UPDATE EXCLUSIVE on payments, payment_lines and refunds until the commit; everybody goes on reading and
-- writing.

set local lock_timeout = '2s';

alter table payments
    validate constraint payments_status_known,
    validate constraint payments_capture_method_known,
    validate constraint payments_something_is_captured,
    validate constraint payments_refunded_within_captured;
alter table payment_lines
    validate constraint payment_lines_uncaptured_positive,
    validate constraint payment_lines_failed_positive,
    validate constraint payment_lines_gone_within_amount,
    validate constraint payment_lines_gone_tax_within_tax,
    validate constraint payment_lines_gone_fee_within_fee;
alter table refunds
    validate constraint refunds_status_known,
    validate constraint refunds_resolution_is_whole,
    validate constraint refunds_resolution_length;
