-- Payouts by reference and those without an answer, and what is asked back of a seller, found without the other rows.
--
-- Locks, until the commit: SHARE on payouts and transfers, while indexes are built that few rows are in. An older release goes on
-- reading; its writes wait, and what waits longer than its lock_timeout stores nothing and is tried again. Not concurrently: a
-- second process that waits for its turn to migrate would be waited for.

set local lock_timeout = '2s';

create unique index payouts_reference_unique on payouts (book_id, reference) where reference is not null;
create index payouts_processing on payouts (book_id, seller_id) where status = 'processing';
create index transfers_reversing on transfers (book_id, seller_id) where reversing_amount > 0;
