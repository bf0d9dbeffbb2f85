-- What finds the refunds that came back and wait for a decision.
--
-- Locks, until the commit: SHARE on refunds while its index is built. An older release goes on reading; a write to refunds
-- waits, and one that waits longer than its lock_timeout stores nothing and is tried again.

set local lock_timeout = '2s';

create index refunds_returned on refunds (book_id, id) where status = 'returned';
