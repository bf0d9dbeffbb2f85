-- Lines of this month get the time that volumes go by.
--
-- Only lines of the current month are written: volumes are those of the month in which a line is priced, and the clock of
-- the business is the database's. Lines that an older process writes meanwhile get their time from the trigger of 0013.
--
-- Locks, until the commit: the rows of this month's lines, and SHARE UPDATE EXCLUSIVE on payment_lines for the
-- constraints. An older release goes on reading and writing; only a refund of one of these lines waits. One that waits
-- longer than its lock_timeout stores nothing and is tried again.

set local lock_timeout = '2s';

-- Row-level security holds for the owner of the tables too: book by book.
do $$
declare
    book integer;
begin
    for book in select book_id from books loop
        perform set_config('partita.book', book::text, true);
        update payment_lines l set priced_at = p.created_at
        from payments p
        where l.book_id = book and p.book_id = book and p.id = l.payment_id and l.priced_at is null
            and p.created_at >= date_trunc('month', now(), 'UTC');
    end loop;
end $$;

alter table payment_lines
    validate constraint payment_lines_fee_rule_of_a_policy,
    validate constraint payment_lines_fee_volume_of_a_rule;
