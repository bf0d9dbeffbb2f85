-- A look at the payments that were there before 0070.
--
-- Locks: SHARE UPDATE EXCLUSIVE on payments until the commit; everybody goes on reading and writing.

set local lock_timeout = '2s';

alter table payments validate constraint payments_charge_type_known;
