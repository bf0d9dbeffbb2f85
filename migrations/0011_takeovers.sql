-- Which servers a book has been served by. A standby that was promoted, and a restored backup, begin a new timeline; they
-- may not have everything that their predecessor had acknowledged.

set local lock_timeout = '2s';

-- A routing table, as halted_books is: the gate asks it before a book is known. It holds no payload.
create table book_timelines (
    book_id integer not null,
    timeline text not null,
    known_at timestamptz not null default clock_timestamp(),
    primary key (book_id, timeline),
    constraint book_timelines_book foreign key (book_id) references books (book_id),
    constraint book_timelines_is_one check (timeline ~ '^[0-9A-F]{8}$')
);
comment on table book_timelines is
    'Timelines of the server that the book is known to be whole on. On another one nothing that moves money is started, until the provider was asked what it has that the book has not.';
comment on column book_timelines.timeline is 'As the names of WAL segments begin.';
comment on column book_timelines.known_at is 'Database clock.';

insert into book_timelines (book_id, timeline)
    select book_id, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) from books;

create function know_timeline_of_new_book() returns trigger language plpgsql as $$
begin
    insert into book_timelines (book_id, timeline) values (new.book_id, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8));
    return null;
end $$;
create trigger books_know_their_timeline after insert on books
    for each row execute function know_timeline_of_new_book();

grant select, insert on book_timelines to partita_app;
