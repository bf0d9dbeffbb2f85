-- Of captured shares: the tax in the commission.
--
-- Locks: ACCESS EXCLUSIVE on payment_captures until the commit, and on no other table that is written to: who waits for it holds nothing
-- that it waits for. It reads no row (columns with constant defaults, constraints not valid yet), so that is milliseconds.

set local lock_timeout = '2s';

alter table payment_captures
    add column commission_vat bigint not null default 0,
    add constraint payment_captures_vat_within_commission check (commission_vat between 0 and commission) not valid;
