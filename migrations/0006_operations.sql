-- Commands whose outcome nobody can tell: what is known of the doubt, when a person has to decide, and how two do.

set local lock_timeout = '2s';

-- ---------------------------------------------------------------------------------------------- operations

alter table operations
    add column server_errors integer not null default 0,
    add column empty_look_ups integer not null default 0,
    add column first_look_up_at timestamptz,
    add column review_reason text,
    add column sequence integer not null default 0,
    drop constraint operations_state_known,
    add constraint operations_state_known
        check (state in ('planned', 'submitting', 'succeeded', 'failed', 'unknown', 'needs_review')),
    add constraint operations_review_has_a_reason check (state <> 'needs_review' or review_reason is not null),
    add constraint operations_look_ups_have_a_time check ((empty_look_ups = 0) = (first_look_up_at is null)),
    add constraint operations_counts_count_up check (server_errors >= 0 and empty_look_ups >= 0 and sequence >= 0);

comment on column operations.state is
    'planned: not sent; submitting: sent by the holder of the lease; unknown: nobody can tell whether it had an effect, it is sent '
    'again under the same key or looked up; needs_review: two people have to say what became of it; succeeded, failed: final.';
comment on column operations.generation is
    'Counts the keys it was sent under. A new one is taken only when look-ups found that the one before had no effect.';
comment on column operations.server_errors is
    'How often the provider answered this generation with an error of its own, which it may keep under the key.';
comment on column operations.empty_look_ups is 'How often the provider was asked for this generation''s object and had none.';
comment on column operations.first_look_up_at is 'When it first had none. Business clock.';
comment on column operations.review_reason is 'Why people have to decide, for them.';
comment on column operations.sequence is 'Counts its events.';

insert into operation_transitions (from_state, to_state) values
    ('submitting', 'needs_review'),
    ('unknown', 'needs_review'),
    ('needs_review', 'succeeded'),
    ('needs_review', 'failed');

grant update (server_errors, empty_look_ups, first_look_up_at, review_reason, sequence) on operations to partita_app;

-- What people have to look at is few among many.
create index operations_in_review on operations (book_id) where state = 'needs_review';
create index inbox_events_quarantined on inbox_events (book_id) where state = 'quarantined';

-- ---------------------------------------------------------------------------------------------- approvals

create table approvals (
    book_id integer not null,
    id uuid not null,
    kind text not null,
    object_type text not null,
    object_id uuid not null,
    proposal jsonb not null,
    reason text not null,
    state text not null default 'pending',
    made_by text not null,
    decided_by text,
    decision_reason text,
    sequence integer not null default 0,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    decided_at timestamptz,
    primary key (book_id, id),
    constraint approvals_kind_known check (kind in ('operation_resolution')),
    constraint approvals_state_known check (state in ('pending', 'approved', 'rejected', 'expired')),
    constraint approvals_maker_is_not_checker check (state <> 'approved' or decided_by <> made_by),
    constraint approvals_decision_is_whole check (
        (state in ('approved', 'rejected')) = (decided_by is not null)
        and (state = 'pending') = (decided_at is null)),
    constraint approvals_reason_length check (length(btrim(reason)) between 1 and 1000),
    constraint approvals_decision_reason_length check (length(decision_reason) <= 1000),
    constraint approvals_expire_later check (expires_at > created_at)
);
create unique index approvals_one_pending on approvals (book_id, object_id) where state = 'pending';
comment on table approvals is
    'What one person proposes and another has to agree to. The proposal never changes; whoever made it cannot approve it.';
comment on column approvals.kind is 'operation_resolution: what became of a command in needs_review.';
comment on column approvals.proposal is 'What is done when it is approved, exactly as it was proposed.';
comment on column approvals.state is 'pending; approved: done; rejected: by anyone, its maker too; expired: nobody decided in time.';
comment on column approvals.made_by is 'The actor: a key''s id.';

create function approvals_decide_once() returns trigger language plpgsql as $$
begin
    if old.state <> 'pending' then
        raise exception 'an approval is decided once' using constraint = 'approvals_decided_once', errcode = '23514';
    end if;
    return new;
end $$;
comment on function approvals_decide_once() is 'Keeps decisions: a decided approval never changes.';
create trigger approvals_decisions before update on approvals for each row execute function approvals_decide_once();
create trigger approvals_no_delete before delete on approvals for each row execute function refuse_change();
create trigger approvals_no_truncate before truncate on approvals for each statement execute function refuse_change();

alter table approvals enable row level security;
alter table approvals force row level security;
create policy approvals_of_book on approvals
    using (book_id = current_setting('partita.book')::integer)
    with check (book_id = current_setting('partita.book')::integer);
grant select, insert on approvals to partita_app;
grant update (state, decided_by, decision_reason, decided_at, sequence) on approvals to partita_app;

-- ---------------------------------------------------------------------------------------------- sweeping the provider's events

create table event_sweeps (
    book_id integer not null,
    provider text not null,
    account text not null default '',
    swept_to timestamptz not null,
    events bigint not null default 0,
    missed bigint not null default 0,
    updated_at timestamptz not null,
    primary key (book_id, provider, account)
);
comment on table event_sweeps is
    'Up to when the provider''s own list of events was compared with the inbox, per account. What had not been delivered was stored.';
comment on column event_sweeps.events is 'How many events were seen in all sweeps; overlaps count again.';
comment on column event_sweeps.missed is 'How many of them no webhook had brought.';
alter table event_sweeps enable row level security;
alter table event_sweeps force row level security;
create policy event_sweeps_of_book on event_sweeps
    using (book_id = current_setting('partita.book')::integer)
    with check (book_id = current_setting('partita.book')::integer);
grant select, insert on event_sweeps to partita_app;
grant update (swept_to, events, missed, updated_at) on event_sweeps to partita_app;
