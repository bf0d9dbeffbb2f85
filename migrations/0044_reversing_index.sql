-- What is asked back of a seller, found without its other transfers.
--
-- Locks, until the commit: SHARE on transfers, while an index is built that few rows are in. An older release goes on reading;
-- its writes wait, and what waits longer than its lock_timeout stores nothing and is tried again. Not concurrently: a second
-- process that waits for its turn to migrate would be waited for.

set local lock_timeout = '2s';

create index transfers_reversing on transfers (book_id, seller_id) where reversing_amount > 0;
