-- Of a refund's lines: the processor's fee that is passed with them, and the tax in the commission.
--
-- Locks: ACCESS EXCLUSIVE on refund_lines until the commit, and on no other table that is written to: who waits for it holds nothing
-- that it waits for. It reads no row (columns with constant defaults, constraints not valid yet), so that is milliseconds.

set local lock_timeout = '2s';

alter table refund_lines
    add column processor_fee bigint not null default 0,
    add constraint refund_lines_processor_fee_positive check (processor_fee >= 0) not valid;
comment on column refund_lines.processor_fee is 'Of the processor''s fee of the charge, what the refund passed to the line''s seller.';

alter table refund_lines
    add column commission_vat bigint not null default 0,
    add constraint refund_lines_vat_within_commission check (commission_vat between 0 and commission) not valid;
