-- What is under way to an endpoint is counted each time that something is sent to it; without this index all that waits for
-- the endpoint was read for it.
--
-- Locks, until the commit: SHARE on webhook_deliveries, while its index is built. An older release goes on reading; its
-- deliveries wait, and one whose record waits longer than its lock_timeout is sent again. Not concurrently: a second process
-- that waits for its turn to migrate would be waited for.

set local lock_timeout = '2s';

create index webhook_deliveries_under_way on webhook_deliveries (book_id, endpoint_id) where status = 'sending';
