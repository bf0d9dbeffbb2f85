-- A look at the rows that were there before 0067 and 0068, and what finds the fees of payouts that came back.
--
-- Locks, until the commit: SHARE UPDATE EXCLUSIVE on payment_lines, which everybody goes on reading and writing; SHARE on payouts,
-- for an index that few rows are in. An older release goes on reading those; its writes to them wait, and what waits longer than
-- its lock_timeout stores nothing and is tried again.

set local lock_timeout = '2s';

alter table payment_lines
    validate constraint payment_lines_amounts_positive;
alter table payouts
    validate constraint payouts_method_known,
    validate constraint payouts_fee_quoted_when_instant,
    validate constraint payouts_fee_in_order;

create index payouts_fee_to_return on payouts (book_id) where provider_fee is not null and status in ('failed', 'canceled');
