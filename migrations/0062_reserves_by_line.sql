-- A rolling reserve is of a payment's shares that are released with its money, or of one line that is released by itself.
--
-- A release of before makes reserves of the former only, of which there is one for each seller as ever.
--
-- Locks: ACCESS EXCLUSIVE on reserves while the index is built over its rolling ones (milliseconds for some ten thousand).

set local lock_timeout = '2s';

alter table reserves
    add column line integer,
    add constraint reserves_line_of_rolling check (line is null or kind = 'rolling') not valid;
comment on column reserves.line is 'The line whose share it is of, where that was released by itself.';

create unique index reserves_rolling_once_by_line on reserves (book_id, payment_id, seller_id, coalesce(line, -1))
    where kind = 'rolling';
drop index reserves_rolling_once;
