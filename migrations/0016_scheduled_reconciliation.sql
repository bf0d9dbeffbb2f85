-- Reconciliation by schedule: what moved every quarter of an hour, everything every night, in turns that can be resumed;
-- and breaks that are told of once.
--
-- Locks, until the commit: ACCESS EXCLUSIVE on reconciliation_runs, of which there are few; SHARE on provider_movements
-- while its indexes are built. An older release goes on reading; what it books waits, and what waits longer than its
-- lock_timeout stores nothing and is tried again.

set local lock_timeout = '2s';

-- ---------------------------------------------------------------------------------------------- runs

alter table reconciliation_runs
    add column scope text not null default 'complete',
    add column scheduled boolean not null default false,
    add column reconciled_through timestamptz,
    add column turn integer not null default 0,
    add column lease_until timestamptz,
    add constraint reconciliation_runs_scope_known check (scope in ('complete', 'recent')),
    add constraint reconciliation_runs_turns_count_up check (turn >= 0);
-- An older release gives no lease; its runs may take an hour, as they always might.
alter table reconciliation_runs alter column lease_until set default clock_timestamp() + interval '1 hour';
create index reconciliation_runs_by_time on reconciliation_runs (book_id, created_at);

comment on column reconciliation_runs.scope is
    'complete: every account, its whole history; recent: the accounts that moved, from two days before they were last compared.';
comment on column reconciliation_runs.scheduled is 'Whether the worker made it by its schedule; such a run is resumed, not given up.';
comment on column reconciliation_runs.reconciled_through is
    'What the provider had moved until then is compared; none until the run succeeded. Business clock.';
comment on column reconciliation_runs.turn is 'Fencing: what is found counts only for the turn that the row names.';
comment on column reconciliation_runs.lease_until is 'Somebody is at it until then; none or past: free. Database clock.';

grant update (reconciled_through, turn, lease_until) on reconciliation_runs to partita_app;
-- Runs of the schedule that found nothing.
grant delete on reconciliation_runs to partita_app;

-- ---------------------------------------------------------------------------------------------- what a run has to do

create table reconciliation_tasks (
    book_id integer not null,
    run_id uuid not null,
    account text not null,
    seller integer,
    progress jsonb,
    constraint reconciliation_tasks_pkey primary key (book_id, run_id, account),
    constraint reconciliation_tasks_run foreign key (book_id, run_id) references reconciliation_runs (book_id, id)
);
comment on table reconciliation_tasks is 'The accounts that a run has still to compare; a row goes when its account is done.';
comment on column reconciliation_tasks.account is 'The connected account''s id at the provider; empty for the platform''s own.';
comment on column reconciliation_tasks.seller is 'Whose account, by the number in ledger account keys; none for the platform''s own.';
comment on column reconciliation_tasks.progress is 'How far its movements are compared; none: not begun.';

create table reconciliation_accounts (
    book_id integer not null,
    account text not null,
    compared_to timestamptz,
    looked_at timestamptz,
    failing boolean not null default false,
    constraint reconciliation_accounts_pkey primary key (book_id, account),
    constraint reconciliation_accounts_compared_or_failing check (failing or compared_to is not null and looked_at is not null)
);
comment on table reconciliation_accounts is 'Up to when each account at the provider was compared.';
comment on column reconciliation_accounts.compared_to is 'What moved until then is compared; none: it never could be. Business clock.';
comment on column reconciliation_accounts.looked_at is 'When that began. Database clock.';
comment on column reconciliation_accounts.failing is 'The last attempt could not be finished: it is tried again by each run.';

-- What moved since an account was looked at, and what of a span of time nobody has shown.
create index provider_movements_by_arrival on provider_movements (book_id, account, recorded_at);
create index provider_movements_by_time on provider_movements (book_id, account, created_on);
comment on column provider_movements.seen_in_run is 'Not used any more: written by releases before 0016.';

-- ---------------------------------------------------------------------------------------------- breaks that stand

create table reconciliation_open_breaks (
    book_id integer not null,
    account text not null,
    kind text not null,
    subject text not null,
    currency char(3) not null,
    break_id uuid not null,
    last_run uuid not null,
    difference bigint,
    first_found_at timestamptz not null,
    last_found_at timestamptz not null,
    told_at timestamptz,
    constraint reconciliation_open_breaks_pkey primary key (book_id, account, kind, subject, currency),
    constraint reconciliation_open_breaks_break foreign key (book_id, break_id) references reconciliation_breaks (book_id, id)
);
comment on table reconciliation_open_breaks is
    'The differences that stand, each once however many runs found it. A row goes when a run finds that it is gone.';
comment on column reconciliation_open_breaks.subject is
    'The provider''s movement; pending, available or reserved where a balance as a whole differs.';
comment on column reconciliation_open_breaks.break_id is 'The row of reconciliation_breaks that found it first.';
comment on column reconciliation_open_breaks.difference is 'The provider''s figure less the ledger''s; minor units.';
comment on column reconciliation_open_breaks.first_found_at is
    'When it was found with this difference, until it was told of. Business clock, as the others.';
comment on column reconciliation_open_breaks.told_at is
    'When the event reconciliation.break_found was written; none while it may still be money on its way.';

do $$
declare
    name text;
begin
    foreach name in array array['reconciliation_tasks', 'reconciliation_accounts', 'reconciliation_open_breaks'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy %I on %I using (book_id = current_setting(''partita.book'')::integer) '
            'with check (book_id = current_setting(''partita.book'')::integer)', name || '_of_book', name);
        execute format('grant select, insert on %I to partita_app', name);
    end loop;
end $$;
grant update (progress), delete on reconciliation_tasks to partita_app;
grant update (compared_to, looked_at, failing) on reconciliation_accounts to partita_app;
grant update (break_id, last_run, difference, first_found_at, last_found_at, told_at), delete
    on reconciliation_open_breaks to partita_app;

comment on column due.kind is
    'The queue. inbox: the book has events in inbox_events that are not applied; one row per book, id 0. '
    'verify: the book''s complete verification; reconciliation: its next look at the provider; retention: what of it is not '
    'kept for ever; one row per book, id 0, each.';
