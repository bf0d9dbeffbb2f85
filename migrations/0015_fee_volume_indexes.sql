-- What finds a seller's lines of the month, and payments in the order they were made.
--
-- Locks, until the commit: SHARE on payments, then on payment_lines, while their indexes are built. An older release goes
-- on reading; its writes to the two wait, and one that waits longer than its lock_timeout stores nothing and is tried
-- again. A refund writes its lines before its payment, so it and this may wait for each other: Postgres ends one of them,
-- and either is tried again.

set local lock_timeout = '2s';

create index payments_by_time on payments (book_id, created_at, id);
create index payment_lines_by_volume on payment_lines (book_id, seller_id, priced_at);
