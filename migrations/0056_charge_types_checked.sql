-- A look at the rows that were there before 0053 and 0055. The references are not looked at: what was there before names nobody.
--
-- Locks: SHARE UPDATE EXCLUSIVE on payments until the commit; everybody goes on reading and writing.

set local lock_timeout = '2s';

alter table payments
    validate constraint payments_charge_type_known,
    validate constraint payments_sent_within_captured,
    validate constraint payments_sent_by_destination,
    validate constraint payments_destination_has_sent,
    validate constraint payments_off_session_is_saved;
