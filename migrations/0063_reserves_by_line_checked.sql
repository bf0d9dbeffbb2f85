-- A look at the reserves that were there before 0062, none of which is of a line.
--
-- Locks: SHARE UPDATE EXCLUSIVE on reserves until the commit; everybody goes on reading and writing.

set local lock_timeout = '2s';

alter table reserves validate constraint reserves_line_of_rolling;
