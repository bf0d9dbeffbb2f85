-- Of a payment's lines: who bears the processor's fee, and the tax in the commission.
--
-- Locks: ACCESS EXCLUSIVE on payment_lines until the commit, and on no other table that is written to: who waits for it holds nothing
-- that it waits for. It reads no row (columns with constant defaults, constraints not valid yet), so that is milliseconds.

set local lock_timeout = '2s';

alter table payment_lines
    add column bears_processor_fee boolean not null default false,
    add column passed_fee bigint not null default 0,
    add constraint payment_lines_bears_by_a_policy check (not bears_processor_fee or fee_policy_id is not null) not valid,
    add constraint payment_lines_passed_fee_of_a_seller
        check (passed_fee = 0 or (passed_fee > 0 and seller_id is not null)) not valid;
comment on column payment_lines.bears_processor_fee is 'Whether its seller bears the line''s part of the processor''s fee from the charge on.';
comment on column payment_lines.passed_fee is 'Of the processor''s fee, what was passed to the line''s seller: at the charge, or with refunds.';

alter table payment_lines
    add column commission_vat bigint not null default 0,
    add column returned_vat bigint not null default 0,
    add column disputed_vat bigint not null default 0,
    add column failed_vat bigint not null default 0,
    add column uncaptured_vat bigint not null default 0,
    add constraint payment_lines_vat_within_commission check (commission_vat between 0 and commission) not valid,
    add constraint payment_lines_gone_vat_within check (
        returned_vat >= 0 and disputed_vat >= 0 and failed_vat >= 0 and uncaptured_vat >= 0
        and returned_vat + disputed_vat + failed_vat + uncaptured_vat <= commission_vat) not valid;
comment on column payment_lines.commission_vat is 'Of commission, the tax on it, which the platform owes.';
grant update (passed_fee, returned_vat, disputed_vat, failed_vat, uncaptured_vat) on payment_lines to partita_app;
