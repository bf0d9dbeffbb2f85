-- Verification that is always on: what each run found, and which books' money is halted.

set local lock_timeout = '2s';

create table verify_runs (
    book_id integer not null,
    id uuid not null,
    depth text not null,
    position text not null,
    decisions bigint not null,
    postings bigint not null,
    clean boolean not null,
    findings jsonb not null,
    started_at timestamptz not null,
    finished_at timestamptz not null default clock_timestamp(),
    primary key (book_id, id),
    constraint verify_runs_depth_known check (depth in ('new', 'complete'))
);
create index verify_runs_newest on verify_runs (book_id, finished_at);
comment on table verify_runs is
    'What runs of verify found. Runs over what is new that found nothing are kept for a day, all others forever.';
comment on column verify_runs.depth is 'new: what came after the last verified position; complete: everything.';
comment on column verify_runs.position is 'The ledger''s position that the result is valid for.';
comment on column verify_runs.decisions is 'Decisions of the ledger that were read.';
comment on column verify_runs.postings is 'Postings that were read.';
comment on column verify_runs.findings is 'Code, invariant, kind and offenders of what is broken; at most 100 of an invariant.';
comment on column verify_runs.started_at is 'Database clock, as finished_at.';

-- A routing table: readiness and the gate ask it before a book is known. It holds no payload.
create table halted_books (
    book_id integer not null primary key,
    run_id uuid not null,
    halted_at timestamptz not null default clock_timestamp()
);
comment on table halted_books is
    'Books in which nothing that moves money may be started, because verify found a broken integrity invariant. A person takes a book out.';
comment on column halted_books.run_id is 'The verify_runs row that found it.';
comment on column halted_books.halted_at is 'Database clock.';

create table halt_clearances (
    book_id integer not null,
    halt_run uuid not null,
    clean_run uuid not null,
    actor text not null,
    reason text not null,
    halted_at timestamptz not null,
    cleared_at timestamptz not null default clock_timestamp(),
    primary key (book_id, halt_run),
    constraint halt_clearances_clean_run foreign key (book_id, clean_run) references verify_runs (book_id, id),
    constraint halt_clearances_told check (length(actor) between 1 and 200 and length(reason) between 1 and 2000)
);
comment on table halt_clearances is 'Who took a book out of its halt, when and why. Append-only.';
comment on column halt_clearances.halt_run is 'The run that had halted the book.';
comment on column halt_clearances.clean_run is 'The complete run that found nothing any more.';

create trigger halt_clearances_no_change before update or delete on halt_clearances
    for each row execute function ledger_refuse_change();
create trigger halt_clearances_no_truncate before truncate on halt_clearances
    for each statement execute function ledger_refuse_change();

do $$
declare
    name text;
begin
    foreach name in array array['verify_runs', 'halt_clearances'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy %I on %I using (book_id = (select current_setting(''partita.book'')::int))',
                       name || '_of_book', name);
        execute format('grant select, insert on %I to partita_app', name);
    end loop;
end
$$;
-- What found nothing and is a day old.
grant delete on verify_runs to partita_app;
grant select, insert, delete on halted_books to partita_app;
