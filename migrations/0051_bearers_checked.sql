-- A look at the rows that were there before 0041, 0042, 0047, 0049 and 0050.
--
-- Locks: SHARE UPDATE EXCLUSIVE on refunds, refund_lines, dispute_lines, payment_captures and payment_lines until the commit;
-- everybody goes on reading and writing.

set local lock_timeout = '2s';

alter table refunds
    validate constraint refunds_processor_fee_known,
    validate constraint refunds_tax_known;
alter table refund_lines
    validate constraint refund_lines_processor_fee_positive,
    validate constraint refund_lines_vat_within_commission;
alter table dispute_lines validate constraint dispute_lines_vat_within_commission;
alter table payment_captures validate constraint payment_captures_vat_within_commission;
alter table payment_lines
    validate constraint payment_lines_bears_by_a_policy,
    validate constraint payment_lines_passed_fee_of_a_seller,
    validate constraint payment_lines_vat_within_commission,
    validate constraint payment_lines_gone_vat_within;
