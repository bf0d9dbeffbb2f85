-- A rung of the recovery ladder: what is kept back of a seller pays its debts.
--
-- A release of before does not read this rung; do not declare it before every process knows it.
--
-- Locks: ACCESS EXCLUSIVE on recovery_policies, which has a few rows for each declaration, until the commit.

set local lock_timeout = '2s';

alter table recovery_policies
    drop constraint recovery_policies_rung_known,
    add constraint recovery_policies_rung_known
        check (rung in ('reverse_transfers', 'net_from_sales', 'seller_reserve', 'write_off'));
