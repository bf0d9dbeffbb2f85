-- A look at the rows that were there before 0039.
--
-- Locks: SHARE UPDATE EXCLUSIVE on approvals and recovery_policies until the commit; everybody goes on reading and writing.

set local lock_timeout = '2s';

alter table approvals validate constraint approvals_kind_known;
alter table recovery_policies validate constraint recovery_policies_maker_is_not_checker;
