-- Of a dispute's lines: the tax in the commission.
--
-- Locks: ACCESS EXCLUSIVE on dispute_lines until the commit, and on no other table that is written to: who waits for it holds nothing
-- that it waits for. It reads no row (columns with constant defaults, constraints not valid yet), so that is milliseconds.

set local lock_timeout = '2s';

alter table dispute_lines
    add column commission_vat bigint not null default 0,
    add constraint dispute_lines_vat_within_commission check (commission_vat between 0 and commission) not valid;
